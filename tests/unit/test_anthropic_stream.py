"""Anthropic's streams in OpenAI's shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scallion._accumulate import accumulate
from scallion.providers._anthropic_response import InBandError, from_anthropic
from scallion.providers._anthropic_stream import AnthropicEvents

if TYPE_CHECKING:
    from scallion.types import StreamChunk

START = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-4-6",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 1},
    },
}
STOP = {"type": "message_stop"}


def opened(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def grown(index: int, kind: str, **delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **delta}}


def closed(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def ended(reason: str | None = "end_turn", **fields: Any) -> dict[str, Any]:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 7}} | fields


def fed(*events: dict[str, Any]) -> list[StreamChunk]:
    stream = AnthropicEvents()
    return [chunk for event in events for chunk in stream.feed(msgspec.json.encode(event))]


def test_a_text_comes_as_a_role_then_pieces_then_a_finish():
    first, one, two, last = fed(
        START,
        opened(0, type="text", text=""),
        grown(0, "text_delta", text="Hel"),
        {"type": "ping"},
        grown(0, "text_delta", text="lo"),
        closed(0),
        ended(),
        STOP,
    )
    assert first.choices[0].delta.to_dict() == {"role": "assistant"}
    assert [one.content, two.content] == ["Hel", "lo"]
    assert {chunk.id for chunk in (first, one, two, last)} == {"msg_1"}
    assert {chunk.model for chunk in (first, one, two, last)} == {"claude-opus-4-6"}
    assert last.choices[0].delta.to_dict() == {}
    assert (last.finish_reason, last.choices[0].native_finish_reason) == ("stop", "end_turn")
    assert two.raw == grown(0, "text_delta", text="lo")


def test_counts_of_the_start_stand_until_an_event_repeats_them():
    last = fed(START, ended(usage={"output_tokens": 7, "input_tokens": 11}))[-1]
    assert last.usage.prompt_tokens == 11 + 90
    assert last.usage.prompt_tokens_details.cached_tokens == 90
    assert last.usage.completion_tokens == 7


def test_the_usage_so_far_is_known_before_the_end():
    stream = AnthropicEvents()
    assert stream.usage is None
    stream.feed(msgspec.json.encode(START))
    assert stream.usage.prompt_tokens == 100


def test_of_several_message_deltas_the_last_counts_win_and_the_finish_comes_once():
    chunks = fed(
        START,
        opened(0, type="text", text=""),
        grown(0, "text_delta", text="x"),
        closed(0),
        ended(None, usage={"output_tokens": 2}),
        ended("pause_turn", usage={"output_tokens": 5}),
        ended(None, usage={"output_tokens": 9}),
    )
    assert [chunk.finish_reason for chunk in chunks if chunk.finish_reason] == ["stop"]
    answer = accumulate(chunks)
    assert answer.usage.completion_tokens == 9
    assert answer.choices[0].native_finish_reason == "pause_turn"


def test_a_count_may_fall():
    answer = accumulate(
        fed(START, ended("end_turn", usage={"input_tokens": 0, "output_tokens": 5}))
    )
    assert answer.usage.completion_tokens == 5
    assert answer.usage.prompt_tokens < 100


def test_fields_of_the_end_reach_the_answer():
    answer = accumulate(
        fed(
            START,
            ended(
                "stop_sequence",
                delta={
                    "stop_reason": "stop_sequence",
                    "stop_sequence": "END",
                    "container": {"id": "c"},
                },
                context_management={"applied_edits": []},
                usage={"output_tokens": 7, "iterations": [{"type": "message"}]},
            ),
        )
    )
    assert answer.stop_sequence == "END"
    assert answer.container == {"id": "c"}
    assert answer.context_management == {"applied_edits": []}
    assert answer.usage.iterations == [{"type": "message"}]


def test_tool_calls_are_numbered_among_themselves_and_their_fragments_kept():
    chunks = fed(
        START,
        opened(0, type="text", text=""),
        grown(0, "text_delta", text="Looking."),
        closed(0),
        opened(1, type="server_tool_use", id="srvtoolu_1", name="web_search", input={}),
        grown(1, "input_json_delta", partial_json='{"query": 1}'),
        closed(1),
        opened(2, type="tool_use", id="toolu_1", name="a", input={}),
        grown(2, "input_json_delta", partial_json=""),
        grown(2, "input_json_delta", partial_json='{"x": '),
        grown(2, "input_json_delta", partial_json="1}"),
        closed(2),
        opened(3, type="tool_use", id="toolu_2", name="b", input={}),
        closed(3),
        ended("tool_use"),
    )
    fragments = [
        (call.index, call.id, call.type, call.function.name, call.function.arguments)
        for chunk in chunks
        for call in chunk.tool_calls
    ]
    assert fragments == [
        (0, "toolu_1", "function", "a", ""),
        (0, None, None, None, '{"x": '),
        (0, None, None, None, "1}"),
        (1, "toolu_2", "function", "b", ""),
        (1, None, None, None, "{}"),
    ]
    blocks = accumulate(chunks).message.provider_content["content"]
    assert [block.get("input") for block in blocks[1:]] == [{"query": 1}, {"x": 1}, {}]


def test_input_that_stood_in_the_start_is_not_lost():
    chunks = fed(START, opened(0, type="tool_use", id="t", name="a", input={"x": 1}), closed(0))
    assert accumulate(chunks).tool_calls[0].function.arguments == '{"x":1}'


def test_arguments_cut_off_by_the_token_limit_survive_as_they_came():
    answer = accumulate(
        fed(
            START,
            opened(0, type="thinking", thinking="", signature=""),
            grown(0, "signature_delta", signature="c2ln"),
            closed(0),
            opened(1, type="tool_use", id="toolu_1", name="a", input={}),
            grown(1, "input_json_delta", partial_json='{"x": [1,'),
            ended("max_tokens"),
        )
    )
    assert answer.tool_calls[0].function.arguments == '{"x": [1,'
    assert answer.message.provider_content["content"] == [
        {"type": "thinking", "thinking": "", "signature": "c2ln"},
        {"type": "tool_use", "id": "toolu_1", "name": "a", "input": {"raw_arguments": '{"x": [1,'}},
    ]


def test_thinking_is_reasoning_with_its_signature_in_the_blocks():
    chunks = fed(
        START,
        opened(0, type="thinking", thinking="", signature=""),
        grown(0, "thinking_delta", thinking="Let me "),
        grown(0, "thinking_delta", thinking="see."),
        grown(0, "signature_delta", signature="c2ln"),
        closed(0),
        opened(1, type="redacted_thinking", data="ZW5j"),
        closed(1),
        opened(2, type="text", text=""),
        grown(2, "text_delta", text="4"),
        closed(2),
        ended(),
    )
    assert [chunk.reasoning for chunk in chunks if chunk.reasoning] == ["Let me ", "see."]
    message = accumulate(chunks).message
    assert message.reasoning == "Let me see."
    assert message.provider_content["content"] == [
        {"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "ZW5j"},
        {"type": "text", "text": "4"},
    ]


def test_deltas_of_an_unknown_kind_are_kept_in_their_block():
    answer = accumulate(
        fed(
            START,
            opened(0, type="compaction", content=None),
            grown(0, "compaction_delta", content="What was said.", encrypted_content="ZW5j"),
            closed(0),
            ended("compaction"),
        )
    )
    assert answer.message.content == ""
    assert answer.message.provider_content["content"] == [
        {"type": "compaction", "content": "What was said.", "encrypted_content": "ZW5j"}
    ]


def test_a_model_that_takes_over_midway_is_named_from_there_on():
    change = {"from": {"model": "claude-opus-4-6"}, "to": {"model": "claude-sonnet-4-6"}}
    answer = accumulate(fed(START, opened(0, type="fallback", **change), closed(0), ended()))
    assert answer.model == "claude-sonnet-4-6"


def test_a_message_that_its_start_brings_whole_ends_with_its_stop():
    blocks = [
        {"type": "text", "text": "On."},
        {"type": "tool_use", "id": "t", "name": "roll", "input": {"x": 1}, "caller": {}},
    ]
    message = START["message"] | {"content": blocks, "stop_reason": "tool_use"}
    streamed = accumulate(fed({"type": "message_start", "message": message}, STOP))
    whole = from_anthropic(msgspec.json.encode(message))
    assert streamed.to_dict() == whole.to_dict()


def test_a_reason_in_the_start_does_not_end_a_stream_that_goes_on():
    message = START["message"] | {"stop_reason": "end_turn"}
    chunks = fed(
        {"type": "message_start", "message": message},
        opened(0, type="text", text="x"),
        ended("max_tokens"),
        STOP,
    )
    assert [chunk.finish_reason for chunk in chunks if chunk.finish_reason] == ["length"]


def test_a_second_message_voids_what_the_first_one_said():
    second = {"type": "message_start", "message": START["message"] | {"id": "msg_2"}}
    chunks = fed(
        START,
        opened(0, type="tool_use", id="toolu_1", name="a", input={}),
        grown(0, "input_json_delta", partial_json='{"x'),
        second,
        opened(0, type="text", text=""),
        grown(0, "text_delta", text="Sorry."),
        closed(0),
        ended(),
    )
    assert [chunk.restarted for chunk in chunks].count(True) == 1
    answer = accumulate(chunks)
    assert (answer.id, answer.text, answer.tool_calls) == ("msg_2", "Sorry.", [])
    assert answer.message.provider_content is None


def test_an_error_event_raises_it():
    body = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    with pytest.raises(InBandError) as caught:
        fed(START, body)
    assert caught.value.body == body


def test_the_end_is_marked_and_a_closing_done_is_no_error():
    stream = AnthropicEvents()
    assert stream.feed(msgspec.json.encode(START)) != []
    assert not stream.stopped
    assert stream.feed(msgspec.json.encode(STOP)) == []
    assert stream.stopped
    assert stream.feed(b"[DONE]") == []


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"\xff",
        b"[1]",
        b"null",
        b'{"type": "message_start"}',
        b'{"type": "message_delta", "delta": 1}',
        b'{"type": "content_block_start", "index": 0}',
        b'{"type": "content_block_start", "index": "a", "content_block": {}}',
        b'{"type": "content_block_delta", "index": 7, "delta": {"type": "text_delta", "text": "x"}}',
    ],
)
def test_what_is_no_event_is_a_value_error(data):
    with pytest.raises(ValueError, match=r"\w"):
        AnthropicEvents().feed(data)


@pytest.mark.parametrize(
    "data",
    [
        b'{"type": "ping"}',
        b'{"type": "event_of_next_year", "delta": {"text": 1}}',
        b'{"type": 1}',
        b"{}",
        b'{"type": "content_block_stop", "index": 3}',
    ],
)
def test_events_that_say_nothing_make_no_chunk(data):
    assert AnthropicEvents().feed(data) == []


# ----------------------------------------------------------------------------------- parity

texts = st.text(max_size=12)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(texts, json_values, max_size=3)
citations = st.fixed_dictionaries(
    {"type": st.sampled_from(["web_search_result_location", "page_location"]), "cited_text": texts}
)
blocks = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": texts}),
    st.fixed_dictionaries(
        {"type": st.just("text"), "text": texts, "citations": st.lists(citations, max_size=2)}
    ),
    st.fixed_dictionaries({"type": st.just("thinking"), "thinking": texts, "signature": texts}),
    st.fixed_dictionaries({"type": st.just("redacted_thinking"), "data": texts}),
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["tool_use", "server_tool_use", "mcp_tool_use"]),
            "id": texts,
            "name": st.text(min_size=1, max_size=12),
            "input": objects,
        }
    ),
    st.fixed_dictionaries({"type": st.just("web_search_tool_result"), "content": json_values}),
)


@given(
    content=st.lists(blocks, max_size=5),
    reason=st.sampled_from(["end_turn", "tool_use", "max_tokens", "refusal", "stop_sequence"]),
    counts=st.dictionaries(
        st.sampled_from(["input_tokens", "output_tokens", "cache_read_input_tokens", "iterations"]),
        st.integers(0, 1000),
    ),
    cut=st.integers(1, 5),
)
def test_a_stream_adds_up_to_the_answer_sent_whole(content, reason, counts, cut):
    content = [block | {"id": f"toolu_{i}"} if "id" in block else block
               for i, block in enumerate(content)]  # fmt: skip
    message = START["message"] | {"content": content, "stop_reason": reason, "usage": counts}
    whole = from_anthropic(msgspec.json.encode(message))
    streamed = accumulate(fed(*as_events(message, cut)))
    assert comparable(streamed.to_dict()) == comparable(whole.to_dict())


def as_events(message: dict[str, Any], cut: int) -> list[dict[str, Any]]:
    """The events by which Anthropic would stream a message, texts in pieces of `cut`."""
    events = [{"type": "message_start", "message": message | {"content": [], "stop_reason": None}}]
    for index, block in enumerate(message["content"]):
        start, deltas = dict(block), []
        kind = block["type"]
        if kind == "text":
            start["text"] = ""
            deltas += [grown(index, "text_delta", text=t) for t in pieces(block["text"], cut)]
            if "citations" in block:
                start["citations"] = []
                for citation in block["citations"]:
                    deltas.append(grown(index, "citations_delta", citation=citation))
        elif kind == "thinking":
            start |= {"thinking": "", "signature": ""}
            for part in pieces(block["thinking"], cut):
                deltas.append(grown(index, "thinking_delta", thinking=part))
            deltas.append(grown(index, "signature_delta", signature=block["signature"]))
        elif "input" in block:
            start["input"] = {}
            if block["input"]:
                written = msgspec.json.encode(block["input"]).decode()
                for part in ["", *pieces(written, cut)]:
                    deltas.append(grown(index, "input_json_delta", partial_json=part))
        events += [opened(index, **start), *deltas, closed(index)]
    return [*events, ended(message["stop_reason"], usage=message["usage"]), STOP]


def pieces(whole: str, size: int) -> list[str]:
    return [whole[start : start + size] for start in range(0, len(whole), size)]


def comparable(answer: dict[str, Any]) -> dict[str, Any]:
    """Arguments are the same if they mean the same; how they are spaced is the sender's matter."""
    for choice in answer["choices"]:
        for call in choice["message"].get("tool_calls", ()):
            function = call["function"]
            function["arguments"] = msgspec.json.decode(function["arguments"])
    return answer
