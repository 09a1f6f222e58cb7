"""The stretch of time over which a limit holds, and the buckets that count it.

Spending is summed in buckets numbered from the Unix epoch. A fixed window is one bucket. A sliding
window is `SLICES` narrower ones and the part of another: a bucket counts until all of it has left
the window, so no stretch of that length ever holds more than the limit, and money comes back at
most one slice (1/60 of the window) late. Without a window there is one bucket, for ever.
"""

from __future__ import annotations

import math

from msgspec import Struct

SLICES = 60


class Window(Struct, frozen=True):
    """A length of time in seconds.

    Attributes:
        seconds: How long. Fixed windows begin at multiples of it since the epoch, so
            `Window(86_400)` is a day in UTC.
        sliding: Whether the window ends now, always, instead of beginning anew at once.
    """

    seconds: float
    sliding: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.seconds < math.inf:
            raise ValueError(f"a window lasts a positive number of seconds, not {self.seconds!r}")

    @property
    def slices(self) -> int:
        """How many full buckets before the current one count."""
        return SLICES if self.sliding else 0

    @property
    def width(self) -> float:
        """The length of a bucket in seconds."""
        return self.seconds / SLICES if self.sliding else float(self.seconds)

    @property
    def tag(self) -> str:
        """A short text that differs for windows whose counts must not mix."""
        return f"{float(self.seconds)!r}{'~' if self.sliding else ''}"


def current_bucket(window: Window | None, now: float) -> int:
    """The number of the bucket in which spending of now is counted."""
    return 0 if window is None else math.floor(now / window.width)


def oldest_bucket(window: Window | None, now: float) -> int:
    """The number of the oldest bucket that still counts."""
    return 0 if window is None else current_bucket(window, now) - window.slices


def resets_at(window: Window | None, now: float, oldest_spent: int | None) -> float | None:
    """When spending is forgotten: all of it in a fixed window, the oldest in a sliding one."""
    if window is None:
        return None
    oldest = oldest_spent if window.sliding else current_bucket(window, now)
    return None if oldest is None else bucket_ends_at(window, oldest)


def bucket_ends_at(window: Window, bucket: int) -> float:
    """When a bucket no longer counts, in seconds since the epoch."""
    return (bucket + window.slices + 1) * window.width
