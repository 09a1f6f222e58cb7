"""Callers of every manner at three pipelines, what they share, and what must be left of it: nothing.

What answers them is up to the test: `weather.py`, or llmock. Time passes faster, in the pipelines'
clock alone; sockets, tasks and the server are real.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import random
import sys
import time
import tracemalloc
from collections import Counter
from contextlib import suppress
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from scallion import Pipeline, build_pipeline
from scallion._tokens_memory import Memory
from scallion.costs import PriceTable
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

if TYPE_CHECKING:
    from collections.abc import Callable

    from hostile.weather import FastClock

WORKERS = 24
ENDINGS = {"whole", "hit", "streamed", "left", "dropped", "cancelled", "in time", "TimeoutError"}
"""How calls end in any case. There are others, and each is an answer or one of our errors."""

MODELS = ["gpt-4o", "claude-sonnet-4-5", "openrouter/meta-llama/llama-3.3-70b-instruct"]


class Counting:
    """A logger that keeps no more than counts."""

    def __init__(self) -> None:
        self.said: Counter[str] = Counter()

    def _say(self, event: str, **fields: Any) -> None:
        self.said[event] += 1

    debug = info = warning = error = _say


class Facts(NamedTuple):
    """How an attempt ended, as the client has it."""

    status: str
    exact: bool
    usage: tuple[int, int] | None
    request_id: str | None
    length: int


class Books:
    """What became of every attempt, by its tag. `None`: it was none after all."""

    def __init__(self) -> None:
        self.begun = itertools.count()
        self.ended: dict[str, Facts | None] = {}

    async def tagging(self, request: Any, call_next: Any) -> Any:
        """The innermost layer: marks each request that is sent, and waits for its attempt's end."""
        if isinstance(request.provider, Pipeline):
            return await call_next(request)  # which has such a layer of its own
        tag = f"a{next(self.begun)}"

        async def watch(request: Any) -> Any:
            def note(attempt: Any) -> None:
                assert tag not in self.ended, "an attempt ended twice"
                self.ended[tag] = None if attempt is None else _facts(attempt)

            return note

        request = request.replace(params={**request.params, "extra_body": {"attempt": tag}})
        return await call_next(request.guard_attempts(object(), watch))


def _facts(attempt: Any) -> Facts:
    usage = attempt.usage
    counted = None if usage is None else (usage.prompt_tokens, usage.completion_tokens)
    length = 0 if attempt.response is None else len(attempt.response.text)
    return Facts(attempt.status, attempt.exact, counted, attempt.request_id, length)


class Soak:
    """The pipelines, what they share, and those who call them."""

    def __init__(self, folder: Path, clock: FastClock) -> None:
        self.clock, self.books, self.ledger = clock, Books(), Ledger(max_entries=10**7)
        self.log, self.audit_path = Counting(), folder / "audit.jsonl"
        self.kept, self.account = memory(maxsize=200), memory()
        self.provider, self.calls = auto(), 0
        self.outcomes: Counter[str] = Counter()
        self.budgets: list[Any] = []
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

    def _outer(self, number: int, *, cached: bool = True) -> list[Any]:
        spending = budget(
            tokens=10**12, usd=10**6, per="tenant", store=self.account, max_output_tokens=500,
            name=f"b{number}", unknown_price="allow", warn_at=[0.5], on_warning=print,
        )  # fmt: skip
        self.budgets.append(spending)
        layers: list[Any] = [log(self.log), self.audits[number], cost(self.ledger)]
        if cached:
            layers.append(cache(self.kept, ttl=600, namespace=str(number)))
        limits = timeout(total=600, first_token=150, inter_chunk=100)
        return [*layers, spending, limits]

    def _build(self, number: int | None, outer: list[Any], chain: list[Any]) -> Pipeline:
        return build_pipeline(
            [*outer, *chain, self.books.tagging], provider=self.provider, clock=self.clock,
            model=MODELS[number or 0], order="off",
        )  # fmt: skip

    async def warm_up(self) -> None:
        """Import the SDKs and read the tables, which takes many of our minutes."""
        for model in MODELS:
            for llm in self.pipelines:
                with suppress(LLMClientError):
                    await llm.complete("Hi", model=model, tenant="t0")
        # Importing can take longer than a lease lasts: one that has expired stays until it is swept.
        self.kept._leases.clear()

    async def run(self, seconds: float, enough: Callable[[], bool] | None = None) -> None:
        """Call for so long, and on a slow machine up to a minute longer, until it is enough."""
        began = time.monotonic()

        def goes_on() -> bool:
            took = time.monotonic() - began
            return took < seconds or (took < seconds + 60 and enough is not None and not enough())

        workers = [asyncio.create_task(self._work(n, goes_on)) for n in range(WORKERS)]
        done, pending = await asyncio.wait(workers, timeout=seconds + 75)
        assert not pending, f"a call hangs: {[where(task) for task in pending]}"
        for worker in done:
            worker.result()
        await quiet()

    async def _work(self, number: int, goes_on: Callable[[], bool]) -> None:
        """One caller after the other, each in its own manner."""
        draw = random.Random(number)
        manners = [self._whole] * 4 + [self._streamed] * 2 + [self._bare] * 2 + [
            self._left, self._dropped, self._unread, self._cancelled, self._cancelled, self._late,
        ]  # fmt: skip
        while goes_on():
            llm = draw.choice(self.pipelines)
            arguments = {
                "tenant": f"t{draw.randrange(3)}",
                "metadata": {"worker": number},
                "temperature": draw.choice([0, 0, 0.5]),
            }
            question = draw.choice([f"question {draw.randrange(30)}", f"question {draw.random()}"])
            manner = draw.choice(manners)
            self.calls += 1
            try:
                ended = await manner(llm, question, arguments, draw)
            except LLMClientError as failure:
                ended = type(failure).__name__
            self.outcomes[ended] += 1

    async def _whole(self, llm: Pipeline, question: str, arguments: Any, draw: Any) -> str:
        answer = await llm.complete(question, **arguments)
        assert answer.choices[0].finish_reason
        return "hit" if answer.cached else "whole"

    async def _streamed(self, llm: Pipeline, question: str, arguments: Any, draw: Any) -> str:
        async with llm.stream(question, **arguments) as stream:
            async for _ in stream:
                if draw.random() < 0.01:
                    await asyncio.sleep(0.01)  # a slow reader
        assert stream.result.choices[0].finish_reason
        return "streamed"

    async def _bare(self, llm: Pipeline, question: str, arguments: Any, draw: Any) -> str:
        stream = llm.stream(question, **arguments)
        if draw.random() < 0.5:
            answer = await stream.collect()
        else:
            async for _ in stream:
                pass
            answer = stream.result
        assert answer.choices[0].finish_reason
        return "streamed"

    async def _left(self, llm: Pipeline, question: str, arguments: Any, draw: Any) -> str:
        async with llm.stream(question, **arguments) as stream:
            async for _ in stream:
                break
        return "left"

    async def _dropped(self, llm: Pipeline, question: str, arguments: Any, draw: Any) -> str:
        async for _ in llm.stream(question, **arguments):
            break
        return "dropped"

    async def _unread(self, llm: Pipeline, question: str, arguments: Any, draw: Any) -> str:
        stream = llm.stream(question, **arguments)
        if draw.random() < 0.5:
            return "never asked"
        async with stream:
            await asyncio.sleep(0)
        return "never read"

    async def _cancelled(self, llm: Pipeline, question: str, arguments: Any, draw: Any) -> str:
        call = self._streamed if draw.random() < 0.5 else self._whole
        task = asyncio.ensure_future(call(llm, question, arguments, draw))
        await asyncio.wait([task], timeout=draw.random() * draw.choice([0.005, 0.05, 0.3]))
        ours = task.cancel()
        try:
            return await task
        except asyncio.CancelledError:
            assert ours
            return "cancelled"

    async def _late(self, llm: Pipeline, question: str, arguments: Any, draw: Any) -> str:
        answer = await llm.complete(question, deadline=draw.uniform(0.001, 200), **arguments)
        return "in time" if answer.choices else "nothing"

    def check_ledger(self, said: dict[str, tuple[int, int]]) -> list[Any]:
        """One entry for each attempt, and the very tokens of those that the server billed.

        Args:
            said: The usage that the server counted, by tag.
        """
        ended = self.books.ended
        assert said.keys() <= ended.keys(), "an attempt never ended"
        entries = [entry for entry in self.ledger.entries if entry.status != "cached"]
        assert len(entries) == len([facts for facts in ended.values() if facts is not None])
        billed: Counter[str] = Counter()
        for entry in entries:
            if entry.exact and entry.usage is not None:  # a rejection is exact, and has none
                billed += Counter(
                    prompt=entry.usage.prompt_tokens, completion=entry.usage.completion_tokens
                )
        exact = [tag for tag, facts in ended.items() if facts is not None and facts.exact]
        usages = [said[tag] for tag in exact if tag in said]
        assert billed["prompt"] == sum(usage[0] for usage in usages)
        assert billed["completion"] == sum(usage[1] for usage in usages)
        assert sum(entry.cost for entry in entries if entry.cost is not None) == self.ledger.total
        return entries

    async def end(self, entries: list[Any]) -> None:
        """Close everything. Nothing is held, and all calls are in the records."""
        assert sum(self.outcomes.values()) == self.calls
        self.check_state()
        for llm in self.pipelines:
            await llm.aclose()
        await self.provider.aclose()
        spent = 0
        for number in range(len(self.budgets)):
            for tenant in range(3):
                for unit in ("tokens", "usd"):
                    now = await self.account.balance(f"b{number}:{unit}:t{tenant}")
                    assert now.reserved == 0
                    spent += now.spent if unit == "tokens" else 0
        used = [entry.usage for entry in entries if entry.usage is not None]
        assert spent == sum(usage.prompt_tokens + usage.completion_tokens for usage in used)
        assert self.kept._leases == {}
        verdict = verify(self.audit_path)
        assert (verdict.problems, sum(layer.lost for layer in self.audits)) == ([], 0)
        said = self.log.said
        assert said["call started"] == said["call settled"] == verdict.records

    def check_state(self) -> None:
        """What the layers still know is what they know on purpose, and that has its bounds."""
        self.ledger._entries.clear()
        self.kept._values.clear()
        known = reachable(self.pipelines)
        assert known.total() < 1_500, known.most_common(12)


def reachable(root: object) -> Counter[str]:
    """How many objects of each type hang on `root`, up to those of the process and of SDKs."""
    seen, ahead, found = {id(root)}, [root], Counter[str]()
    while ahead:
        one = ahead.pop()
        found[type(one).__qualname__] += 1
        if isinstance(one, FunctionType):
            inner = [one.__closure__, one.__defaults__, one.__kwdefaults__]
        elif type(one).__module__.partition(".")[0] in _OURS and not isinstance(one, PriceTable):
            inner = gc.get_referents(one)
        else:
            continue
        for each in inner:
            if id(each) not in seen and not isinstance(each, (type, ModuleType, CodeType)):
                seen.add(id(each))
                ahead.append(each)
    return found


_OURS = {"builtins", "collections", "cachetools", "functools", "scallion", "weakref"}


class Traced:
    """How much memory a block still holds behind itself, and had at most, in bytes."""

    held = peak = 0

    def __enter__(self) -> Self:
        tracemalloc.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        # What is remembered on purpose, and in bounds, is no leak.
        for name, module in list(sys.modules.items()):
            for value in vars(module).values() if name.startswith("scallion.") else ():
                if isinstance(value, Memory):
                    value.clear()
        self.held, self.peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()


def descriptors() -> int:
    """How many files and sockets this process has open."""
    return len(list(Path("/dev/fd").iterdir()))


def timers() -> list[Any]:
    """Those that still mean to fire."""
    scheduled = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    return [timer for timer in scheduled if not timer.cancelled()]


async def quiet() -> None:
    """Let what is under way end."""
    for _ in range(3):
        gc.collect()
        for _ in range(20):
            await asyncio.sleep(0)


def where(task: asyncio.Task[Any]) -> list[str]:
    """What a task waits in, from the outermost function to the innermost."""
    found, at = [], task.get_coro()
    while at is not None:
        frame = getattr(at, "cr_frame", None) or getattr(at, "ag_frame", None)
        if frame is not None:
            found.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}")
        at = getattr(at, "cr_await", None) or getattr(at, "ag_await", None)
    return found
