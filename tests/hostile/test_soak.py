"""Half an hour of everything at once, in seconds: nothing leaks, nothing is lost, the books agree.

Time passes faster, in the pipelines' clock alone; sockets, tasks and the server are real. With
`SCALLION_HOSTILE=N` it lasts N times as long.
"""

import asyncio
import gc
import itertools
import random
import time
import tracemalloc
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from hostile.effort import EFFORT
from hostile.weather import FastClock, Weather

from scallion import Pipeline, build_pipeline
from scallion.exceptions import LLMClientError
from scallion.middlewares import (
    JsonlSink,
    Ledger,
    RetryBudget,
    Target,
    audit,
    budget,
    cache,
    cost,
    fallback,
    log,
    retry,
    timeout,
)
from scallion.middlewares._audit_verify import verify
from scallion.providers import auto
from scallion.stores import memory
from support.upstream import Upstream

MINUTES = 30
SECONDS = 14 * EFFORT
WORKERS = 24
MODELS = ["gpt-4o", "claude-sonnet-4-5", "openrouter/meta-llama/llama-3.3-70b-instruct"]


class Counting:
    """A logger that keeps no more than counts."""

    def __init__(self):
        self.said = Counter()

    def _say(self, event, **fields):
        self.said[event] += 1

    debug = info = warning = error = _say


class Books:
    """What became of every attempt, by its tag."""

    def __init__(self):
        self.begun = itertools.count()
        self.ended = {}

    async def tagging(self, request, call_next):
        """The innermost layer: marks each request that is sent, and waits for its attempt's end."""
        if isinstance(request.provider, Pipeline):
            return await call_next(request)  # which has such a layer of its own
        tag = f"a{next(self.begun)}"

        async def watch(request):
            def note(attempt):
                assert tag not in self.ended, "an attempt ended twice"
                self.ended[tag] = None if attempt is None else _facts(attempt)

            return note

        headers = {**(request.params.get("extra_headers") or {}), "x-attempt": tag}
        request = request.replace(params={**request.params, "extra_headers": headers})
        return await call_next(request.guard_attempts(object(), watch))


def _facts(attempt):
    usage = attempt.usage
    counted = None if usage is None else (usage.prompt_tokens, usage.completion_tokens)
    return attempt.status, attempt.exact, counted, attempt.request_id


class Soak:
    """The pipelines, what they share, and those who call them."""

    def __init__(self, folder, clock, seed):
        self.clock, self.books, self.ledger = clock, Books(), Ledger(max_entries=10**7)
        self.log, self.audit_path = Counting(), folder / "audit.jsonl"
        self.kept, self.account = memory(maxsize=200), memory()
        self.provider, self.outcomes = auto(), Counter()
        self.budgets = []
        self._random = random.Random(seed)
        sink = JsonlSink(self.audit_path, chain=True, fsync="never")
        self.audits = [audit(sink) for _ in range(3)]
        shared = RetryBudget(ratio=0.5, burst=200)
        self.pipelines = [
            self._build(
                0, self._outer(0), [fallback(MODELS[1:], stream="restart"), retry(budget=shared)]
            ),
            self._build(
                1, self._outer(1, cached=False), [retry(attempts=2), fallback([MODELS[2]])]
            ),
        ]
        inner = self._build(None, [], [retry(attempts=2, wait_initial=0.1)])
        chain = [fallback([Target(MODELS[1], params={"max_tokens": 50}), inner])]
        self.pipelines.append(self._build(2, self._outer(2), chain))

    def _outer(self, number, *, cached=True):
        spending = budget(
            tokens=10**12, usd=10**6, per="tenant", store=self.account, max_output_tokens=500,
            name=f"b{number}", unknown_price="allow", warn_at=[0.5], on_warning=print,
        )  # fmt: skip
        self.budgets.append(spending)
        layers = [log(self.log), self.audits[number], cost(self.ledger)]
        if cached:
            layers.append(cache(self.kept, ttl=600, namespace=str(number)))
        limits = timeout(total=600, first_token=150, inter_chunk=100)
        return [*layers, spending, limits]

    def _build(self, number, outer, chain):
        model = MODELS[0] if number is None else MODELS[number]
        return build_pipeline(
            [*outer, *chain, self.books.tagging] if number is not None else [*chain, self.books.tagging],
            provider=self.provider, model=model, clock=self.clock, order="off",
        )  # fmt: skip

    async def warm_up(self):
        """Import the SDKs, which takes many of our minutes."""
        for model in MODELS:
            with suppress(LLMClientError):
                await self.pipelines[1].complete("Hi", model=model)

    async def work(self, number, until):
        """One caller after the other, each in its own manner."""
        draw = random.Random(number)
        manners = [self.whole] * 4 + [self.streamed] * 4 + [
            self.left, self.dropped, self.unread, self.cancelled, self.cancelled, self.late,
        ]  # fmt: skip
        while time.monotonic() < until:
            llm = draw.choice(self.pipelines)
            arguments = {
                "tenant": f"t{draw.randrange(3)}",
                "metadata": {"worker": number},
                "temperature": draw.choice([0, 0, 0.5]),
            }
            question = draw.choice([f"question {draw.randrange(30)}", f"question {draw.random()}"])
            manner = draw.choice(manners)
            try:
                ended = await manner(llm, question, arguments, draw)
            except LLMClientError as failure:
                ended = type(failure).__name__
            self.outcomes[ended] += 1

    async def whole(self, llm, question, arguments, draw):
        answer = await llm.complete(question, **arguments)
        assert answer.choices[0].finish_reason
        return "hit" if answer.cached else "whole"

    async def streamed(self, llm, question, arguments, draw):
        async with llm.stream(question, **arguments) as stream:
            async for _ in stream:
                if draw.random() < 0.01:
                    await asyncio.sleep(0.01)  # a slow reader
        assert stream.result.choices[0].finish_reason
        return "streamed"

    async def left(self, llm, question, arguments, draw):
        async with llm.stream(question, **arguments) as stream:
            async for _ in stream:
                break
        return "left"

    async def dropped(self, llm, question, arguments, draw):
        async for _ in llm.stream(question, **arguments):
            break
        return "dropped"

    async def unread(self, llm, question, arguments, draw):
        stream = llm.stream(question, **arguments)
        if draw.random() < 0.5:
            return "never asked"
        async with stream:
            await asyncio.sleep(0)
        return "never read"

    async def cancelled(self, llm, question, arguments, draw):
        call = self.streamed if draw.random() < 0.5 else self.whole
        task = asyncio.ensure_future(call(llm, question, arguments, draw))
        await asyncio.wait([task], timeout=draw.random() * draw.choice([0.005, 0.05, 0.3]))
        ours = task.cancel()
        try:
            return await task
        except asyncio.CancelledError:
            assert ours
            return "cancelled"

    async def late(self, llm, question, arguments, draw):
        soon = self.clock.now() + draw.random() * 20
        answer = await llm.complete(question, deadline=soon, **arguments)
        return "in time" if answer.choices else "nothing"


@pytest.fixture
def addresses(monkeypatch):
    """Set when the port is known."""

    def point(url):
        for name, path in (("openai", "/v1"), ("anthropic", ""), ("openrouter", "/api/v1")):
            monkeypatch.setenv(f"{name.upper()}_API_KEY", "sk-test")
            monkeypatch.setenv(f"{name.upper()}_BASE_URL", f"{url}/{name}{path}")

    return point


def descriptors():
    return len(list(Path("/dev/fd").iterdir()))


def timers():
    """Those that still mean to fire."""
    return [timer for timer in asyncio.get_running_loop()._scheduled if not timer.cancelled()]


async def quiet():
    """Let what is under way end."""
    for _ in range(3):
        gc.collect()
        for _ in range(20):
            await asyncio.sleep(0)


def where(task):
    """What a task waits in, from the outermost function to the innermost."""
    found, at = [], task.get_coro()
    while at is not None:
        frame = getattr(at, "cr_frame", None) or getattr(at, "ag_frame", None)
        if frame is not None:
            found.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}")
        at = getattr(at, "cr_await", None) or getattr(at, "ag_await", None)
    return found


async def run(soak, seconds):
    until = time.monotonic() + seconds
    workers = [asyncio.create_task(soak.work(n, until)) for n in range(WORKERS)]
    done, pending = await asyncio.wait(workers, timeout=seconds + 15)
    assert not pending, f"a call hangs: {[where(task) for task in pending]}"
    for worker in done:
        worker.result()
    await quiet()


def check_books(soak, weather):
    """Every request that the server heard ended as one attempt, and was counted as it counted."""
    ended, told = soak.books.ended, weather.books
    assert all(len(said) == 1 for said in told.values()), "a request was sent twice"
    assert told.keys() <= ended.keys(), "an attempt never ended"
    exact = {tag: facts for tag, facts in ended.items() if facts is not None and facts[1]}
    for tag, (status, _, usage, request_id) in exact.items():
        (said,) = told[tag]
        assert (status, request_id, usage, said.whole) == ("completed", tag, said.usage, True), said
    # The ledger has one entry for each attempt, and the very tokens of those that the server billed.
    entries = [entry for entry in soak.ledger.entries if entry.status != "cached"]
    assert len(entries) == len([facts for facts in ended.values() if facts is not None])
    billed = Counter()
    for entry in entries:
        if entry.exact and entry.usage is not None:  # a rejection is exact, and has none
            billed += Counter(
                prompt=entry.usage.prompt_tokens, completion=entry.usage.completion_tokens
            )
    usages = [told[tag][0].usage for tag in exact if tag in told]
    assert billed["prompt"] == sum(usage[0] for usage in usages)
    assert billed["completion"] == sum(usage[1] for usage in usages)
    # Whatever the server answered in full, and the client did not leave, is among them.
    for tag, (said,) in told.items():
        facts = ended[tag]
        assert facts is not None
        if said.whole and facts[0] == "completed":
            assert facts[1], (said, facts)
    assert sum(entry.cost for entry in entries if entry.cost is not None) == soak.ledger.total
    return entries


async def check_budgets(soak, entries):
    """Nothing is still reserved, and as much is spent as the ledger says."""
    spent = 0
    for number in range(len(soak.budgets)):
        for tenant in range(3):
            for unit in ("tokens", "usd"):
                now = await soak.account.balance(f"b{number}:{unit}:t{tenant}")
                assert now.reserved == 0
                spent += now.spent if unit == "tokens" else 0
    used = [entry.usage for entry in entries if entry.usage is not None]
    assert spent == sum(usage.prompt_tokens + usage.completion_tokens for usage in used)


async def test_half_an_hour_of_bad_weather_leaves_nothing_behind(tmp_path, addresses):
    clock = FastClock(MINUTES * 60 / SECONDS)
    began = clock.now()
    weather = Weather(1, lambda: (clock.now() - began) / 60)
    tasks, files = asyncio.all_tasks(), descriptors()
    async with Upstream(default=weather) as server:
        addresses(server.url)
        soak = Soak(tmp_path, clock, seed=1)
        await run(soak, SECONDS / 8)  # fills pools, caches and free lists
        server.requests.clear()
        tracemalloc.start()
        try:
            await run(soak, SECONDS * 7 / 8)
            requests = len(weather.books)
            entries = check_books(soak, weather)
            print(f"{requests} requests, {dict(soak.outcomes)}, {weather.kinds}")
            assert set(soak.outcomes) >= {"whole", "hit", "streamed", "left", "cancelled"}
            for llm in soak.pipelines:
                await llm.aclose()
            await soak.provider.aclose()
            await check_budgets(soak, entries)
            assert soak.kept._leases == {}
            await server.all_closed(within=10)
            await quiet()
            assert asyncio.all_tasks() == tasks
            assert timers() == []
            verdict = verify(soak.audit_path)
            assert (verdict.problems, sum(layer.lost for layer in soak.audits)) == ([], 0)
            assert soak.log.said["call started"] == soak.log.said["call settled"]
            assert weather.kinds.keys() >= {"stall", "cut", "429", "huge", "loris", "in-band"}
            del soak, entries, llm
            weather.books.clear()
            server.requests.clear()
            await quiet()
            held, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert held < 3 * 2**20
        assert peak < 200 * 2**20
    await quiet()
    assert asyncio.all_tasks() == tasks
    assert descriptors() <= files
    assert requests > 25 * SECONDS
