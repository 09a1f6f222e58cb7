"""Scenarios 9 and 10, sentence by sentence, through the real adapters against a scripted server."""

import asyncio

import pytest

from scallion import build_pipeline
from scallion import exceptions as e
from scallion.middlewares import Target, fallback
from scallion.middlewares._cache import cache
from scallion.providers import anthropic, openai
from scallion.types import Message
from support.stores import backend, valkey
from support.upstream import (
    CUT,
    HANG,
    SILENCE,
    Upstream,
    completion,
    completion_stream,
    error,
    message,
    message_stream,
)
from support.world import Mode

__all__ = ["backend", "valkey"]

CALL = ("call_1", "weather", '{"city": "Rome"}')
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
ASKED = {
    "messages": [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, IMAGE]}],
    "tools": [TOOL],
    "extra_body": {"top_k": 1},
    "extra_headers": {"X-Team": "red"},
    "response_format": {"type": "json_object"},
}

CUT_OFF = {"index": 0, "message": {"role": "assistant", "content": "H"}, "finish_reason": None}


@pytest.fixture(params=["complete", "stream"])
def mode(request):
    return Mode(request.param)


@pytest.fixture
async def store(backend):
    async with backend.store() as opened:
        yield opened


def adapter(upstream, *, key="sk-test", path="/v1"):
    return openai(api_key=key, base_url=upstream.url + path)


def pipeline(upstream, *layers, provider=None, model="gpt-4o"):
    return build_pipeline(layers, provider=provider or adapter(upstream), model=model)


async def asked_twice(mode, llm, *, then=None, other=None):
    """Whether the second call was answered from the cache."""
    await mode.ask(llm, **ASKED)
    return (await mode.ask(other or llm, **{**ASKED, **(then or {})})).cached


# ------------------------------------------------------------------------------- 9. the cache key


@pytest.mark.parametrize(
    "change",
    {
        "extra_body": {"extra_body": {"top_k": 2}},
        "extra_headers": {"extra_headers": {"X-Team": "blue"}},
        "tenant": {"tenant": "other"},
        "tools": {"tools": [TOOL, TOOL]},
        "schema": {"response_format": {"type": "text"}},
        "image": {"messages": [{"role": "user", "content": [ASKED["messages"][0]["content"][0]]}]},
        "model": {"model": "gpt-4o-mini"},
    }.items(),
    ids=lambda item: item[0],
)
async def test_any_change_of_the_request_misses(upstream, mode, store, change):
    upstream.default = mode.good("openai")
    async with pipeline(upstream, cache(store)) as llm:
        assert not await asked_twice(mode, llm, then=change[1])
    assert upstream.count == 2


@pytest.mark.parametrize("account", [{"key": "sk-other"}, {"path": "/other/v1"}])
async def test_another_account_or_address_misses(upstream, mode, store, account):
    upstream.default = mode.good("openai")
    one = pipeline(upstream, cache(store))
    other = pipeline(upstream, cache(store), provider=adapter(upstream, **account))
    async with one, other:
        assert not await asked_twice(mode, one, other=other)
    assert upstream.count == 2


async def test_key_order_and_dict_or_message_hit(upstream, mode, store):
    upstream.default = mode.good("openai")
    history = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hm"}]
    same = [{"content": "Hi", "role": "user"}, Message(role="assistant", content="Hm")]
    async with pipeline(upstream, cache(store)) as llm:
        await mode.ask(llm, history, extra_body={"a": 1, "b": 2})
        assert (await mode.ask(llm, same, extra_body={"b": 2, "a": 1})).cached
    assert upstream.count == 1


@pytest.mark.parametrize("what", ["error", "truncated", "filtered", "no_store"])
async def test_what_must_not_be_stored_is_not(upstream, mode, store, what):
    good = mode.good("openai")
    bad = {
        "error": error(500),
        "truncated": completion_stream("H", CUT) if mode.streams else completion(choices=[CUT_OFF]),
        "filtered": mode.good("openai", finish="content_filter"),
        "no_store": good,
    }[what]
    upstream.enqueue(bad)
    upstream.default = good
    async with pipeline(upstream, cache(store)) as llm:
        try:
            await mode.ask(llm, cache={"no_store": what == "no_store"})
        except e.LLMClientError:
            assert what in ("error", "truncated")
        assert not (await mode.ask(llm)).cached
        assert (await mode.ask(llm)).cached
    assert upstream.count == 2


async def test_a_fallbacks_answer_is_stored_with_the_model_that_gave_it(upstream, mode, store):
    claude = anthropic(api_key="sk-test", base_url=upstream.url)
    upstream.default = lambda request: (
        error(500)
        if "completions" in request.path
        else (message_stream if mode.streams else message)("Hi", model="claude-x")
    )
    target = Target("claude-x", provider=claude)
    async with pipeline(upstream, cache(store), fallback([target])) as llm:
        first, hit = await mode.ask(llm), await mode.ask(llm)
    await claude.aclose()
    assert (first.model, first.cached) == ("claude-x", False)
    assert (hit.model, hit.provider, hit.cached) == ("claude-x", "anthropic", True)
    assert upstream.count == 2


# ------------------------------------------------------------------ 10. single-flight and replay


async def test_twenty_identical_concurrent_calls_are_one_upstream_request(upstream, mode, store):
    upstream.default = mode.good("openai")
    async with pipeline(upstream, cache(store)) as llm:
        answers = await asyncio.gather(*[mode.ask(llm) for _ in range(20)])
    assert {a.text for a in answers} == {"Hi"}
    assert upstream.count == 1


async def test_cancelling_the_leader_does_not_fail_the_followers(upstream, mode, store):
    upstream.enqueue(completion_stream("H", HANG) if mode.streams else SILENCE)
    upstream.default = mode.good("openai")
    async with pipeline(upstream, cache(store)) as llm:
        leader = asyncio.create_task(mode.ask(llm))
        await upstream.received(1)
        followers = [asyncio.create_task(mode.ask(llm)) for _ in range(19)]
        await asyncio.sleep(0.02)
        leader.cancel()
        answers = await asyncio.gather(*followers)
    assert leader.cancelled()
    assert {a.text for a in answers} == {"Hi"}
    assert upstream.count == 2


RICH = {"tool_calls": [CALL], "usage": (50, 20)}


@pytest.mark.parametrize("first", ["complete", "stream"])
@pytest.mark.parametrize("then", ["complete", "stream"])
async def test_a_hit_replays_text_tool_calls_reasoning_and_usage(upstream, store, first, then):
    thought = {"reasoning_content": "Let me think"}
    upstream.default = (
        completion("It is blue", message=thought, **RICH)
        if first == "complete"
        else completion_stream(thought, "It is ", "blue", **RICH)
    )
    async with pipeline(upstream, cache(store)) as llm:
        one = await Mode(first).ask(llm)
        other = await Mode(then).ask(llm)
        if then == "stream":
            async with llm.stream("hi") as stream:
                chunks = [chunk async for chunk in stream]
            assert [c.content for c in chunks if c.content] == ["It", " is", " blue"]
            assert "".join(c.reasoning or "" for c in chunks) == "Let me think"
            (call,) = [call for c in chunks for call in c.tool_calls]
            assert (call.id, call.function.name, call.function.arguments) == CALL
            assert chunks[-1].usage.prompt_tokens == 50

    assert upstream.count == 1
    assert (one.cached, other.cached) == (False, True)
    for answer in (one, other):
        (call,) = answer.tool_calls
        assert answer.text == "It is blue"
        assert answer.reasoning == "Let me think"
        assert (call.id, call.function.name, call.function.arguments) == CALL
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (50, 20)
        assert answer.finish_reason == "tool_calls"


async def test_replay_runs_offline_and_a_miss_shows_the_nearest_recorded_request(backend, mode):
    async with Upstream(default=mode.good("openai")) as upstream:
        async with pipeline(upstream, cache(backend.store(), mode="record")) as llm:
            await mode.ask(llm, "Say hi", temperature=0)
        assert upstream.count == 1
    # The server is gone, and so is the key.
    nowhere = openai(api_key="none", base_url="http://127.0.0.1:9/v1")
    async with pipeline(upstream, cache(backend.store(), mode="replay"), provider=nowhere) as llm:
        assert (await mode.ask(llm, "Say hi", temperature=0)).text == "Hi"
        with pytest.raises(e.CacheMissError) as caught:
            await mode.ask(llm, "Say ho", temperature=0)
    shown = str(caught.value).splitlines()
    assert '-      "content": "Say hi"' in shown
    assert '+      "content": "Say ho"' in shown
