"""A time of day that is set by hand."""

from __future__ import annotations

from scallion._clock import Clock


class HandClock(Clock):
    """Stands still but for what is added to `at`. It begins a thousand seconds into a day."""

    def __init__(self) -> None:
        self.at = 20_000 * 86_400.0 + 1_000.0

    def time(self) -> float:
        return self.at
