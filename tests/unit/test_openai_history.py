"""Histories of any origin, made valid for OpenAI-compatible servers."""

from __future__ import annotations

import json
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionMessageParam

from scallion.providers._openai_history import to_openai_messages
from support.histories import (
    EPHEMERAL,
    FOUND,
    REDACTED,
    SEARCH,
    THINKING,
    USE,
    assistant,
    called,
    result,
    returned,
    text,
    user,
)

LONG = "toolu_" + "x" * 88
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}


def sent(*messages: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    return list(to_openai_messages(messages, **({"keep_reasoning": False} | options)))


def test_a_history_that_is_fine_is_handed_on_untouched():
    history = [
        {"role": "system", "content": "Be brief."},
        user("Hi", name="Al"),
        assistant("Hello"),
        user("Weather?"),
        called("call_1", "call_2"),
        result("call_1"),
        result("call_2"),
    ]
    assert to_openai_messages(history, keep_reasoning=False) is history


def test_only_the_message_that_needs_it_is_rebuilt():
    history = (user("a"), assistant("b", annotations=[]), user("c"))
    first, second, third = to_openai_messages(history, keep_reasoning=False)
    assert first is history[0]
    assert second == assistant("b")
    assert third is history[2]
    assert "annotations" in history[1]


def test_an_answer_of_anthropic_s_loses_what_only_anthropic_reads():
    message = returned(THINKING, REDACTED, text("4", citations=[]), SEARCH, FOUND, USE)
    function = {"name": "weather", "arguments": '{"b":1,"a":[2.0]}'}
    assert sent(user("?"), message, result("toolu_1"))[1] == assistant(
        "4", tool_calls=[{"id": "toolu_1", "type": "function", "function": function}]
    )


def test_reasoning_stays_where_it_is_wanted():
    details = [{"type": "reasoning.text", "text": "hm"}]
    message = assistant("4", reasoning="hm", reasoning_details=details, provider_content={})
    kept = assistant("4", reasoning="hm", reasoning_details=details)
    assert sent(message, keep_reasoning=True) == [kept]
    assert sent(message) == [assistant("4")]


def test_cache_markers_stay_where_they_are_wanted():
    marked = user([text("a", cache_control=EPHEMERAL), IMAGE])
    whole = user("b", cache_control=EPHEMERAL)
    assert sent(marked, whole) == [user([text("a"), IMAGE]), user("b")]
    assert sent(marked, whole, keep_reasoning=True) == [
        marked,
        user([text("b", cache_control=EPHEMERAL)]),
    ]
    assert sent(marked, keep_reasoning=True, keep_cache_control=False) == [user([text("a"), IMAGE])]


def test_null_fields_are_left_out_but_for_a_content_that_is_meant_to_be_null():
    message = called("a") | {"refusal": None, "function_call": None, "audio": None, "name": None}
    assert sent(message, result("a")) == [called("a"), result("a")]
    assert sent(assistant("x", tool_calls=None)) == [assistant("x")]


@pytest.mark.parametrize(
    ("message", "content"),
    [
        (assistant(None), ""),
        (assistant([]), ""),
        (assistant([THINKING]), ""),
        (assistant(None, refusal="No."), None),
        (called("a", content=[]), None),
        (user([]), ""),
        (user(None), ""),
    ],
)
def test_a_message_always_has_a_content_that_its_kind_allows(message, content):
    assert sent(message)[0]["content"] == content


def test_an_audio_answer_is_sent_back_by_its_id():
    audio = {"id": "audio_1", "data": "…", "transcript": "Hi", "expires_at": 1}
    assert sent(assistant(None, audio=audio)) == [assistant(None, audio={"id": "audio_1"})]


def test_long_ids_are_shortened_alike_in_call_and_result():
    other = LONG + "y"
    call, one, two = sent(called(LONG, other), result(LONG), result(other))
    ids = [made["id"] for made in call["tool_calls"]]
    assert ids == [one["tool_call_id"], two["tool_call_id"]]
    assert len(set(ids)) == 2
    assert all(len(made) <= 40 for made in ids)
    assert sent(called(LONG), result(LONG))[0]["tool_calls"][0]["id"] == ids[0]
    assert sent(called("x" * 40))[0]["tool_calls"][0]["id"] == "x" * 40


def test_streamed_calls_lose_their_index():
    call = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}
    (made,) = sent(assistant(None, tool_calls=[call]))[0]["tool_calls"]
    assert made == {"id": "a", "type": "function", "function": call["function"]}


@pytest.mark.parametrize(
    ("block", "part"),
    [
        (
            {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
            IMAGE,
        ),
        (
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"},
            },
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}},
        ),
        (
            {
                "type": "document",
                "title": "a.pdf",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
            },
            {
                "type": "file",
                "file": {
                    "filename": "a.pdf",
                    "file_data": "data:application/pdf;base64,JVBE",
                },
            },
        ),
        (
            {"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}},
            {
                "type": "file",
                "file": {"filename": "document.pdf", "file_data": "https://example.org/a.pdf"},
            },
        ),
        (
            {"type": "document", "title": "T", "source": {"type": "text", "data": "words"}},
            text("T\n\nwords"),
        ),
        (
            {"type": "document", "source": {"type": "content", "content": [text("words")]}},
            text("words"),
        ),
        (
            {"type": "search_result", "title": "T", "source": "s", "content": [text("words")]},
            text("T\ns\nwords"),
        ),
        (text("x", citations=[1]), text("x")),
        ({"type": "tool_reference", "tool_name": "f"}, text("f")),
        ({"type": "a_part_of_next_year", "x": 1}, {"type": "a_part_of_next_year", "x": 1}),
    ],
)
def test_anthropic_s_blocks_become_openai_s_parts(block, part):
    marked = block | {"cache_control": EPHEMERAL}
    assert sent(user([text("?"), marked])) == [user([text("?"), part])]
    kept = sent(user([text("?"), marked]), keep_reasoning=True)
    assert kept == [user([text("?"), part | {"cache_control": EPHEMERAL}])]


def test_tool_blocks_become_tool_calls_and_tool_messages():
    answer = {"type": "tool_result", "tool_use_id": LONG, "content": [text("sunny")]}
    call, told, asked = sent(
        assistant([THINKING, text("Calling."), USE | {"id": LONG}]), user([answer, text("So?")])
    )
    (made,) = call["tool_calls"]
    assert call["content"] == "Calling."
    assert json.loads(made["function"]["arguments"]) == USE["input"]
    assert told == result(made["id"], "sunny")
    assert asked == user("So?")
    assert sent(user([answer])) == [told]


def test_a_call_that_was_cut_off_goes_out_as_the_model_wrote_it():
    block = USE | {"input": {"raw_arguments": '{"a": [1,'}}
    (made,) = sent(assistant([block]))[0]["tool_calls"]
    assert made["function"]["arguments"] == '{"a": [1,'


def test_images_in_a_result_follow_in_a_user_s_message():
    history = [called("a", "b"), result("a", [text("Here:"), IMAGE]), result("b", [IMAGE])]
    moved = [
        called("a", "b"),
        result("a", "Here:"),
        result("b", "The result is attached to the next message."),
        user([IMAGE, IMAGE]),
    ]
    assert sent(*history) == moved
    assert sent(*history, user("So?")) == [*moved, user("So?")]


def test_images_in_a_result_block_join_what_the_user_says():
    answer = {"type": "tool_result", "tool_use_id": "a", "content": [text("Here:"), IMAGE]}
    assert sent(user([answer, text("So?")])) == [
        result("a", "Here:"),
        user([IMAGE, text("So?")]),
    ]


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (user([{"type": "image", "source": {"type": "file", "file_id": "f"}}]), "only Anthropic"),
        (user([{"type": "container_upload", "file_id": "f"}]), "only Anthropic"),
        (user([{"type": "document"}]), "without its source"),
        (user([7]), "must be an object"),
        (user([{}]), "without its type"),
        (user(7), "content must be text"),
        (assistant(tool_calls=["x"]), "list of objects"),
    ],
)
def test_what_cannot_be_sent_is_named(message, said):
    with pytest.raises(ValueError, match=rf"messages\[1\]: .*{said}"):
        sent(user("Hi"), message)


words = st.text(max_size=8)
parts = st.lists(
    st.sampled_from(
        [
            text("a"),
            text("b", cache_control=EPHEMERAL),
            IMAGE,
            {"type": "image", "source": {"type": "url", "url": "https://example.org"}},
            {"type": "document", "source": {"type": "text", "data": "x"}},
            {"type": "tool_result", "tool_use_id": LONG, "content": [text("a"), IMAGE]},
        ]
    ),
    max_size=4,
)
ids = st.sampled_from(["call_1", LONG])
answers = st.lists(
    st.sampled_from([THINKING, REDACTED, text("a"), USE, SEARCH, FOUND]), max_size=5
).map(lambda blocks: returned(*blocks))
messages = st.one_of(
    st.builds(user, words | parts),
    st.builds(result, ids, words | parts),
    st.builds(called, ids),
    answers,
    answers.map(lambda message: message | {"content": [THINKING, text("x"), USE, SEARCH]}),
)
SDK = pydantic.TypeAdapter(list[ChatCompletionMessageParam])


@given(st.lists(messages, max_size=6))
def test_whatever_comes_in_the_sdk_s_types_accept_what_goes_out(history):
    before = json.dumps(history)
    made = sent(*history)
    read_through(SDK.validate_python(made))
    assert json.dumps(history) == before
    assert not any("provider_content" in message for message in made)
    assert to_openai_messages(made, keep_reasoning=False) == made


def read_through(value: Any) -> None:
    """Pydantic checks an iterable only as it is read."""
    if isinstance(value, dict):
        for inner in value.values():
            read_through(inner)
    elif not isinstance(value, (str, bytes)) and hasattr(value, "__iter__"):
        for inner in value:
            read_through(inner)


def test_calls_without_ids_are_given_some_and_answered_in_order():
    def unnamed(name, id=""):
        function = {"name": name, "arguments": "{}"}
        return {"id": id, "type": "function", "function": function}

    history = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": [unnamed("f"), unnamed("g", None)]},
        {"role": "tool", "tool_call_id": "", "content": "1"},
        {"role": "tool", "tool_call_id": None, "content": "2"},
        {"role": "assistant", "content": None, "tool_calls": [unnamed("f")]},
        {"role": "tool", "tool_call_id": "", "content": "3"},
        {"role": "tool", "tool_call_id": "", "content": "to nothing"},
    ]
    sent = to_openai_messages(history, keep_reasoning=False)

    first, second = [call["id"] for call in sent[1]["tool_calls"]]
    (third,) = [call["id"] for call in sent[4]["tool_calls"]]
    assert len({first, second, third}) == 3
    assert all(0 < len(made) <= 40 for made in (first, second, third))
    answered = [said["tool_call_id"] for said in sent if said["role"] == "tool"]
    assert answered == [first, second, third, ""]
    again = to_openai_messages([*history, {"role": "user", "content": "?"}], keep_reasoning=False)
    assert again[: len(sent)] == sent
