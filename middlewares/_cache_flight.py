"""One call that others wait for, because they ask the same."""

from __future__ import annotations

import asyncio
import builtins
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from scallion._limits import TimeLimit

from ._cache_shelf import LEASE

if TYPE_CHECKING:
    from scallion._clock import Clock, TimerHandle
    from scallion.stores import Lease

    from ._cache_entry import Entry
    from ._cache_shelf import Shelf

PATIENCE: Final = 2
"""How many failures of others a call sits through before it asks for itself.

After the first one, one of those who wait tries for all: most failures do not come twice. If it did,
waiting one for the other would take the last of them as many times as long as there are of them.
"""


class Flight:
    """A call under way in one event loop.

    Attributes:
        lease: What keeps other processes from making the same call, once it is taken.
        timer: When the lease is to be renewed.
        ended: Whether it is over.
        failed: Whether it left nothing, although its caller did not give it up.
        replaces: Whether there is an entry, which was too old for its caller.
    """

    def __init__(self) -> None:
        self.lease: Lease | None = None
        self.timer: TimerHandle | None = None
        self.ended = False
        self.failed = False
        self.replaces = False
        self._entry: Entry | None = None
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()

    async def landed(self, clock: Clock, deadline: float) -> Entry | None:
        """Wait for its end, or the deadline. What it left, if it left anything."""
        with suppress(builtins.TimeoutError), TimeLimit(clock, deadline):
            await self._over.wait()
        return self._entry

    def hold(self, lease: Lease, shelf: Shelf, clock: Clock) -> None:
        """Keep a lease as long as it goes on."""
        self.lease = lease

        def renew() -> None:
            if not self.ended:
                self.timer = clock.call_at(clock.now() + LEASE / 3, renew)
                shelf.renew(lease, clock)

        self.timer = clock.call_at(clock.now() + LEASE / 3, renew)

    def end(self, entry: Entry | None, *, failed: bool = False) -> bool:
        """Tell those who wait. From any thread: the garbage collector ends dropped responses.

        Returns:
            Whether it was not over yet.
        """
        if self.ended:
            return False
        self.ended = True
        self.failed = failed
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
