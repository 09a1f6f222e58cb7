"""`responses` and `aresponses`, which refuse."""

from __future__ import annotations

from typing import Any, NoReturn

from .._state import unsupported

_WAY = "use completion(), or the SDK's client.responses.create()"


def responses(*args: Any, **kwargs: Any) -> NoReturn:
    """Not supported."""
    del args, kwargs
    raise unsupported("responses()", _WAY)


async def aresponses(*args: Any, **kwargs: Any) -> NoReturn:
    """Not supported."""
    del args, kwargs
    raise unsupported("aresponses()", _WAY)
