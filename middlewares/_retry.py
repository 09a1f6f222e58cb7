"""Try again what may succeed when it is sent again."""

from __future__ import annotations

import random
from math import inf, nan
from typing import TYPE_CHECKING, SupportsFloat

from scallion._layer import layer
from scallion.exceptions import ProviderError

from ._conditions import as_condition

if TYPE_CHECKING:
    from collections.abc import Callable

    from scallion._pipeline import Handler, Middleware
    from scallion._request import Request
    from scallion._response import Response

    from ._retry_budget import RetryBudget

    RetryOn = (
        type[Exception]
        | tuple[type[Exception], ...]
        | Callable[[Exception, int], bool | float | None]
    )


@layer
def retry(
    *,
    attempts: int = 3,
    wait_initial: float = 0.5,
    wait_max: float = 8.0,
    max_retry_after: float = 60.0,
    on: RetryOn | None = None,
    budget: RetryBudget | None = None,
    rng: Callable[[], float] = random.random,
) -> Middleware:
    """Retry calls that failed before any content.

    By default what says of itself that it is `retryable`: connections that failed, timeouts, 408,
    409, 429 (but not a used-up quota), 5xx, overload, streams that broke before any content, and
    whatever `x-should-retry` says. After content nothing is retried: the consumer has seen it.

    Waits grow exponentially with full jitter: a random part of `wait_initial`, then of twice that,
    up to `wait_max` (AWS Architecture Blog, "Exponential Backoff And Jitter"). A provider's
    Retry-After is waited in full, and the jitter on top. The waits stand in the attempts'
    `waited_after`.

    Args:
        attempts: How often to try in all.
        wait_initial: Seconds that the first wait is at most.
        wait_max: Seconds that any wait is at most, Retry-After aside.
        max_retry_after: Seconds beyond which a Retry-After is not waited: the error goes on at
            once, to a fallback or to the caller. It is never shortened.
        on: What to retry instead: exception types, or a predicate of the error and the number of
            the attempt (from 1). The predicate's answer may also be the seconds to wait.
        budget: A limit on extra tries that many calls and pipelines share.
        rng: Returns numbers in [0, 1): the jitter.

    Raises:
        ValueError: a number makes no sense.
    """
    if attempts < 1:
        raise ValueError(f"attempts must be a whole number of at least 1, not {attempts!r}")
    waits = {"wait_initial": wait_initial, "wait_max": wait_max, "max_retry_after": max_retry_after}
    for name, wait in waits.items():
        if not wait >= 0:  # the comparison is also false of NaN
            raise ValueError(f"{name} must be seconds, from 0, and not {wait!r}")
    on = as_condition(on, "on", "error", "attempt")

    async def middleware(request: Request, call_next: Handler) -> Response:
        context = request.context
        clock = context.clock
        if budget is not None and budget not in context.state:
            context.state[budget] = True  # a call pays in once, however many layers share it
            budget.deposit(clock.now())
        attempt = 0
        while True:
            attempt += 1
            known = len(context.attempts)
            try:
                return await call_next(request)
            except Exception as error:
                if attempt >= attempts:
                    raise
                wait = wait_before_retry(
                    error,
                    attempt,
                    wait_initial=wait_initial,
                    wait_max=wait_max,
                    max_retry_after=max_retry_after,
                    on=on,
                    draw=rng(),
                )
                if wait is None:
                    raise
                now = clock.now()
                if context.deadline is not None and now + wait >= context.deadline:
                    raise
                if budget is not None and not budget.withdraw(now):
                    raise
                if len(context.attempts) > known:  # not if it failed before anybody was asked
                    context.attempts[-1].waited_after = wait
            await clock.sleep(wait)

    return middleware


def wait_before_retry(
    error: Exception,
    attempt: int,
    *,
    wait_initial: float,
    wait_max: float,
    max_retry_after: float,
    on: RetryOn | None = None,
    draw: float = 1.0,
) -> float | None:
    """Seconds to wait before the next try, or `None` if there should be none.

    Args:
        attempt: The number of the attempt that failed, from 1.
        draw: A random number in [0, 1) that decides the jitter.
    """
    verdict = _wanted(error, attempt, on)
    if verdict is False or verdict is None:  # None: a predicate that says nothing says no
        return None
    if verdict is not True:
        wait = float(verdict) if isinstance(verdict, SupportsFloat) else nan
        if not 0 <= wait < inf:  # NaN and infinity would hang the call for ever
            raise ValueError(f"retry(on=) must return seconds or whether to retry, not {verdict!r}")
        return wait
    # The exponent is bounded because 2.0 ** 1024 is an error.
    jitter = draw * min(wait_max, wait_initial * 2.0 ** min(attempt - 1, 60))
    retry_after = error.retry_after if isinstance(error, ProviderError) else None
    if retry_after is None:
        return jitter
    return max(retry_after, 0.0) + jitter if retry_after <= max_retry_after else None


def _wanted(error: Exception, attempt: int, on: RetryOn | None) -> bool | float | None:
    if on is None:
        return isinstance(error, ProviderError) and error.retryable
    if isinstance(on, (type, tuple)):
        return isinstance(error, on)
    return on(error, attempt)
