"""Audit files that somebody has been at: what was done is found, and no bytes break the verifier."""

import itertools
import json
import shutil
import sqlite3
from contextlib import closing

import msgspec
import pytest
from hostile.effort import examples
from hypothesis import example, given
from hypothesis import strategies as st

from scallion.__main__ import main
from scallion.middlewares import JsonlSink, SqliteSink
from scallion.middlewares._audit_chain import DIGEST
from scallion.middlewares._audit_files import anchor_of
from scallion.middlewares._audit_verify import verify

DEEP = b'{"seq":1,"prev":"' + b"0" * 64 + b'","x":' + b"[" * 100_000
EMPTY_LINK = ',"hash":"' + "0" * 64 + '"}'


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("audit")


def written(path, kind, count=6, what="n"):
    sink = kind(path, chain=True, fsync="never")
    for number in range(count):
        sink.write({what: number, "text": "ü" * number})
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


@examples(400)
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


@examples(150)
@given(st.sets(st.integers(0, 5), min_size=1), st.booleans(), st.data())
def test_with_files_put_aside_every_removal_and_change_of_order_is_found(
    folder, kept, anchored, data
):
    whole_folder = folder / "rotated"
    if not whole_folder.exists():
        sink = JsonlSink(whole_folder / "a", chain=True, fsync="never", max_bytes=400)
        for number in range(12):
            sink.write({"n": number})
        sink.close()
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(whole_folder, copy)
    files = sorted(copy.glob("a.[0-9]*"), key=lambda each: int(each.suffix[1:]))
    assert len(files) > 3
    if not anchored:
        anchor_of(copy / "a").unlink()
    one, other = data.draw(st.lists(st.sampled_from(files), min_size=2, max_size=2, unique=True))
    if data.draw(st.booleans()):
        one.unlink()
    else:
        held = one.read_bytes()
        one.write_bytes(other.read_bytes())
        other.write_bytes(held)

    assert not verify(copy / "a").ok


def told(path, capsys):
    """What the command says of a file: never a traceback."""
    code = main(["audit", "verify", str(path), "--json"])
    shown = capsys.readouterr()
    assert (code == 2) == (not shown.out)
    assert len(shown.err.splitlines()) <= 1 or code == 2
    return code


@examples(400)
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
        return list(connection.execute("SELECT record FROM audit ORDER BY seq"))


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
