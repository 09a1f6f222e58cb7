"""What a recorded exchange has to come out as, worked out from its raw bytes.

Standard library only: not a line of Scallion takes part, so that a mistake of its cannot hide here.
An answer is described by plain dicts that `replay.seen` makes of Scallion's objects as well.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from conformance.forms import is_json, merge_details, merge_logprobs, plain, text_of
from conformance.oracle_errors import error_class, error_of

if TYPE_CHECKING:
    from conformance.exchanges import Exchange


@dataclass
class Expected:
    """What should happen.

    Attributes:
        answer: The answer, or what has arrived of it when the error strikes.
        error: The name of the exception's class, or `None` if the call succeeds.
        error_body: The error as decoded JSON or text; `None` if it came inside a stream.
        frames: A stream's events, in order; `None` if it fails.
        blocks: Anthropic's own blocks, without their nulls.
    """

    answer: dict[str, Any] | None = None
    error: str | None = None
    error_body: Any = None
    request_id: str | None = None
    frames: list[dict[str, Any]] | None = None
    blocks: list[dict[str, Any]] | None = None


def expect(exchange: Exchange) -> Expected:
    """Work out what the response of `exchange` means."""
    expected = _stream(exchange) if exchange.stream else _whole(exchange)
    body = expected.error_body
    if expected.error is not None and exchange.status == 200 and not exchange.stream:
        text = exchange.body.decode("utf-8", "replace")
        body = json.loads(text) if is_json(text) else None
    expected.request_id = _request_id(exchange, body)
    return expected


def _request_id(exchange: Exchange, body: Any) -> str | None:
    headers = {name.lower(): value for name, value in exchange.headers.items()}
    own = body.get("request_id") if isinstance(body, dict) else None
    return next((headers[name] for name in _REQUEST_IDS if headers.get(name)), own)


_REQUEST_IDS = (
    "request-id", "x-request-id", "x-amzn-requestid", "apim-request-id", "x-generation-id"
)  # fmt: skip


# Finish reasons by which a server says that it did not finish.
_BROKEN_OFF = {"error", "abort", "insufficient_system_resource", "network_error"}


def _whole(exchange: Exchange) -> Expected:
    text = exchange.body.decode("utf-8", "replace")
    try:
        body = json.loads(text)
    except ValueError:
        if exchange.status != 200:
            return Expected(error=error_class(exchange.status, {}), error_body=text)
        return Expected(error="MalformedResponseError")
    if exchange.status != 200:
        return Expected(error=error_class(exchange.status, error_of(body)), error_body=body)
    if not isinstance(body, dict):
        return Expected(error="MalformedResponseError")
    error = error_of(body)
    if exchange.endpoint == "messages":
        if error:
            return Expected(error=error_class(None, error))
        if not isinstance(body.get("content"), list):
            return Expected(error="MalformedResponseError")
        return Expected(answer=_anthropic_answer(body), blocks=_plain_blocks(body["content"]))
    choices = body.get("choices")
    for choice in choices or []:
        error = error or choice.get("error") or {}
    if error:
        return Expected(error=error_class(None, error))
    if not choices:
        return Expected(error="MalformedResponseError")
    if any(choice.get("finish_reason") in _BROKEN_OFF for choice in choices):
        return Expected(error="ServerError")
    return Expected(answer=_openai_answer(body))


def _stream(exchange: Exchange) -> Expected:
    if exchange.status != 200:
        return _whole(exchange)
    frames = []
    for data in sse(exchange.body):
        if data == "[DONE]":
            break
        try:
            frame = json.loads(data)
        except ValueError:
            frame = None
        frames.append(frame if isinstance(frame, dict) else {"malformed": data})
    kinds = [value for name, value in exchange.headers.items() if name.lower() == "content-type"]
    if not any(kind.startswith("text/event-stream") for kind in kinds):
        # Something else than events. An error in JSON is worth more than "this is no stream".
        whole = _whole(exchange)
        return Expected(error=whole.error or "MalformedResponseError")
    collect = _anthropic_stream if exchange.endpoint == "messages" else _openai_stream
    return collect(frames)


def sse(body: bytes) -> list[str]:
    """The data of each event: the simplest splitting that follows the standard."""
    found: list[str] = []
    lines: list[str] = []
    *whole_lines, rest = re.split("\r\n|\n|\r", body.decode("utf-8-sig", "replace"))
    for line in [*whole_lines, rest] if rest else whole_lines:
        if not line and lines:
            found.append("\n".join(lines))
            lines = []
        elif line.startswith("data:"):
            lines.append(line[5:].removeprefix(" "))
    if lines:
        # The standard drops an event without its blank line; one that is whole is not dropped here.
        last = "\n".join(lines)
        if last == "[DONE]" or is_json(last):
            found.append(last)
    return found


# --------------------------------------------------------------------------- OpenAI's chat shape


def _openai_answer(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": None if body.get("id") in (None, "") else str(body["id"]),
        "model": body.get("model") or None,
        "choices": [_openai_choice(choice) for choice in body["choices"]],
        "usage": plain(body.get("usage")),
        "service_tier": body.get("service_tier"),
        "system_fingerprint": body.get("system_fingerprint") or None,
        "upstream_provider": body.get("provider"),
    }


def _openai_choice(choice: dict[str, Any]) -> dict[str, Any]:
    message = choice.get("message") or {}
    function = message.get("function_call")
    return {
        "index": choice.get("index", 0),
        "text": text_of(message.get("content")),
        "reasoning": message.get("reasoning") or message.get("reasoning_content") or "",
        "refusal": message.get("refusal") or "",
        "tool_calls": [
            [
                call.get("id"),
                (call.get("function") or {}).get("name"),
                _arguments((call.get("function") or {}).get("arguments")),
            ]
            for call in message.get("tool_calls") or []
        ],
        "function_call": [function.get("name"), function.get("arguments")] if function else None,
        "finish_reason": choice.get("finish_reason"),
        "native_finish_reason": choice.get("native_finish_reason"),
        "annotations": plain(message.get("annotations") or []),
        "audio": plain(message.get("audio")),
        "reasoning_details": merge_details(message.get("reasoning_details") or []),
        "logprobs": merge_logprobs([choice.get("logprobs")]),
    }


def _arguments(value: Any) -> str:
    # Some servers send the object itself instead of its JSON text.
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, separators=(",", ":"))


def _openai_stream(frames: list[dict[str, Any]]) -> Expected:
    head: dict[str, Any] = {"choices": []}
    choices: dict[int, dict[str, Any]] = {}
    for frame in frames:
        failed = "malformed" in frame
        error = {} if failed else error_of(frame)
        if not failed:
            for name in ("id", "model", "usage", "service_tier", "system_fingerprint", "provider"):
                head[name] = frame.get(name) or head.get(name)
            for part in frame.get("choices") or []:
                index = part.get("index", 0)
                choice = choices.setdefault(index, {"index": index, "message": {}, "logprobs": []})
                error = error or part.get("error") or {}
                _add_delta(choice, part)
        if failed or error:
            kind = "MalformedResponseError" if failed else error_class(None, error)
            partial = _finish_openai(head, choices)
            if any(_has_content(choice) for choice in partial["choices"]):
                kind = "StreamInterruptedError"
            return Expected(error=kind, answer=partial)
    answer = _finish_openai(head, choices)
    reasons = [choice["finish_reason"] for choice in answer["choices"]]
    if not reasons or not all(reasons) or _BROKEN_OFF.intersection(reasons):
        return Expected(error="StreamTruncatedError", answer=answer)
    return Expected(answer=answer, frames=frames)


def _add_delta(choice: dict[str, Any], part: dict[str, Any]) -> None:
    message, delta = choice["message"], part.get("delta") or {}
    for name in ("finish_reason", "native_finish_reason"):
        choice[name] = choice.get(name) or part.get(name)
    choice["logprobs"].append(part.get("logprobs"))
    for name in ("reasoning", "reasoning_content", "refusal"):
        message[name] = message.get(name, "") + (delta.get(name) or "")
    message["content"] = message.get("content", "") + text_of(delta.get("content"))
    for name in ("annotations", "reasoning_details"):
        message[name] = message.get(name, []) + (delta.get(name) or [])
    for name, value in (delta.get("audio") or {}).items():
        audio = message.setdefault("audio", {})
        grows = name in ("data", "transcript") and name in audio
        audio[name] = audio[name] + value if grows else value
    if function := delta.get("function_call"):
        whole = message.setdefault("function_call", {"name": "", "arguments": ""})
        whole["name"] += function.get("name") or ""
        whole["arguments"] += function.get("arguments") or ""
    calls = message.setdefault("tool_calls", [])
    for fragment in delta.get("tool_calls") or []:
        index, function = fragment.get("index"), fragment.get("function") or {}
        call = next((call for call in reversed(calls) if call["index"] == index), None)
        if call is None or (fragment.get("id") and call["id"] and fragment["id"] != call["id"]):
            call = {"index": index, "id": None, "function": {"name": None, "arguments": ""}}
            calls.append(call)
        call["id"] = call["id"] or fragment.get("id")
        call["function"]["name"] = call["function"]["name"] or function.get("name")
        call["function"]["arguments"] += _arguments(function.get("arguments"))


def _finish_openai(head: dict[str, Any], choices: dict[int, dict[str, Any]]) -> dict[str, Any]:
    answer = _openai_answer(head)
    for _, choice in sorted(choices.items()):
        seen = _openai_choice(choice | {"logprobs": None})
        seen["logprobs"] = merge_logprobs(choice["logprobs"])
        answer["choices"].append(seen)
    return answer


def _has_content(choice: dict[str, Any]) -> bool:
    return any(choice[name] for name in ("text", "reasoning", "refusal", "tool_calls", "audio"))


# ------------------------------------------------------------------------------ Anthropic's shape

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def _anthropic_answer(body: dict[str, Any]) -> dict[str, Any]:
    blocks = body["content"]
    stop = body.get("stop_reason")
    return {
        "id": body.get("id"),
        "model": body.get("model"),
        "text": "".join(block.get("text") or "" for block in _of(blocks, "text")),
        "reasoning": "".join(block.get("thinking") or "" for block in _of(blocks, "thinking")),
        "tool_calls": [
            [block["id"], block["name"], block["input"]] for block in _of(blocks, "tool_use")
        ],
        "finish_reason": None if stop is None else _FINISH.get(stop, "stop"),
        "native_finish_reason": stop,
        "usage": _anthropic_usage(body["usage"]) if body.get("usage") else None,
        "citations": [
            _citation(citation, block["text"])
            for block in blocks
            for citation in block.get("citations") or []
        ],
    }


def _of(blocks: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [block for block in blocks if block.get("type") == kind]


def _citation(citation: dict[str, Any], cited_by: str) -> dict[str, Any]:
    fields = {name: value for name, value in citation.items() if name != "type"}
    kind = citation["type"]
    if kind == "web_search_result_location":  # what OpenAI calls a `url_citation`
        kind = "url_citation"
        fields.pop("encrypted_index", None)
    return {"type": kind, "fields": plain(fields), "cited_by": cited_by}


def _plain_blocks(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    # `input: {}` and empty lists mean something in a block: only nulls go.
    return [{k: v for k, v in block.items() if v is not None} for block in blocks]


def _anthropic_usage(usage: dict[str, Any]) -> dict[str, Any]:
    read = usage.get("cache_read_input_tokens") or 0
    written = usage.get("cache_creation_input_tokens") or 0
    prompt = (usage.get("input_tokens") or 0) + read + written
    completion = usage.get("output_tokens") or 0
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "cached_tokens": read,
        "cache_write_tokens": written,
        "cache_write_1h_tokens": (usage.get("cache_creation") or {}).get(
            "ephemeral_1h_input_tokens"
        )
        or 0,
        "reasoning_tokens": (usage.get("output_tokens_details") or {}).get("thinking_tokens") or 0,
        # What is billed beside tokens, or in another way.
        "server_tool_use": plain(usage.get("server_tool_use")),
        "iterations": plain(usage.get("iterations")),
        "service_tier": usage.get("service_tier"),
    }


def _anthropic_stream(frames: list[dict[str, Any]]) -> Expected:
    message: dict[str, Any] = {"content": []}
    blocks: dict[int, dict[str, Any]] = {}
    partial_json: dict[int, str] = {}

    def answer() -> dict[str, Any]:
        for index, text in partial_json.items():
            blocks[index]["input"] = json.loads(text) if is_json(text) else text
        return _anthropic_answer(message | {"content": list(blocks.values())})

    for frame in frames:
        kind = frame.get("type")
        if "malformed" in frame or kind == "error":
            error = "MalformedResponseError"
            if kind == "error":
                error = error_class(None, error_of(frame))
            seen = answer()
            if seen["text"] or seen["reasoning"] or seen["tool_calls"]:
                error = "StreamInterruptedError"
            return Expected(error=error, answer=seen)
        if kind == "message_start":
            # If it is not the first, a gateway tried again, and what came before is void.
            message = frame["message"]
            blocks = dict(enumerate(message["content"]))
            partial_json = {}
        elif kind == "content_block_start":
            block = blocks[frame["index"]] = dict(frame["content_block"])
            if block["type"] == "fallback":  # another model goes on from here
                message["model"] = (block.get("to") or {}).get("model", message["model"])
        elif kind == "content_block_delta":
            index = frame["index"]
            _add_anthropic_delta(blocks[index], partial_json, index, frame["delta"])
        elif kind == "message_delta":
            message |= {name: value for name, value in frame["delta"].items() if value is not None}
            counted = frame.get("usage") or {}
            usage = {name: value for name, value in counted.items() if value is not None}
            message["usage"] = (message.get("usage") or {}) | usage
    if not message.get("stop_reason"):
        return Expected(error="StreamTruncatedError", answer=answer())
    return Expected(answer=answer(), frames=frames, blocks=_plain_blocks(list(blocks.values())))


def _add_anthropic_delta(
    block: dict[str, Any], partial_json: dict[int, str], index: int, delta: dict[str, Any]
) -> None:
    match delta["type"]:
        case "input_json_delta":
            if partial := partial_json.get(index, "") + delta["partial_json"]:
                partial_json[index] = partial
        case "citations_delta":
            block["citations"] = [*(block.get("citations") or []), delta["citation"]]
        case "text_delta" | "thinking_delta" | "signature_delta" | "compaction_delta":
            for name, value in delta.items():
                if name != "type" and value is not None:
                    before = block.get(name)
                    grows = isinstance(before, str) and isinstance(value, str)
                    block[name] = before + value if grows else value
