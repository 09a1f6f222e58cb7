"""Chunks into an answer, and an answer into chunks: the two forms of one thing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .types import (
    Choice,
    ChunkChoice,
    Delta,
    FunctionCall,
    Message,
    ModelResponse,
    StreamChunk,
    ToolCall,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .types import Usage

_HEAD = (
    "id", "created", "model", "service_tier", "system_fingerprint", "prompt_filter_results",
    "upstream_provider",
)  # fmt: skip
_RARE = (
    "role", "refusal", "reasoning", "reasoning_content", "reasoning_details", "annotations",
    "audio", "function_call", "provider_content", "model_extra",
)  # fmt: skip


class Accumulator:
    """Adds chunks up. Linear in what it is given: texts are joined once, when asked for."""

    __slots__ = ("_choices", "_extra", "_head", "usage")

    def __init__(self) -> None:
        self._head: dict[str, Any] = {}
        self._extra: dict[str, Any] = {}
        self._choices: dict[int, _Choice] = {}
        self.usage: Usage | None = None

    def add(self, chunk: StreamChunk) -> None:
        """Add one chunk. A restarted chunk voids what came before."""
        if chunk.restarted:
            self.__init__()  # type: ignore[misc]
        for choice in chunk.choices:
            state = self._choices.get(choice.index)
            if state is None:
                state = self._choices[choice.index] = _Choice()
                self._note_head(chunk)
            state.add(choice)
        if chunk.usage is not None:
            self.usage = chunk.usage
            self._note_head(chunk)
        if chunk.model_extra is not None or not chunk.choices:
            self._note_head(chunk)

    @property
    def finished(self) -> bool:
        """Whether the answer is whole: every choice has its finish reason."""
        return bool(self._choices) and all(c.finish_reason for c in self._choices.values())

    def build(self) -> ModelResponse:
        """The answer so far."""
        return ModelResponse(
            object="chat.completion",
            choices=[state.build(index) for index, state in sorted(self._choices.items())],
            usage=self.usage,
            model_extra=dict(self._extra) or None,
            **self._head,
        )

    def _note_head(self, chunk: StreamChunk) -> None:
        for name in _HEAD:
            value = getattr(chunk, name)
            if value:  # Azure's first chunk has "" for a model
                self._head[name] = value
        if chunk.model_extra:
            self._extra.update(chunk.model_extra)


class _Choice:
    """One choice, being added up."""

    __slots__ = (
        "content", "content_filter_results", "extra", "finish_reason", "logprobs", "merged",
        "native_finish_reason", "parts", "tool_calls",
    )  # fmt: skip

    def __init__(self) -> None:
        self.content: list[str] = []
        self.parts: list[Any] = []
        self.merged: dict[str, list[Any]] = {}
        self.tool_calls: list[_ToolCall] = []
        self.finish_reason: str | None = None
        self.native_finish_reason: str | None = None
        self.logprobs: list[Any] = []
        self.content_filter_results: Any = None
        self.extra: dict[str, Any] = {}

    def add(self, choice: ChunkChoice) -> None:
        delta = choice.delta
        content = delta.content
        if content:
            if isinstance(content, str):
                self.content.append(content)
            else:
                self.content.append(text_of(content))
                self.parts.extend(content)
        elif content is not None and not self.content:
            self.content.append("")  # "" and null are different answers
        if delta.tool_calls:
            for fragment in delta.tool_calls:
                self._add_tool_call(fragment)
        if (  # Spelled out, because this runs for every chunk and is nearly always false.
            delta.role is not None
            or delta.reasoning is not None
            or delta.reasoning_content is not None
            or delta.reasoning_details is not None
            or delta.refusal is not None
            or delta.annotations is not None
            or delta.audio is not None
            or delta.function_call is not None
            or delta.provider_content is not None
            or delta.model_extra is not None
        ):
            for name in _RARE:
                value = getattr(delta, name)
                if value is not None:
                    self.merged.setdefault(name, []).append(value)
        if choice.finish_reason is not None:
            # Some servers repeat the reason in a second chunk; the first one stands.
            self.finish_reason = self.finish_reason or choice.finish_reason
            self.native_finish_reason = self.native_finish_reason or choice.native_finish_reason
        if choice.logprobs is not None:
            self.logprobs.append(choice.logprobs)
        if choice.content_filter_results:
            self.content_filter_results = choice.content_filter_results
        if choice.model_extra:
            self.extra.update(choice.model_extra)

    def _add_tool_call(self, fragment: ToolCall) -> None:
        for call in reversed(self.tool_calls):
            if fragment.index == call.index and (
                # The same index with a new id is another call: some servers number all of them 0.
                not fragment.id or not call.id or fragment.id == call.id
            ):
                call.add(fragment)
                return
        call = _ToolCall(fragment.index)
        call.add(fragment)
        self.tool_calls.append(call)

    def build(self, index: int) -> Choice:
        merged = self.merged
        message = Message(
            role=merged["role"][0] if "role" in merged else "assistant",
            content=self.parts or ("".join(self.content) if self.content else None),
            tool_calls=[call.build() for call in self.tool_calls] or None,
            refusal=_joined(merged.get("refusal")),
            reasoning=_joined(merged.get("reasoning")),
            reasoning_content=_joined(merged.get("reasoning_content")),
            reasoning_details=_details(merged.get("reasoning_details")),
            annotations=[a for batch in merged.get("annotations", ()) for a in batch] or None,
            audio=_object(merged.get("audio")),
            function_call=_function(merged.get("function_call")),
            provider_content=merged["provider_content"][-1]
            if "provider_content" in merged
            else None,
            model_extra=_object(merged.get("model_extra")),
        )
        return Choice(
            index=index,
            message=message,
            finish_reason=self.finish_reason,
            native_finish_reason=self.native_finish_reason,
            logprobs=_logprobs(self.logprobs),
            content_filter_results=self.content_filter_results,
            model_extra=dict(self.extra) or None,
        )


class _ToolCall:
    """One tool call, being put together from its fragments."""

    __slots__ = ("arguments", "extra", "id", "index", "name", "type")

    def __init__(self, index: int | None) -> None:
        self.index = index
        self.id: str | None = None
        self.type: str | None = None
        self.name: str | None = None
        self.arguments: list[str] = []
        self.extra: list[dict[str, Any]] = []

    def add(self, fragment: ToolCall) -> None:
        self.id = self.id or fragment.id
        self.type = self.type or fragment.type
        if fragment.model_extra:
            self.extra.append(fragment.model_extra)
        function = fragment.function
        if function is not None:
            # Whole in the first fragment by the protocol; some servers repeat it in each.
            self.name = self.name or function.name
            if function.arguments:
                self.arguments.append(function.arguments)

    def build(self) -> ToolCall:
        function = None
        if self.name is not None or self.arguments:
            function = FunctionCall(name=self.name, arguments="".join(self.arguments))
        return ToolCall(
            id=self.id,
            type=self.type or ("function" if function else None),
            function=function,
            model_extra=_object(self.extra),
        )


def _joined(texts: list[str] | None) -> str | None:
    return None if texts is None else "".join(texts)


def _function(fragments: list[FunctionCall] | None) -> FunctionCall | None:
    if fragments is None:
        return None
    names = [f.name for f in fragments if f.name]
    return FunctionCall(
        name=names[0] if names else None,
        arguments="".join(f.arguments for f in fragments if f.arguments),
    )


def _object(fragments: list[dict[str, Any]] | None) -> dict[str, Any] | None:
    """Merge objects that arrive in parts: texts grow, lists extend, anything else is replaced."""
    merged: dict[str, Any] = {}
    for fragment in fragments or ():
        for name, value in fragment.items():
            before = merged.get(name)
            if isinstance(before, list) and isinstance(value, list):
                merged[name] = [*before, *value]
            elif isinstance(before, str) and isinstance(value, str) and name not in _LABELS:
                merged[name] = before + value
            elif isinstance(before, dict) and isinstance(value, dict):
                merged[name] = _object([before, value])
            elif value is not None or name not in merged:
                merged[name] = value
    return merged or None


_LABELS = frozenset({"id", "type", "format", "signature", "name", "role"})
"""Texts that name something: sent again they replace, they do not grow."""


def _details(batches: list[list[Any]] | None) -> list[Any] | None:
    """OpenRouter's reasoning details: fragments of one block share its type and index."""
    if batches is None:
        return None
    blocks: list[list[dict[str, Any]]] = []
    loose: list[Any] = []
    for detail in (detail for batch in batches for detail in batch):
        if not isinstance(detail, dict):
            loose.append(detail)
        elif blocks and _same_block(blocks[-1][-1], detail):
            blocks[-1].append(detail)
        else:
            blocks.append([detail])
    return [_object(block) for block in blocks] + loose


def _same_block(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(one.get(name) == other.get(name) for name in ("type", "index")) and (
        not other.get("id") or other.get("id") == one.get("id")
    )


def _logprobs(parts: list[Any]) -> Any:
    if len(parts) == 1:
        return parts[0]
    return _object([part for part in parts if isinstance(part, dict)])


# ------------------------------------------------------------------------------ and the way back


def chunks_of(answer: ModelResponse) -> list[StreamChunk]:
    """An answer as the chunks of a stream: one with the content, one with the finish and usage.

    Accumulating them gives the answer again.
    """
    head: dict[str, Any] = {name: getattr(answer, name) for name in _HEAD}
    head["object"] = "chat.completion.chunk"
    content = [
        ChunkChoice(index=choice.index, delta=_delta(choice.message), logprobs=choice.logprobs)
        for choice in answer.choices
    ]
    finish = [
        ChunkChoice(
            index=choice.index,
            finish_reason=choice.finish_reason,
            native_finish_reason=choice.native_finish_reason,
            content_filter_results=choice.content_filter_results,
            model_extra=choice.model_extra,
        )
        for choice in answer.choices
    ]
    return [
        StreamChunk(choices=content, **head),
        StreamChunk(choices=finish, usage=answer.usage, model_extra=answer.model_extra, **head),
    ]


def _delta(message: Message) -> Delta:
    calls = None
    if message.tool_calls is not None:
        calls = [
            ToolCall(
                index=position,
                id=call.id,
                type=call.type,
                function=call.function,
                model_extra=call.model_extra,
            )
            for position, call in enumerate(message.tool_calls)
        ]
    shared: dict[str, Any] = {name: getattr(message, name) for name in _RARE}
    return Delta(content=message.content, tool_calls=calls, **shared)


def has_content(chunk: StreamChunk) -> bool:
    """Whether a chunk is more than a role or a sign of life: text, thinking, a tool call, …."""
    return any(
        delta.content
        or delta.tool_calls
        or delta.reasoning
        or delta.reasoning_content
        or delta.refusal
        or delta.reasoning_details
        or delta.audio
        or delta.function_call
        or delta.annotations
        for delta in [choice.delta for choice in chunk.choices]
    )


def is_whole(chunks: Iterable[StreamChunk]) -> bool:
    """Whether `chunks` are an answer with its finish reason."""
    accumulator = Accumulator()
    for chunk in chunks:
        accumulator.add(chunk)
    return accumulator.finished


def accumulate(chunks: Iterable[StreamChunk]) -> ModelResponse:
    """The answer that `chunks` add up to."""
    accumulator = Accumulator()
    for chunk in chunks:
        accumulator.add(chunk)
    return accumulator.build()
