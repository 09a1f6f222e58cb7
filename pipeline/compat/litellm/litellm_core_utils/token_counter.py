"""Tokens by litellm's rules: one formula for every model, in OpenAI's encodings.

Scallion's own counts (`scallion.tokens`) know more: Claude's and other models' ways to count, images
by their size. These are for code that compares with numbers from litellm.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# tiktoken's table, from its version 0.12: litellm looks names up there without their provider.
_O200K = re.compile(r"(ft:)?(gpt-4o|gpt-4\.1|gpt-4\.5-|gpt-5|chatgpt-4o-|o[134](-|$))")

_PER_MESSAGE = 3
_PER_NAME = 1
_PER_ANSWER = 3
_PER_TOOLS = 9
_TOOLS_AFTER_SYSTEM = -4
_NAMED_CHOICE = 7
_IMAGE = 85
_DEFAULT_IMAGE = 250


def encoding_of(model: str) -> str:
    """The encoding that tiktoken lists for a bare name; cl100k for all others, as litellm has it."""
    return "o200k_base" if _O200K.match(model) else "cl100k_base"


def token_counter(
    model: str,
    text: str | list[str] | None = None,
    messages: Sequence[Any] | None = None,
    *,
    count_response_tokens: bool = False,
    tools: Sequence[Mapping[str, Any]] | None = None,
    tool_choice: Any = None,
    use_default_image_token_count: bool = False,
    count: Callable[[str], int] | None = None,
) -> int:
    """Tokens of a text or a conversation.

    Raises:
        ValueError: neither or both were given, or a content part is of no known kind.
    """
    if count is None:
        from scallion._tokens_text import encoder

        count = encoder(encoding_of(model)).count
    if text is not None and messages is not None:
        raise ValueError("text and messages cannot both be set")
    if text is not None:
        return count("".join(text) if isinstance(text, list) else text)
    if messages is None:
        raise ValueError("Either text or messages must be provided")
    image = _DEFAULT_IMAGE if use_default_image_token_count else _IMAGE
    dicts = [_as_dict(message) for message in messages]
    total = sum(_message(message, count, image) for message in dicts)
    if not count_response_tokens:
        total += _PER_ANSWER
    total += _tools(tools, count, after_system=any(m.get("role") == "system" for m in dicts))
    if tool_choice == "none":
        total += 1
    elif isinstance(tool_choice, dict):
        total += _NAMED_CHOICE + count(str(tool_choice["function"]["name"]))
    return total


def _as_dict(message: Any) -> dict[str, Any]:
    if hasattr(message, "model_dump"):
        message = message.model_dump()
    return dict(message)


def _message(message: dict[str, Any], count: Callable[[str], int], image: int) -> int:
    tokens = _PER_MESSAGE
    for key, value in message.items():
        if value is None or key in ("thinking_blocks", "cache_control"):
            continue
        if key == "tool_calls":
            tokens += sum(_call(call, count) for call in value)
        elif key == "function_call":
            tokens += _call({"function": value}, count)
        elif isinstance(value, str):
            tokens += count(value) + (_PER_NAME if key == "name" else 0)
        elif key == "content" and isinstance(value, list):
            tokens += sum(_part(part, count, image) for part in value)
    return tokens


def _call(call: Any, count: Callable[[str], int]) -> int:
    function = _as_dict(_as_dict(call).get("function") or {})
    return count(str(function.get("arguments") or ""))


def _part(part: Any, count: Callable[[str], int], image: int) -> int:
    if isinstance(part, str):
        return count(part)
    kind = part.get("type") if hasattr(part, "get") else None
    if kind == "text":
        return count(part.get("text") or "")
    if kind in ("image_url", "image"):
        return image
    if kind == "tool_use":
        return count(str(part.get("name") or "")) + count(json.dumps(part.get("input") or {}))
    if kind == "tool_result":
        content = part.get("content")
        if isinstance(content, list):
            return sum(_part(each, count, image) for each in content)
        return count(content or "")
    if kind in ("thinking", "redacted_thinking"):
        return count(part.get("thinking") or "")
    if kind in ("document", "file"):
        return 0
    raise ValueError(
        "Error getting number of tokens from content list: Invalid content item type: "
        f"{kind}. Expected str or dict with 'type' field (text, image_url, image, document, file, "
        "tool_use, tool_result, thinking, redacted_thinking)"
    )


# --------------------------------------------------------------------------------- tools as text


def _tools(
    tools: Sequence[Mapping[str, Any]] | None, count: Callable[[str], int], *, after_system: bool
) -> int:
    if not tools:
        return 0
    return count(declarations(tools)) + _PER_TOOLS + (_TOOLS_AFTER_SYSTEM if after_system else 0)


def declarations(tools: Sequence[Mapping[str, Any]]) -> str:
    """The tools as TypeScript, as OpenAI's models are given them."""
    lines = ["namespace functions {", ""]
    for tool in tools:
        function = tool.get("function") or {}
        if description := function.get("description"):
            lines.append(f"// {description}")
        properties = (function.get("parameters") or {}).get("properties")
        name = function.get("name")
        if properties:
            lines.append(f"type {name} = (_: {{")
            lines.append(_properties(function["parameters"], 0))
            lines.append("}) => any;")
        else:
            lines.append(f"type {name} = () => any;")
        lines.append("")
    return "\n".join([*lines, "} // namespace functions"])


def _properties(schema: Mapping[str, Any], indent: int) -> str:
    required = schema.get("required") or []
    lines = []
    for name, each in (schema.get("properties") or {}).items():
        if (description := each.get("description")) and indent < 2:
            lines.append(f"// {description}")
        optional = "" if name in required else "?"
        lines.append(f"{name}{optional}: {_type(each, indent)},")
    return "\n".join(" " * max(0, indent) + line for line in lines)


def _type(schema: Mapping[str, Any], indent: int) -> str:
    kind = schema.get("type")
    if kind == "string" and schema.get("enum"):
        return " | ".join(f'"{each}"' for each in schema["enum"])
    if kind in ("integer", "number"):
        return "number"
    if kind == "array":
        items = schema.get("items")
        return f"{_type(items, indent)}[]" if items else "any[]"
    if kind == "object":
        return f"{{\n{_properties(schema, indent + 2)}\n}}"
    return kind if kind in ("string", "boolean", "null") else "any"
