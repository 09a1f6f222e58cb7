"""Scenario 5: timeouts, over real sockets and a clock that the test moves."""

import asyncio

import pytest

from scallion import exceptions as e
from scallion.middlewares import fallback, retry, timeout
from scallion.testing import ManualClock
from support.upstream import HANG, SILENCE, Reply, completion_stream, message_stream, sse
from support.world import MODELS, Mode, failure

STREAM = Mode("stream")
OTHER = {"openai": "anthropic", "anthropic": "openrouter", "openrouter": "openai"}


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
async def world(world):
    await world.warm_up()
    return world


def slowly(world, provider, *pieces):
    """A stream whose numbers are seconds that the provider takes."""
    steps = [world.lasts(piece) if isinstance(piece, (int, float)) else piece for piece in pieces]
    return message_stream(*steps) if provider == "anthropic" else completion_stream(*steps)


def thinking(provider, text="hm"):
    if provider == "anthropic":
        return {"type": "thinking", "thinking": text, "signature": "c2ln"}
    return {"reasoning": text} if provider == "openrouter" else {"reasoning_content": text}


KEEP_ALIVE = {
    "openai": sse({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}),
    "openrouter": b": OPENROUTER PROCESSING\n\n",
    "anthropic": sse({"type": "ping"}, "ping"),
}


@pytest.mark.parametrize("stall", ["keep-alives", "silence", "head"])
async def test_without_content_it_is_aborted_and_the_next_target_serves(world, provider, stall):
    other = OTHER[provider]
    silent = {
        "keep-alives": slowly(world, provider, *[1.0, KEEP_ALIVE[provider]] * 8, "Late"),
        "silence": SILENCE,
        "head": Reply(headers={"content-type": "text/event-stream"}, chunks=[HANG]),
    }[stall]
    gone = []

    async def serve(request):
        await world.turns()
        gone.append(world.asked[provider][0].abandoned)
        return STREAM.good(other)

    world.says(**{provider: silent, other: serve})
    llm = world.pipeline(fallback([MODELS[other]]), timeout(first_token=2), first=provider)

    answer, took = await world.run(STREAM.ask(llm))

    assert (answer.text, answer.provider) == ("Hi", other)
    assert took == 2.0
    assert gone == [True]  # before the next target had even answered


async def test_without_a_next_target_the_error_says_which_limit_it_was(world, provider):
    world.says(**{provider: slowly(world, provider, *[1.0, KEEP_ALIVE[provider]] * 8)})
    llm = world.pipeline(timeout(total=9, first_token=2, inter_chunk=5), first=provider)

    error, took = await world.run(STREAM.ask(llm))

    assert isinstance(error, e.TimeoutError)
    assert (error.limit, took) == ("first_token", 2.0)
    assert (error.provider, error.model) == (provider, MODELS[provider])
    assert [(a.status, a.error) for a in error.attempts] == [("failed", error)]
    await world.upstream.all_closed()


async def test_a_retry_around_it_begins_the_two_seconds_anew(world):
    world.says(openai=[SILENCE, SILENCE, STREAM.good("openai")])
    llm = world.pipeline(retry(wait_initial=0), timeout(first_token=2))

    answer, took = await world.run(STREAM.ask(llm))

    assert (answer.text, took) == ("Hi", 4.0)
    assert world.counts() == {"openai": 3}


async def test_around_a_retry_it_limits_all_attempts_and_their_waits(world, mode):
    world.says(openai=failure("openai", 500))
    llm = world.pipeline(timeout(total=3), retry(attempts=9, rng=lambda: 1.0))

    error, took = await world.run(mode.ask(llm))

    assert (error.limit, took) == ("total", 3.0)
    assert world.counts() == {"openai": 3}  # at 0, 0.5 and 1.5 s
    assert [type(a.error) for a in error.attempts] == [e.ServerError] * 3


async def test_thinking_is_content(world, provider):
    pieces = [1.5, thinking(provider), 30.0, "Hi"]
    world.says(**{provider: slowly(world, provider, *pieces)})
    llm = world.pipeline(timeout(first_token=2), first=provider)

    answer, took = await world.run(STREAM.ask(llm))

    assert (answer.text, answer.reasoning, took) == ("Hi", "hm", 31.5)


async def test_a_healthy_long_stream_is_ended_by_total_alone(world, provider):
    pieces = [1.0, "a", 1.0, "b", 1.0, "c", 1.0, "d"]
    world.says(**{provider: slowly(world, provider, *pieces)})
    patient = world.pipeline(timeout(first_token=2, inter_chunk=2), first=provider)
    impatient = world.pipeline(timeout(total=3.5, first_token=2, inter_chunk=2), first=provider)

    answer, took = await world.run(STREAM.ask(patient))
    assert (answer.text, took) == ("abcd", 4.0)

    error, took = await world.run(STREAM.ask(impatient))
    assert (error.limit, error.partial.text, took) == ("total", "abc", 3.5)
    assert error.model == MODELS[provider]
    await world.turns()
    assert [request.abandoned for request in world.asked[provider]] == [False, True]


@pytest.mark.parametrize("between", ["nothing", "keep-alives"])
async def test_a_stall_after_content_is_ended_by_inter_chunk(world, provider, between):
    quiet = [9.0] if between == "nothing" else [1.0, KEEP_ALIVE[provider]] * 9
    world.says(**{provider: slowly(world, provider, 5.0, "Hel", *quiet, "lo")})
    llm = world.pipeline(timeout(total=60, inter_chunk=3), first=provider)

    error, took = await world.run(STREAM.ask(llm))

    assert (error.limit, error.partial.text, took) == ("inter_chunk", "Hel", 8.0)
    await world.upstream.all_closed()


async def test_a_slow_consumer_never_trips_inter_chunk(world, provider):
    world.says(**{provider: slowly(world, provider, "a", 1.0, "b", 1.0, "c")})
    llm = world.pipeline(timeout(first_token=2, inter_chunk=2), first=provider)

    async def read_slowly():
        texts = []
        async with llm.stream("hi") as stream:
            async for chunk in stream:
                texts.append(chunk.content or "")
                await world.clock.sleep(60)
        return "".join(texts)

    text, took = await world.run(read_slowly(), step=5)

    assert text == "abc"
    assert took >= 180


async def test_a_complete_call_is_limited_by_total_alone(world, provider):
    late = world.lasts(5)

    async def answer_late(request):
        await late.event.wait()
        return Mode("complete").good(provider)

    world.says(**{provider: answer_late})
    patient = world.pipeline(timeout(first_token=2, inter_chunk=2), first=provider)
    impatient = world.pipeline(timeout(total=2), first=provider)

    answer, took = await world.run(patient.complete("hi"))
    assert (answer.text, took) == ("Hi", 5.0)

    error, took = await world.run(impatient.complete("hi"))
    assert (error.limit, took) == ("total", 2.0)
    await world.turns()
    assert [request.abandoned for request in world.asked[provider]] == [False, True]


async def test_the_deadline_of_the_call_ends_what_is_under_way(world, mode):
    world.says(openai=SILENCE)
    layers = [retry(), fallback([MODELS["anthropic"]]), timeout(total=60, first_token=30)]
    llm = world.pipeline(*layers)

    error, took = await world.run(mode.ask(llm, deadline=4))

    assert isinstance(error, e.TimeoutError)
    assert (error.limit, took) == ("deadline", 4.0)
    assert world.counts() == {"openai": 1}
    await world.upstream.all_closed()


async def test_a_stalled_stream_restarts_on_the_next_target_and_its_socket_is_closed(world):
    world.says(
        openai=slowly(world, "openai", "Hel", 60.0, "lo"), anthropic=STREAM.good("anthropic", "B")
    )
    layers = [fallback([MODELS["anthropic"]], stream="restart"), timeout(inter_chunk=2)]

    answer, took = await world.run(STREAM.ask(world.pipeline(*layers)))

    assert (answer.text, took) == ("B", 2.0)
    await world.turns()
    assert world.asked["openai"][0].abandoned


async def test_cancelling_while_the_limits_run_is_a_cancellation(world, mode):
    world.says(openai=SILENCE)
    layers = [timeout(total=9), retry(), fallback(["x"]), timeout(total=5, first_token=3)]
    call = asyncio.create_task(mode.ask(world.pipeline(*layers)))
    await world.upstream.received(1)

    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    await world.upstream.all_closed()
    assert world.counts() == {"openai": 1}
