"""Scenario 12: cancelled at every await, closed while reading, or never read: nothing stays open."""

import asyncio
import gc
from itertools import permutations

import pytest

from scallion import Clock, Response, build_pipeline
from scallion import exceptions as e
from scallion.costs import PriceTable, register_price
from scallion.middlewares import budget, cache, cost, fallback, retry, timeout
from scallion.stores import memory
from scallion.types import StreamChunk
from support.cancelling import at_every_await
from support.chunks import ROLE, STOP, USAGE, Source, answer
from support.upstream import (
    CUT,
    SILENCE,
    Reply,
    completion,
    completion_stream,
    message,
    message_stream,
    sse,
)
from support.world import MODELS, Mode, failure

STREAM, COMPLETE = Mode("stream"), Mode("complete")
OVERLOADED = sse({"type": "error", "error": {"type": "overloaded_error"}}, "error")
IN_BAND = sse({"error": {"type": "server_error", "message": "Oh"}})
ORDERS = list(permutations(["timeout", "retry", "fallback"]))


@pytest.fixture
def clock():
    return Clock()  # the limits below are too long to expire, and the waits are none


class Watch:
    """A layer that notes how often each Response that passes it ends, and does not hold it."""

    def __init__(self):
        self.endings = []
        self.contexts = {}

    async def __call__(self, request, call_next):
        self.contexts[id(request.context)] = request.context
        response = await call_next(request)
        told = []
        self.endings.append(told)
        response.on_settle(lambda outcome: told.append(outcome.status))
        return response


def stack(order, watches, **options):
    layers = {
        "timeout": timeout(total=600, first_token=500, inter_chunk=400),
        "retry": retry(attempts=2, wait_initial=0),
        "fallback": fallback([MODELS["anthropic"]], **options),
    }
    return [watches[0], *[layers[name] for name in order], watches[1]]


async def nothing_is_left(world, watches, trial):
    """What holds after every trial, without the garbage collector, and how its attempts ended."""
    for _ in range(200):
        await asyncio.sleep(0)
        serving = {connection.task for connection in world.upstream._live}
        left = asyncio.all_tasks() - {asyncio.current_task()} - serving
        # Each SDK client may keep one connection for the next call.
        if not left and world.upstream.open_connections <= 2:
            break
    assert world.upstream.open_connections <= 2, trial
    assert not left, trial
    for watch in watches:
        assert all(len(told) == 1 for told in watch.endings), trial
    (context,) = watches[0].contexts.values()
    attempts = context.attempts
    sent = sum(len(asked) for asked in world.asked.values())
    assert sent <= len(attempts) <= sent + 1, trial
    assert all(a.status in ("failed", "cancelled", "closed", "completed") for a in attempts), trial
    assert all(a.latency is not None for a in attempts), trial
    assert all(a.status == "failed" for a in attempts[:-1]), trial
    for watch in watches:
        watch.contexts.clear()
    for asked in world.asked.values():
        asked.clear()
    return [a.status for a in attempts]


async def cancel_everywhere(world, call, watches, *, late):
    """How many suspensions were tried, and how the call ends that is let alone."""
    async for trial in at_every_await(call, late=late):
        assert trial.error is None, trial
        assert trial.cancelled == trial.reached, trial
        statuses = await nothing_is_left(world, watches, trial)
    assert statuses[-1] == "completed"
    gc.collect()
    await world.turns()
    for watch in watches:
        assert all(len(told) == 1 for told in watch.endings)
    return trial


SCRIPTS = {
    ("complete", "errors"): lambda: {
        "openai": [failure("openai", 500), Reply.whole(b'{"choices":')],
        "anthropic": [failure("anthropic", 529), COMPLETE.good("anthropic")],
    },
    ("stream", "errors"): lambda: {
        "openai": [failure("openai", 500), completion_stream(IN_BAND, finish=None)],
        "anthropic": [message_stream(OVERLOADED, stop_reason=None), STREAM.good("anthropic")],
    },
    ("stream", "no streams"): lambda: {
        "openai": [completion("Hi"), Reply(headers={"content-type": "text/html"}, chunks=[b"<"])],
        "anthropic": [message("Hi"), STREAM.good("anthropic")],
    },
    ("stream", "truncated"): lambda: {
        "openai": [completion_stream(CUT), completion_stream(finish=None)],
        "anthropic": [message_stream(CUT, stop_reason=None), STREAM.good("anthropic")],
    },
}


CASES = [
    *[(order, ("stream", "errors")) for order in ORDERS],
    *[(order, ("complete", "errors")) for order in ORDERS[::3]],
    *[(ORDERS[-1], script) for script in SCRIPTS if "errors" not in script],
]


@pytest.mark.parametrize("late", [False, True], ids=["early", "late"])
@pytest.mark.parametrize(("order", "script"), CASES, ids=" ".join)
async def test_a_call_that_is_cancelled_at_any_await_leaves_nothing(world, order, script, late):
    watches = Watch(), Watch()
    llm = world.pipeline(*stack(order, watches))
    ask = Mode(script[0]).ask

    async def call():
        world.says(**SCRIPTS[script]())
        return (await ask(llm)).text

    trial = await cancel_everywhere(world, call, watches, late=late)

    assert trial.result == "Hi"
    assert trial.at > 9


@pytest.mark.parametrize("late", [False, True], ids=["early", "late"])
@pytest.mark.parametrize("order", ORDERS[::2], ids=" ".join)
async def test_a_restart_that_is_cancelled_at_any_await_leaves_nothing(world, order, late):
    watches = Watch(), Watch()
    llm = world.pipeline(*stack(order, watches, stream="restart"))
    inside = order.index("fallback") < order.index("retry")

    async def call():
        world.says(
            openai=completion_stream("Hel", IN_BAND, finish=None),
            # Where retry() stands outside, nothing asks the second target again.
            anthropic=[failure("anthropic", 500)] * inside + [STREAM.good("anthropic")],
        )
        async with llm.stream("hi") as stream:
            return [chunk.content async for chunk in stream if chunk.content]

    trial = await cancel_everywhere(world, call, watches, late=late)

    assert trial.result == ["Hel", "Hi"]


# ------------------------------------------------------------------- closed, left, never read


LAYERS = [
    timeout(total=60, first_token=50, inter_chunk=40),
    retry(),
    fallback(["claude-haiku-4-5"]),
]


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize("how", ["async with", "aclose", "dropped"])
async def test_leaving_the_loop_closes_the_socket(world, provider, how):
    world.says(**{provider: STREAM.good(provider, "Hel", hang=True)})
    watch = Watch()
    llm = world.pipeline(watch, *LAYERS, first=provider)

    async def leave():
        stream = llm.stream("hi")
        if how == "async with":
            async with stream:
                async for chunk in stream:
                    if chunk.content:
                        break
            return
        async for chunk in stream:
            if chunk.content:
                break
        if how == "aclose":
            await stream.aclose()

    await leave()

    await world.upstream.all_closed()
    (context,) = watch.contexts.values()
    status = "abandoned" if how == "dropped" else "closed"
    assert watch.endings == [[status]]
    assert [(a.status, a.response.text) for a in context.attempts] == [(status, "Hel")]


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
async def test_closing_while_a_read_is_pending_ends_the_read_and_closes_the_socket(world, provider):
    world.says(**{provider: STREAM.good(provider, "Hel", hang=True)})
    watch = Watch()
    stream = world.pipeline(watch, *LAYERS, first=provider).stream("hi")
    await stream.__aenter__()
    reader = asyncio.create_task(stream.collect())
    await world.turns()

    await stream.aclose()

    with pytest.raises(e.ProviderError):
        await asyncio.wait_for(reader, 5)
    await world.upstream.all_closed()
    assert watch.endings == [["closed"]]


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
async def test_a_stream_that_is_opened_and_never_read_is_closed(world, provider):
    world.says(**{provider: STREAM.good(provider, "Hel", hang=True)})
    watch = Watch()
    llm = world.pipeline(watch, *LAYERS, first=provider)

    async with llm.stream("hi"):
        pass
    await world.upstream.all_closed()
    await llm.stream("hi").__aenter__()  # and dropped
    await world.upstream.all_closed()
    llm.stream("hi")  # nothing was sent

    assert watch.endings == [["closed"], ["abandoned"]]
    assert world.counts() == {provider: 2}


async def test_closing_a_stream_while_it_is_being_opened_cancels_nothing_but_leaves_nothing(world):
    world.says(openai=SILENCE)
    stream = world.pipeline(*LAYERS).stream("hi")
    opening = asyncio.create_task(stream.__aenter__())
    await world.upstream.received(1)

    await stream.aclose()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening

    await world.upstream.all_closed()


async def test_what_a_layer_drops_is_closed_also_if_the_layer_is_cancelled_meanwhile(world):
    async def slow(request, call_next):
        response = await call_next(request)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return response

    watches = Watch(), Watch()
    llm = world.pipeline(watches[0], retry(wait_initial=0), slow, timeout(total=60), watches[1])

    async def call():
        world.says(openai=[failure("openai", 500), STREAM.good("openai")])
        return (await STREAM.ask(llm)).text

    trial = await cancel_everywhere(world, call, watches, late=False)

    assert trial.result == "Hi"


# ------------------------------------------------------------------- the same without sockets


class Slow(Source):
    async def read(self):
        await asyncio.sleep(0)
        return await super().read()

    async def aclose(self):
        await super().aclose()
        await asyncio.sleep(0)


@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
@pytest.mark.parametrize("ending", [[STOP], e.ServerError("x")], ids=["whole", "broken"])
async def test_each_source_is_closed_wherever_the_call_is_cancelled(order, ending):
    async def provider(request):
        await asyncio.sleep(0)
        if len(sources) % 3 == 0:
            sources.append(None)
            raise e.ServerError("x")
        last = [STOP] if request.model != "a" else ending
        sources.append(Slow([ROLE], [StreamChunk.of("Hi")], last))
        return Response.streaming(sources[-1], request)

    layers = {
        "timeout": timeout(total=600, first_token=500, inter_chunk=400),
        "retry": retry(attempts=2, wait_initial=0),
        "fallback": fallback(["b"], stream="restart"),
    }
    watch = Watch()
    llm = build_pipeline([watch, *[layers[name] for name in order]], provider=provider, model="a")
    sources = []

    async def call():
        sources.clear()
        async with llm.stream("hi") as stream:
            return "".join([chunk.content or "" async for chunk in stream])

    async for trial in at_every_await(call):
        assert trial.error is None, trial
        assert trial.cancelled == trial.reached, trial
        assert all(source is None or source.closed for source in sources), trial
        assert all(len(told) == 1 for told in watch.endings), trial
    assert trial.result in ("Hi", "HiHi")


# ------------------------------------------------------------- money, leases, and who waits for it


@pytest.mark.parametrize("late", [False, True], ids=["early", "late"])
@pytest.mark.parametrize("mode", ["complete", "stream", "restart"])
async def test_reservations_and_leases_are_given_back_wherever_the_call_is_cancelled(mode, late):
    """Behind every trial stands an equal call: it waits for nothing, and the money is all there."""

    async def provider(request):
        await asyncio.sleep(0)
        asked.append(request.model)
        if asked == ["dear"]:
            raise e.ServerError("x", status_code=500)
        if mode == "complete":
            return Response.completed(answer("Hi", usage=USAGE.usage), request)
        breaks = mode == "restart" and len(asked) == 2
        last = [e.ServerError("x")] if breaks else [[STOP], [USAGE]]
        return Response.streaming(Slow([ROLE], [StreamChunk.of("Hi")], *last), request)

    async def ask(llm):
        if mode == "complete":
            return (await llm.complete("hi", max_tokens=100)).text
        async with llm.stream("hi", max_tokens=100) as stream:
            return (await stream.collect()).text

    prices = PriceTable()
    register_price("dear", input=1, output=10, prices=prices)
    register_price("cheap", input=1, output=5, prices=prices)
    asked = []

    async def call():
        nonlocal ledger, limit, llm
        asked.clear()
        ledger, limit = cost(prices=prices), budget(usd=1, prices=prices)
        layers = [cache(memory()), ledger, limit, timeout(total=600, inter_chunk=500)]
        layers += [fallback(["cheap"], stream="restart"), retry(attempts=2, wait_initial=0)]
        llm = build_pipeline(layers, provider=provider, model="dear")
        return await ask(llm)

    ledger = limit = llm = None
    async for trial in at_every_await(call, late=late):
        assert trial.error is None, trial
        assert trial.cancelled == trial.reached, trial
        if llm is None:
            continue
        assert (await limit.remaining()).usd == 1 - ledger.total, trial
        assert await asyncio.wait_for(ask(llm), 5) == "Hi", trial
        assert (await limit.remaining()).usd == 1 - ledger.total, trial
    assert trial.result == "Hi"
    assert trial.at > (3 if mode == "complete" else 9)
