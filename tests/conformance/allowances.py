"""Every exception from "what came in comes out", each with its reason. There is no other.

No exchange is left out by name, and no test is skipped. What is compared differently is changed
here on the oracle's side, so that these few functions are the whole list:

| where | what | reason |
|---|---|---|
| answers | `read_as_text` | a number or an object where text belongs is read as that text |
| answers | `with_defaults` | an index, a role or a list of choices that was left out is written |
| requests | `sent_apart` | `metadata` is Scallion's own argument; the provider's is in `extra_body` |
| requests | `meaning` | a message may be spelled in several ways, and OpenAI takes no reasoning |
| sent back | `sendable` | Anthropic refuses blank texts and inputs that are not objects |
| both | `short_id` | OpenAI and Azure refused tool ids of more than 40 characters, or of none |

Recordings of Anthropic's are replayed with a request of our own: theirs are not in the shape that
callers write. A recording of several answers, one after the other, counts as several exchanges.
Log probabilities that are a bare number are compared in whole answers only: there is no telling
what they add up to. An answer that came whole without a finish reason has no like in a stream, so
there is no parity to check.
"""

from __future__ import annotations

import json
from typing import Any

_NO_TEXT = {"type": "text", "text": ""}
_REASONING = {"reasoning", "reasoning_content", "reasoning_details"}


def read_as_text(body: dict[str, Any]) -> dict[str, Any]:
    """A completion or a chunk with text where a server put a number or an object in its place."""
    body = json.loads(json.dumps(body))
    if isinstance(body.get("id"), int):
        body["id"] = str(body["id"])
    for choice in body.get("choices") or []:
        message = choice.get("message") or choice.get("delta") or {}
        for call in message.get("tool_calls") or []:
            function = call.get("function") or {}
            if not isinstance(function.get("arguments"), str | None):
                function["arguments"] = json.dumps(function["arguments"], separators=(",", ":"))
    return body


def with_defaults(body: dict[str, Any]) -> dict[str, Any]:
    """A completion or a chunk with what the protocol promises of it, where a server left it out."""
    body = body | {"choices": [{"index": 0} | choice for choice in body.get("choices") or []]}
    for choice in body["choices"]:
        if isinstance(choice.get("message"), dict) or body.get("object") == "chat.completion":
            choice["message"] = {"role": "assistant"} | (choice.get("message") or {})
    return body


def sent_apart(params: dict[str, Any]) -> dict[str, Any]:
    """Parameters with what shares a name with an argument of Scallion's in `extra_body`."""
    apart = {name: params[name] for name in ("metadata", "tenant", "deadline") if name in params}
    rest = {name: value for name, value in params.items() if name not in apart}
    return rest | {"extra_body": apart} if apart else rest


def meaning(messages: list[dict[str, Any]], *, reasoning: bool) -> list[dict[str, Any]]:
    """What OpenAI-style messages say, whichever of its spellings each uses.

    A text is a list of one text part, null is absent, and `index` means nothing in a whole tool
    call. A cache marker on a message is one on its last part. What a tool message cannot hold (anything but text) follows in a user's message. Without
    `reasoning`, the model's thinking and the cache markers of another provider are not sent.
    """
    said: list[dict[str, Any]] = []
    attached: list[Any] = []
    for message in messages:
        if attached and message["role"] != "tool":
            said.append({"role": "user", "content": attached})
            attached = []
        kept = {k: v for k, v in json.loads(json.dumps(message)).items() if v is not None}
        content = kept.pop("content", None)
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
        kept.pop("annotations", None)  # of an answer, which nobody takes back
        marker = kept.pop("cache_control", None)
        if marker and parts:
            parts[-1] = parts[-1] | {"cache_control": marker}
        if message["role"] == "tool":
            attached += [part for part in parts if part["type"] != "text"]
            parts = [part for part in parts if part["type"] == "text"] or [_NO_TEXT]
        if not reasoning:
            kept = {name: value for name, value in kept.items() if name not in _REASONING}
            parts = [{k: v for k, v in part.items() if k != "cache_control"} for part in parts]
        for call in kept.get("tool_calls") or []:
            call.pop("index", None)
            call.setdefault("type", "function")
            call["id"] = short_id(call.get("id"))
        if "tool_call_id" in kept:
            kept["tool_call_id"] = short_id(kept["tool_call_id"])
        if not kept.get("tool_calls"):
            kept.pop("tool_calls", None)
        said.append(kept | {"content": [part for part in parts if part != _NO_TEXT]})
    return [*said, {"role": "user", "content": attached}] if attached else said


def sendable(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Anthropic's blocks as it takes them back.

    It writes blank texts but refuses them, and an input that was cut off is no object.
    """
    kept = [block for block in blocks if block["type"] != "text" or block["text"].strip()]
    return [
        block | {"input": as_object(block["input"])} if "input" in block else block
        for block in kept
    ]


def as_object(value: Any) -> Any:
    """A tool's input; text that is not the JSON of an object is put into one."""
    return value if isinstance(value, dict) else {"raw_arguments": value}


class _ShortId(str):
    """Equals every id of at most 40 characters, and of at least one."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and 0 < len(other) <= 40

    __hash__ = str.__hash__


def short_id(call_id: str | None) -> str:
    """A tool id, or for a long one or none whatever short id stands in for it."""
    return call_id if call_id and len(call_id) <= 40 else _ShortId(call_id)
