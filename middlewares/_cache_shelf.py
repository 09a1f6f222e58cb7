"""The store as a cache uses it: entries and not bytes, and failures that need not matter."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from scallion.stores import Lease, follow

from ._seldom import Seldom

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from scallion._clock import Clock
    from scallion.stores import Envelope, Store

    from ._cache_entry import Entry

LEASE: Final = 15.0
"""Seconds after which a process that died is taken to have died. Renewed while it works."""

FAILED: Final = b"failed"
"""What stands in the place of an entry for a moment when the call that was to make it failed."""

FAILED_FOR: Final = 1.0
"""Seconds: longer than the longest pause of those who look for an entry."""


class Shelf:
    """Entries by name.

    Attributes:
        failures: How often the store failed.

    Args:
        ttl: Seconds that an entry is kept; `None`: as long as there is room.
        strict: Whether a failure of the store is raised.
    """

    def __init__(
        self, store: Store, sealer: Envelope[Entry], *, ttl: float | None, strict: bool
    ) -> None:
        self.store = store
        self.failures = 0
        self._warn = Seldom("cache(): the store %s failed, and calls go on without it: %s")
        self._sealer = sealer
        self._ttl = ttl
        self._strict = strict
        self._pending: dict[str, bytes] = {}

    async def find(self, name: str, clock: Clock) -> Entry | None:
        """The entry, if there is one that can be read."""
        data = self._pending.get(name)
        if data is None:
            try:
                data = await self.store.get(name)
            except Exception as error:  # noqa: BLE001 - a store of one's own may raise anything
                self.failed(error, clock)
        return None if data is None else self._sealer.open(data)

    async def find_or_lease(self, name: str, clock: Clock, wait: float) -> Entry | Lease | None:
        """The entry, or the right to make it; `None` if somebody else failed, or takes too long."""
        try:
            for _ in range(2):
                found = await follow(self.store, name, ttl=LEASE, wait=wait, clock=clock)
                if not isinstance(found, bytes):
                    return found
                if found == FAILED:
                    return None
                entry = self._sealer.open(found)
                if entry is not None:
                    return entry
                # It would be in the way of the lease.
                await self.store.delete(name)
        except Exception as error:  # noqa: BLE001
            self.failed(error, clock)
        return None

    async def lease(self, name: str, clock: Clock) -> Lease | None:
        """The right to make an entry anew, if nobody has it."""
        try:
            return await self.store.lease(name, ttl=LEASE)
        except Exception as error:  # noqa: BLE001
            self.failed(error, clock)
        return None

    def seal(self, entry: Entry) -> bytes:
        """The bytes of an entry."""
        return self._sealer.seal(entry)

    def finish(
        self,
        name: str,
        data: bytes | None,
        lease: Lease | None,
        clock: Clock,
        *,
        failed: bool = False,
    ) -> None:
        """Store what a call left, if anything, and let others go on then.

        If it has failed, all who wait for its lease are told, and not one after the other.
        """
        if data is not None:
            # Until it is written, it is found here.
            self._pending[name] = data

        async def work() -> None:
            try:
                if data is not None:
                    await self.store.set(name, data, ttl=self._ttl)
                elif failed and lease is not None and not lists_itself(self.store):
                    await self.store.set(name, FAILED, ttl=FAILED_FOR)
            finally:
                if self._pending.get(name) is data:
                    self._pending.pop(name, None)
                if lease is not None:
                    await self.store.release(lease)

        if data is not None or lease is not None:
            try:
                self.store.soon(self._careful, work, clock)
            except Exception as error:  # noqa: BLE001
                self._pending.pop(name, None)  # it will never be written
                self.failed(error, clock)

    def renew(self, lease: Lease, clock: Clock) -> None:
        """Keep a lease that is still needed."""
        self.soon(partial(self.store.renew, lease, ttl=LEASE), clock)

    def soon(self, work: Callable[[], Awaitable[Any]], clock: Clock) -> None:
        """Do `work` on the store from a callback."""
        try:
            self.store.soon(self._careful, work, clock)
        except Exception as error:  # noqa: BLE001
            self.failed(error, clock)

    def failed(self, error: Exception, clock: Clock) -> None:
        """Raise a failure of the store, or say so once a minute."""
        self.failures += 1
        if self._strict:
            raise error
        self._warn(clock, self.store.url, error)

    async def _careful(self, work: Callable[[], Awaitable[Any]], clock: Clock) -> None:
        try:
            await work()
        except Exception as error:
            if self._strict:
                raise
            self.failed(error, clock)


def lists_itself(store: Store | None) -> bool:
    """Whether a store is a cassette, which people read."""
    return hasattr(type(store), "keys")
