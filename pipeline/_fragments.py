"""What the fragments of one field add up to: texts, calls, objects, sound, reasoning."""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from contextlib import suppress
from itertools import chain
from typing import Any

from .types import FunctionCall


def joined_content(pieces: list[str | list[Any]]) -> str | list[Any] | None:
    """One text; or parts, if any came as parts, with the texts between them as parts as well."""
    parts: list[Any] = []
    texts: list[str] = []
    for piece in pieces:
        if isinstance(piece, str):
            texts.append(piece)
        elif piece:
            parts += _text_part(texts)
            texts.clear()
            parts += piece
    if parts:
        return parts + _text_part(texts)
    return "".join(texts) if texts else pieces[0] if pieces else None


def _text_part(texts: list[str]) -> list[Any]:
    text = "".join(texts)
    return [{"type": "text", "text": text}] if text else []


def joined(texts: list[str] | None) -> str | None:
    """Texts in a row; `None` if there were none."""
    return None if texts is None else "".join(texts)


def joined_function(fragments: list[FunctionCall] | None) -> FunctionCall | None:
    """A call: its name is whole in one fragment, its arguments are in all of them."""
    if not fragments:
        return None
    names = [f.name for f in fragments if f.name is not None]
    arguments = [f.arguments for f in fragments if f.arguments is not None]
    return FunctionCall(
        name=next((name for name in names if name), names[0] if names else None),
        arguments="".join(arguments) if arguments else None,
        model_extra=joined_object([f.model_extra for f in fragments if f.model_extra]),
    )


def joined_object(fragments: list[dict[str, Any]] | None) -> dict[str, Any] | None:
    """Merge objects that arrive in parts."""
    if not fragments:
        return None
    values: dict[str, list[Any]] = {}
    for fragment in fragments:
        for name, value in fragment.items():
            values.setdefault(name, []).append(value)
    return {name: joined_value(name, parts) for name, parts in values.items()}


def joined_audio(fragments: list[dict[str, Any]] | None) -> dict[str, Any] | None:
    """Sound that arrives in parts, each in base64 of its own: padding would end it in the middle."""
    audio = joined_object(fragments)
    pieces = [part["data"] for part in fragments or () if isinstance(part.get("data"), str)]
    if audio is not None and any(piece.endswith("=") for piece in pieces[:-1]):
        with suppress(ValueError):
            sound = b"".join(map(a2b_base64, pieces))
            audio["data"] = b2a_base64(sound, newline=False).decode()
    return audio


def joined_value(name: str, parts: list[Any]) -> Any:
    """What a field became: texts grow, lists extend, objects merge; of others the last stands."""
    said = [part for part in parts if part is not None]
    if len(said) <= 1:
        return said[0] if said else None
    kinds = {type(part) for part in said}
    if kinds == {str} and name not in _LABELS:
        return "".join(said)
    if kinds == {list}:
        return list(chain.from_iterable(said))
    return joined_object(said) if kinds == {dict} else said[-1]


_LABELS = frozenset({"id", "type", "format", "signature", "name", "role", "channel"})
"""Texts that name something: sent again they replace, they do not grow."""


def joined_details(batches: list[list[Any]] | None) -> list[Any] | None:
    """OpenRouter's reasoning details: fragments of one block share its type and index."""
    if batches is None:
        return None
    blocks: list[list[Any]] = []
    known: dict[object, list[Any]] = {}
    for batch in batches:
        for position, detail in enumerate(batch):
            if not isinstance(detail, dict):
                blocks.append([detail])
                continue
            index, id = detail.get("index"), detail.get("id")
            key = f"{detail.get('type')} {index}"
            # Without an index, the block that came last goes on. But in one batch, such blocks are
            # different ones: a whole answer has them so.
            block = known.get(key) if index is not None or position == 0 else None
            if block is None or (id and id != block[0].get("id")):
                block = known[key] = []
                blocks.append(block)
            block.append(detail)
    return [joined_object(block) if isinstance(block[0], dict) else block[0] for block in blocks]
