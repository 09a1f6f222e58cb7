"""A whole answer as the stream in which its provider would have sent it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from conformance.forms import plain

from support.upstream import sse, unfold

if TYPE_CHECKING:
    from conformance.exchanges import Exchange


def as_stream(exchange: Exchange) -> Exchange:
    """The same exchange, had a stream been asked for."""
    body = json.loads(exchange.body)
    write = _anthropic if exchange.endpoint == "messages" else _openai
    headers = {k: v for k, v in exchange.headers.items() if k.lower() != "content-type"}
    return replace(
        exchange,
        stream=True,
        headers=headers | {"content-type": "text/event-stream"},
        body=write(body),
        chunk_sizes=[],
    )


def _openai(body: dict[str, Any]) -> bytes:
    head = {k: v for k, v in body.items() if k not in ("choices", "usage")}
    head["object"] = "chat.completion.chunk"
    events = []
    for choice in body["choices"]:
        place = {"index": choice.get("index", 0)}
        for delta in _deltas(choice.get("message") or {}):
            events.append(head | {"choices": [place | {"delta": delta, "finish_reason": None}]})
        last = {k: v for k, v in choice.items() if k not in ("message", "index")}
        events.append(head | {"choices": [place | {"delta": {}} | last]})
    if body.get("usage"):
        events.append(head | {"choices": [], "usage": body["usage"]})
    return b"".join(map(sse, events)) + b"data: [DONE]\n\n"


def _deltas(message: dict[str, Any]) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = [{"role": message.get("role", "assistant")}]
    rest = dict(message)
    for name in ("reasoning", "reasoning_content", "refusal", "content"):
        if isinstance(rest.get(name), str):
            deltas += [{name: part} for part in _parts(rest.pop(name))]
    for index, call in enumerate(rest.pop("tool_calls", None) or []):
        if "function" not in call:
            deltas.append({"tool_calls": [{"index": index} | call]})
            continue
        function = call["function"]
        fragments = [function.get("arguments")]
        if isinstance(fragments[0], str):
            fragments = ["", *_parts(fragments[0])]
        opening = {"index": index, "id": call["id"], "type": "function"}
        opening["function"] = {"name": function["name"], "arguments": fragments[0]}
        deltas.append({"tool_calls": [opening]})
        for fragment in fragments[1:]:
            part = {"index": index, "function": {"arguments": fragment}}
            deltas.append({"tool_calls": [part]})
    others = plain({k: v for k, v in rest.items() if k != "role"})
    return [*deltas, others] if others else deltas


def _anthropic(body: dict[str, Any]) -> bytes:
    usage = body.get("usage") or {}
    start = body | {"content": [], "stop_reason": None, "stop_sequence": None}
    if usage:
        start["usage"] = usage | {"output_tokens": 1}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for index, block in enumerate(body["content"]):
        opening, deltas = unfold(block)
        place = {"index": index}
        events.append({"type": "content_block_start"} | place | {"content_block": opening})
        events += [{"type": "content_block_delta"} | place | {"delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop"} | place)
    ending = {name: body.get(name) for name in ("stop_reason", "stop_sequence")}
    last: dict[str, Any] = {"type": "message_delta", "delta": ending}
    if usage:
        last["usage"] = {"output_tokens": usage["output_tokens"]}
    events += [last, {"type": "message_stop"}]
    return b"".join(sse(event, event["type"]) for event in events)


def _parts(text: str, size: int = 5) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)] or [""]
