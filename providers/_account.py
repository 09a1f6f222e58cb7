"""Whose calls an adapter makes: what tells accounts apart, and does not lead back to a key."""

from __future__ import annotations

import sys
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from scallion._secrets import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

# Where an SDK's client keeps whose calls it makes, and what it adds to them; Azure's has a token.
_WHOSE = (
    "api_key", "auth_token", "credentials", "organization", "project", "workload_identity",
    "_api_key_provider", "_azure_ad_token", "_azure_ad_token_provider", "_custom_headers",
    "default_query",
)  # fmt: skip


def held_by(client: Any) -> list[Any]:
    """What an SDK's client says of its account."""
    return [getattr(client, name, None) for name in _WHOSE]


def fingerprint(account: Sequence[Any], own: str) -> str:
    """A keyed hash of an account, the same in every process.

    Whose key a function gives is not known. One that others would find by its name, as `pickle`
    does, is known by that; any other by `own`, which is one adapter's alone.
    """
    told = repr([part and _comparable(part, own) for part in account])
    return blake2b(told.encode(), key=b"scallion account", digest_size=16).hexdigest()


def _comparable(value: Any, own: str) -> Any:
    """A setting as something whose `repr` is the same in every process, or else has `own` in it."""
    if value is None or isinstance(value, (str, int, float)):
        return plain(value)
    if hasattr(value, "items"):
        return sorted((str(name), _comparable(item, own)) for name, item in value.items())
    named = value if hasattr(value, "__qualname__") else type(value)
    name = f"{named.__module__}.{named.__qualname__}"
    return f"{name} {own}" if callable(value) and not _is_found_by_name(value) else name


def _is_found_by_name(value: Any) -> bool:
    found: Any = sys.modules.get(getattr(value, "__module__", None) or "")
    for name in getattr(value, "__qualname__", "?").split("."):
        found = getattr(found, name, None)
    return found is value
