"""Bodies that are read whole, and what to say of one that is not what was due."""

from __future__ import annotations

import re
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec

from scallion.exceptions import MalformedResponseError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LONGEST_ERROR = 2**20
"""Bytes that are read of an error's body."""

_BODY_SHOWN = 2000
_MESSAGE_SHOWN = 200
_UNSEEN = re.compile(r"(?is)<(script|style)\b.*?</\1>|<!--.*?-->|<[^>]*>")
_EVENTS = (b"data:", b"event:", b"id:", b"retry:", b":")
_BOM = b"\xef\xbb\xbf"


async def read_whole(http: Any, limit: int) -> bytes:
    """The whole body of a response, which is closed then.

    Raises:
        MalformedResponseError: it is larger than `limit` bytes.
    """
    pieces, size = [], 0
    try:
        async with aclosing(http.aiter_bytes()) as body:
            async for piece in body:
                size += len(piece)
                if size > limit:
                    raise too_large(limit)
                pieces.append(piece)
    finally:
        await http.aclose()
    return b"".join(pieces)


def errors_cut_short() -> dict[str, list[Any]]:
    """Hooks for an HTTP client of the SDKs, which read an error's body to its end, if it has one."""
    from httpx2 import AsyncByteStream

    class Cut(AsyncByteStream):
        def __init__(self, whole: Any) -> None:
            self._whole = whole

        async def __aiter__(self) -> AsyncIterator[bytes]:
            left = LONGEST_ERROR
            async for piece in self._whole:
                yield piece[:left]
                left -= len(piece)
                if left <= 0:
                    return

        async def aclose(self) -> None:
            await self._whole.aclose()

    async def cut(response: Any) -> None:
        if response.status_code >= 400:
            response.stream = Cut(response.stream)

    return {"response": [cut]}


def repaired(data: bytes) -> bytes | None:
    """JSON with a flaw that most readers bear, as JSON without; `None` if it is none at all.

    Such as a byte order mark, a NaN (read as null), or half of a surrogate pair (read as U+FFFD),
    which servers write that cut texts by UTF-16 units. It must not cost a whole answer.
    """
    import json

    try:
        value = json.loads(data.decode("utf-8-sig"), parse_constant=lambda _: None)
        text = json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return None
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def decoded(data: bytes) -> tuple[bytes, Any]:
    """What JSON says, and the JSON itself, which is `repaired` where it has to be.

    Raises:
        ValueError: it is none.
    """
    try:
        return data, msgspec.json.decode(data)
    except ValueError:
        whole = repaired(data)
        if whole is None:
            raise
        return whole, msgspec.json.decode(whole)


def as_told(data: bytes) -> Any:
    """What `data` says, as JSON if it is that, else as text."""
    try:
        return decoded(data)[1]
    except (ValueError, RecursionError):
        return data.decode("utf-8", "replace")


def too_large(limit: int) -> MalformedResponseError:
    """The error for a body of more than `limit` bytes."""
    return MalformedResponseError(
        f"the answer is larger than {limit:,} bytes: raise max_body_bytes if that is expected",
        retryable=False,
    )


def looks_like_events(content: bytes) -> bool:
    """Whether a body begins as an event stream does."""
    return content.removeprefix(_BOM).lstrip().startswith(_EVENTS)


def what_came(content: bytes, content_type: str) -> str:
    """What a body is, and what it says if it is neither JSON nor events, which hold answers."""
    start = content.lstrip()[:15].lower()
    if not start:
        return "an empty body came"
    if looks_like_events(content):
        return "an event stream came"
    if start.startswith((b"{", b"[")):
        return "something else came"
    html = "html" in content_type or start.startswith((b"<!doctype", b"<html"))
    said = visible(excerpt(content))[:_MESSAGE_SHOWN]
    named = "an HTML page came (is base_url right?)" if html else "something else came"
    return f'{named}, which says "{said}",' if said.isprintable() and said else named


def visible(text: str) -> str:
    """A text in one line; of a page what one sees of it."""
    page = text.lstrip().startswith("<")
    return " ".join((_UNSEEN.sub(" ", text) if page else text).split())


def excerpt(content: bytes) -> str:
    """The beginning of a body as text, for an error's `body`."""
    return content[:_BODY_SHOWN].decode("utf-8", "replace")
