"""How a Response ended, and what the consumer is told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from .exceptions import LLMClientError, StreamInterruptedError

if TYPE_CHECKING:
    from ._request import Attempt, Request
    from .exceptions import ProviderError
    from .types import ModelResponse, Usage


class Outcome(Struct, kw_only=True, eq=False, repr_omit_defaults=True):
    """How a Response ended.

    Attributes:
        status: `completed`: the whole answer came. `failed`: `error` says why. `cancelled`: the
            task that was reading was cancelled. `closed`: somebody closed it before its end.
            `abandoned`: it was dropped unread and unclosed, and the garbage collector found it.
        response: The answer as seen from where the callback was registered; what there was of it
            if it did not complete.
        usage: The provider's count, or `None` if it did not come to that.
        attempts: Every call of a provider that was made for this request so far.
        duration: Seconds since the call began.
        first_token_after: Seconds from there to the first content of a stream.
    """

    status: str
    request: Request
    response: ModelResponse | None = None
    error: BaseException | None = None
    usage: Usage | None = None
    attempts: tuple[Attempt, ...] = ()
    duration: float = 0.0
    first_token_after: float | None = None


def outcome_of(
    request: Request,
    status: str,
    answer: ModelResponse | None,
    error: BaseException | None,
    first_content_at: float | None,
) -> Outcome:
    """The outcome at this moment; the error then knows of all attempts, too."""
    context = request.context
    attempts = tuple(context.attempts)
    if isinstance(error, LLMClientError):
        error.attempts = attempts
    first = first_content_at
    return Outcome(
        status=status,
        request=request,
        response=answer,
        error=error,
        usage=answer.usage if answer is not None else None,
        attempts=attempts,
        duration=context.clock.now() - context.started,
        first_token_after=None if first is None else first - context.started,
    )


def interrupted_by(error: ProviderError, partial: ModelResponse) -> StreamInterruptedError:
    """What an error means to a consumer who has seen content already."""
    interrupted = StreamInterruptedError(
        error.message,
        partial=partial,
        provider=error.provider,
        model=error.model,
        status_code=error.status_code,
        request_id=error.request_id,
        code=error.code,
        retry_after=error.retry_after,
        body=error.body,
    )
    interrupted.__cause__ = error
    return interrupted
