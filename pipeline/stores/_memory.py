"""The store in this process's memory."""

from __future__ import annotations

import math
import secrets
import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from cachetools import TLRUCache

from scallion._clock import Clock

from ._accounts import Accounts
from ._base import BaseStore
from ._protocol import Lease, account_name, check_key, check_ttl, check_value

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ._protocol import Balance, Claim, Refusal, Reservation
    from ._window import Window

# Leases of owners that died are looked for when there are so many, or twice as many as lived on.
SWEEP_FROM = 1024


class MemoryStore(BaseStore):
    """Values, budgets and leases of one process, safe over its threads and event loops.

    Nothing here waits, so there is no timeout. It pickles as an empty store: processes that are to
    share need `sqlite` or `redis`.

    Args:
        maxsize: How many values are kept at most; the least recently used goes first.
        max_bytes: How many bytes those values may have together.
        clock: The time of day, for expiry and windows.
    """

    def __init__(
        self,
        maxsize: int = 10_000,
        *,
        max_bytes: int = 256 * 2**20,
        clock: Clock | None = None,
    ) -> None:
        if maxsize < 1 or max_bytes < 1:
            raise ValueError("maxsize and max_bytes are positive")
        super().__init__({"maxsize": maxsize, "max_bytes": max_bytes, "clock": clock})
        self._maxsize = maxsize
        self._max_bytes = max_bytes
        self._time = (clock or Clock()).time
        self._lock = _Lock()
        self._values: TLRUCache[str, tuple[bytes, float]] = TLRUCache(
            max_bytes,
            ttu=lambda _key, item, now: now + item[1],
            timer=self._time,
            getsizeof=lambda item: len(item[0]),
        )
        self._accounts = Accounts()
        self._leases: dict[str, tuple[str, float]] = {}
        self._sweep_from = SWEEP_FROM

    @property
    def url(self) -> str:
        """See `Store.url`."""
        return "memory://"

    async def get(self, key: str) -> bytes | None:
        """See `Store.get`."""
        with self._lock:
            return self._value(key)

    async def set(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        """See `Store.set`. A value above `max_bytes` is not kept."""
        check_value(key, value, ttl)
        with self._lock:
            self._values.pop(key, None)
            if len(value) <= self._max_bytes:
                self._values[key] = (value, math.inf if ttl is None else ttl)
            if len(self._values) > self._maxsize:
                self._values.popitem()

    async def delete(self, key: str) -> None:
        """See `Store.delete`."""
        with self._lock:
            self._values.pop(key, None)

    async def lease(self, key: str, *, ttl: float) -> Lease | None:
        """See `Store.lease`."""
        check_key(key)
        check_ttl(ttl)
        with self._lock:
            return self._take(key, ttl)

    async def get_or_lease(self, key: str, *, ttl: float) -> bytes | Lease | None:
        """See `Store.get_or_lease`."""
        check_key(key)
        check_ttl(ttl)
        with self._lock:
            value = self._value(key)
            return self._take(key, ttl) if value is None else value

    async def renew(self, lease: Lease, *, ttl: float) -> bool:
        """See `Store.renew`."""
        check_ttl(ttl)
        with self._lock:
            owned = self._owns(lease)
            if owned:
                self._leases[lease.key] = (lease.token, self._time() + ttl)
            return owned

    def soon(self, operation: Callable[..., Awaitable[object]], *args: object) -> None:
        """See `Store.soon`: here it is done at once, and its error is raised."""
        self._lock.when_free(partial(_complete, operation, *args))

    def _value(self, key: str) -> bytes | None:
        try:
            return self._values[key][0]
        except KeyError:
            return None

    def _take(self, key: str, ttl: float) -> Lease | None:
        now = self._time()
        if len(self._leases) >= self._sweep_from:
            self._leases = {name: held for name, held in self._leases.items() if held[1] > now}
            self._sweep_from = max(SWEEP_FROM, 2 * len(self._leases))
        held = self._leases.get(key)
        if held is not None and held[1] > now:
            return None
        token = secrets.token_hex(8)
        self._leases[key] = (token, now + ttl)
        return Lease(key, token)

    def _owns(self, lease: Lease) -> bool:
        token, expires_at = self._leases.get(lease.key, ("", 0.0))
        return token == lease.token and expires_at > self._time()

    async def _release_lease(self, lease: Lease) -> bool:
        with self._lock:
            owned = self._owns(lease)
            if owned:
                del self._leases[lease.key]
            return owned

    async def _reserve(
        self, identity: str, claims: tuple[Claim, ...], ttl: float
    ) -> Reservation | Refusal:
        with self._lock:
            return self._accounts.reserve(identity, claims, ttl, self._time())

    async def _settle(self, reservation: Reservation, actual: tuple[int, ...]) -> bool:
        with self._lock:
            return self._accounts.settle(reservation, actual, self._time())

    async def _balance(self, key: str, window: Window | None) -> Balance:
        check_key(key)
        with self._lock:
            return self._accounts.balance(account_name(key, window), window, self._time())


class _Lock:
    """A lock for `with`, and for callbacks that may come while their own thread holds it.

    The garbage collector runs anywhere, also in the midst of an operation, and what it calls back
    may need the store. It must neither wait for its own thread nor see things half done.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Callable[[], None]] = deque()

    def when_free(self, work: Callable[[], None]) -> None:
        """Do `work` now, or when whoever has the lock releases it."""
        self._waiting.append(work)
        if self._lock.acquire(blocking=False):
            self._lock.release()
            self._catch_up()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *exc_info: object) -> None:
        self._lock.release()
        if self._waiting:
            self._catch_up()

    def _catch_up(self) -> None:
        while self._waiting:
            try:
                work = self._waiting.popleft()
            except IndexError:
                return  # another thread did it
            work()


def _complete(operation: Callable[..., Awaitable[object]], *args: object) -> None:
    steps = operation(*args).__await__()
    try:
        next(steps)
    except StopIteration:
        return
    steps.close()
    raise TypeError(f"{operation!r} waits for something other than the store")
