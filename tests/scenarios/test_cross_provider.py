"""Scenario 14: a history falls over to another provider, valid there and made from the original."""

import io
import itertools
import json
import re
from collections import Counter

import pydantic
import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming

from scallion import exceptions as e
from scallion.middlewares import Target, fallback, retry
from support.histories import (
    EPHEMERAL,
    FOUND,
    REDACTED,
    SEARCH,
    THINKING,
    assistant,
    called,
    result,
    returned,
    text,
    user,
)
from support.upstream import error
from support.world import MODELS, Mode, failure

VALID = {
    "openai": pydantic.TypeAdapter(CompletionCreateParamsNonStreaming),
    "anthropic": pydantic.TypeAdapter(MessageCreateParamsNonStreaming),
}
VALID["openrouter"] = VALID["openai"]
LONG, OTHER_LONG = "toolu_" + "x" * 88, "toolu_" + "x" * 87 + "y"
PNG, PDF = "data:image/png;base64,iVBORw0KGgo=", "data:application/pdf;base64,JVBERi0xLjQ="


def image(**fields):
    return {"type": "image_url", "image_url": {"url": PNG}, **fields}


def pdf(**fields):
    return {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}, **fields}


def use(call_id, city):
    return {"type": "tool_use", "id": call_id, "name": "weather", "input": {"city": city}}


QUESTION = [
    {"role": "system", "content": [text("Be brief.", cache_control=EPHEMERAL)]},
    user([text("Look:"), image(), pdf(cache_control=EPHEMERAL)]),
]
FROM_ANTHROPIC = [
    *QUESTION,
    returned(
        THINKING,
        REDACTED,
        text("I search."),
        SEARCH,
        FOUND,
        use(LONG, "Rome"),
        use(OTHER_LONG, "Oslo"),
    ),
    result(LONG, "18 °C"),
    result(OTHER_LONG, [text("3 °C"), image()]),
    user([text("And now?", cache_control=EPHEMERAL)]),
]
FROM_OPENAI = [
    *QUESTION,
    assistant("Let me see.", annotations=[{"type": "url_citation"}], refusal=None, audio=None),
    user("Do."),
    called("call|" + LONG, "call|" + OTHER_LONG, arguments='{"city": "Rome"}', content=None),
    result("call|" + LONG, "18 °C"),
    result("call|" + OTHER_LONG, "3 °C"),
    user("And now?"),
]
FROM_OPENROUTER = [
    *QUESTION,
    called(
        LONG,
        reasoning="I think",
        reasoning_details=[
            {"type": "reasoning.text", "text": "I think", "signature": "c2ln", "index": 0},
            {"type": "reasoning.encrypted", "data": "ZW5j", "index": 1},
        ],
        content="Wait.",
    ),
    result(LONG, "18 °C"),
    user("And now?"),
]
HISTORIES = {
    "anthropic": FROM_ANTHROPIC,
    "openai": FROM_OPENAI,
    "openrouter": FROM_OPENROUTER,
}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]
ROUTES = [(one, other) for one in MODELS for other in MODELS if one != other]


def check(provider, body):
    """The body is what the provider's SDK would type, and makes sense as a conversation."""
    body = {name: value for name, value in body.items() if name != "stream"}
    read_through(VALID[provider].validate_python(body))
    if provider == "anthropic":
        check_turns(body["messages"])
    else:
        check_messages(body["messages"])


def check_turns(turns):
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * (len(turns) // 2) + ["user"]
    for turn, following in itertools.pairwise(turns):
        used = [b["id"] for b in turn["content"] if b["type"] == "tool_use"]
        assert all(re.fullmatch(r"[a-zA-Z0-9_-]+", call_id) for call_id in used)
        answered = [b["tool_use_id"] for b in following["content"] if b["type"] == "tool_result"]
        assert sorted(used) == sorted(answered)
        assert len(set(used)) == len(used)


def check_messages(messages):
    waiting = []
    for said in messages:
        if said["role"] == "tool":
            waiting.remove(said["tool_call_id"])
            continue
        assert not waiting
        waiting = [call["id"] for call in said.get("tool_calls", ())]
        assert all(0 < len(call_id) <= 40 for call_id in waiting)
        assert len(set(waiting)) == len(waiting)
    assert not waiting


def read_through(value):
    """Pydantic checks an iterable only as it is read."""
    if isinstance(value, dict):
        for inner in value.values():
            read_through(inner)
    elif not isinstance(value, (str, bytes)) and hasattr(value, "__iter__"):
        for inner in value:
            read_through(inner)


def said(body):
    """Every text that stands anywhere in a body, so that none is lost on the way."""
    found = Counter()

    def look(value):
        if isinstance(value, dict):
            for inner in value.values():
                look(inner)
        elif isinstance(value, list):
            for inner in value:
                look(inner)
        elif isinstance(value, str):
            found[value] += 1

    look(body)
    return found


@pytest.mark.parametrize("writer", HISTORIES)
@pytest.mark.parametrize(("first", "second"), ROUTES, ids="-".join)
async def test_any_history_falls_over_from_anywhere_to_anywhere(world, mode, writer, first, second):
    world.says(**{first: failure(first, 503), second: mode.good(second)})
    llm = world.pipeline(fallback([MODELS[second]]), first=first)
    before = json.dumps(HISTORIES[writer])

    answer = await mode.ask(llm, HISTORIES[writer], tools=TOOLS, max_tokens=300)

    assert (answer.text, answer.provider) == ("Hi", second)
    assert json.dumps(HISTORIES[writer]) == before
    for provider in (first, second):
        (request,) = world.asked[provider]
        check(provider, request.json)
        texts = said(request.json)
        for words in ("Look:", "18 °C", "And now?", "weather", "Be brief."):
            assert texts[words], words
        whole = request.body.decode()
        assert "iVBORw0KGgo=" in whole
        assert "JVBERi0xLjQ=" in whole


async def test_anthropic_gets_back_what_it_wrote_and_openai_nothing_that_it_refuses(world, mode):
    world.says(
        anthropic=failure("anthropic", 529),
        openai=failure("openai", 500),
        openrouter=mode.good("openrouter"),
    )
    llm = world.pipeline(
        fallback([MODELS["openai"], MODELS["openrouter"]]), retry(attempts=2), first="anthropic"
    )

    await mode.ask(llm, FROM_ANTHROPIC, tools=TOOLS, max_tokens=300)

    one, again = [request.json for request in world.asked["anthropic"]]
    assert one == again
    written = [
        THINKING, REDACTED, text("I search."), SEARCH, FOUND, use(LONG, "Rome"), use(OTHER_LONG, "Oslo")
    ]  # fmt: skip
    assert one["messages"][1] == {"role": "assistant", "content": written}
    assert one["messages"][0]["content"][-1]["cache_control"] == EPHEMERAL
    assert one["system"][0]["cache_control"] == EPHEMERAL

    body = world.asked["openai"][0].body.decode()
    for foreign in ("thinking", "c2ln", "ZW5j", "server_tool_use", "cache_control", "srvtoolu"):
        assert foreign not in body
    assert LONG not in body

    routed = world.asked["openrouter"][0].body.decode()
    assert "cache_control" in routed
    assert "server_tool_use" not in routed


async def test_each_target_s_parameters_patch_the_original_request(world, mode):
    world.says(
        openai=failure("openai", 500),
        anthropic=failure("anthropic", 529),
        openrouter=mode.good("openrouter"),
    )
    targets = [
        Target(
            MODELS["anthropic"],
            params={"temperature": None, "max_tokens": 2000, "seed": None, "stop": ["X"]},
        ),
        Target(
            MODELS["openrouter"], params={"seed": 7, "extra_body": {"provider": {"sort": "price"}}}
        ),
    ]
    llm = world.pipeline(fallback(targets), retry(attempts=2))

    await mode.ask(llm, FROM_OPENAI, temperature=0.5, seed=1, max_tokens=300)

    first = world.asked["openai"][0].json
    assert (first["temperature"], first["seed"], first["max_tokens"]) == (0.5, 1, 300)
    second = world.asked["anthropic"][1].json
    assert "temperature" not in second
    assert (second["max_tokens"], second["stop_sequences"]) == (2000, ["X"])
    third = world.asked["openrouter"][0].json
    assert (third["temperature"], third["seed"], third["max_tokens"]) == (0.5, 7, 300)
    assert third["provider"] == {"sort": "price"}
    assert "stop" not in third


# ------------------------------------------------------------------------------ what stops it


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_an_invalid_request_stops_the_chain(world, mode, provider, status):
    world.says(**{name: mode.good(name) for name in MODELS} | {provider: failure(provider, status)})
    llm = world.pipeline(fallback([m for n, m in MODELS.items() if n != provider]), first=provider)

    with pytest.raises(e.InvalidRequestError):
        await mode.ask(llm)

    assert world.counts() == {provider: 1}


TOO_LONG = {
    "openai": error(400, code="context_length_exceeded"),
    "anthropic": error(
        400, message="prompt is too long: 250000 tokens > 200000 maximum", style="anthropic"
    ),
    "openrouter": error(
        400, message="This endpoint's maximum context length is 8192 tokens.", style="openrouter"
    ),
}
BLOCKED = {
    "openai": error(400, code="content_policy_violation"),
    "openrouter": error(403, metadata={"reasons": ["violence"]}, style="openrouter"),
}
SPECIAL = [
    *[(name, reply, e.ContextWindowExceededError) for name, reply in TOO_LONG.items()],
    *[(name, reply, e.ContentPolicyError) for name, reply in BLOCKED.items()],
]


@pytest.mark.parametrize(
    ("asked", "reply", "expected"), SPECIAL, ids=[f"{n}-{k.__name__}" for n, _, k in SPECIAL]
)
async def test_such_an_error_goes_only_to_the_target_that_asks_for_it(
    world, mode, asked, reply, expected
):
    plain, special = [name for name in MODELS if name != asked]
    world.says(**{asked: reply, plain: mode.good(plain), special: mode.good(special)})
    # Not by its size either: nothing is known of this one's.
    unknown = {"openai": "my-model", "anthropic": "claude-x", "openrouter": "openrouter/x/y"}[plain]
    targets = [unknown, Target(MODELS[special], on=expected)]

    answer = await mode.ask(world.pipeline(fallback(targets), first=asked))

    assert answer.provider == special
    assert world.counts() == {asked: 1, special: 1}


async def test_a_prompt_that_is_too_long_goes_to_a_model_that_is_known_to_be_larger(world, mode):
    world.says(openai=TOO_LONG["openai"], anthropic=mode.good("anthropic"))
    llm = world.pipeline(fallback(["claude-sonnet-4-5"]), model="gpt-4")

    assert (await mode.ask(llm)).provider == "anthropic"


@pytest.mark.parametrize(
    "make",
    [
        lambda: io.StringIO("hi"),
        lambda: iter([text("hi")]),
        lambda: [{"type": "image_url", "image_url": {"url": io.BytesIO(b"hi")}}],
        lambda: [{"type": "file", "file": {"file_data": io.BytesIO(b"hi"), "filename": "a.pdf"}}],
        lambda: [text("Sum up:"), text(io.StringIO("hi"))],
        lambda: [text(io.StringIO("hi"))],
        lambda: [text(iter("hi"))],
        lambda: [text(b"hi")],
        lambda: b"hi",
    ],
    ids=[
        "file",
        "iterator",
        "image",
        "document",
        "text among texts",
        "only text",
        "text iterator",
        "text in bytes",
        "bytes",
    ],
)
async def test_what_can_be_read_once_only_is_refused_before_anything_is_sent(world, make):
    for name, model in MODELS.items():
        llm = world.pipeline(retry(), model=model)
        world.says(**{name: Mode("complete").good(name)})
        with pytest.raises(e.InvalidRequestError, match=r"messages\[0\]"):
            await llm.complete([user(make())])

    assert world.counts() == {}


async def test_messages_from_an_iterator_reach_every_target_whole(world, mode):
    world.says(openai=failure("openai", 500), anthropic=mode.good("anthropic"))
    llm = world.pipeline(fallback([MODELS["anthropic"]]), retry(attempts=2))

    await mode.ask(llm, iter([user("one"), assistant("two"), user("three")]))

    sent = [*world.asked["openai"], *world.asked["anthropic"]]
    assert [len(request.json["messages"]) for request in sent] == [3, 3, 3]
