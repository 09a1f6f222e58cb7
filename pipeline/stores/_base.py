"""What all backends share: checks, pickling by arguments, text form, and work left by callbacks."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any

from ._loops import PerLoop
from ._protocol import Lease, Refusal, Reservation, check_amount, check_ttl
from ._soon import Unfinished

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Self

    from ._protocol import Balance, Claim
    from ._window import Window


class Session:
    """What a store has in one event loop."""

    def __init__(self) -> None:
        self.unfinished = Unfinished()

    async def aclose(self) -> None:
        """Finish what callbacks started."""
        await self.unfinished.finish()


class BaseStore(ABC):
    """A store but for its backend.

    Args:
        arguments: What to build an equal store from, in another process.
        sessions: The backend's part in each event loop.
    """

    def __init__(self, arguments: dict[str, Any], sessions: PerLoop[Any] | None = None) -> None:
        self._arguments = arguments
        self._sessions = sessions or PerLoop(Session, Session.aclose)

    @property
    @abstractmethod
    def url(self) -> str:
        """Which store this is, without credentials."""

    async def reserve(self, *claims: Claim, ttl: float) -> Reservation | Refusal:
        """See `Store.reserve`."""
        check_ttl(ttl)
        if not claims or len({claim.account for claim in claims}) < len(claims):
            raise ValueError("reserve takes one claim or more, each on another key or window")
        found = await self._reserve(secrets.token_hex(8), claims, ttl)
        if isinstance(found, Refusal) and await self._caught_up():
            # What this process had yet to give back may be just what was missing.
            found = await self._reserve(secrets.token_hex(8), claims, ttl)
        return found

    async def settle(self, reservation: Reservation, *actual: int) -> bool:
        """See `Store.settle`."""
        if len(actual) != len(reservation.claims):
            raise ValueError(f"{len(actual)} amounts for {len(reservation.claims)} claims")
        for amount in actual:
            check_amount(amount)
        return await self._settle(reservation, actual)

    async def balance(self, key: str, *, window: Window | None = None) -> Balance:
        """See `Store.balance`."""
        await self._caught_up()
        return await self._balance(key, window)

    async def release(self, held: Reservation | Lease) -> bool:
        """See `Store.release`."""
        if isinstance(held, Lease):
            return await self._release_lease(held)
        return await self._settle(held, (0,) * len(held.claims))

    def soon(self, operation: Callable[..., Awaitable[object]], *args: object) -> None:
        """See `Store.soon`."""
        work = partial(operation, *args)
        try:
            self._start(work)
        except RuntimeError:
            # The garbage collector calls back in any thread, also in one without an event loop.
            loop = self._sessions.any_running_loop()
            if loop is None:
                raise
            loop.call_soon_threadsafe(self._start, work)

    async def aclose(self) -> None:
        """See `Store.aclose`."""
        await self._sessions.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def __reduce__(self) -> tuple[Callable[[], BaseStore], tuple[()]]:
        return partial(type(self), **self._arguments), ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"

    def _start(self, work: Callable[[], Awaitable[object]]) -> None:
        self._sessions.get().unfinished.start(work)

    async def _caught_up(self) -> bool:
        """Wait for what callbacks started in this event loop; whether there was anything."""
        session = self._sessions.peek()
        if session is None or not session.unfinished:
            return False
        await session.unfinished.caught_up()
        return True

    @abstractmethod
    async def _reserve(
        self, identity: str, claims: tuple[Claim, ...], ttl: float
    ) -> Reservation | Refusal:
        """See `Store.reserve`; the claims are checked."""

    @abstractmethod
    async def _settle(self, reservation: Reservation, actual: tuple[int, ...]) -> bool:
        """See `Store.settle`; the amounts are checked."""

    @abstractmethod
    async def _balance(self, key: str, window: Window | None) -> Balance:
        """See `Store.balance`."""

    @abstractmethod
    async def _release_lease(self, lease: Lease) -> bool:
        """See `Store.release`."""
