"""The public functions: whose rules apply, what is exact, and that nothing makes them fail."""

from __future__ import annotations

import asyncio
import time
import warnings

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

from scallion import _tokens_text, tokens
from scallion._request import Request
from scallion._tokens_other import family_of
from scallion.exceptions import InvalidRequestError
from scallion.tokens import (
    count_message_tokens,
    count_tokens,
    count_tokens_anthropic,
    count_tokens_openai,
    estimate,
)
from scallion.types import FunctionCall, ToolCall

HELLO = [{"role": "user", "content": "Say hello"}]
MODELS = [
    "gpt-4o",
    "gpt-5",
    "claude-sonnet-4-5",
    "claude-opus-4-8",
    "openrouter/qwen/qwen3-8b",
    "x",
]


def test_the_name_decides_whose_rules_apply_wherever_it_is_sent():
    assert count_tokens("Say hello", "gpt-4o") == count_tokens_openai("Say hello") == 2
    text = "meticulous " * 10
    assert count_tokens(text, "claude-sonnet-4-5") == count_tokens_anthropic(text) > 12
    for model in ("openrouter/anthropic/claude-sonnet-4.5", "anthropic/claude-sonnet-4.5"):
        assert count_tokens(text, model) == count_tokens_anthropic(text)
    assert count_tokens(text, "openrouter/openai/gpt-4o") == count_tokens_openai(text)


def test_the_provider_can_be_named_where_the_model_does_not_tell():
    text = "meticulous " * 10
    assert count_tokens(text, "my-alias", provider="anthropic") > count_tokens(text, "my-alias")
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    request = Request("openai/gpt-5", HELLO, {"tools": [tool]})
    assert estimate(request).tokens > estimate(request, provider="openrouter").tokens


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("deepseek/deepseek-chat-v3.1", "deepseek"),
        ("deepseek/deepseek-r1-distill-llama-70b", "deepseek"),
        ("google/gemini-2.5-flash", "gemini"),
        ("openai/gpt-oss-120b:exacto", "gpt-oss"),
        ("x-ai/grok-4", "grok-4"),
        ("x-ai/grok-4-fast", "grok"),
        ("mistralai/devstral-small", "mistral"),
        ("qwen/qwq-32b", "qwen"),
        ("z-ai/glm-4.6", "glm"),
        ("unheard/of", None),
    ],
)
def test_other_models_belong_to_a_family(model, family):
    assert family_of(model) == family


def test_other_models_are_estimated_with_what_their_family_adds():
    plain = estimate(Request("unheard-of", HELLO))
    grok = estimate(Request("openrouter/x-ai/grok-4", HELLO))
    assert not plain.exact
    assert grok.tokens > plain.tokens + 500
    tool = {"type": "function", "function": {"name": "f", "description": "Does it."}}
    for model in ("openrouter/qwen/qwen3-8b", "openrouter/google/gemini-2.5-pro", "unheard-of"):
        armed = estimate(Request(model, HELLO, {"tools": [tool]}))
        assert armed.tokens > estimate(Request(model, HELLO)).tokens - 10
        assert armed.upper > armed.tokens


@pytest.mark.parametrize("model", MODELS)
def test_a_history_costs_more_than_its_beginning(model):
    history = []
    last = 0
    for number in range(12):
        role = "assistant" if number % 2 else "user"
        history.append({"role": role, "content": f"This is message number {number}."})
        found = count_message_tokens(history, model)
        assert found > last
        last = found


@pytest.mark.parametrize("model", MODELS)
def test_tools_can_be_counted_with_messages(model):
    tool = {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
    assert count_message_tokens(HELLO, model, tools=[tool]) > count_message_tokens(HELLO, model) + 5


async def test_warming_up_leaves_the_event_loop_free_and_the_first_count_exact(monkeypatch):
    turns = 0
    whole = tiktoken.get_encoding

    def slow(name):
        while turns < 20:  # comes to an end only if the loop turns meanwhile
            time.sleep(0.001)
        return whole(name)

    monkeypatch.setattr(tiktoken, "get_encoding", slow)
    fresh = _tokens_text.Encoder("o200k_base")
    monkeypatch.setattr(tokens, "encoder", lambda name: fresh)
    tokens._counter.cache_clear()
    try:
        warming = asyncio.create_task(tokens.warm_up("gpt-4o"))
        while not warming.done():
            turns += 1
            await asyncio.sleep(0.001)
        assert tokens.count_tokens("Hello there", "gpt-4o") == 2
        assert fresh.settled
        await tokens.warm_up("gpt-4o")  # nothing to wait for
    finally:
        tokens._counter.cache_clear()


def test_an_old_models_estimate_needs_its_own_ranks_alone(monkeypatch):
    asked = []
    real = tokens.encoder
    monkeypatch.setattr(tokens, "encoder", lambda name: asked.append(name) or real(name))
    tokens._counter.cache_clear()
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    try:
        estimate(Request("gpt-4", HELLO, {"tools": [tool]}))
    finally:
        tokens._counter.cache_clear()
    assert asked == ["cl100k_base"]


def test_without_ranks_the_upper_bound_is_wider(monkeypatch):
    text = "The quick brown fox jumps over the lazy dog. " * 50
    request = Request("gpt-4o", [{"role": "user", "content": text}])
    exact = estimate(request)
    bare = _tokens_text.Encoder("o200k_base")
    monkeypatch.setattr(bare, "_load", lambda: False)
    monkeypatch.setattr(tokens, "encoder", lambda name: bare)
    tokens._counter.cache_clear()
    try:
        found = estimate(request)
    finally:
        tokens._counter.cache_clear()
    assert not found.exact
    assert found.tokens == pytest.approx(exact.tokens, rel=0.15)
    assert found.upper > exact.upper


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
PART_KEYS = st.sampled_from(
    [
        "type",
        "text",
        "image_url",
        "input_audio",
        "file",
        "source",
        "content",
        "name",
        "input",
        "thinking",
        "data",
        "url",
        "detail",
    ]
)
PARTS = st.dictionaries(PART_KEYS, JSON, max_size=3).flatmap(
    lambda part: st.sampled_from(
        [
            "text",
            "image_url",
            "input_image",
            "image",
            "input_audio",
            "file",
            "document",
            "tool_use",
            "tool_result",
            "thinking",
            "refusal",
        ]
    ).map(lambda kind: {**part, "type": kind})
)
FUNCTION = st.fixed_dictionaries({"name": JSON, "arguments": JSON})
CALLS = st.lists(JSON | st.fixed_dictionaries({"function": JSON | FUNCTION}), max_size=2)
MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool", "developer", "x"])},
    optional={
        "content": JSON | st.lists(PARTS, max_size=3),
        "tool_calls": CALLS | JSON,
        "function_call": JSON,
        "name": JSON,
        "refusal": JSON,
        "provider_content": JSON,
    },
)
SCHEMAS = st.dictionaries(
    st.sampled_from(
        [
            "type",
            "properties",
            "required",
            "$defs",
            "items",
            "anyOf",
            "enum",
            "title",
            "description",
        ]
    ),
    JSON,
)
DECLARED = st.fixed_dictionaries(
    {"name": JSON | st.text(), "parameters": JSON | SCHEMAS}, optional={"description": JSON}
)
TOOLS = st.lists(JSON | DECLARED | st.fixed_dictionaries({"function": JSON | DECLARED}), max_size=2)
FORMAT = st.fixed_dictionaries(
    {
        "type": st.just("json_schema"),
        "json_schema": JSON | st.fixed_dictionaries({"schema": JSON | SCHEMAS}),
    }
)
PARAMS = st.fixed_dictionaries(
    {},
    optional={
        "tools": TOOLS | JSON,
        "functions": TOOLS | JSON,
        "tool_choice": JSON | DECLARED,
        "response_format": JSON | FORMAT,
        "thinking": JSON,
        "extra_headers": JSON,
        "system": JSON,
        "reasoning": JSON,
    },
)


@given(st.lists(MESSAGES, min_size=1, max_size=3), PARAMS, st.sampled_from(MODELS))
def test_whatever_is_in_a_request_it_is_counted(messages, params, model):
    found = estimate(Request(model, messages, params))
    assert found.tokens >= 0
    assert found.upper >= found.tokens


@pytest.mark.parametrize("model", MODELS)
def test_what_is_nested_too_deep_is_refused_clearly(model):
    deep: dict[str, object] = {"type": "object"}
    for _ in range(20_000):
        deep = {"type": "object", "properties": {"x": deep}}
    tool = {"type": "function", "function": {"name": "f", "parameters": deep}}
    with pytest.raises(InvalidRequestError, match="nested too deep"):
        estimate(Request(model, HELLO, {"tools": [tool]}))


def test_counting_warns_of_nothing_where_ranks_are_at_hand():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert count_tokens("Say hello", "gpt-4o") == 2


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "openrouter/z-ai/glm-4.6", "gpt-4o"])
def test_without_ranks_tools_and_texts_are_approximated_for_every_family(model, monkeypatch):
    tool = {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}
    request = Request(model, [{"role": "user", "content": "Say hello"}], {"tools": [tool]})
    exact = estimate(request)
    bare = _tokens_text.Encoder("o200k_base")
    monkeypatch.setattr(bare, "_load", lambda: False)
    monkeypatch.setattr(tokens, "encoder", lambda name: bare)
    tokens._counter.cache_clear()
    try:
        found = estimate(request)
    finally:
        tokens._counter.cache_clear()
    assert found.tokens == pytest.approx(exact.tokens, rel=0.25)
    assert found.upper >= exact.tokens


def test_arguments_that_are_not_json_and_values_that_json_cannot_say_are_counted():
    function = {"name": "f", "arguments": "{not json"}
    calls = [{"id": "1", "type": "function", "function": function}]
    message = {"role": "assistant", "content": None, "tool_calls": calls}
    assert estimate(Request("gpt-4o", [message])).tokens > 5
    odd = {"role": "assistant", "content": None, "tool_calls": [{1: "\ud800", (2,): None}]}
    assert estimate(Request("gpt-4o", [odd])).tokens > 0
    named = {"role": "user", "content": "x", "name": "\ud800"}
    assert estimate(Request("claude-sonnet-4-5", [named])).tokens > 0


def test_tool_calls_may_be_objects():
    call = ToolCall(id="1", type="function", function=FunctionCall(name="f", arguments="{}"))
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    as_dict = message | {"tool_calls": [call.to_dict()]}
    assert estimate(Request("gpt-4o", [message])) == estimate(Request("gpt-4o", [as_dict]))
