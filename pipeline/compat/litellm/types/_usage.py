"""How many tokens a call took, and of which kinds."""

from __future__ import annotations

from typing import Any

from openai.types.completion_usage import (
    CompletionTokensDetails,
    CompletionUsage,
    PromptTokensDetails,
)
from pydantic import PrivateAttr

from ._access import Access, LiteLLMBaseModel, SafeAttributeModel


class PromptTokensDetailsWrapper(SafeAttributeModel, PromptTokensDetails):
    """What the prompt's tokens were."""

    text_tokens: int | None = None
    image_tokens: int | None = None
    video_tokens: int | None = None
    web_search_requests: int | None = None
    character_count: int | None = None
    image_count: int | None = None
    video_length_seconds: float | None = None
    cache_creation_tokens: int | None = None
    cache_creation_token_details: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        params = kwargs
        written, created = params.get("cache_write_tokens"), params.get("cache_creation_tokens")
        if written is not None or created is not None:
            params["cache_write_tokens"] = written if written is not None else created
            params["cache_creation_tokens"] = created if created is not None else written
        super().__init__(*args, **params)
        self._forget_unset(*_ABSENT_IN_PROMPT_DETAILS)


_ABSENT_IN_PROMPT_DETAILS = (
    "web_search_requests",
    "character_count",
    "image_count",
    "video_length_seconds",
    "cache_write_tokens",
    "cache_creation_tokens",
    "cache_creation_token_details",
)


class CompletionTokensDetailsWrapper(CompletionTokensDetails):
    """What the completion's tokens were."""

    text_tokens: int | None = None
    image_tokens: int | None = None
    video_tokens: int | None = None


class ServerToolUse(LiteLLMBaseModel):
    """How often the provider's own tools were used."""

    web_search_requests: int | None = None
    tool_search_requests: int | None = None
    browser_open_requests: int | None = None


class Usage(Access, SafeAttributeModel, CompletionUsage):
    """Tokens of one call. As OpenAI counts them: cached ones are inside `prompt_tokens`."""

    completion_tokens_details: CompletionTokensDetailsWrapper | None = None
    prompt_tokens_details: PromptTokensDetailsWrapper | None = None
    server_tool_use: ServerToolUse | None = None
    cost: float | None = None

    _cache_creation_input_tokens: int = PrivateAttr(0)
    _cache_read_input_tokens: int = PrivateAttr(0)

    def __init__(
        self,
        prompt_tokens: int | None = None,
        completion_tokens: int | None = None,
        total_tokens: int | None = None,
        reasoning_tokens: int | None = None,
        prompt_tokens_details: PromptTokensDetailsWrapper
        | PromptTokensDetails
        | dict[str, Any]
        | None = None,
        completion_tokens_details: CompletionTokensDetailsWrapper | dict[str, Any] | None = None,
        server_tool_use: ServerToolUse | dict[str, Any] | None = None,
        cost: float | None = None,
        **params: Any,
    ) -> None:
        completion = _details_dict(completion_tokens_details)
        if reasoning_tokens:
            completion = completion or {}
            if completion.get("reasoning_tokens") is None:
                completion["reasoning_tokens"] = reasoning_tokens
            if completion.get("text_tokens") is None and completion_tokens:
                completion["text_tokens"] = completion_tokens - reasoning_tokens
        prompt = _details_dict(prompt_tokens_details)
        created = params.get("cache_creation_input_tokens")
        read = params.get("cache_read_input_tokens")
        hit = params.get("prompt_cache_hit_tokens")
        if created is not None:
            prompt = prompt or {}
            prompt.setdefault("cache_creation_tokens", created)
        if (cached := read if read is not None else hit) is not None:
            prompt = prompt or {}
            if prompt.get("cached_tokens") is None:
                prompt["cached_tokens"] = cached
        if isinstance(server_tool_use, dict):
            server_tool_use = ServerToolUse(**server_tool_use)
        super().__init__(
            prompt_tokens=prompt_tokens or 0,
            completion_tokens=completion_tokens or 0,
            total_tokens=total_tokens or 0,
            completion_tokens_details=None
            if completion is None
            else CompletionTokensDetailsWrapper(**completion),
            prompt_tokens_details=None if prompt is None else PromptTokensDetailsWrapper(**prompt),
            server_tool_use=server_tool_use,
            cost=cost,
            **params,
        )
        self._cache_creation_input_tokens = created or 0
        self._cache_read_input_tokens = cached or 0
        self._forget_unset("server_tool_use", "cost")


def _details_dict(details: Any) -> dict[str, Any] | None:
    if details is None or isinstance(details, dict):
        return None if details is None else dict(details)
    dumped: dict[str, Any] = details.model_dump()
    return dumped
