"""Answers with values of the wrong kind in any place: an answer comes out of it, or a typed error."""

import copy
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scallion import build_pipeline
from scallion._accumulate import accumulate, chunks_of
from scallion._request import Request
from scallion.exceptions import LLMClientError, ProviderError
from scallion.providers import anthropic, openai, openrouter
from support.upstream import Reply, Upstream, json_reply, sse

ODD = [
    None, True, 0, -1, 1.5, 10**20, "", "x", "9" * 400, [], [None], [[]], [{}], ["x"],
    {}, {"x": 1}, {"type": "text"},
]  # fmt: skip

CHUNK = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "m",
    "provider": "DeepInfra",
    "choices": [
        {
            "index": 0,
            "delta": {
                "role": "assistant",
                "content": "Hi",
                "reasoning": "hm",
                "reasoning_details": [{"type": "reasoning.text", "text": "hm", "index": 0}],
                "refusal": "no",
                "annotations": [{"type": "url_citation", "url_citation": {"url": "u"}}],
                "audio": {"id": "audio_1", "data": "QUJD"},
                "function_call": {"name": "f", "arguments": "{}"},
                "tool_calls": [
                    {
                        "index": 0,
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "f", "arguments": "{}"},
                    }
                ],
                "unknown": "field",
            },
            "logprobs": {"content": [{"token": "Hi", "logprob": 0}]},
            "finish_reason": "stop",
            "content_filter_results": {"hate": {"filtered": False}},
        }
    ],
    "usage": {
        "prompt_tokens": 1,
        "completion_tokens": 1,
        "total_tokens": 2,
        "prompt_tokens_details": {"cached_tokens": 1},
        "cost": 0.1,
    },
}
COMPLETION = json.loads(json.dumps(CHUNK).replace('"delta"', '"message"'))
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        {
            "type": "text",
            "text": "Hi",
            "citations": [{"type": "web_search_result_location", "url": "u"}],
        },
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}},
    ],
    "stop_reason": "end_turn",
    "usage": {
        "input_tokens": 1,
        "output_tokens": 2,
        "cache_creation": {"ephemeral_1h_input_tokens": 1},
    },
}
EVENTS = [
    {"type": "message_start", "message": MESSAGE | {"content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking"}},
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "thinking_delta", "thinking": "hm"},
    },
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "signature_delta", "signature": "c2ln"},
    },
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hi"}},
    {
        "type": "content_block_delta",
        "index": 1,
        "delta": {
            "type": "citations_delta",
            "citation": {"type": "char_location", "cited_text": "Hi"},
        },
    },
    {"type": "content_block_stop", "index": 1},
    {
        "type": "content_block_start",
        "index": 2,
        "content_block": {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
    },
    {
        "type": "content_block_delta",
        "index": 2,
        "delta": {"type": "input_json_delta", "partial_json": "{}"},
    },
    {"type": "content_block_stop", "index": 2},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use"},
        "usage": {"output_tokens": 3, "output_tokens_details": {"thinking_tokens": 1}},
    },
    {"type": "message_stop"},
]


def places(value):
    """Every place in a JSON value, as what holds it and its key."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, held in list(inner):
        yield value, key
        if isinstance(held, (dict, list)):
            yield from places(held)


def with_oddities(value, chance):
    """A copy in which a few places hold something else, or nothing."""
    odd = copy.deepcopy(value)
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        found = list(places(odd))
        if not found:
            break
        holder, key = chance.choice(found)
        if isinstance(holder, dict) and chance.random() < 0.15:
            del holder[key]
        else:
            holder[key] = copy.deepcopy(chance.choice(ODD))
    return odd


def odd_replies(whole, events, chance, count):
    """Whole bodies and streams of them, in turn."""
    for at in range(count):
        if at % 2:
            yield json_reply(with_oddities(whole, chance))
        else:
            odd_at = chance.randrange(len(events))
            said = [with_oddities(e, chance) if n == odd_at else e for n, e in enumerate(events)]
            if chance.random() < 0.2:
                chance.shuffle(said)
            frames = [sse(event) for event in said]
            yield Reply(headers={"content-type": "text/event-stream"}, chunks=frames)


def assert_usable(answer):
    """What callers and layers do with every answer works on this one."""
    assert isinstance(answer.text, str)
    assert answer.reasoning is None or isinstance(answer.reasoning, str)
    for call in answer.tool_calls:
        assert call.id is None or isinstance(call.id, str)
        if call.function is not None:
            assert isinstance(call.function.arguments, str | None)
            assert isinstance(call.function.name, str | None)
    if answer.usage is not None:
        assert isinstance(answer.usage.prompt_tokens, int)
    answer.model_validate_json(answer.model_dump_json())
    accumulate(chunks_of(answer)).to_dict()
    repr(answer)


ADAPTERS = {
    "openai": (openai, COMPLETION, [CHUNK, CHUNK]),
    "openrouter": (openrouter, COMPLETION, [CHUNK, CHUNK]),
    "anthropic": (anthropic, MESSAGE, EVENTS),
}


async def ask(llm, reply):
    """What came of it, and what went wrong."""
    try:
        if "json" in reply.headers["content-type"]:
            return await llm.complete("hi"), None
        return await llm.stream("hi").collect(), None
    except LLMClientError as error:
        return getattr(error, "partial", None), error


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("adapter", ADAPTERS)
async def test_whatever_stands_where_it_is_an_answer_or_a_typed_error(adapter, seed):
    make, whole, events = ADAPTERS[adapter]
    async with (
        Upstream() as server,
        build_pipeline(provider=make(api_key="k", base_url=server.url), model="m") as llm,
    ):
        for reply in odd_replies(whole, events, random.Random(seed), 200):
            server.enqueue(reply)
            answer, error = await ask(llm, reply)
            # That is what is said of errors that nobody expected.
            assert "the SDK failed" not in str(error), reply.body
            if answer is not None:
                assert_usable(answer)


# ------------------------------------------------------------- any JSON, at any place, in any body

ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    | st.sampled_from(["text", "thinking", "tool_use", "error", "message_start", "fallback"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["type", "text", "error", "code", "message", "content", "index", "id", "to", "x"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=4,
)


@st.composite
def replaced(draw, value):
    """A body in which a few values are any others."""
    odd = [copy.deepcopy(value)]
    for _ in range(draw(st.integers(1, 3))):
        holder, key = draw(st.sampled_from(list(places(odd))))
        holder[key] = draw(ANY_JSON)
    return odd[0]


def read_events(client, events):
    """What one stream's events become, as far as they can be read."""
    decoder = client.event_decoder(Request("m", "hi", stream=True))
    chunks = []
    try:
        for event in events:
            if decoder.decode([json.dumps(event).encode()], chunks):
                break
    except (ValueError, ProviderError):  # what a stream makes typed errors of
        pass
    return chunks


@pytest.mark.parametrize("adapter", ADAPTERS)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_value_anywhere_in_a_body_is_read_or_refused(adapter, data):
    make, whole, events = ADAPTERS[adapter]
    client = make(api_key="k")
    try:
        answer = client.read_answer(json.dumps(data.draw(replaced(whole))).encode())
    except (ValueError, ProviderError):  # what the caller gets as MalformedResponseError, or so
        pass
    else:
        assert_usable(answer)
    at = data.draw(st.integers(0, len(events) - 1))
    said = [*events[:at], data.draw(replaced(events[at])), *events[at + 1 :]]
    assert_usable(accumulate(read_events(client, said)))


@pytest.mark.parametrize(
    ("block", "text", "reasoning", "calls"),
    [
        ({"type": "text", "text": 1.5}, "1.5", None, []),
        ({"type": "text", "text": None}, "", None, []),
        ({"type": "text", "text": "a", "citations": -1}, "a", None, []),
        ({"type": "text", "text": "a", "citations": [{"type": [{}]}]}, "a", None, []),
        ({"type": "thinking", "thinking": {"a": 1}}, "", '{"a":1}', []),
        ({"type": "tool_use", "id": ["x"], "name": 5, "input": "{}"}, "", None, [('["x"]', "5")]),
        (None, "", None, []),
        ({"type": ["text"], "text": "a"}, "", None, []),
    ],
)
def test_odd_blocks_say_the_same_whole_and_streamed_and_can_be_sent_back(
    block, text, reasoning, calls
):
    client = anthropic(api_key="k")
    whole = client.read_answer(json.dumps(MESSAGE | {"content": [block]}).encode())
    start = {"type": "message_start", "message": MESSAGE | {"content": [], "stop_reason": None}}
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}}
    opened = {"type": "content_block_start", "index": 0, "content_block": block}
    closed = {"type": "content_block_stop", "index": 0}
    events = [start, *([opened, closed] if block else []), end]
    streamed = accumulate(read_events(client, events))

    for answer in (whole, streamed):
        assert (answer.text, answer.reasoning) == (text, reasoning)
        assert [(call.id, call.function.name) for call in answer.tool_calls] == calls
        history = [{"role": "user", "content": "hi"}, answer.message.to_dict()]
        client.make_body(Request("m", [*history, {"role": "user", "content": "go on"}]))
