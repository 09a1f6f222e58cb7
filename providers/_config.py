"""How a provider is reached: what may be set, hidden and checked where it is given."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from scallion._secrets import Secret, hidden, plain, without_credentials
from scallion.exceptions import InvalidRequestError

from ._errors import shown_url
from ._params import check_headers, check_timeout

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_MAX_EVENT_BYTES = 32 * 2**20
DEFAULT_MAX_BODY_BYTES = 256 * 2**20


class ClientConfig(Struct, kw_only=True, frozen=True):
    """How to reach a provider. What is `None` is left to the SDK and its environment variables.

    Attributes:
        api_key: The key, or a function that returns one (where the SDK takes functions).
        base_url: Where the API answers.
        timeout: Seconds for each read and write on the socket. The SDKs' default is 600; use the
            `timeout()` middleware to limit whole calls.
        default_headers: Sent with every request.
        max_event_bytes: The largest single event of a stream that is accepted, in bytes.
        max_body_bytes: The largest whole answer that is accepted, in bytes. Streams may be longer.
        options: Further keyword arguments for the SDK's client (`organization`, `http_client`, …).
    """

    api_key: Any = None
    base_url: str | None = None
    timeout: float | None = None
    default_headers: dict[str, str] | None = None
    max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES
    options: dict[str, Any] = {}

    def __post_init__(self) -> None:
        hide_in = msgspec.structs.force_setattr
        hide_in(self, "api_key", hidden("api_key", self.api_key))
        headers = hidden("headers", self.default_headers)
        hide_in(self, "options", hidden("options", self.options))
        hide_in(self, "base_url", hidden("base_url", self.base_url))
        if isinstance(self.base_url, Secret):
            with suppress(ValueError):  # no URL: whoever uses it says so
                address, credentials = without_credentials(self.base_url)
                hide_in(self, "base_url", hidden("base_url", address))
                if credentials is not None and has_no("authorization", headers):
                    headers = {**dict(headers or {}), "Authorization": credentials}
        hide_in(self, "default_headers", headers)

    def __repr__(self) -> str:
        # Keys also travel in headers and in the SDK's own options: none of them is shown.
        return f"ClientConfig(base_url={shown_url(self.base_url)!r}, timeout={self.timeout!r}, …)"


SETTINGS = frozenset(ClientConfig.__struct_fields__)


class _AddressError(InvalidRequestError, ValueError):
    """`base_url` cannot be one: a mistake in the program, and no call can be sent."""


def check_address(name: str, url: str) -> None:
    """Raise for a `url` that is none of a server; `name` is what it was given as."""
    fault = _fault_of(url)
    if fault is not None:
        raise _AddressError(f"{name} is no URL{fault}")


def _fault_of(url: str) -> str | None:
    # Apart from what raises: tracebacks show locals.
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(plain(url))
        _ = parts.port  # of http://user:pass/word@host this would be "pass"
    except ValueError as error:
        # What it says may be the part with the password.
        return ": is its password percent-encoded?" if "@" in url else f": {error}"
    if parts.scheme in ("http", "https") and parts.hostname:
        return None
    return " of a server: write it like http://localhost:8000/v1, with its http:// or https://"


def check_settings(config: ClientConfig) -> None:
    """Refuse what would only show at the first call.

    Raises:
        TypeError: a setting is of the wrong kind.
        ValueError: `base_url` cannot be one.
    """
    if config.base_url is not None:
        if not isinstance(config.base_url, str):
            raise TypeError(f"base_url must be a text, not {config.base_url!r}")
        check_address("base_url", config.base_url)
    for name in ("max_event_bytes", "max_body_bytes"):
        limit = getattr(config, name)
        if not isinstance(limit, int) or limit < 1:
            raise TypeError(f"{name} must be a whole number above 0, not {limit!r}")
    if config.options.get("max_retries"):
        raise TypeError(
            "max_retries: the SDK does not retry here; put retry(attempts=…) into the pipeline's layers"
        )
    try:
        if config.timeout is not None:
            check_timeout("timeout", config.timeout)
        if config.default_headers is not None:
            check_headers("default_headers", config.default_headers)
    except ValueError as error:
        raise TypeError(str(error)) from None


def has_no(header: str, headers: Mapping[str, Any] | None) -> bool:
    """Whether a header, by its name in small letters, is not among `headers`."""
    return all(str(name).lower() != header for name in headers or ())
