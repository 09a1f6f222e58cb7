"""One model, and others to fall back to: the whole policy in one object that counts what happens.

    router = ModelRouter("gpt-4o", fallback_models=["claude-sonnet-4-5"])
    answer = await router.complete("Why is the sky blue?")

For any other policy, build a pipeline of your own: this is one, with two layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scallion._pipeline import build_pipeline
from scallion.exceptions import ProviderError
from scallion.middlewares import fallback, retry
from scallion.providers._choose import AutoProvider

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Self

    from scallion._clock import Clock
    from scallion._outcome import Outcome
    from scallion._pipeline import Handler
    from scallion._request import Request
    from scallion._response import Response
    from scallion._response_stream import ResponseStream
    from scallion.types import Message, ModelResponse

__all__ = ["ModelRouter"]

_MAX_RETRY_AFTER = 60.0
"""Seconds beyond which a provider's Retry-After is not waited: the next model is asked instead."""


class ModelRouter:
    """Asks the primary model, again if that may help, and then each fallback in turn.

    A stream falls back too, as long as no content has come.

    Args:
        primary_model: The model that is asked first.
        fallback_models: Those to ask, in this order, when the one before could not answer.
        max_retries_per_model: How often each is asked again after a failure that may pass.
        retry_delay: Seconds before the first retry; each further one waits twice as long. A
            provider's Retry-After is waited if it is longer.
        clock: Where time comes from; tests pass a `scallion.testing.ManualClock`.
        **client_kwargs: Settings of the providers' clients (`api_key`, `base_url`, `timeout`, …).
            Every provider's client gets them all: if the models belong to several providers, leave
            the keys to the environment.

    Attributes:
        stats: What happened so far: `total_calls`, `successful_calls`, `failed_calls`,
            `fallback_uses` (calls that had to go on to another model), `total_retries`.

    Raises:
        ValueError: a number makes no sense.
    """

    def __init__(
        self,
        primary_model: str,
        fallback_models: Sequence[str] | None = None,
        max_retries_per_model: int = 2,
        retry_delay: float = 1.0,
        *,
        clock: Clock | None = None,
        **client_kwargs: Any,
    ) -> None:
        if not retry_delay >= 0:  # also false of NaN
            raise ValueError(f"retry_delay cannot be {retry_delay!r}: pass seconds")
        self.primary_model = primary_model
        self.fallback_models = list(fallback_models or ())
        self.max_retries_per_model = max_retries_per_model
        self.retry_delay = retry_delay
        self.stats = _new_stats()
        self._pipeline = build_pipeline(
            [
                self._count,
                fallback([self.primary_model, *self.fallback_models]),
                retry(attempts=max_retries_per_model + 1, on=self._delay),
            ],
            provider=AutoProvider(**client_kwargs),
            clock=clock,
        )

    async def complete(
        self,
        messages: str | Iterable[Mapping[str, Any] | Message],
        model: str | None = None,
        **params: Any,
    ) -> ModelResponse:
        """Ask, and wait for the whole answer.

        Args:
            messages: As for `Pipeline.complete`.
            model: A model to ask before the primary one.
            **params: OpenAI's chat parameters.

        Raises:
            AllModelsFailedError: none of several models answered; `.errors` says why.
            LLMClientError: the only model that could be asked did not answer.
        """
        return await self._pipeline.complete(messages, model=model, **params)

    def stream(
        self,
        messages: str | Iterable[Mapping[str, Any] | Message],
        model: str | None = None,
        **params: Any,
    ) -> ResponseStream:
        """Ask, and iterate over the chunks of the answer. The arguments are those of `complete`."""
        return self._pipeline.stream(messages, model=model, **params)

    def get_stats(self) -> dict[str, int]:
        """A copy of `stats`."""
        return dict(self.stats)

    def reset_stats(self) -> None:
        """Count from 0 again."""
        self.stats = _new_stats()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._pipeline.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"ModelRouter({self.primary_model!r}, fallback_models={self.fallback_models!r})"

    def _delay(self, error: Exception, attempt: int) -> bool | float:
        if not isinstance(error, ProviderError) or not error.retryable:
            return False
        asked_for = error.retry_after or 0.0
        if asked_for > _MAX_RETRY_AFTER:
            return False
        return max(asked_for, self.retry_delay * 2.0 ** min(attempt - 1, 60))

    async def _count(self, request: Request, call_next: Handler) -> Response:
        self.stats["total_calls"] += 1
        try:
            response = await call_next(request)
        except Exception:
            self.stats["failed_calls"] += 1
            self._count_attempts(request)
            raise
        return response.on_settle(self._settled)

    def _settled(self, outcome: Outcome) -> None:
        # Who breaks off a stream has had what he wanted of it.
        succeeded = outcome.status in ("completed", "closed", "abandoned")
        self.stats["successful_calls" if succeeded else "failed_calls"] += 1
        self._count_attempts(outcome.request)

    def _count_attempts(self, request: Request) -> None:
        attempts = request.context.attempts
        self.stats["total_retries"] += sum(each.waited_after is not None for each in attempts)
        self.stats["fallback_uses"] += len({each.model for each in attempts}) > 1


def _new_stats() -> dict[str, int]:
    return {
        "total_calls": 0,
        "successful_calls": 0,
        "failed_calls": 0,
        "fallback_uses": 0,
        "total_retries": 0,
    }
