"""Which requests were recorded, and the one that comes nearest to a request that was not."""

from __future__ import annotations

from collections import Counter
from difflib import unified_diff
from typing import TYPE_CHECKING, Any, Final

import msgspec

from scallion.exceptions import CacheMissError

from ._cache_shelf import lists_itself

if TYPE_CHECKING:
    from scallion._clock import Clock

    from ._cache_shelf import Shelf

MOST: Final = 1000
"""How many recorded requests are remembered to compare with. All of them are answered."""

LONGEST_DIFF: Final = 80
"""In lines."""


class Recordings:
    """The names of recorded entries, kept in the store under a name of their own."""

    def __init__(self, shelf: Shelf, name: str) -> None:
        self._shelf = shelf
        self._name = name
        self._own: dict[str, None] = {}

    def note(self, name: str, clock: Clock) -> None:
        """Remember that `name` was recorded."""
        if name in self._own or lists_itself(self._shelf.store):
            return
        self._own[name] = None
        while len(self._own) > MOST:
            del self._own[next(iter(self._own))]
        self._shelf.soon(self._write, clock)

    async def miss(self, asked: dict[str, Any], clock: Clock) -> CacheMissError:
        """The error for a request that was not recorded."""
        wanted = _lines(asked)
        model = f" to {asked['model']}" if "model" in asked else ""
        message = f"no answer is recorded for this request{model}, and replay sends nothing"
        nearest = await self._nearest(wanted, clock)
        if nearest is None:
            return CacheMissError(
                f"{message}. Nothing is recorded in {self._shelf.store.url}: "
                'cache(mode="record") records, and so does pytest --scallion-record=new'
            )
        diff = [*unified_diff(nearest, wanted, "recorded", "asked", n=2, lineterm="")]
        if not diff:
            diff = ["(no difference to be seen: it is in what is secret, in another namespace, or"]
            diff += [" the entry has expired)"]
        if len(diff) > LONGEST_DIFF:
            diff[LONGEST_DIFF:] = [f"… {len(diff) - LONGEST_DIFF} more lines"]
        return CacheMissError(
            "\n".join([f"{message}. The nearest recorded request differs so:", *diff])
        )

    async def _nearest(self, wanted: list[str], clock: Clock) -> list[str] | None:
        best: list[str] | None = None
        most = -1.0
        for name in await self._names():
            entry = await self._shelf.find(name, clock)
            if entry is None or entry.request is None:
                continue
            lines = _lines(entry.request)
            shared = (Counter(lines) & Counter(wanted)).total()
            alike = shared / max(len(lines), len(wanted))
            if alike > most:
                best, most = lines, alike
        return best

    async def _names(self) -> dict[str, None]:
        if lists_itself(self._shelf.store):
            return dict.fromkeys(self._shelf.store.keys())  # type: ignore[attr-defined]
        data = await self._shelf.store.get(self._name)
        try:
            names = msgspec.json.decode(data or b"[]", type=list[str])
        except ValueError:
            names = []
        return dict.fromkeys([*names, *self._own])

    async def _write(self) -> None:
        names = sorted([*await self._names()][-MOST:])
        await self._shelf.store.set(self._name, msgspec.json.encode(names))


def _lines(request: dict[str, Any]) -> list[str]:
    encoded = msgspec.json.encode(request, order="sorted")
    # Without the commas, or a line differs when only the next one is new.
    return [
        line.rstrip(",") for line in msgspec.json.format(encoded, indent=2).decode().split("\n")
    ]
