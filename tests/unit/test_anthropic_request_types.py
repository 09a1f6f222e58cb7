"""Whatever history comes in, what goes out is what the anthropic SDK's types accept."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pydantic
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from hypothesis import given
from hypothesis import strategies as st

from scallion._models import ModelInfo
from scallion.providers._anthropic_request import to_anthropic
from support.histories import (
    EPHEMERAL,
    FOUND,
    REDACTED,
    SEARCH,
    THINKING,
    USE,
    assistant,
    result,
    returned,
    text,
    user,
)

MODELS = [
    ModelInfo(id="claude-sonnet-4-5", provider="anthropic", sampling_params=True),
    ModelInfo(id="claude-sonnet-4-6", provider="anthropic", adaptive_thinking=True),
    ModelInfo(
        id="claude-opus-5", provider="anthropic", adaptive_thinking=True, sampling_params=False
    ),
    None,
]


words = st.text(max_size=8)
ids = st.sampled_from(["call_1", "call_2", "functions.a:0", "ü", "", "x" * 94])
parts = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": words}),
    st.fixed_dictionaries(
        {
            "type": st.just("image_url"),
            "image_url": st.fixed_dictionaries(
                {"url": st.sampled_from(["https://e.org/a", "data:image/png;base64,iVBO"])}
            ),
        }
    ),
    st.just({"type": "file", "file": {"file_data": "JVBERi0xLjQgLi4u", "filename": "a.pdf"}}),
    st.just({"type": "text", "text": "x", "cache_control": EPHEMERAL}),
)
calls = st.fixed_dictionaries(
    {
        "id": ids,
        "type": st.just("function"),
        "function": st.fixed_dictionaries(
            {"name": st.just("f"), "arguments": words | st.just('{"a": 1}')}
        ),
    }
)
answers = st.lists(
    st.sampled_from([THINKING, REDACTED, text("a"), text(" "), USE, SEARCH, FOUND]), max_size=5
).map(lambda blocks: returned(*blocks))
content = words | st.lists(parts, max_size=3) | st.none()
messages = st.one_of(
    st.builds(user, content),
    st.builds(lambda c: {"role": "system", "content": c}, words),
    st.builds(
        lambda c, t: assistant(c, tool_calls=t), words | st.none(), st.lists(calls, max_size=3)
    ),
    st.builds(result, ids, content),
    st.builds(lambda c: {"role": "function", "name": "f", "content": c}, words),
    st.builds(lambda c: assistant(c, function_call={"name": "f", "arguments": ""}), words),
    answers,
)
params = st.fixed_dictionaries(
    {},
    optional={
        "tools": st.just([{"type": "function", "function": {"name": "f"}}]),
        "tool_choice": st.sampled_from(["auto", "none", "required"]),
        "parallel_tool_calls": st.booleans(),
        "reasoning_effort": st.sampled_from(["none", "minimal", "low", "high", "xhigh"]),
        "temperature": st.floats(0, 2),
        "stop": words | st.lists(words),
        "max_completion_tokens": st.integers(1, 50_000),
        "response_format": st.sampled_from(
            [
                {"type": "json_object"},
                {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
            ]
        ),
        "user": words,
        "service_tier": st.sampled_from(["auto", "default", "flex", "priority"]),
        "thinking": st.sampled_from(
            [{"type": "enabled", "budget_tokens": 1024}, {"type": "adaptive"}]
        ),
    },
)
SDK = pydantic.TypeAdapter(MessageCreateParamsNonStreaming)


@given(st.lists(messages, max_size=8), params, st.sampled_from(MODELS))
def test_whatever_comes_in_the_sdk_s_types_accept_what_goes_out(history, given_params, info):
    history = [*history, user("Well?")]
    sent = to_anthropic(history, given_params, model="claude-x", max_tokens_default=1000, info=info)
    read_through(SDK.validate_python(sent))

    roles = [turn["role"] for turn in sent["messages"]]
    assert all(one != other for one, other in itertools.pairwise(roles))
    used: set[str] = set()
    for turn in sent["messages"]:
        assert turn["content"]
        for block in turn["content"]:
            assert block["type"] != "text" or block["text"].strip()
            if block["type"] == "tool_use" and block["id"] != USE["id"]:
                assert re.fullmatch(r"[a-zA-Z0-9_-]+", block["id"])
                assert block["id"] not in used
                used.add(block["id"])
        kinds = [block["type"] == "tool_result" for block in turn["content"]]
        assert kinds == sorted(kinds, reverse=True)
        if turn["role"] == "assistant":
            assert turn["content"][-1]["type"] not in ("thinking", "redacted_thinking")
    thinking = sent.get("thinking", {})
    assert thinking.get("budget_tokens", 0) < sent["max_tokens"]


def read_through(value: Any) -> None:
    """Pydantic checks an iterable only as it is read."""
    if isinstance(value, dict):
        for inner in value.values():
            read_through(inner)
    elif not isinstance(value, (str, bytes)) and hasattr(value, "__iter__"):
        for inner in value:
            read_through(inner)
