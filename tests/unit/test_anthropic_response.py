"""Anthropic's whole answers in OpenAI's shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from scallion.providers._anthropic_response import InBandError, from_anthropic

if TYPE_CHECKING:
    from scallion.types import ModelResponse

USAGE = {"input_tokens": 3, "output_tokens": 5}
THINKING = {"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"}
TOOL_USE = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome"}}


def answer(*blocks: dict[str, Any], **fields: Any) -> ModelResponse:
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": list(blocks),
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": USAGE,
    }
    return from_anthropic(msgspec.json.encode(message | fields))


def text(words: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **fields}


def test_a_plain_answer_needs_nothing_but_openai_s_fields():
    response = answer(text("Hello."))
    assert response.to_dict() == {
        "id": "msg_1",
        "object": "chat.completion",
        "model": "claude-sonnet-4-5-20250929",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello."},
                "finish_reason": "stop",
                "native_finish_reason": "end_turn",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
    }
    assert response.raw["content"] == [text("Hello.")]


def test_a_dict_is_read_like_the_bytes_but_there_are_none_to_keep():
    response = from_anthropic({"type": "message", "content": [text("Hi")], "usage": None})
    assert response.text == "Hi"
    assert response.usage is None
    assert response.body is None


def test_tool_calls_have_their_input_as_json_text_and_no_content():
    response = answer(TOOL_USE, TOOL_USE | {"id": "toolu_2", "input": {}}, stop_reason="tool_use")
    assert response.message.content is None
    assert [
        (call.id, call.type, call.function.name, call.function.arguments)
        for call in response.tool_calls
    ] == [
        ("toolu_1", "function", "weather", '{"city":"Rome"}'),
        ("toolu_2", "function", "weather", "{}"),
    ]
    assert response.finish_reason == "tool_calls"
    assert response.message.provider_content is None


def test_an_empty_answer_is_an_empty_text():
    assert answer().message.content == ""
    assert answer(THINKING).message.content == ""


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("compaction", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("something_of_next_year", "stop"),
        (None, None),
    ],
)
def test_stop_reasons_have_openai_s_words_and_keep_their_own(native, reason):
    choice = answer(text("…"), stop_reason=native).choices[0]
    assert choice.finish_reason == reason
    assert choice.native_finish_reason == native


def test_the_stop_sequence_and_every_unknown_field_are_kept():
    details = {"type": "refusal", "category": "bio", "explanation": None}
    response = answer(
        text("x"), stop_sequence="END", stop_details=details, container={"id": "c"}, new=[1]
    )
    assert response.stop_sequence == "END"
    assert response.stop_details == details
    assert response.to_dict()["container"] == {"id": "c"}
    assert response.to_dict()["new"] == [1]


def test_cached_tokens_count_as_prompt_tokens():
    usage = {
        "input_tokens": 10,
        "cache_read_input_tokens": 200,
        "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
        "output_tokens": 7,
        "output_tokens_details": {"thinking_tokens": 4},
        "service_tier": "standard",
        "server_tool_use": {"web_search_requests": 1},
        "inference_geo": None,
    }
    read = answer(text("x"), usage=usage).usage
    assert (read.prompt_tokens, read.completion_tokens, read.total_tokens) == (240, 7, 247)
    details = read.prompt_tokens_details
    assert (details.cached_tokens, details.cache_write_tokens) == (200, 30)
    assert details.cache_write_1h_tokens == 20
    assert read.completion_tokens_details.reasoning_tokens == 4
    assert read.service_tier == "standard"
    assert read.server_tool_use == {"web_search_requests": 1}
    assert read.cache_creation["ephemeral_5m_input_tokens"] == 10
    assert "inference_geo" not in read.to_dict()


def test_counts_that_are_null_or_no_numbers_do_not_break_an_answer():
    usage = {"input_tokens": None, "output_tokens": "many", "cache_creation": [1]}
    read = answer(text("x"), usage=usage).usage
    assert (read.prompt_tokens, read.completion_tokens) == (0, 0)
    assert read.prompt_tokens_details is None


def test_thinking_is_reasoning_and_the_blocks_are_kept_as_they_came():
    blocks = [THINKING, {"type": "redacted_thinking", "data": "ZW5j"}, text("4"), TOOL_USE]
    message = answer(*blocks).message
    assert message.reasoning == "Let me see."
    assert message.content == "4"
    assert message.provider_content == {"format": "anthropic", "content": blocks}


@pytest.mark.parametrize(
    "blocks",
    [
        [text("a"), text("b")],
        [TOOL_USE, text("after a call")],
        [text("a", citations=[])],
        [TOOL_USE | {"caller": {"type": "direct"}}],
        [{"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}],
        [{"type": "compaction", "content": "what was"}, text("a")],
        [{"type": "a_block_of_next_year"}],
    ],
)
def test_blocks_are_kept_wherever_text_and_plain_calls_would_lose_something(blocks):
    message = answer(*blocks).message
    assert message.provider_content["content"] == blocks
    assert message.text == "".join(block.get("text", "") for block in blocks)
    assert [call.function.name for call in message.tool_calls or ()] == [
        block["name"] for block in blocks if block["type"] == "tool_use"
    ]


def test_web_citations_are_url_citations_over_the_text_they_are_about():
    citation = {
        "type": "web_search_result_location",
        "url": "https://example.org",
        "title": "An example",
        "encrypted_index": "Zm9v",
        "cited_text": "The sky scatters blue light.",
    }
    message = answer(text("Why? "), text("It scatters.", citations=[citation])).message
    (annotation,) = message.annotations
    assert annotation == {
        "type": "url_citation",
        "url_citation": {
            "url": "https://example.org",
            "title": "An example",
            "cited_text": "The sky scatters blue light.",
            "start_index": 5,
            "end_index": 17,
        },
    }
    assert message.content[5:17] == "It scatters."


def test_other_citations_keep_their_fields_under_their_type():
    citation = {"type": "char_location", "document_index": 0, "start_char_index": 4}
    (annotation,) = answer(text("It is so.", citations=[citation, None])).message.annotations
    assert annotation == {
        "type": "char_location",
        "char_location": {
            "document_index": 0,
            "start_char_index": 4,
            "start_index": 0,
            "end_index": 9,
        },
    }


def test_an_error_in_place_of_an_answer_raises_it():
    body = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    with pytest.raises(InBandError) as caught:
        from_anthropic(msgspec.json.encode(body))
    assert caught.value.body == body
    assert "Overloaded" not in str(caught.value)  # the adapter says it, with its particulars


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"content": "x"}', b"\xff"])
def test_what_is_no_message_is_a_value_error(body):
    with pytest.raises(ValueError, match=r"\w"):
        from_anthropic(body)
