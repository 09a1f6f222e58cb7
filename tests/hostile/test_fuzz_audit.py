"""Audit files that somebody has been at: what was done is found, and no bytes break the verifier."""

import itertools
import json
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from hostile.effort import examples
from hypothesis import example, given
from hypothesis import strategies as st

from scallion.__main__ import main
from scallion.middlewares import JsonlSink, SqliteSink
from scallion.middlewares._audit_chain import DIGEST, Link
from scallion.middlewares._audit_files import anchor_of, rotated
from scallion.middlewares._audit_verify import verify

DEEP = b'{"seq":1,"prev":"' + b"0" * 64 + b'","x":' + b"[" * 100_000
EMPTY_LINK = ',"hash":"' + "0" * 64 + '"}'


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("audit")


def written(path, kind, count=6, what="n"):
    sink = kind(path, chain=True, fsync="never")
    for number in range(count):
        sink.write({what: number, "text": "ü\ufffd" * number})
    sink.close()
    return path


@pytest.fixture(scope="module")
def whole(folder):
    """A file's lines, those of another chain, and what was noted beside the file."""
    path = written(folder / "whole.jsonl", JsonlSink)
    other = written(folder / "other.jsonl", JsonlSink, what="m")
    return path.read_bytes().splitlines(), other.read_bytes().splitlines(), anchor_of(path)


changes = st.lists(
    st.tuples(
        st.sampled_from(["remove", "repeat", "swap", "foreign", "insert", "change", "blank"]),
        st.integers(0, 30),
        st.integers(0, 30),
        st.binary(max_size=5)
        | st.sampled_from([b"{}", b'{"n": 7}', b"null", b"[", DEEP, DEEP + EMPTY_LINK.encode()]),
    ),
    min_size=1,
    max_size=4,
)


def with_changes(lines, foreign, what):
    lines = list(lines)
    for kind, one, other, given_data in what:
        if not lines:
            break
        data = given_data.replace(b"\n", b"")
        at, to = one % len(lines), other % len(lines)
        if kind == "remove":
            del lines[at]
        elif kind == "repeat":
            lines.insert(to, lines[at])
        elif kind == "swap":
            lines[at], lines[to] = lines[to], lines[at]
        elif kind == "foreign":
            lines.insert(at, foreign[to % len(foreign)])
        elif kind == "insert":
            lines.insert(at, data)
        elif kind == "change":
            line = lines[at]
            lines[at] = line[: to % (len(line) + 1)] + data + line[to % (len(line) + 1) + 1 :]
        else:
            lines.insert(at, b"")
    return lines


def is_record(line):
    """Whether a line could be one: what is not even JSON is what a crash leaves of one."""
    if DIGEST.search(line):
        return True
    try:
        msgspec.json.decode(line)
    except ValueError:
        return False
    except RecursionError:
        return True
    return True


@examples(250)
@given(changes)
@example([("insert", 2, 0, DEEP)])
@example([("insert", 2, 0, DEEP + EMPTY_LINK.encode())])
def test_whatever_is_done_to_lines_is_found(folder, whole, what):
    lines, foreign, anchor = whole
    path = folder / "changed.jsonl"
    shutil.copy(anchor, anchor_of(path))
    changed = with_changes(lines, foreign, what)
    path.write_bytes(b"".join(line + b"\n" for line in changed))

    verdict = verify(path)

    assert verdict.ok == ([line for line in changed if is_record(line)] == lines)
    if verdict.ok:
        # What is odd about it is said all the same.
        assert len(verdict.notes) == len([line for line in changed if line]) - len(lines)


BYTES = {"space": b" ", "end of line": b"\n", "return": b"\r", "no text": b"\xff", "digit": b"0"}
EDITS = {
    "removed": lambda content, at: content[:at] + content[at + 1 :],
    "cut off from there": lambda content, at: content[:at],
    "cut off before": lambda content, at: content[at:],
    "with a bit turned": lambda content, at: _put(content, at, bytes([content[at] ^ 1]), 1),
    "in the other case": lambda content, at: _put(content, at, bytes([content[at] ^ 32]), 1),
    **{
        f"a {name} there": lambda c, at, new=new: _put(c, at, new, 1) for name, new in BYTES.items()
    },
    **{f"a {name} more": lambda c, at, new=new: _put(c, at, new, 0) for name, new in BYTES.items()},
}


def _put(content, at, data, over):
    return content[:at] + data + content[at + over :]


def is_wrong(path, last=None):
    """Whether the verifier objects to a file; that there is nothing to verify is an objection."""
    try:
        return not verify(path, last=last).ok
    except (OSError, ValueError):
        return True


@pytest.mark.parametrize("edit", EDITS)
def test_no_byte_of_a_file_can_be_other_than_it_was(folder, edit):
    path = folder / f"{edit}.jsonl"
    content = written(path, JsonlSink, 2).read_bytes()
    lines = content.splitlines()
    for at in range(len(content)):
        edited = EDITS[edit](content, at)
        path.write_bytes(edited)
        there = [line for line in edited.split(b"\n") if line]
        if [line for line in there if line in lines] != lines:
            assert is_wrong(path), at
        else:  # nothing but lines more, empty or of what a crash leaves
            verdict = verify(path)
            assert bool(verdict.notes + verdict.problems) == (there != lines), at


def test_no_byte_of_the_note_beside_a_file_can_be_other_without_a_word(folder):
    path = written(folder / "noted.jsonl", JsonlSink, 3)
    noted = anchor_of(path).read_bytes()
    for edit, at in itertools.product(EDITS.values(), range(len(noted))):
        anchor_of(path).write_bytes(edit(noted, at))
        verdict = verify(path)
        assert not verdict.ok or verdict.tail == "unknown" or is_same_note(edit(noted, at), noted)


def is_same_note(note, other):
    return note.strip().lstrip(b"0") == other.strip().lstrip(b"0")


@pytest.fixture(scope="module")
def in_files(folder):
    """The files of two chains that say the same at other times, in order, with their notes."""
    found = []
    for what in "nm":
        path = folder / what / "a"
        sink = JsonlSink(path, chain=True, fsync="never", max_bytes=400)
        for number in range(24):
            sink.write({what: number})
        sink.close()
        found.append(
            {each.name: each.read_bytes() for each in (*rotated(path), path, anchor_of(path))}
        )
    assert found[0].keys() == found[1].keys()
    assert len(found[0]) > 11  # of which 10 comes after 9
    return found


def test_no_file_of_a_chain_can_be_missing_doubled_swapped_or_of_another(folder, in_files):
    whole, foreign = in_files
    *names, noted = whole
    edits = [
        {name: data for name, data in whole.items() if name not in (gone, forgotten)}
        for gone in names
        for forgotten in (None, noted)
    ]
    for one, other in itertools.permutations(names, 2):
        edits.append(whole | {one: whole[other], other: whole[one]})
        edits.append(whole | {one: whole[other]})
    for place in range(len(names)):
        ours, theirs = names[:place], names[place:]
        edits.append(whole | {names[place]: foreign[names[place]]})
        edits.append(whole | {name: foreign[name] for name in theirs})
        edits.append(foreign | {name: whole[name] for name in ours} | {noted: whole[noted]})
    for name in names:
        lines = whole[name].splitlines(keepends=True)
        edits.append(whole | {name: b"".join(lines[1:])})
        edits.append(whole | {name: b"".join(lines[:-1])})
        edits.append(whole | {name: whole[name][:-2]})
        edits.append(whole | {name: b"".join(reversed(lines))})
    for edit in edits:
        if edit != whole:
            assert is_wrong(laid_out(folder, edit)), edit
    untouched = verify(laid_out(folder, whole))
    assert (untouched.ok, untouched.tail, untouched.notes) == (True, "whole", [])
    # Joined at any record, with nothing that knows the end.
    ours, theirs = (b"".join(each[name] for name in names).splitlines(True) for each in in_files)
    for place in range(1, len(ours)):
        assert is_wrong(laid_out(folder, {"a": b"".join(ours[:place] + theirs[place:])}))


def laid_out(folder, files):
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for name, data in files.items():
        (copy / name).write_bytes(data)
    return copy / "a"


@pytest.mark.parametrize("place", range(1, 5))
def test_a_chain_made_anew_from_a_record_on_is_known_by_its_end(folder, place):
    path = folder / "anew.jsonl"
    for each in folder.glob("anew.jsonl*"):
        each.unlink()
    written(path, JsonlSink, 4)
    lines, anchor = path.read_bytes().splitlines(), anchor_of(path).read_bytes()
    end = Link.of_line(lines[-1])
    path.write_bytes(b"".join(line + b"\n" for line in lines[: place - 1]))
    anchor_of(path).unlink()
    written(path, JsonlSink, 5 - place, what="other")
    assert not is_wrong(path)  # a new chain is a good one; only who knows the old end can tell

    assert is_wrong(path, last=end)
    anchor_of(path).write_bytes(anchor)
    assert is_wrong(path)


@pytest.mark.parametrize(("place", "seq"), [*itertools.permutations(range(4), 2)])
def test_records_that_follow_each_other_are_numbered_without_a_gap(folder, place, seq):
    link, lines = Link(), []
    for number in range(4):
        if number == place:
            link = Link(seq, link.digest)
        line, link = link.next({"n": number})
        lines.append(line)
    path = folder / "numbered.jsonl"
    path.write_bytes(b"\n".join(lines))

    assert is_wrong(path)


@pytest.mark.parametrize("known", ["", "other", "\udcff"])
def test_a_record_made_without_the_key_is_wrong_wherever_it_stands(folder, monkeypatch, known):
    for place in range(1, 5):
        path = folder / f"signed{len(known)}{place}.jsonl"
        monkeypatch.setenv("SCALLION_AUDIT_KEY", "\udcfe")
        written(path, JsonlSink, place - 1)
        monkeypatch.setenv("SCALLION_AUDIT_KEY", known)
        written(path, JsonlSink, 1)
        monkeypatch.setenv("SCALLION_AUDIT_KEY", "\udcfe")
        written(path, JsonlSink, 4 - place)

        assert is_wrong(path)


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=9)
    | st.sampled_from([EMPTY_LINK, "\x00", "\n", "\r\n", "\u2028", " ", '"}', '{"seq":1}']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@pytest.mark.parametrize("kind", [JsonlSink, SqliteSink])
@examples(30)
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["n", "hash", "hmac", "é", ""]), anything, max_size=3),
        min_size=1,
        max_size=6,
    ),
    st.integers(1, 3),
    st.integers(1, 900),
)
def test_nothing_is_said_against_what_nobody_touched(kind, records, sinks, max_bytes):
    with tempfile.TemporaryDirectory() as fresh:
        path = Path(fresh) / "a"
        size = {"max_bytes": max_bytes} if kind is JsonlSink else {}
        for number in range(sinks):
            sink = kind(path, chain=True, fsync="never", **size)
            for record in records[number::sinks]:
                sink.write(record)
            sink.close()
        verdict = verify(path)
        kept = records_in(path) if kind is SqliteSink else lines_in(path)

    assert (verdict.ok, verdict.tail, verdict.records) == (True, "whole", len(records))
    assert (verdict.problems, verdict.notes, verdict.first) == ([], [], 1)
    sent = [record for number in range(sinks) for record in records[number::sinks]]
    for record, line in zip(sent, kept, strict=True):
        stored = json.loads(line)
        for name in record.keys() - {"hash", "hmac"}:  # JSON's last of a name counts
            assert stored[name] == record[name]


def lines_in(path):
    return [line for each in (*rotated(path), path) for line in each.read_bytes().split(b"\n")[:-1]]


def told(path, capsys):
    """What the command says of a file: never a traceback."""
    code = main(["audit", "verify", str(path), "--json"])
    shown = capsys.readouterr()
    assert (code == 2) == (not shown.out)
    assert len(shown.err.splitlines()) <= 1 or code == 2
    return code


@examples(250)
@given(
    st.binary(max_size=200)
    | st.lists(
        st.sampled_from(
            [
                b"\n", b"\r", b"\x00", b"{", b"}", b'"seq":', b'"prev":"', b"1", b"-1", b"1e9", b"9" * 30,
                b'",', b"0" * 64, b',"hash":"' + b"0" * 64 + b'"}', b',"hmac":"' + b"0" * 64 + b'"}',
                b"null", b"SQLite format 3\x00", b"\xff", b'"', DEEP,
            ]
        ),
        max_size=14,
    ).map(b"".join),
    st.none() | st.binary(max_size=90) | st.just(b"3:" + b"0" * 64),
)  # fmt: skip
def test_no_bytes_break_the_verifier_or_pass_for_an_audit(folder, capsys, content, noted):
    path = folder / "random.jsonl"
    path.write_bytes(content)
    anchor_of(path).unlink(missing_ok=True)
    if noted is not None:
        anchor_of(path).write_bytes(noted)

    assert told(path, capsys) in (1, 2)


@examples(250)
@given(
    st.lists(st.tuples(st.integers(0, 40_000), st.binary(min_size=1, max_size=4)), max_size=6),
    st.none() | st.integers(0, 40_000),
)
def test_a_database_with_other_bytes_is_found_out_or_reads_the_same(folder, capsys, patches, cut):
    path = folder / "whole.db"
    if not path.exists():
        written(path, SqliteSink)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.execute("PRAGMA journal_mode=DELETE")
    content = bytearray(path.read_bytes())
    for place, data in patches:
        at = place % len(content)
        content[at : at + len(data)] = data
    damaged = folder / "damaged.db"
    for each in folder.glob("damaged.db*"):
        each.unlink()
    damaged.write_bytes(content if cut is None else content[:cut])

    if told(damaged, capsys) == 0:
        assert records_in(damaged) == records_in(path)


def records_in(path):
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return [row[0] for row in connection.execute("SELECT record FROM audit ORDER BY seq")]


def test_no_record_of_a_database_can_be_other_than_it_was(folder):
    path = written(folder / "rows.db", SqliteSink, 3, what="é")
    rows = records_in(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("DROP TRIGGER audit_is_not_changed")
        connection.execute("DROP TRIGGER audit_is_not_removed")
        (end,) = connection.execute("SELECT link FROM audit_last").fetchone()

        def judge(records, link=end):
            connection.execute("BEGIN")
            connection.execute("DELETE FROM audit")
            for seq, record in enumerate(records, 1):
                try:
                    connection.execute(
                        "INSERT INTO audit (seq, record) VALUES (?, ?)", (seq, record)
                    )
                except sqlite3.OperationalError:  # not even JSON
                    connection.execute("ROLLBACK")
                    return True
            connection.execute("UPDATE audit_last SET link = ?", (link,))
            connection.execute("COMMIT")
            return is_wrong(path)

        for place, row in enumerate(rows):
            for at, char in enumerate(row):
                other = row[:at] + chr(ord(char) ^ 1) + row[at + 1 :]
                assert judge([*rows[:place], other, *rows[place + 1 :]]), (place, at)
            for spaced in (f" {row}", f"{row} ", f"{row}\n", row.replace(",", ", ", 1)):
                assert judge([*rows[:place], spaced, *rows[place + 1 :]]), spaced
        for changed in (*itertools.permutations(rows, 2), *itertools.permutations(rows)):
            assert judge(changed) == (changed != tuple(rows))
        for at, char in enumerate(end):
            assert judge(rows, end[:at] + chr(ord(char) ^ 1) + end[at + 1 :])
        assert not judge(rows)


VALUES = [None, 5, -1.5, b"\xff\x00", "x", "x:" + "0" * 64, "9:" + "0" * 64, "é" * 64]


@pytest.mark.parametrize(
    ("table", "value"), [*itertools.product(["record", "link", "seq"], VALUES)]
)
def test_a_database_with_values_of_the_wrong_kind_is_told_to_be_wrong(folder, capsys, table, value):
    path = folder / "odd.db"
    for each in folder.glob("odd.db*"):
        each.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE audit (seq, record)")
        connection.execute("CREATE TABLE audit_last (link)")
        record = value if table == "record" else json.dumps({"n": 1})
        connection.execute(
            "INSERT INTO audit VALUES (?, ?)", (value if table == "seq" else 1, record)
        )
        connection.execute(
            "INSERT INTO audit_last VALUES (?)", (value if table == "link" else None,)
        )
        connection.commit()

    assert told(path, capsys) in (1, 2)
