"""Chat requests in OpenAI's shape as bodies of Anthropic's Messages API."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scallion._models import ModelInfo
from scallion.providers._anthropic_request import to_anthropic
from support.histories import (
    EPHEMERAL,
    THINKING,
    USE,
    assistant,
    called,
    result,
    returned,
    text,
    user,
)

OLDER = ModelInfo(id="claude-sonnet-4-5", provider="anthropic", sampling_params=True)
MIDDLE = ModelInfo(id="claude-sonnet-4-6", provider="anthropic", adaptive_thinking=True)
NEWER = ModelInfo(
    id="claude-opus-5", provider="anthropic", adaptive_thinking=True, sampling_params=False
)
WEATHER = {"name": "weather", "parameters": {"type": "object", "properties": {}}}
TOOLS = [{"type": "function", "function": WEATHER}]


def body(messages: Any = "Hi", /, *, info: ModelInfo | None = OLDER, **params: Any) -> Any:
    if isinstance(messages, str):
        messages = [user(messages)]
    return to_anthropic(messages, params, model="claude-x", max_tokens_default=1000, info=info)


def test_the_smallest_request():
    assert body("Hi") == {
        "model": "claude-x",
        "max_tokens": 1000,
        "messages": [user([text("Hi")])],
    }


def test_a_system_prompt_of_anthropic_s_own_comes_first():
    sent = body([{"role": "system", "content": "One."}, user("Hi")], system="Zero.")
    assert sent["system"] == [text("Zero."), text("One.")]


# -------------------------------------------------------------------------------- parameters


@pytest.mark.parametrize(
    ("params", "limit"),
    [
        ({}, 1000),
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6}, 6),
        ({"max_tokens": 5, "max_completion_tokens": 6}, 6),
        ({"max_tokens": None}, 1000),
        ({"max_tokens": 0}, 0),
    ],
)
def test_max_tokens_has_two_names_and_a_default(params, limit):
    assert body(**params)["max_tokens"] == limit


def test_parameters_that_change_nothing_of_the_answer_are_dropped():
    harmless = {
        "seed": 1,
        "store": True,
        "metadata": {"label": "x"},
        "prediction": {"type": "content", "content": "x"},
        "prompt_cache_key": "k",
        "stream": True,
        "stream_options": {"include_usage": True},
        "n": 1,
        "logprobs": False,
        "top_logprobs": 0,
        "logit_bias": {},
        "frequency_penalty": 0.0,
        "presence_penalty": 0,
        "modalities": ["text"],
        "verbosity": "medium",
        "top_p": 1.0,
        "response_format": {"type": "text"},
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "stop": [" "],
        "audio": None,
    }
    assert body(**harmless) == body()


@pytest.mark.parametrize(
    "params",
    [
        {"n": 2},
        {"logprobs": True},
        {"top_logprobs": 3},
        {"logit_bias": {"1": 5}},
        {"frequency_penalty": 0.5},
        {"presence_penalty": -1},
        {"modalities": ["text", "audio"]},
        {"audio": {"voice": "x"}},
        {"verbosity": "low"},
        {"web_search_options": {}},
        {"moderation": {}},
        {"temperature": float("nan")},
        {"temperature": 2.5},
        {"temperature": -1},
        {"max_tokens": -1},
        {"reasoning_effort": "enormous"},
        {"tool_choice": "sometimes"},
        {"tool_choice": 7},
        {"tool_choice": {"type": "custom", "custom": {"name": "x"}}},
        {"tool_choice": {"type": "function", "function": {}}},
        {"tools": ["x"]},
        {"tools": [{"type": "custom", "custom": {"name": "x"}}]},
        {"tools": [{"type": "openrouter:web_search"}]},
        {"tools": [{"type": "function", "function": {"name": "x", "parameters": "{}"}}]},
        {"tools": [{"type": "function", "function": {}}]},
        {"response_format": {"type": "json_schema"}},
        {"response_format": {"type": "grammar"}},
        {"response_format": "json"},
    ],
)
def test_what_anthropic_cannot_do_is_refused_by_its_name(params):
    (name,) = params
    with pytest.raises(ValueError, match=name.rstrip("s")):
        body(**params)


def test_anthropic_s_own_parameters_pass_through():
    own = {
        "top_k": 5,
        "container": "c",
        "mcp_servers": [{"type": "url", "url": "u", "name": "n"}],
        "context_management": {"edits": []},
        "cache_control": EPHEMERAL,
        "inference_geo": "eu",
    }
    assert body(**own) == body() | own


def test_the_user_is_anthropic_s_user_id():
    assert body(user="u")["metadata"] == {"user_id": "u"}
    assert body(safety_identifier="s", user="u")["metadata"] == {"user_id": "s"}
    assert body(metadata={"user_id": "m", "label": "x"}, user="u")["metadata"] == {"user_id": "m"}


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("auto", "auto"),
        ("priority", "auto"),
        ("default", "standard_only"),
        ("flex", "standard_only"),
        ("standard_only", "standard_only"),
    ],
)
def test_service_tiers(asked, sent):
    assert body(service_tier=asked)["service_tier"] == sent


def test_stops_are_stop_sequences():
    assert body(stop="END")["stop_sequences"] == ["END"]
    assert body(stop=["\n", "a", "b"], stop_sequences=["c"])["stop_sequences"] == ["c", "a", "b"]


def test_sampling_where_the_model_knows_it():
    assert body(temperature=0.3)["temperature"] == 0.3
    assert body(temperature=1.7)["temperature"] == 1
    assert body(top_p=0.9)["top_p"] == 0.9
    assert body(info=None, temperature=0.3).keys() == body(info=None).keys()
    unknown = to_anthropic([user("Hi")], {"temperature": 0}, model="smollm", max_tokens_default=9)
    assert unknown["temperature"] == 0


def test_of_temperature_and_top_p_claude_gets_one():
    assert "top_p" not in body(temperature=0.3, top_p=0.9)
    assert body(temperature=0.3, top_p=0.9)["temperature"] == 0.3
    assert "temperature" not in body(temperature=1, top_p=0.9)
    assert body(temperature=1.7, top_p=0.9)["top_p"] == 0.9
    assert body(temperature=1, top_p=1)["temperature"] == 1
    both = {"temperature": 0.3, "top_p": 0.9}
    unknown = to_anthropic([user("Hi")], both, model="smollm", max_tokens_default=9)
    assert both.items() <= unknown.items()


def test_sampling_is_dropped_where_the_model_has_none():
    assert body(info=NEWER, temperature=0.3, top_p=0.5, top_k=3) == body(info=NEWER)


# ------------------------------------------------------------------------------------- tools


def test_functions_become_tools():
    tool = {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Tells the weather.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
            "strict": None,
        },
        "cache_control": EPHEMERAL,
    }
    assert body(tools=[tool])["tools"] == [
        {
            "name": "weather",
            "description": "Tells the weather.",
            "input_schema": tool["function"]["parameters"],
            "cache_control": EPHEMERAL,
        }
    ]
    inside = {"type": "function", "function": {"name": "a", "cache_control": EPHEMERAL}}
    empty = {"type": "object", "properties": {}}
    sent = body(tools=[inside], functions=[{"name": "b", "parameters": {"properties": {}}}])
    assert sent["tools"] == [
        {"name": "a", "input_schema": empty, "cache_control": EPHEMERAL},
        {"name": "b", "input_schema": empty},
    ]


def test_anthropic_s_own_tools_are_sent_as_they_are():
    own = [
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 2},
        {"name": "a", "input_schema": {"type": "object"}},
        {"type": "custom", "name": "b", "input_schema": {"type": "object"}},
        {"type": "mcp_toolset", "mcp_server_name": "s"},
    ]
    assert body(tools=own)["tools"] == own


def test_strict_tools_are_cut_down_to_what_is_enforced():
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": 1, "description": "How many."}},
        "required": ["n"],
        "additionalProperties": False,
    }
    tool = {"type": "function", "function": {"name": "a", "parameters": schema, "strict": True}}
    (sent,) = body(tools=[tool])["tools"]
    assert sent["strict"] is True
    assert sent["input_schema"]["properties"]["n"] == {
        "type": "integer",
        "description": "How many.\n\n{minimum: 1}",
    }


@pytest.mark.parametrize(
    ("params", "sent"),
    [
        ({"tool_choice": "auto"}, {"type": "auto"}),
        ({"tool_choice": "none"}, {"type": "none"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": {"type": "any"}}, {"type": "any"}),
        (
            {"tool_choice": {"type": "function", "function": {"name": "weather"}}},
            {"type": "tool", "name": "weather"},
        ),
        ({"function_call": "auto"}, {"type": "auto"}),
        ({"function_call": {"name": "weather"}}, {"type": "tool", "name": "weather"}),
        ({"parallel_tool_calls": True}, None),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        (
            {"parallel_tool_calls": False, "tool_choice": "required"},
            {"type": "any", "disable_parallel_tool_use": True},
        ),
        ({"parallel_tool_calls": False, "tool_choice": "none"}, {"type": "none"}),
    ],
)
def test_tool_choices(params, sent):
    assert body(tools=TOOLS, **params).get("tool_choice") == sent


def test_allowed_tools_narrow_the_tools():
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "b"}}]}
    tools = [{"type": "function", "function": {"name": name}} for name in "abc"]
    sent = body(tools=tools, tool_choice={"type": "allowed_tools", "allowed_tools": allowed})
    assert [tool["name"] for tool in sent["tools"]] == ["b"]
    assert sent["tool_choice"] == {"type": "any"}


# ---------------------------------------------------------------------- formats and thinking


def json_schema(schema: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, **fields}}


def test_a_schema_is_enforced_natively():
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    sent = body(response_format=json_schema(schema), output_config={"effort": "low"})
    assert sent["output_config"] == {
        "effort": "low",
        "format": {"type": "json_schema", "schema": schema | {"additionalProperties": False}},
    }


def test_schemas_lose_only_what_cannot_be_enforced():
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": {"D": {"type": "string", "pattern": "^a"}},
        "type": "object",
        "properties": {
            "ref": {"$ref": "#/$defs/D"},
            "maybe": {"type": ["string", "null"], "maxLength": 3, "description": "Perhaps."},
            "enum": {"type": ["string", "null"], "enum": ["a", None]},
            "one": {"oneOf": [{"type": "string", "format": "date"}, {"type": "integer"}]},
            "list": {"type": "array", "items": {"type": "number", "maximum": 2}, "minItems": 1},
            "many": {"type": "array", "items": {"type": "boolean"}, "minItems": 3},
        },
    }
    sent = body(response_format=json_schema(schema))["output_config"]["format"]["schema"]
    assert sent == {
        "$defs": {"D": {"type": "string", "description": "{pattern: ^a}"}},
        "type": "object",
        "properties": {
            "ref": {"$ref": "#/$defs/D"},
            "maybe": {
                "anyOf": [{"type": "string", "description": "{maxLength: 3}"}, {"type": "null"}],
                "description": "Perhaps.",
            },
            "enum": {"enum": ["a", None]},
            "one": {"anyOf": [{"type": "string", "format": "date"}, {"type": "integer"}]},
            "list": {
                "type": "array",
                "items": {"type": "number", "description": "{maximum: 2}"},
                "minItems": 1,
            },
            "many": {
                "type": "array",
                "items": {"type": "boolean"},
                "description": "{minItems: 3}",
            },
        },
        "additionalProperties": False,
    }


def test_json_without_an_enforceable_schema_is_asked_for_in_the_system_prompt():
    (told,) = body(response_format={"type": "json_object"})["system"]
    assert "JSON" in told["text"]
    free = {"type": "object", "additionalProperties": {"type": "integer"}}
    sent = body(response_format=json_schema(free))
    assert json.dumps(free, separators=(",", ":")) in sent["system"][0]["text"]
    assert "output_config" not in sent
    with pytest.raises(ValueError, match="additionalProperties"):
        body(response_format=json_schema(free, strict=True))


@pytest.mark.parametrize(
    ("info", "effort", "sent"),
    [
        (OLDER, "none", {}),
        (OLDER, "low", {"thinking": {"type": "enabled", "budget_tokens": 2000}}),
        (OLDER, "minimal", {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
        (MIDDLE, "none", {"output_config": {"effort": "low"}}),
        (
            MIDDLE,
            "xhigh",
            {"output_config": {"effort": "high"}, "thinking": {"type": "adaptive"}},
        ),
        (
            NEWER,
            "xhigh",
            {"output_config": {"effort": "xhigh"}, "thinking": {"type": "adaptive"}},
        ),
        (
            None,
            "minimal",
            {"output_config": {"effort": "low"}, "thinking": {"type": "adaptive"}},
        ),
        (ModelInfo(id="claude-3-opus", provider="anthropic", reasoning=False), "high", {}),
    ],
)
def test_effort_is_set_the_way_the_model_takes_it(info, effort, sent):
    plain = body(info=info, max_tokens=10_000)
    assert body(info=info, max_tokens=10_000, reasoning_effort=effort) == plain | sent


def test_thinking_for_an_effort_never_costs_more_than_max_tokens():
    assert "thinking" not in body(max_tokens=1024, reasoning_effort="high")
    sent = body(max_tokens=1025, reasoning_effort="low")
    assert sent["thinking"]["budget_tokens"] == 1024
    assert sent["max_tokens"] == 1025


def test_thinking_for_an_effort_gives_way_to_what_it_cannot_be_combined_with():
    forced = body(tools=TOOLS, tool_choice="required", reasoning_effort="high", max_tokens=9000)
    assert "thinking" not in forced
    assert "temperature" not in body(temperature=0, reasoning_effort="high", max_tokens=9000)
    own = {"type": "enabled", "budget_tokens": 2000}
    assert body(thinking=own, reasoning_effort="high", max_tokens=9000)["thinking"] == own


def test_a_thinking_budget_adds_to_max_tokens_where_it_would_fill_them():
    own = {"type": "enabled", "budget_tokens": 5000}
    assert body(thinking=own, max_tokens=5000)["max_tokens"] == 10_000
    assert body(thinking=own, max_tokens=5001)["max_tokens"] == 5001


def test_thinking_waits_for_the_end_of_a_tool_loop_that_began_without():
    own = {"type": "enabled", "budget_tokens": 2000}

    def thinks(*messages: dict[str, Any], thinking: dict[str, Any] = own) -> bool:
        return "thinking" in body(list(messages), thinking=thinking, max_tokens=9000)

    foreign = [user("?"), called("a"), result("a")]
    assert not thinks(*foreign)
    assert thinks(*foreign, thinking={"type": "adaptive"})
    assert thinks(*foreign, user("never mind"), assistant("ok"), user("?"))
    ours = [user("?"), returned(THINKING, USE), result("toolu_1")]
    assert thinks(*ours)
    assert thinks(*ours, called("b"), result("b"))
    assert thinks(user("?"))
