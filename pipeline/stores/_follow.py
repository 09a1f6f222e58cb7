"""Waiting for a value that somebody else is working on."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from scallion._clock import Clock

if TYPE_CHECKING:
    from ._protocol import Lease, Store

FIRST_PAUSE = 0.01
LONGEST_PAUSE = 0.25
GROWTH = 1.5


async def follow(
    store: Store, key: str, *, ttl: float, wait: float, clock: Clock | None = None
) -> bytes | Lease | None:
    """Wait until there is a value, or nobody works on it any more.

    The store is asked again after 10 ms, then less and less often, down to four times a second.

    Args:
        store: Where the value will be.
        key: The value's key, which is also the lease's.
        ttl: How long a lease lasts, if it comes to that, in seconds.
        wait: How long to wait, in seconds.
        clock: What to wait with.

    Returns:
        The value; or the lease, and with it the work, if its owner released it without a value or
        died; or `None` if the time is over.
    """
    clock = clock or Clock()
    deadline = clock.now() + wait
    pause = FIRST_PAUSE
    while True:
        found = await store.get_or_lease(key, ttl=ttl)
        left = deadline - clock.now()
        if found is not None or left <= 0:
            return found
        # Spread, or else all who wait for the same value ask in the same moment.
        await clock.sleep(min(left, pause * random.uniform(0.75, 1.25)))  # noqa: S311
        pause = min(LONGEST_PAUSE, pause * GROWTH)
