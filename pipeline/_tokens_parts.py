"""What a message or a tool consists of, whichever of the usual shapes it has.

Read are OpenAI's chat shapes, its Responses shapes and Anthropic's blocks, because histories and
callers mix them. What is not understood counts nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


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


class Document(NamedTuple):
    """A file that is text already. `source` is empty if its text follows in parts of its own."""

    source: str
    cited: bool


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


Part = Text | Image | Sound | File | Document | Call | Result | Thinking


def parts_of(message: Mapping[str, Any]) -> Iterator[Part]:
    """Everything in a message that takes tokens, in order."""
    parts = _content(message.get("content"))
    if message.get("role") in ("tool", "function"):
        yield Result(tuple(parts))
        return
    yield from parts
    if refusal := _text(message.get("refusal")):
        yield Text(refusal)
    for call in _list(message.get("tool_calls")):
        given = _dict(call)
        function = _dict(given.get("function") or given.get("custom"))
        yield _call(function.get("name"), function.get("arguments", function.get("input")))
    if function := _dict(message.get("function_call")):
        yield _call(function.get("name"), function.get("arguments"))


def _content(content: Any) -> Iterator[Part]:
    if isinstance(content, str):
        if content:
            yield Text(content)
        return
    for part in _list(content):
        if isinstance(part, str):
            yield Text(part)
        else:
            yield from _part(_dict(part))


def _part(part: dict[str, Any]) -> Iterator[Part]:
    kind = part.get("type")
    if kind in ("text", "input_text", "output_text", "refusal"):
        yield Text(_text(part.get("text")) or _text(part.get("refusal")))
    elif kind in ("image_url", "input_image"):
        given = part.get("image_url")
        detail = _text((_dict(given) or part).get("detail"))
        yield Image(_text(given) or _text(_dict(given).get("url")), detail)
    elif kind == "image":
        yield Image(_source(part), None)
    elif kind == "input_audio":
        sound = _dict(part.get("input_audio"))
        yield Sound(_text(sound.get("data")), _text(sound.get("format")) or None)
    elif kind in ("file", "input_file"):
        file = _dict(part.get("file")) or part
        yield File(_text(file.get("file_data")) or _text(file.get("file_url")))
    elif kind == "video_url":
        yield File(_text(_dict(part.get("video_url")).get("url")))
    elif kind == "document":
        source = _dict(part.get("source"))
        cited = _dict(part.get("citations")).get("enabled") is True
        if source.get("type") == "text":
            yield Document(_text(source.get("data")), cited)
        elif source.get("type") == "content":
            yield Document("", cited)
            yield from _content(source.get("content"))
        else:
            yield File(_source(part))
    elif kind == "tool_use":
        yield _call(part.get("name"), part.get("input"))
    elif kind == "tool_result":
        yield Result(tuple(_content(part.get("content"))))
    elif kind == "thinking":
        yield Thinking(_text(part.get("thinking")))


def _source(part: dict[str, Any]) -> str:
    """The base64 data or the URL of one of Anthropic's blocks."""
    source = _dict(part.get("source"))
    return _text(source.get("data")) or _text(source.get("url"))


def _call(name: Any, arguments: Any) -> Call:
    """A call with its arguments as compact JSON: so they are sent, whatever the caller's blanks."""
    decoded = arguments
    if isinstance(arguments, str):
        try:
            decoded = msgspec.json.decode(arguments)
        except (ValueError, RecursionError):
            return Call(_text(name), arguments, 1)
    if decoded is None:
        return Call(_text(name), "", 0)
    keys = len(decoded) if isinstance(decoded, dict) else 1
    return Call(_text(name), msgspec.json.encode(decoded, enc_hook=str).decode(), keys)


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
    for each in (*_list(params.get("tools")), *_list(params.get("functions"))):
        tool = _dict(each)
        flat = tool.get("type") == "function" and bool(_text(tool.get("name")))
        inner = {} if flat else _dict(tool.get("function"))
        given = inner or tool
        schema = given.get("parameters", given.get("input_schema"))
        name = _text(given.get("name"))
        # A tool without a schema is one of the provider's own, which nobody can count.
        if name and not tool.get("defer_loading") and (inner or flat or schema is not None):
            described = _text(given.get("description")) or None
            found.append(Tool(name, described, _dict(schema), flat))
    return found


# A request is counted before anybody has checked it: what is not what it should be counts nothing.


def _dict(value: Any) -> dict[str, Any]:
    if hasattr(value, "to_dict"):
        value = value.to_dict()
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any] | tuple[Any, ...]:
    return value if isinstance(value, list | tuple) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
