"""Texts that nobody is to see: keys, passwords, and what carries them.

A `Secret` is the text itself to whoever uses it, and `***` to whoever shows it.
"""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Mapping
from typing import Any, Final, SupportsIndex

MASK: Final = "***"

_NAMES: Final = re.compile(
    r"(api[_-]?key|authorization|password|secret|token|credentials?|cookie|[_-]key|^key)$"
    r"|^(organization|project|(openai-)?(organization|project))$",
    re.IGNORECASE,
)

_QUERY: Final = re.compile(r"(?<=[?&])([^=&#]+)=([^&#]*)")


class Secret(str):
    """A text that shows itself as `***`. `plain` gives it away.

    It stays in its process: a pickle has a mark in its place.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(MASK)

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __getitem__(self, key: SupportsIndex | slice) -> Secret:
        # Formatters cut what is long, and show what is left.
        return Secret(super().__getitem__(key))

    def __reduce__(self) -> tuple[type[LeftBehind], tuple[()]]:
        return LeftBehind, ()

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self


class LeftBehind(Secret):
    """What a pickle has in place of a secret. Without a text."""

    __slots__ = ()


def plain(value: Any) -> Any:
    """What a secret is, also inside of dicts."""
    if isinstance(value, Secret):
        return str.__str__(value)
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return value


def is_secret(name: str) -> bool:
    """Whether a setting, header or parameter of this name is one that nobody is to see."""
    return _NAMES.search(name) is not None


def hidden(name: str, value: Any) -> Any:
    """`value`, with what its name, or the names in it, say to be secret made a `Secret`."""
    if isinstance(value, Mapping):
        return {key: hidden(str(key), item) for key, item in value.items()}
    if type(value) is not str:
        return value
    if is_secret(name) or (name.endswith("url") and "@" in value):
        return Secret(value)
    return value


def hide(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings or parameters with their secrets hidden: in place, because tracebacks show locals."""
    for name, value in settings.items():
        settings[name] = hidden(name, value)
    return settings


HOLDERS: Final = frozenset({"extra_headers", "extra_query"})


def hide_params(params: dict[str, Any]) -> None:
    """Hide the secrets of a call's parameters in place: keys travel in headers and in the query."""
    for name in HOLDERS:
        if isinstance(params.get(name), Mapping):
            params[name] = hidden(name, params[name])


def without_credentials(url: str) -> tuple[str, str | None]:
    """A URL without user and password, and the `Authorization` header that says the same."""
    from urllib.parse import unquote, urlsplit, urlunsplit

    parts = urlsplit(plain(url))
    userinfo, at, host = parts.netloc.rpartition("@")
    if not at:
        return plain(url), None
    user, _, password = userinfo.partition(":")
    pair = f"{unquote(user)}:{unquote(password)}".encode()
    bare = urlunsplit((parts.scheme, host, parts.path, parts.query, parts.fragment))
    return bare, Secret("Basic " + base64.b64encode(pair).decode())


class QueryFilter(logging.Filter):
    """Masks secret parameters in the URLs that HTTP clients log for every request."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record's arguments; it is always logged."""
        if isinstance(record.args, tuple):
            record.args = tuple(map(without_query_secrets, record.args))
        return True


_query_filter = QueryFilter()


def keep_out_of_logs() -> None:
    """Have the HTTP clients' loggers mask keys in query strings; they log whole URLs."""
    for name in ("httpx2", "httpx"):
        logging.getLogger(name).addFilter(_query_filter)  # once, however often it is added


def without_query_secrets(value: Any) -> Any:
    """The text of an HTTP client's URL with secret parameters masked; anything else as it is."""
    if type(value).__name__ != "URL":
        return value
    text = str(value)
    return _QUERY.sub(lambda part: part[0] if not is_secret(part[1]) else f"{part[1]}={MASK}", text)
