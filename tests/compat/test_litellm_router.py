"""litellm's Router on the stand-in: it asks by way of `litellm.acompletion`, which can be patched."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from unittest.mock import AsyncMock, patch

import pytest

from support.upstream import Upstream, completion, completion_stream, error

HI = [{"role": "user", "content": "Hi"}]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """Waits that would be made, in seconds, instead of waiting."""
    waits = []

    async def sleep(seconds):
        waits.append(seconds)

    module = "scallion.compat.litellm.router"
    fake = SimpleNamespace(sleep=sleep, gather=asyncio.gather)
    monkeypatch.setattr(f"{module}.asyncio", fake)
    clock = SimpleNamespace(sleep=waits.append, monotonic=time.monotonic)
    monkeypatch.setattr(f"{module}.time", clock)
    draws = SimpleNamespace(random=lambda: 1.0)
    monkeypatch.setattr("scallion.compat.litellm._routing.random", draws)
    return waits


def entry(group, upstream=None, model=None, **params):
    where = {"api_base": f"{upstream.url}/v1", "api_key": "sk-test"} if upstream else {}
    litellm_params = {"model": f"openai/{model or group}", **where, **params}
    return {"model_name": group, "litellm_params": litellm_params}


def asked_models(upstream):
    return [request.json["model"] for request in upstream.requests]


async def test_a_group_answers_with_litellms_types(litellm):
    async with Upstream(completion("Hi"), completion_stream("Hel", "lo")) as upstream:
        router = litellm.Router(model_list=[entry("fast", upstream, temperature=0.1)])
        answer = await router.acompletion("fast", HI)
        assert isinstance(answer, litellm.ModelResponse)
        assert answer._hidden_params["model_id"] == router.get_model_ids("fast")[0]
        assert upstream.requests[0].json["temperature"] == 0.1
        stream = await router.acompletion(model="fast", messages=HI, stream=True)
        assert isinstance(stream, litellm.CustomStreamWrapper)
        chunks = [chunk async for chunk in stream]
        assert "".join(c.choices[0].delta.content or "" for c in chunks) == "Hello"
        assert router.success_calls["openai/fast"] == 2


def test_callers_without_a_loop_get_the_same(litellm):
    with Upstream(error(500), completion("Hi"), completion_stream("Hel", "lo")) as upstream:
        router = litellm.Router(model_list=[entry("fast", upstream)])
        assert router.completion("fast", HI).choices[0].message.content == "Hi"
        chunks = router.completion("fast", HI, stream=True)
        assert "".join(c.choices[0].delta.content or "" for c in chunks) == "Hello"


async def test_the_call_is_made_by_the_modules_own_function(litellm):
    router = litellm.Router(model_list=[entry("fast", api_key="k", api_base="http://x")])
    with patch("litellm.acompletion", AsyncMock(return_value="patched")) as patched:
        assert await router.acompletion("fast", HI, metadata={"a": 1}) == "patched"
    given = patched.call_args.kwargs
    assert given["model"] == "openai/fast"
    assert given["max_retries"] == 0
    assert given["metadata"]["model_group"] == "fast"
    assert given["metadata"]["a"] == 1
    with patch("litellm.completion", return_value="patched"):
        assert router.completion("fast", HI) == "patched"


async def test_failures_are_tried_again_at_once_elsewhere_and_after_a_wait_here(
    litellm, no_waiting
):
    async with Upstream(
        *[error(500)] * 2, completion("Hi"), error(500), completion("Hi")
    ) as upstream:
        router = litellm.Router(model_list=[entry("fast", upstream)], retry_after=1)
        await router.acompletion("fast", HI)
        assert no_waiting == [1, 1.0]
        no_waiting.clear()
        router.set_model_list([entry("fast", upstream, "a"), entry("fast", upstream, "b")])
        await router.acompletion("fast", HI)
        assert no_waiting == [0.0]


async def test_retry_after_is_waited(litellm, no_waiting):
    async with Upstream(error(429, headers={"retry-after": "7"}), completion("Hi")) as upstream:
        router = litellm.Router(model_list=[entry("fast", upstream)])
        await router.acompletion("fast", HI)
        assert no_waiting == [7.0]


async def test_requests_that_are_wrong_are_not_tried_again(litellm):
    async with Upstream(error(400)) as upstream:
        router = litellm.Router(model_list=[entry("fast", upstream)])
        with pytest.raises(litellm.BadRequestError):
            await router.acompletion("fast", HI)
        assert upstream.count == 1
        assert router.fail_calls["openai/fast"] == 1


@pytest.mark.parametrize(
    ("settings", "call", "tries"),
    [
        ({"num_retries": 0}, {}, 1),
        ({}, {"num_retries": 1}, 2),
        ({"retry_policy": {"InternalServerErrorRetries": 3}}, {}, 4),
        ({"retry_policy": {"DefaultRetries": 1}}, {}, 2),
        ({"retry_policy": {"TimeoutErrorRetries": 9}}, {}, 3),
        ({"model_group_retry_policy": {"fast": {"InternalServerErrorRetries": 0}}}, {}, 1),
    ],
)
async def test_how_often_is_tried_again(litellm, settings, call, tries):
    async with Upstream(default=error(500)) as upstream:
        router = litellm.Router(model_list=[entry("fast", upstream)], **settings)
        with pytest.raises(litellm.InternalServerError):
            await router.acompletion("fast", HI, **call)
        assert upstream.count == tries


async def test_fallbacks_are_asked_in_turn(litellm):
    async with Upstream(error(401), error(401), completion("Hi")) as upstream:
        router = litellm.Router(
            model_list=[entry(name, upstream) for name in "abc"],
            fallbacks=[{"a": ["b", "c"]}],
        )
        answer = await router.acompletion("a", HI)
        assert answer.choices[0].message.content == "Hi"
        assert asked_models(upstream) == ["a", "b", "c"]


async def test_the_last_failure_is_raised_and_fallbacks_can_be_switched_off(litellm):
    async with Upstream(error(401), error(404), error(401)) as upstream:
        router = litellm.Router(
            model_list=[entry(name, upstream) for name in "ab"], default_fallbacks=["b"]
        )
        with pytest.raises(litellm.NotFoundError):
            await router.acompletion("a", HI)
        with pytest.raises(litellm.AuthenticationError):
            await router.acompletion("a", HI, disable_fallbacks=True)


async def test_special_failures_have_their_own_fallbacks(litellm):
    long, refused = (
        error(400, code="context_length_exceeded"),
        error(400, code="content_policy_violation"),
    )
    async with Upstream(long, completion("1"), refused, completion("2")) as upstream:
        router = litellm.Router(
            model_list=[entry(name, upstream) for name in "abcd"],
            fallbacks=[{"a": ["b"]}],
            context_window_fallbacks=[{"a": ["c"]}],
            content_policy_fallbacks=[{"a": ["d"]}],
        )
        await router.acompletion("a", HI)
        await router.acompletion("a", HI)
        assert asked_models(upstream) == ["a", "c", "a", "d"]


async def test_a_call_can_bring_its_own_fallbacks_and_test_them(litellm):
    async with Upstream(completion("1"), completion("2")) as upstream:
        router = litellm.Router(
            model_list=[entry(name, upstream) for name in "abc"], fallbacks=[{"a": ["b"]}]
        )
        await router.acompletion("a", HI, mock_testing_fallbacks=True)
        await router.acompletion("a", HI, mock_testing_fallbacks=True, fallbacks=["c"])
        assert asked_models(upstream) == ["b", "c"]


async def test_a_failing_deployment_rests_until_the_cache_is_flushed(litellm):
    async with Upstream(error(401), error(401), completion("Hi")) as upstream:
        router = litellm.Router(
            model_list=[entry("fast", upstream, "a"), entry("fast", upstream, "b")],
            cooldown_time=60,
        )
        for _ in range(2):
            with pytest.raises(litellm.AuthenticationError):
                await router.acompletion("fast", HI)
        assert router.healthy_deployments == []
        with pytest.raises(ValueError, match="No deployments available"):
            await router.acompletion("fast", HI)
        router.reset()
        await router.acompletion("fast", HI)


def test_deployments_come_and_go(litellm):
    router = litellm.Router(model_list=[entry("a")], model_group_alias={"alias": "a"})
    added = litellm.Deployment(
        model_name="b",
        litellm_params=litellm.LiteLLM_Params(model="openai/b"),
        model_info={"id": "mine"},
    )
    router.add_deployment(added)
    router.upsert_deployment(added)
    assert router.get_model_names() == ["a", "b", "alias"]
    assert router.model_names == {"a", "b"}
    assert router.deployment_names == ["openai/a", "openai/b"]
    assert router.get_deployment("mine").litellm_params.model == "openai/b"
    assert router.get_deployment("mine").to_json()["model_name"] == "b"
    assert router.get_deployment("nobody") is None
    assert router.get_model_info("mine")["model_name"] == "b"
    assert len(router.get_model_list()) == 2
    assert len(router.get_model_list("alias")) == 1
    assert router.get_available_deployment("b")["model_info"]["id"] == "mine"
    assert router.delete_deployment("mine").model_name == "b"
    assert router.get_model_ids("b") == []
    with pytest.raises(litellm.BadRequestError, match="no 'model_name'"):
        router.get_available_deployment("b")


async def test_settings_can_be_read_and_changed(litellm):
    router = litellm.Router(model_list=[entry("a")], num_retries=5, disable_cooldowns=True)
    assert router.get_settings()["num_retries"] == 5
    router.update_settings(num_retries=1)
    assert router.num_retries == 1
    with pytest.raises(NotImplementedError, match="cache_kwargs"):
        router.update_settings(cache_kwargs={})
    found = await router.async_get_available_deployment("a", {})
    assert found["model_name"] == "a"
    assert router.deployment_callback_on_failure({}, None, None, None) is False
    assert router.sync_deployment_callback_on_success({}, None, None, None) is None
    await router.async_deployment_callback_on_failure({}, None, None, None)
    await router.deployment_callback_on_success({}, None, None, None)
    router.discard()


async def test_a_stream_has_a_timeout_of_its_own(litellm):
    router = litellm.Router(
        model_list=[entry("a", stream_timeout=3), entry("b", timeout=9)], timeout=5
    )
    with patch("litellm.acompletion", AsyncMock()) as patched:
        await router.acompletion("a", HI, stream=True)
        await router.acompletion("a", HI)
        await router.acompletion("b", HI)
        await router.acompletion("b", HI, timeout=1)
    assert [call.kwargs["timeout"] for call in patched.call_args_list] == [3, 5, 9, 1]


async def test_several_groups_are_asked_at_once(litellm):
    async with Upstream(default=completion("Hi")) as upstream:
        router = litellm.Router(model_list=[entry("a", upstream), entry("b", upstream)])
        answers = await router.abatch_completion(["a", "b", "nobody"], HI)
        assert [type(each).__name__ for each in answers[:2]] == ["ModelResponse"] * 2
        assert isinstance(answers[2], litellm.BadRequestError)
        assert len(await router.abatch_completion(["a"], [HI, HI])) == 2


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"routing_strategy": "least-busy"}, "simple-shuffle"),
        ({"cache_responses": True}, "cache_responses"),
        ({"redis_host": "x"}, "redis_host"),
        ({"enable_pre_call_checks": True}, "enable_pre_call_checks"),
    ],
)
def test_options_that_are_not_supported_are_refused(litellm, settings, says):
    with pytest.raises(NotImplementedError, match=says):
        litellm.Router(model_list=[entry("a")], **settings)


def test_endpoints_that_are_no_chat_are_refused_and_other_names_are_not_there(litellm):
    router = litellm.Router(model_list=[entry("a")], set_verbose=True)
    with pytest.raises(NotImplementedError, match="aembedding"):
        _ = router.aembedding
    with pytest.raises(AttributeError, match="nothing"):
        _ = router.nothing


async def test_subclasses_can_override_the_call(litellm):
    class Mine(litellm.Router):
        async def acompletion(self, *args, **kwargs):
            return "mine", await super().acompletion(*args, **kwargs)

    router = Mine(model_list=[entry("a", mock_response="x")])
    name, answer = await router.acompletion("a", HI)
    assert (name, answer.choices[0].message.content) == ("mine", "x")


async def test_fallbacks_set_on_the_module_are_the_routers(litellm):
    litellm.default_fallbacks = ["good"]
    litellm.context_window_fallbacks = [{"fast": ["long"]}]
    router = litellm.Router(model_list=[entry("fast"), entry("good"), entry("long")])
    calls = AsyncMock(
        side_effect=[litellm.BadGatewayError("", "", ""), litellm.ModelResponse(model="m")]
    )
    with patch("litellm.acompletion", calls):
        await router.acompletion("fast", HI, num_retries=0)
    assert [call.kwargs["model"] for call in calls.await_args_list] == [
        "openai/fast",
        "openai/good",
    ]
    assert router.context_window_fallbacks == [{"fast": ["long"]}]
    own = litellm.Router(model_list=[], default_fallbacks=["mine"], fallbacks=[{"a": ["b"]}])
    assert (own.default_fallbacks, own.fallbacks) == (["mine"], [{"a": ["b"]}])
    litellm.default_fallbacks = litellm.context_window_fallbacks = None
