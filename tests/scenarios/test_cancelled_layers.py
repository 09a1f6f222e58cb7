"""Cancelled at the first await, the second, and so on: each layer over each provider leaves nothing.

Stacks of several layers are in `test_cancellation.py`. Here each stands alone, over
the real adapters and sockets, whole and streamed, and the call is cancelled both as it begins to
wait and as it is about to hear of what it waited for.
"""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from scallion import Clock
from scallion.costs import PriceTable
from scallion.middlewares import audit, budget, cache, cost, fallback, log, retry, timeout
from scallion.providers import auto
from scallion.stores import memory, sqlite
from support.cancelling import at_every_await
from support.upstream import CUT, completion_stream, message_stream
from support.world import MODELS, failure

OTHER = {"openai": "anthropic", "anthropic": "openrouter", "openrouter": "openai"}
PRICES = PriceTable()
for _model in MODELS.values():
    PRICES.register(_model.removeprefix("openrouter/"), input=1, output=10)
    PRICES.register(_model, input=1, output=10)


class Counting:
    """A logger that keeps no more than counts."""

    def __init__(self):
        self.said = Counter()

    def _say(self, event, **fields):
        self.said[event] += 1

    debug = info = warning = error = _say


class Books:
    """What one trial's layers write down, and what must have become of it."""

    def __init__(self, store):
        self.store = store
        self.asked = 0
        self.endings, self.contexts, self.records, self.log = [], [], [], Counting()
        self.ledger = self.limit = None

    async def watch(self, request, call_next):
        self.asked += 1
        self.contexts.append(request.context)
        return self._seen(await call_next(request))

    async def watch_inside(self, request, call_next):
        return self._seen(await call_next(request))

    def _seen(self, response):
        told = []
        self.endings.append(told)
        response.on_settle(lambda outcome: told.append(outcome.status))
        return response

    async def take(self, record):
        await asyncio.sleep(0)
        self.records.append(record)

    def check(self, trial, *, logs, audits):
        assert all(len(told) == 1 for told in self.endings), trial
        attempts = [attempt for context in self.contexts for attempt in context.attempts]
        assert all(attempt.latency is not None for attempt in attempts), trial
        assert all(attempt.status != "pending" for attempt in attempts), trial
        assert all(context.expired is None for context in self.contexts), trial
        if self.ledger is not None:
            booked = [entry for entry in self.ledger.entries if entry.status != "cached"]
            assert len(booked) == len(attempts), trial
        if logs:
            said = self.log.said
            assert said["call started"] == said["call settled"] == self.asked, trial
        if audits:
            # Two of one call only where it ended otherwise after its record had been taken.
            ends = [(record["id"], record["status"]) for record in self.records]
            assert {known for known, _ in ends} == {each.id for each in self.contexts}, trial
            assert len(set(ends)) == len(ends), trial

    async def check_store(self, trial, name):
        if self.limit is not None:
            for unit in ("usd", "tokens"):
                balance = await self.store.balance(f"{name}:{unit}:pipeline")
                assert balance.reserved == 0, trial
        if hasattr(self.store, "_leases"):
            assert self.store._leases == {}, trial


def limited(books, name):
    books.limit = budget(usd=1, tokens=10**6, prices=PRICES, store=books.store, name=name)
    return books.limit


def booked(books):
    books.ledger = cost(prices=PRICES)
    return books.ledger


LAYERS = {
    "nothing": lambda books, name, other: [],
    "retry": lambda books, name, other: [retry(attempts=2, wait_initial=0)],
    "fallback": lambda books, name, other: [fallback([other])],
    "restart": lambda books, name, other: [fallback([other], stream="restart")],
    "timeout": lambda books, name, other: [timeout(total=600, first_token=500, inter_chunk=400)],
    "cost": lambda books, name, other: [booked(books)],
    "budget": lambda books, name, other: [limited(books, name)],
    "cache": lambda books, name, other: [cache(books.store, namespace=name)],
    "log": lambda books, name, other: [log(books.log)],
    "audit": lambda books, name, other: [audit(books.records.append)],
    "strict audit": lambda books, name, other: [audit(books.take, strict=True)],
}


async def nothing_is_open(world, trial):
    """Without the garbage collector: no task, no connection."""
    for turn in range(400):
        # A store's thread may still be at it.
        await asyncio.sleep(0 if turn < 200 else 0.001)
        serving = {connection.task for connection in world.upstream._live}
        left = asyncio.all_tasks() - {asyncio.current_task()} - serving
        if not left and not world.upstream.open_connections:
            return
    raise AssertionError(f"{trial}: {left}, {world.upstream.open_connections} open connections")


@pytest.fixture
def clock():
    return Clock()


def script(mode, layer, provider):
    """What the providers say: to a layer that asks again, an error first."""
    good = {name: replace(mode.good(name), keep_alive=False) for name in MODELS}
    wrong = replace(failure(provider, 500), keep_alive=False)
    if layer == "retry":
        return {provider: [wrong, good[provider]]}
    if layer == "fallback":
        return {provider: wrong, OTHER[provider]: good[OTHER[provider]]}
    if layer == "restart" and mode.streams:
        stream = message_stream if provider == "anthropic" else completion_stream
        return {provider: stream("Hel", CUT), OTHER[provider]: good[OTHER[provider]]}
    return {provider: good[provider]}


async def cancelled_everywhere(world, mode, layer, provider, store, *, late, fresh=False):
    """Try every suspension of a call. How many there were."""
    books = name = None
    number = 0
    times = 2 if layer == "cache" else 1  # the second is a hit
    adapter = world.provider

    async def call():
        nonlocal books, name, number, adapter
        number += 1
        books, name = Books(store), f"{layer} {mode.name} {late} {number}"
        if fresh:
            adapter = auto()
        world.says(**script(mode, layer, provider))
        layers = LAYERS[layer](books, name, MODELS[OTHER[provider]])
        layers = [books.watch, *layers, books.watch_inside]
        llm = world.pipeline(*layers, first=provider, provider=adapter, order="off")
        for _ in range(times):
            answer = await mode.ask(llm, max_tokens=50)
        return answer.text

    async for trial in at_every_await(call, late=late):
        assert trial.error is None, trial
        assert trial.cancelled == trial.reached, trial
        if fresh:
            await adapter.aclose()
        await nothing_is_open(world, trial)
        books.check(trial, logs=layer == "log", audits="audit" in layer)
        await books.check_store(trial, name)
        if layer == "cache":  # nobody waits for a call that is no more
            again = world.pipeline(
                *LAYERS[layer](books, name, None), first=provider, provider=adapter
            )
            answer = await asyncio.wait_for(mode.ask(again, max_tokens=50), 5)
            assert answer.text == "Hi", trial
            await nothing_is_open(world, trial)
    assert trial.result == "Hi"
    return trial.at


@pytest.mark.parametrize("layer", LAYERS)
async def test_a_layer_that_is_cancelled_at_any_await_leaves_nothing(world, mode, provider, layer):
    await world.warm_up()
    for late in (False, True):
        count = await cancelled_everywhere(world, mode, layer, provider, memory(), late=late)
        assert count > 3


async def test_a_client_that_is_cancelled_as_it_is_made_leaves_nothing(world, mode, provider):
    await world.warm_up()
    for late in (False, True):
        await cancelled_everywhere(
            world, mode, "nothing", provider, memory(), late=late, fresh=True
        )


@pytest.mark.parametrize("layer", ["budget", "cache"])
async def test_a_store_of_several_processes_keeps_nothing_for_who_was_cancelled(
    world, mode, layer, tmp_path
):
    await world.warm_up()
    async with sqlite(tmp_path / "store.db") as store:
        for late in (False, True):
            count = await cancelled_everywhere(world, mode, layer, "openai", store, late=late)
            assert count > 5
