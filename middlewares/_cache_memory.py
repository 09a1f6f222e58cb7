"""A bounded memory of what was hashed, so that of a history that only grows the new part is hashed.

What was hashed is kept as a copy of its structure, which shares its texts, and compared with what
comes: Python does that in C, and at once for texts that are the same object. So a message that was
changed in place, however deep inside, is never taken for what it was.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from hashlib import _Hash as Hash

ENTRIES: Final = 512
BYTES: Final = 32 * 2**20
WORTH_REMEMBERING: Final = 1024
"""In bytes. Shorter ones are hashed sooner than looked up."""
LOOK_BACK: Final = 6
"""By how many items a list may have grown since it was remembered."""


class Known(NamedTuple):
    """A list that was hashed, and the state of the hash after it."""

    items: Sequence[Any]
    state: Hash
    size: int


class Digests:
    """States of SHA-256 after lists of objects, each as one line of JSON.

    Safe over threads: what is lost between them is only looked up in vain.
    """

    def __init__(self, entries: int = ENTRIES, max_bytes: int = BYTES) -> None:
        self._most = entries
        self._max_bytes = max_bytes
        self._known: dict[object, Known] = {}
        self._bytes = 0

    def state(self, kind: str, items: Sequence[Any], encode: Callable[[Any], bytes]) -> Hash:
        """The hash of all items, to be gone on with.

        Args:
            kind: Lists of one kind are encoded in the same way.
            items: What to hash.
            encode: The JSON of one item, without line breaks.
        """
        count = len(items)
        same: Sequence[Any] = ()
        size, state = 0, sha256()
        known = self._longest(kind, items)
        if known is not None:
            same, size, state = known.items, known.size, known.state.copy()
        start = len(same)
        if start == count:
            return state
        for item in items[start:]:
            line = encode(item)
            size += len(line)
            state.update(line)
            state.update(b"\n")
        if self._most and size >= WORTH_REMEMBERING:
            self._remember(kind, items, same, state, size)
        return state

    def _longest(self, kind: str, items: Sequence[Any]) -> Known | None:
        if not self._known:
            return None
        count = len(items)
        for length in range(count, max(count - LOOK_BACK, 0), -1):
            known = self._known.get((kind, length, _label(items[length - 1])))
            if known is not None and known.items == items[:length]:
                return known
        return None

    def _remember(
        self, kind: str, items: Sequence[Any], same: Sequence[Any], state: Hash, size: int
    ) -> None:
        try:
            copies = [*same, *(_copy(item) for item in items[len(same) :])]
        except (_CannotCompareError, RecursionError):
            return
        if len(self._known) >= self._most or self._bytes + size > self._max_bytes:
            self._known, self._bytes = {}, 0
        if size <= self._max_bytes:
            self._bytes += size
            label = _label(items[-1])
            # As a list or a tuple, to be compared with its like.
            kept = copies if isinstance(items, list) else tuple(copies)
            self._known[kind, len(items), label] = Known(kept, state.copy(), size)


class _CannotCompareError(Exception):
    """A value that may equal one whose JSON is another."""


class _Exactly:
    """A number in a copy. `1`, `1.0` and `True` are equal, and so are `0.0` and `-0.0`; JSON's not."""

    __slots__ = ("_type", "_value")

    def __init__(self, value: object) -> None:
        self._type = type(value)
        self._value = value

    def __eq__(self, other: object) -> bool:
        return type(other) is self._type and repr(other) == repr(self._value)

    __hash__ = None  # type: ignore[assignment]


def _copy(value: Any) -> Any:
    kind = type(value)
    if kind is str or value is None:
        return value
    if kind is dict:
        if not all(type(name) is str for name in value):
            raise _CannotCompareError
        return {name: _copy(inner) for name, inner in value.items()}
    if kind is list:
        return [_copy(inner) for inner in value]
    if kind in (bool, int, float):
        return _Exactly(value)
    raise _CannotCompareError


def _label(item: Mapping[str, Any]) -> object:
    """What most likely tells this item from others: it only has to be quick, and not to be unique."""
    if type(item) is dict:
        content = item.get("content")
        if type(content) is str:
            return content
        function = item.get("function")
        if type(function) is dict and type(function.get("name")) is str:
            return function["name"]
    return id(item)
