"""JSON schemas cut down to what Anthropic enforces while it generates.

Strict tools and structured output compile a schema into a grammar, which knows fewer keywords than
JSON Schema has and is refused (a 400) for any other. Which ones it knows is taken from the anthropic
SDK's own schema transformation. A keyword that it does not know is told to the model in the
`description` instead: the model mostly keeps to it, and the request is not lost.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

_FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)
_OUTER = ("title", "description", "$defs", "definitions")
_KEPT = ("$ref", "title", "enum", "const")


def enforceable(schema: Schema) -> Schema:
    """`schema` as Anthropic enforces it. Every object in it is closed (no further keys).

    Raises:
        ValueError: it asks for objects with free keys, which cannot be enforced.
    """
    rest = {key: value for key, value in schema.items() if key != "$schema"}
    kind = rest.get("type")
    if isinstance(kind, list):
        return _either(rest, kind)
    result: Schema = {}
    for key in _KEPT:
        if key in rest:
            result[key] = rest.pop(key)
    for key in ("$defs", "definitions"):
        if isinstance(rest.get(key), dict):
            result[key] = _each(rest.pop(key))
    for key, kept in (("anyOf", "anyOf"), ("oneOf", "anyOf"), ("allOf", "allOf")):
        if isinstance(rest.get(key), list):
            result[kept] = [_inner(variant) for variant in rest.pop(key)]
    if kind is not None:
        del rest["type"]
        if "enum" not in result and "const" not in result:  # the values say their type
            result["type"] = kind
    if kind == "object" or "properties" in rest:
        _close(rest, result)
    if kind == "array":
        if isinstance(rest.get("items"), dict):
            result["items"] = _inner(rest.pop("items"))
        if rest.get("minItems") in (0, 1):
            result["minItems"] = rest.pop("minItems")
    if kind == "string" and rest.get("format") in _FORMATS:
        result["format"] = rest.pop("format")
    _describe(rest, result)
    return result


def _inner(schema: Any) -> Any:
    return enforceable(schema) if isinstance(schema, dict) else schema


def _each(schemas: dict[str, Any]) -> dict[str, Any]:
    return {name: _inner(schema) for name, schema in schemas.items()}


def _either(schema: Schema, kinds: list[Any]) -> Schema:
    """`"type": ["string", "null"]` as `anyOf`, each variant with the keywords it understands."""
    if "enum" in schema or "const" in schema:
        return enforceable({key: value for key, value in schema.items() if key != "type"})
    shared: Schema = {key: schema[key] for key in _OUTER if key in schema}
    own = {key: value for key, value in schema.items() if key not in shared}
    variants = [{"type": "null"} if kind == "null" else {**own, "type": kind} for kind in kinds]
    return enforceable({**shared, "anyOf": variants})


def _close(rest: Schema, result: Schema) -> None:
    free = rest.pop("additionalProperties", None)
    if free is True or isinstance(free, dict):
        raise ValueError(
            "Anthropic enforces no objects with free keys (additionalProperties); list the keys in "
            "properties, or leave strict out"
        )
    result["properties"] = _each(rest.pop("properties", None) or {})
    if isinstance(rest.get("required"), list):
        result["required"] = rest.pop("required")
    result["additionalProperties"] = False


def _describe(rest: Schema, result: Schema) -> None:
    description = rest.pop("description", None)
    parts = [description] if description else []
    if rest:
        told = ", ".join(f"{key}: {value}" for key, value in rest.items())
        parts.append(f"{{{told}}}")
    if parts:
        result["description"] = "\n\n".join(parts)
