"""Limits on the reads of a stream: one timer, whose cancellation it was, and what is written down."""

import asyncio

import pytest

from scallion import Clock, Response, build_pipeline
from scallion.exceptions import ServerError, StreamInterruptedError, TimeoutError
from scallion.middlewares import cost, fallback, log, retry, timeout
from scallion.testing import ManualClock
from scallion.types import StreamChunk
from support.chunks import ROLE, STOP, Source, Timed

A, B = StreamChunk.of("a"), StreamChunk.of("b")


class Counting(ManualClock):
    """A clock that keeps its timers."""

    def __init__(self):
        super().__init__(auto=True)
        self.timers = []

    def call_at(self, when, callback):
        timer = super().call_at(when, callback)
        self.timers.append((timer, callback))
        return timer

    @property
    def of_limits(self):
        """Those that are not a sleep's."""
        return [timer for timer, callback in self.timers if "sleep" not in callback.__qualname__]


def around(source, *layers, clock, provider="p"):
    async def answers(request):
        return Response.streaming(source, request, provider=provider)

    return build_pipeline(layers, provider=answers, model="m", clock=clock)


# ------------------------------------------------------------------------------ the timer


async def test_one_timer_serves_all_reads():
    clock = Counting()
    llm = around(Source(*[[A]] * 500, [STOP]), timeout(inter_chunk=3), clock=clock)

    assert (await llm.stream("hi").collect()).text == "a" * 500

    assert len(clock.of_limits) == 1


async def test_a_timer_that_goes_off_too_early_is_set_anew():
    clock = Counting()
    source = Timed(clock, *[[A], 1] * 20, [STOP])
    llm = around(source, timeout(inter_chunk=4), clock=clock)

    assert (await llm.stream("hi").collect()).text == "a" * 20

    assert 2 <= len(clock.of_limits) <= 20 / 3 + 1


async def test_a_limit_that_comes_nearer_is_kept_too():
    """A rest of a second is left after keep-alives, and the timer was set for more."""
    clock = ManualClock()
    source = Timed(clock, [A], 1, [ROLE], 1, [B], 1, [ROLE], 60)
    llm = around(source, timeout(total=3.5, inter_chunk=3), clock=clock)
    reading = asyncio.create_task(llm.stream("hi").collect())

    await clock.advance(3.25)
    assert not reading.done()
    await clock.advance(0.25)

    with pytest.raises(TimeoutError) as caught:
        await reading
    assert caught.value.limit == "total"


@pytest.mark.parametrize("end", ["read", "closed", "failed", "dropped"])
async def test_at_the_end_no_timer_is_left(end):
    clock = Counting()
    behind = ServerError("x") if end == "failed" else [STOP]
    llm = around(Timed(clock, [A], 1, [B], 1, behind), timeout(inter_chunk=3), clock=clock)
    stream = llm.stream("hi")
    async for chunk in stream:
        if end != "read" and chunk.content == "b":
            break
    assert clock.of_limits
    if end == "closed":
        await stream.aclose()
    elif end == "failed":
        with pytest.raises(StreamInterruptedError):
            await stream.collect()
    del stream
    await asyncio.sleep(0.01)

    assert not [timer for timer in clock.of_limits if timer.callback is not None]


async def test_a_timer_that_goes_off_while_the_consumer_is_busy_is_nobodys():
    clock = ManualClock()
    source = Timed(clock, [A], [A], 2, [A], 60, [STOP])
    stream = around(source, timeout(inter_chunk=3), clock=clock).stream("hi")
    seen = [await anext(stream), await anext(stream)]

    await clock.advance(100)
    assert asyncio.current_task().cancelling() == 0
    rest = asyncio.create_task(stream.collect())
    await clock.advance(2 + 2.75)
    assert not rest.done()
    await clock.advance(0.25)

    with pytest.raises(TimeoutError) as caught:  # the next read is limited none the less
        await rest
    assert caught.value.partial.text == "aaa"
    assert len(seen) == 2


# ------------------------------------------------------------------------------ whose cancellation


class HandClock(Clock):
    """Time and its timers are moved by hand, in the midst of a turn of the event loop."""

    def __init__(self):
        self.at = 0.0
        self.callbacks = []

    def now(self):
        return self.at

    def call_at(self, when, callback):
        self.callbacks.append(callback)
        return asyncio.get_running_loop().call_later(60, callback)

    def pull(self, at):
        self.at = at
        self.callbacks[-1]()


@pytest.mark.parametrize("first", ["limit", "outside"])
async def test_a_cancellation_of_the_same_moment_stays_a_cancellation(first):
    clock, source = HandClock(), Source([A], asyncio.Event().wait())
    stream = around(source, timeout(inter_chunk=3), clock=clock).stream("hi")
    await anext(stream)
    reading = asyncio.create_task(stream.collect())
    await asyncio.sleep(0)

    for who in sorted(["limit", "outside"], key=lambda who: who != first):
        if who == "limit":
            clock.pull(3.0)
        else:
            reading.cancel()

    with pytest.raises(asyncio.CancelledError):
        await reading
    assert stream.response.outcome.status == "cancelled"
    assert source.closed


async def test_data_of_the_same_moment_does_not_save_the_read():
    clock, gate = HandClock(), asyncio.Event()
    stream = around(Source([A], gate.wait(), [B]), timeout(total=3), clock=clock).stream("hi")
    await anext(stream)
    reading = asyncio.create_task(stream.collect())
    await asyncio.sleep(0)

    gate.set()
    clock.pull(3.0)

    with pytest.raises(TimeoutError) as caught:
        await reading
    assert caught.value.partial.text == "a"
    assert reading.cancelling() == 0


async def test_a_source_that_swallows_it_is_ended_at_the_next_read():
    class Deaf(Timed):
        async def read(self):
            try:
                return await super().read()
            except asyncio.CancelledError:
                return [B]

    clock = ManualClock(auto=True)
    source = Deaf(clock, [A], 60, [B], [STOP])
    stream = around(source, timeout(total=3), clock=clock).stream("hi")

    with pytest.raises(TimeoutError) as caught:
        await stream.collect()

    assert (caught.value.limit, caught.value.partial.text) == ("total", "ab")
    assert asyncio.current_task().cancelling() == 0


async def test_outside_of_any_task_it_says_what_is_missing():
    clock = ManualClock()
    stream = around(Source([A]), timeout(total=3), clock=clock).stream("hi")
    step = stream.__anext__()
    failure = []

    def without_a_task():
        try:
            step.send(None)
        except RuntimeError as error:
            failure.append(error)

    asyncio.get_running_loop().call_soon(without_a_task)
    await asyncio.sleep(0.01)

    assert "needs a task" in str(failure[0])


# ------------------------------------------------------------------------------ what is written down


class Slow:
    """Models that play timed streams: numbers are seconds, the first of them before the head."""

    name = "openai"

    def __init__(self, **streams):
        self.clock = ManualClock(auto=True)
        self.streams = streams

    async def __call__(self, request):
        head, *steps = self.streams[request.model]
        await self.clock.sleep(head)
        source = Timed(self.clock, *steps)
        return Response.streaming(source, request, provider=f"of {request.model}")

    async def read(self, *layers, model="a", **arguments):
        llm = build_pipeline(layers, provider=self, model=model, clock=self.clock)
        stream = llm.stream("hi", **arguments)
        try:
            return (await stream.collect()).text, stream.response.outcome.attempts
        except TimeoutError as error:
            return error, error.attempts


BEFORE_CONTENT = {
    "no head": [9],
    "silence": [0, 9],
    "only a role": [0, [ROLE], 1, [ROLE], 9],
}


@pytest.mark.parametrize("limits", [{"first_token": 2}, {"total": 2}, {}], ids=str)
@pytest.mark.parametrize("steps", BEFORE_CONTENT.values(), ids=BEFORE_CONTENT)
async def test_an_attempt_that_a_limit_ended_before_content_has_failed_with_its_error(
    steps, limits
):
    layers, arguments = ([timeout(**limits)], {}) if limits else ([], {"deadline": 2})
    told, ledger = [], cost()

    async def watches(request, call_next):
        return (await call_next(request)).on_settle(told.append)

    error, attempts = await Slow(**{"gpt-4o": steps}).read(
        *layers, ledger, watches, model="gpt-4o", **arguments
    )

    assert error.limit == next(iter(limits), "deadline")
    (attempt,) = attempts
    assert (attempt.status, attempt.error, attempt.latency) == ("failed", error, 2.0)
    assert [entry.status for entry in ledger.entries] == ["failed"]
    assert error.model == "gpt-4o"
    assert told == []  # it never had a Response


async def test_a_log_inside_of_it_says_the_same():
    events = []

    class Logger:
        def __getattr__(self, level):
            return lambda event, **fields: events.append(fields)

    await Slow(a=[9]).read(timeout(total=2), log(Logger()))

    assert events[-1]["status"] == "failed"


async def test_each_attempt_that_a_limit_ended_has_its_own_error():
    slow = Slow(a=[9], b=[0, [ROLE], 9], c=[0, [A], [STOP]])

    text, attempts = await slow.read(
        fallback(["b", "c"]), retry(attempts=2, wait_initial=0), timeout(first_token=2)
    )

    assert text == "a"
    assert [a.status for a in attempts] == ["failed"] * 4 + ["completed"]
    errors = [a.error for a in attempts[:4]]
    assert len(set(map(id, errors))) == 4
    assert [(e.limit, e.model) for e in errors] == [("first_token", m) for m in "aabb"]


async def test_of_two_limits_at_the_same_moment_one_is_named_by_all():
    error, (attempt,) = await Slow(a=[9]).read(timeout(total=2), timeout(total=2), deadline=2)

    assert error.limit == "deadline"
    assert attempt.error is error


async def test_an_attempt_of_a_cancelled_call_is_cancelled():
    slow = Slow(a=[9])
    slow.clock = ManualClock()
    kept = []

    async def keep(request, call_next):
        kept.append(request.context)
        return await call_next(request)

    llm = build_pipeline([keep, timeout(total=5)], provider=slow, model="a", clock=slow.clock)
    call = asyncio.create_task(llm.complete("hi"))
    await slow.clock.advance(1)

    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    (attempt,) = kept[0].attempts
    assert attempt.status == "cancelled"
    assert isinstance(attempt.error, asyncio.CancelledError)


async def test_who_took_over_fails_with_the_error_of_the_limit_that_ended_it():
    slow = Slow(a=[0, [A], ServerError("x")], b=[0, [B], 60])

    error, attempts = await slow.read(timeout(inter_chunk=5), fallback(["b"], stream="restart"))

    assert (error.limit, error.partial.text) == ("inter_chunk", "b")
    assert [a.status for a in attempts] == ["failed", "failed"]
    assert attempts[1].error is error
    assert (error.provider, error.model) == ("of b", "b")


async def test_around_fallback_the_error_names_the_target_that_took_too_long():
    async def provider(request):
        if request.model == "a":
            raise ServerError("a")
        await clock.sleep(60)

    provider.name = "p"
    clock = ManualClock(auto=True)
    llm = build_pipeline(
        [timeout(total=5), fallback(["b"])], provider=provider, model="a", clock=clock
    )

    with pytest.raises(TimeoutError) as caught:
        await llm.complete("hi")

    assert str(caught.value).startswith("p/b: the answer was not complete after 5 s")


# ------------------------------------------------------------------------------ behind the finish


@pytest.mark.parametrize("limits", [{"total": 5}, {"inter_chunk": 5}, {}], ids=str)
@pytest.mark.parametrize("inside", [True, False], ids=["inside", "outside"])
async def test_a_stall_behind_the_finish_reason_ends_an_answer_that_is_whole(limits, inside):
    asked = []

    def rejects(reason):
        asked.append(reason.text)
        return reason.text == "a"

    slow = Slow(a=[0, [A, STOP], 60], b=[0, [B, STOP]])
    restart = fallback(["b"], stream="restart", on=rejects)
    layers = [timeout(**limits)] if limits else []
    arguments = {} if limits else {"deadline": 5}

    text, attempts = await slow.read(
        *([restart, *layers] if inside else [*layers, restart]), **arguments
    )

    # Whoever may judge it does so, if there is any time for another answer.
    in_time = "inter_chunk" in limits or (inside and limits)
    assert text == ("b" if in_time else "a")
    assert [a.status for a in attempts] == ["completed"] * (2 if in_time else 1)
    assert asked[:1] == (["a"] if in_time else [])
