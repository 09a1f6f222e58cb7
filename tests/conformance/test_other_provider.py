"""A history that one provider wrote is valid for another, and says the same there.

Every recorded chat request goes through the Anthropic adapter, and every recorded answer back to
each of the others. What is valid is written down here from the providers' references, apart from
the adapters.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from conformance.allowances import as_object
from conformance.forms import is_json, text_of
from conformance.oracle import expect
from conformance.replay import as_recorded, asked, replay, scallion

from scallion import build_pipeline
from scallion.exceptions import InvalidRequestError
from scallion.providers import anthropic, openai
from support.upstream import Upstream, completion, message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.exchanges import Exchange

# Fields of a Messages request that the adapter may write or hand on (others come from the caller).
_TOP = {"model", "max_tokens", "messages", "system", "tools", "tool_choice", "stop_sequences",
        "temperature", "top_p", "top_k", "metadata", "service_tier", "output_config", "thinking",
        "stream"}  # fmt: skip
_BLOCKS = {"text", "image", "document", "tool_use", "tool_result", "thinking", "redacted_thinking"}
# Anthropic does not have it, so the adapter refuses before anything is sent.
_REFUSED = ("n", "logprobs", "top_logprobs", "logit_bias", "frequency_penalty", "presence_penalty",
            "audio", "modalities", "verbosity", "web_search_options", "moderation")  # fmt: skip
_FOREIGN = ("openrouter:", "custom", "input_audio", "video_url", "schema", "file")


@pytest.mark.exchanges(wanted=lambda exchange: exchange.endpoint == "chat" and exchange.request)
async def test_a_chat_request_is_a_valid_messages_request(exchange: Exchange):
    messages, params = asked(exchange)
    async with Upstream(default=message()) as upstream:
        provider = anthropic(api_key="sk-test", base_url=upstream.url)
        async with build_pipeline(provider=provider, model="claude-sonnet-4-5") as llm:
            try:
                await llm.complete(messages, **params)
            except InvalidRequestError as error:
                assert upstream.count == 0
                _assert_refused_with_reason(str(error), exchange)
                return
    sent = upstream.requests[0].json
    _assert_valid_messages_request(sent, _own_parameters(params))
    assert list(_calls_of_blocks(sent)) == list(_calls_of_chat(messages))
    said = "\n".join(_texts_of_blocks(sent))
    for text in _texts_of_chat(messages):
        assert text in said


def _own_parameters(params: dict[str, Any]) -> set[str]:
    """What the caller passed that is no parameter of OpenAI's goes through as it is."""
    return {"provider", "reasoning", "usage", "plugins", "transforms", "models"} & params.keys()


def _assert_refused_with_reason(said: str, exchange: Exchange) -> None:
    request = json.dumps(exchange.request)
    named = [name for name in _REFUSED if name in said and f'"{name}"' in request]
    assert named or any(kind in said and kind in request for kind in _FOREIGN), said


def _assert_valid_messages_request(body: dict[str, Any], own: set[str]) -> None:
    assert body.keys() - own <= _TOP
    assert body["max_tokens"] >= 1
    turns = body["messages"]
    # Turns alternate. Since the end of 2024 the assistant may begin
    # (anthropics/anthropic-sdk-typescript, issue 622).
    begin = turns[0]["role"] == "assistant"
    assert [turn["role"] for turn in turns] == [
        ("user", "assistant")[(at + begin) % 2] for at in range(len(turns))
    ]
    for turn, following in zip(turns, [*turns[1:], None], strict=True):
        blocks = _blocks(turn)
        assert blocks
        for block in blocks:
            assert block["type"] in _BLOCKS
            assert block["type"] != "text" or block["text"].strip()
        used = [block["id"] for block in blocks if block["type"] == "tool_use"]
        assert all(re.fullmatch(r"[a-zA-Z0-9_-]+", call_id) for call_id in used)
        assert len(set(used)) == len(used)
        if used:
            assert following is not None, "a tool call without its result"
            results = _blocks(following)[: len(used)]
            assert sorted(result["tool_use_id"] for result in results) == sorted(used)
    for tool in body.get("tools", []):
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", tool["name"])
        assert tool["input_schema"]["type"] == "object"
    last = turns[-1]
    if last["role"] == "assistant":
        assert not text_of(_blocks(last)).endswith((" ", "\n"))


def _blocks(turn: dict[str, Any]) -> list[dict[str, Any]]:
    content = turn["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _texts_of_chat(messages: Any) -> Iterator[str]:
    for said in [{"content": messages}] if isinstance(messages, str) else messages:
        content = said.get("content") or []
        for part in [{"text": content}] if isinstance(content, str) else content:
            yield (part.get("text") or "").strip()


def _texts_of_blocks(body: dict[str, Any]) -> list[str]:
    system = body.get("system") or []
    said = [system] if isinstance(system, str) else [block["text"] for block in system]
    return [*said, *[text for turn in body["messages"] for text in _texts(_blocks(turn))]]


def _texts(blocks: list[dict[str, Any]]) -> Iterator[str]:
    for block in blocks:
        if block["type"] == "text":
            yield block["text"]
        elif block["type"] == "tool_result":
            yield text_of(block.get("content"))


def _calls_of_chat(messages: Any) -> Iterator[list[Any]]:
    for said in messages if isinstance(messages, list) else []:
        for call in said.get("tool_calls") or []:
            text = call["function"]["arguments"] or "{}"
            yield [call["function"]["name"], as_object(json.loads(text) if is_json(text) else text)]


def _calls_of_blocks(body: dict[str, Any]) -> Iterator[list[Any]]:
    for turn in body["messages"]:
        for block in _blocks(turn):
            if block["type"] == "tool_use":
                yield [block["name"], block["input"]]


def _answered(exchange: Exchange) -> bool:
    return expect(exchange).error is None


@pytest.mark.exchanges(wanted=_answered)
async def test_an_answer_is_valid_in_a_history_for_openai(exchange: Exchange):
    sent = await _handed_on(exchange, openai, completion())
    _, answer, *rest = sent["messages"]
    # What nobody knows yet is left to a compatible server; OpenAI itself never gets it.
    assert not answer.keys() & {
        "annotations", "images", "provider_content", "reasoning", "reasoning_content",
        "reasoning_details",
    }  # fmt: skip
    content = answer.get("content")
    assert content is None or isinstance(content, str) or text_of(content)
    calls = answer.get("tool_calls") or []
    known = {"id", "type", "function", "custom"}
    assert all(f'"{name}"'.encode() in exchange.body for c in calls for name in c.keys() - known)
    assert all(0 < len(call["id"]) <= 40 for call in calls)
    assert [said["tool_call_id"] for said in rest if said["role"] == "tool"] == [
        call["id"] for call in calls
    ]
    parts = content if isinstance(content, list) else []
    assert not any("signature" in part for part in parts)


@pytest.mark.exchanges(wanted=_answered)
async def test_an_answer_is_valid_in_a_history_for_anthropic(exchange: Exchange):
    sent = await _handed_on(exchange, anthropic, message())
    if exchange.endpoint == "chat":
        _assert_valid_messages_request(sent, set())


async def _handed_on(exchange: Exchange, other: Any, reply: Any) -> dict[str, Any]:
    """Ask as recorded, and send the answer on to another provider."""
    async with Upstream(as_recorded(exchange), reply) as upstream:
        async with scallion(exchange, upstream) as llm:
            seen = await replay(llm, exchange)
        assert seen.answer is not None
        history: list[Any] = [{"role": "user", "content": "Hi"}, seen.answer.message]
        history += [
            {"role": "tool", "tool_call_id": call.id, "content": "done"}
            for call in seen.answer.tool_calls
        ]
        if function := seen.answer.message.function_call:
            history.append({"role": "function", "name": function.name, "content": "done"})
        history.append({"role": "user", "content": "Go on"})
        provider = other(api_key="sk-test", base_url=upstream.url)
        async with build_pipeline(provider=provider, model="another") as llm:
            await llm.complete(history)
    return upstream.requests[1].json
