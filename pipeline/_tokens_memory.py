"""A bounded memory of counts, so that a history that only grows is counted once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

V = TypeVar("V")

# Per generation, of which there are two.
ENTRIES: Final = 8192
CHARACTERS: Final = 16_000_000


class Memory(Generic[V]):
    """Values by key, in two generations: when the young one is full, the old one is forgotten.

    Keys are made of the counted text itself, so a message that was changed in place is counted
    anew. A hit costs one dict lookup, for which an ordered eviction would cost ten.

    Attributes:
        young: What was put or asked for last, to look in first where a call is too dear.
    """

    def __init__(self, entries: int = ENTRIES, characters: int = CHARACTERS) -> None:
        self._most_entries = entries
        self._most_characters = characters
        self.clear()

    def clear(self) -> None:
        self.young: dict[Hashable, V] = {}
        self._old: dict[Hashable, V] = {}
        self._characters = 0

    def get(self, key: Hashable) -> V | None:
        value = self.young.get(key)
        if value is None and (value := self._old.get(key)) is not None:
            self.young[key] = value
        return value

    def put(self, key: Hashable, value: V, characters: int) -> None:
        """Remember `value`. `characters` is how much text the key holds on to."""
        if characters > self._most_characters:
            return
        self._characters += characters
        if len(self.young) >= self._most_entries or self._characters > self._most_characters:
            self._old, self.young = self.young, {}
            self._characters = characters
        self.young[key] = value

    def __len__(self) -> int:
        return len(self.young) + len(self._old)
