"""What one call wants of the cache: its `cache={…}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta, Struct

from scallion.exceptions import InvalidRequestError

if TYPE_CHECKING:
    from scallion._request import Request


class Wishes(Struct, frozen=True, forbid_unknown_fields=True):
    """What one call wants of the cache: its `cache={…}`.

    Attributes:
        no_cache: Ask anew, and store the answer.
        no_store: Do not store the answer.
        max_age: Take no answer that is older, in seconds.
    """

    no_cache: bool = False
    no_store: bool = False
    max_age: Annotated[float, Meta(ge=0)] | None = None


NO_WISHES: Final = Wishes()


def wishes_of(request: Request) -> tuple[Wishes, Request]:
    """What a call wants of the cache, and the call without that."""
    params = dict(request.params)
    asked = params.pop("cache")
    if not isinstance(asked, Mapping):
        raise InvalidRequestError(
            f'cache= takes a dict like {{"no_cache": True}}, not {type(asked).__name__}'
        )
    try:
        wishes = msgspec.convert(dict(asked), Wishes)
    except msgspec.ValidationError as error:
        known = ", ".join(Wishes.__struct_fields__)
        raise InvalidRequestError(f"cache={asked!r}: {error}. It knows {known}") from None
    return wishes, request.replace(params=params)
