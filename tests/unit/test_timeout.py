"""timeout(): three limits, on content and on the provider's time only."""

import asyncio

import pytest

from scallion import Response, build_pipeline
from scallion.exceptions import ServerError, TimeoutError
from scallion.middlewares import fallback, retry, timeout
from scallion.testing import ManualClock
from scallion.types import StreamChunk
from support.chunks import ROLE, STOP, Timed, answer

A, B = StreamChunk.of("a"), StreamChunk.of("b")
THINKING = StreamChunk.of(reasoning="hm")


class Timing:
    """A pipeline around one timed stream (or several, one per call)."""

    def __init__(self, *streams, layers):
        self.clock = ManualClock()
        self.sources = []
        self.streams = list(streams)
        self.llm = build_pipeline(layers, provider=self, model="m", clock=self.clock)

    async def __call__(self, request):
        source = Timed(self.clock, *self.streams.pop(0))
        self.sources.append(source)
        return Response.streaming(source, request)

    async def run(self, awaitable, step=0.5, limit=200):
        """Move the clock until it is done; returns the result and the seconds it took."""
        began = self.clock.now()
        task = asyncio.create_task(awaitable)
        for _ in range(limit):
            if task.done():
                break
            await self.clock.advance(step)
        try:
            return await task, self.clock.now() - began
        except TimeoutError as error:
            return error, self.clock.now() - began


async def collect(stream):
    return (await stream.collect()).text


async def test_roles_and_keep_alives_do_not_stop_the_first_token_clock():
    timing = Timing([[ROLE], 1, [ROLE], 1, [ROLE], 1, [A], [STOP]], layers=[timeout(first_token=2)])

    error, took = await timing.run(collect(timing.llm.stream("hi")))

    assert (error.limit, took) == ("first_token", 2.0)
    assert "no content came within 2 s" in str(error)
    assert timing.sources[0].closed


async def test_thinking_is_content():
    timing = Timing([1.5, [THINKING], 10, [A], [STOP]], layers=[timeout(first_token=2)])

    text, _ = await timing.run(collect(timing.llm.stream("hi")))

    assert text == "a"


async def test_a_timed_out_attempt_goes_to_the_next_target():
    timing = Timing(
        [8, [A], [STOP]], [0.5, [B], [STOP]], layers=[fallback(["n"]), timeout(first_token=2)]
    )

    text, took = await timing.run(collect(timing.llm.stream("hi")))

    assert (text, took) == ("b", 2.5)
    assert timing.sources[0].closed


async def test_total_ends_a_healthy_long_stream():
    timing = Timing([1, [A], 1, [A], 1, [A], 1, [A], [STOP]], layers=[timeout(total=2.5)])

    error, took = await timing.run(collect(timing.llm.stream("hi")))

    assert (error.limit, took) == ("total", 2.5)
    assert error.partial.text == "aa"
    assert timing.sources[0].closed


async def test_only_total_ends_it():
    timing = Timing(
        [1, [A], 1, [A], 1, [A], 1, [A], [STOP]], layers=[timeout(first_token=2, inter_chunk=2)]
    )

    text, took = await timing.run(collect(timing.llm.stream("hi")))

    assert (text, took) == ("aaaa", 4.0)


async def test_a_stall_between_contents_is_ended_by_inter_chunk():
    timing = Timing([[A], 5, [B], [STOP]], layers=[timeout(inter_chunk=3)])

    error, took = await timing.run(collect(timing.llm.stream("hi")))

    assert (error.limit, took) == ("inter_chunk", 3.0)
    assert error.partial.text == "a"


async def test_keep_alives_do_not_stop_the_inter_chunk_clock():
    timing = Timing([[A], 1, [ROLE], 1, [ROLE], 1, [ROLE], [B]], layers=[timeout(inter_chunk=2)])

    error, took = await timing.run(collect(timing.llm.stream("hi")))

    assert (error.limit, took) == ("inter_chunk", 2.0)


async def test_a_slow_consumer_never_trips_inter_chunk():
    timing = Timing([[A], 1, [A], 1, [A], [STOP]], layers=[timeout(inter_chunk=2)])

    async def slowly():
        texts = []
        async for chunk in timing.llm.stream("hi"):
            texts.append(chunk.content)
            await timing.clock.sleep(30)
        return texts

    texts, _ = await timing.run(slowly(), step=1)

    assert texts == ["a", "a", "a", None]


async def test_total_also_limits_complete_calls():
    async def slow(request):
        await clock.sleep(5)
        return Response.completed(answer(), request)

    clock = ManualClock()
    llm = build_pipeline([timeout(total=2)], provider=slow, model="m", clock=clock)
    call = asyncio.create_task(llm.complete("hi"))
    await clock.advance(3)

    with pytest.raises(TimeoutError) as caught:
        await call
    assert caught.value.limit == "total"
    assert caught.value.retryable


async def test_a_complete_call_has_no_first_token():
    async def slow(request):
        await clock.sleep(5)
        return Response.completed(answer("late"), request)

    clock = ManualClock()
    llm = build_pipeline([timeout(first_token=2)], provider=slow, model="m", clock=clock)
    call = asyncio.create_task(llm.complete("hi"))
    await clock.advance(6)

    assert (await call).text == "late"


async def test_outside_of_retry_it_limits_all_attempts_together():
    calls = []

    async def failing(request):
        calls.append(clock.now())
        await clock.sleep(1)
        raise ServerError("again")

    clock = ManualClock()
    layers = [timeout(total=2.5), retry(attempts=10, wait_initial=0)]
    llm = build_pipeline(layers, provider=failing, model="m", clock=clock)
    call = asyncio.create_task(llm.complete("hi"))
    for _ in range(12):
        await clock.advance(0.25)

    with pytest.raises(TimeoutError) as caught:
        await call
    assert caught.value.limit == "total"
    assert len(calls) == 3


async def test_inside_of_retry_it_limits_each_attempt():
    timing = Timing(
        [9, [A]], [9, [A]], [1, [A], [STOP]], layers=[retry(wait_initial=0), timeout(first_token=2)]
    )

    text, took = await timing.run(collect(timing.llm.stream("hi")))

    assert (text, took) == ("a", 5.0)


async def test_the_nearest_of_several_limits_counts_and_is_named():
    layers = [timeout(total=3.5), timeout(inter_chunk=3)]
    timing = Timing([[A], 1, [A], 9, [A]], layers=layers)

    error, took = await timing.run(collect(timing.llm.stream("hi", deadline=6)))

    assert (error.limit, took) == ("total", 3.5)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [({"total": 2, "first_token": 5}, "total"), ({"total": 5, "first_token": 2}, "first_token")],
)
async def test_before_content_the_nearer_of_total_and_first_token_counts(limits, expected):
    timing = Timing([9, [A]], layers=[timeout(**limits)])

    error, took = await timing.run(collect(timing.llm.stream("hi")))

    assert (error.limit, took) == (expected, 2.0)


async def test_a_deadline_of_the_call_counts_too():
    timing = Timing([[A], 9, [A]], layers=[timeout(total=5, inter_chunk=4)])

    error, took = await timing.run(collect(timing.llm.stream("hi", deadline=3)))

    assert (error.limit, took) == ("deadline", 3.0)


async def test_cancelling_is_not_a_timeout():
    timing = Timing([9, [A]], layers=[timeout(total=5)])
    task = asyncio.create_task(collect(timing.llm.stream("hi")))
    await timing.clock.advance(1)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert timing.sources[0].closed


@pytest.mark.parametrize("limits", [{}, {"total": 0}, {"inter_chunk": -1}])
def test_no_limit_or_one_that_is_not_positive_is_refused(limits):
    with pytest.raises(ValueError, match="in seconds above 0"):
        timeout(**limits)


@pytest.mark.parametrize("by", ["total", "deadline"])
async def test_the_end_of_all_time_closes_the_connection_also_while_the_consumer_is_busy(by):
    timing = Timing([[A], [B], [STOP]], layers=[timeout(total=5)] if by == "total" else [])
    stream = timing.llm.stream("hi", deadline=5 if by == "deadline" else None)
    assert (await anext(stream)).content == "a"
    if by == "deadline":
        assert (await anext(stream)).content == "b"  # a deadline is seen by the first read after

    await timing.clock.advance(4.5)
    assert not timing.sources[0].closed
    await timing.clock.advance(1)
    assert timing.sources[0].closed

    with pytest.raises(TimeoutError) as caught:
        await stream.collect()
    assert caught.value.limit == by
    assert caught.value.partial.text == ("a" if by == "total" else "ab")


async def test_a_consumer_that_is_busy_past_inter_chunk_loses_nothing():
    timing = Timing([[A], [B], [STOP]], layers=[timeout(inter_chunk=2)])
    stream = timing.llm.stream("hi")
    await anext(stream)
    await timing.clock.advance(60)
    assert not timing.sources[0].closed
    assert await collect(stream) == "ab"
