"""A limit on retries that many calls share."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from scallion._layer import check_kinds

if TYPE_CHECKING:
    from collections.abc import Callable


class RetryBudget:
    """A token bucket of extra tries, shared by the `retry()` layers that it is given to.

    A count of attempts limits one call. It does not limit what a fleet of callers does to a
    provider that fails: with three attempts each, its load triples at the very moment when it can
    least bear it, and layers multiply that. A budget ties extra tries to the traffic: while few
    calls fail, every one of them may be retried; when most fail, retries are a small share of the
    load, and the calls fail fast instead. (The idea is Finagle's.)

    Safe to share between pipelines, tasks and threads.

    Args:
        ratio: Extra tries that each call pays in. 0.2 allows one for every five calls.
        min_per_second: Extra tries that time pays in, so that little traffic can be retried too.
        burst: Extra tries that are there at the beginning, and the most that can be saved up.
    """

    __slots__ = ("_at", "_balance", "_lock", "burst", "min_per_second", "ratio")

    def __init__(
        self, *, ratio: float = 0.2, min_per_second: float = 1.0, burst: float = 10.0
    ) -> None:
        check_kinds(RetryBudget, locals())
        if not all(number >= 0 for number in (ratio, min_per_second, burst)):  # nor NaN
            raise ValueError("ratio, min_per_second and burst must be numbers, and none negative")
        self.ratio = ratio
        self.min_per_second = min_per_second
        self.burst = burst
        self._balance = float(burst)
        self._at: float | None = None
        self._lock = Lock()

    @property
    def balance(self) -> float:
        """Extra tries that are left, as of the last deposit or withdrawal."""
        return self._balance

    def deposit(self, now: float) -> None:
        """Note a call, at `now` in seconds of any steady clock."""
        with self._lock:
            self._accrue(now)
            self._balance = min(self._balance + self.ratio, self.burst)

    def withdraw(self, now: float) -> bool:
        """Take one extra try, if there is one."""
        with self._lock:
            self._accrue(now)
            # A hair less than one counts as one: tenths do not add up exactly in binary.
            if self._balance < 1 - 1e-9:
                return False
            self._balance -= 1
            return True

    def _accrue(self, now: float) -> None:
        if self._at is not None and now > self._at:
            earned = (now - self._at) * self.min_per_second
            self._balance = min(self._balance + earned, self.burst)
        self._at = now if self._at is None else max(self._at, now)

    def __repr__(self) -> str:
        return (
            f"RetryBudget(ratio={self.ratio}, min_per_second={self.min_per_second}, "
            f"burst={self.burst})"
        )

    def __reduce__(self) -> tuple[Callable[..., RetryBudget], tuple[float, float, float]]:
        return _rebuild, (self.ratio, self.min_per_second, self.burst)


def _rebuild(ratio: float, min_per_second: float, burst: float) -> RetryBudget:
    return RetryBudget(ratio=ratio, min_per_second=min_per_second, burst=burst)
