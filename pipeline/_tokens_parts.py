"""What a message or a tool consists of, whichever of the usual shapes it has.

Read are OpenAI's chat shapes, its Responses shapes and Anthropic's blocks, because histories and
callers mix them. What is not understood counts nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TEXTS = frozenset({"text", "input_text", "output_text"})


class Text(NamedTuple):
    text: str


class Image(NamedTuple):
    source: str
    detail: str | None


class Sound(NamedTuple):
    data: str
    form: str | None


class File(NamedTuple):
    source: str


class Call(NamedTuple):
    name: str
    arguments: str
    """JSON, without blanks where it could be read."""
    keys: int
    """How many arguments there are."""


class Result(NamedTuple):
    parts: tuple[Part, ...]


class Thinking(NamedTuple):
    text: str


Part = Text | Image | Sound | File | Call | Result | Thinking


def parts_of(message: Mapping[str, Any]) -> Iterator[Part]:
    """Everything in a message that takes tokens, in order."""
    parts = _content(message.get("content"))
    if message.get("role") in ("tool", "function"):
        yield Result(tuple(parts))
        return
    yield from parts
    if isinstance(message.get("refusal"), str):
        yield Text(message["refusal"])
    for call in message.get("tool_calls") or ():
        function = call.get("function") or call.get("custom") or {}
        yield _call(function.get("name"), function.get("arguments", function.get("input")))
    if isinstance(function := message.get("function_call"), dict):
        yield _call(function.get("name"), function.get("arguments"))


def _content(content: Any) -> Iterator[Part]:
    if isinstance(content, str):
        if content:
            yield Text(content)
        return
    for part in content if isinstance(content, list | tuple) else ():
        if isinstance(part, str):
            yield Text(part)
        elif isinstance(part, dict):
            yield from _part(part)


def _part(part: dict[str, Any]) -> Iterator[Part]:
    kind = part.get("type")
    if kind in _TEXTS or kind == "refusal":
        text = part.get("text") or part.get("refusal")
        if isinstance(text, str):
            yield Text(text)
    elif kind in ("image_url", "input_image"):
        given = part.get("image_url")
        url = given.get("url") if isinstance(given, dict) else given
        detail = (given if isinstance(given, dict) else part).get("detail")
        yield Image(url if isinstance(url, str) else "", detail)
    elif kind == "image":
        yield Image(_source(part), None)
    elif kind == "input_audio":
        given = part.get("input_audio") or {}
        yield Sound(given.get("data") or "", given.get("format"))
    elif kind in ("file", "input_file"):
        inner = part.get("file")
        given = inner if isinstance(inner, dict) else part
        yield File(given.get("file_data") or given.get("file_url") or "")
    elif kind == "document":
        source = part.get("source") or {}
        if source.get("type") == "text":
            yield Text(source.get("data") or "")
        elif source.get("type") == "content":
            yield from _content(source.get("content"))
        else:
            yield File(_source(part))
    elif kind == "tool_use":
        yield _call(part.get("name"), part.get("input"))
    elif kind == "tool_result":
        yield Result(tuple(_content(part.get("content"))))
    elif kind == "thinking":
        yield Thinking(part.get("thinking") or "")


def _source(part: dict[str, Any]) -> str:
    """The base64 data or the URL of one of Anthropic's blocks."""
    source = part.get("source") or {}
    return source.get("data") or source.get("url") or ""


def _call(name: Any, arguments: Any) -> Call:
    """A call with its arguments as compact JSON: so they are sent, whatever the caller's blanks."""
    decoded = arguments
    if isinstance(arguments, str):
        try:
            decoded = msgspec.json.decode(arguments)
        except (msgspec.DecodeError, RecursionError):
            return Call(str(name or ""), arguments, 1)
    if decoded is None:
        return Call(str(name or ""), "", 0)
    keys = len(decoded) if isinstance(decoded, dict) else 1
    return Call(str(name or ""), msgspec.json.encode(decoded, enc_hook=str).decode(), keys)


class Tool(NamedTuple):
    """A tool that the caller defines.

    Attributes:
        flat: It has the form of OpenAI's Responses, not of its chat.
    """

    name: str
    description: str | None
    parameters: dict[str, Any]
    flat: bool


def tools_of(params: Mapping[str, Any]) -> list[Tool]:
    """The tools of a request that stand in its prompt: not those loaded later by a search."""
    found = []
    for tool in (*(params.get("tools") or ()), *(params.get("functions") or ())):
        if not isinstance(tool, dict) or tool.get("defer_loading"):
            continue
        inner = tool.get("function")
        given = inner if isinstance(inner, dict) else tool
        schema = given.get("parameters", given.get("input_schema"))
        if given.get("name") and (schema is not None or inner is not None):
            described = given.get("description")
            found.append(
                Tool(
                    str(given["name"]),
                    described if isinstance(described, str) else None,
                    schema if isinstance(schema, dict) else {},
                    tool.get("type") == "function" and inner is None,
                )
            )
    return found
