"""What tests need: a clock that is moved by hand.

clock = ManualClock()
llm = build_pipeline([retry()], provider=..., clock=clock)
call = asyncio.create_task(llm.complete("hi"))
await clock.advance(2.0)
"""

from __future__ import annotations

import asyncio
import heapq
from itertools import count
from typing import TYPE_CHECKING

from ._clock import Clock

if TYPE_CHECKING:
    from collections.abc import Callable

_TURNS = 20
"""Turns that the event loop gets after each timer, for what the timer woke to run its course."""


class ManualClock(Clock):
    """A clock that stands still until it is moved.

    Attributes:
        slept: Every `sleep` that was asked for, in seconds.

    Args:
        auto: Move by itself when something sleeps, so that no sleep ever waits. Timers that come
            due on the way fire.
        start: What `now()` and `time()` begin with, in seconds.
    """

    def __init__(self, *, auto: bool = False, start: float = 1_000_000.0) -> None:
        self.slept: list[float] = []
        self._now = start
        self._auto = auto
        self._timers: list[tuple[float, int, _Timer]] = []
        self._order = count()

    def now(self) -> float:
        """The time the clock was moved to."""
        return self._now

    def time(self) -> float:
        """The same as `now()`."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has been moved on by `seconds`."""
        self.slept.append(seconds)
        woken = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        timer = self.call_at(self._now + seconds, wake)
        try:
            while self._auto and not woken.done():
                await self._settle()
                if not woken.done():
                    self._fire_next()
            await woken
        finally:
            timer.cancel()

    def call_at(self, when: float, callback: Callable[[], object]) -> _Timer:
        """Call back when the clock is moved to `when` or past it."""
        timer = _Timer(callback)
        if when <= self._now:
            asyncio.get_running_loop().call_soon(timer.fire)
            return timer
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    async def advance(self, seconds: float) -> None:
        """Move the clock, fire what comes due in order, and let the event loop act on it."""
        target = self._now + seconds
        await self._settle()
        while self._timers and self._timers[0][0] <= target:
            if self._fire_next():
                await self._settle()
        self._now = max(self._now, target)

    def _fire_next(self) -> bool:
        when, _, timer = heapq.heappop(self._timers)
        if timer.callback is None:
            return False
        self._now = max(self._now, when)
        timer.fire()
        return True

    async def _settle(self) -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)


class _Timer:
    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def fire(self) -> None:
        """Call back, once, unless it was cancelled."""
        callback, self.callback = self.callback, None
        if callback is not None:
            callback()

    def cancel(self) -> None:
        """Do not call back."""
        self.callback = None
