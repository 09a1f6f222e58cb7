"""What a store promises, and the values that pass between a store and its users."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Self

    from ._window import Window

# Above this, doubles skip integers, and a Redis script counts in doubles. In billionths of a
# dollar it is nine million dollars.
MAX_AMOUNT = 2**53 - 1

# How long the hold of an owner that was given up is remembered, in seconds. It no longer counts,
# but if its owner was only slow, its spending still does.
LATE = 86_400.0


class Claim(Struct, frozen=True):
    """A wish to hold `amount` of what `key` has left.

    Attributes:
        key: The budget. The same key under another window is another budget.
        amount: In whatever unit the budget is kept, say billionths of a dollar. Never negative.
        limit: What may be spent and held at most, in the same unit.
        window: Over how long; `None` for ever.
    """

    key: str
    amount: int
    limit: int
    window: Window | None = None

    def __post_init__(self) -> None:
        check_key(self.key)
        check_amount(self.amount)
        check_amount(self.limit)

    @property
    def account(self) -> str:
        """The name under which a store counts."""
        return account_name(self.key, self.window)


class Reservation(Struct, frozen=True):
    """Amounts held until `settle` or `release`, or until `expires_at` (seconds since the epoch)."""

    id: str
    claims: tuple[Claim, ...]
    expires_at: float


class Refusal(Struct, frozen=True):
    """Nothing was held, because `claim` does not fit.

    Attributes:
        claim: The first claim that does not fit.
        spent: What is spent in its window.
        reserved: What others hold.
        resets_at: When spending is forgotten (all of it in a fixed window, the oldest in a sliding
            one), in seconds since the epoch; `None` if there is no such time.
    """

    claim: Claim
    spent: int
    reserved: int
    resets_at: float | None


class Balance(Struct, frozen=True):
    """What is spent in the window, what is held, and when spending is forgotten (see `Refusal`)."""

    spent: int
    reserved: int
    resets_at: float | None


class Lease(Struct, frozen=True):
    """The sole right to work on `key`, for whoever has the token, until it expires."""

    key: str
    token: str


@runtime_checkable
class Store(Protocol):
    """Bytes with a time to live, budgets that hold, and leases on work.

    Every method is atomic, for all threads, event loops and processes that share the store, and
    raises `StoreError` if it fails or takes longer than the store's timeout. Cancelling one gives
    back what it took. After `aclose` the next use opens the store again.
    """

    @property
    def url(self) -> str:
        """Which store this is, without credentials."""
        ...

    async def get(self, key: str) -> bytes | None:
        """The value, or `None` if there is none or its time is over."""
        ...

    async def set(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        """Keep `value` for `ttl` seconds; `None`: as long as there is room."""
        ...

    async def delete(self, key: str) -> None:
        """Forget the value, if there is one."""
        ...

    async def reserve(self, *claims: Claim, ttl: float) -> Reservation | Refusal:
        """Hold what every claim asks for, or nothing if one does not fit.

        What is spent and held never exceeds a claim's limit by this. Holds count for `ttl` seconds:
        choose more than the work can take.
        """
        ...

    async def settle(self, reservation: Reservation, *actual: int) -> bool:
        """Replace what was held by what was spent: one amount per claim, more or less than held.

        Spending counts in the window in which it is settled. Only the first settlement counts,
        also after the reservation expired; a day after that it is forgotten.

        Returns:
            Whether this call was the one that counted. If the connection broke on the way and the
            request was sent again, it may be `False` although it was.
        """
        ...

    async def balance(self, key: str, *, window: Window | None = None) -> Balance:
        """What a claim on `key` and `window` would meet."""
        ...

    async def lease(self, key: str, *, ttl: float) -> Lease | None:
        """Take the lease on `key` for `ttl` seconds, or `None` if somebody has it."""
        ...

    async def get_or_lease(self, key: str, *, ttl: float) -> bytes | Lease | None:
        """The value; if there is none, the lease on its key; `None` if somebody has that.

        One step, so the value cannot arrive between the look and the lease.
        """
        ...

    async def renew(self, lease: Lease, *, ttl: float) -> bool:
        """Keep a lease for `ttl` seconds from now; `False` if it expired or was released."""
        ...

    async def release(self, held: Reservation | Lease) -> bool:
        """Give back a reservation unspent, or a lease; `False` if it was no longer held."""
        ...

    def soon(self, operation: Callable[..., Awaitable[object]], *args: object) -> None:
        """Start `operation(*args)` from a synchronous callback, and see that it gets done.

        It runs in the background, and once more if the event loop ends before it did, so it has to
        be one that may run twice, like all methods but `reserve` and the leases'. It must await
        nothing but this store. Its error goes to the event loop's exception handler. In a thread
        without an event loop, one of the loops that use the store does it.

        Raises:
            RuntimeError: there is no such loop (`memory` needs none).
        """
        ...

    async def aclose(self) -> None:
        """Finish what `soon` started, and close connections. Nothing that is stored is lost."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc_info: object) -> None: ...


def account_name(key: str, window: Window | None) -> str:
    """The name under which a store counts what is spent on `key` per `window`."""
    return f"{'' if window is None else window.tag}:{key}"


def check_key(key: str) -> None:
    """Raise `TypeError` or `ValueError` unless `key` is text that every backend can keep."""
    if not isinstance(key, str):
        raise TypeError(f"a key is a str, not {type(key).__name__}")
    if not key or "\0" in key:
        raise ValueError(f"a key is not empty and has no NUL character: {key!r}")
    if not key.isascii():
        key.encode()  # a lone surrogate is a UnicodeEncodeError, which is a ValueError


def check_amount(amount: int) -> None:
    """Raise `TypeError` or `ValueError` unless `amount` can be counted exactly."""
    if not isinstance(amount, int):
        raise TypeError(f"amounts are whole numbers, not {type(amount).__name__}")
    if not 0 <= amount <= MAX_AMOUNT:
        raise ValueError(f"an amount is between 0 and 2**53 - 1, not {amount}")


def check_ttl(ttl: float) -> None:
    """Raise `ValueError` unless `ttl` is a positive, finite number of seconds."""
    if not 0 < ttl < math.inf:
        raise ValueError(f"a time to live is a positive number of seconds, not {ttl!r}")


def check_value(key: str, value: bytes, ttl: float | None) -> None:
    """Raise `TypeError` or `ValueError` unless these can be stored."""
    check_key(key)
    if not isinstance(value, bytes):
        raise TypeError(f"a value is bytes, not {type(value).__name__}")
    if ttl is not None:
        check_ttl(ttl)


def as_store(store: Store | None) -> Store:
    """What a layer keeps its state in: by default a memory of its own.

    Raises:
        TypeError: it is no store.
    """
    if store is None:
        from ._memory import MemoryStore

        return MemoryStore()
    if isinstance(store, type) or not hasattr(store, "url"):
        raise TypeError(
            f"store must be a store, not {store!r}: scallion.stores.sqlite(path) is one"
        )
    return store
