"""The files of an audit: appended to by many, never torn, rotated, and checked by their chain."""

import errno
import json
import multiprocessing
import os
import pickle
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scallion import build_pipeline
from scallion.__main__ import main
from scallion.middlewares import JsonlSink, SqliteSink, audit
from scallion.middlewares._audit_chain import Link
from scallion.middlewares._audit_files import parse_link
from scallion.middlewares._audit_verify import verify
from scallion.middlewares._audit_writer import as_sink
from scallion.providers import fake


@pytest.fixture
def path(tmp_path):
    return tmp_path / "calls.jsonl"


def filled(sink, count=5, first=0):
    for number in range(first, first + count):
        sink.write({"n": number})
    return sink


def numbers(path):
    return [json.loads(line)["n"] for line in path.read_bytes().splitlines()]


@pytest.mark.parametrize("kind", [JsonlSink, SqliteSink])
async def test_calls_end_up_in_a_file_that_verifies(tmp_path, kind):
    path = tmp_path / "new" / "folder" / "calls"
    async with build_pipeline(
        [audit(kind(path, chain=True))], provider=fake(["Hi there"] * 3), model="m"
    ) as llm:
        await llm.complete("hello", tenant="acme")
        await llm.stream("hello").collect()

    verdict = verify(path)
    assert (verdict.ok, verdict.records, verdict.tail) == (True, 2, "whole")
    assert path.stat().st_mode & 0o077 == 0  # nobody else's to read


async def test_a_closed_pipeline_opens_its_file_again(path):
    llm = build_pipeline([audit(path, chain=True)], provider=fake(), model="m")
    for _ in range(2):
        await llm.complete("hello")
        await llm.aclose()

    assert verify(path).records == 2


def test_a_path_chooses_the_kind_of_file(tmp_path):
    assert isinstance(as_sink(tmp_path / "a.db", chain=False), SqliteSink)
    assert isinstance(as_sink(f"{tmp_path}/a.SQLITE3", chain=False), SqliteSink)
    assert isinstance(as_sink(tmp_path / "a.log", chain=True), JsonlSink)


def test_a_database_can_be_asked_and_refuses_to_forget(tmp_path):
    sink = SqliteSink(tmp_path / "a.db", fsync="never")
    sink.write({"id": "1", "tenant": "acme", "status": "failed", "model": "m", "cost": "0.5"})
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
        row = connection.execute("SELECT id, tenant, status, model, cost FROM audit").fetchone()
        assert row == ("1", "acme", "failed", "m", "0.5")
        for change in ("UPDATE audit SET record = '{}'", "DELETE FROM audit"):
            with pytest.raises(sqlite3.IntegrityError, match="only appended"):
                connection.execute(change)
    sink.close()


# ------------------------------------------------------------------------------ several at a time


@pytest.mark.parametrize("kind", [JsonlSink, SqliteSink])
def test_threads_share_a_sink(tmp_path, kind):
    sink = kind(tmp_path / "calls", chain=True)
    threads = [threading.Thread(target=filled, args=(sink, 50)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sink.close()

    verdict = verify(tmp_path / "calls")
    assert (verdict.problems, verdict.records) == ([], 300)


def write_many(kind, path, count, options):
    sink = kind(path, chain=True, **options)
    for _ in range(count):
        sink.write({"pid": os.getpid()})


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (JsonlSink, {"fsync": "never"}),
        (JsonlSink, {"fsync": "never", "max_bytes": 1_500}),
        (SqliteSink, {"fsync": "never"}),
    ],
)
def test_processes_share_a_file_and_one_chain(tmp_path, kind, options):
    path = tmp_path / "calls"
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=write_many, args=(kind, path, 60, options)) for _ in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]

    verdict = verify(path)
    assert (verdict.problems, verdict.records) == ([], 180)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
@pytest.mark.parametrize("kind", ["JsonlSink", "SqliteSink"])
def test_a_forked_child_appends_to_the_same_chain(tmp_path, kind):
    script = (
        "import os, sys\n"
        f"from scallion.middlewares import {kind} as Sink\n"
        "sink = Sink(sys.argv[1], chain=True, fsync='never')\n"
        "sink.write({'n': 0})\n"
        "children = []\n"
        "for child in range(2):\n"
        "    pid = os.fork()\n"
        "    if not pid:\n"
        "        for n in range(20): sink.write({'child': child})\n"
        "        os._exit(0)\n"
        "    children.append(pid)\n"
        "for n in range(20): sink.write({'parent': n})\n"
        "codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]\n"
        "sink.write({'n': 1})\n"
        "sys.exit(any(codes))\n"
    )
    path = tmp_path / "calls"
    subprocess.run([sys.executable, "-c", script, str(path)], check=True, timeout=60)

    verdict = verify(path)
    assert (verdict.problems, verdict.records) == ([], 62)


@pytest.mark.parametrize("kind", [JsonlSink, SqliteSink])
def test_what_a_process_inherited_it_opens_anew(tmp_path, kind, monkeypatch):
    sink = filled(kind(tmp_path / "calls", chain=True), 1)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    filled(sink, 1)
    sink.close()
    if kind is SqliteSink:
        sink._inherited[0].close()

    assert (verify(tmp_path / "calls").ok, verify(tmp_path / "calls").records) == (True, 2)


def test_a_stream_that_the_garbage_collector_ends_during_a_write_is_written_after_it(path):
    sink = JsonlSink(path, chain=True)

    class Dropped:
        def __del__(self):
            sink.write({"n": "dropped"})

    class Text:
        def __init__(self):
            self.dropped = Dropped()

        def __str__(self):  # called while the record is being written
            self.dropped = None
            return "text"

    sink.write({"n": Text()})

    assert numbers(path) == ["text", "dropped"]
    assert verify(path).ok


# ------------------------------------------------------------------------- what else may happen


def test_a_line_that_a_crash_left_unended_is_no_record_and_breaks_nothing(path):
    filled(JsonlSink(path, chain=True), 2).close()
    with path.open("ab") as file:
        file.write(b'{"seq":3,"prev":"ab')
    filled(JsonlSink(path, chain=True), 2).close()

    verdict = verify(path)
    assert (verdict.ok, verdict.records) == (True, 4)
    assert verdict.notes == ["calls.jsonl:3 is not a record: writing it was cut short"]


def test_a_record_that_lacks_only_its_line_break_counts(path):
    filled(JsonlSink(path, chain=True), 2).close()
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    filled(JsonlSink(path, chain=True), 1).close()

    assert (verify(path).ok, verify(path).records) == (True, 3)


def test_a_file_without_a_chain_is_mended_after_a_crash_too(path):
    path.write_bytes(b'{"n": 0}\n{"n"')
    filled(JsonlSink(path), 1)

    assert path.read_bytes() == b'{"n": 0}\n{"n"\n{"n":0}\n'


def test_half_a_record_on_a_full_disk_is_taken_back(path, monkeypatch):
    sink = filled(JsonlSink(path, chain=True), 1)
    write, calls = os.write, []

    def full(file, data):
        calls.append(data)
        if len(calls) == 1:
            return write(file, data[:10])
        raise OSError(errno.ENOSPC, "disk full")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="disk full"):
        sink.write({"n": 1})
    monkeypatch.setattr(os, "write", write)
    sink.write({"n": 2})

    assert numbers(path) == [0, 2]
    assert verify(path).ok


def test_a_write_in_several_parts_is_one_record(path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:7]))
    sink = JsonlSink(path)
    filled(sink, 3)

    assert numbers(path) == [0, 1, 2]


@pytest.mark.parametrize(
    ("fsync", "forced"), [("always", 3), ("never", 0), (3600, 1), (0, 3)], ids=str
)
def test_records_are_forced_onto_the_disk_as_often_as_asked(path, monkeypatch, fsync, forced):
    files = []
    sink = JsonlSink(path, fsync=fsync)
    monkeypatch.setattr(os, "fsync", files.append)
    filled(sink, 3)
    assert len(files) == forced
    sink.close()
    assert len(files) == forced + (fsync != "never")


@pytest.mark.parametrize(
    ("fsync", "forced"), [("always", 3), ("never", 0), (3600, 1), (0, 3)], ids=str
)
def test_commits_are_forced_onto_the_disk_as_often_as_asked(tmp_path, fsync, forced):
    sink = SqliteSink(tmp_path / "a.db", fsync=fsync)
    sink.open()
    levels = []
    sink._connection.set_trace_callback(
        lambda text: levels.append(text) if "synchronous" in text else None
    )
    filled(sink, 3)
    sink.close()

    assert levels.count("PRAGMA synchronous=FULL") == forced
    assert levels.count("PRAGMA synchronous=NORMAL") == 3 - forced


def test_a_file_that_grows_too_large_is_put_aside_and_the_chain_goes_on(path):
    filled(JsonlSink(path, chain=True, max_bytes=600), 10).close()
    filled(JsonlSink(path, chain=True, max_bytes=600), 10, first=10).close()

    aside = sorted(path.parent.glob("calls.jsonl.[0-9]*"), key=lambda p: int(p.suffix[1:]))
    assert len(aside) > 3
    assert all(each.stat().st_size <= 600 for each in aside)
    assert [n for each in [*aside, path] for n in numbers(each)] == list(range(20))
    assert (verify(path).ok, verify(path).records) == (True, 20)
    aside[1].unlink()
    assert not verify(path).ok


def test_only_so_many_old_files_are_kept(path):
    filled(JsonlSink(path, chain=True, max_bytes=300, keep=2), 12).close()

    assert len(list(path.parent.glob("calls.jsonl.[0-9]*"))) == 2
    assert not verify(path).ok
    verdict = verify(path, partial=True)
    assert (verdict.ok, verdict.first) == (True, 13 - verdict.records)
    assert verdict.notes == [f"the records before {verdict.first} are not here"]


def test_a_record_larger_than_the_limit_is_still_written(path):
    sink = JsonlSink(path, max_bytes=10, keep=0)
    filled(sink, 3)

    assert numbers(path) == [2]
    assert not list(path.parent.glob("calls.jsonl.[0-9]*"))


def test_a_file_that_somebody_else_moved_away_is_begun_anew(path):
    sink = filled(JsonlSink(path, chain=True), 3)
    path.rename(path.with_name("calls.jsonl.1"))
    filled(sink, 2, first=3)

    assert numbers(path) == [3, 4]
    assert verify(path).ok


def test_a_long_record_is_found_again(path):
    filled(JsonlSink(path, chain=True), 1).close()
    JsonlSink(path, chain=True).write({"n": "x" * 200_000})
    filled(JsonlSink(path, chain=True), 1).close()

    assert (verify(path).ok, verify(path).records) == (True, 3)


def test_a_sink_says_what_it_was_made_from_and_pickles(tmp_path):
    sinks = [JsonlSink(tmp_path / "a", fsync="always", max_bytes=9, keep=1), SqliteSink("b.db")]
    shown = [
        f"JsonlSink('{tmp_path}/a', fsync='always', max_bytes=9, keep=1)",
        "SqliteSink('b.db')",
    ]

    assert [repr(sink) for sink in sinks] == shown
    assert [repr(pickle.loads(pickle.dumps(sink))) for sink in sinks] == shown


@pytest.mark.parametrize(
    "options",
    [
        {"fsync": "sometimes"}, {"fsync": -1}, {"fsync": True}, {"fsync": float("nan")},
        {"max_bytes": 0}, {"keep": 3}, {"max_bytes": 10, "keep": -1},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(options):
    with pytest.raises(ValueError, match=r"fsync|max_bytes|keep"):
        JsonlSink("calls.jsonl", **options)
    with pytest.raises(ValueError, match="fsync"):
        SqliteSink("calls.db", fsync="sometimes")


# --------------------------------------------------------------------------------- verification


def changed(path, at, line):
    lines = path.read_bytes().splitlines()
    lines[at : at + 1] = line
    path.write_bytes(b"".join(each + b"\n" for each in lines))


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_no_single_byte_can_be_changed_unseen(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("audit") / "calls.jsonl"
    filled(JsonlSink(path, chain=True, fsync="never"), 4).close()
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 2))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != whole[place]))
    path.write_bytes(whole[:place] + bytes([other]) + whole[place + 1 :])

    assert not verify(path).ok


@settings(deadline=None, max_examples=30)
@given(kept=st.sets(st.integers(0, 5), max_size=5))
def test_no_record_can_be_removed_unseen(kept, tmp_path_factory):
    path = tmp_path_factory.mktemp("audit") / "calls.jsonl"
    filled(JsonlSink(path, chain=True, fsync="never"), 6).close()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for at, line in enumerate(lines) if at in kept))

    assert not verify(path).ok


def test_what_was_cut_off_stays_missing_when_more_is_written(path):
    sink = filled(JsonlSink(path, chain=True), 5)
    changed(path, 4, [])
    assert verify(path).problems == ["the records after 4 are missing: there were 5 once"]
    sink.write({"n": 5})
    assert verify(path).problems == ["record 5 is missing before calls.jsonl:5"]
    changed(path, 4, [])
    filled(JsonlSink(path, chain=True), 1)  # and so it does when another process writes
    assert verify(path).problems == ["records 5 to 6 are missing before calls.jsonl:5"]


def test_without_the_note_beside_the_file_an_end_kept_elsewhere_tells(path):
    filled(JsonlSink(path, chain=True), 5).close()
    end = verify(path).last
    path.with_name("calls.jsonl.last").unlink()
    assert verify(path).tail == "unknown"
    assert verify(path, last=parse_link(end)).tail == "whole"
    changed(path, 4, [])
    assert verify(path).ok  # nothing could tell
    assert verify(path, last=parse_link(end)).tail == "cut"
    assert not verify(path, last=Link(2, "f" * 64)).ok


def test_records_that_are_put_elsewhere_or_put_in_are_found(path):
    filled(JsonlSink(path, chain=True), 4).close()
    lines = path.read_bytes().splitlines()
    changed(path, 1, [lines[2], lines[1]])
    assert any("missing" in problem for problem in verify(path).problems)
    path.write_bytes(b"\n".join([*lines[:2], b'{"n": 9}', *lines[2:], b""]))
    assert verify(path).problems == ["calls.jsonl:3 belongs to no chain"]
    path.write_bytes(b"\n".join([*lines, lines[3], b""]))
    assert verify(path).problems == ["calls.jsonl:5 (record 4) is out of order"]


def test_a_chain_that_was_made_anew_from_somewhere_on_does_not_end_as_it_did(path):
    filled(JsonlSink(path, chain=True), 4).close()
    end = path.with_name("calls.jsonl.last").read_bytes()
    forged = Link.of_line(path.read_bytes().splitlines()[1])
    lines = path.read_bytes().splitlines()[:2]
    for number in (2, 9):
        line, forged = forged.next({"n": number})
        lines.append(line)
    path.write_bytes(b"\n".join([*lines, b""]))
    assert path.with_name("calls.jsonl.last").read_bytes() == end

    assert verify(path).problems == ["record 4 is not the one that was there once"]


def test_with_a_key_nobody_can_make_a_chain_anew(path, monkeypatch):
    monkeypatch.setenv("SCALLION_AUDIT_KEY", "good")
    filled(JsonlSink(path, chain=True), 3).close()
    assert verify(path).ok
    monkeypatch.setenv("SCALLION_AUDIT_KEY", "bad")
    assert len(verify(path).problems) == 3
    monkeypatch.delenv("SCALLION_AUDIT_KEY")
    with pytest.raises(ValueError, match="SCALLION_AUDIT_KEY"):
        verify(path)
    path.unlink()
    path.with_name("calls.jsonl.last").unlink()
    filled(JsonlSink(path, chain=True), 3).close()  # a chain without a key, put in its place
    monkeypatch.setenv("SCALLION_AUDIT_KEY", "good")
    assert verify(path).problems[0] == "calls.jsonl:1 (record 1) is not signed with the key"


def test_a_key_may_be_of_any_bytes(path, monkeypatch):
    for key in (b"k\xff", b"k\xfe"):
        monkeypatch.setenv("SCALLION_AUDIT_KEY", os.fsdecode(key))
        if not path.exists():
            filled(JsonlSink(path, chain=True), 1).close()
        assert verify(path).ok == (key == b"k\xff")


def test_a_noted_end_without_a_record_knows_nothing_of_one(path):
    filled(JsonlSink(path, chain=True), 1).close()
    path.with_name("calls.jsonl.last").write_text(f"0:{'1' * 64}")
    assert verify(path).problems == ["record 0 is not the one that was there once"]


def test_a_record_with_an_end_of_line_more_was_changed(tmp_path):
    path = tmp_path / "calls.db"
    filled(SqliteSink(path, chain=True), 1).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TRIGGER audit_is_not_changed")
        connection.execute("UPDATE audit SET record = record || char(10)")
        connection.commit()
    assert not verify(path).ok


def test_a_database_shows_what_was_changed_and_removed(tmp_path):
    path = tmp_path / "calls.db"
    filled(SqliteSink(path, chain=True), 4).close()
    assert (verify(path).ok, verify(path).records, verify(path).tail) == (True, 4, "whole")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TRIGGER audit_is_not_removed")
        connection.execute("DELETE FROM audit WHERE seq = 4")
        connection.commit()
    assert verify(path).tail == "cut"
    filled(SqliteSink(path, chain=True), 1).close()
    assert verify(path).problems == ["record 4 is missing before calls.db:5"]


def test_a_database_that_cannot_be_written_to_is_rolled_back(tmp_path):
    path = tmp_path / "calls.db"
    sink = filled(SqliteSink(path, chain=True), 1)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE TRIGGER no BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'x'); END"
        )
    with pytest.raises(sqlite3.IntegrityError):
        sink.write({"n": 1})
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TRIGGER no")
    filled(sink, 1)
    sink.close()

    assert (verify(path).ok, verify(path).records) == (True, 2)


def test_a_file_that_is_no_database_is_not_made_one(tmp_path):
    path = tmp_path / "calls.db"
    path.write_text("something else that is quite long, longer than a header" * 30)
    sink = SqliteSink(path)
    for _ in range(2):
        with pytest.raises(sqlite3.DatabaseError):
            sink.write({"n": 1})


# ------------------------------------------------------------------------------ the command line


def command(*arguments, key=None):
    environment = os.environ | ({"SCALLION_AUDIT_KEY": key} if key else {})
    return subprocess.run(
        [sys.executable, "-m", "scallion", "audit", *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=60, env=environment,
    )  # fmt: skip


def test_the_command_says_that_all_is_well_and_where_it_ends(path):
    filled(JsonlSink(path, chain=True), 2).close()
    done = command("verify", path)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"2 records, none changed or removed\n  last: {verify(path).last}\n"


def test_the_command_exits_with_1_when_a_record_was_changed(path):
    filled(JsonlSink(path, chain=True), 3).close()
    path.write_bytes(path.read_bytes().replace(b'"n":1', b'"n":7'))
    done = command("verify", path, "--json")
    verdict = json.loads(done.stdout)

    assert (done.returncode, verdict["ok"]) == (1, False)
    assert verdict["problems"] == ["calls.jsonl:2 (record 2) was changed"]


def shown(capsys, *arguments):
    code = main(["audit", "verify", *map(str, arguments)])
    return code, capsys.readouterr()


def test_the_command_takes_an_end_that_was_kept_and_files_without_a_beginning(path, capsys):
    filled(JsonlSink(path, chain=True, max_bytes=300, keep=1), 6).close()
    last = verify(path).last
    assert shown(capsys, path)[0] == 1
    code, out = shown(capsys, path, "--partial", "--last", last)
    assert code == 0
    assert "note: the records before" in out.out
    path.with_name("calls.jsonl.last").unlink()
    assert "--last" in shown(capsys, path, "--partial")[1].out


@pytest.mark.parametrize(
    ("content", "arguments", "said"),
    [
        (None, [], "calls.jsonl: No such file or directory\n"),
        (b"", [], "no record with a chain"),
        (b'{"n": 1}\n', [], "belongs to no chain"),
        (b"SQLite format 3\0" + bytes(200), [], "is no audit"),
        (b"{}", ["--last", "7"], "not SEQ:DIGEST"),
        (b"{}", ["--last", "x:" + "a" * 64], "not SEQ:DIGEST"),
    ],
    ids=["missing", "empty", "no chain", "no database", "no end", "no number"],
)
def test_a_mistake_is_one_line_and_no_traceback(path, capsys, content, arguments, said):
    if content is not None:
        path.write_bytes(content)
    code, out = shown(capsys, path, *arguments)

    assert code in (1, 2)
    assert said in out.out + out.err
    assert "Traceback" not in out.err


def test_a_chain_signed_with_a_key_asks_for_it(path, monkeypatch, capsys):
    monkeypatch.setenv("SCALLION_AUDIT_KEY", "k")
    filled(JsonlSink(path, chain=True), 1).close()
    assert shown(capsys, path)[0] == 0
    monkeypatch.delenv("SCALLION_AUDIT_KEY")
    code, out = shown(capsys, path)

    assert code == 2
    assert "SCALLION_AUDIT_KEY" in out.err
