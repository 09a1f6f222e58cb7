"""Conversations in either provider's words, sent to each: the same is said, called and answered."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pydantic
import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from hostile.effort import examples
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming

from scallion import Request
from scallion._accumulate import accumulate
from scallion.providers import anthropic, openai, openrouter
from scallion.providers._anthropic_response import from_anthropic
from scallion.providers._anthropic_stream import AnthropicEvents
from support.answers import completion, message_stream
from support.histories import EPHEMERAL, FOUND, REDACTED, SEARCH, THINKING

ADAPTERS = {
    "openai": (openai(api_key="k"), "gpt-4o", CompletionCreateParamsNonStreaming),
    "openrouter": (openrouter(api_key="k"), "x/y", CompletionCreateParamsNonStreaming),
    "anthropic": (anthropic(api_key="k"), "claude-sonnet-4-5", MessageCreateParamsNonStreaming),
}
TYPES = {name: pydantic.TypeAdapter(types) for name, (_, _, types) in ADAPTERS.items()}
PNG = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,JVBERi0xLjQ="

blanks = st.sampled_from(["", "", " ", "\n\n", "\t"])
words = st.tuples(blanks, st.text('abÄ日😀"\\\n{}<|', max_size=8), blanks).map(
    lambda said: f"{said[0]}w{said[1]}w{said[2]}"
)
ids = st.one_of(
    st.from_regex(r"\A(call|toolu)_[a-zA-Z0-9]{1,12}\Z"),
    st.integers(0, 9).map(lambda n: "toolu_" + "x" * 87 + str(n)),
    st.integers(0, 9).map(lambda n: f"functions.f:{n}"),
    st.integers(0, 9).map(lambda n: f"ü|{n}"),
)
arguments = st.dictionaries(st.sampled_from(["a", "ü"]), words | st.integers(-5, 5), max_size=2)


def described(adapter, body):
    """What a body says, in order, whoever's words it is in."""
    system = [block["text"] for block in body.get("system") or ()]
    # A JSON object is asked for in a sentence of ours.
    said: list[Any] = [("system", text) for text in system if not text.startswith("Answer with")]
    for message in body["messages"]:
        content = message.get("content")
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
        if message["role"] == "tool":
            texts = [block["text"] for block in blocks if block["type"] == "text"]
            said.append(("answered", message["tool_call_id"], "".join(texts), False))
            continue
        for block in blocks:
            if block["type"] == "text" and block["text"]:
                role = message["role"]
                said.append(("system" if role == "developer" else role, block["text"]))
            elif block["type"] == "tool_use":
                said.append(("called", block["id"], block["input"]))
            elif block["type"] == "tool_result":
                inner = block.get("content") or ""
                if not isinstance(inner, str):
                    inner = "".join(each["text"] for each in inner if each["type"] == "text")
                failed = block.get("is_error", False)
                said.append(("answered", block["tool_use_id"], inner, failed))
            elif block["type"] in ("thinking", "redacted_thinking"):
                said.append(("thought", block))
        said += [
            ("called", call["id"], json.loads(call["function"]["arguments"]))
            for call in message.get("tool_calls") or ()
        ]
    return said


@dataclass
class Talk:
    """A conversation, and what of it everybody must be told."""

    messages: list[Any] = field(default_factory=list)
    told: list[Any] = field(default_factory=list)

    def told_to(self, *adapters):
        """What of it arrives at the last of some providers, through those before it."""
        told = numbered(self.told)
        if set(adapters) != {"anthropic"}:  # only its words say these two
            told = [(*one[:3], False) if one[0] == "answered" else one for one in told]
            told = [one for one in told if one[0] != "thought"]
        if "anthropic" in adapters and told[-1][0] == "assistant":
            told[-1] = ("assistant", told[-1][1].rstrip())
        return told


@st.composite
def talks(draw):
    talk = Talk()
    for _ in range(draw(st.integers(1, 5))):
        says = [instructs, asks, asks, calls, calls_in_blocks, answers, gives_up, is_cut_off]
        draw(st.sampled_from(says))(draw, talk)
    asks(draw, talk)
    if draw(st.booleans()):
        said = draw(words)  # a prefill
        talk.messages.append({"role": "assistant", "content": said})
        talk.told.append(("assistant", said))
    return talk


def instructs(draw, talk):
    said = draw(words)
    role = draw(st.sampled_from(["system", "developer"]))
    content = draw(st.sampled_from([said, [{"type": "text", "text": said}]]))
    talk.messages.append({"role": role, "content": content})
    talk.told.append(("system", said))


def asks(draw, talk):
    said = draw(words)
    part = {"type": "text", "text": said}
    if draw(st.booleans()):
        part["cache_control"] = EPHEMERAL
    extras = [
        {"type": "image_url", "image_url": {"url": PNG}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}},
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
        },
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQ="},
        },
    ]
    content = draw(
        st.sampled_from([said, [part], [part, extras[0]], [draw(st.sampled_from(extras)), part]])
    )
    talk.messages.append({"role": "user", "content": content})
    talk.told.append(("user", said))


def answers(draw, talk):
    said = draw(words)
    before = draw(st.lists(st.sampled_from([THINKING, REDACTED, SEARCH, FOUND]), max_size=2))
    if draw(st.booleans()):
        blocks = [*before, {"type": "text", "text": said}]
        message = from_anthropic({"type": "message", "content": blocks}).message.to_dict()
        message = json.loads(json.dumps(message))
    else:
        parts = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": said}]
        content = draw(st.sampled_from([said, parts]))
        message = {"role": "assistant", "content": content, "reasoning": "hm", "refusal": None}
        before = []  # somebody else's reasoning is not Anthropic's
    talk.messages.append(message)
    talk.told += [("thought", block) for block in before if "thinking" in block["type"]]
    talk.told.append(("assistant", said))


def is_cut_off(draw, talk):
    """The end of an answer is thinking, which nothing was made of."""
    said = draw(st.none() | words)
    blocks = [{"type": "text", "text": said}] if said else []
    blocks += draw(st.lists(st.sampled_from([THINKING, REDACTED]), min_size=1, max_size=3))
    talk.messages.append(from_anthropic({"type": "message", "content": blocks}).message.to_dict())
    talk.told += [("assistant", said)] if said else []
    asks(draw, talk)


def gives_up(draw, talk):
    """A call that was never answered: its id is free for another."""
    ((call_id, given_arguments, _), *_) = new_ids(draw, talk)
    call = {"name": "f", "arguments": json.dumps(given_arguments)}
    talk.messages.append(
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": call_id, "type": "function", "function": call}],
        }
    )
    talk.told.append(("called", call_id, given_arguments))
    asks(draw, talk)


def new_ids(draw, talk):
    used = [rest[0] for kind, *rest in talk.told if kind == "called"]
    any_ids = ids | st.sampled_from(used) if used else ids  # some servers give one again
    made = draw(st.lists(any_ids, min_size=1, max_size=3, unique=True))
    return [(call_id, draw(arguments), draw(words)) for call_id in made]


def calls(draw, talk):
    made = new_ids(draw, talk)
    said = draw(st.none() | st.just("") | words)
    message = {
        "role": "assistant",
        "content": said,
        "tool_calls": [
            {"id": i, "type": "function", "function": {"name": "f", "arguments": json.dumps(a)}}
            for i, a, _ in made
        ],
    }
    failed = draw(st.booleans())
    results = [
        {
            "role": "tool",
            "tool_call_id": i,
            "content": draw(st.sampled_from([r, [{"type": "text", "text": r}]])),
        }
        | ({"is_error": True} if failed else {})
        for i, _, r in made
    ]
    talk.messages += [message, *results]
    talk.told += [("assistant", said)] if said else []
    talk.told += [("called", i, a) for i, a, _ in made]
    talk.told += [("answered", i, r, failed) for i, _, r in made]


def calls_in_blocks(draw, talk):
    made = new_ids(draw, talk)
    blocks = [{"type": "tool_use", "id": i, "name": "f", "input": a} for i, a, _ in made]
    thoughts = draw(st.sampled_from([[], [THINKING]]))
    blocks = [*thoughts, *blocks]
    failed = draw(st.booleans())
    results = [
        {"type": "tool_result", "tool_use_id": i, "content": r}
        | ({"is_error": True} if failed else {})
        for i, _, r in made
    ]
    said = draw(st.none() | words)  # before the results, which have to lead
    asked = [{"type": "text", "text": said}] if said else []
    if draw(st.booleans()):
        message = from_anthropic({"type": "message", "content": blocks}).message
    else:
        message = {"role": "assistant", "content": blocks}
        if draw(st.booleans()):  # the same calls, told again in the other words
            whole = from_anthropic({"type": "message", "content": blocks}).message.to_dict()
            message["tool_calls"] = whole["tool_calls"]
    talk.messages += [message, {"role": "user", "content": [*asked, *results]}]
    talk.told += [("thought", block) for block in thoughts]
    talk.told += [("called", i, a) for i, a, _ in made]
    talk.told += [("answered", i, r, failed) for i, _, r in made]
    talk.told += [("user", said)] if said else []


params = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0, 1),
        "top_p": st.floats(0.1, 1),
        "max_tokens": st.integers(1, 4_000),
        "stop": st.lists(words, min_size=1, max_size=2),
        "user": words,
        "seed": st.integers(0, 9),
        "parallel_tool_calls": st.booleans(),
        "tool_choice": st.sampled_from(["auto", "none", "required"]),
        "tools": st.just([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]),
        "response_format": st.sampled_from([{"type": "text"}, {"type": "json_object"}]),
    },
)  # fmt: skip


def read_through(value):
    """Pydantic checks an iterable only as it is read."""
    if isinstance(value, dict):
        value = value.values()
    elif isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        return
    for inner in value:
        read_through(inner)


def body_of(adapter, messages, given_params=None):
    client, model, _ = ADAPTERS[adapter]
    return client.make_body(Request(model, messages, given_params or {}))


def told_by(adapter, body):
    said = described(adapter, body)
    if adapter == "anthropic":
        assert_is_taken(body["messages"])
    called = [rest[0] for kind, *rest in said if kind == "called"]
    assert len(called) == len(set(called)) or adapter != "anthropic", "an id was used twice"
    return numbered(said)


def assert_is_taken(turns):
    """Anthropic's own rules, which no type says."""
    for turn, before in zip(turns, [{"role": None, "content": []}, *turns], strict=False):
        blocks = turn["content"]
        assert turn["role"] != before["role"], "turns of one role"
        assert blocks, "an empty turn"
        assert all(block["text"].strip() for block in blocks if block["type"] == "text")
        kinds = [block["type"] for block in blocks]
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        assert kinds[: len(results)] == ["tool_result"] * len(results), "results do not lead"
        called = [block["id"] for block in before["content"] if block["type"] == "tool_use"]
        assert sorted(results) in ([], sorted(called)), "answers to other calls"
        if turn["role"] == "assistant":
            assert "thinking" not in kinds[-1], "a turn ends in thinking"
        assert all(re.fullmatch("[a-zA-Z0-9_-]+", one) for one in [*called, *results])
    if turns[-1]["role"] == "assistant" and turns[-1]["content"][-1]["type"] == "text":
        text = turns[-1]["content"][-1]["text"]
        assert text == text.rstrip(), "blanks at the end of a prefill"


def numbered(told):
    """With ids numbered in the order of the calls, and the system's words first."""
    numbers, calls, found = {}, count(), []
    for kind, *rest in told:
        if kind == "called":
            numbers[rest[0]] = next(calls)  # a later turn may use an id again
        numbered = kind in ("called", "answered")
        found.append((kind, numbers[rest[0]], *rest[1:]) if numbered else (kind, *rest))
    return sorted(found, key=lambda one: one[0] != "system")


@pytest.mark.parametrize("adapter", ADAPTERS)
@examples(50)
@given(talks(), params)
def test_each_provider_is_told_all_that_was_said_in_types_that_it_takes(
    adapter, talk, given_params
):
    before = copy.deepcopy((talk.messages, given_params))
    body = body_of(adapter, talk.messages, given_params)
    read_through(TYPES[adapter].validate_python(json.loads(json.dumps(body))))

    assert told_by(adapter, body) == talk.told_to(adapter)
    assert (talk.messages, given_params) == before
    if adapter != "anthropic":
        ids_sent = [rest[0] for kind, *rest in described(adapter, body) if kind == "called"]
        assert all(len(sent) <= 40 for sent in ids_sent)
    if adapter == "openai":
        assert "cache_control" not in json.dumps(body)
        assert "signature" not in json.dumps(body)


@pytest.mark.parametrize("adapter", ADAPTERS)
@examples(40)
@given(talks(), talks())
def test_a_longer_history_begins_as_the_shorter_one_did(adapter, talk, more):
    """Or a provider's own cache of prompts would be of no use."""
    shorter = [*body_of(adapter, talk.messages)["messages"]]
    answered = [*talk.messages, {"role": "assistant", "content": "Yes."}]
    longer = [*body_of(adapter, [*answered, *more.messages[-1:]])["messages"]]
    if shorter[-1]["role"] == "assistant":
        shorter.pop()  # a prefill is gone on with

    assert longer[: len(shorter)] == shorter


@pytest.mark.parametrize("there", ADAPTERS)
@pytest.mark.parametrize("back", ADAPTERS)
@examples(25)
@given(talks())
def test_what_was_made_for_one_provider_can_be_sent_to_another(there, back, talk):
    """Gateways do that: what comes in is a body, and what goes out is another one."""
    body = body_of(there, talk.messages)
    system = [{"role": "system", "content": body["system"]}] if "system" in body else []
    again = body_of(back, json.loads(json.dumps([*system, *body["messages"]])))
    read_through(TYPES[back].validate_python(again))

    assert told_by(back, again) == talk.told_to(there, back)


blocks = st.lists(
    st.one_of(
        words.map(lambda said: {"type": "text", "text": said}),
        words.map(lambda said: {"type": "thinking", "thinking": said, "signature": "c2ln"}),
        st.sampled_from([REDACTED]),
        st.tuples(ids.filter(str.isidentifier), arguments).map(
            lambda call: {"type": "tool_use", "id": call[0], "name": "f", "input": call[1]}
        ),
    ),
    max_size=5,
    unique_by=lambda block: block.get("id", id(block)),
).map(lambda said: [*said, {"type": "text", "text": "The end."}])


@pytest.mark.parametrize("streamed", [False, True])
@examples(80)
@given(blocks)
def test_anthropic_gets_back_the_blocks_that_it_sent(streamed, said):
    if streamed:
        events = AnthropicEvents()
        data = [
            line.removeprefix(b"data: ")
            for step in message_stream(*said).chunks
            for line in step.split(b"\n")
            if line.startswith(b"data: ")
        ]
        answer = accumulate([chunk for event in data for chunk in events.feed(event)])
    else:
        whole = {"id": "m", "type": "message", "role": "assistant", "content": said}
        whole["stop_reason"] = "end_turn"
        answer = ADAPTERS["anthropic"][0].read_answer(json.dumps(whole).encode())
    assert answer.text == "".join(block["text"] for block in said if block["type"] == "text")
    stored = json.loads(answer.message.model_dump_json())
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": "ok"} for call in answer.tool_calls
    ]
    sent = body_of("anthropic", [*_hi(), stored, *results, *_hi()])

    assert sent["messages"][1]["content"] == said


def _hi():
    return [{"role": "user", "content": "Hi"}]


@examples(80)
@given(st.none() | words, st.lists(st.tuples(ids, arguments), max_size=3, unique_by=lambda c: c[0]))
def test_openai_gets_back_the_answer_that_it_gave(said, made):
    called = [(call_id, "f", json.dumps(given_arguments)) for call_id, given_arguments in made]
    reply = completion(said, tool_calls=called)
    answer = ADAPTERS["openai"][0].read_answer(reply.body)
    stored = json.loads(answer.message.model_dump_json())
    (sent,) = body_of("openai", [stored])["messages"]

    assert sent["content"] == (said if said is not None or made else "")
    assert [json.loads(c["function"]["arguments"]) for c in sent.get("tool_calls", [])] == [
        a for _, a in made
    ]
    short = [(c["id"], i) for c, (i, _) in zip(sent.get("tool_calls", []), made, strict=True)]
    assert all(sent_id == own or len(own) > 40 for sent_id, own in short)
