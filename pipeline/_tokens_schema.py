"""How OpenAI writes tools and answer schemas into the prompt, so that they can be counted.

OpenAI renders functions as TypeScript declarations in a namespace (published with gpt-oss as the
harmony format). The details here are those that reproduce recorded `prompt_tokens`: which comments
are written, and when an object stands on one line.
"""

from __future__ import annotations

import json
from typing import Any

# Written as comments, in recordings at least `minimum`, `maximum` and `format`.
_LIMITS = (
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "format",
    "pattern", "minLength", "maxLength", "minItems", "maxItems",
)  # fmt: skip
# Nested deeper than any real schema; a reference that contains itself stops there.
_DEEPEST = 12


def functions(tools: list[dict[str, Any]]) -> str:
    """The declarations of all tools, as one namespace."""
    lines = ["namespace functions {", ""]
    for tool in tools:
        lines += _comment(tool.get("description"))
        lines += [_declaration(tool.get("name") or "", tool.get("parameters") or {}), ""]
    return "\n".join([*lines, "} // namespace functions"])


def _declaration(name: str, schema: dict[str, Any]) -> str:
    if not _properties(schema):
        return f"type {name} = () => any;"
    # A title stands before the object, which begins on the next line then.
    title = "".join(f"\n{line}\n" for line in _comment(schema.get("title"))) or " "
    return f"type {name} = (_:{title}{_object(schema, _definitions(schema), 0)}) => any;"


def answer_schema(given: dict[str, Any]) -> str:
    """The schema of a structured answer, as JSON without what strictness implies anyway."""
    head = f"## {given.get('name') or ''}\n\n"
    described = "".join(line + "\n" for line in _comment(given.get("description")))
    body = json.dumps(
        _bare(given.get("schema"), 0), separators=(",", ":"), ensure_ascii=False, default=str
    )
    return head + described + body


def _bare(schema: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        return None
    if isinstance(schema, list):
        return [_bare(each, depth + 1) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {}
    for key, value in schema.items():
        if key in ("properties", "$defs") and isinstance(value, dict):
            kept[key] = {name: _bare(each, depth + 1) for name, each in value.items()}
        elif key not in ("required", "additionalProperties", "minimum", "maximum"):
            kept[key] = _bare(value, depth + 1)
    return kept


def _properties(schema: dict[str, Any]) -> dict[str, Any]:
    found = schema.get("properties")
    return found if isinstance(found, dict) else {}


def _definitions(schema: dict[str, Any]) -> dict[str, Any]:
    found = schema.get("$defs") or schema.get("definitions")
    return found if isinstance(found, dict) else {}


def _comment(text: Any) -> list[str]:
    """A description as comment lines: stripped, and without the empty ones."""
    if not isinstance(text, str):
        return []
    return [f"// {line.strip()}" for line in text.split("\n") if line.strip()]


def _object(schema: dict[str, Any], definitions: dict[str, Any], depth: int) -> str:
    """An object type: on one line unless one of its properties carries a comment."""
    required = schema.get("required")
    required = required if isinstance(required, list) else []
    lines: list[str] = []
    fields: list[str] = []
    commented = False
    for name, each in _properties(schema).items():
        declared = _resolve(each, definitions)
        comments = _comment(declared.get("title")) + _comment(declared.get("description"))
        comments += [
            f"// {limit}: {_limit(declared[limit])}" for limit in _LIMITS if limit in declared
        ]
        kind = _type(declared, definitions, depth + 1)
        field = f"{name}{'' if name in required else '?'}: {kind}"
        default = f" // default: {_json(declared['default'])}" if "default" in declared else ""
        commented = commented or bool(comments or default) or "\n" in kind
        lines += [*comments, f"{field},{default}"]
        fields.append(field)
    if commented:
        return "{\n" + "\n".join(lines) + "\n}"
    return "{ " + ", ".join(fields) + " }"


def _resolve(schema: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(schema, dict):
        return {}
    reference = schema.get("$ref")
    if not isinstance(reference, str):
        return schema
    target = definitions.get(reference.rpartition("/")[2])
    return {**target, **schema} if isinstance(target, dict) else schema


def _type(schema: Any, definitions: dict[str, Any], depth: int) -> str:
    schema = _resolve(schema, definitions)
    if depth > _DEEPEST:
        return "any"
    if "const" in schema:
        return _json(schema["const"])
    if isinstance(schema.get("enum"), list):
        return " | ".join(_json(each) for each in schema["enum"])
    for key in ("anyOf", "oneOf"):
        if isinstance(schema.get(key), list):
            return " | ".join(_type(each, definitions, depth + 1) for each in schema[key])
    kind = schema.get("type")
    if isinstance(kind, list):
        each_kind = ({**schema, "type": each} for each in kind)
        return " | ".join(_type(each, definitions, depth + 1) for each in each_kind)
    if kind in ("integer", "number"):
        return "number"
    if kind == "array":
        return f"{_type(schema.get('items'), definitions, depth + 1)}[]"
    if _properties(schema):
        return _object(schema, definitions, depth)
    return kind if kind in ("string", "boolean", "null", "object") else "any"


def _limit(value: Any) -> str:
    return _json(float(value)) if type(value) is int else str(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
