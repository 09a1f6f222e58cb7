"""Budgets in this process's memory: what is spent, what is held, and what was given up."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ._protocol import LATE, Balance, Refusal, Reservation
from ._window import current_bucket, oldest_bucket, resets_at

if TYPE_CHECKING:
    from ._protocol import Claim
    from ._window import Window

# Accounts that time has emptied are looked for once in so many reservations.
SWEEP_EVERY = 1024


class Account:
    """One budget. `held` and `late` are by reservation: amount and expiry, and when to forget."""

    __slots__ = ("held", "late", "next_expiry", "reserved", "spent", "window")

    def __init__(self, window: Window | None) -> None:
        self.window = window
        self.spent: dict[int, int] = {}
        self.held: dict[str, tuple[int, float]] = {}
        self.late: dict[str, float] = {}
        self.reserved = 0
        self.next_expiry = math.inf

    def advance(self, now: float) -> None:
        """Forget what time has ended."""
        oldest = oldest_bucket(self.window, now)
        for bucket in [bucket for bucket in self.spent if bucket < oldest]:
            del self.spent[bucket]
        if now < self.next_expiry:
            return
        for identity in [key for key, (_, expiry) in self.held.items() if expiry <= now]:
            amount, expiry = self.held.pop(identity)
            self.reserved -= amount
            self.late[identity] = expiry + LATE
        for identity in [key for key, forget_at in self.late.items() if forget_at <= now]:
            del self.late[identity]
        self.next_expiry = min(
            min((expiry for _, expiry in self.held.values()), default=math.inf),
            min(self.late.values(), default=math.inf),
        )

    def hold(self, identity: str, amount: int, expires_at: float) -> None:
        """Count `amount` as held."""
        self.held[identity] = (amount, expires_at)
        self.reserved += amount
        self.next_expiry = min(self.next_expiry, expires_at)

    def settle(self, identity: str, actual: int, now: float) -> bool:
        """Count `actual` as spent if the reservation is known."""
        self.advance(now)
        held = self.held.pop(identity, None)
        if held is not None:
            self.reserved -= held[0]
        elif self.late.pop(identity, None) is None:
            return False
        if actual:
            bucket = current_bucket(self.window, now)
            self.spent[bucket] = self.spent.get(bucket, 0) + actual
        return True

    def balance(self, now: float) -> Balance:
        """What counts now."""
        self.advance(now)
        resets = resets_at(self.window, now, min(self.spent, default=None))
        return Balance(sum(self.spent.values()), self.reserved, resets)

    def is_empty(self, now: float) -> bool:
        """Whether forgetting it changes nothing."""
        self.advance(now)
        return not (self.spent or self.held or self.late)


class Accounts:
    """All budgets of a store. Not safe over threads by itself."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._until_sweep = SWEEP_EVERY

    def reserve(
        self, identity: str, claims: tuple[Claim, ...], ttl: float, now: float
    ) -> Reservation | Refusal:
        """See `Store.reserve`."""
        self._sweep(now)
        for claim in claims:
            balance = self.balance(claim.account, claim.window, now)
            if balance.spent + balance.reserved + claim.amount > claim.limit:
                return Refusal(claim, balance.spent, balance.reserved, balance.resets_at)
        for claim in claims:
            if claim.account not in self._accounts:
                self._accounts[claim.account] = Account(claim.window)
            self._accounts[claim.account].hold(identity, claim.amount, now + ttl)
        return Reservation(identity, claims, now + ttl)

    def settle(self, reservation: Reservation, actual: tuple[int, ...], now: float) -> bool:
        """See `Store.settle`."""
        counted = False
        for claim, amount in zip(reservation.claims, actual, strict=True):
            account = self._accounts.get(claim.account)
            if account is not None and account.settle(reservation.id, amount, now):
                counted = True
        return counted

    def balance(self, name: str, window: Window | None, now: float) -> Balance:
        """See `Store.balance`."""
        return self._accounts.get(name, Account(window)).balance(now)

    def _sweep(self, now: float) -> None:
        self._until_sweep -= 1
        if self._until_sweep <= 0:
            self._until_sweep = SWEEP_EVERY
            empty = [name for name, account in self._accounts.items() if account.is_empty(now)]
            for name in empty:
                del self._accounts[name]
