"""The onion: composition, validation, what reaches the provider, and the attempts it records."""

import asyncio
import gc
import pickle
import weakref

import anthropic
import openai
import pytest
from openai import AsyncOpenAI

from scallion import Context, OrderWarning, Pipeline, Request, Response, build_pipeline
from scallion.exceptions import (
    InvalidRequestError,
    ServerError,
    StreamInterruptedError,
    StreamTruncatedError,
    TimeoutError,
)
from scallion.middlewares import budget, cache, cost
from scallion.middlewares import retry as real_retry
from scallion.providers import fake
from scallion.testing import ManualClock, ScriptedProvider
from scallion.types import Message, StreamChunk
from support.chunks import ROLE, Source, answer, words


async def say_hi(request):
    if request.stream:
        return Response.streaming(words("H", "i"), request)
    return Response.completed(answer("Hi"), request)


async def passes(request, call_next):
    return await call_next(request)


# ------------------------------------------------------------------------------ composition


async def test_the_first_layer_is_the_outermost():
    order = []

    def layer(inward, outward):
        async def middleware(request, call_next):
            order.append(inward)
            response = await call_next(request)
            order.append(outward)
            return response

        return middleware

    llm = build_pipeline([layer(1, 6), layer(2, 5), layer(3, 4)], provider=say_hi, model="m")

    await llm.complete("hi")

    assert order == [1, 2, 3, 4, 5, 6]


async def test_a_middleware_is_written_once_for_both_modes():
    seen = []

    async def watch(request, call_next):
        response = await call_next(request)
        response.on_settle(lambda outcome: seen.append((outcome.status, outcome.response.text)))
        return response

    llm = build_pipeline([watch], provider=say_hi, model="m")

    assert (await llm.complete("hi")).text == "Hi"
    async with llm.stream("hi") as stream:
        assert [chunk.content async for chunk in stream] == ["H", "i", None]

    assert seen == [("completed", "Hi"), ("completed", "Hi")]


async def test_a_layer_can_change_the_request_and_the_original_stays():
    asked = []

    async def provider(request):
        asked.append(request)
        return Response.completed(answer(), request)

    async def translate(request, call_next):
        changed = request.replace(model="other", params={"temperature": 0})
        response = await call_next(changed)
        assert request.model == "m"
        assert request.params == {}
        return response

    await build_pipeline([translate], provider=provider, model="m").complete("hi")

    assert (asked[0].model, asked[0].params) == ("other", {"temperature": 0})


async def test_a_layer_can_answer_by_itself():
    async def canned(request, call_next):
        return Response.completed(answer("canned"), request)

    llm = build_pipeline([canned], provider=fake(), model="m")

    assert (await llm.complete("hi")).text == "canned"
    assert [c.content async for c in llm.stream("hi")] == ["canned", None]


async def test_a_pipeline_is_a_provider_for_another_and_records_its_own_attempts():
    inner = build_pipeline([passes], provider=say_hi, model="inner")
    outer = build_pipeline([passes], provider=inner, model="outer")
    response = await outer.send(Request("outer", "hi"))

    assert (await response.collect()).text == "Hi"
    assert len(response.outcome.attempts) == 1


async def test_middlewares_can_be_added_on_the_inside():
    order = []

    def layer(name):
        async def middleware(request, call_next):
            order.append(name)
            return await call_next(request)

        return middleware

    llm = build_pipeline([layer("outer")], provider=say_hi, model="m")
    more = llm.with_middlewares(layer("inner"))

    await more.complete("hi")

    assert order == ["outer", "inner"]
    assert len(llm.middlewares) == 1
    assert more.provider is llm.provider


async def test_a_callable_object_is_a_middleware():
    class Counter:
        calls = 0

        async def __call__(self, request, call_next):
            self.calls += 1
            return await call_next(request)

    counter = Counter()
    await build_pipeline([counter], provider=say_hi, model="m").complete("hi")

    assert counter.calls == 1


def test_its_repr_draws_the_onion():
    llm = build_pipeline([passes, passes], provider=fake(), model="m")

    assert repr(llm) == "Pipeline(model='m')\npasses\n│ passes\n│ │ fake()"


# ------------------------------------------------------------------------------ validation


def retry(*, attempts=3):
    raise NotImplementedError


def not_async(request, call_next):
    raise NotImplementedError


async def one_argument(request):
    raise NotImplementedError


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        (retry, r"middlewares\[1\] \(retry\) .* did you mean retry\(\)\?"),
        (not_async, r"middlewares\[1\] \(not_async\) is not an async function"),
        (None, r"middlewares\[1\] \(NoneType\) is not callable"),
        ("retry", r"middlewares\[1\] \(str\) is not callable"),
        (one_argument, r"middlewares\[1\] \(one_argument\) must take \(request, call_next\)"),
        (Pipeline, r"middlewares\[1\] \(Pipeline\) is not an async function"),
    ],
)
def test_what_is_no_middleware_is_named_when_the_pipeline_is_built(entry, complaint):
    with pytest.raises(TypeError, match=complaint):
        build_pipeline([passes, entry], provider=fake())


@pytest.mark.parametrize("middlewares", [passes, "passes"])
def test_a_single_middleware_instead_of_a_list_is_refused(middlewares):
    with pytest.raises(TypeError, match="must be a list"):
        build_pipeline(middlewares, provider=fake())


def test_a_generator_of_middlewares_is_materialised():
    llm = build_pipeline((layer for layer in [passes, passes]), provider=fake())

    assert llm.middlewares == (passes, passes)


def test_a_budget_inside_of_a_cache_that_only_replays_is_pointed_out():
    layers = [cache(mode="replay"), budget(tokens=1)]

    with pytest.warns(OrderWarning, match="nothing is ever sent in replay mode"):
        build_pipeline(layers, provider=fake())
    build_pipeline([cache(), budget(tokens=1)], provider=fake())
    with pytest.raises(ValueError, match="order must be"):
        build_pipeline(layers, provider=fake(), order="strict")


async def test_a_function_may_ask_another_pipeline_and_its_attempts_count_once():
    inner = build_pipeline([passes], provider=say_hi, model="inner")

    async def route(request):
        return await inner(request)

    for stream in (False, True):
        outer = build_pipeline(provider=route, model="outer")
        response = await outer.send(Request("outer", "hi", stream=stream))
        assert (await response.collect()).text == "Hi"
        assert [a.status for a in response.outcome.attempts] == ["completed"]


async def test_a_failure_behind_a_function_counts_once_too():
    inner = build_pipeline(provider=fake([ServerError("down")]), model="inner")

    async def route(request):
        return await inner(request)

    with pytest.raises(ServerError) as caught:
        await build_pipeline(provider=route, model="outer").complete("hi")

    assert [(a.provider, a.status) for a in caught.value.attempts] == [("fake", "failed")]


async def test_a_cancelled_call_behind_a_function_counts_once_too():
    began = asyncio.Event()
    contexts = []

    async def stalls(request):
        contexts.append(request.context)
        began.set()
        await asyncio.Event().wait()

    inner = build_pipeline(provider=stalls, model="inner")

    async def route(request):
        return await inner(request)

    call = asyncio.create_task(build_pipeline(provider=route, model="outer").complete("hi"))
    await began.wait()
    call.cancel()
    await asyncio.wait([call])

    assert [(a.provider, a.status) for a in contexts[0].attempts] == [("stalls", "cancelled")]


async def test_an_error_of_others_that_counts_its_attempts_otherwise_is_raised_as_it_is():
    class GaveUp(Exception):
        attempts = 3

    async def route(request):
        raise GaveUp

    with pytest.raises(GaveUp):
        await build_pipeline(provider=route, model="m").complete("hi")


@pytest.mark.parametrize("stream", [False, True])
async def test_what_a_function_asks_as_a_call_of_its_own_is_billed_here_too(stream):
    inner = build_pipeline(provider=fake(["Hi there", ServerError("down")]), model="inner")

    async def route(request):
        return await inner.send(Request("inner", request.messages, stream=request.stream))

    ledger = cost()
    outer = build_pipeline([ledger], provider=route, model="gpt-4o")
    context = Context()
    await (await outer.send(Request("gpt-4o", "hi", {}, stream, context))).collect()
    with pytest.raises(ServerError):
        await outer.send(Request("gpt-4o", "hi", {}, stream, context))

    assert [(a.provider, a.status) for a in context.attempts] == [
        ("fake", "completed"),
        ("route", "failed"),
    ]
    assert [entry.status for entry in ledger.entries] == ["completed", "failed"]
    assert ledger.entries[0].usage.total_tokens > 0


async def test_a_pipeline_pickles_by_what_it_was_built_from():
    llm = pickle.loads(
        pickle.dumps(build_pipeline([real_retry(attempts=2)], provider=fake(["Hi"]), model="m"))
    )

    assert repr(llm) == "Pipeline(model='m')\nretry(attempts=2)\n│ fake(1 steps)"
    assert (await llm.complete("hello")).text == "Hi"


async def test_a_task_that_outlives_its_call_holds_nothing_of_it():
    workers = []

    async def spawns(request, call_next):
        async def work():
            await proceed.wait()
            return [await other.complete("x") for _ in range(5)]

        workers.append(asyncio.create_task(work()))
        return await call_next(request)

    proceed = asyncio.Event()
    other = build_pipeline(provider=say_hi, model="m")
    await build_pipeline([spawns], provider=say_hi, model="m").complete("hi")
    proceed.set()

    assert len(await workers[0]) == 5


async def test_a_stream_opens_once_and_keeps_its_failure():
    llm = build_pipeline(provider=fake([ServerError("down"), "second"]), model="m")
    stream = llm.stream("hi")
    for _ in range(2):
        with pytest.raises(ServerError, match="down"):
            await stream.collect()

    with pytest.raises(RuntimeError, match="before any content"):
        _ = stream.result


def test_a_provider_factory_that_was_not_called_is_named():
    with pytest.raises(TypeError, match=r"provider \(fake\) .* did you mean fake\(\)\?"):
        build_pipeline(provider=fake)


async def test_a_layer_that_forgets_to_return_the_response_is_named():
    async def forgetful(request, call_next):
        await call_next(request)

    llm = build_pipeline([passes, forgetful], provider=say_hi, model="m")

    with pytest.raises(TypeError, match="forgetful returned None"):
        await llm.complete("hi")


async def test_a_layer_that_forgets_an_await_is_told_so():
    async def forgetful(request, call_next):
        forgotten.append(call_next(request))
        return forgotten[0]

    forgotten = []
    llm = build_pipeline([forgetful], provider=say_hi, model="m")

    with pytest.raises(TypeError, match=r"forgetful returned .* Is an await missing\?"):
        await llm.complete("hi")
    forgotten[0].close()


@pytest.mark.parametrize("way", [lambda llm: llm, lambda llm: llm.send])
async def test_messages_where_a_request_is_due_are_refused_with_the_right_method(way):
    llm = build_pipeline(provider=say_hi, model="m")

    with pytest.raises(TypeError, match=r"not str: complete\(\) takes messages"):
        await way(llm)("hi")


async def test_a_provider_that_returns_no_response_is_named():
    async def broken(request):
        return "Hi"

    with pytest.raises(TypeError, match="broken returned 'Hi'"):
        await build_pipeline(provider=broken, model="m").complete("hi")


# ------------------------------------------------------------------------------ the request


class Item:
    """Like the SDKs' message objects."""

    def model_dump(self, *, exclude_none):
        assert exclude_none
        return {"role": "user", "content": "dumped"}


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ("hi", ({"role": "user", "content": "hi"},)),
        ([{"role": "user", "content": "hi"}], ({"role": "user", "content": "hi"},)),
        ([Message(role="user", content="hi")], ({"role": "user", "content": "hi"},)),
        ((m for m in [{"role": "user", "content": "hi"}]), ({"role": "user", "content": "hi"},)),
        ([Item()], ({"role": "user", "content": "dumped"},)),
    ],
    ids=["text", "dicts", "Messages", "generator", "SDK objects"],
)
async def test_messages_are_taken_in_every_common_form(messages, expected):
    asked = []

    async def provider(request):
        asked.append(request.messages)
        return Response.completed(answer(), request)

    await build_pipeline(provider=provider, model="m").complete(messages)

    assert tuple(asked[0]) == expected


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        ([], "messages is empty"),
        (None, "must be a string or a list of messages, not None"),
        (7, "not int"),
        (b"hi", "not bytes"),
        ({"role": "user", "content": "hi"}, "not dict"),
        (["hi"], r"messages\[0\] must be a dict or a Message, not str"),
        ([{"content": "hi"}], r"messages\[0\] has no role"),
        ([{"role": "user", "content": "hi"}, {"role": 3}], r"messages\[1\] has no role"),
    ],
)
async def test_bad_messages_are_refused_with_their_position(messages, complaint):
    with pytest.raises(InvalidRequestError, match=complaint):
        await build_pipeline(provider=fake(), model="m").complete(messages)


@pytest.mark.parametrize("model", [3, "", ["gpt-4o"]])
def test_a_pipelines_model_is_checked_when_it_is_built(model):
    with pytest.raises(TypeError, match="model must be a name"):
        build_pipeline(provider=fake(), model=model)


@pytest.mark.parametrize("mark", [openai.NOT_GIVEN, openai.omit, anthropic.NOT_GIVEN, None])
async def test_what_an_sdk_takes_for_not_given_is_not_given(mark):
    provider = ScriptedProvider("Hi")

    await build_pipeline(provider=provider, model="m").complete("hi", temperature=mark, seed=0)

    assert dict(provider.requests[0].params) == {"seed": 0}


async def test_a_call_without_a_model_says_what_to_do():
    with pytest.raises(InvalidRequestError, match="pass model="):
        await build_pipeline(provider=fake()).complete("hi")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"model": 5}, "model must be a name"),
        ({"model": ""}, "model must be a name"),
        ({"tenant": ["a"]}, "tenant must be a name"),
        ({"metadata": "team=red"}, "metadata must be a mapping"),
        ({"deadline": 0}, "pass seconds from now"),
        ({"deadline": -1.0}, "pass seconds from now"),
        ({"deadline": float("nan")}, "pass seconds from now"),
        ({"deadline": "5"}, "pass seconds from now"),
    ],
    ids=str,
)
async def test_what_describes_the_call_is_checked_before_it_is_made(arguments, complaint):
    llm = build_pipeline(provider=fake(["never"]), model="fake/m")

    with pytest.raises(InvalidRequestError, match=complaint):
        await llm.complete("hi", **arguments)
    with pytest.raises(InvalidRequestError, match=complaint):
        llm.stream("hi", **arguments)


async def test_a_stream_has_one_reader():
    gate = asyncio.Event()

    async def provider(request):
        await gate.wait()
        return await say_hi(request)

    stream = build_pipeline(provider=provider, model="m").stream("hi")
    first = asyncio.create_task(stream.collect())
    await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="one stream, one reader"):
        await anext(stream)
    gate.set()

    assert (await first).text == "Hi"


async def test_a_stream_that_was_cancelled_while_it_opened_is_not_sent_again():
    asked = []

    async def provider(request):
        asked.append(request)
        await asyncio.Event().wait()

    stream = build_pipeline(provider=provider, model="m").stream("hi")
    first = asyncio.create_task(stream.collect())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])

    with pytest.raises(StreamInterruptedError, match="cancelled before it began"):
        await anext(stream)

    assert first.cancelled()
    assert len(asked) == 1


async def test_stream_is_a_method_and_no_parameter():
    with pytest.raises(TypeError, match=r"call pipeline\.stream"):
        await build_pipeline(provider=fake(), model="m").complete("hi", stream=True)


async def test_none_means_not_given():
    asked = []

    async def provider(request):
        asked.append(request.params)
        return Response.completed(answer(), request)

    llm = build_pipeline(provider=provider, model="m")
    await llm.complete("hi", temperature=None, seed=0, tools=None)

    assert asked == [{"seed": 0}]


async def test_the_context_is_shared_by_all_copies_of_a_request():
    request = Request("m", "hi", context=Context(tenant="acme", metadata={"job": 7}))

    copy = request.replace(model="other")

    assert copy.context is request.context
    assert copy.context.tenant == "acme"
    assert copy.context.metadata == {"job": 7}
    assert copy.context.id == request.context.id
    assert len({Context().id for _ in range(100)}) == 100


def test_a_request_cannot_be_changed_and_replace_knows_its_fields():
    request = Request("m", "hi")

    with pytest.raises(AttributeError):
        request.model = "other"
    with pytest.raises(TypeError):
        request.replace(modle="other")


# ------------------------------------------------------------------------------ attempts


async def test_each_provider_call_is_recorded_with_its_outcome():
    clock = ManualClock()
    llm = build_pipeline(
        provider=fake(["Hello there", ServerError("boom")]), model="m", clock=clock
    )
    context = Context(clock=clock)

    await (await llm.send(Request("m", "hi", context=context))).collect()
    with pytest.raises(ServerError):
        await llm.send(Request("m", "hi", context=context))

    good, bad = context.attempts
    assert (good.model, good.provider, good.status) == ("m", "fake", "completed")
    assert good.usage.completion_tokens > 0
    assert good.exact
    assert good.response.text == "Hello there"
    assert bad.status == "failed"
    assert isinstance(bad.error, ServerError)
    assert not bad.exact


async def test_a_streamed_attempt_ends_with_the_stream():
    llm = build_pipeline(provider=say_hi, model="m")
    response = await llm.send(Request("m", "hi", stream=True))
    (attempt,) = response.request.context.attempts
    assert attempt.status == "pending"

    async for _ in response:
        break
    await response.aclose()

    assert attempt.status == "closed"
    assert attempt.response.text == "H"
    assert attempt.first_token_after is not None


async def test_a_stream_that_fails_before_content_is_a_failed_attempt():
    async def provider(request):
        return Response.streaming(Source([ROLE]), request)

    context = Context()
    with pytest.raises(StreamTruncatedError):
        await build_pipeline(provider=provider).send(Request("m", "hi", {}, True, context))

    assert [attempt.status for attempt in context.attempts] == ["failed"]


async def test_a_cancelled_call_is_a_cancelled_attempt():
    async def hang(request):
        await asyncio.Event().wait()

    context = Context()
    llm = build_pipeline(provider=hang)
    task = asyncio.create_task(llm.send(Request("m", "hi", context=context)))
    await asyncio.sleep(0)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert [attempt.status for attempt in context.attempts] == ["cancelled"]


async def test_a_request_may_bring_its_own_provider():
    async def other(request):
        return Response.completed(answer("other"), request)

    llm = build_pipeline(provider=say_hi, model="m")
    response = await llm.send(Request("m", "hi", provider=other))

    assert (await response.collect()).text == "other"
    assert response.outcome.attempts[0].provider == "other"


# ------------------------------------------------------------------------------ closing


class Sources:
    """A provider whose streams are remembered."""

    def __init__(self):
        self.made = []

    async def __call__(self, request):
        source = Source([StreamChunk.of("a")], [StreamChunk.of("b")])
        self.made.append(source)
        return Response.streaming(source, request)


async def test_a_response_that_a_layer_replaces_is_closed():
    async def twice(request, call_next):
        await call_next(request)
        return await call_next(request)

    provider = Sources()
    response = await build_pipeline([twice], provider=provider, model="m").send(
        Request("m", "hi", stream=True)
    )

    assert [source.closed for source in provider.made] == [1, 0]
    await response.aclose()


@pytest.mark.parametrize("error", [ValueError("mine"), asyncio.CancelledError()])
async def test_a_response_is_closed_when_a_layer_raises(error):
    async def breaks(request, call_next):
        await call_next(request)
        raise error

    provider = Sources()
    with pytest.raises(type(error)):
        await build_pipeline([breaks], provider=provider, model="m").send(
            Request("m", "hi", stream=True)
        )

    assert [source.closed for source in provider.made] == [1]


async def test_a_nested_pipeline_that_is_dropped_is_closed_by_the_outer_one():
    provider = Sources()
    inner = build_pipeline(provider=provider, model="m")

    async def breaks(request, call_next):
        await call_next(request)
        raise ValueError("mine")

    outer = build_pipeline([breaks], provider=inner, model="m")
    with pytest.raises(ValueError, match="mine"):
        await outer.send(Request("m", "hi", stream=True))

    assert [source.closed for source in provider.made] == [1]


async def test_hedged_calls_in_tasks_of_their_own_are_closed_too():
    async def hedge(request, call_next):
        first, second = await asyncio.gather(call_next(request), call_next(request))
        return second

    provider = Sources()
    response = await build_pipeline([hedge], provider=provider, model="m").send(
        Request("m", "hi", stream=True)
    )

    assert sorted(source.closed for source in provider.made) == [0, 1]
    await response.aclose()
    assert [source.closed for source in provider.made] == [1, 1]


async def test_what_a_layer_opens_at_another_pipeline_is_its_own_to_close():
    kept = []

    async def looks_elsewhere(request, call_next):
        kept.append(await other.send(Request("m", "what else?", stream=True)))
        return await call_next(request)

    other = build_pipeline(provider=say_hi, model="m")
    await build_pipeline([looks_elsewhere], provider=say_hi, model="m").complete("hi")

    assert kept[0].outcome is None
    assert (await kept[0].collect()).text == "Hi"


async def test_a_task_that_asks_again_after_its_call_holds_no_answer_once_it_was_read():
    tasks, ended = [], asyncio.Event()

    async def refreshes(request, call_next):
        async def work():
            await ended.wait()
            answer = weakref.ref(response := await call_next(request))
            await response.collect()
            del response
            gc.collect()
            return answer()

        tasks.append(asyncio.create_task(work()))
        return await call_next(request)

    async def provider(request):
        return Response.streaming(words("H", "i"), request)

    await build_pipeline([refreshes], provider=provider, model="m").complete("hi")
    ended.set()

    assert await tasks[0] is None


async def test_leaving_the_block_of_a_stream_closes_it():
    provider = Sources()
    llm = build_pipeline(provider=provider, model="m")

    async with llm.stream("hi") as stream:
        async for _ in stream:
            break

    assert provider.made[0].closed
    assert stream.response.outcome.status == "closed"
    assert stream.result.text == "a"


async def test_breaking_out_of_a_stream_without_a_block_closes_it_soon():
    provider = Sources()
    llm = build_pipeline(provider=provider, model="m")

    async for _ in llm.stream("hi"):
        break
    gc.collect()
    await asyncio.sleep(0.01)

    assert provider.made[0].closed


async def test_a_stream_sends_nothing_before_it_is_used():
    provider = Sources()
    stream = build_pipeline(provider=provider, model="m").stream("hi")

    with pytest.raises(RuntimeError, match="has not ended"):
        _ = stream.result
    await stream.aclose()

    assert provider.made == []


async def test_nothing_keeps_a_response_alive_once_it_was_read():
    llm = build_pipeline([passes], provider=say_hi, model="m")
    response = await llm.send(Request("m", "hi", stream=True))
    await response.collect()

    gone = weakref.ref(response)
    del response
    gc.collect()

    assert gone() is None


async def test_closing_a_pipeline_closes_its_provider_and_layers():
    closed = []

    class Layer:
        async def __call__(self, request, call_next):
            return await call_next(request)

        async def aclose(self):
            closed.append("layer")

    class Provider:
        async def __call__(self, request):
            return Response.completed(answer(), request)

        async def aclose(self):
            closed.append("provider")

    async with build_pipeline([Layer()], provider=Provider(), model="m") as llm:
        await llm.complete("hi")

    assert closed == ["layer", "provider"]


# ------------------------------------------------------------------------------ the deadline


async def test_a_deadline_ends_a_call_that_is_not_answered():
    clock = ManualClock()

    async def hang(request):
        await asyncio.Event().wait()

    llm = build_pipeline(provider=hang, model="m", clock=clock)
    call = asyncio.create_task(llm.complete("hi", deadline=5))
    await clock.advance(4.9)
    assert not call.done()
    await clock.advance(0.2)

    with pytest.raises(TimeoutError) as caught:
        await call
    assert caught.value.limit == "deadline"


def test_layers_that_are_added_later_are_checked_as_strictly():
    quiet = build_pipeline([real_retry()], provider=say_hi, model="m", order="off")
    quiet.with_middlewares(real_retry())  # a warning would be an error here
    strict = build_pipeline([real_retry()], provider=say_hi, model="m", order="error")
    with pytest.raises(ValueError, match="their attempts multiply"):
        strict.with_middlewares(real_retry())


@pytest.mark.parametrize(
    ("name", "way"),
    [("api_key", "give it to the provider"), ("num_retries", "retry("), ("fallbacks", "fallback(")],
)
async def test_what_other_libraries_take_with_each_call_is_refused_with_the_way(name, way):
    llm = build_pipeline(provider=say_hi, model="m")
    with pytest.raises(TypeError, match=f"{name}= is not a parameter of a call: .*") as caught:
        await llm.complete("hi", **{name: "sk-secret"})
    assert way in str(caught.value)
    assert "sk-secret" not in str(caught.value)


def test_a_factory_called_wrongly_shows_how_it_is_called():
    with pytest.raises(TypeError, match=r"retry\(\): .*It is retry\(\*, attempts=3, wait_initial="):
        real_retry(max_attempts=3)


@pytest.mark.parametrize(
    ("provider", "hint"), [("openai", "is a name"), (AsyncOpenAI(api_key="-"), r"openai\(client=")]
)
def test_what_is_no_provider_is_refused_with_the_way_to_one(provider, hint):
    with pytest.raises(TypeError, match=hint):
        build_pipeline(provider=provider)


@pytest.mark.parametrize("method", ["map", "on_settle"])
async def test_an_async_function_where_a_plain_one_is_due_is_refused_by_name(method):
    async def listener(thing):
        return thing

    async def layer(request, call_next):
        return getattr(await call_next(request), method)(listener)

    with pytest.raises(TypeError, match=rf"{method}\(\) takes a plain function, and .*listener"):
        await build_pipeline([layer], provider=say_hi, model="m").complete("hi")
