"""Limits of time: on something awaited once, and on the reads of a stream."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from .exceptions import TimeoutError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from ._clock import Clock
    from ._request import Request


class TimeLimit:
    """Whether a `time_limit` is what ended its body."""

    __slots__ = ("expired",)

    def __init__(self) -> None:
        self.expired = False


@asynccontextmanager
async def time_limit(clock: Clock, when: float) -> AsyncIterator[TimeLimit]:
    """Cancel what is awaited in the body at `when`, and raise the builtin `TimeoutError` then.

    asyncio's own timeout does the delicate part (telling its cancellation from the caller's); the
    injected clock only pulls its trigger. A `TimeoutError` of the body's own passes through, and
    `expired` tells the two apart.
    """
    limit = TimeLimit()
    async with asyncio.timeout(None) as timeout:

        def expire() -> None:
            limit.expired = True
            timeout.reschedule(asyncio.get_running_loop().time())

        timer = clock.call_at(when, expire)
        try:
            yield limit
        finally:
            timer.cancel()


class ReadLimit:
    """How long the reads of one stream may take.

    Attributes:
        waited: Seconds spent waiting for the provider since the last content. What the consumer
            does between two reads is not the provider's time, and is not in it.
        seconds: What was configured, by name.
    """

    __slots__ = ("_total_at", "seconds", "waited")

    def __init__(
        self, *, began: float, total: float | None = None, inter_chunk: float | None = None
    ) -> None:
        self.waited = 0.0
        self.seconds = {"total": total, "inter_chunk": inter_chunk}
        self._total_at = None if total is None else began + total

    def expiries(self, now: float) -> Iterator[tuple[float, str, float | None]]:
        """When a read that begins now must be over, and the limit's name and seconds."""
        if self._total_at is not None:
            yield self._total_at, "total", self.seconds["total"]
        inter_chunk = self.seconds["inter_chunk"]
        if inter_chunk is not None:
            yield now + inter_chunk - self.waited, "inter_chunk", inter_chunk


def expired(name: str, request: Request, seconds: float | None = None) -> TimeoutError:
    """The error for a limit that ran out; `name` is `deadline`, `total`, … as in its `limit`."""
    message = {
        "deadline": "the call's deadline has passed",
        "total": f"the answer was not complete after {seconds} s",
        "first_token": f"no content came within {seconds} s",
        "inter_chunk": f"no further content came for {seconds} s",
    }[name]
    provider = getattr(request.provider, "name", None)
    return TimeoutError(message, limit=name, provider=provider, model=request.model)
