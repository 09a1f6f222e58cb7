"""The soak of `tests/hostile` against llmock: a server that is not ours, its chaos and its journal.

With `SCALLION_HOSTILE=N` there are N rounds.
"""

import asyncio
from functools import partial
from itertools import cycle

import pytest
from hostile.effort import EFFORT
from hostile.soak import ENDINGS, Soak, Traced, descriptors, quiet, timers
from hostile.weather import FastClock

from scallion.types import text_of
from support.llmock import LLMock
from support.server_process import running, until

pytestmark = pytest.mark.integration

SECONDS = 9
ROUNDS = max(1, round(EFFORT))
FACTOR = 100.0  # a quarter of an hour passes in each round
HANGS = 2.0  # seconds of the server's own time: longer than all that the pipelines wait

BIG = f"{'x' * 50_000} " * 10
# What happens to the next requests that it fits, so many of them: a storm hits everybody until it is
# over.
WEATHERS = {
    "storm": [
        {"type": "fail", "status": 429, "retry_after": 1, "times": 20},
        {"type": "fail", "status": 429, "retry_after": 90, "times": 3},
        {"type": "fail", "status": 529, "times": 5},
    ],
    "brown-out": [
        {"type": "delay", "seconds": 0.1, "times": 20},
        {"type": "fail", "status": 503, "times": 5, "match": {"stream": False}},
        {"type": "fail", "status": 500, "times": 5, "match": {"stream": True}},
    ],
    "cuts": [
        {"type": "stream_fault", "kind": "disconnect", "after_chunks": 0, "times": 2},
        {"type": "stream_fault", "kind": "disconnect", "after_chunks": 4, "times": 5},
        {"type": "stream_fault", "kind": "truncate", "after_chunks": 4, "times": 5},
    ],
    "stalls": [
        {"type": "stream_fault", "kind": "stall", "after_chunks": 4, "stall_seconds": HANGS, "times": 6},
    ],
    "silence": [{"type": "slow_first_token", "seconds": HANGS, "times": 4}],
    "deafness": [{"type": "delay", "seconds": HANGS, "times": 4}],
    "nonsense": [
        {"type": "stream_fault", "kind": "malformed", "after_chunks": 1, "times": 3},
        {"type": "stream_fault", "kind": "malformed", "after_chunks": 4, "times": 5},
        {"type": "fail", "status": 400, "times": 2},
    ],
    # A millisecond passes between two chunks of every stream, so these trickle.
    "loris": [{"type": "reply", "text": "word " * 100, "times": 8, "match": {"stream": True}}],
    "floods": [{"type": "reply", "text": BIG, "times": 8}],
}  # fmt: skip
NAMED = {
    "scenario:429", "scenario:529", "scenario:503", "scenario:500", "stream:disconnect@4",
    "stream:truncate@4", "stream:stall@4", "stream:malformed@4",
}  # fmt: skip


@pytest.fixture
def mock(request, monkeypatch):
    """One of its own, whose streams trickle."""
    monkeypatch.setenv("LLMOCK_STREAM_CHUNK_DELAY_MS", "1")
    yield from running(LLMock, request)


@pytest.fixture(autouse=True)
def addresses(mock, monkeypatch):
    for name, path in (("openai", "/v1"), ("anthropic", "/anthropic"), ("openrouter", "/v1")):
        monkeypatch.setenv(f"{name.upper()}_API_KEY", "sk-test")
        monkeypatch.setenv(f"{name.upper()}_BASE_URL", f"{mock.url}{path}")


class Chaos:
    """One weather after the other, each until it has passed.

    Attributes:
        passed: How many have.
    """

    def __init__(self, mock):
        self.passed = 0
        self._mock = mock

    async def __aenter__(self):
        self._task = asyncio.create_task(self._change())
        return self

    async def __aexit__(self, *exc_info):
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._call("DELETE")

    async def _change(self):
        for behaviors in cycle(WEATHERS.values()):
            await self._call("POST", {"behaviors": behaviors})
            while (await self._call("GET"))["pending"]:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.1)
            self.passed += 1

    async def _call(self, method, body=None):
        return await asyncio.to_thread(self._mock.call, method, "/_llmock/scenario", body)


def check_books(soak, journal):
    """Every request in the server's journal ended as one attempt, as the server says it did."""
    told = {record["body"]["attempt"]: record for record in journal}
    assert len(told) == len(journal), "a request was sent twice"
    assert not any(record["sdk_retry_count"] for record in journal)
    ended = soak.books.ended
    for tag, record in told.items():
        facts = ended[tag]
        if record["status"] != 200:
            assert facts.status != "completed", (record, facts)
        elif facts.status == "completed":
            assert facts.exact or facts.usage is None, (record, facts)
            # A stall is over when the provider says so, if nobody minds waiting.
            assert (record["fault"] or "stream:stall").startswith("stream:stall"), (record, facts)
    done = {tag for tag, facts in ended.items() if facts is not None and facts.exact}
    assert done <= told.keys()
    return soak.check_ledger({tag: usage(record, ended[tag]) for tag, record in told.items()})


def usage(record, facts):
    """As llmock counts, from what it was asked and, for the answer, from its length: 4 to a token."""
    prompt = sum(len(text_of(message["content"])) // 4 for message in record["body"]["messages"])
    return prompt, max(1, facts.length // 4)


def is_enough(outcomes, chaos):
    return chaos.passed >= len(WEATHERS) and outcomes.keys() >= ENDINGS


async def test_a_quarter_of_an_hour_of_chaos_leaves_nothing_behind(tmp_path, mock):
    clock = FastClock(FACTOR)
    tasks, files = asyncio.all_tasks(), descriptors()
    soak = Soak(tmp_path, clock)
    await soak.warm_up()
    await soak.run(1.0)  # fills pools and free lists
    for llm in soak.pipelines:
        await llm.aclose()
    del soak, llm
    for number in range(ROUNDS):
        await one_round(tmp_path / f"{number}", mock, clock, tasks)
    await quiet()
    assert descriptors() <= files + 1  # of the standard library's threads


async def one_round(folder, mock, clock, tasks):
    folder.mkdir()
    mock.forget()
    with Traced() as memory:
        soak = Soak(folder, clock)
        async with Chaos(mock) as chaos:
            await soak.run(SECONDS, partial(is_enough, soak.outcomes, chaos))
        journal = await asyncio.to_thread(mock.requests)  # which waits for what still hangs
        entries = check_books(soak, journal)
        print(f"{len(journal)} requests, {dict(soak.outcomes)}")
        assert soak.outcomes.keys() >= ENDINGS
        assert {record["fault"] for record in journal} >= NAMED
        assert any(record["chunks_sent"] > 50 for record in journal)
        await soak.end(entries)
        await until(lambda: mock.connections() == 0, "every connection is closed")
        await quiet()
        assert asyncio.all_tasks() == tasks
        assert timers() == []
        del soak, entries, journal
        await quiet()
    print(memory.held, memory.peak)
    assert memory.held < 2 * 2**20
    assert memory.peak < 200 * 2**20
