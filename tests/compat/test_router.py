"""`scallion.compat`: routers in litellm's form, on Scallion's own types."""

from __future__ import annotations

import subprocess
import sys

import pytest

import scallion.compat
from scallion.compat import ManagedRouter, Message, ModelResponse, Router, StreamChunk, Usage
from scallion.compat._connect import Clients, Endpoint, make_client
from scallion.compat._pool import Pool
from scallion.compat._router import endpoint_of
from scallion.exceptions import (
    AllModelsFailedError,
    AuthenticationError,
    ContentPolicyError,
    ContextWindowExceededError,
    InvalidRequestError,
    ModelNotFoundError,
    RateLimitError,
    StreamTruncatedError,
    TimeoutError,
)
from scallion.testing import ManualClock
from support.upstream import HANG, Reply, Upstream, completion, completion_stream, error

ASKED = [{"role": "user", "content": "Hello"}]
TOO_LONG = error(400, code="context_length_exceeded")
REFUSED = error(400, code="content_policy_violation")


def deployment(group, upstream, model=None, **params):
    where = {"api_base": f"{upstream.url}/v1", "api_key": "sk-test"}
    return {
        "model_name": group,
        "litellm_params": {"model": f"openai/{model or group}", **where, **params},
    }


def router(*deployments, kind=Router, **settings):
    settings = {"clock": ManualClock(auto=True), "rng": lambda: 0.0, **settings}
    return kind(model_list=list(deployments), **settings)


def asked_models(upstream):
    return [request.json["model"] for request in upstream.requests]


class Listener:
    """Keeps what it is told."""

    def __init__(self):
        self.told = []

    def log_pre_api_call(self, model, messages, kwargs):
        self.told.append(("pre", model))

    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        assert end_time >= start_time
        self.told.append(("success", response_obj.text))

    def log_failure_event(self, kwargs, response_obj, start_time, end_time):
        self.told.append(("failure", type(kwargs["exception"]).__name__))

    def log_stream_event(self, kwargs, response_obj, start_time, end_time):
        self.told.append(("chunk", response_obj.content))


# ------------------------------------------------------------------------------------- the calls


async def test_a_group_answers_with_scallions_own_types():
    async with Upstream(completion("Hi")) as upstream, router(deployment("fast", upstream)) as made:
        answer = await made.acompletion("fast", ASKED, temperature=0.5)
        assert isinstance(answer, ModelResponse)
        assert isinstance(answer.message, Message)
        assert isinstance(answer.usage, Usage)
        assert answer.text == "Hi"
        assert upstream.requests[0].json["temperature"] == 0.5
        assert upstream.requests[0].json["model"] == "fast"
        assert upstream.requests[0].headers["authorization"] == "Bearer sk-test"


async def test_a_stream_is_read_chunk_by_chunk_and_has_its_result():
    async with (
        Upstream(completion_stream("Hel", "lo")) as upstream,
        router(deployment("fast", upstream)) as made,
    ):
        stream = await made.acompletion("fast", ASKED, stream=True)
        chunks = [chunk async for chunk in stream]
        assert all(isinstance(chunk, StreamChunk) for chunk in chunks)
        assert "".join(chunk.content or "" for chunk in chunks) == "Hello"
        assert stream.result.text == "Hello"


async def test_a_stream_can_be_collected_and_closed():
    replies = [completion_stream("Hel", "lo"), completion_stream("a", "b", HANG)]
    async with Upstream(*replies) as upstream, router(deployment("fast", upstream)) as made:
        stream = await made.acompletion("fast", ASKED, stream=True)
        assert (await stream.collect()).text == "Hello"
        async with await made.acompletion("fast", ASKED, stream=True) as stream:
            async for _ in stream:
                break


def test_callers_without_a_loop_get_the_same():
    with Upstream(completion("Hi"), completion_stream("Hel", "lo")) as upstream:
        made = router(deployment("fast", upstream), clock=None)
        assert made.completion("fast", ASKED).text == "Hi"
        chunks = made.completion("fast", ASKED, stream=True)
        assert "".join(chunk.content or "" for chunk in chunks) == "Hello"


async def test_a_deployments_own_parameters_are_weaker_than_the_calls():
    async with Upstream(default=completion("Hi")) as upstream:
        made = router(
            deployment("fast", upstream, temperature=0.1, seed=7),
            default_litellm_params={"top_p": 0.9},
        )
        await made.acompletion("fast", ASKED, temperature=0.5, metadata={"user": "ann"})
        body = upstream.requests[0].json
        assert (body["temperature"], body["seed"], body["top_p"]) == (0.5, 7, 0.9)
        assert "metadata" not in body
        await made.aclose()


async def test_an_unknown_group_is_an_error_that_lists_the_known_ones():
    made = router({"model_name": "fast", "litellm_params": {"model": "fake/x"}})
    with pytest.raises(ModelNotFoundError, match="known are: fast"):
        await made.acompletion("slow", ASKED)


# --------------------------------------------------------------------- retries, rests and fallbacks


async def test_a_failure_that_may_pass_is_tried_again_on_another_deployment():
    async with Upstream(error(500), completion("Hi")) as upstream:
        numbers = iter([0.0, 0.9, 0.0])
        made = router(
            deployment("fast", upstream, "one"),
            deployment("fast", upstream, "two"),
            rng=lambda: next(numbers),
        )
        assert (await made.acompletion("fast", ASKED)).text == "Hi"
        assert asked_models(upstream) == ["one", "two"]
        await made.aclose()


async def test_retries_are_as_many_as_said():
    async with Upstream(default=error(500)) as upstream:
        async with router(deployment("fast", upstream), num_retries=1) as made:
            with pytest.raises(Exception, match="Scripted failure"):
                await made.acompletion("fast", ASKED)
        assert upstream.count == 2


async def test_retry_after_is_waited_unless_it_is_too_long():
    clock = ManualClock(auto=True)
    script = [error(429, headers={"retry-after": "7"}), error(429, headers={"retry-after": "700"})]
    async with (
        Upstream(*script) as upstream,
        router(deployment("fast", upstream), clock=clock) as made,
    ):
        with pytest.raises(RateLimitError):
            await made.acompletion("fast", ASKED)
    assert clock.slept == [7.0]


async def test_a_deployment_that_is_told_to_slow_down_rests():
    clock = ManualClock()
    async with Upstream(error(429), default=completion("Hi")) as upstream:
        made = router(
            deployment("fast", upstream, "one"),
            deployment("fast", upstream, "two"),
            clock=clock,
            num_retries=0,
            cooldown_time=30,
        )
        with pytest.raises(RateLimitError):
            await made.acompletion("fast", ASKED)
        for _ in range(3):
            await made.acompletion("fast", ASKED)
        assert asked_models(upstream) == ["one", "two", "two", "two"]
        await clock.advance(31)
        await made.acompletion("fast", ASKED)
        assert asked_models(upstream)[-1] == "one"
        await made.aclose()


async def test_when_all_rest_nothing_is_sent_and_the_error_says_for_how_long():
    async with Upstream(error(401), error(401)) as upstream:
        made = router(
            deployment("fast", upstream, "one"), deployment("fast", upstream, "two"), num_retries=0
        )
        for _ in range(2):
            with pytest.raises(AuthenticationError):
                await made.acompletion("fast", ASKED)
        with pytest.raises(RateLimitError, match="rests") as failure:
            await made.acompletion("fast", ASKED)
        assert 0 < failure.value.retry_after <= 5
        assert upstream.count == 2
        await made.aclose()


async def test_fallbacks_are_asked_when_a_group_has_failed_whatever_the_failure():
    async with Upstream(error(400), completion("Hi")) as upstream:
        made = router(
            deployment("fast", upstream),
            deployment("slow", upstream),
            fallbacks=[{"fast": ["slow"]}],
        )
        assert (await made.acompletion("fast", ASKED)).text == "Hi"
        assert asked_models(upstream) == ["fast", "slow"]
        await made.aclose()


async def test_fallbacks_of_fallbacks_are_asked_too_and_all_errors_are_kept():
    async with Upstream(default=error(401)) as upstream:
        made = router(
            *(deployment(name, upstream) for name in "abc"),
            fallbacks=[{"a": ["b"]}, {"b": ["c", "a"]}],
        )
        with pytest.raises(AllModelsFailedError) as failure:
            await made.acompletion("a", ASKED)
        assert asked_models(upstream) == ["a", "b", "c"]
        assert len(failure.value.errors) == 3
        await made.aclose()


@pytest.mark.parametrize(
    ("reply", "option", "kind"),
    [
        (TOO_LONG, "context_window_fallbacks", ContextWindowExceededError),
        (REFUSED, "content_policy_fallbacks", ContentPolicyError),
    ],
)
async def test_a_special_failure_goes_to_its_own_fallbacks(reply, option, kind):
    async with Upstream(reply, completion("Hi"), reply) as upstream:
        groups = [deployment(name, upstream) for name in ("fast", "slow", "long")]
        made = router(*groups, fallbacks=[{"fast": ["slow"]}], **{option: [{"fast": ["long"]}]})
        assert (await made.acompletion("fast", ASKED)).text == "Hi"
        assert asked_models(upstream) == ["fast", "long"]
        with pytest.raises(kind):
            await made.acompletion("slow", ASKED)
        await made.aclose()


async def test_a_stream_falls_back_before_content_and_breaks_after_it():
    script = [error(500), completion_stream("Hi"), completion_stream("Hel", finish=None)]
    listener = Listener()
    async with Upstream(*script) as upstream:
        made = router(
            deployment("fast", upstream),
            deployment("slow", upstream),
            default_fallbacks=["slow"],
            num_retries=0,
            callbacks=[listener],
        )
        stream = await made.acompletion("fast", ASKED, stream=True)
        assert (await stream.collect()).text == "Hi"
        stream = await made.acompletion("fast", ASKED, stream=True)
        with pytest.raises(StreamTruncatedError):
            await stream.collect()
        assert listener.told[-1] == ("failure", "StreamTruncatedError")
        await made.aclose()


async def test_a_fallback_without_deployments_says_so():
    async with Upstream(error(401)) as upstream:
        made = router(deployment("fast", upstream), fallbacks=[{"fast": "nowhere"}])
        with pytest.raises(AllModelsFailedError, match="without deployments"):
            await made.acompletion("fast", ASKED)
        await made.aclose()


async def test_an_attempt_that_takes_too_long_is_given_up():
    async with Upstream(Reply(chunks=[HANG])) as upstream:
        made = router(deployment("fast", upstream, timeout=0.05), num_retries=0, clock=None)
        with pytest.raises(TimeoutError):
            await made.acompletion("fast", ASKED)
        await made.aclose()


async def test_a_stream_has_a_limit_for_its_first_content():
    async with Upstream(completion_stream(HANG)) as upstream:
        made = router(
            deployment("fast", upstream), num_retries=0, stream_timeout=0.05, timeout=60, clock=None
        )
        with pytest.raises(TimeoutError, match="no content"):
            await made.acompletion("fast", ASKED, stream=True)
        await made.aclose()


# -------------------------------------------------------------------------------------- callbacks


async def test_each_router_tells_its_own_callbacks_and_nobody_elses():
    one, other = Listener(), Listener()
    script = [completion("Hi"), error(401), completion_stream("Hel", "lo")]
    async with Upstream(*script) as upstream:
        made = router(deployment("fast", upstream), kind=ManagedRouter, managed_callbacks=[one])
        quiet = router(deployment("fast", upstream), callbacks=[other])
        await made.acompletion("fast", ASKED)
        with pytest.raises(AuthenticationError):
            await made.acompletion("fast", ASKED)
        await (await made.acompletion("fast", ASKED, stream=True)).collect()
        assert [each[0] for each in one.told if each[0] != "chunk"] == [
            "pre", "success", "pre", "failure", "pre", "success",
        ]  # fmt: skip
        assert one.told[-1] == ("success", "Hello")
        assert ("chunk", "Hel") in one.told
        assert other.told == []
        await made.aclose()
        await quiet.aclose()


async def test_callbacks_of_a_managed_router_come_and_go():
    listener = Listener()
    made = router({"model_name": "fast", "litellm_params": {"model": "fake/x"}}, kind=ManagedRouter)
    made.add_callback(listener)
    made.add_callback(listener)
    await made.acompletion("fast", ASKED)
    assert len(listener.told) == 2
    made.remove_callback(listener)
    made.remove_callback(listener)
    await made.acompletion("fast", ASKED)
    assert len(listener.told) == 2
    made.add_callback(listener)
    made.clear_callbacks()
    assert made.callbacks == []
    assert made.get_available_models() == ["fast"]


async def test_a_callback_that_fails_is_logged_and_harms_nobody(caplog):
    class Broken:
        def log_success_event(self, **event):
            raise RuntimeError("broken")

    made = router(
        {"model_name": "fast", "litellm_params": {"model": "fake/x"}}, callbacks=[Broken()]
    )
    assert (await made.acompletion("fast", ASKED)).text
    assert "the callback Broken failed" in caplog.text


# ----------------------------------------------------------------------------- making one, by hand


async def test_the_other_form_takes_a_model_and_its_fallbacks():
    async with Upstream(error(500), error(500), completion("Hi")) as upstream:
        clock = ManualClock(auto=True)
        made = Router(
            "gpt-4o",
            ["gpt-4o-mini"],
            max_retries_per_model=1,
            retry_delay=0.5,
            base_url=f"{upstream.url}/v1",
            api_key="sk-test",
            clock=clock,
        )
        assert (await made.acompletion("gpt-4o", ASKED)).text == "Hi"
        assert asked_models(upstream) == ["gpt-4o", "gpt-4o", "gpt-4o-mini"]
        assert clock.slept == [0.5]
        await made.aclose()


def test_a_router_shows_its_groups_and_entries():
    made = router(
        {"model_name": "a", "litellm_params": {"model": "fake/x", "api_key": "sk-secret"}},
        {"model_name": "a", "litellm_params": {"model": "fake/y"}, "model_info": {"id": "mine"}},
    )
    assert repr(made) == "Router(a)"
    assert made.get_model_names() == ["a"]
    assert made.model_list[1]["model_info"] == {"id": "mine", "db_model": False}
    assert "sk-secret" not in repr(made)


@pytest.mark.parametrize(
    ("settings", "error_type", "says"),
    [
        ({"routing_strategy": "least-busy"}, NotImplementedError, "simple-shuffle"),
        ({"redis_url": "redis://x"}, NotImplementedError, "middlewares"),
        ({"fallback_models": ["x"], "model_list": []}, TypeError, "primary model"),
        ({"model_list": [{"model_name": "a"}]}, ValueError, "litellm_params"),
    ],
)
def test_what_is_not_supported_or_wrong_is_refused(settings, error_type, says):
    with pytest.raises(error_type, match=says):
        Router(**settings)


def test_the_primary_model_can_be_given_by_name():
    made = Router(primary_model="fake/a", fallback_models=["fake/b"])
    assert made.get_model_names() == ["fake/a", "fake/b"]


# ----------------------------------------------------------------------- deployments and providers


def pool(*weights, **settings):
    entries = [
        {"model_name": "g", "litellm_params": {"model": f"fake/{n}", "weight": weight}}
        for n, weight in enumerate(weights)
    ]
    return Pool(entries, **settings)


def test_deployments_are_chosen_by_weight():
    numbers = iter([0.0, 0.24, 0.26, 0.99])
    made = pool(1, 3, rng=lambda: next(numbers))
    assert [made.pick("g", 0).params["model"] for _ in range(4)] == [
        "fake/0", "fake/0", "fake/1", "fake/1",
    ]  # fmt: skip
    assert pool(0, 0, rng=lambda: 0.6).pick("g", 0).params["model"] == "fake/1"
    assert pool(1, 1, rng=lambda: 1.0).pick("g", 0).params["model"] == "fake/1"


def test_a_group_has_aliases_and_a_deployment_an_id():
    made = pool(1, aliases={"h": "g", "i": {"model": "g"}})
    assert made.group("h") == made.group("i") == made.group("g")
    assert made.group(made.deployments[0].id) == made.deployments
    assert made.pick("nowhere", 0) is None
    assert repr(made.deployments[0]) == "Deployment('g', model='fake/0')"


def test_a_deployment_rests_after_too_many_failures_but_not_for_the_requests_fault():
    made = pool(1, 1, allowed_fails=2)
    first = made.deployments[0]
    made.note_failure(first, 400, 0)
    for at in (0, 1):
        made.note_failure(first, 500, at)
    assert first.resting_until < 0
    made.note_failure(first, None, 2)
    assert first.resting_until == 7
    assert made.wakes_in("g", 3) == 0.0


def test_the_only_deployment_of_a_group_never_rests():
    made = pool(1)
    made.note_failure(made.deployments[0], 429, 0)
    assert made.pick("g", 0) is not None


def test_fallbacks_may_be_for_every_group():
    made = pool(1, fallbacks=["x", {"g": "y"}])
    assert made.fallbacks_of("g") == ["y", "x"]
    assert made.fallbacks_of("other") == ["x"]


@pytest.mark.parametrize(
    ("params", "model", "provider"),
    [
        ({"model": "gpt-4o"}, "gpt-4o", "openai"),
        ({"model": "claude-sonnet-4-5"}, "claude-sonnet-4-5", "anthropic"),
        ({"model": "groq/llama"}, "llama", "groq"),
        ({"model": "openrouter/openai/gpt-4o"}, "openai/gpt-4o", "openrouter"),
        ({"model": "openai/x", "custom_llm_provider": "openai"}, "x", "openai"),
        ({"model": "x", "custom_llm_provider": "openai"}, "x", "openai"),
    ],
)
def test_a_models_name_says_whom_to_ask(params, model, provider):
    name, endpoint = endpoint_of(params)
    assert (name, endpoint.provider) == (model, provider)


@pytest.mark.parametrize(
    ("endpoint", "name", "address"),
    [
        (Endpoint("openai", "k", "http://x/v1", "org", (("a", "b"),)), "openai", "http://x/v1"),
        (Endpoint("anthropic", "k", "http://x/v1/messages"), "anthropic", "http://x"),
        (Endpoint("anthropic", "k"), "anthropic", None),
        (Endpoint("openrouter", "k"), "openrouter", None),
        (Endpoint("azure", "k", "https://me.example"), "openai", "https://me.example/openai/v1"),
        (Endpoint("azure", "k", "https://a.b/openai/v1"), "openai", "https://a.b/openai/v1"),
        (Endpoint("ollama"), "openai", "http://localhost:11434/v1"),
        (Endpoint("hosted_vllm", None, "http://x"), "openai", "http://x"),
        (Endpoint("groq", "k"), "openai", "https://api.groq.com/openai/v1"),
        (Endpoint("fake"), "fake", "-"),
    ],
)
def test_providers_are_reached_at_their_addresses(endpoint, name, address, monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    client = make_client(endpoint)
    assert client.name == name
    if name != "fake":
        assert client.config.base_url == address
    assert "api_base" in repr(endpoint)
    assert "'k'" not in repr(endpoint)


@pytest.mark.parametrize(
    ("endpoint", "error_type", "says"),
    [
        (Endpoint("bedrock"), NotImplementedError, "AsyncAnthropicBedrock"),
        (Endpoint("cohere"), NotImplementedError, "OpenAI-compatible address"),
        (Endpoint("hosted_vllm"), ValueError, "HOSTED_VLLM_API_BASE"),
        (Endpoint("azure"), ValueError, "AZURE_API_BASE"),
        (Endpoint("groq"), AuthenticationError, "GROQ_API_KEY"),
    ],
)
def test_providers_that_cannot_be_reached_say_how_they_could(
    endpoint, error_type, says, monkeypatch
):
    for name in ("HOSTED_VLLM_API_BASE", "AZURE_API_BASE", "GROQ_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(error_type, match=says):
        make_client(endpoint)


async def test_a_deployment_that_cannot_be_reached_is_an_invalid_request(monkeypatch):
    monkeypatch.delenv("HOSTED_VLLM_API_BASE", raising=False)
    made = router({"model_name": "a", "litellm_params": {"model": "hosted_vllm/x"}})
    with pytest.raises(InvalidRequestError, match="HOSTED_VLLM_API_BASE"):
        await made.acompletion("a", ASKED)


def test_clients_are_shared_kept_and_forgotten():
    clients = Clients()
    first = clients.for_endpoint(Endpoint("fake"))
    assert clients.for_endpoint(Endpoint("fake")) is first
    for number in range(70):
        clients.for_endpoint(Endpoint("openai", f"k{number}", "http://x"))
    assert len(clients._made) == 64
    clients.clear()
    assert clients.for_endpoint(Endpoint("fake")) is not first


# --------------------------------------------------------------------------------------- the names


def test_every_promised_name_is_there():
    for name in scallion.compat.__all__:
        assert getattr(scallion.compat, name) is not None
    assert dir(scallion.compat) == scallion.compat.__all__
    with pytest.raises(AttributeError, match="nothing"):
        _ = scallion.compat.nothing


def test_neither_the_routers_nor_anything_else_imports_the_stand_in():
    code = (
        "import sys, scallion.compat, scallion.router, scallion.middlewares, scallion.providers\n"
        "from scallion.compat import Router, ManagedRouter\n"
        "assert not [n for n in sys.modules if 'litellm' in n], sys.modules\n"
        "assert 'pydantic' not in sys.modules and 'openai' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
