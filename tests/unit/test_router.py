"""`ModelRouter`: the seed's interface, and what its numbers count."""

from __future__ import annotations

import pickle

import pytest

from scallion.exceptions import (
    AllModelsFailedError,
    AuthenticationError,
    InvalidRequestError,
    StreamTruncatedError,
)
from scallion.router import ModelRouter
from scallion.testing import ManualClock
from support.upstream import Upstream, completion, completion_stream, error


def router_to(upstream, *fallbacks, primary="gpt-4o", **settings):
    settings = {"clock": ManualClock(auto=True), "api_key": "sk-test", **settings}
    return ModelRouter(primary, list(fallbacks), base_url=upstream.url + "/v1", **settings)


def models_asked(upstream):
    return [request.json["model"] for request in upstream.requests]


async def test_the_primary_model_answers_and_nothing_else_is_asked():
    async with Upstream(completion("Hi")) as upstream, router_to(upstream, "gpt-4o-mini") as router:
        answer = await router.complete("Hello", temperature=0.5)
        assert answer.text == "Hi"
        assert upstream.requests[0].json["temperature"] == 0.5
        assert router.get_stats() == {
            "total_calls": 1,
            "successful_calls": 1,
            "failed_calls": 0,
            "fallback_uses": 0,
            "total_retries": 0,
        }


async def test_each_model_is_asked_once_and_then_as_often_again_as_said():
    async with (
        Upstream(default=error(500)) as upstream,
        router_to(upstream, "gpt-4o-mini", max_retries_per_model=2) as router,
    ):
        with pytest.raises(AllModelsFailedError) as failure:
            await router.complete("Hello")
        assert models_asked(upstream) == ["gpt-4o"] * 3 + ["gpt-4o-mini"] * 3
        assert len(failure.value.errors) == 2
        assert router.stats["total_retries"] == 4
        assert router.stats["failed_calls"] == 1
        assert router.stats["fallback_uses"] == 1


async def test_the_delay_doubles_from_retry_to_retry():
    clock = ManualClock(auto=True)
    async with (
        Upstream(default=error(500)) as upstream,
        router_to(upstream, clock=clock, max_retries_per_model=3, retry_delay=0.5) as router,
    ):
        with pytest.raises(Exception, match="Scripted failure"):
            await router.complete("Hello")
    assert clock.slept == [0.5, 1.0, 2.0]


async def test_a_longer_retry_after_is_waited_and_one_that_is_too_long_is_not():
    clock = ManualClock(auto=True)
    script = [
        error(429, headers={"retry-after": "7"}),
        error(429, headers={"retry-after": "600"}),
        completion("from the other"),
    ]
    async with (
        Upstream(*script) as upstream,
        router_to(upstream, "gpt-4o-mini", clock=clock) as router,
    ):
        assert (await router.complete("Hello")).text == "from the other"
    assert clock.slept == [7.0]


async def test_a_wrong_key_is_not_tried_again_but_another_model_is():
    async with (
        Upstream(error(401), completion("Hi")) as upstream,
        router_to(upstream, "gpt-4o-mini") as router,
    ):
        assert (await router.complete("Hello")).text == "Hi"
        assert router.stats["total_retries"] == 0
        assert router.stats["fallback_uses"] == 1
        assert router.stats["successful_calls"] == 1


async def test_an_invalid_request_goes_no_further():
    async with Upstream(error(400)) as upstream:
        async with router_to(upstream, "gpt-4o-mini") as router:
            with pytest.raises(InvalidRequestError):
                await router.complete("Hello")
        assert upstream.count == 1


async def test_a_router_without_fallbacks_raises_the_error_itself():
    async with Upstream(error(401)) as upstream, router_to(upstream) as router:
        with pytest.raises(AuthenticationError):
            await router.complete("Hello")


async def test_a_stream_falls_back_before_content():
    async with (
        Upstream(error(503), error(503), completion_stream("Hel", "lo")) as upstream,
        router_to(upstream, "gpt-4o-mini", max_retries_per_model=1) as router,
    ):
        text = "".join([c.content or "" async for c in router.stream("Hello")])
        assert text == "Hello"
        assert models_asked(upstream) == ["gpt-4o", "gpt-4o", "gpt-4o-mini"]
        assert router.stats["successful_calls"] == 1
        assert router.stats["fallback_uses"] == 1


async def test_a_stream_that_breaks_after_content_is_a_failed_call():
    async with (
        Upstream(completion_stream("Hel", finish=None)) as upstream,
        router_to(upstream, "gpt-4o-mini") as router,
    ):
        with pytest.raises(StreamTruncatedError):
            async for _ in router.stream("Hello"):
                pass
        assert router.stats["failed_calls"] == 1
        assert router.stats["successful_calls"] == 0


async def test_who_breaks_off_a_stream_has_made_a_successful_call():
    async with (
        Upstream(completion_stream("a", "b", "c")) as upstream,
        router_to(upstream) as router,
    ):
        async with router.stream("Hello") as stream:
            async for _ in stream:
                break
        assert router.stats["successful_calls"] == 1


async def test_a_model_given_to_the_call_is_asked_before_the_primary_one():
    async with Upstream(error(404), completion("Hi")) as upstream, router_to(upstream) as router:
        await router.complete("Hello", model="gpt-4.1")
        assert models_asked(upstream) == ["gpt-4.1", "gpt-4o"]


async def test_the_stats_that_are_handed_out_are_a_copy_and_reset_begins_anew():
    async with Upstream(completion()) as upstream, router_to(upstream) as router:
        await router.complete("Hello")
        router.get_stats()["total_calls"] = 100
        assert router.get_stats()["total_calls"] == 1
        router.reset_stats()
        assert set(router.get_stats().values()) == {0}


async def test_one_client_per_provider_is_made_when_it_is_first_needed():
    router = ModelRouter("fake/a", ["fake/b"])
    clients = router._pipeline.provider
    assert clients._clients == {}
    assert (await router.complete("Hello")).provider == "fake"
    await router.complete("Hello", model="fake/c")
    assert len(clients._clients) == 1
    assert clients.identity("fake/a") == "fake"
    assert repr(router) == "ModelRouter('fake/a', fallback_models=['fake/b'])"
    await router.aclose()


@pytest.mark.parametrize(
    "wrong", [{"retry_delay": -1}, {"retry_delay": float("nan")}, {"max_retries_per_model": -1}]
)
def test_numbers_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=r"retry_delay|attempts"):
        ModelRouter("gpt-4o", **wrong)


def test_a_key_that_is_given_is_neither_shown_nor_pickled():
    router = ModelRouter("gpt-4o", api_key="sk-canary-0123456789", base_url="http://h/v1")
    provider = router._pipeline.provider

    pickled = pickle.dumps(provider)

    assert b"canary" not in pickled
    assert "canary" not in repr(vars(provider))
    assert pickle.loads(pickled).client_for("gpt-4o").config.base_url == "http://h/v1"
