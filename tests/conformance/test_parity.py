"""An answer is the same answer, whether it came whole or as a stream."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from conformance.oracle import expect
from conformance.replay import as_recorded, describe, replay, scallion
from conformance.streams import as_stream

from support.upstream import Upstream

if TYPE_CHECKING:
    from conformance.exchanges import Exchange

    from scallion.types import ModelResponse


def _whole_answer(exchange: Exchange) -> bool:
    """Without a finish reason it would be no stream, but a truncated one."""
    expected = expect(exchange)
    if exchange.stream or expected.error is not None or expected.answer is None:
        return False
    finishes = expected.answer.get("choices") or [expected.answer]
    return all(choice["finish_reason"] for choice in finishes)


@pytest.mark.exchanges(wanted=_whole_answer)
async def test_a_stream_adds_up_to_the_whole_answer(exchange: Exchange):
    streamed = as_stream(exchange)
    async with Upstream(as_recorded(exchange), as_recorded(streamed)) as upstream:
        async with scallion(exchange, upstream) as llm:
            whole = await replay(llm, exchange)
            parts = await replay(llm, streamed)
        await upstream.all_closed()
    assert whole.error is None
    assert parts.error is None, parts.error
    assert parts.answer is not None
    assert whole.answer is not None
    assert describe(parts.answer, exchange) == describe(whole.answer, exchange)
    if exchange.endpoint == "messages":
        # The adapter made both messages itself, so nothing may differ.
        assert _message(parts.answer) == _message(whole.answer)
        assert parts.answer.model_extra == whole.answer.model_extra


def _message(answer: ModelResponse) -> dict[str, Any]:
    said = answer.message.to_dict()
    for call in said.get("tool_calls") or []:
        # An object in the whole answer and text in the stream: the spaces are free.
        call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return said
