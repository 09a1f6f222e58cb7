"""Warnings about what goes on and on, such as a store that is out of reach."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from scallion._clock import Clock

WARN_EVERY: Final = 60.0
"""Seconds."""


class Seldom:
    """A warning (logger `scallion`) that is given once a minute, however often there is cause."""

    def __init__(self, message: str) -> None:
        self._message = message
        self._warned_at = -math.inf

    def __call__(self, clock: Clock, *arguments: object) -> None:
        now = clock.now()
        if now - self._warned_at >= WARN_EVERY:
            self._warned_at = now
            logging.getLogger("scallion").warning(self._message, *arguments)
