"""Answers that are made up: `mock_response=`, `mock_tool_calls=` and `mock_timeout=`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import exceptions
from ._errors import shown
from .types.utils import (
    Choices,
    Delta,
    Message,
    ModelResponse,
    ModelResponseStream,
    StreamingChoices,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

# litellm's numbers for answers that nobody counted.
_PROMPT_TOKENS = 10
_COMPLETION_TOKENS = 20
_PIECE = 3
"""Characters of a streamed mock's chunk."""


def wanted(kwargs: dict[str, Any]) -> bool:
    """Whether the call is to be answered without a provider."""
    given = kwargs.get("mock_response"), kwargs.get("mock_tool_calls"), kwargs.get("mock_timeout")
    return any(each is not None and each is not False for each in given)


def answer(
    model: str, provider: str, kwargs: dict[str, Any], *, prompt_tokens: int | None = None
) -> ModelResponse:
    """The whole answer.

    Raises:
        Exception: the one that the mock stands for.
    """
    mock = kwargs.get("mock_response")
    if kwargs.get("mock_timeout"):
        raise exceptions.Timeout("This is a mock timeout error", model, provider)
    raise_if_named(mock, model, provider)
    if isinstance(mock, ModelResponse):
        return mock
    if isinstance(mock, dict):
        return ModelResponse(**mock)
    text = "This is a mock request" if mock is None else mock
    choices = [
        Choices(
            index=index,
            finish_reason="stop",
            message=Message(content=text, tool_calls=kwargs.get("mock_tool_calls")),
        )
        for index in range(kwargs.get("n") or 1)
    ]
    prompt = _PROMPT_TOKENS if prompt_tokens is None else prompt_tokens
    usage = Usage(
        prompt_tokens=prompt,
        completion_tokens=_COMPLETION_TOKENS,
        total_tokens=prompt + _COMPLETION_TOKENS,
    )
    return ModelResponse(model=model, choices=choices, usage=usage)


def chunks(
    model: str, provider: str, kwargs: dict[str, Any], usage: Usage | None
) -> Iterator[ModelResponseStream]:
    """The same answer as a stream; `usage` is for the last chunk, if one was asked for."""
    whole = answer(model, provider, kwargs)
    for choice in whole.choices:
        text = choice.message.content or ""
        pieces = [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)] or [""]
        for position, piece in enumerate(pieces):
            delta = Delta(
                content=piece,
                role=None if position else "assistant",
                provider_specific_fields=None,
            )
            yield _chunk(
                whole,
                model,
                StreamingChoices(index=choice.index, delta=delta),
                citations=None,
                system_fingerprint=None,
            )
        yield _chunk(
            whole,
            model,
            StreamingChoices(
                finish_reason=choice.finish_reason,
                index=choice.index,
                delta=Delta(),
            ),
        )
    if usage is not None:
        yield _chunk(whole, model, StreamingChoices(), usage=usage)


def _chunk(
    whole: ModelResponse, model: str, choice: StreamingChoices, **extra: Any
) -> ModelResponseStream:
    return ModelResponseStream(
        id=whole.id,
        created=whole.created,
        model=model,
        choices=[choice],
        **extra,
    )


def raise_if_named(mock: Any, model: str, provider: str) -> None:
    """Raise what a mock names or is."""
    if isinstance(mock, Exception):
        if isinstance(mock, tuple(exceptions.LITELLM_EXCEPTION_TYPES)):
            raise mock
        raise exceptions.InternalServerError(
            f"InternalServerError: {shown(provider)}Exception - litellm.MockException: {mock}",
            provider,
            model,
        ) from mock
    if mock == "litellm.RateLimitError":
        raise exceptions.RateLimitError("this is a mock rate limit error", provider, model)
    if mock == "litellm.ContextWindowExceededError":
        raise exceptions.ContextWindowExceededError(
            "this is a mock context window exceeded error", model, provider
        )
    if mock == "litellm.InternalServerError":
        raise exceptions.InternalServerError(
            "this is a mock internal server error", provider, model
        )
