"""The one source of time: every wait and every measurement of a call goes through its clock.

A pipeline takes a clock (`build_pipeline(..., clock=)`) and hands it on in each `Context`, so tests
replace time in one place (`scallion.testing.ManualClock`) and never wait.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class TimerHandle(Protocol):
    """What `Clock.call_at` returns."""

    def cancel(self) -> None: ...


class Clock:
    """Real time: the system's steady clock, and the calendar for time stamps."""

    now = staticmethod(time.monotonic)  # not a method: it is asked for several times a call
    """Seconds that only ever grow; the origin means nothing."""

    def time(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    def call_at(self, when: float, callback: Callable[[], object]) -> TimerHandle:
        """Call back at `when`, in `now()` seconds, in the running event loop."""
        # By the seconds that are left: the loop's own clock may begin elsewhere, as uvloop's does.
        return asyncio.get_running_loop().call_later(when - self.now(), callback)
