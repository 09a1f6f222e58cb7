"""Any sequence of operations, on each backend and on a model that remembers everything."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from scallion.stores import Balance, Claim, Lease, Reservation, Window
from support.stores import BACKENDS, open_backend, valkey

__all__ = ["valkey"]

pytestmark = pytest.mark.integration

LIMIT = 20
DAY = 86_400
BUDGETS = (
    ("team", None),
    ("team", Window(100)),
    ("team", Window(600, sliding=True)),
    ("tenant", None),
)

budgets = st.sampled_from(BUDGETS)
keys = st.sampled_from(["one", "two"])
amounts = st.integers(0, LIMIT)
lifetimes = st.sampled_from([1, 10, 60, 700])


@dataclass
class Held:
    """A reservation as the model knows it."""

    amounts: dict[tuple[str, Window | None], int]
    expires_at: float
    ended: bool = False


@dataclass
class Model:
    """Everything that ever happened, and what follows from it."""

    held: dict[str, Held] = field(default_factory=dict)
    spent: list[tuple[tuple[str, Window | None], float, int]] = field(default_factory=list)
    values: dict[str, tuple[bytes, float]] = field(default_factory=dict)
    leases: dict[str, tuple[str, float]] = field(default_factory=dict)

    def balance(self, budget: tuple[str, Window | None], now: float) -> Balance:
        reserved = sum(
            held.amounts.get(budget, 0)
            for held in self.held.values()
            if not held.ended and held.expires_at > now
        )
        counted = [
            (at, amount)
            for of, at, amount in self.spent
            if of == budget and amount and forgotten_at(budget[1], at) > now
        ]
        window = budget[1]
        if window is None:
            resets_at = None
        elif window.sliding:
            resets_at = min((forgotten_at(window, at) for at, _ in counted), default=None)
        else:
            resets_at = forgotten_at(window, now)
        return Balance(sum(amount for _, amount in counted), reserved, resets_at)


def forgotten_at(window: Window | None, at: float) -> float:
    if window is None:
        return math.inf
    if not window.sliding:
        return at - at % window.seconds + window.seconds
    slice_ = window.seconds / 60
    return at - at % slice_ + slice_ + window.seconds


class Machine(RuleBasedStateMachine):
    """One backend and the model, told the same."""

    reservations = Bundle("reservations")
    leases = Bundle("leases")

    def __init__(self, backend) -> None:
        super().__init__()
        self.backend = backend
        self.store = backend.store()
        self.runner = asyncio.Runner()
        self.model = Model()

    @property
    def now(self) -> float:
        return self.backend.clock.at

    def ask(self, operation):
        return self.runner.run(operation)

    def teardown(self) -> None:
        self.ask(self.store.aclose())
        self.runner.close()
        self.backend.close()

    @rule(seconds=st.sampled_from([1, 5, 30, 100, 650, DAY, DAY + 60]))
    def time_passes(self, seconds):
        self.backend.pass_time(seconds)

    @rule(key=keys, value=st.binary(max_size=4), ttl=st.none() | lifetimes)
    def set(self, key, value, ttl):
        self.ask(self.store.set(key, value, ttl=ttl))
        self.model.values[key] = (value, math.inf if ttl is None else self.now + ttl)

    @rule(key=keys)
    def delete(self, key):
        self.ask(self.store.delete(key))
        self.model.values.pop(key, None)

    @rule(key=keys)
    def get(self, key):
        assert self.ask(self.store.get(key)) == self.value(key)

    @rule(target=leases, key=keys, ttl=lifetimes, or_value=st.booleans())
    def lease(self, key, ttl, or_value):
        ask = self.store.get_or_lease if or_value else self.store.lease
        found = self.ask(ask(key, ttl=ttl))
        if or_value and self.value(key) is not None:
            assert found == self.value(key)
            return Lease(key, "nobody's")
        if self.model.leases.get(key, ("", 0))[1] > self.now:
            assert found is None
            return Lease(key, "nobody's")
        assert found.key == key
        self.model.leases[key] = (found.token, self.now + ttl)
        return found

    @rule(lease=leases, ttl=lifetimes)
    def renew(self, lease, ttl):
        owned = self.owns(lease)
        assert self.ask(self.store.renew(lease, ttl=ttl)) is owned
        if owned:
            self.model.leases[lease.key] = (lease.token, self.now + ttl)

    @rule(lease=leases)
    def release_lease(self, lease):
        owned = self.owns(lease)
        assert self.ask(self.store.release(lease)) is owned
        if owned:
            del self.model.leases[lease.key]

    @rule(
        target=reservations,
        wanted=st.dictionaries(budgets, amounts, min_size=1, max_size=3),
        ttl=lifetimes,
    )
    def reserve(self, wanted, ttl):
        claims = [Claim(key, amount, LIMIT, window) for (key, window), amount in wanted.items()]
        found = self.ask(self.store.reserve(*claims, ttl=ttl))
        for claim in claims:
            balance = self.model.balance((claim.key, claim.window), self.now)
            if balance.spent + balance.reserved + claim.amount > LIMIT:
                assert found.claim == claim
                assert Balance(found.spent, found.reserved, found.resets_at) == balance
                return Reservation("nobody's", tuple(claims), 0)
        self.model.held[found.id] = Held(wanted, self.now + ttl)
        assert found.expires_at == self.now + ttl
        return found

    @rule(reservation=reservations, actual=st.lists(amounts, min_size=3, max_size=3))
    def settle(self, reservation, actual):
        actual = actual[: len(reservation.claims)]
        known = self.knows(reservation)
        assert self.ask(self.store.settle(reservation, *actual)) is known
        if known:
            self.end(reservation, actual)

    @rule(reservation=reservations)
    def release(self, reservation):
        known = self.knows(reservation)
        assert self.ask(self.store.release(reservation)) is known
        if known:
            self.end(reservation, [0] * len(reservation.claims))

    @invariant()
    def balances_agree(self):
        for key, window in BUDGETS:
            found = self.ask(self.store.balance(key, window=window))
            assert found == self.model.balance((key, window), self.now)

    def value(self, key):
        value, expires_at = self.model.values.get(key, (None, 0))
        return value if expires_at > self.now else None

    def owns(self, lease):
        token, expires_at = self.model.leases.get(lease.key, ("", 0))
        return token == lease.token and expires_at > self.now

    def knows(self, reservation):
        held = self.model.held.get(reservation.id)
        return held is not None and not held.ended and held.expires_at + DAY > self.now

    def end(self, reservation, actual):
        self.model.held[reservation.id].ended = True
        for claim, amount in zip(reservation.claims, actual, strict=True):
            self.model.spent.append(((claim.key, claim.window), self.now, amount))


@pytest.mark.parametrize("name", BACKENDS)
def test_a_store_does_what_a_model_of_it_does(name, tmp_path, valkey):
    run_state_machine_as_test(
        lambda: Machine(open_backend(name, tmp_path, valkey)),
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
