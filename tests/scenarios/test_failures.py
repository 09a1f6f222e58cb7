"""Scenarios 1 to 3: no amplification, Retry-After, and errors before content, over real sockets."""

import asyncio
from email.utils import formatdate

import openai as sdk
import pytest

from scallion import exceptions as e
from scallion.middlewares import RetryBudget, fallback, retry
from scallion.providers import openai
from support.upstream import Reply, completion_stream, json_reply, message_stream, sse
from support.world import MODELS, Mode, chunks_of, failure

OTHER = {"openai": "anthropic", "anthropic": "openrouter", "openrouter": "openai"}


def steadily(**settings):
    """A retry() whose jitter is always the whole of what it may be."""
    return retry(rng=lambda: 1.0, **settings)


# ---------------------------------------------------------------------- 1. no amplification


async def test_retry_inside_of_fallback_asks_each_target_as_often_as_it_says(world, mode, provider):
    other = OTHER[provider]
    world.says(**{provider: failure(provider, 500), other: failure(other, 500)})
    llm = world.pipeline(fallback([MODELS[other]]), steadily(attempts=3), first=provider)

    with pytest.raises(e.AllModelsFailedError) as caught:
        await mode.ask(llm)

    assert world.counts() == {provider: 3, other: 3}
    assert world.clock.slept == [0.5, 1.0] * 2
    failed = caught.value
    assert [type(error) for error in failed.errors] == [e.ServerError, e.ServerError]
    assert [error.provider for error in failed.errors] == [provider, other]
    assert [a.provider for a in failed.attempts] == [provider] * 3 + [other] * 3
    assert {a.status for a in failed.attempts} == {"failed"}
    assert [type(a.error) for a in failed.attempts] == [e.ServerError] * 6
    assert failed.attempts[2].error is failed.errors[0]
    assert failed.attempts[5].error is failed.errors[1] is failed.__cause__
    assert [a.waited_after for a in failed.attempts] == [0.5, 1.0, None] * 2
    assert len({id(a.error) for a in failed.attempts}) == 6


async def test_retry_outside_of_fallback_asks_every_target_again(world, mode):
    world.says(**{name: failure(name, 503) for name in MODELS})
    targets = [MODELS["anthropic"], MODELS["openrouter"]]
    llm = world.pipeline(steadily(attempts=2), fallback(targets))

    with pytest.raises(e.AllModelsFailedError) as caught:
        await mode.ask(llm)

    assert world.counts() == {"openai": 2, "anthropic": 2, "openrouter": 2}
    assert [error.provider for error in caught.value.errors] == list(MODELS)
    assert [a.provider for a in caught.value.attempts] == list(MODELS) * 2


async def test_an_error_of_the_only_model_keeps_its_type_and_what_the_provider_said(
    world, mode, provider
):
    world.says(
        **{provider: failure(provider, 500, message="On fire", headers={"x-request-id": "r1"})}
    )
    llm = world.pipeline(steadily(attempts=2), first=provider)

    with pytest.raises(e.ServerError, match="On fire") as caught:
        await mode.ask(llm)

    error = caught.value
    assert (error.provider, error.model, error.status_code) == (provider, MODELS[provider], 500)
    assert error.request_id == "r1"
    assert error.body["error"]["message"] == "On fire"
    assert error.__cause__ is not None
    assert len(error.attempts) == world.upstream.count == 2


async def test_a_budget_of_four_extra_tries_gives_four_over_all_layers_and_calls(world, mode):
    budget = RetryBudget(ratio=0, min_per_second=0, burst=4)
    world.says(**{name: failure(name, 500) for name in MODELS})
    layers = [
        [fallback([MODELS["anthropic"]]), retry(attempts=3, budget=budget)],
        [retry(attempts=5, budget=budget)],
        [retry(attempts=2, budget=budget), fallback([MODELS["openrouter"]])],
    ]
    pipelines = [world.pipeline(*stack) for stack in layers]

    errors = await asyncio.gather(
        *[mode.ask(llm) for llm in pipelines for _ in range(3)], return_exceptions=True
    )

    assert all(isinstance(error, e.ProviderError) for error in errors)
    # What each would ask without any retry, and the four. A retry outside of a fallback takes one
    # extra try, and asks two models with it.
    waits = [sum(a.waited_after is not None for a in error.attempts) for error in errors]
    assert sum(waits) == 4
    assert world.upstream.count == 3 * (2 + 1 + 2) + sum(waits) + sum(waits[6:])
    assert sum(len(error.attempts) for error in errors) == world.upstream.count
    assert budget.balance == 0


async def test_the_sdks_own_retries_stay_off_even_in_a_client_that_was_handed_in(world, mode):
    client = sdk.AsyncOpenAI(base_url=f"{world.upstream.url}/openai/v1", max_retries=5)
    world.says(openai=failure("openai", 500))
    llm = world.pipeline(steadily(attempts=2), provider=openai(client=client), model="m")

    with pytest.raises(e.ServerError):
        await mode.ask(llm)

    assert world.counts() == {"openai": 2}
    assert {r.headers["x-stainless-retry-count"] for r in world.asked["openai"]} == {"0"}
    await client.close()


async def test_a_success_ends_it(world, mode, provider):
    world.says(**{provider: [failure(provider, 529), failure(provider, 408), mode.good(provider)]})
    llm = world.pipeline(fallback([MODELS[OTHER[provider]]]), steadily(), first=provider)

    answer = await mode.ask(llm)

    assert (answer.text, answer.provider) == ("Hi", provider)
    assert world.counts() == {provider: 3}


@pytest.mark.parametrize(
    ("status", "fields", "tries"),
    [
        (400, {}, 1),
        (401, {}, 1),
        (403, {}, 1),
        (404, {}, 1),
        (422, {}, 1),
        (429, {"code": "insufficient_quota"}, 1),
        (500, {"headers": {"x-should-retry": "false"}}, 1),
        (400, {"headers": {"x-should-retry": "true"}}, 3),
        (408, {}, 3),
        (409, {}, 3),
        (429, {}, 3),
        (500, {}, 3),
        (502, {}, 3),
        (529, {}, 3),
    ],
)
async def test_what_is_tried_again_follows_from_status_code_and_header(
    world, mode, status, fields, tries
):
    world.says(openai=failure("openai", status, **fields))

    with pytest.raises(e.ProviderError) as caught:
        await mode.ask(world.pipeline(steadily()))

    assert world.upstream.count == len(caught.value.attempts) == tries


async def test_a_kept_connection_that_the_server_has_closed_costs_one_try(world, mode, provider):
    world.says(**{provider: mode.good(provider)})
    llm = world.pipeline(steadily(), first=provider)
    await mode.ask(llm)
    world.upstream.drop_reused = True

    assert (await mode.ask(llm)).text == "Hi"

    assert world.upstream.dropped == 1
    assert world.counts() == {provider: 2}
    assert world.clock.slept == [0.5]


# ------------------------------------------------------------------------------ 2. Retry-After


def http_date(world, seconds):
    return formatdate(world.clock.time() + seconds, usegmt=True)


FORMS = {
    "seconds": lambda world: {"retry-after": "7"},
    "a fraction": lambda world: {"retry-after": "7.0"},
    "date": lambda world: {"retry-after": http_date(world, 7)},
    "milliseconds": lambda world: {"retry-after-ms": "7000"},
    "both": lambda world: {"retry-after-ms": "7000", "retry-after": "1"},
}


@pytest.mark.parametrize("form", FORMS)
async def test_retry_after_is_waited_with_the_jitter_on_top(world, mode, provider, form):
    limited = failure(provider, 429, headers=FORMS[form](world))
    world.says(**{provider: [limited, limited, mode.good(provider)]})

    await mode.ask(world.pipeline(steadily(), first=provider))

    # The second of the dates is as near as the time that has passed since it was written.
    second = 1.0 if form == "date" else 8.0
    assert world.clock.slept == [7.5, second]


@pytest.mark.parametrize("draw", [0.0, 0.3, 0.999])
async def test_it_is_never_waited_less(world, mode, draw):
    limited = failure("openai", 503, headers={"retry-after": "2"})
    world.says(openai=[limited, mode.good("openai")])

    await mode.ask(world.pipeline(retry(rng=lambda: draw)))

    assert world.clock.slept == [2 + draw * 0.5]


async def test_inside_of_fallback_each_target_is_waited_for_as_it_says(world, mode):
    world.says(
        openai=failure("openai", 429, headers={"retry-after": "3"}),
        anthropic=[
            failure("anthropic", 429, headers={"retry-after": "5"}),
            mode.good("anthropic"),
        ],
    )
    layers = [fallback([MODELS["anthropic"]]), retry(attempts=2, rng=lambda: 0.0)]

    assert (await mode.ask(world.pipeline(*layers))).provider == "anthropic"

    assert world.clock.slept == [3.0, 5.0]


async def test_outside_of_fallback_no_target_is_asked_sooner_than_it_says(world, mode):
    world.says(
        openai=failure("openai", 429, headers={"retry-after": "3"}),
        anthropic=[
            failure("anthropic", 429, headers={"retry-after": "5"}),
            mode.good("anthropic"),
        ],
    )
    layers = [retry(attempts=2, rng=lambda: 0.0), fallback([MODELS["anthropic"]])]

    assert (await mode.ask(world.pipeline(*layers))).provider == "anthropic"

    assert world.clock.slept == [5.0]
    assert world.counts() == {"openai": 2, "anthropic": 2}


@pytest.mark.parametrize("form", ["3601", "date"])
async def test_longer_than_the_maximum_goes_on_to_the_fallback_at_once(world, mode, form):
    after = http_date(world, 61) if form == "date" else form
    world.says(
        openai=failure("openai", 429, headers={"retry-after": after}),
        anthropic=mode.good("anthropic"),
    )

    answer = await mode.ask(world.pipeline(fallback([MODELS["anthropic"]]), retry()))

    assert answer.provider == "anthropic"
    assert world.counts() == {"openai": 1, "anthropic": 1}
    assert world.clock.slept == []


async def test_longer_than_the_deadline_goes_on_to_the_fallback_at_once(world, mode):
    world.says(
        openai=failure("openai", 429, headers={"retry-after": "10"}),
        anthropic=mode.good("anthropic"),
    )
    llm = world.pipeline(fallback([MODELS["anthropic"]]), retry())

    assert (await mode.ask(llm, deadline=9)).provider == "anthropic"

    assert world.clock.slept == []


async def test_without_a_fallback_the_error_says_how_long_to_wait(world, mode, provider):
    world.says(**{provider: failure(provider, 429, headers={"retry-after": "3600"})})

    with pytest.raises(e.RateLimitError) as caught:
        await mode.ask(world.pipeline(retry(), first=provider))

    assert caught.value.retry_after == 3600.0
    assert world.upstream.count == 1


async def test_retry_after_on_a_good_answer_means_nothing(world, mode):
    world.says(anthropic=mode.good("anthropic", headers={"retry-after": "30"}))

    await mode.ask(world.pipeline(retry(), first="anthropic"))

    assert world.clock.slept == []


# ---------------------------------------------------------------------- 3. error before content


def events(*said, status=200):
    """A stream of just these."""
    return Reply(status=status, headers={"content-type": "text/event-stream"}, chunks=said)


OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
DISCONNECTED = {
    "id": "gen-1",
    "object": "chat.completion.chunk",
    "error": {"code": 502, "message": "Provider disconnected"},
    "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
}
IN_A_CHOICE = {
    "choices": [
        {"index": 0, "delta": {}, "error": {"code": 502, "message": "Provider disconnected"}}
    ]
}
EARLY = {
    "after the role": (
        "openai",
        completion_stream(sse({"error": {"type": "server_error", "message": "Oh"}}), finish=None),
        e.ServerError,
    ),
    "at once": (
        "openai",
        events(sse({"error": {"code": "rate_limit_exceeded"}})),
        e.RateLimitError,
    ),
    "with a chunk": (
        "openrouter",
        completion_stream(b": OPENROUTER PROCESSING\n\n", sse(DISCONNECTED), finish=None),
        e.ServerError,
    ),
    "in a choice": ("openrouter", completion_stream(sse(IN_A_CHOICE), finish=None), e.ServerError),
    "overloaded after the role": (
        "anthropic",
        message_stream(sse(OVERLOADED, "error"), stop_reason=None),
        e.OverloadedError,
    ),
    "overloaded at once": ("anthropic", events(sse(OVERLOADED, "error")), e.OverloadedError),
    "an empty block first": (
        "anthropic",
        message_stream("", sse(OVERLOADED, "error"), stop_reason=None),
        e.OverloadedError,
    ),
}


@pytest.mark.parametrize("early", EARLY)
async def test_an_error_before_content_is_retried_and_then_goes_to_the_fallback(world, early):
    provider, broken, expected = EARLY[early]
    other = OTHER[provider]
    world.says(**{provider: broken, other: Mode("stream").good(other, "Clean")})
    llm = world.pipeline(fallback([MODELS[other]]), steadily(attempts=3), first=provider)

    stream = llm.stream("hi")
    chunks = await chunks_of(stream)

    assert world.counts() == {provider: 3, other: 1}
    assert [chunk.content for chunk in chunks if chunk.content] == ["Clean"]
    assert sum(c.choices[0].delta.role is not None for c in chunks if c.choices) == 1
    assert not any(chunk.restarted for chunk in chunks)
    assert not any(chunk.model_extra and "error" in chunk.model_extra for chunk in chunks)
    assert (stream.result.text, stream.result.provider) == ("Clean", other)
    attempts = stream.response.outcome.attempts
    assert [(a.provider, a.status) for a in attempts] == [(provider, "failed")] * 3 + [
        (other, "completed")
    ]
    assert {type(a.error) for a in attempts[:3]} == {expected}


@pytest.mark.parametrize("early", EARLY)
async def test_a_retry_after_it_gives_one_clean_stream(world, early):
    provider, broken, _ = EARLY[early]
    world.says(**{provider: [broken, Mode("stream").good(provider, "Clean")]})

    chunks = await chunks_of(world.pipeline(steadily(), first=provider).stream("hi"))

    assert [chunk.content for chunk in chunks if chunk.content] == ["Clean"]
    assert world.counts() == {provider: 2}


@pytest.mark.parametrize(
    ("provider", "body"),
    [
        ("openai", {"error": {"type": "server_error", "message": "Oh"}}),
        ("openrouter", {"error": {"code": 502, "message": "Oh"}, "user_id": "u"}),
        ("openrouter", IN_A_CHOICE | {"id": "gen-1"}),
        ("anthropic", OVERLOADED),
    ],
)
async def test_an_error_in_the_body_of_a_200_is_handled_alike(world, mode, provider, body):
    other = OTHER[provider]
    world.says(**{provider: json_reply(body), other: mode.good(other)})
    llm = world.pipeline(fallback([MODELS[other]]), steadily(attempts=2), first=provider)

    assert (await mode.ask(llm)).provider == other

    assert world.counts() == {provider: 2, other: 1}


async def test_an_error_before_content_that_nothing_helps_with_has_every_cause(world):
    world.says(**{name: EARLY[early][1] for name, early in (
        ("openai", "after the role"),
        ("anthropic", "overloaded at once"),
        ("openrouter", "with a chunk"),
    )})  # fmt: skip
    llm = world.pipeline(fallback([MODELS["anthropic"], MODELS["openrouter"]]))

    with pytest.raises(e.AllModelsFailedError) as caught:
        await chunks_of(llm.stream("hi"))

    kinds = [type(error) for error in caught.value.errors]
    assert kinds == [e.ServerError, e.OverloadedError, e.ServerError]
    assert [error.provider for error in caught.value.errors] == list(MODELS)
    for said in ("Oh", "Overloaded", "Provider disconnected"):
        assert said in str(caught.value)
