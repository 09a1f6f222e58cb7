"""Forms in which answers compare, however they came: used on the oracle's side and on Scallion's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def plain(value: Any) -> Any:
    """JSON without nulls, and `None` for what is empty without them."""
    if isinstance(value, dict):
        kept = {name: plain(item) for name, item in value.items()}
        return {name: item for name, item in kept.items() if item is not None} or None
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def text_of(content: Any) -> str:
    """The text of a message's content, be it a string or parts."""
    if isinstance(content, list):
        return "".join(
            part["text"]
            for part in content
            if isinstance(part, dict) and isinstance(part.get("text"), str)
        )
    return content or ""


def merge_details(details: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """OpenRouter's reasoning details with the fragments of one block put together."""
    merged: list[dict[str, Any]] = []
    for detail in details:
        last = merged[-1] if merged else None
        same = last is not None and all(
            last.get(name) == detail.get(name) for name in ("type", "index")
        )
        if last is None or not same or (detail.get("id") and detail["id"] != last.get("id")):
            merged.append(plain(detail) or {})
            continue
        for name, value in (plain(detail) or {}).items():
            grows = name in ("text", "summary", "data") and name in last
            last[name] = last[name] + value if grows else value
    return merged


def merge_logprobs(parts: Iterable[Any]) -> dict[str, list[Any]] | None:
    """Log probabilities as lists, however many chunks they came in."""
    merged: dict[str, list[Any]] = {}
    for part in parts:
        # A bare number is seen, too; there is nothing to put together then.
        for name, values in part.items() if isinstance(part, dict) else ():
            if values:
                merged[name] = merged.get(name, []) + values
    compared: dict[str, list[Any]] | None = plain(merged)
    return compared
