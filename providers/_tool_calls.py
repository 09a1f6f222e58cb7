"""Tool calls in the forms each provider accepts: ids, and arguments as text or as an object.

Both conversions run over the whole history at every request, so they must give the same result for
the same message each time: a changed id or argument in an old message would spoil prompt caches.
"""

from __future__ import annotations

from typing import Any

import msgspec

_RAW = "raw_arguments"


def hashed_id(original: str) -> str:
    """A stand-in of 37 characters for an id that a provider refuses.

    Letters, digits and `_` only. The same `original` always gives the same id, and two originals
    do not meet (128 bits of SHA-256), so a call and its result still find each other.
    """
    import hashlib

    return f"call_{hashlib.sha256(original.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def arguments_object(arguments: object) -> dict[str, Any]:
    """The JSON object that a tool call's `arguments` stand for.

    Blank text is an empty object. What is not a JSON object (text that was cut off, several
    objects in a row, a bare value) is kept whole under `raw_arguments`: a history must not become
    unusable because a model once wrote bad JSON, and the model can still read what it wrote.
    """
    if isinstance(arguments, dict):
        return arguments
    if arguments is None or (isinstance(arguments, str) and not arguments.strip()):
        return {}
    if isinstance(arguments, str):
        try:
            decoded = msgspec.json.decode(arguments)
        except (ValueError, RecursionError):
            return {_RAW: arguments}
        return decoded if isinstance(decoded, dict) else {_RAW: arguments}
    return {_RAW: arguments}


def arguments_text(arguments: object) -> str:
    """A tool call's input as JSON text, undoing what `arguments_object` did to bad JSON."""
    if isinstance(arguments, str):
        return arguments
    if isinstance(arguments, dict) and len(arguments) == 1:
        raw = arguments.get(_RAW)
        if isinstance(raw, str):
            return raw
    return msgspec.json.encode({} if arguments is None else arguments).decode()
