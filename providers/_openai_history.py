"""A history that any OpenAI-compatible server accepts, whoever wrote its answers.

Most histories need no change, and then nothing is copied: messages are looked at, not rebuilt. What
is changed where it occurs:

- Left out: `provider_content`, `annotations`, reasoning (some servers want their own back), `images`
  and cache markers (OpenRouter keeps these three), fields that are null, `index` in tool calls, all but the id of an audio answer, and
  Anthropic's thinking, server tools and compaction among content parts.
- Anthropic's `image`, `document`, `search_result`, `tool_use` and `tool_result` blocks become what
  OpenAI has for them.
- A tool's result is text for OpenAI. Images and files in it follow in a user's message.
- Tool ids that are empty, or of more than 40 characters, get a stand-in, in the call and in the
  result alike.
  40 is what OpenAI enforced until 2026; Azure and gateways still do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._parts import checked_part
from ._tool_calls import arguments_text, hashed_id

if TYPE_CHECKING:
    from collections.abc import Sequence

Message = dict[str, Any]
Part = dict[str, Any]

_LONGEST_ID = 40
_OPENROUTERS = frozenset({"reasoning", "reasoning_content", "reasoning_details", "images"})
_FOREIGN = frozenset({"provider_content", "annotations", "thinking_blocks", "is_error"})
_UNSENT_PARTS = frozenset({"thinking", "redacted_thinking", "compaction", "fallback"})
_ATTACHED = "The result is attached to the next message."


def to_openai_messages(
    messages: Sequence[Message],
    *,
    keep_reasoning: bool,
    keep_cache_control: bool | None = None,
    keep_reasoning_content: bool = False,
) -> Sequence[Message]:
    """The history for an OpenAI-compatible server.

    Args:
        messages: OpenAI-style dicts. They are not changed; if all is well, they are the result.
        keep_reasoning: Send the model's reasoning back, as OpenRouter and some others want it.
        keep_reasoning_content: Send what a server called so back, and no other form of reasoning.
        keep_cache_control: Leave Anthropic's cache markers in; by default like `keep_reasoning`.

    Raises:
        ValueError: a file that only Anthropic can read, or a message that is malformed.
    """
    dropped = _FOREIGN if keep_reasoning else _FOREIGN | _OPENROUTERS
    if keep_reasoning_content:
        dropped = dropped - {"reasoning_content"}
    marked = keep_reasoning if keep_cache_control is None else keep_cache_control
    sent: list[Message] | None = None
    attached: list[Part] = []  # what the tool results of this turn could not hold
    ids = _ToolIds()
    for position, message in enumerate(messages):
        # The first half is the commonest case of the second, without the price of a call.
        plain = (len(message) == 2 and message.get("content").__class__ is str) or _is_plain(
            message
        )
        if sent is None:
            if plain:
                continue
            sent = list(messages[:position])
        if attached and message.get("role") != "tool":
            sent.append({"role": "user", "content": attached})
            attached = []
        if plain:
            sent.append(message)
            continue
        try:
            sent += _converted(message, dropped, attached, ids, marked=marked)
        except ValueError as error:
            raise ValueError(f"messages[{position}]: {error}") from error
    if sent is None:
        return messages
    if attached:
        sent.append({"role": "user", "content": attached})
    return sent


def _is_plain(message: Message) -> bool:
    """Whether a message can be sent as it is. Runs for every message of every request."""
    content = message.get("content")
    if content.__class__ is str:
        if len(message) == 2:
            return True
        if len(message) == 3:
            used = message.get("tool_call_id")
            if used.__class__ is str:
                return 0 < len(used) <= _LONGEST_ID
            if message.get("name").__class__ is str:
                return True
    elif content is not None:
        return False
    calls = message.get("tool_calls")
    if calls.__class__ is not list or len(message) != 3:
        return False
    for call in calls:
        if call.__class__ is not dict or len(call) != 3:
            return False
        used = call.get("id")
        function = call.get("function")
        if (
            used.__class__ is not str
            or not 0 < len(used) <= _LONGEST_ID
            or function.__class__ is not dict
            or function.get("arguments").__class__ is not str
            or call.get("type").__class__ is not str
        ):
            return False
    return bool(calls)


def _converted(
    message: Message,
    dropped: frozenset[str],
    attached: list[Part],
    ids: _ToolIds,
    *,
    marked: bool,
) -> list[Message]:
    kept = {
        name: value
        for name, value in message.items()
        if value is not None and name not in dropped and name != "cache_control"
    }
    marker = message.get("cache_control") if marked else None
    content = _Content(message.get("content"), marked=marked)
    if marker and content.parts:
        content.parts[-1] = {**content.parts[-1], "cache_control": marker}
    role = message.get("role")
    if role == "tool":
        return [_result(kept, content.parts, attached, ids)]
    if role == "assistant":
        _complete_answer(kept, content, ids)
    elif content.parts or not content.results:
        kept["content"] = content.as_sent()
    else:
        kept.clear()  # there was nothing but tool results
    results = [_result(result, parts, attached, ids) for result, parts in content.results]
    if results and attached and kept:
        kept["content"] = [*attached, *content.parts]
        attached.clear()
    return [*results, kept] if kept else results


def _complete_answer(kept: Message, content: _Content, ids: _ToolIds) -> None:
    calls = kept.pop("tool_calls", None) or []
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise ValueError("tool_calls must be a list of objects")
    there = {call.get("id") for call in calls}
    # Some histories say it twice: as a part, and as a tool call.
    calls += [call for call in content.calls if call["id"] not in there]
    calls = [_call(call, ids) for call in calls]
    if calls:
        kept["tool_calls"] = calls
    if isinstance(kept.get("audio"), dict):
        kept["audio"] = {"id": kept["audio"].get("id")}
    if content.parts:
        kept["content"] = content.as_sent()
    elif calls or any(name in kept for name in ("function_call", "refusal", "audio")):
        kept["content"] = None
    else:
        kept["content"] = ""


def _call(call: dict[str, Any], ids: _ToolIds) -> dict[str, Any]:
    kept = {name: value for name, value in call.items() if value is not None and name != "index"}
    kept["id"] = ids.call(call.get("id"))
    kept.setdefault("type", "function")
    function = kept.get("function")
    if isinstance(function, dict) and not isinstance(function.get("arguments"), str):
        kept["function"] = {**function, "arguments": _arguments(function.get("arguments"))}
    return kept


def _arguments(arguments: object) -> str:
    """Arguments as text: some servers give an object, and take nothing but a text."""
    if arguments is not None and not isinstance(arguments, dict):
        raise ValueError(
            f"a tool call whose arguments are of type {type(arguments).__name__}: "
            "they must be JSON text"
        )
    return arguments_text(arguments)


class _ToolIds:
    """Ids as OpenAI takes them: of 40 characters at most, and not empty.

    Some servers give their calls none, or an empty text. Those are answered in order.
    """

    def __init__(self) -> None:
        self._unnamed = 0
        self._waiting: list[str] = []

    def call(self, original: object) -> str:
        if original is not None and original != "":
            return self._short(str(original))
        self._unnamed += 1
        made = hashed_id(f"unnamed call {self._unnamed}")
        self._waiting.append(made)
        return made

    def result(self, original: object) -> str:
        if original is not None and original != "":
            return self._short(str(original))
        return self._waiting.pop(0) if self._waiting else ""

    @staticmethod
    def _short(original: str) -> str:
        return hashed_id(original) if len(original) > _LONGEST_ID else original


def _result(kept: Message, parts: list[Part], attached: list[Part], ids: _ToolIds) -> Message:
    texts = [part for part in parts if part.get("type") == "text"]
    others = [part for part in parts if part.get("type") != "text"]
    attached += others
    if others and not texts:
        texts = [{"type": "text", "text": _ATTACHED}]
    return {
        **kept,
        "tool_call_id": ids.result(kept.get("tool_call_id")),
        "content": _as_sent(texts),
    }


def _as_sent(parts: list[Part]) -> str | list[Part]:
    """Parts, or the bare text if that says the same (not every server takes parts)."""
    if not parts:
        return ""
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        return str(parts[0]["text"])
    return parts


class _Content:
    """A message's content, sorted into what OpenAI has for it.

    Attributes:
        parts: OpenAI's content parts.
        calls: Tool calls that stood among the parts.
        results: Tool results that stood among the parts: a tool message, and its content's parts.
    """

    def __init__(self, content: object, *, marked: bool) -> None:
        self.parts: list[Part] = []
        self.calls: list[dict[str, Any]] = []
        self.results: list[tuple[Message, list[Part]]] = []
        self._marked = marked
        if content is None:
            return
        if isinstance(content, str):
            self.parts.append({"type": "text", "text": content})
            return
        if not isinstance(content, (list, tuple)):
            raise ValueError(
                f"content must be text or a list of parts, not {type(content).__name__}"
            )
        for position, part in enumerate(content):
            try:
                self._sort(checked_part(part))
            except ValueError as error:
                raise ValueError(f"content[{position}]: {error}") from error

    def as_sent(self) -> str | list[Part]:
        return _as_sent(self.parts)

    def _sort(self, part: Part) -> None:
        kind = part["type"]
        if kind == "tool_use":
            function = {"name": part.get("name"), "arguments": arguments_text(part.get("input"))}
            self.calls.append({"id": part.get("id"), "type": "function", "function": function})
        elif kind == "tool_result":
            inner = _Content(part.get("content"), marked=self._marked)
            result = {"role": "tool", "tool_call_id": part.get("tool_use_id")}
            self.results.append((result, inner.parts))
        elif kind in _UNSENT_PARTS or kind.endswith(("_tool_use", "_tool_result")):
            return  # server tools and what else only Anthropic can read
        else:
            converted = _part(kind, part)
            if self._marked and part.get("cache_control") and converted is not part:
                converted["cache_control"] = part["cache_control"]
            elif not self._marked and "cache_control" in converted:
                converted = {k: v for k, v in converted.items() if k != "cache_control"}
            self.parts.append(converted)


def _part(kind: str, part: Part) -> Part:
    if kind == "text":
        return {k: v for k, v in part.items() if k != "citations"} if "citations" in part else part
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": _url(_source(part))}}
    if kind == "document":
        return _document(part)
    if kind == "search_result":
        found = [part.get("title"), part.get("source"), _plain_text(part.get("content"))]
        return {"type": "text", "text": "\n".join(line for line in found if line)}
    if kind == "tool_reference":
        return {"type": "text", "text": str(part.get("tool_name"))}
    if kind == "container_upload":
        raise ValueError("only Anthropic can read a file that was uploaded to its container")
    return part


def _document(part: Part) -> Part:
    source = _source(part)
    title = part.get("title")
    if source.get("type") in ("text", "content"):
        text = source.get("data") or _plain_text(source.get("content"))
        return {"type": "text", "text": f"{title}\n\n{text}" if title else text}
    # OpenAI itself takes no URLs here, and says so; OpenRouter and others do.
    return {
        "type": "file",
        "file": {"filename": title or "document.pdf", "file_data": _url(source)},
    }


def _source(part: Part) -> dict[str, Any]:
    source = part.get("source")
    if not isinstance(source, dict):
        raise ValueError(f"an {part.get('type')} block without its source")
    if source.get("type") == "file":
        raise ValueError(
            f"only Anthropic can read its file {source.get('file_id')!r}; send the file's data"
        )
    return source


def _url(source: dict[str, Any]) -> str:
    if source.get("type") == "url":
        return str(source.get("url"))
    return f"data:{source.get('media_type')};base64,{source.get('data')}"


def _plain_text(content: object) -> str:
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return "\n".join(
        block["text"] for block in blocks if isinstance(block, dict) and block.get("text")
    )
