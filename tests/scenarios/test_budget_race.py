"""Scenario 6: calls at the same time never spend the same money, whichever provider and way."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from scallion.costs import PriceTable
from scallion.exceptions import AllModelsFailedError, BudgetExceededError, ServerError
from scallion.middlewares import budget, cost, fallback, retry
from scallion.stores import Window, memory
from support.upstream import DISCONNECT, error
from support.world import MODELS, Mode

# 39 tokens of output at $10 per million and a free prompt: the worst case of a call is $0.00039.
CALL = {"max_tokens": 39}
CAP, WORST = Decimal("0.001"), Decimal("0.00039")


@pytest.fixture
def prices():
    table = PriceTable()
    for model in MODELS.values():
        table.register(model, input=0, output=10)
    return table


def good(mode, provider, text="Hi", **fields):
    """The answer of the model that was asked."""
    model = MODELS[provider].removeprefix("openrouter/")
    return mode.good(provider, text, model=model, **fields)


def held_back(mode, provider, gate, **fields):
    """A step that answers once the gate is open."""

    async def answer(request):
        await gate.wait()
        return good(mode, provider, **fields)

    return answer


async def race(world, mode, llm, provider, gate, calls, **params):
    """The results of so many calls at once; none is answered before all were admitted or refused."""
    tasks = [asyncio.create_task(mode.ask(llm, **CALL, **params)) for _ in range(calls)]
    while not any(task.done() for task in tasks):
        await world.turns()
    await world.turns(5)
    gate.set()
    return await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("calls", [50, 1_000])
async def test_two_of_many_are_admitted_and_nothing_of_the_others_is_sent(
    world, mode, provider, prices, calls
):
    gate = asyncio.Event()
    world.says(**{provider: held_back(mode, provider, gate, usage=(5, 10))})
    limit = budget(usd=CAP, prices=prices)
    llm = world.pipeline(limit, first=provider)
    results = await race(world, mode, llm, provider, gate, calls)

    refused = [result for result in results if isinstance(result, BudgetExceededError)]
    assert (len(results) - len(refused), world.upstream.count) == (2, 2)
    for each in refused:
        assert (each.limit, each.spent, each.reserved, each.asked) == (CAP, 0, 2 * WORST, WORST)
    # Settlement has given the difference back: 10 of 39 tokens were used.
    assert await limit.remaining() == (CAP - 2 * Decimal("0.0001"), None)
    await mode.ask(llm, **CALL)
    await mode.ask(llm, **CALL)
    assert world.upstream.count == 4


async def test_each_tenant_and_each_model_has_a_cap_of_its_own(world, mode, prices):
    gate = asyncio.Event()
    world.says(**{name: held_back(mode, name, gate, usage=(5, 39)) for name in MODELS})
    by_tenant = world.pipeline(budget(usd=CAP, per="tenant", prices=prices))
    by_model = world.pipeline(budget(usd=CAP, per="model", prices=prices))
    tasks = [
        asyncio.create_task(mode.ask(llm, **CALL, **labels))
        for llm, labels in [
            *[(by_tenant, {"tenant": tenant}) for tenant in "abc" for _ in range(10)],
            *[(by_model, {"model": model}) for model in MODELS.values() for _ in range(10)],
        ]
    ]
    await world.turns(5)
    gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)

    admitted = [not isinstance(result, BudgetExceededError) for result in results]
    assert [sum(admitted[at : at + 10]) for at in range(0, 60, 10)] == [2] * 6
    assert world.upstream.count == 12


async def test_a_dearer_fallback_target_is_reserved_for_again(world, mode, prices):
    prices.register(MODELS["anthropic"], input=0, output=100)
    world.says(openai=error(500), anthropic=good(mode, "anthropic", usage=(5, 10)))
    short = world.pipeline(budget(usd=CAP, prices=prices), fallback([MODELS["anthropic"]]))
    with pytest.raises(AllModelsFailedError) as caught:
        await mode.ask(short, **CALL)
    first, second = caught.value.errors
    assert isinstance(first, ServerError)
    assert isinstance(second, BudgetExceededError)
    assert second.asked == 10 * WORST
    assert world.counts() == {"openai": 1}

    enough = budget(usd=10 * WORST, prices=prices)
    assert (await mode.ask(world.pipeline(enough, fallback([MODELS["anthropic"]])), **CALL)).text
    assert await enough.remaining() == (10 * WORST - Decimal("0.001"), None)


@pytest.mark.parametrize(
    ("step", "spent"),
    [
        (error(429), 0),
        (error(500), 0),
        (DISCONNECT, 0),
        ("whole", 10),
    ],
    ids=["429", "500", "disconnect", "whole"],
)
async def test_whichever_way_a_call_ends_nothing_stays_reserved(
    world, mode, provider, prices, step, spent
):
    world.says(**{provider: good(mode, provider, usage=(5, 10)) if step == "whole" else step})
    limit = budget(usd=CAP, prices=prices)
    with_retry = world.pipeline(limit, retry(attempts=2), first=provider)
    await asyncio.gather(mode.ask(with_retry, **CALL), return_exceptions=True)
    left = await limit.remaining()
    assert left.usd == CAP - spent * Decimal("0.00001")


async def test_a_stream_that_breaks_or_is_left_is_settled_by_what_arrived(world, prices, provider):
    mode = Mode("stream")
    for leave in (False, True):
        world.says(**{provider: good(mode, provider, "one two three", hang=True)})
        limit, books = budget(usd=CAP, prices=prices), cost(prices=prices)
        async with world.pipeline(books, limit, first=provider).stream("hi", **CALL) as stream:
            async for _ in stream:
                break
            if not leave:
                reading = asyncio.create_task(stream.collect())
                await world.turns()
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
        left = await limit.remaining()
        assert 0 < CAP - left.usd < WORST
        assert CAP - left.usd == books.total
        assert not books.entries[0].exact


@pytest.mark.parametrize("window", [Window(60), Window(60, sliding=True)])
async def test_a_window_gives_money_back_when_it_has_passed(world, mode, prices, window):
    world.says(openai=good(mode, "openai", usage=(5, 39)))
    limit = budget(usd=CAP, window=window, store=memory(clock=world.clock), prices=prices)
    llm = world.pipeline(limit)
    for _ in range(2):
        await mode.ask(llm, **CALL)
    with pytest.raises(BudgetExceededError) as caught:
        await mode.ask(llm, **CALL)
    assert caught.value.spent == 2 * WORST
    assert 0 < caught.value.resets_at - world.clock.time() <= 61
    await world.clock.sleep(caught.value.resets_at - world.clock.time())
    await mode.ask(llm, **CALL)


async def test_the_reservation_of_a_call_that_never_ends_expires(world, prices):
    mode = Mode("stream")
    world.says(openai=good(mode, "openai", hang=True))
    limit = budget(usd=WORST, hold=30, store=memory(clock=world.clock), prices=prices)
    llm = world.pipeline(limit)
    async with llm.stream("hi", **CALL) as lost:
        await anext(lost)
        with pytest.raises(BudgetExceededError):
            await mode.ask(llm, **CALL)
        await world.clock.sleep(31)
        world.says(openai=good(mode, "openai", usage=(5, 39)))
        await mode.ask(llm, **CALL)
    # Its owner was only slow: what it used is spent all the same.
    assert (await limit.remaining()).usd == 0
