"""Anthropic's answer as OpenAI's: a whole message of the Messages API to a `ModelResponse`.

What OpenAI's fields cannot say survives elsewhere:

- `message.provider_content` holds Anthropic's own blocks whenever text and plain tool calls would
  lose something (thinking and its signatures, citations, server tools, compaction, several text
  blocks, …). Sent back in `messages`, they reach Anthropic as they came.
- `message.annotations` holds the citations. A web search citation is OpenAI's `url_citation`; any
  other has its Anthropic type as `type` and its fields under that name. All have `start_index` and
  `end_index`, the cited sentence's place in `message.content`.
- `usage.model_extra` and the response's `model_extra` hold every other field under its own name
  (`service_tier`, `server_tool_use`, `iterations`; `stop_sequence`, `stop_details`, `container`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from scallion.types import (
    Choice,
    CompletionTokensDetails,
    FunctionCall,
    Message,
    ModelResponse,
    PromptTokensDetails,
    ToolCall,
    Usage,
)

from ._tool_calls import arguments_text

FORMAT = "anthropic"  # the `format` of `provider_content`

# Anthropic's stop reasons in OpenAI's words; one that is not here yet is an ordinary stop.
_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "compaction": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}

_MESSAGE_FIELDS = frozenset(
    {"id", "type", "role", "content", "model", "stop_reason", "usage"},
)
_TEXTS = {"text": ("text",), "thinking": ("thinking",), "tool_use": ("id", "name")}
_PLAIN_TEXT = frozenset({"type", "text"})
_PLAIN_TOOL_USE = frozenset({"type", "id", "name", "input"})


class InBandError(Exception):
    """Anthropic sent an error where an answer was due: in a 200's body, or as a stream's event.

    Attributes:
        body: What it sent: `{"type": "error", "error": {"type": …, "message": …}, …}`, or what a
            gateway made of that.
    """

    def __init__(self, body: Any) -> None:
        super().__init__("Anthropic sent an error in place of an answer")
        self.body = body


def from_anthropic(body: bytes | dict[str, Any]) -> ModelResponse:
    """Convert a whole answer.

    Raises:
        InBandError: `body` is an error object.
        ValueError: `body` is not JSON, or not a message.
    """
    message = msgspec.json.decode(body) if isinstance(body, bytes) else body
    if not isinstance(message, dict):
        raise ValueError(f"expected a message object, got {type(message).__name__}")
    if is_error(message):
        raise InBandError(message)
    content = message.get("content")
    if not isinstance(content, list):
        raise ValueError("the message has no list of content blocks")
    blocks = [sound(block) for block in content if isinstance(block, dict)]
    native = text_in(message, "stop_reason")
    usage = message.get("usage")
    return ModelResponse(
        id=text_in(message, "id"),
        object="chat.completion",
        model=text_in(message, "model"),
        choices=[
            Choice(
                message=_message(blocks),
                finish_reason=finish_reason(native),
                native_finish_reason=native,
            )
        ],
        usage=usage_of(usage) if isinstance(usage, dict) else None,
        model_extra=extra_of(message) or None,
        body=body if isinstance(body, bytes) else None,
    )


def is_error(said: dict[str, Any]) -> bool:
    """Whether an object is an error: of Anthropic's form, or a gateway's of OpenAI's form."""
    return said.get("type") == "error" or ("type" not in said and bool(said.get("error")))


def finish_reason(native: str | None) -> str | None:
    """OpenAI's word for a stop reason; `None` while there is none."""
    return None if native is None else _FINISH_REASONS.get(native, "stop")


def text_in(fields: dict[str, Any], name: str) -> str | None:
    """A field that should be a text; what it is instead is written as JSON, as `types` does."""
    value = fields.get(name)
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def sound(block: dict[str, Any]) -> dict[str, Any]:
    """`block` with texts where texts are due, so that it can be read here and sent back."""
    names = _TEXTS.get(block["type"], ()) if isinstance(block.get("type"), str) else ()
    odd = [name for name in names if not isinstance(block.get(name, ""), str)]
    return block | {name: text_in(block, name) or "" for name in odd} if odd else block


def extra_of(message: dict[str, Any]) -> dict[str, Any]:
    """The fields of a message that OpenAI's answer has no place for, without the empty ones."""
    return {
        name: value
        for name, value in message.items()
        if value is not None and name not in _MESSAGE_FIELDS
    }


def usage_of(counts: dict[str, Any]) -> Usage | None:
    """Anthropic's counts added up OpenAI's way; `None` if it gave none.

    `prompt_tokens` is `input_tokens`, plus those read from and written to the cache, which
    Anthropic counts apart. (Tokens of a `compaction` in `iterations` are in none of its totals,
    so they are in none of these; they are billed.)
    """
    extra = {name: value for name, value in counts.items() if value is not None}
    if not extra:
        return None
    read = _count(extra.pop("cache_read_input_tokens", None))
    written = _count(extra.pop("cache_creation_input_tokens", None))
    prompt = (_count(extra.pop("input_tokens", None)) or 0) + (read or 0) + (written or 0)
    completion = _count(extra.pop("output_tokens", None)) or 0
    thinking = _count(_part(extra, "output_tokens_details", "thinking_tokens"))
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        prompt_tokens_details=None
        if read is None and written is None
        else PromptTokensDetails(
            cached_tokens=read,
            cache_write_tokens=written,
            cache_write_1h_tokens=_count(
                _part(extra, "cache_creation", "ephemeral_1h_input_tokens")
            ),
        ),
        completion_tokens_details=None
        if thinking is None
        else CompletionTokensDetails(reasoning_tokens=thinking),
        model_extra=extra or None,
    )


def _part(counts: dict[str, Any], group: str, name: str) -> object:
    details = counts.get(group)
    return details.get(name) if isinstance(details, dict) else None


def _count(value: object) -> int | None:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) else None


def provider_content_of(blocks: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The blocks to keep, or `None` if one text and plain tool calls say it all."""
    for position, block in enumerate(blocks):
        kind = block.get("type")
        plain = (kind == "text" and position == 0 and block.keys() == _PLAIN_TEXT) or (
            kind == "tool_use" and block.keys() == _PLAIN_TOOL_USE
        )
        if not plain:
            return {"format": FORMAT, "content": blocks}
    return None


def annotations_of(block: dict[str, Any], start: int) -> list[Any]:
    """The citations of a text block that begins at character `start` of the content."""
    span = {"start_index": start, "end_index": start + len(block.get("text") or "")}
    annotations = []
    for citation in citations_in(block):
        if not isinstance(citation, dict):
            continue
        fields = {name: value for name, value in citation.items() if name != "type"}
        kind = text_in(citation, "type") or "citation"
        if kind == "web_search_result_location":
            kind = "url_citation"
            fields.pop("encrypted_index", None)  # for Anthropic's eyes; `provider_content` has it
        annotations.append({"type": kind, kind: fields | span})
    return annotations


def citations_in(block: dict[str, Any]) -> list[Any]:
    """A text block's citations; none if there is no list of them."""
    citations = block.get("citations")
    return citations if isinstance(citations, list) else []


def _message(blocks: list[dict[str, Any]]) -> Message:
    text = ""
    thoughts: list[str] = []
    calls: list[ToolCall] = []
    annotations: list[Any] = []
    for block in blocks:
        kind = block.get("type")
        if kind == "text":
            annotations += annotations_of(block, len(text))
            text += block.get("text") or ""
        elif kind == "thinking":
            thoughts.append(block.get("thinking") or "")
        elif kind == "tool_use":
            arguments = arguments_text(block.get("input"))
            function = FunctionCall(name=block.get("name"), arguments=arguments)
            calls.append(ToolCall(id=block.get("id"), type="function", function=function))
    return Message(
        content=text or (None if calls else ""),
        reasoning="".join(thoughts) or None,
        tool_calls=calls or None,
        annotations=annotations or None,
        provider_content=provider_content_of(blocks),
    )
