"""Sends a recorded request through Scallion's public interface, and describes what comes out.

The descriptions are the oracle's, read off Scallion's objects by their documented attributes.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from conformance.allowances import sent_apart
from conformance.forms import merge_details, merge_logprobs, plain

from scallion import build_pipeline
from scallion.providers import anthropic, openai, openrouter
from support.upstream import Reply, rechunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conformance.exchanges import Exchange

    from scallion import Pipeline
    from scallion.types import Choice, ModelResponse, StreamChunk, Usage
    from support.upstream import Upstream

# At most so many small pieces at either end of a large body: a million pieces of one byte would
# take minutes and find nothing more.
SMALL_PIECES = 800


@dataclass
class Replayed:
    """What a caller of Scallion saw."""

    answer: ModelResponse | None = None
    error: Exception | None = None
    chunks: list[StreamChunk] = field(default_factory=list)


def as_recorded(exchange: Exchange) -> Reply:
    """The response in the pieces in which it arrived, if they are known."""
    sizes, body, pieces, at = exchange.chunk_sizes, exchange.body, [], 0
    for size in sizes if sum(sizes) == len(body) else [len(body)]:
        pieces.append(body[at : at + size])
        at += size
    return Reply(exchange.status, exchange.headers, pieces)


def cut(exchange: Exchange, size: int) -> Reply:
    """The response in pieces of `size` bytes; only its beginning and end, if it is large."""
    body, edge = exchange.body, SMALL_PIECES * size
    pieces = rechunk(body, size)
    if len(body) > 2 * edge:
        middle = rechunk(body[edge:-edge], 997)
        pieces = [*rechunk(body[:edge], size), *middle, *rechunk(body[-edge:], size)]
    return Reply(exchange.status, exchange.headers, pieces)


@asynccontextmanager
async def scallion(exchange: Exchange, upstream: Upstream) -> AsyncIterator[Pipeline]:
    """A pipeline without layers around the adapter that the exchange is for."""
    if exchange.provider == "anthropic":
        provider = anthropic(api_key="sk-test", base_url=upstream.url)
    elif exchange.provider == "openrouter":
        provider = openrouter(api_key="sk-test", base_url=upstream.url + "/api/v1")
    else:  # Azure's shape is OpenAI's
        provider = openai(api_key="sk-test", base_url=upstream.url + "/v1")
    async with build_pipeline([], provider=provider) as pipeline:
        yield pipeline


async def replay(llm: Pipeline, exchange: Exchange) -> Replayed:
    """Send the request of `exchange`, and read the answer to its end."""
    messages, params = asked(exchange)
    seen = Replayed()
    try:
        if not exchange.stream:
            seen.answer = await llm.complete(messages, model=exchange.model, **params)
            return seen
        async with llm.stream(messages, model=exchange.model, **params) as stream:
            async for chunk in stream:
                seen.chunks.append(chunk)
        seen.answer = stream.result
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the caller gets
        seen.error = error
    return seen


def asked(exchange: Exchange) -> tuple[Any, dict[str, Any]]:
    """Messages and parameters. Requests in Anthropic's own shape are not what callers write."""
    if exchange.endpoint == "messages" or not exchange.request:
        return "Hi", {}
    params = {
        name: value
        for name, value in exchange.request.items()
        if name not in ("messages", "model", "stream", "stream_options")
    }
    return exchange.request["messages"], sent_apart(params)


# ------------------------------------------------------------------------------- descriptions


def describe(answer: ModelResponse | None, exchange: Exchange) -> dict[str, Any] | None:
    """The answer in the oracle's form."""
    if answer is None:
        return None
    if exchange.endpoint == "messages":
        return _describe_message(answer)
    return {
        "id": answer.id or None,
        "model": answer.model or None,
        "choices": [_describe_choice(choice) for choice in answer.choices],
        "usage": plain(answer.usage.to_dict()) if answer.usage else None,
        "service_tier": answer.service_tier,
        "system_fingerprint": answer.system_fingerprint or None,
        "upstream_provider": answer.upstream_provider,
    }


def _describe_choice(choice: Choice) -> dict[str, Any]:
    message = choice.message
    function = message.function_call
    return {
        "index": choice.index,
        "text": message.text,
        "reasoning": message.reasoning or message.reasoning_content or "",
        "refusal": message.refusal or "",
        "tool_calls": _calls(choice),
        "function_call": [function.name, function.arguments] if function else None,
        "finish_reason": choice.finish_reason,
        "native_finish_reason": choice.native_finish_reason,
        "annotations": plain(message.annotations or []),
        "audio": plain(message.audio),
        "reasoning_details": merge_details(message.reasoning_details or []),
        "logprobs": merge_logprobs([choice.logprobs]),
    }


def _calls(choice: Choice) -> list[list[Any]]:
    found: list[list[Any]] = []
    for call in choice.message.tool_calls or []:
        function = call.function
        name, arguments = (function.name, function.arguments) if function else (None, None)
        found.append([call.id, name, arguments or ""])
    return found


def _describe_message(answer: ModelResponse) -> dict[str, Any]:
    choice = answer.choices[0] if answer.choices else None
    calls = _calls(choice) if choice else []
    return {
        "id": answer.id,
        "model": answer.model,
        "text": answer.text,
        "reasoning": answer.reasoning or "",
        # JSON text here and an object there: the spelling of the numbers and the spaces is free.
        "tool_calls": [[call_id, name, _parsed(arguments)] for call_id, name, arguments in calls],
        "finish_reason": answer.finish_reason,
        "native_finish_reason": choice.native_finish_reason if choice else None,
        "usage": _describe_anthropic_usage(answer.usage),
        "citations": [_citation(item, answer.text) for item in answer.message.annotations or []],
    }


def _citation(annotation: dict[str, Any], text: str) -> dict[str, Any]:
    kind = annotation["type"]
    fields = dict(annotation[kind])
    cited_by = text[fields.pop("start_index") : fields.pop("end_index")]
    return {"type": kind, "fields": plain(fields), "cited_by": cited_by}


def _parsed(arguments: str) -> Any:
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


def _describe_anthropic_usage(usage: Usage | None) -> dict[str, Any] | None:
    if usage is None:
        return None
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    extra = usage.model_extra or {}
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "cached_tokens": (prompt and prompt.cached_tokens) or 0,
        "cache_write_tokens": (prompt and prompt.cache_write_tokens) or 0,
        "cache_write_1h_tokens": (prompt and prompt.cache_write_1h_tokens) or 0,
        "reasoning_tokens": (completion and completion.reasoning_tokens) or 0,
        "server_tool_use": plain(extra.get("server_tool_use")),
        "iterations": plain(extra.get("iterations")),
        "service_tier": extra.get("service_tier"),
    }
