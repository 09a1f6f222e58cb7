"""What only the SQLite store has: a file, its bounds, its version, and other processes' locks."""

from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
import stat
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from scallion import stores
from scallion.stores import Claim, Reservation, StoreError, Window, _tables
from support.clocks import HandClock


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


def rows(path, query):
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def open_files():
    return [file.resolve() for file in Path("/proc/self/fd").iterdir()]


async def kept(store, *keys):
    return [key for key in keys if await store.get(key) is not None]


async def test_what_is_stored_is_there_in_the_next_run(path):
    async with stores.sqlite(path) as store:
        await store.set("key", b"value")
    async with stores.sqlite(str(path)) as store:
        assert await store.get("key") == b"value"


async def test_its_folder_is_made_and_only_the_owner_may_read_it(tmp_path):
    path = tmp_path / "new" / "folder" / "store.db"
    async with stores.sqlite(path) as store:
        await store.set("key", b"value")
        modes = [stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()]
    assert len(modes) == 3
    assert set(modes) == {0o600}


async def test_making_a_store_touches_nothing_and_closing_an_unused_one_neither(path):
    await stores.sqlite(path).aclose()
    assert not path.exists()


async def test_a_relative_path_is_that_of_the_place_where_the_store_was_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = stores.sqlite("store.db")
    assert store.url == f"sqlite:///{tmp_path}/store.db"
    monkeypatch.chdir("/")
    async with store:
        await store.set("key", b"value")
    assert (tmp_path / "store.db").exists()


async def test_beyond_max_bytes_the_least_recently_used_values_go(path):
    clock = HandClock()
    async with stores.sqlite(path, max_bytes=40_000, clock=clock) as store:
        for key in "abc":
            await store.set(key, bytes(10_000))
            clock.at += 100
        await store.get("a")
        await store.get("a")
        await store.set("d", bytes(10_000))
        assert await kept(store, *"abcd") == ["a", "c", "d"]
        await store.set("e", bytes(39_000))
        assert await kept(store, *"abcde") == ["e"]
        await store.set("e", bytes(40_000))
        assert await kept(store, *"abcde") == []


async def test_the_file_stays_near_its_bound_however_much_is_written(path):
    async with stores.sqlite(path, max_bytes=1_000_000) as store:
        for number in range(600):
            await store.set(f"key {number}", os.urandom(20_000))
        assert await store.get("key 599") is not None
        size = sum(file.stat().st_size for file in path.parent.iterdir())
    assert path.stat().st_size < 1_500_000
    assert size < 8_000_000
    assert rows(path, "SELECT bytes FROM total") == rows(path, "SELECT sum(size) FROM entries")


async def test_expired_values_and_ended_budgets_do_not_pile_up(path):
    clock = HandClock()
    async with stores.sqlite(path, clock=clock) as store:
        for number in range(200):
            await store.set(f"key {number}", b"value", ttl=10)
            await store.lease(f"key {number}", ttl=10)
            claim = Claim(f"team {number}", 1, 1, Window(60))
            held = await store.reserve(claim, ttl=10)
            if number % 2:
                await store.settle(held, 1)
            clock.at += 86_400
    for table in ("entries", "leases", "spending", "holds"):
        assert rows(path, f"SELECT count(*) < 5 FROM {table}") == [(1,)]


async def test_another_applications_database_is_left_alone(path):
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE precious (thing TEXT)")
    other.close()
    store = stores.sqlite(path)
    with pytest.raises(StoreError, match="another application's database"):
        await store.get("key")
    await store.aclose()
    assert rows(path, "SELECT name FROM sqlite_master") == [("precious",)]


async def test_a_file_of_another_version_is_a_typed_error(path):
    async with stores.sqlite(path) as store:
        await store.set("key", b"value")
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    async with stores.sqlite(path) as store:
        with pytest.raises(StoreError, match="version 99, this one knows 1"):
            await store.get("key")


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\0" * 300])
async def test_a_file_that_is_no_database_is_a_typed_error(path, content):
    path.write_bytes(content)
    async with stores.sqlite(path) as store:
        with pytest.raises(StoreError, match=r"get failed: .*"):
            await store.get("key")
    assert path.read_bytes() == content


async def test_a_place_that_cannot_be_written_is_a_typed_error(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "store.db"):
        async with stores.sqlite(path) as store:
            with pytest.raises(StoreError, match="set failed"):
                await store.set("key", b"value")


@pytest.mark.parametrize("how", ["deleted", "deleted with its log", "replaced without it"])
async def test_a_file_that_is_deleted_or_replaced_is_let_go_of_by_all_who_have_it_open(
    path, tmp_path, how
):
    async with stores.sqlite(path) as one, stores.sqlite(path) as other:
        for store in (one, other):
            await store.set("key", b"old")
        if how == "replaced without it":
            async with stores.sqlite(tmp_path / "new.db") as new:
                await new.set("key", b"new")
            (tmp_path / "new.db").replace(path)
        else:
            path.unlink()
        if "with" in how:
            for file in path.parent.glob("store.db-*"):
                file.unlink()
        # The budget is one for both again, and each sees what the other does.
        held = [await store.reserve(Claim("team", 1, 2), ttl=60) for store in (one, other, one)]
        assert [isinstance(each, Reservation) for each in held] == [True, True, False]
        there = b"new" if "replaced" in how else None
        assert [await store.get("key") for store in (one, other)] == [there, there]
        await other.set("key", b"newer")
        assert await one.get("key") == b"newer"
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


async def test_a_total_that_somebody_has_tampered_with_is_counted_anew(path):
    async with stores.sqlite(path, max_bytes=10_000) as store:
        await store.set("old", b"value")
        connection = sqlite3.connect(path)
        connection.execute("UPDATE total SET bytes = 99999999")
        connection.commit()
        connection.close()
        await store.set("key", b"value")
        await store.set("another", b"value")
        assert await kept(store, "key", "another") == ["key", "another"]
    assert rows(path, "SELECT bytes FROM total") == rows(path, "SELECT sum(size) FROM entries")


@pytest.mark.parametrize("path", ["", ":memory:"])
def test_a_store_without_a_file_is_refused(path):
    with pytest.raises(ValueError, match="memory"):
        stores.sqlite(path)


async def test_a_lock_held_too_long_is_a_typed_error_in_time_and_then_forgotten(path):
    async with stores.sqlite(path, timeout=0.5) as store:
        await store.set("key", b"old")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        loop = asyncio.get_running_loop()
        began = loop.time()
        found = await asyncio.gather(
            *(store.set("key", b"new") for _ in range(5)),
            store.reserve(Claim("team", 1, 1), ttl=60),
            store.lease("key", ttl=60),
            return_exceptions=True,
        )
        assert loop.time() - began < 2
        assert {type(error) for error in found} == {StoreError}
        other.execute("ROLLBACK")
        other.close()
        await store.set("key", b"new")
        assert await store.get("key") == b"new"
        # Nor did those that nobody waited for any longer take what they had asked for.
        assert isinstance(await store.reserve(Claim("team", 1, 1), ttl=60), Reservation)
        assert await store.lease("key", ttl=60) is not None


async def test_a_new_file_that_another_process_has_locked_is_waited_for(path):
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    let_go = threading.Timer(0.1, other.close)
    let_go.start()
    async with stores.sqlite(path) as store:
        await store.set("key", b"value")
        assert await store.get("key") == b"value"
    let_go.join()


async def test_a_full_disk_is_a_typed_error_and_what_was_there_stays(path, monkeypatch):
    connect = _tables.connect

    def connect_to_a_small_disk(path, timeout):
        connection = connect(path, timeout)
        connection.execute("PRAGMA max_page_count = 40")
        return connection

    monkeypatch.setattr(_tables, "connect", connect_to_a_small_disk)
    async with stores.sqlite(path) as store:
        await store.set("small", b"value")
        with pytest.raises(StoreError, match="full"):
            await store.set("large", bytes(1_000_000))
        assert await kept(store, "small", "large") == ["small"]
        await store.set("small", b"value 2")
        assert await store.get("small") == b"value 2"


@pytest.mark.parametrize("file", range(20))  # one in ten caught another half-way, once
def test_many_may_open_a_new_file_at_once(path, file):
    del file
    barrier = threading.Barrier(8)
    failures = []

    async def use(number):
        async with stores.sqlite(path) as store:
            barrier.wait()
            await store.set(f"key {number}", b"value")

    def run(number):
        try:
            asyncio.run(use(number))
        except BaseException as error:  # noqa: BLE001  (a thread would keep it to itself)
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert rows(path, "SELECT count(*) FROM entries") == [(8,)]


async def test_a_forgotten_store_closes_its_file_and_its_thread(path):
    before = set(threading.enumerate())
    store = stores.sqlite(path)
    await store.set("key", b"value")
    (thread,) = set(threading.enumerate()) - before
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        del store
        gc.collect()
    assert seen == []
    thread.join(10)
    assert not thread.is_alive()
    assert path not in open_files()


async def test_a_store_may_be_collected_while_the_standard_library_holds_its_locks(
    path, monkeypatch
):
    start_thread = ThreadPoolExecutor._adjust_thread_count

    def collect_and_start_thread(executor):
        gc.collect()
        start_thread(executor)

    monkeypatch.setattr(ThreadPoolExecutor, "_adjust_thread_count", collect_and_start_thread)
    for _ in range(3):
        store = stores.sqlite(path)
        store.itself = store
        await store.get("key")
        del store
    gc.collect()


async def test_a_connection_that_a_fork_has_inherited_is_let_go_of(path, monkeypatch):
    async with stores.sqlite(path) as store:
        await store.set("key", b"value")
        inherited = store._worker
        monkeypatch.setattr(os, "getpid", lambda: -1)
        assert await store.get("key") == b"value"
        assert store._worker is not inherited
        assert inherited._connection is None

        store._worker._busy = True
        monkeypatch.setattr(os, "getpid", lambda: -2)
        with pytest.raises(StoreError, match="was in use when this process was forked off"):
            await store.get("key")


def test_where_there_can_be_no_write_ahead_log_it_is_said_so(path):
    use_log, later = _tables._use_write_ahead_log, time.monotonic() + 60
    with (
        closing(sqlite3.connect(":memory:")) as connection,
        pytest.raises(sqlite3.OperationalError, match="allows no write-ahead log"),
    ):
        use_log(connection, later)
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as other,
        closing(sqlite3.connect(path, timeout=0)) as connection,
    ):
        other.execute("BEGIN EXCLUSIVE")
        other.execute("CREATE TABLE a (b)")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            use_log(connection, 0.0)
