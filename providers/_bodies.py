"""Bodies that are read whole, and what to say of one that is not what was due."""

from __future__ import annotations

import re
from contextlib import aclosing
from typing import Any

from scallion.exceptions import MalformedResponseError

_BODY_SHOWN = 2000
_MESSAGE_SHOWN = 200
_UNSEEN = re.compile(r"(?is)<(script|style)\b.*?</\1>|<!--.*?-->|<[^>]*>")
_EVENTS = (b"data:", b"event:", b"id:", b"retry:", b":", b"\xef\xbb\xbf")


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


def too_large(limit: int) -> MalformedResponseError:
    """The error for a body of more than `limit` bytes."""
    return MalformedResponseError(
        f"the answer is larger than {limit:,} bytes: raise max_body_bytes if that is expected",
        retryable=False,
    )


def looks_like_events(content: bytes) -> bool:
    """Whether a body begins as an event stream does."""
    return content.lstrip().startswith(_EVENTS)


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
    said = excerpt(content)
    said = " ".join(_UNSEEN.sub(" ", said).split() if html else said.split())[:_MESSAGE_SHOWN]
    named = "an HTML page came (is base_url right?)" if html else "something else came"
    return f'{named}, which says "{said}",' if said.isprintable() and said else named


def excerpt(content: bytes) -> str:
    """The beginning of a body as text, for an error's `body`."""
    return content[:_BODY_SHOWN].decode("utf-8", "replace")
