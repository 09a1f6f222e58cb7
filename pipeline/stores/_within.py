"""A limit on the time that a store takes, which is not the time that the event loop stood still.

Whatever blocks the loop (the first import of an SDK takes seconds) holds up the answer of a store as
well. A plain timeout would fire then, although the answer is there already.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable

T = TypeVar("T")

STOOD_STILL = 0.05
"""A timer that fires so late, in seconds, was held up."""

PATIENCE = 10
"""How many times the limit it may take in all, in a loop that is held up again and again."""


async def within(seconds: float, call: Awaitable[T]) -> T:
    """Await `call`.

    Raises:
        TimeoutError: it took longer than `seconds`.
    """
    loop = asyncio.get_running_loop()
    due = loop.time() + seconds
    end = loop.time() + PATIENCE * seconds
    limit = asyncio.timeout(None)
    timer: asyncio.TimerHandle

    def look(due: float) -> None:
        nonlocal timer
        now = loop.time()
        late = now - due
        if late > STOOD_STILL and now < end:
            due = now + min(late, seconds)
            timer = loop.call_at(due, look, due)
        else:
            limit.reschedule(now)

    timer = loop.call_at(due, look, due)
    try:
        async with limit:
            return await call
    finally:
        timer.cancel()
