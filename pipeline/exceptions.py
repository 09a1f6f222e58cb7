"""Everything that can go wrong with a call, as one tree.

    LLMClientError
    ├── ProviderError                     the call failed
    │   ├── AuthenticationError           401: the key is missing, wrong or expired
    │   │   └── PermissionDeniedError     402, 403: the key is good, but may not do this
    │   ├── RateLimitError                429: too fast, or the quota is used up
    │   ├── InvalidRequestError           400, 413, 422, or refused by us before sending
    │   │   ├── ContextWindowExceededError    the prompt is too long for the model
    │   │   └── ContentPolicyError            the prompt was blocked by a filter
    │   ├── ModelNotFoundError            404: no such model for this key
    │   ├── TimeoutError                  also a builtin TimeoutError
    │   ├── ConnectionError               also a builtin ConnectionError; nothing was answered
    │   ├── ServerError                   5xx
    │   │   └── OverloadedError           529, or an error of type "overloaded"
    │   ├── MalformedResponseError        an answer that is not what the protocol promises
    │   ├── StreamError                   the stream broke after content; `.partial` is what came
    │   │   ├── StreamTruncatedError          it ended without a finish reason
    │   │   └── StreamInterruptedError        the connection or the provider broke it off
    │   └── AllModelsFailedError          every target of a fallback failed; `.errors`
    ├── PipelineRefusedError              we refused; nothing was sent
    │   ├── BudgetExceededError
    │   ├── CacheMissError
    │   └── UnknownPriceError
    ├── StoreError                        a store failed, or did not answer in time
    └── AuditError                        a call's audit record could not be written

Errors are told apart by HTTP status, error type and error code. Nothing raw from the SDKs, httpx2,
aiohttp, json or msgspec reaches the caller; the original is the `__cause__`.
"""

from __future__ import annotations

import builtins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, TypeVar

    from ._request import Attempt
    from .types import ModelResponse

    E = TypeVar("E", bound=Exception)

__all__ = [
    "AllModelsFailedError",
    "AuditError",
    "AuthenticationError",
    "BudgetExceededError",
    "CacheMissError",
    "ConnectionError",
    "ContentPolicyError",
    "ContextWindowExceededError",
    "InvalidRequestError",
    "LLMClientError",
    "MalformedResponseError",
    "ModelNotFoundError",
    "OverloadedError",
    "PermissionDeniedError",
    "PipelineRefusedError",
    "ProviderError",
    "RateLimitError",
    "ServerError",
    "StoreError",
    "StreamError",
    "StreamInterruptedError",
    "StreamTruncatedError",
    "TimeoutError",
    "UnknownPriceError",
]


class LLMClientError(Exception):
    """The root: catch this to catch everything Scallion raises about a call.

    Attributes:
        attempts: Every call of a provider that was made before this was raised, in order.
    """

    attempts: tuple[Attempt, ...] = ()

    @property
    def message(self) -> str:
        """What happened, without the provider's and the request's particulars."""
        return str(self.args[0]) if self.args else ""

    def __reduce__(self) -> tuple[Any, ...]:
        # Not by the constructor, whose keyword-only arguments pickle knows nothing of. What it sets is
        # the state, and not an argument: an error is in the records of its own attempts.
        return bare, (type(self), self.args), self.__dict__


def bare(cls: type[E], args: tuple[Any, ...]) -> E:
    """An error that no constructor has touched: pickle then gives it its attributes."""
    error = cls.__new__(cls, *args)
    error.args = args
    return error


def asked(provider: str | None, model: str | None) -> str:
    """`provider/model`, also where the model's name has the prefix already."""
    if provider and model and not model.startswith(f"{provider}/"):
        return f"{provider}/{model}"
    return model or provider or ""


class ProviderError(LLMClientError):
    """The call failed, at the provider or on the way.

    Attributes:
        provider: The adapter that was asked (`openai`, `anthropic`, …).
        model: The model that was asked.
        status_code: The HTTP status, or `None` if there was no answer.
        request_id: The provider's id for the request.
        code: The provider's error code, or its error type where it has no code.
        retry_after: Seconds to wait before the next try, if the provider said so.
        retryable: Whether the same request may succeed if sent again.
        body: The error as the provider sent it: decoded JSON, or text.
        partial: What there is of an answer, if anything came.
    """

    _retryable = False
    partial: ModelResponse | None = None

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        model: str | None = None,
        status_code: int | None = None,
        request_id: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        retryable: bool | None = None,
        body: Any = None,
        partial: ModelResponse | None = None,
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.model = model
        self.status_code = status_code
        self.request_id = request_id
        self.code = code
        self.retry_after = retry_after
        self.retryable = self._retryable if retryable is None else retryable
        self.body = body
        self.partial = partial

    def __str__(self) -> str:
        whom = asked(self.provider, self.model)
        particulars = ", ".join(
            f"{name} {value}"
            for name, value in (
                ("status", self.status_code),
                ("code", self.code),
                ("request", self.request_id),
            )
            if value
        )
        text = f"{whom}: {self.message}" if whom else self.message
        return f"{text} ({particulars})" if particulars else text


class AuthenticationError(ProviderError):
    """The key is missing, wrong or expired."""


class PermissionDeniedError(AuthenticationError):
    """The key is good but may not do this: no access, no credit, a region or project limit."""


class RateLimitError(ProviderError):
    """Too many requests or tokens. Not retryable if the account's quota is used up."""

    _retryable = True


class InvalidRequestError(ProviderError):
    """The request is wrong; sending it again cannot help."""


class ContextWindowExceededError(InvalidRequestError):
    """The prompt (with the answer asked for) is longer than the model's context window."""


class ContentPolicyError(InvalidRequestError):
    """A filter blocked the prompt or the whole answer."""


class ModelNotFoundError(ProviderError):
    """There is no such model, or not for this key."""


class TimeoutError(ProviderError, builtins.TimeoutError):
    """The answer, or the next part of it, did not come in time.

    Attributes:
        limit: Which limit it was: `total`, `first_token`, `inter_chunk`, `deadline`, or `None` for
            the HTTP client's own.
        partial: What had arrived of a streamed answer, or `None`.
    """

    _retryable = True

    def __init__(self, message: str, *, limit: str | None = None, **particulars: Any) -> None:
        super().__init__(message, **particulars)
        self.limit = limit


class ConnectionError(ProviderError, builtins.ConnectionError):
    """The provider could not be reached, or hung up before it answered."""

    _retryable = True


class ServerError(ProviderError):
    """The provider failed."""

    _retryable = True


class OverloadedError(ServerError):
    """The provider has too much to do."""


class MalformedResponseError(ProviderError):
    """The answer is not what the protocol promises: not JSON, the wrong kind, no choices.

    Attributes:
        partial: What could be made of it, or `None`.
    """

    _retryable = True


class StreamError(ProviderError):
    """A stream broke.

    Attributes:
        partial: What had arrived, with `finish_reason` None; empty if nothing had.
    """

    _retryable = True
    partial: ModelResponse  # the Response that broke sees to it


class StreamTruncatedError(StreamError):
    """The stream ended without a finish reason: the answer is not whole."""


class StreamInterruptedError(StreamError):
    """The connection broke, or the provider reported an error, after content had arrived."""


class AllModelsFailedError(ProviderError):
    """Every target failed.

    Attributes:
        errors: One error per target, in the order in which they were tried.
    """

    def __init__(self, message: str, *, errors: Sequence[Exception], **particulars: Any) -> None:
        super().__init__(message, **particulars)
        self.errors = list(errors)


class PipelineRefusedError(LLMClientError):
    """A middleware refused the call. Nothing was sent, and retrying cannot help."""


class BudgetExceededError(PipelineRefusedError):
    """The call could cost more than the budget has left.

    Attributes:
        key: Whose budget: the value of `budget(per=)`.
        unit: `usd` or `tokens`; the amounts below are in it.
        limit: What may be spent in all.
        spent: What was spent so far.
        reserved: What calls that are under way may still spend.
        asked: What this call could have cost at worst.
        resets_at: When spending is forgotten, in seconds since the epoch; `None` if never.
    """

    def __init__(
        self,
        message: str,
        *,
        key: str | None = None,
        unit: str = "usd",
        limit: Any = None,
        spent: Any = None,
        reserved: Any = None,
        asked: Any = None,
        resets_at: float | None = None,
    ) -> None:
        super().__init__(message)
        self.key = key
        self.unit = unit
        self.limit = limit
        self.spent = spent
        self.reserved = reserved
        self.asked = asked
        self.resets_at = resets_at


class CacheMissError(PipelineRefusedError):
    """`cache(mode="replay")` has no recording of this request."""


class UnknownPriceError(PipelineRefusedError):
    """A budget in US dollars was set, and the model's price is not known."""


class StoreError(LLMClientError):
    """A store failed or took too long. The operation may or may not have happened."""


class AuditError(LLMClientError):
    """A strict `audit()` could not write a call's record. The call may have been made and billed."""
