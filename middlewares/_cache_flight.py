"""One call that others wait for, because they ask the same."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from scallion._limits import TimeLimit

if TYPE_CHECKING:
    from scallion._clock import Clock, TimerHandle
    from scallion.stores import Lease

    from ._cache_entry import Entry


class Flight:
    """A call under way in one event loop.

    Attributes:
        lease: What keeps other processes from making the same call, once it is taken.
        timer: When the lease is to be renewed.
        ended: Whether it is over.
    """

    def __init__(self) -> None:
        self.lease: Lease | None = None
        self.timer: TimerHandle | None = None
        self.ended = False
        self._entry: Entry | None = None
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()

    async def landed(self, clock: Clock, deadline: float) -> Entry | None:
        """Wait for its end. What it left, or `None` if somebody else has to try.

        Raises:
            builtins.TimeoutError: it was not over by the deadline.
        """
        with TimeLimit(clock, deadline):
            await self._over.wait()
        return self._entry

    def end(self, entry: Entry | None) -> bool:
        """Tell those who wait. From any thread: the garbage collector ends dropped responses.

        Returns:
            Whether it was not over yet.
        """
        if self.ended:
            return False
        self.ended = True
        self._entry = entry
        if self.timer is not None:
            self.timer.cancel()
        if _running_loop() is self._loop:
            self._over.set()
        else:
            with suppress(RuntimeError):  # the loop is closed, and nobody waits in it any more
                self._loop.call_soon_threadsafe(self._over.set)
        return True


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
