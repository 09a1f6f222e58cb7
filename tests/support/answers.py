"""What providers say, as replies for the scripted upstream: answers, streams and errors.

The shapes are those of OpenAI's Chat Completions, OpenRouter's and Anthropic's Messages API.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from support.script import PAUSE, Ending, Reply, Step

JSON = {"content-type": "application/json"}
SSE = {"content-type": "text/event-stream"}

# A tool call: (id, name, arguments as JSON text).
Call = tuple[str, str, str]
# One piece of a streamed answer: text, a whole delta or block, verbatim bytes, or a step.
Piece = str | Mapping[str, Any] | Step


def json_reply(value: Any, status: int = 200, **fields: Any) -> Reply:
    """`value` as a JSON body with its content-length."""
    fields["headers"] = JSON | dict(fields.get("headers", {}))
    return Reply.whole(_json(value), status, **fields)


def html(status: int = 502, body: str = "<html><h1>Bad gateway</h1></html>") -> Reply:
    """An error page of something that stands between client and provider."""
    return Reply.whole(body.encode(), status, headers={"content-type": "text/html"})


def rechunk(body: bytes, size: int) -> list[bytes]:
    """`body` in pieces of `size` bytes, cut without regard to lines or characters."""
    return [body[at : at + size] for at in range(0, len(body), size)]


def sse(value: Any, event: str | None = None) -> bytes:
    """One server-sent event with `value` as its JSON data."""
    name = b"event: %b\n" % event.encode() if event else b""
    return name + b"data: %b\n\n" % _json(value)


def error(
    status: int,
    *,
    type: str | None = None,
    code: str | int | None = None,
    message: str = "Scripted failure",
    headers: Mapping[str, str] | None = None,
    style: Literal["openai", "anthropic", "openrouter"] = "openai",
    **more: Any,
) -> Reply:
    """An error in a provider's shape; `more` goes into the body's `error` object."""
    body: dict[str, Any]
    if style == "anthropic":
        kind = type or _ANTHROPIC_TYPES.get(status, "api_error")
        body = {"type": "error", "error": {"type": kind, "message": message} | more}
    elif style == "openrouter":
        body = {"error": {"message": message, "code": code or status} | more, "user_id": "user_1"}
    else:
        kind = type or _OPENAI_TYPES.get(status, "server_error")
        body = {"error": {"message": message, "type": kind, "param": None, "code": code} | more}
    return json_reply(body, status, headers=dict(headers or {}))


# ----------------------------------------------------------------------- OpenAI and OpenRouter


def completion(
    text: str | None = "Hi",
    *,
    model: str = "gpt-4o-mini",
    tool_calls: Sequence[Call] = (),
    finish: str | None = None,
    usage: Mapping[str, Any] | tuple[int, int] | None = (5, 2),
    message: Mapping[str, Any] | None = None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> Reply:
    """A chat completion with one choice.

    - `finish` is `tool_calls` or `stop`, as fits, if not given.
    - `usage` is JSON, or (prompt tokens, completion tokens); `None` leaves it out.
    - `message` holds fields added to the message, `more` fields added to the body, or put in place
      of its own (`choices=[…]`).
    """
    said: dict[str, Any] = {"role": "assistant", "content": text}
    if tool_calls:
        said["tool_calls"] = [_tool_call(call) for call in tool_calls]
    choice = {
        "index": 0,
        "message": said | dict(message or {}),
        "finish_reason": finish or ("tool_calls" if tool_calls else "stop"),
    }
    body = _head(model, "chat.completion") | {"choices": [choice]}
    if usage is not None:
        body["usage"] = _usage(usage)
    return json_reply(body | more, status, headers=dict(headers or {}))


def completion_stream(
    *pieces: Piece,
    model: str = "gpt-4o-mini",
    tool_calls: Sequence[Call] = (),
    finish: str | None = "stop",
    usage: Mapping[str, Any] | tuple[int, int] | bool | None = True,
    done: bool = True,
    role: bool = True,
    line_end: bytes = b"\n",
    chunk_bytes: int | None = None,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> Reply:
    r"""A streamed chat completion: `completion_stream("Hel", "lo")`.

    - Of the pieces, a string is a content delta, a mapping a delta of any kind, bytes go out as
      they are (`b": keep-alive\\n\\n"`, `sse({…})`), and a step pauses or ends the stream there:
      `completion_stream("Hel", CUT)`.
    - `tool_calls` come after the pieces, each argument text in fragments of three characters.
    - `finish=None` ends the stream without a finish reason, and without usage and `[DONE]`.
    - `usage` is in a chunk of its own with empty choices, as OpenAI sends it.
    - `role` begins with the empty role delta.
    - `chunk_bytes` cuts the body into pieces of this size instead of one per event.
    - `more` holds fields added to every chunk.
    """
    base = _head(model, "chat.completion.chunk") | more

    def event(delta: Mapping[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return sse(base | {"choices": [choice]})

    steps: list[Step] = [event({"role": "assistant", "content": ""})] if role else []
    for piece in pieces:
        if isinstance(piece, str):
            steps.append(event({"content": piece}))
        elif isinstance(piece, Mapping):
            steps.append(event(piece))
        else:
            steps.append(piece)
    for index, (call_id, name, arguments) in enumerate(tool_calls):
        function = {"name": name, "arguments": ""}
        opening = {"index": index, "id": call_id, "type": "function", "function": function}
        steps.append(event({"tool_calls": [opening]}))
        for fragment in _fragments(arguments):
            part = {"index": index, "function": {"arguments": fragment}}
            steps.append(event({"tool_calls": [part]}))
    if finish is not None:
        steps.append(event({}, "tool_calls" if tool_calls and finish == "stop" else finish))
        if usage is not None and usage is not False:
            counted = _usage((5, 2) if usage is True else usage)
            steps.append(sse(base | {"choices": [], "usage": counted}))
        if done:
            steps.append(b"data: [DONE]\n\n")
    return _stream(steps, line_end, chunk_bytes, headers)


# ------------------------------------------------------------------------------------ Anthropic


def message(
    text: str | None = "Hi",
    *,
    model: str = "claude-sonnet-4-5",
    content: Sequence[Mapping[str, Any]] | None = None,
    stop_reason: str = "end_turn",
    usage: Mapping[str, Any] | tuple[int, int] = (5, 2),
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> Reply:
    """A message of Anthropic's API: one text block, or the blocks in `content`."""
    blocks = content if content is not None else [{"type": "text", "text": text}]
    body = _message(model, usage) | {
        "content": list(blocks),
        "stop_reason": stop_reason,
        "stop_sequence": None,
    }
    return json_reply(body | more, headers=dict(headers or {}))


def message_stream(
    *pieces: Piece,
    model: str = "claude-sonnet-4-5",
    stop_reason: str | None = "end_turn",
    usage: Mapping[str, Any] | tuple[int, int] = (5, 2),
    line_end: bytes = b"\n",
    chunk_bytes: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """A streamed message: message_start, the blocks with their deltas, message_delta, message_stop.

    - Of the pieces, strings in a row are text deltas of one block, a mapping is a whole block
      (`text`, `thinking`, `tool_use`, …) streamed in fragments, bytes and steps are as they are.
    - `stop_reason=None` ends the stream after the last piece.
    - `usage`: message_start tells the input, message_delta the output.
    """
    counted = _anthropic_usage(usage)
    start = _message(model, counted | {"output_tokens": 1})
    start |= {"content": [], "stop_reason": None, "stop_sequence": None}
    steps: list[Step] = [_named("message_start", message=start)]
    index, in_text, pinged = 0, False, False

    def close_text() -> None:
        nonlocal index, in_text
        if in_text:
            steps.append(_named("content_block_stop", index=index))
            index, in_text = index + 1, False

    def open_block(block: Mapping[str, Any]) -> None:
        nonlocal pinged
        steps.append(_named("content_block_start", index=index, content_block=block))
        if not pinged:
            steps.append(_named("ping"))
            pinged = True

    for piece in pieces:
        if isinstance(piece, str):
            if not in_text:
                open_block({"type": "text", "text": ""})
                in_text = True
            delta = {"type": "text_delta", "text": piece}
            steps.append(_named("content_block_delta", index=index, delta=delta))
        elif isinstance(piece, Mapping):
            close_text()
            opening, deltas = unfold(piece)
            open_block(opening)
            steps += [_named("content_block_delta", index=index, delta=delta) for delta in deltas]
            steps.append(_named("content_block_stop", index=index))
            index += 1
        else:
            steps.append(piece)
    if stop_reason is not None:
        close_text()
        ending = {"stop_reason": stop_reason, "stop_sequence": None}
        final = {"output_tokens": counted["output_tokens"]}
        steps.append(_named("message_delta", delta=ending, usage=final))
        steps.append(_named("message_stop"))
    return _stream(steps, line_end, chunk_bytes, headers)


def unfold(block: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """One of Anthropic's blocks as it starts in a stream, and the deltas that complete it."""
    opening = dict(block)
    kind = block["type"]
    deltas: list[dict[str, Any]] = []
    if kind == "text":
        opening["text"] = ""
        deltas += [{"type": "text_delta", "text": part} for part in _fragments(block["text"])]
        if citations := opening.pop("citations", None):
            deltas += [{"type": "citations_delta", "citation": citation} for citation in citations]
    elif kind == "thinking":
        opening |= {"thinking": "", "signature": ""}
        parts = _fragments(block["thinking"])
        deltas += [{"type": "thinking_delta", "thinking": part} for part in parts]
        deltas.append({"type": "signature_delta", "signature": block.get("signature", "")})
    elif kind == "compaction":
        opening["content"] = None
        deltas.append({"type": "compaction_delta", "content": block["content"]})
    elif "input" in block:
        opening["input"] = {}
        parts = ["", *_fragments(json.dumps(block["input"]))]
        deltas += [{"type": "input_json_delta", "partial_json": part} for part in parts]
    return opening, deltas


# -------------------------------------------------------------------------------------- helpers

_OPENAI_TYPES = {
    400: "invalid_request_error",
    401: "invalid_request_error",
    403: "insufficient_permissions",
    404: "invalid_request_error",
    429: "rate_limit_exceeded",
}
_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _head(model: str, kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1_700_000_000, "model": model}


def _tool_call(call: Call) -> dict[str, Any]:
    call_id, name, arguments = call
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def _usage(usage: Mapping[str, Any] | tuple[int, int]) -> dict[str, Any]:
    if isinstance(usage, Mapping):
        return dict(usage)
    prompt, answer = usage
    return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}


def _anthropic_usage(usage: Mapping[str, Any] | tuple[int, int]) -> dict[str, Any]:
    if isinstance(usage, Mapping):
        return dict(usage)
    return {"input_tokens": usage[0], "output_tokens": usage[1]}


def _message(model: str, usage: Mapping[str, Any] | tuple[int, int]) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "usage": _anthropic_usage(usage),
    }


def _named(event: str, **fields: Any) -> bytes:
    return sse({"type": event} | fields, event)


def _fragments(text: str, size: int = 3) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def _stream(
    steps: Iterable[Step],
    line_end: bytes,
    chunk_bytes: int | None,
    headers: Mapping[str, str] | None,
) -> Reply:
    chunks: list[Step] = []
    for step in steps:
        if isinstance(step, PAUSE | Ending):
            chunks.append(step)
            continue
        # JSON text holds no bare line feed, so every one here ends a line.
        framed = step if line_end == b"\n" else step.replace(b"\n", line_end)
        if chunk_bytes is None:
            chunks.append(framed)
        elif chunks and isinstance(chunks[-1], bytes):
            chunks[-1] += framed
        else:
            chunks.append(framed)
    if chunk_bytes is not None:
        chunks = [
            piece
            for step in chunks
            for piece in (rechunk(step, chunk_bytes) if isinstance(step, bytes) else [step])
        ]
    return Reply(headers=SSE | dict(headers or {}), chunks=chunks)
