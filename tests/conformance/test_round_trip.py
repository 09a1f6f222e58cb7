"""An answer, sent back as part of the history, is what the provider said: that, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from conformance.allowances import sendable, short_id
from conformance.forms import merge_details, text_of
from conformance.oracle import expect
from conformance.replay import as_recorded, replay, scallion

from support.upstream import Upstream, completion, message

if TYPE_CHECKING:
    from conformance.exchanges import Exchange


def _answered(exchange: Exchange) -> bool:
    return expect(exchange).error is None


def _messages(exchange: Exchange) -> bool:
    return exchange.endpoint == "messages" and _answered(exchange)


def _chat(exchange: Exchange) -> bool:
    return exchange.endpoint == "chat" and _answered(exchange)


@pytest.mark.exchanges(wanted=_messages)
async def test_anthropic_gets_its_own_blocks_back(exchange: Exchange):
    blocks = expect(exchange).blocks
    assert blocks is not None
    sent = await _sent_back(exchange)
    turns = [turn for turn in sent["messages"] if turn["role"] == "assistant"]
    came_back = [block for turn in turns for block in _plain(turn["content"])]
    assert came_back == sendable(blocks)


@pytest.mark.exchanges(wanted=_chat)
async def test_openai_and_openrouter_get_what_they_take_back(exchange: Exchange):
    answer = expect(exchange).answer
    assert answer is not None
    choice = answer["choices"][0]
    _, sent, *results = (await _sent_back(exchange))["messages"]
    assert sent["role"] == "assistant"
    assert text_of(sent.get("content")) == choice["text"]
    calls = []
    for call in sent.get("tool_calls") or []:
        function = call.get("function") or {}  # a call of a free-form tool has none
        calls.append([call["id"], function.get("name"), function.get("arguments", "") or "{}"])
    assert calls == [
        [short_id(call_id), name, arguments or "{}"]
        for call_id, name, arguments in choice["tool_calls"]
    ]
    if calls:
        assert [result["tool_call_id"] for result in results] == [call[0] for call in calls]
    if exchange.provider == "openrouter":
        assert merge_details(sent.get("reasoning_details") or []) == choice["reasoning_details"]
    known = {"role", "content", "tool_calls", "refusal", "function_call", "audio", "name"}
    own = {"reasoning", "reasoning_details", "reasoning_content", "annotations", "images"}
    unknown = sent.keys() - known - (own if exchange.provider == "openrouter" else set())
    assert not {name for name in unknown if not _said(exchange, name)}


def _said(exchange: Exchange, name: str) -> bool:
    """Whether the field is a server's own, which went out as it came in."""
    return f'"{name}"'.encode() in exchange.body and name not in (
        "reasoning", "reasoning_content", "reasoning_details", "annotations",
    )  # fmt: skip


async def _sent_back(exchange: Exchange) -> dict[str, Any]:
    follow_up = message() if exchange.endpoint == "messages" else completion()
    async with Upstream(as_recorded(exchange), follow_up) as upstream:
        async with scallion(exchange, upstream) as llm:
            seen = await replay(llm, exchange)
            if seen.error is not None:
                raise seen.error
            assert seen.answer is not None
            results = [
                {"role": "tool", "tool_call_id": call.id, "content": "done"}
                for call in seen.answer.tool_calls
            ]
            history = [{"role": "user", "content": "Hi"}, seen.answer.message, *results]
            if not results:
                history.append({"role": "user", "content": "Go on"})
            await llm.complete(history, model=exchange.model)
        await upstream.all_closed()
    return upstream.requests[1].json


def _plain(content: Any) -> list[Any]:
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return [{k: v for k, v in block.items() if v is not None} for block in blocks]
