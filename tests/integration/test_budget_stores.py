"""budget() over each backend, and over several processes, some of which are killed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest

from scallion import build_pipeline, stores
from scallion.exceptions import BudgetExceededError
from scallion.middlewares import budget
from scallion.stores import Window
from scallion.testing import ScriptedProvider
from scallion.types import ModelResponse, Usage
from support.budget_worker import prices
from support.chunks import answer
from support.stores import backend, valkey
from support.valkey import Valkey

__all__ = ["backend", "valkey"]

pytestmark = pytest.mark.integration

TESTS = Path(__file__).parents[1]
WORST = Decimal("0.00039")


@pytest.fixture(params=["sqlite", "redis"])
def shared(request, tmp_path):
    """The name of a backend that processes can share, and a place without data."""
    if request.param == "sqlite":
        yield "sqlite", str(tmp_path / "budget.db")
    else:
        with Valkey() as server:
            yield "redis", server.url


def start(role, shared, *arguments):
    command = [sys.executable, "-W", "error", str(TESTS / "support" / "budget_worker.py")]
    return subprocess.Popen(
        [*command, role, *shared, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )


def admitted(workers):
    found = []
    for worker in workers:
        output, _ = worker.communicate(timeout=120)
        assert worker.returncode == 0
        found.append(int(output))
    return sum(found)


def used(tokens: int) -> ModelResponse:
    usage = Usage(prompt_tokens=5, completion_tokens=tokens, total_tokens=5 + tokens)
    return answer("Hi", usage=usage, model="m")


def pipeline(limit, *script):
    return build_pipeline([limit], provider=ScriptedProvider(*script), model="m")


async def left(shared, usd):
    """What remains of the budget, seen from yet another process's store."""
    async with getattr(stores, shared[0])(shared[1]) as store:
        return (await budget(usd=usd, store=store, prices=prices()).remaining()).usd


async def test_two_calls_of_four_processes_are_admitted(shared):
    usd = Decimal("0.001")
    assert admitted([start("spend", shared, usd, 50, 39) for _ in range(4)]) == 2
    assert await left(shared, usd) == usd - 2 * WORST


async def test_four_processes_spend_a_cap_down_to_less_than_one_call(shared):
    # What a call has not used is the others' to spend, so more are admitted than fit at once; and
    # nobody is refused as long as its worst case fits.
    usd = Decimal("0.02")
    calls = admitted([start("spend", shared, usd, 150, 10) for _ in range(4)])
    remains = await left(shared, usd)
    assert remains == usd - calls * Decimal("0.0001") >= 0
    assert calls >= usd // WORST


async def test_what_a_killed_process_had_reserved_comes_back(shared):
    usd = Decimal("0.0004")
    worker = start("die", shared, usd, 3)
    try:
        assert worker.stdout.readline() == "sent\n"
        worker.kill()
        async with getattr(stores, shared[0])(shared[1]) as store:
            limit = budget(usd=usd, store=store, prices=prices())
            llm = pipeline(limit, used(39))
            with pytest.raises(BudgetExceededError) as caught:
                await llm.complete("hi", max_tokens=39)
            assert (caught.value.spent, caught.value.reserved) == (0, WORST)
            deadline = time.monotonic() + 20
            while (await limit.remaining()).usd < WORST:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
            await llm.complete("hi", max_tokens=39)
            assert (await limit.remaining()).usd == usd - WORST
    finally:
        worker.kill()
        worker.wait()
        worker.stdout.close()


@pytest.mark.parametrize("window", [Window(60), Window(60, sliding=True)], ids=["fixed", "sliding"])
async def test_a_window_holds_and_resets_on_each_backend(backend, window):
    usd = Decimal("0.0008")
    async with backend.store() as store:
        limit = budget(usd=usd, window=window, store=store, prices=prices())
        llm = pipeline(limit, used(39), used(39), used(39))
        for _ in range(2):
            await llm.complete("hi", max_tokens=39)
        with pytest.raises(BudgetExceededError) as caught:
            await llm.complete("hi", max_tokens=39)
        assert caught.value.spent == 2 * WORST
        backend.pass_time(caught.value.resets_at - backend.clock.time())
        await llm.complete("hi", max_tokens=39)
        assert (await limit.remaining()).usd == usd - WORST


async def test_keys_of_each_backend_are_apart(backend):
    async with backend.store() as store:
        limit = budget(
            usd=WORST, per=lambda request: request.context.metadata["team"], store=store,
            prices=prices(),
        )  # fmt: skip
        llm = pipeline(limit, used(39), used(20))
        await llm.complete("hi", max_tokens=39, metadata={"team": "a"})
        await llm.complete("hi", max_tokens=39, metadata={"team": "b"})
        with pytest.raises(BudgetExceededError, match="'a'"):
            await llm.complete("hi", max_tokens=39, metadata={"team": "a"})
        assert (await limit.remaining("a")).usd == 0
        assert (await limit.remaining("b")).usd == WORST - Decimal("0.0002")


async def test_warnings_come_from_each_backend_when_a_call_is_settled(backend):
    heard = []
    async with backend.store() as store:
        limit = budget(
            usd=3 * WORST, store=store, prices=prices(), warn_at=(0.5, 0.9),
            on_warning=lambda key, fraction: heard.append((key, fraction)),
        )  # fmt: skip
        llm = pipeline(limit, *[used(39)] * 3)
        for _ in range(3):
            await llm.complete("hi", max_tokens=39)
            await limit.remaining()
    assert heard == [("pipeline", 0.5), ("pipeline", 0.9)]
