"""count_tokens_exact(): what the provider itself counts, or a clear word that nobody knows."""

import pytest

from scallion import Request
from scallion import exceptions as e
from scallion.providers import anthropic, auto, fake, openai, openrouter
from scallion.providers._fake import FakeClient
from support.upstream import error, html, json_reply, message

TOOL = {
    "type": "function",
    "function": {"name": "now", "description": "The time", "parameters": {"type": "object"}},
}
HISTORY = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What time is it?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "toolu_1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
        ],
    },
    {"role": "tool", "tool_call_id": "toolu_1", "content": "12:00"},
    {"role": "assistant", "content": "Noon."},
    {"role": "user", "content": "And now?"},
]


@pytest.fixture
async def claude(upstream):
    async with anthropic(api_key="sk-ant-test", base_url=upstream.url) as provider:
        yield provider


async def test_anthropic_counts_the_prompt_that_a_call_would_send(upstream, claude):
    params = {
        "tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": False,
        "max_tokens": 2_000, "temperature": 0.5, "stop": ["x"], "user": "me",
        "thinking": {"type": "enabled", "budget_tokens": 1_024},
        "extra_headers": {"anthropic-beta": "interleaved-thinking-2025-05-14"},
    }  # fmt: skip
    request = Request("anthropic/claude-sonnet-4-5", HISTORY, params)
    upstream.enqueue(json_reply({"input_tokens": 417}), message("12:00"))

    assert await claude.count_tokens_exact(request) == 417
    await (await claude(request)).collect()

    counted, called = upstream.requests
    assert (counted.path, called.path) == ("/v1/messages/count_tokens", "/v1/messages")
    assert counted.headers["anthropic-beta"] == called.headers["anthropic-beta"]
    assert counted.json == {
        name: value
        for name, value in called.json.items()
        if name not in ("max_tokens", "temperature", "stop_sequences", "metadata")
    }
    assert set(counted.json) >= {"model", "messages", "system", "tools", "tool_choice", "thinking"}


async def test_a_request_for_a_stream_is_counted_alike(upstream, claude):
    upstream.enqueue(json_reply({"input_tokens": 9}))

    assert await claude.count_tokens_exact(Request("claude-opus-4-8", "Hi", stream=True)) == 9
    assert "stream" not in upstream.requests[0].json


async def test_extra_body_is_counted_as_far_as_it_is_the_prompt(upstream, claude):
    upstream.enqueue(json_reply({"input_tokens": 9}))
    extra = {"system": "Be brief.", "max_tokens": 5, "container": "c"}
    await claude.count_tokens_exact(Request("claude-opus-4-8", "Hi", {"extra_body": extra}))

    assert set(upstream.requests[0].json) == {"model", "messages", "system"}


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (error(401), e.AuthenticationError),
        (error(429), e.RateLimitError),
        (error(404), e.ModelNotFoundError),
        (error(500), e.ServerError),
        (json_reply({"tokens": 1}), e.MalformedResponseError),
        (html(200), e.MalformedResponseError),
    ],
)
async def test_a_failed_count_is_a_typed_error_and_not_retried(upstream, claude, reply, expected):
    upstream.enqueue(reply)
    with pytest.raises(expected) as caught:
        await claude.count_tokens_exact(Request("claude-sonnet-4-5", "Hi"))
    assert (caught.value.provider, caught.value.model) == ("anthropic", "claude-sonnet-4-5")
    assert upstream.count == 1


@pytest.mark.parametrize(
    ("model", "params"),
    [(None, {}), ("claude-sonnet-4-5", {"n": 2}), ("claude-sonnet-4-5", {"system": float("nan")})],
)
async def test_what_cannot_be_sent_cannot_be_counted(claude, upstream, model, params):
    with pytest.raises(e.InvalidRequestError):
        await claude.count_tokens_exact(Request(model, "Hi", params))
    assert upstream.count == 0


async def test_a_chat_of_text_is_exact_for_openais_models_and_nothing_is_sent():
    # As OpenAI reports it: three around the message, three that begin the answer.
    request = Request("gpt-4o", [{"role": "user", "content": "Say hello"}])
    assert await openai(api_key="sk-test").count_tokens_exact(request) == 9
    assert await openrouter(api_key="k").count_tokens_exact(
        request.replace(model="openai/gpt-4o")
    ) == 9  # fmt: skip


@pytest.mark.parametrize(
    ("provider", "model", "params"),
    [
        (openai(api_key="k"), "gpt-4o", {"tools": [TOOL]}),
        (openai(api_key="k"), "gpt-4o", {"extra_body": {"tools": [TOOL]}}),
        (openai(api_key="k"), "gpt-99", {}),
        (openai(api_key="k", base_url="http://127.0.0.1:1/v1"), "gpt-4o", {}),
        (openrouter(api_key="k"), "anthropic/claude-sonnet-4.5", {}),
    ],
    ids=["tools", "tools in extra_body", "unknown model", "another server", "claude"],
)
async def test_where_only_an_estimate_is_known_that_is_said(provider, model, params):
    with pytest.raises(e.InvalidRequestError, match=r"estimate\(request\)") as caught:
        await provider.count_tokens_exact(Request(model, "Hi", params))
    assert caught.value.provider == provider.name


async def test_the_choice_by_name_counts_with_the_adapter_that_would_answer(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    assert await auto().count_tokens_exact(Request("openai/gpt-4o", "Say hello")) == 9
    assert isinstance(fake(), FakeClient)
    request = Request("fake/x", "Say hello")
    answer = await (await fake()(request)).collect()
    assert await auto().count_tokens_exact(request) == answer.usage.prompt_tokens
