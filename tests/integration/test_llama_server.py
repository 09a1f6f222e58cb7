"""What a real inference server answers, as the adapters for OpenAI and Anthropic read it.

The model is too small to know anything, so nothing rests on what it says by itself: a grammar
tells it the words where they matter, and the server's own counters say what was counted.
"""

from __future__ import annotations

import json
from typing import Literal

import msgspec
import pytest

from scallion import Request
from support.histories import called, result, user
from support.llama_server import MODEL

pytestmark = pytest.mark.integration

GREETING = 'root ::= "Hello, world. Zażółć 🧅!"'


class Weather(msgspec.Struct, forbid_unknown_fields=True):
    city: Literal["Oslo", "Rome", "Paris"]
    degrees: int


WEATHER = {
    "type": "json_schema",
    "json_schema": {
        "name": "weather",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "enum": ["Oslo", "Rome", "Paris"]},
                "degrees": {"type": "integer", "minimum": -30, "maximum": 50},
            },
            "required": ["city", "degrees"],
            "additionalProperties": False,
        },
    },
}

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


def asked_before() -> list[dict]:
    """An agent's history: even a small model does once more what it did before."""
    history = []
    for number, (city, weather) in enumerate([("Oslo", "rain"), ("Rome", "sun"), ("Bern", "snow")]):
        history += [
            user(f"Weather in {city}?"),
            called(f"call_{number}", arguments=json.dumps({"city": city})),
            result(f"call_{number}", weather),
        ]
    return [*history, user("Weather in Paris?")]


async def streamed(llm, messages, **params):
    """The chunks of a stream, and what they add up to."""
    async with llm.stream(messages, **params) as stream:
        chunks = [chunk async for chunk in stream]
    return chunks, stream.result


# ------------------------------------------------------------------------------- text and its end


async def test_an_answer_has_text_usage_and_a_reason_for_its_end(llm, llama):
    answer = await llm.complete("Tell me of the sea.", max_tokens=6)
    assert answer.text
    assert answer.finish_reason == "length"
    assert answer.model == MODEL
    assert answer.provider == llm.provider.name
    assert answer.usage.prompt_tokens == llama.prompt_tokens([user("Tell me of the sea.")])
    assert answer.usage.completion_tokens == 6
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 6
    assert answer.raw["model"] == MODEL


async def test_a_stream_has_the_shape_of_the_whole_answer(llm):
    whole = await llm.complete("Tell me of the sea.", max_tokens=6)
    chunks, streamed_answer = await streamed(llm, "Tell me of the sea.", max_tokens=6)
    assert "".join(chunk.content or "" for chunk in chunks) == streamed_answer.text
    assert sum(bool(chunk.content) for chunk in chunks) > 1
    assert [chunk.finish_reason for chunk in chunks if chunk.finish_reason] == ["length"]
    assert whole.to_dict().keys() == streamed_answer.to_dict().keys()
    for name in ("object", "model", "provider", "finish_reason"):
        assert getattr(streamed_answer, name) == getattr(whole, name)
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert getattr(streamed_answer.usage, name) == getattr(whole.usage, name)


async def test_every_character_survives_a_stream(openai_llm):
    grammar = {"grammar": GREETING}
    whole = await openai_llm.complete("Hi", max_tokens=60, extra_body=grammar)
    chunks, answer = await streamed(openai_llm, "Hi", max_tokens=60, extra_body=grammar)
    assert whole.text == answer.text == "Hello, world. Zażółć 🧅!"
    assert whole.finish_reason == answer.finish_reason == "stop"
    assert len(chunks) > 3


async def test_usage_is_what_the_server_counted(llm, llama):
    history = [
        {"role": "system", "content": "You are a pirate."},
        user("Zażółć gęślą jaźń 🧅, he said."),
        {"role": "assistant", "content": "Arr."},
        user("And then?"),
    ]
    before = llama.counters()
    answers = [
        await llm.complete(history, max_tokens=7),
        (await streamed(llm, history, max_tokens=7))[1],
    ]
    after = llama.counters()
    counted = {name: after[name] - before[name] for name in after}
    prompts = sum(answer.usage.prompt_tokens for answer in answers)
    # Over Anthropic's API nothing is said of a cache that was not used.
    details = [answer.usage.prompt_tokens_details for answer in answers]
    cached = sum(detail.cached_tokens or 0 for detail in details if detail is not None)
    assert prompts == 2 * llama.prompt_tokens(history)
    assert cached == counted["prompt_tokens_cached_total"]
    assert prompts - cached == counted["prompt_tokens_total"]
    completions = sum(answer.usage.completion_tokens for answer in answers)
    assert completions == counted["tokens_predicted_total"] > 2


async def test_an_exact_count_is_what_the_call_then_reports(llama):
    provider = llama.provider("anthropic")
    for messages, params in [
        ("Tell me of the sea.", {}),
        ([{"role": "system", "content": "You are a pirate."}, user("Ahoy")], {"max_tokens": 3}),
        (asked_before(), {"tools": [TOOL], "max_tokens": 3}),
    ]:
        request = Request(MODEL, messages, {"max_tokens": 3, **params})
        counted = await provider.count_tokens_exact(request)
        answer = await provider.complete(request.messages, MODEL, **request.params)
        assert counted == answer.usage.prompt_tokens
    await provider.aclose()


async def test_a_stop_sequence_ends_the_answer_and_is_not_part_of_it(openai_llm):
    answer = await openai_llm.complete(
        "Count.",
        max_tokens=40,
        stop=["three"],
        extra_body={"grammar": 'root ::= "one two three four five"'},
    )
    assert answer.text == "one two "
    assert answer.finish_reason == "stop"


async def test_a_stop_sequence_reaches_the_messages_endpoint(anthropic_llm):
    # A letter that no English text is long without. (The server does not say that this was why.)
    params = {"max_tokens": 40, "temperature": 0, "stop": ["e"]}
    answer = await anthropic_llm.complete("Tell me of the sea.", **params)
    _, streamed_answer = await streamed(anthropic_llm, "Tell me of the sea.", **params)
    for said in (answer, streamed_answer):
        assert said.text
        assert "e" not in said.text
        assert said.finish_reason == "stop"


async def test_the_same_seed_gives_the_same_answer(openai_llm):
    async def say(seed):
        # Without the cache: whether a prompt is computed in one piece or two moves the last digits.
        answer = await openai_llm.complete(
            "Tell me of the sea.",
            max_tokens=12,
            temperature=1.5,
            seed=seed,
            extra_body={"cache_prompt": False},
        )
        return answer.text

    assert await say(7) == await say(7)
    assert len({await say(seed) for seed in (1, 2, 3)}) > 1


# ------------------------------------------------------------------------- structure and variants


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_keeps_to_the_schema_asked_for(openai_llm, stream):
    params = {"max_tokens": 60, "response_format": WEATHER, "temperature": 0}
    if stream:
        _, answer = await streamed(openai_llm, "The weather?", **params)
    else:
        answer = await openai_llm.complete("The weather?", **params)
    assert answer.finish_reason == "stop"
    weather = msgspec.json.decode(answer.text, type=Weather)
    assert -30 <= weather.degrees <= 50


async def test_the_messages_endpoint_takes_a_schema_and_does_not_keep_to_it(anthropic_llm):
    """So it is with this server: a schema over Anthropic's API has to be a tool's there."""
    answer = await anthropic_llm.complete(
        "Tell me of the sea.", max_tokens=12, temperature=0, response_format=WEATHER
    )
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(answer.text)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_calls_a_tool_and_the_call_can_be_sent_back(llm, llama, stream):
    params = {"tools": [TOOL], "tool_choice": "required", "temperature": 0, "max_tokens": 60}
    history = asked_before()
    if stream:
        chunks, answer = await streamed(llm, history, **params)
        assert sum(bool(chunk.tool_calls) for chunk in chunks) > 2
    else:
        answer = await llm.complete(history, **params)
    assert answer.finish_reason == "tool_calls"
    [call] = answer.tool_calls
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments) == {"city": "Paris"}
    assert answer.usage.prompt_tokens == llama.prompt_tokens(history, tools=[TOOL])

    history += [answer.message, result(call.id, "fog"), user("Weather in Rome?")]
    again = await llm.complete(history, **params)
    assert json.loads(again.tool_calls[0].function.arguments) == {"city": "Rome"}
    assert again.usage.prompt_tokens_details.cached_tokens > answer.usage.prompt_tokens


@pytest.mark.parametrize("stream", [False, True])
async def test_several_choices_come_back_apart(openai_llm, stream):
    params = {"n": 2, "max_tokens": 5, "temperature": 1.5, "seed": 1}
    if stream:
        _, answer = await streamed(openai_llm, "Tell me of the sea.", **params)
    else:
        answer = await openai_llm.complete("Tell me of the sea.", **params)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert [choice.finish_reason for choice in answer.choices] == ["length", "length"]
    first, second = (choice.message.text for choice in answer.choices)
    assert first
    assert second
    assert first != second


@pytest.mark.parametrize("stream", [False, True])
async def test_log_probabilities_belong_to_the_text(openai_llm, stream):
    params = {"logprobs": True, "top_logprobs": 2, "max_tokens": 5}
    if stream:
        _, answer = await streamed(openai_llm, "Tell me of the sea.", **params)
    else:
        answer = await openai_llm.complete("Tell me of the sea.", **params)
    tokens = answer.choices[0].logprobs["content"]
    assert len(tokens) == answer.usage.completion_tokens == 5
    assert b"".join(bytes(token["bytes"]) for token in tokens).decode() == answer.text
    assert all(token["logprob"] <= 0 and len(token["top_logprobs"]) == 2 for token in tokens)


async def test_a_prompt_sent_again_comes_from_the_cache(llm, llama, style):
    long = [user(f"[{style}] " + " ".join(f"Line {number} of a poem." for number in range(30)))]
    length = llama.prompt_tokens(long)
    first = await llm.complete(long, max_tokens=1)
    again = await llm.complete(long, max_tokens=1)
    _, third = await streamed(llm, long, max_tokens=1)
    assert first.usage.prompt_tokens == again.usage.prompt_tokens == length
    assert third.usage.prompt_tokens == length
    assert first.usage.prompt_tokens_details.cached_tokens < length / 4
    assert again.usage.prompt_tokens_details.cached_tokens > length * 3 / 4
    assert third.usage.prompt_tokens_details.cached_tokens > length * 3 / 4
