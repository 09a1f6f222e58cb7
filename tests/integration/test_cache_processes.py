"""Equal calls of several processes are one call, whatever becomes of the process that makes it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from support.cache_worker import LEASE
from support.upstream import PAUSE, Reply, Upstream, completion
from support.valkey import Valkey

pytestmark = pytest.mark.integration

WORKER = Path(__file__).parents[1] / "support" / "cache_worker.py"


@pytest.fixture(params=["sqlite", "redis"])
def shared(request, tmp_path):
    """The name of a backend that processes can share, and a place without data."""
    if request.param == "sqlite":
        yield "sqlite", str(tmp_path / "store.db")
    else:
        with Valkey() as server:
            yield "redis", server.url


@pytest.fixture
def upstream():
    with Upstream(default=completion("Hi", model="gpt-4o")) as upstream:
        yield upstream


class Workers:
    """Processes that are ended in any case."""

    def __init__(self, shared, upstream):
        self._shared = shared
        self._url = upstream.url
        self.processes = []

    def start(self, calls, question="Why?"):
        command = [sys.executable, "-W", "error", str(WORKER), *self._shared, self._url]
        worker = subprocess.Popen(
            [*command, str(calls), question], stdout=subprocess.PIPE, text=True
        )
        self.processes.append(worker)
        return worker

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        for worker in self.processes:
            worker.kill()
            worker.wait()
            worker.stdout.close()


def answers(worker):
    output, _ = worker.communicate(timeout=60)
    assert worker.returncode == 0
    return output.replace("asking\n", "").split()


def held():
    """A reply that comes when the test says so."""
    gate = threading.Event()
    reply = completion("Hi", model="gpt-4o")
    return gate, Reply(headers=reply.headers, chunks=[PAUSE(gate), reply.body], framing="chunked")


def test_equal_calls_of_four_processes_are_one(shared, upstream):
    gate, reply = held()
    upstream.enqueue(reply)
    with Workers(shared, upstream) as workers:
        for _ in range(4):
            workers.start(20)
        for worker in workers.processes:
            assert worker.stdout.readline() == "asking\n"
        upstream.run(upstream.received(1, within=30))
        gate.set()
        assert [answers(worker) for worker in workers.processes] == [["Hi"] * 20] * 4
    assert upstream.count == 1


def test_the_others_take_over_from_a_leader_that_is_killed(shared, upstream):
    gate, reply = held()
    upstream.enqueue(reply)
    with Workers(shared, upstream) as workers:
        leader = workers.start(20)
        upstream.run(upstream.received(1, within=30))  # it leads, and its answer does not come
        followers = [workers.start(20) for _ in range(3)]
        for worker in followers:
            assert worker.stdout.readline() == "asking\n"
        time.sleep(LEASE * 1.5)  # the lease would be over, had it not been renewed
        assert upstream.count == 1

        leader.kill()
        began = time.monotonic()
        assert [answers(worker) for worker in followers] == [["Hi"] * 20] * 3
        assert time.monotonic() - began < 20
        gate.set()
    assert upstream.count == 2  # one of the three asked, and only once
