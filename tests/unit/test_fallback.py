"""fallback(): who is asked next, when, with what, and what the consumer sees."""

import asyncio
import json
import pickle

import pytest

from scallion import Context, Request, Response, build_pipeline
from scallion import exceptions as e
from scallion._accumulate import chunks_of
from scallion.middlewares import Target, fallback, retry
from scallion.middlewares._fallback import goes_on, request_for
from scallion.providers import fake
from scallion.testing import ManualClock
from scallion.types import ModelResponse, StreamChunk, Usage
from support.chunks import ROLE, STOP, Source, answer, words


class Models:
    """A provider that answers by the model's name: an error, a text, or a source."""

    def __init__(self, **behaviour):
        self.behaviour = behaviour
        self.asked = []

    async def __call__(self, request):
        self.asked.append(request)
        step = self.behaviour[request.model]
        if isinstance(step, list):
            step = step.pop(0)
        if isinstance(step, Exception):
            raise step
        if isinstance(step, Source):
            return Response.streaming(step, request, provider=request.model)
        if request.stream:
            return Response.streaming(words(*step.split("|")), request, provider=request.model)
        whole = answer(step.replace("|", ""))
        whole.provider = request.model
        return Response.completed(whole, request)

    @property
    def names(self):
        return [request.model for request in self.asked]


def pipeline(models, *layers, model="a"):
    return build_pipeline(layers, provider=models, model=model, clock=ManualClock(auto=True))


async def ask(llm, mode, **arguments):
    if mode == "complete":
        return (await llm.complete("hi", **arguments)).text
    return (await llm.stream("hi", **arguments).collect()).text


both = pytest.mark.parametrize("mode", ["complete", "stream"])


# ------------------------------------------------------------------------------ who is asked


@both
async def test_the_requests_own_model_is_asked_first(mode):
    models = Models(a="A", b="B")

    assert await ask(pipeline(models, fallback(["b"])), mode) == "A"
    assert models.names == ["a"]


@both
async def test_the_targets_are_asked_in_order_until_one_answers(mode):
    models = Models(a=e.ServerError("a"), b=e.RateLimitError("b"), c="C", d="D")

    assert await ask(pipeline(models, fallback(["b", "c", "d"])), mode) == "C"
    assert models.names == ["a", "b", "c"]


async def test_without_a_model_the_first_target_is_asked_first():
    models = Models(a="A", b="B")

    assert await ask(pipeline(models, fallback(["b", "a"]), model=None), "complete") == "B"
    assert models.names == ["b"]


async def test_the_answer_says_who_gave_it():
    models = Models(a=e.ServerError("a"), b="B")

    response = await pipeline(models, fallback(["b"])).complete("hi")

    assert response.provider == "b"


async def test_the_requests_own_model_is_not_asked_twice():
    models = Models(a=e.ServerError("a"), b=e.ServerError("b"))

    with pytest.raises(e.AllModelsFailedError):
        await pipeline(models, fallback(["a", "b"]), model=None).complete("hi", model="a")

    assert models.names == ["a", "b"]


@pytest.mark.parametrize("target", [Target(), Target(params={}), Target("a"), "a"])
async def test_a_target_that_changes_nothing_is_the_requests_own_model_again(target):
    models = Models(a=e.ServerError("a"), b=e.ServerError("b"))

    with pytest.raises(e.AllModelsFailedError):
        await pipeline(models, fallback([target, "b"]), model=None).complete("hi", model="a")

    assert models.names == ["a", "b"]


async def test_without_any_model_at_all_it_is_an_invalid_request():
    with pytest.raises(e.InvalidRequestError, match="no model"):
        await pipeline(Models(), fallback([Target()]), model=None).complete("hi")


async def test_the_same_model_with_other_parameters_is_another_target():
    models = Models(a=[e.ServerError("a"), "A"])

    await pipeline(models, fallback([Target("a", params={"temperature": 0})])).complete("hi")

    assert models.names == ["a", "a"]


def test_duplicates_are_dropped_once_with_a_warning():
    with pytest.warns(UserWarning, match=r"Target\(model='b'\) twice"):
        layer = fallback(["b", "c", "b"])

    assert layer.name == "fallback"


@pytest.mark.parametrize(
    ("one", "same"),
    [("gpt-4o", "openai/gpt-4o"), ("anthropic/claude-opus-4-6", "claude-opus-4-6")],
)
async def test_a_prefix_that_says_what_the_name_says_makes_no_other_model(one, same):
    with pytest.warns(UserWarning, match=f"{same}'\\) twice"):
        layer = fallback([one, same])
    models = Models(**{same: e.ServerError("x")})
    with pytest.raises(e.ServerError):
        await pipeline(models, layer, model=None).complete("hi", model=same)

    assert models.names == [same]
    with pytest.warns(UserWarning, match="the pipeline's own model"):
        build_pipeline([fallback([one, "n"])], provider=models, model=same)


@pytest.mark.parametrize(
    "names",
    [
        ("gpt-4o", "openrouter/gpt-4o"),
        ("openai/gpt-4o", "openrouter/openai/gpt-4o"),
        ("openai/meta/llama", "meta/llama"),
        ("claude-opus-4-6", "openai/claude-opus-4-6"),
        ("gpt-4o", "anthropic/gpt-4o"),
    ],
)
def test_a_prefix_that_says_more_makes_another_model(names):
    fallback(names)


@pytest.mark.parametrize(
    "other",
    [
        Target("b", on=e.ContextWindowExceededError),
        Target("b", provider=fake()),
        Target("b", params={"n": 1}),
        Target(provider=fake()),
    ],
)
def test_targets_that_differ_in_anything_are_two(other):
    fallback(["b", other])


def test_empty_parameters_make_no_difference():
    with pytest.warns(UserWarning, match="twice") as caught:
        fallback(["b", Target("b", params={})])

    assert caught[0].filename == __file__


def test_a_provider_that_is_named_twice_is_one_provider():
    with pytest.warns(UserWarning, match="twice"):
        fallback([Target("b", provider="fake"), Target("b", provider="fake")])


@both
async def test_a_handler_is_a_target_and_a_pipeline_keeps_its_own_model(mode):
    nested = pipeline(Models(x="X"), model="x")
    models = Models(a=e.ServerError("a"))

    assert await ask(pipeline(models, fallback([nested])), mode) == "X"


@both
async def test_a_handler_that_is_no_pipeline_may_have_a_model_of_its_own_too(mode):
    handler = Models(x="X")
    handler.model = "x"
    llm = pipeline(Models(a=e.ServerError("a")), fallback([handler]))

    response = await llm.send(Request("a", "hi", stream=mode == "stream"))

    assert (await response.collect()).text == "X"
    assert [a.model for a in response.outcome.attempts] == ["a", "x"]


async def test_a_target_may_name_its_provider():
    models = Models(a=e.ServerError("a"))
    llm = pipeline(models, fallback([Target("f", provider="fake"), Target("g", provider=fake())]))

    answer = await llm.complete("Hello.")

    assert answer.provider == "fake"
    assert answer.model == "f"


@pytest.mark.parametrize(
    ("targets", "error"),
    [
        ([], ValueError),
        ("gpt-4o", TypeError),
        (Target("gpt-4o"), TypeError),
        (None, TypeError),
        ([None], TypeError),
        ([Target], TypeError),
        ([["a"]], TypeError),
        ([fake], TypeError),
        ([Target("a", fake)], TypeError),
    ],
)
def test_what_is_no_list_of_targets_is_refused(targets, error):
    with pytest.raises(error, match="target"):
        fallback(targets)


def test_an_unknown_stream_mode_is_refused():
    with pytest.raises(ValueError, match='"before_content" or "restart"'):
        fallback(["a"], stream="anew")


# ------------------------------------------------------------------------------ parameters


async def test_parameters_patch_the_original_request_and_never_the_previous_target():
    models = Models(a=e.ServerError("a"), b=e.ServerError("b"), c="C")
    targets = [
        Target("b", params={"temperature": 0.5, "top_p": None}),
        Target("c", params={"seed": 1}),
    ]

    await pipeline(models, fallback(targets)).complete("hi", temperature=1.0, top_p=0.9)

    assert [request.params for request in models.asked] == [
        {"temperature": 1.0, "top_p": 0.9},
        {"temperature": 0.5},
        {"temperature": 1.0, "top_p": 0.9, "seed": 1},
    ]


def test_a_target_without_a_model_keeps_the_requests():
    async def handler(request):
        raise NotImplementedError

    request = Request("a", "hi")

    assert request_for(Target(provider=handler), request).model == "a"
    assert request_for(Target(provider=handler), request).provider is handler
    assert request_for(Target(params={"n": 1}), request).model == "a"
    assert request_for(Target(), request) is request


# ------------------------------------------------------------------------------ the decision


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (e.ServerError("x"), True),
        (e.OverloadedError("x"), True),
        (e.RateLimitError("x"), True),
        (e.RateLimitError("x", retryable=False), True),
        (e.TimeoutError("x"), True),
        (e.ConnectionError("x"), True),
        (e.AuthenticationError("x"), True),
        (e.PermissionDeniedError("x"), True),
        (e.ModelNotFoundError("x"), True),
        (e.StreamTruncatedError("x"), True),
        (e.MalformedResponseError("x"), True),
        (e.AllModelsFailedError("x", errors=[], retryable=True), True),
        (e.InvalidRequestError("x"), False),
        (e.InvalidRequestError("x", retryable=True), False),
        (e.ContextWindowExceededError("x"), False),
        (e.ContentPolicyError("x"), False),
        (e.ServerError("x", retryable=False), False),
        (e.BudgetExceededError("x"), False),
        (e.CacheMissError("x"), False),
        (ValueError("a bug"), False),
        (ModelResponse(), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_goes_on_to_the_next_target_by_default(reason, expected):
    assert goes_on(reason, "a", Target("b"), None) is expected


@pytest.mark.parametrize(
    ("failed", "target", "expected"),
    [
        ("gpt-4", "gpt-4.1", True),
        ("gpt-4.1", "gpt-4", False),
        ("gpt-4", "gpt-4", False),
        ("gpt-4", "nobody-knows-this", False),
        ("nobody-knows-this", "gpt-4.1", False),
        (None, "gpt-4.1", False),
    ],
)
def test_a_prompt_that_is_too_long_goes_to_larger_models_only(failed, target, expected):
    assert goes_on(e.ContextWindowExceededError("x"), failed, Target(target), None) is expected


@pytest.mark.parametrize(
    ("reason", "own", "general", "expected"),
    [
        (e.ContextWindowExceededError("x"), e.ContextWindowExceededError, None, True),
        (e.ContentPolicyError("x"), e.ContextWindowExceededError, None, False),
        (e.ServerError("x"), e.ContextWindowExceededError, None, False),
        (e.ServerError("x"), (e.ServerError, e.RateLimitError), None, True),
        (e.ServerError("x"), None, e.RateLimitError, False),
        (e.InvalidRequestError("x"), None, e.InvalidRequestError, True),
        (e.InvalidRequestError("x"), e.ServerError, e.InvalidRequestError, False),
        (e.ServerError("x"), lambda reason: False, None, False),
        (e.InvalidRequestError("x"), lambda reason: True, None, True),
    ],
)
def test_on_overrides_and_a_targets_own_comes_first(reason, own, general, expected):
    assert goes_on(reason, "a", Target("b", on=own), general) is expected


async def test_a_400_stops_the_chain_and_is_raised_as_it_is():
    invalid = e.InvalidRequestError("no")
    models = Models(a=invalid, b="B")

    with pytest.raises(e.InvalidRequestError) as caught:
        await pipeline(models, fallback(["b"])).complete("hi")

    assert caught.value is invalid
    assert models.names == ["a"]


async def test_special_targets_are_passed_over_until_their_error_comes():
    models = Models(a=e.ContextWindowExceededError("long"), b="B", c="C")
    targets = ["b", Target("c", on=e.ContextWindowExceededError)]

    assert await ask(pipeline(models, fallback(targets)), "complete") == "C"
    assert models.names == ["a", "c"]


async def test_an_answer_that_the_predicate_rejects_goes_on():
    models = Models(a="", b="B")
    llm = pipeline(
        models, fallback(["b"], on=lambda r: isinstance(r, ModelResponse) and not r.text)
    )

    assert await ask(llm, "complete") == "B"


def is_no_json(reason):
    try:
        return isinstance(reason, ModelResponse) and not json.loads(reason.text)
    except ValueError:
        return True


REJECTED = {
    "empty": ("", lambda r: isinstance(r, ModelResponse) and not r.text),
    "no JSON": ("{oops", is_no_json),
    "a refusal": ("I cannot", lambda r: isinstance(r, ModelResponse) and bool(r.message.refusal)),
    "too short": ("yes", lambda r: isinstance(r, ModelResponse) and r.usage is None),
}


@both
@pytest.mark.parametrize("why", REJECTED)
async def test_a_predicate_may_reject_a_finished_answer_for_anything_in_it(mode, why):
    text, rejects = REJECTED[why]
    usage = Usage(prompt_tokens=1, completion_tokens=1, total_tokens=2)

    async def provider(request):
        asked.append(request.model)
        whole = answer('{"ok": true}', usage=usage) if request.model == "b" else answer(text)
        if why == "a refusal" and request.model == "a":
            whole.message.content, whole.message.refusal = None, text
        if request.stream:
            return Response.streaming(Source(chunks_of(whole)), request)
        return Response.completed(whole, request)

    asked = []
    llm = pipeline(provider, fallback(["b"], on=rejects, stream="restart"))

    assert await ask(llm, mode) == '{"ok": true}'
    assert asked == ["a", "b"]


async def test_an_answer_that_everybody_rejects_is_an_error_with_the_answers():
    models = Models(a="no", b="neither")
    llm = pipeline(models, fallback(["b"], on=lambda r: isinstance(r, ModelResponse)))

    with pytest.raises(e.AllModelsFailedError) as caught:
        await llm.complete("hi")

    assert [error.partial.text for error in caught.value.errors] == ["no", "neither"]


async def test_a_predicate_sees_the_answer_of_a_complete_call_also_if_it_came_as_a_stream():
    async def streams_anyway(request):
        return Response.streaming(words({"a": "no", "b": "yes"}[request.model]), request)

    llm = pipeline(streams_anyway, fallback(["b"], on=lambda found: found.text == "no"))

    assert (await llm.complete("hi")).text == "yes"


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda on: retry(on=on), r"on is called with \(error, attempt\)"),
        (lambda on: fallback(["b"], on=on), r"on is called with \(result\)"),
        (lambda on: fallback([Target("b", on=on)]), r"targets\[0\]\.on is called with \(result\)"),
    ],
)
def test_a_predicate_that_takes_something_else_is_refused_before_the_first_failure(make, wanted):
    with pytest.raises(TypeError, match=wanted):
        make(lambda: True)


def test_an_async_predicate_is_refused_for_a_target_too():
    async def asks_somebody(reason):
        return False

    with pytest.raises(TypeError, match=r"targets\[0\].on cannot be async"):
        fallback([Target("b", on=asks_somebody)])


@both
async def test_a_target_may_ask_for_an_answer_that_nobody_else_minds(mode):
    def empty(reason):
        return isinstance(reason, ModelResponse) and not reason.text

    models = Models(a="", b="B", c="C")
    targets = ["b", Target("c", on=empty)]

    assert await ask(pipeline(models, fallback(targets, stream="restart")), mode) == "C"
    assert models.names == ["a", "c"]


@both
async def test_when_the_next_target_fails_too_the_rejected_answer_is_among_the_causes(mode):
    models = Models(a="no", b=e.ServerError("b"))
    on = lambda r: isinstance(r, ModelResponse)  # noqa: E731

    with pytest.raises(e.AllModelsFailedError) as caught:
        await ask(pipeline(models, fallback(["b"], on=on, stream="restart")), mode)

    first, second = caught.value.errors
    assert (first.partial.text, str(second)) == ("no", "b")


async def test_a_finished_stream_that_nobody_is_left_to_replace_is_an_error_too():
    models = Models(a="no", b="neither")
    on = lambda r: isinstance(r, ModelResponse)  # noqa: E731
    stream = pipeline(models, fallback(["b"], on=on, stream="restart")).stream("hi")

    with pytest.raises(e.AllModelsFailedError) as caught:
        await stream.collect()

    assert [error.partial.text for error in caught.value.errors] == ["no", "neither"]
    assert stream.response.outcome.status == "failed"
    assert [a.status for a in caught.value.attempts] == ["completed", "completed"]


# ------------------------------------------------------------------------------ all fail


@both
async def test_when_all_fail_every_cause_is_kept_in_order_and_readable(mode):
    models = Models(
        a=e.ServerError("down", provider="p", model="a", status_code=500),
        b=e.RateLimitError("slow", provider="p", model="b", status_code=429, retry_after=3.0),
    )

    with pytest.raises(e.AllModelsFailedError) as caught:
        await ask(pipeline(models, fallback(["b"])), mode)

    failure = caught.value
    assert [type(error) for error in failure.errors] == [e.ServerError, e.RateLimitError]
    assert str(failure) == (
        "none of 2 models answered:\n"
        "  1. ServerError: p/a: down (status 500)\n"
        "  2. RateLimitError: p/b: slow (status 429)"
    )
    assert failure.retryable
    assert failure.retry_after == 3.0
    assert [attempt.model for attempt in failure.attempts] == ["a", "b"]
    assert failure.__cause__ is failure.errors[-1]


@pytest.mark.parametrize(
    ("other", "calls"),
    [(e.ServerError("b"), ["a", "b"] * 2), (e.AuthenticationError("b"), ["a", "b"])],
)
async def test_it_may_be_asked_again_if_any_of_them_may(other, calls):
    models = Models(a=e.AuthenticationError("a"), b=other)

    with pytest.raises(e.AllModelsFailedError):
        await pipeline(models, retry(attempts=2), fallback(["b"])).complete("hi")

    assert models.names == calls


async def test_the_causes_of_a_fallback_further_in_stand_below_its_own_number():
    nested = pipeline(
        Models(x=e.ServerError("x is\ndown"), y=e.AuthenticationError("y has no key")),
        fallback(["y"]),
        model="x",
    )
    models = Models(a=e.ServerError("a is down"), b=e.ModelNotFoundError("no b"))

    with pytest.raises(e.AllModelsFailedError) as caught:
        await pipeline(models, fallback([nested, "b"])).complete("hi")

    assert str(caught.value).splitlines() == [
        "none of 3 models answered:",
        "  1. ServerError: a is down",
        "  2. AllModelsFailedError: none of 2 models answered:",
        "       1. ServerError: x is",
        "          down",
        "       2. AuthenticationError: y has no key",
        "  3. ModelNotFoundError: no b",
    ]


async def test_the_same_model_for_certain_errors_is_another_target():
    models = Models(a=[e.ServerError("a"), "A"])

    await pipeline(models, fallback([Target("a", on=e.ServerError)])).complete("hi")

    assert models.names == ["a", "a"]


async def test_retry_outside_of_fallback_asks_all_targets_again():
    models = Models(a=e.ServerError("a"), b=e.ServerError("b"))

    with pytest.raises(e.AllModelsFailedError):
        await pipeline(models, retry(attempts=2), fallback(["b"])).complete("hi")

    assert models.names == ["a", "b", "a", "b"]


async def test_retry_inside_of_fallback_asks_each_target_again():
    models = Models(a=e.ServerError("a"), b=e.ServerError("b"))

    with pytest.raises(e.AllModelsFailedError):
        await pipeline(models, fallback(["b"]), retry(attempts=3)).complete("hi")

    assert models.names == ["a"] * 3 + ["b"] * 3


async def test_a_retry_outside_waits_the_longest_retry_after_of_all_targets():
    models = Models(
        a=[e.RateLimitError("a", retry_after=5.0), "A"], b=e.RateLimitError("b", retry_after=3.0)
    )
    clock = ManualClock(auto=True)
    layers = [retry(rng=lambda: 0.0), fallback(["b"])]
    llm = build_pipeline(layers, provider=models, model="a", clock=clock)

    assert (await llm.complete("hi")).text == "A"
    assert clock.slept == [5.0]


async def test_cancelling_does_not_go_on():
    async def hang(request):
        models.append(request.model)
        await asyncio.Event().wait()

    models = []
    llm = build_pipeline([fallback(["b"])], provider=hang, model="a")
    call = asyncio.create_task(llm.complete("hi"))
    await asyncio.sleep(0)

    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert models == ["a"]


# ------------------------------------------------------------------------------ streams


async def test_an_error_before_content_is_invisible():
    models = Models(a=Source([ROLE], e.OverloadedError("busy")), b="B|ee")

    stream = pipeline(models, fallback(["b"])).stream("hi")
    chunks = [chunk async for chunk in stream]

    assert [chunk.content for chunk in chunks if chunk.content] == ["B", "ee"]
    assert not any(chunk.restarted for chunk in chunks)
    assert stream.result.provider == "b"


async def test_an_error_after_content_is_raised_by_default():
    source = Source([StreamChunk.of("Hel")], e.ServerError("boom"))
    models = Models(a=source, b="B")

    with pytest.raises(e.StreamInterruptedError) as caught:
        await ask(pipeline(models, fallback(["b"])), "stream")

    assert caught.value.partial.text == "Hel"
    assert models.names == ["a"]


async def test_restart_begins_anew_on_a_marked_chunk_and_the_result_is_the_new_answer():
    source = Source([StreamChunk.of("Hel")], [StreamChunk.of("lo")], e.ServerError("boom"))
    models = Models(a=source, b="B|ee")

    stream = pipeline(models, fallback(["b"], stream="restart")).stream("hi")
    chunks = [chunk async for chunk in stream]

    assert [(c.content, c.restarted) for c in chunks if c.content] == [
        ("Hel", False),
        ("lo", False),
        ("B", True),
        ("ee", False),
    ]
    assert stream.result.text == "Bee"
    assert stream.result.provider == "b"
    assert stream.response.outcome.status == "completed"
    assert source.closed
    assert [a.status for a in stream.response.outcome.attempts] == ["failed", "completed"]
    assert stream.response.outcome.attempts[0].response.text == "Hello"


async def test_restart_goes_through_all_targets():
    def broken(text):
        return Source([StreamChunk.of(text)], e.ServerError(text))

    models = Models(a=broken("1"), b=e.ServerError("b"), c=broken("2"), d="D")

    stream = pipeline(models, fallback(["b", "c", "d"], stream="restart")).stream("hi")
    texts = [c.content async for c in stream if c.content]

    assert texts == ["1", "2", "D"]
    assert stream.result.text == "D"
    assert models.names == ["a", "b", "c", "d"]


async def test_when_no_target_is_left_to_restart_with_every_cause_is_raised():
    def broken(text):
        return Source([StreamChunk.of(text)], e.ServerError(text))

    models = Models(a=broken("1"), b=broken("2"))

    with pytest.raises(e.AllModelsFailedError) as caught:
        await ask(pipeline(models, fallback(["b"], stream="restart")), "stream")

    assert [error.partial.text for error in caught.value.errors] == ["1", "2"]


async def test_a_break_that_no_target_takes_is_raised_as_it_is():
    source = Source([StreamChunk.of("1")], e.InvalidRequestError("no"))
    models = Models(a=source, b="B")

    with pytest.raises(e.StreamInterruptedError, match="no"):
        await ask(pipeline(models, fallback(["b"], stream="restart", on=e.ServerError)), "stream")


async def test_inner_layers_settle_where_their_stream_broke_and_outer_ones_at_the_end():
    inner, outer = [], []

    def watch(log):
        async def middleware(request, call_next):
            response = await call_next(request)
            return response.on_settle(lambda o: log.append((o.status, o.response.text)))

        return middleware

    models = Models(a=Source([StreamChunk.of("1")], e.ServerError("x")), b="B")
    llm = pipeline(models, watch(outer), fallback(["b"], stream="restart"), watch(inner))

    await llm.stream("hi").collect()

    assert inner == [("failed", "1"), ("completed", "B")]
    assert outer == [("completed", "B")]


async def test_a_rewriting_further_out_sees_the_seam_and_keeps_it():
    def upper(chunk):
        return StreamChunk.of(chunk.content.upper()) if chunk.content else chunk

    async def shout(request, call_next):
        return (await call_next(request)).map(upper)

    models = Models(a=Source([StreamChunk.of("x")], e.ServerError("x")), b="b|ee")
    stream = pipeline(models, shout, fallback(["b"], stream="restart")).stream("hi")

    assert [(c.content, c.restarted) async for c in stream if c.content] == [
        ("X", False),
        ("B", True),
        ("EE", False),
    ]
    assert stream.result.text == "BEE"


@pytest.mark.parametrize(
    ("on", "restarts"),
    [
        (e.ServerError, True),
        ((e.RateLimitError, e.ServerError), True),
        (e.StreamInterruptedError, True),
        (e.OverloadedError, False),
        (lambda reason: isinstance(reason, e.StreamInterruptedError), True),
        (lambda reason: isinstance(reason.__cause__, e.ServerError), True),
        (lambda reason: isinstance(reason, e.ServerError), False),
    ],
    ids=["cause", "causes", "itself", "another", "predicate", "of the cause", "not of itself"],
)
@pytest.mark.parametrize("whose", ["fallback", "target"])
async def test_types_match_what_broke_a_stream_and_a_predicate_sees_that_it_broke(
    on, restarts, whose
):
    seen = []

    def predicate(reason):  # the whole answer of "b" is shown to it as well
        seen.append(reason)
        return isinstance(reason, Exception) and on(reason)

    wanted = on if isinstance(on, (type, tuple)) else predicate
    models = Models(a=Source([StreamChunk.of("A")], e.ServerError("boom")), b="B")
    layer = (
        fallback(["b"], on=wanted, stream="restart")
        if whose == "fallback"
        else fallback([Target("b", on=wanted)], stream="restart")
    )

    if restarts:
        assert await ask(pipeline(models, layer), "stream") == "B"
    else:
        with pytest.raises(e.StreamInterruptedError, match="boom"):
            await ask(pipeline(models, layer), "stream")
    assert len(models.asked) == 1 + restarts


async def test_the_seam_is_marked_on_a_copy_because_the_providers_chunks_are_its_own():
    kept = [StreamChunk.of("B"), StreamChunk.of("C")]
    models = Models(a=Source([StreamChunk.of("A")], e.ServerError("boom")), b=Source(kept, [STOP]))
    stream = pipeline(models, fallback(["b"], stream="restart")).stream("hi")

    seen = [chunk async for chunk in stream]

    assert [(c.content, c.restarted) for c in seen] == [
        ("A", False), ("B", True), ("C", False), (None, False)
    ]  # fmt: skip
    assert not any(chunk.restarted for chunk in kept)


async def test_a_rewriting_may_give_the_same_chunk_again_and_the_seam_is_not_written_on_it():
    constant = StreamChunk.of("*")

    async def mask(request, call_next):
        return (await call_next(request)).map(lambda chunk: constant if chunk.content else chunk)

    models = Models(a=Source([StreamChunk.of("A")], e.ServerError("boom")), b="B")
    stream = pipeline(models, mask, fallback(["b"], stream="restart")).stream("hi")

    seen = [(chunk.content, chunk.restarted) async for chunk in stream]

    assert seen == [("*", False), ("*", True), (None, False)]
    assert not constant.restarted


async def test_a_target_that_answers_at_once_takes_over_too():
    """A cache may, or a handler that knows no streams."""

    async def at_once(request):
        return Response.completed(answer("whole"), request)

    models = Models(a=Source([StreamChunk.of("A")], e.ServerError("boom")))
    stream = pipeline(models, fallback([at_once], stream="restart")).stream("hi")

    seen = [(chunk.content, chunk.restarted) async for chunk in stream]

    assert seen == [("A", False), ("whole", True), (None, False)]
    assert stream.result.text == "whole"


async def test_closing_after_a_restart_closes_the_new_stream():
    second = Source([StreamChunk.of("B")], [StreamChunk.of("ee")], [STOP])
    models = Models(a=Source([StreamChunk.of("x")], e.ServerError("x")), b=second)

    async with pipeline(models, fallback(["b"], stream="restart")).stream("hi") as stream:
        async for chunk in stream:
            if chunk.restarted:
                break

    assert second.closed
    assert [a.status for a in stream.response.outcome.attempts] == ["failed", "closed"]


async def test_a_finished_stream_that_the_predicate_rejects_restarts():
    models = Models(a="no", b="yes")
    on = lambda r: isinstance(r, ModelResponse) and r.text == "no"  # noqa: E731
    stream = pipeline(models, fallback(["b"], on=on, stream="restart")).stream("hi")

    assert [c.content async for c in stream if c.content] == ["no", "yes"]
    assert stream.result.text == "yes"


async def test_nobody_is_asked_when_the_deadline_has_passed():
    clock = ManualClock(auto=True)
    first = Source([StreamChunk.of("Hel")], clock.sleep(9), [STOP])
    models = Models(a=first, b="B")
    layer = fallback(["b"], stream="restart")
    llm = build_pipeline([layer], provider=models, model="a", clock=clock)

    with pytest.raises(e.TimeoutError) as caught:
        await llm.stream("hi", deadline=5).collect()

    assert (caught.value.limit, caught.value.partial.text) == ("deadline", "Hel")
    assert models.names == ["a"]


async def test_a_cancelled_restart_is_cancelled():
    async def provider(request):
        if request.model == "a":
            return Response.streaming(Source([StreamChunk.of("x")], e.ServerError("x")), request)
        asked.set()
        return await asyncio.Event().wait()

    asked = asyncio.Event()
    llm = build_pipeline([fallback(["b"], stream="restart")], provider=provider, model="a")
    stream = llm.stream("hi")
    task = asyncio.create_task(stream.collect())
    await asked.wait()

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert stream.response.outcome.status == "cancelled"


# ------------------------------------------------------------------------------ the layer


def test_it_shows_what_it_was_made_from_and_pickles():
    layer = fallback(["b", Target("c", params={"n": 1})])

    assert repr(layer) == "fallback(targets=['b', Target(model='c', params={'n': 1})])"
    assert repr(pickle.loads(pickle.dumps(layer))) == repr(layer)


async def test_the_documented_order_builds_without_a_warning():
    llm = build_pipeline([retry(), fallback(["gpt-4o", "claude-sonnet-4-5"])])

    assert "retry()" in repr(llm)
    context = Context()
    with pytest.raises(e.AllModelsFailedError):
        await build_pipeline(
            [retry(attempts=1), fallback(["x", "y"])], provider=fake([e.ServerError("1")] * 2)
        ).send(Request(None, "hi", context=context))
    assert [attempt.model for attempt in context.attempts] == ["x", "y"]


async def test_a_target_that_is_the_pipelines_own_model_is_asked_once_with_a_warning():
    down = fake([e.ServerError("x")] * 2)
    with pytest.warns(UserWarning, match="'m', the pipeline's own model: it is asked once"):
        llm = build_pipeline([fallback(["m", "n"])], provider=down, model="m")
    with pytest.raises(e.AllModelsFailedError) as caught:
        await llm.complete("hi")
    assert [attempt.model for attempt in caught.value.attempts] == ["m", "n"]


@pytest.mark.parametrize(
    ("failed", "model", "larger"),
    [
        ("gpt-4", "gpt-4.1", True),
        ("gpt-4.1", "gpt-4", False),
        ("gpt-4o", "gpt-4o", False),
        (None, "gpt-4.1", False),
        ("gpt-4", None, False),
        ("gpt-4", "nobody-knows-it", False),
        ("nobody-knows-it", "gpt-4.1", False),
    ],
)
def test_a_prompt_that_is_too_long_goes_on_to_windows_known_to_be_larger(failed, model, larger):
    error = e.ContextWindowExceededError("too long")
    assert goes_on(error, failed, Target(model), None) is larger


def test_a_model_that_a_target_names_is_asked_for_also_where_its_pipeline_has_one():
    inner = build_pipeline(provider=fake(), model="its own")
    request = Request("asked", "hi")
    assert request_for(Target("named", provider=inner), request).model == "named"
    assert request_for(Target(provider=inner), request).model is None
    assert request_for(Target(provider=build_pipeline(provider=fake())), request).model == "asked"


def test_of_an_error_that_broke_no_stream_only_its_own_type_counts():
    error = e.ServerError("no")
    error.__cause__ = KeyError("x")
    assert not goes_on(error, "a", Target("b"), KeyError)
