"""The four rules of the Response: never re-wrapped, settled once, committed, closed."""

import asyncio
import builtins
import gc

import pytest

from scallion import Context, Outcome, Request, Response, build_pipeline
from scallion.exceptions import (
    ConnectionError,
    MalformedResponseError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
    StreamTruncatedError,
    TimeoutError,
)
from scallion.providers import fake
from scallion.testing import ManualClock
from scallion.types import ChunkChoice, Delta, StreamChunk
from support.cancelling import at_every_await
from support.chunks import ROLE, STOP, USAGE, Source, answer, words

HEL, LO = StreamChunk.of("Hel"), StreamChunk.of("lo")


def request(**context):
    return Request("m", "hi", {}, True, Context(**context))


async def committed(source, **context):
    return await Response.streaming(source, request(**context), provider="p").commit()


async def texts(response):
    return [chunk.content async for chunk in response if chunk.content]


# ------------------------------------------------------------------------------ how it ends


async def test_a_stream_that_is_read_to_its_end_settles_as_completed():
    outcomes: list[Outcome] = []
    response = await committed(Source([ROLE], [HEL, LO], [STOP, USAGE]))
    response.on_settle(outcomes.append)

    assert await texts(response) == ["Hel", "lo"]

    (outcome,) = outcomes
    assert outcome.status == "completed"
    assert outcome.response.text == "Hello"
    assert outcome.usage.total_tokens == 7
    assert outcome.response.provider == "p"
    assert outcome.error is None


async def test_a_whole_answer_has_settled_when_a_layer_gets_it():
    outcomes: list[Outcome] = []
    response = Response.completed(answer("Hi"), request())

    response.on_settle(outcomes.append)

    assert [outcome.status for outcome in outcomes] == ["completed"]
    assert (await response.collect()).text == "Hi"


async def test_an_error_after_content_settles_as_failed_and_carries_what_came():
    outcomes: list[Outcome] = []
    cut = ConnectionError("connection reset", provider="p")
    response = await committed(Source([HEL], cut))
    response.on_settle(outcomes.append)

    with pytest.raises(StreamInterruptedError, match="connection reset") as caught:
        await texts(response)

    assert caught.value.partial.text == "Hel"
    assert caught.value.__cause__ is cut
    (outcome,) = outcomes
    assert outcome.status == "failed"
    assert outcome.error is caught.value
    assert outcome.response.text == "Hel"


async def test_chunks_that_came_with_the_error_are_delivered_before_it():
    response = await committed(Source([HEL, LO], ServerError("boom")))
    seen = []

    with pytest.raises(StreamInterruptedError):
        async for chunk in response:
            seen.append(chunk.content)

    assert seen == ["Hel", "lo"]


async def test_cancelling_the_reader_settles_as_cancelled_and_releases_the_source():
    outcomes: list[Outcome] = []
    source = Source([HEL], asyncio.Event().wait())
    response = await committed(source)
    response.on_settle(outcomes.append)
    task = asyncio.create_task(texts(response))
    await asyncio.sleep(0)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert [outcome.status for outcome in outcomes] == ["cancelled"]
    assert outcomes[0].response.text == "Hel"
    assert source.closed


async def test_closing_before_the_end_settles_as_closed_with_all_that_had_arrived():
    outcomes: list[Outcome] = []
    source = Source([HEL, LO], [STOP])
    response = await committed(source)
    response.on_settle(outcomes.append)

    async for _ in response:
        break
    await response.aclose()
    await response.aclose()

    assert [outcome.status for outcome in outcomes] == ["closed"]
    assert outcomes[0].response.text == "Hello"
    assert outcomes[0].response.choices[0].finish_reason is None
    assert source.closed


async def test_closing_unread_counts_what_was_read_ahead():
    response = await committed(Source([ROLE], [HEL], [LO], [STOP]))

    await response.aclose()

    assert response.outcome.status == "closed"
    assert response.outcome.response.text == "Hel"


async def test_closing_after_the_last_chunk_but_before_asking_for_more_is_completed():
    class Whole(Source):
        async def read(self):
            batch = await super().read()
            self.ended = not self.steps
            return batch

    response = await committed(Whole([HEL, STOP]))
    async for chunk in response:
        if chunk.finish_reason:
            break

    await response.aclose()

    assert response.outcome.status == "completed"


async def test_a_response_that_is_dropped_settles_as_abandoned_and_is_closed_by_its_loop():
    outcomes: list[Outcome] = []
    source = Source([HEL], [STOP])
    response = await committed(source)
    response.on_settle(outcomes.append)

    del response
    gc.collect()
    await asyncio.sleep(0.01)

    assert [outcome.status for outcome in outcomes] == ["abandoned"]
    assert outcomes[0].response.text == "Hel"
    assert source.closed


async def test_it_settles_once_whatever_happens_afterwards():
    outcomes: list[Outcome] = []
    source = Source([HEL], ServerError("boom"))
    response = await committed(source)
    response.on_settle(outcomes.append)
    with pytest.raises(StreamInterruptedError):
        await response.collect()

    await response.aclose()
    with pytest.raises(StreamInterruptedError):
        await response.collect()
    with pytest.raises(StreamInterruptedError):
        await anext(response)
    assert [chunk async for chunk in response] == []
    del response
    gc.collect()

    assert len(outcomes) == 1


async def test_closing_while_another_task_reads_ends_that_reading_with_an_error():
    class Closable(Source):
        def __init__(self, *steps):
            super().__init__(*steps)
            self.gate = asyncio.Event()

        async def read(self):
            if self.steps:
                return await super().read()
            await self.gate.wait()
            raise ConnectionError("closed under us")

        async def aclose(self):
            await super().aclose()
            self.gate.set()

    response = await committed(Closable([HEL]))
    reader = asyncio.create_task(texts(response))
    await asyncio.sleep(0)

    await response.aclose()

    with pytest.raises(ConnectionError):
        await reader
    assert response.outcome.status == "closed"


async def test_a_generator_that_another_task_is_running_is_left_to_that_task_to_close():
    proceed, closed = asyncio.Event(), []

    async def chunks():
        try:
            yield HEL
            await proceed.wait()
            yield LO
        finally:
            closed.append(True)

    response = await committed(chunks())
    reader = asyncio.create_task(texts(response))
    await asyncio.sleep(0)

    await response.aclose()
    proceed.set()

    with pytest.raises(StreamInterruptedError, match="closed while it was being read"):
        await reader
    assert response.outcome.status == "closed"
    assert closed == [True]


async def test_what_arrives_after_closing_is_not_delivered():
    class Late(Source):
        async def aclose(self):
            await super().aclose()
            gate.set()

    gate = asyncio.Event()
    response = await committed(Late([HEL], gate.wait(), [LO], [STOP]))
    reader = asyncio.create_task(texts(response))
    await asyncio.sleep(0)

    await response.aclose()

    with pytest.raises(StreamInterruptedError, match="closed while it was being read") as caught:
        await reader
    assert caught.value.partial.text == "Hel"
    assert response.outcome.status == "closed"


@pytest.mark.parametrize("mode", ["complete", "stream"])
async def test_a_watcher_of_attempts_that_raises_keeps_nobody_else_from_being_told(mode):
    async def provider(request):
        if mode == "stream":
            return Response.streaming(words("a"), request)
        return Response.completed(answer("a"), request)

    async def guarded(request, call_next):
        async def fails(request):
            return lambda attempt: 1 / 0

        async def notes(request):
            return lambda attempt: told.append(attempt.status)

        request = request.guard_attempts("one", fails).guard_attempts("two", notes)
        assert request.guard_attempts("one", fails) is request
        return (await call_next(request)).on_settle(lambda outcome: told.append(outcome.status))

    told = []
    llm = build_pipeline([guarded], provider=provider, model="m")

    with pytest.raises(ZeroDivisionError):
        await (llm.complete("hi") if mode == "complete" else llm.stream("hi").collect())

    assert told == ["completed"] * (1 if mode == "complete" else 2)


async def test_chunks_may_be_had_one_by_one_and_then_together():
    response = await committed(Source([HEL, LO, STOP]))

    assert (await anext(response)).content == "Hel"
    assert [chunk.content for chunk in await response.next_chunks()] == ["lo", None]
    assert await response.next_chunks() == []


async def test_callbacks_run_from_the_innermost_layer_outwards():
    order = []

    def layer(number):
        async def middleware(request, call_next):
            order.append(number)
            response = await call_next(request)
            response.on_settle(lambda _: order.append(-number))
            return response

        return middleware

    async def provider(request):
        return Response.streaming(words("a"), request)

    llm = build_pipeline([layer(1), layer(2), layer(3)], provider=provider, model="m")
    await llm.stream("hi").collect()

    assert order == [1, 2, 3, -3, -2, -1]


async def test_a_callback_that_raises_does_not_keep_the_others_from_being_told():
    told = []
    response = await committed(words("a"))
    response.on_settle(lambda _: 1 / 0)
    response.on_settle(told.append)

    with pytest.raises(ZeroDivisionError):
        await response.collect()

    assert told[0].status == "completed"


async def test_the_outcome_says_when_the_first_content_came():
    clock = ManualClock()

    class Slow(Source):
        async def read(self):
            await clock.sleep(1.5)
            return await super().read()

    reading = asyncio.create_task(committed(Slow([ROLE], [HEL], [STOP]), clock=clock))
    await clock.advance(3.0)
    response = await reading
    collecting = asyncio.create_task(response.collect())
    await clock.advance(3.0)
    await collecting

    assert response.outcome.first_token_after == 3.0
    assert response.outcome.duration == 6.0


async def test_what_is_dropped_is_closed_even_if_closing_something_else_fails():
    sources = [Source([HEL], [STOP]) for _ in range(3)]

    async def provider(request):
        return Response.streaming(sources[request.params["seed"]], request)

    async def wasteful(request, call_next):
        first = await call_next(request.replace(params={"seed": 0}))
        first.on_settle(lambda outcome: 1 / 0)
        await call_next(request.replace(params={"seed": 1}))
        return await call_next(request.replace(params={"seed": 2}))

    llm = build_pipeline([wasteful], provider=provider, model="m")

    with pytest.raises(ZeroDivisionError):
        await llm.stream("hi").collect()

    assert [source.closed for source in sources] == [1, 1, 1]


async def test_a_cancellation_while_one_is_closed_does_not_keep_the_others_open():
    class Slow(Source):
        async def aclose(self):
            await super().aclose()
            await asyncio.sleep(0)

    sources = []

    async def provider(request):
        sources.append(Slow([HEL], [STOP]))
        return Response.streaming(sources[-1], request)

    async def wasteful(request, call_next):
        for _ in range(3):
            response = await call_next(request)
        return response

    llm = build_pipeline([wasteful], provider=provider, model="m")

    async def call():
        sources.clear()
        return (await llm.stream("hi").collect()).text

    async for trial in at_every_await(call):
        assert trial.cancelled == trial.reached
        assert [source.closed for source in sources] == [1, 1, 1], trial
    assert trial.at > 3


async def test_several_layers_that_fail_at_the_end_are_raised_together():
    response = await committed(words("a"))
    response.on_settle(lambda _: 1 / 0)
    response.on_settle(lambda _: {}["x"])

    with pytest.raises(ExceptionGroup, match="several layers") as caught:
        await response.collect()

    assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError, KeyError]


async def test_a_layer_that_fails_when_its_call_is_cancelled_does_not_stop_the_cancelling():
    heard = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: heard.append(context))
    response = await committed(Source([HEL], asyncio.Event().wait()))
    response.on_settle(lambda _: 1 / 0)
    reading = asyncio.create_task(response.collect())
    await asyncio.sleep(0)

    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    assert [type(context["exception"]) for context in heard] == [ZeroDivisionError]


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_source_that_cannot_be_closed_does_not_hide_what_ended_the_stream(cancelled):
    class Stuck(Source):
        async def aclose(self):
            raise OSError("cannot be closed")

    told = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, told_of: told.append(told_of))
    stall = asyncio.Event()
    response = await committed(Stuck([HEL], stall.wait() if cancelled else ServerError("boom")))
    reading = asyncio.create_task(texts(response))
    await asyncio.sleep(0)
    if cancelled:
        reading.cancel()

    with pytest.raises(asyncio.CancelledError if cancelled else StreamInterruptedError):
        await reading

    assert [str(problem["exception"]) for problem in told] == ["cannot be closed"]


async def test_it_shows_how_it_stands():
    response = await committed(words("a"))

    assert repr(response) == "<Response open model='m'>"
    await response.collect()
    assert repr(response) == "<Response completed model='m'>"


async def test_reading_on_after_closing_is_an_error_once_and_then_the_end():
    response = await committed(Source([HEL, LO], [STOP]))
    assert (await anext(response)).content == "Hel"

    await response.aclose()

    assert (await anext(response)).content == "Lo".lower()
    with pytest.raises(StreamInterruptedError, match="closed before its end"):
        await anext(response)
    assert [chunk async for chunk in response] == []


@pytest.mark.parametrize("collected", [False, True])
async def test_reading_on_after_a_cancelled_read_is_an_error_and_neither_an_end_nor_a_cancellation(
    collected,
):
    stall = asyncio.Event()
    response = await committed(Source([HEL], stall.wait(), [LO], [STOP]))
    assert (await anext(response)).content == "Hel"
    reading = asyncio.create_task(response.collect() if collected else texts(response))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait([reading])

    # As a heartbeat does, which gives each read a second and then tries again.
    with pytest.raises(StreamInterruptedError, match="cancelled before its end") as caught:
        await (response.collect() if collected else anext(response))

    assert caught.value.partial.text == "Hel"


# ------------------------------------------------------------------------------ the commit point


@pytest.mark.parametrize(
    "content",
    [
        Delta(content="x"),
        Delta(reasoning="hm"),
        Delta(reasoning_content="hm"),
        Delta(refusal="no"),
        Delta(tool_calls=[]),
    ],
    ids=["text", "reasoning", "reasoning_content", "refusal", "no tool call yet"],
)
async def test_it_reads_up_to_the_first_content_and_no_further(content):
    source = Source([ROLE], [ROLE], [StreamChunk(choices=[ChunkChoice(delta=content)])], [STOP])

    response = await committed(source)

    assert source.reads == (5 if content.tool_calls == [] else 3)
    await response.aclose()


@pytest.mark.parametrize("failure", [RateLimitError("slow down"), MalformedResponseError("{")])
async def test_a_failure_before_content_is_raised_as_it_is(failure):
    source = Source([ROLE], failure)

    with pytest.raises(type(failure)) as caught:
        await committed(source)

    assert caught.value is failure
    assert source.closed


@pytest.mark.parametrize("steps", [[], [[ROLE]], [[USAGE]]])
async def test_a_stream_that_ends_without_any_content_or_finish_is_truncated(steps):
    with pytest.raises(StreamTruncatedError) as caught:
        await committed(Source(*steps))

    assert caught.value.partial.text == ""
    assert caught.value.provider == "p"


async def test_an_empty_answer_that_finished_is_an_answer():
    response = await committed(Source([ROLE], [STOP]))

    collected = await response.collect()

    assert collected.text == ""
    assert collected.finish_reason == "stop"
    assert response.outcome.status == "completed"


async def test_a_stream_that_ends_after_content_without_a_finish_is_truncated_not_stopped():
    response = await committed(Source([HEL], [USAGE]))

    with pytest.raises(StreamTruncatedError) as caught:
        await response.collect()

    assert caught.value.partial.text == "Hel"
    assert caught.value.partial.finish_reason is None
    assert caught.value.partial.usage.total_tokens == 7


async def test_with_several_choices_each_needs_its_finish():
    both = [
        ChunkChoice(index=0, delta=Delta(content="a")),
        ChunkChoice(index=1, delta=Delta(content="b")),
    ]
    one_end = StreamChunk(choices=[ChunkChoice(index=0, finish_reason="stop")])
    response = await committed(Source([StreamChunk(choices=both)], [one_end]))

    with pytest.raises(StreamTruncatedError):
        await response.collect()


# ------------------------------------------------------------------------------ behind the finish

LOST = {
    "cut": lambda: ConnectionError("reset"),
    "a cut of Python's own": lambda: builtins.ConnectionError("reset"),
    "the client's own timeout": lambda: TimeoutError("no bytes for 600 s"),
}


async def attempt_of(*steps, **params):
    async def provider(request):
        return Response.streaming(Source(*steps), request, provider="p")

    llm = build_pipeline(provider=provider, model="m")
    stream = llm.stream("hi", **params)
    seen = [chunk async for chunk in stream]
    outcome = stream.response.outcome
    return seen, outcome, outcome.attempts[0]


@pytest.mark.parametrize("how", LOST)
async def test_what_is_lost_behind_the_finish_reason_is_the_usage_only(how):
    seen, outcome, attempt = await attempt_of([HEL], [LO, STOP], LOST[how]())

    assert [chunk.content for chunk in seen] == ["Hel", "lo", None]
    assert (outcome.status, outcome.error, outcome.response.text) == ("completed", None, "Hello")
    assert (attempt.status, attempt.usage, attempt.exact) == ("completed", None, False)


async def test_a_usage_that_came_before_the_connection_broke_counts():
    _, outcome, attempt = await attempt_of([HEL, STOP], [USAGE], ConnectionError("reset"))

    assert (outcome.status, attempt.exact, attempt.usage.total_tokens) == ("completed", True, 7)


async def test_an_empty_answer_is_whole_too_however_its_connection_ends():
    _, outcome, _ = await attempt_of([ROLE], [STOP], ConnectionError("reset"))

    assert (outcome.status, outcome.response.finish_reason) == ("completed", "stop")


async def test_an_error_that_the_provider_reports_behind_the_finish_is_an_error():
    with pytest.raises(StreamInterruptedError, match="moderated"):
        await attempt_of([HEL, STOP], ServerError("moderated"))


async def test_a_finish_reason_of_one_of_two_choices_does_not_make_it_whole():
    with pytest.raises(StreamInterruptedError):
        await attempt_of([HEL, STOP], ConnectionError("reset"), n=2)


async def test_cancelling_behind_the_finish_is_a_cancellation():
    response = await committed(Source([HEL, STOP], asyncio.Event().wait()))
    reading = asyncio.create_task(response.collect())
    await asyncio.sleep(0)

    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    assert response.outcome.status == "cancelled"


# ------------------------------------------------------------------------------ rewriting


def upper(chunk):
    if not chunk.content:
        return chunk
    return StreamChunk.of(chunk.content.upper())


@pytest.mark.parametrize("mode", ["complete", "stream"])
async def test_a_layer_sees_the_answer_as_it_is_at_its_own_place(mode):
    if mode == "complete":
        response = Response.completed(answer("Hello"), request())
    else:
        response = await committed(words("Hel", "lo"))
    seen = []

    response.on_settle(lambda outcome: seen.append(outcome.response.text))
    response.map(upper)
    response.on_settle(lambda outcome: seen.append(outcome.response.text))
    response.map(lambda chunk: StreamChunk.of(chunk.content[::-1]) if chunk.content else chunk)
    response.on_settle(lambda outcome: seen.append(outcome.response.text))
    collected = await response.collect()

    reversed_text = "OLLEH" if mode == "complete" else "LEHOL"
    assert seen == ["Hello", "HELLO", reversed_text]
    assert collected.text == reversed_text


@pytest.mark.parametrize("mode", ["complete", "stream"])
async def test_a_guard_can_hold_text_back_until_the_end(mode):
    held = []

    def guard(chunk):
        if chunk.content:
            held.append(chunk.content)
            return None
        if chunk.finish_reason:
            return [StreamChunk.of("".join(held).replace("secret", "***")), chunk]
        return chunk

    if mode == "complete":
        response = Response.completed(answer("a secret word"), request())
    else:
        response = await committed(words("a sec", "ret word"))
    response.map(guard)

    assert "".join(await texts(response)) == "a *** word"
    assert response.outcome.response.finish_reason == "stop"


async def test_what_passed_before_a_guard_refused_is_delivered_first():
    class Refused(Exception):
        pass

    def guard(chunk):
        if chunk.content == "bad":
            raise Refused
        return chunk

    response = await committed(Source([HEL, LO, StreamChunk.of("bad")], [STOP]))
    response.map(guard)
    seen = []

    with pytest.raises(Refused):
        async for chunk in response:
            seen.append(chunk.content)

    assert seen == ["Hel", "lo"]
    assert response.outcome.status == "failed"


@pytest.mark.parametrize("wrong", ["text", {"choices": []}, [None], [HEL, "text"]])
async def test_a_rewriting_that_returns_something_else_is_told_what_to_return(wrong):
    response = (await committed(words("Hel", "lo"))).map(lambda chunk: wrong)
    with pytest.raises(TypeError, match="is no StreamChunk"):
        await response.collect()

    with pytest.raises(TypeError, match="is no StreamChunk"):
        Response.completed(answer("Hi"), request()).map(lambda chunk: wrong)


async def test_a_provider_that_streams_something_else_is_told_what_to_stream():
    async def dicts():
        yield {"choices": [{"index": 0, "delta": {"content": "Hi"}}]}

    with pytest.raises(TypeError, match="this one brought dict"):
        await committed(dicts())


async def test_a_guard_that_refuses_a_whole_answer_raises_at_once():
    def refuse(chunk):
        raise PermissionError("no")

    with pytest.raises(PermissionError):
        Response.completed(answer(), request()).map(refuse)


def forgets_to_return(chunk):
    chunk.model = "another"


def keeps_the_end_back(chunk):
    return None if chunk.choices and chunk.choices[0].finish_reason else chunk


@pytest.mark.parametrize("fn", [forgets_to_return, keeps_the_end_back])
@pytest.mark.parametrize("mode", ["complete", "stream"])
async def test_a_layer_that_loses_the_end_of_an_answer_is_told_so(fn, mode):
    async def layer(request, call_next):
        return (await call_next(request)).map(fn)

    llm = build_pipeline([layer], provider=fake(["Hello there."]), model="fake/m")

    with pytest.raises(TypeError, match=rf"{fn.__name__}.* let no chunk with a finish_reason pass"):
        await (llm.complete("Hi") if mode == "complete" else llm.stream("Hi").collect())


async def test_what_a_layer_wrote_on_the_answer_survives_a_rewriting_further_out():
    response = await committed(words("a"))
    response.on_settle(lambda outcome: setattr(outcome.response, "cost", 42))
    response.map(upper)

    assert (await response.collect()).cost == 42


# ------------------------------------------------------------------------------ both forms


async def test_a_whole_answer_can_be_iterated():
    response = Response.completed(answer("Hi", usage=USAGE.usage), request())

    chunks = [chunk async for chunk in response]

    assert [chunk.content for chunk in chunks] == ["Hi", None]
    assert chunks[-1].finish_reason == "stop"
    assert chunks[-1].usage.total_tokens == 7


async def test_a_layer_may_read_a_stream_to_its_end_and_pass_it_on():
    async def nosy(request, call_next):
        response = await call_next(request)
        assert (await response.collect()).text == "Hello"
        return response

    async def provider(request):
        return Response.streaming(words("Hel", "lo"), request)

    llm = build_pipeline([nosy], provider=provider, model="m")

    assert [c.content async for c in llm.stream("hi")] == ["Hello", None]


async def read_by_collecting(response):
    await response.collect()


async def read_by_iterating(response):
    async for _ in response:
        pass


readers = pytest.mark.parametrize("read", [read_by_collecting, read_by_iterating])


@readers
async def test_a_failure_that_a_layer_kept_to_itself_is_no_empty_answer(read):
    async def hides(request, call_next):
        response = await call_next(request)
        with pytest.raises(StreamInterruptedError):
            await read(response)
        return response

    async def provider(request):
        return Response.streaming(Source([HEL], ServerError("boom")), request)

    llm = build_pipeline([hides], provider=provider, model="m")

    with pytest.raises(StreamInterruptedError, match="boom"):
        await texts(llm.stream("hi"))


@readers
async def test_a_response_that_a_layer_keeps_for_later_calls_is_whole_each_time(read):
    kept = []

    async def keeps(request, call_next):
        if not kept:
            kept.append(await call_next(request))
            await read(kept[0])
        return kept[0]

    async def provider(request):
        return Response.streaming(words("Hel", "lo"), request)

    llm = build_pipeline([keeps], provider=provider, model="m")

    for _ in range(2):
        assert await texts(llm.stream("hi")) == ["Hello"]


async def test_collecting_after_some_chunks_gives_the_whole_answer():
    response = await committed(words("Hel", "lo"))
    async for _ in response:
        break

    assert (await response.collect()).text == "Hello"
    assert [chunk async for chunk in response] == []


async def test_collecting_a_stream_that_was_closed_early_is_an_error_with_the_partial():
    response = await committed(Source([HEL], [LO], [STOP]))
    await response.aclose()

    with pytest.raises(StreamInterruptedError) as caught:
        await response.collect()

    assert caught.value.partial.text == "Hel"


# ------------------------------------------------------------------------------ the deadline


async def test_a_deadline_ends_a_stream_that_stalls():
    clock = ManualClock()
    source = Source([HEL], asyncio.Event().wait())
    response = await committed(source, clock=clock, deadline=clock.now() + 5)
    reading = asyncio.create_task(texts(response))

    await clock.advance(4.9)
    assert not reading.done()
    await clock.advance(0.2)

    with pytest.raises(TimeoutError) as caught:
        await reading
    assert caught.value.limit == "deadline"
    assert caught.value.partial.text == "Hel"
    assert source.closed
