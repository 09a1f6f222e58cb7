"""Content parts as callers write them, checked before anything is sent.

An open file, an iterator or bytes where a part's text belongs would be left out, or sent as base64
that nobody asked for.
"""

from __future__ import annotations

from typing import Any

_FIELDS = {
    "text": ("text", None),
    "refusal": ("refusal", None),
    "image_url": ("image_url", "url"),
    "video_url": ("video_url", "url"),
    "input_audio": ("input_audio", "data"),
}
"""Where the text of each type stands: in the part, or in an object in it."""


def checked_part(part: object) -> dict[str, Any]:
    """`part` as an object whose type is known and whose text is one.

    Raises:
        ValueError: it is not; the text says what it must be.
    """
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if not isinstance(part, dict):
        raise ValueError(f"a content part must be an object, not {type(part).__name__}")
    kind = part.get("type")
    if not isinstance(kind, str):
        raise ValueError("a content part without its type")
    if kind in _FIELDS:
        outer, inner = _FIELDS[kind]
        value = part.get(outer)
        if isinstance(value, dict) and inner is not None:
            value = value.get(inner)
        _check(kind, inner or outer, value)
    elif kind == "file" and isinstance(part.get("file"), dict):
        for name in ("file_data", "file_id", "filename"):
            if part["file"].get(name) is not None:
                _check(kind, name, part["file"][name])
    return part


def _check(kind: str, name: str, value: object) -> None:
    if value is None:
        raise ValueError(f"a part of type {kind!r} without its {name}")
    if not isinstance(value, str):
        raise ValueError(
            f"a part of type {kind!r} whose {name} is of type {type(value).__name__}: "
            "it must be a string"
        )
