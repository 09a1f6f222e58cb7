"""The most that a request can use: what a budget reserves before it lets it pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scallion.exceptions import UnknownPriceError
from scallion.types import CompletionTokensDetails, PromptTokensDetails, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scallion._request import Request

OUTPUT_LIMITS = ("max_completion_tokens", "max_tokens")


def worst_case(request: Request, *, max_output_tokens: int | None = None) -> Usage:
    """The most that a request can use.

    Raises:
        UnknownPriceError: nobody knows how much the model can generate.
    """
    from scallion._models import model_info
    from scallion.tokens import estimate

    prompt = estimate(request, provider=provider_of(request)).upper
    limit = _output_limit(request.params) or max_output_tokens
    if limit is None:
        info = model_info(request.model or "")
        limit = None if info is None else info.max_output_tokens
    if limit is None:
        raise UnknownPriceError(
            f"nobody knows how much {request.model} can generate, so a budget cannot hold for it: "
            "pass max_tokens to the call or budget(max_output_tokens=…)"
        )
    completion = limit * max(int(request.params.get("n") or 1), 1)
    params = request.params
    # What is written to the cache mostly costs more than what is not, and so do sound and images.
    written = prompt if _writes_cache(request) else 0
    heard = prompt if _has(request, "input_audio") else 0
    seen = prompt if _has(request, "image_url", "image") else 0
    said = completion if "audio" in (params.get("modalities") or ()) else 0
    drawn = completion if "image" in (params.get("modalities") or ()) else 0
    dearer = {name: params[name] for name in ("speed", "inference_geo") if params.get(name)}
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        prompt_tokens_details=PromptTokensDetails(
            cache_write_tokens=written,
            cache_write_1h_tokens=written,
            audio_tokens=heard,
            image_tokens=seen,
        ),
        completion_tokens_details=CompletionTokensDetails(audio_tokens=said, image_tokens=drawn),
        model_extra=dearer or None,
    )


def provider_of(request: Request) -> str | None:
    """The name of the adapter that will send it; a handler of the caller's own has none."""
    return getattr(request.provider, "name", None)


def as_sent(request: Request) -> Request:
    """The request with what `extra_body` puts in the place of its parameters."""
    extra = request.params.get("extra_body")
    if not isinstance(extra, dict):
        return request
    params = {name: value for name, value in request.params.items() if name != "extra_body"}
    return request.replace(
        model=extra.get("model", request.model),
        messages=extra.get("messages", request.messages),
        params={**params, **extra},
    )


def stand_ins(params: Mapping[str, Any]) -> list[str]:
    """The models that OpenRouter may ask instead, at their own prices."""
    models = params.get("models")
    return [each for each in models if isinstance(each, str)] if isinstance(models, list) else []


def _output_limit(params: Mapping[str, Any]) -> int | None:
    # Servers differ in which of the two they go by.
    given = [params[name] for name in OUTPUT_LIMITS if params.get(name) is not None]
    if not given:
        return None
    limit = max(map(int, given))
    if limit <= 0:
        raise ValueError(f"max_tokens is {limit}: it must be above 0")
    thinking = params.get("thinking")
    # The Anthropic adapter adds a thinking budget that does not fit inside.
    extra = thinking.get("budget_tokens", 0) if isinstance(thinking, dict) else 0
    return limit + (int(extra) if extra >= limit else 0)


def _writes_cache(request: Request) -> bool:
    # Claude's cache is written where a mark says so; others write by themselves (GPT-5.6 and
    # later: `prompt_cache_options` in OpenAI's API), and where they do not, there is no such rate.
    if "claude" not in (request.model or "").lower() or "cache_control" in request.params:
        return True
    contents = [message.get("content") for message in request.messages]
    marked = [request.messages, request.params.get("tools") or ()]
    marked += [content for content in contents if isinstance(content, list)]
    return any("cache_control" in part for parts in marked for part in parts)


def _has(request: Request, *kinds: str) -> bool:
    """Whether a message has a part of one of these types."""
    contents = [message.get("content") for message in request.messages]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    return any(isinstance(part, dict) and part.get("type") in kinds for part in parts)
