"""Several processes on one store, and processes that are killed."""

from __future__ import annotations

import asyncio
import hashlib
import pickle
import random
import sqlite3
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from scallion import stores
from scallion.stores import Balance, Claim, Refusal
from support.valkey import Valkey

pytestmark = pytest.mark.integration

WORKER = Path(__file__).parents[1] / "support" / "store_worker.py"


@pytest.fixture(params=["sqlite", "redis"])
def shared(request, tmp_path):
    """The name of a backend that processes can share, and a place without data."""
    if request.param == "sqlite":
        yield "sqlite", str(tmp_path / "folder" / "store.db")
    else:
        with Valkey() as server:
            yield "redis", server.url


def start(role, shared, *arguments):
    command = [sys.executable, "-W", "error", str(WORKER), role, *shared, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def results(workers):
    found = []
    for worker in workers:
        output, _ = worker.communicate(timeout=60)
        assert worker.returncode == 0
        found.append(int(output))
    return found


@contextmanager
def killed_in_the_end(worker):
    try:
        yield
    finally:
        worker.kill()
        worker.wait()
        worker.stdout.close()


def open_store(shared):
    return getattr(stores, shared[0])(shared[1])


async def test_four_processes_never_exceed_the_cap(shared):
    limit, calls = 300, 200
    fitted = results([start("spend", shared, limit, calls) for _ in range(4)])
    async with open_store(shared) as store:
        # Each held 2 and spent 1, so what one process gives back the next one may use, down to
        # the last that leaves room for no further 2.
        assert await store.balance("team") == Balance(sum(fitted), 0, None)
        assert sum(fitted) <= limit
        refusal = await store.reserve(Claim("team", 2, sum(fitted) + 1), ttl=60)
        assert isinstance(refusal, Refusal)


async def test_processes_make_each_value_once(shared):
    made = results([start("flight", shared, 60) for _ in range(3)])
    assert sum(made) == 60
    async with open_store(shared) as store:
        assert await store.get("key 59") == b"made"


async def test_what_a_killed_process_held_is_given_back(shared):
    worker = start("die", shared, 2)
    with killed_in_the_end(worker):
        assert worker.stdout.readline() == "held\n"
        async with open_store(shared) as store:
            claim = Claim("team", 1000, 1000)
            assert isinstance(await store.reserve(claim, ttl=60), Refusal)
            worker.kill()
            deadline = time.monotonic() + 10
            while isinstance(await store.reserve(claim, ttl=60), Refusal):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.02)


def test_killing_sqlite_at_any_moment_leaves_whole_values_and_right_sums(tmp_path):
    path = tmp_path / "store.db"
    held = settled = 0
    for round_ in range(8):
        workers = [start("churn", ("sqlite", str(path))) for _ in range(2)]
        outputs = []
        workers[0].stdout.readline()
        workers[1].stdout.readline()
        held += 2
        time.sleep(random.Random(round_).uniform(0, 0.1))
        for worker in workers:
            worker.kill()
        for worker in workers:
            with worker:
                outputs.append(worker.stdout.read())
        held += sum(output.count("held\n") for output in outputs)
        settled += sum(output.count("settled\n") for output in outputs)

        with sqlite3.connect(path) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            (total,) = connection.execute("SELECT bytes FROM total").fetchone()
            assert (total,) == connection.execute("SELECT sum(size) FROM entries").fetchone()
            for (value,) in connection.execute("SELECT value FROM entries"):
                assert hashlib.sha256(value[32:]).digest() == value[:32]
        connection.close()

        async def look() -> tuple[Balance, Balance]:
            async with stores.sqlite(path) as store:
                return await store.balance("team"), await store.balance("tenant")

        # Each process may have done one thing more than it could say.
        unsaid = 2 * (round_ + 1)
        team, tenant = asyncio.run(look())
        assert settled <= team.spent // 3 <= settled + unsaid
        assert team.spent % 3 == tenant.spent % 4 == 0
        assert team.spent // 3 == tenant.spent // 4
        assert team.reserved == tenant.reserved
        assert held - settled - unsaid <= team.reserved // 5 <= held - settled + unsaid
    assert settled > 100


FORKING = """
import asyncio, os, sys
from scallion import stores
from scallion.stores import Claim

store = stores.sqlite(sys.argv[1])

async def spend():
    for _ in range(50):
        held = await store.reserve(Claim("team", 1, 1000), ttl=60)
        await store.settle(held, 1)

asyncio.run(spend())
children = []
for _ in range(3):
    child = os.fork()
    if not child:
        asyncio.run(spend())
        asyncio.run(store.aclose())
        os._exit(0)
    children.append(child)
asyncio.run(spend())
for child in children:
    assert os.waitpid(child, 0)[1] == 0
print(asyncio.run(store.balance("team")).spent)
asyncio.run(store.aclose())
"""


def test_an_open_sqlite_store_survives_a_fork(tmp_path):
    done = subprocess.run(
        # Python 3.12 and later warn of every fork beside threads.
        [sys.executable, "-W", "ignore", "-c", FORKING, str(tmp_path / "store.db")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == "250\n"


SETTLING = """
import asyncio, pickle, sys

store, held = pickle.load(sys.stdin.buffer)

async def main():
    async with store:
        assert await store.settle(held, 4)

asyncio.run(main())
"""


def test_a_pickled_reservation_settles_in_another_process(shared):
    store = open_store(shared)

    async def hold() -> bytes:
        async with store:
            return pickle.dumps((store, await store.reserve(Claim("team", 5, 10), ttl=60)))

    async def look() -> Balance:
        async with store:
            return await store.balance("team")

    subprocess.run([sys.executable, "-c", SETTLING], input=asyncio.run(hold()), check=True)
    assert asyncio.run(look()) == Balance(4, 0, None)
