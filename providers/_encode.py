"""A request's body as JSON, and which part of it is to blame if it cannot be."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LARGE: Final = 2**20
"""Bytes of a body above which aiohttp warns, unless it comes in pieces."""


class OnePiece:
    """A body as an iterable of pieces, of which there is one."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content


def encode_json(body: dict[str, Any]) -> bytes:
    """Encode a request's body.

    Raises:
        ValueError: a value that JSON cannot say.
    """
    for name, value in body.items():
        if type(value) is float and not math.isfinite(value):
            raise ValueError(f"{name} must be a finite number, not {value}")
    try:
        return msgspec.json.encode(body)
    except (TypeError, UnicodeEncodeError, RecursionError) as error:
        where = _unwritable(body)
        raise ValueError(f"{where} cannot be written as JSON: {error}") from error


def _unwritable(body: dict[str, Any]) -> str:
    """Which part of a body cannot be written as JSON."""
    for name, value in body.items():
        items = value if name in ("messages", "tools") and isinstance(value, list | tuple) else None
        places = (
            {f"{name}[{at}]": item for at, item in enumerate(items)} if items else {name: value}
        )
        for place, item in places.items():
            try:
                msgspec.json.encode(item)
            except (TypeError, UnicodeEncodeError, RecursionError):
                return place
    return "the request"
