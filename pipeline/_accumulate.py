"""Chunks into an answer, and an answer into chunks: the two forms of one thing."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from msgspec import json

from ._fragments import (
    joined,
    joined_audio,
    joined_content,
    joined_details,
    joined_function,
    joined_object,
    joined_value,
)
from .types import (
    Choice,
    ChunkChoice,
    Delta,
    FunctionCall,
    Message,
    ModelResponse,
    StreamChunk,
    ToolCall,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

_HEAD = (
    "id", "created", "model", "service_tier", "system_fingerprint", "prompt_filter_results",
    "upstream_provider",
)  # fmt: skip
_RARE = (
    "role", "refusal", "reasoning", "reasoning_content", "reasoning_details", "annotations",
    "audio", "function_call", "provider_content", "model_extra",
)  # fmt: skip

BROKEN_OFF = frozenset({"error", "abort", "insufficient_system_resource", "network_error"})
"""Finish reasons that are none: OpenRouter's and vLLM's, SGLang's, DeepSeek's, Z.ai's."""

_WHOLE = ("name", "tool_call_id")
"""Fields of messages that no provider sends in pieces, and that deltas know nothing of."""


class Accumulator:
    """Adds chunks up. Linear in what it is given: all that grows is joined once, when asked for."""

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
            elif choice.finish_reason is not None:
                self._note_head(chunk)
            state.add(choice)
        if chunk.usage is not None:
            if self.usage is None or is_count(chunk.usage):
                self.usage = chunk.usage
            self._note_head(chunk)
        if chunk.model_extra is not None or not chunk.choices:
            self._note_head(chunk)

    @property
    def finished(self) -> bool:
        """Whether every choice that began came to its end."""
        reasons = [choice.finish_reason for choice in self._choices.values()]
        return bool(reasons) and all(map(is_end, reasons))

    @property
    def choice_count(self) -> int:
        """How many choices have begun."""
        return len(self._choices)

    def build(self) -> ModelResponse:
        """The answer so far."""
        return ModelResponse(
            object="chat.completion",
            choices=[state.build(index) for index, state in sorted(self._choices.items())],
            usage=self.usage or self._usage_within(),
            model_extra=dict(self._extra) or None,
            **self._head,
        )

    def _usage_within(self) -> Usage | None:
        """What a choice says of it: Moonshot puts it there."""
        said = [choice.extra.get("usage") for choice in self._choices.values()]
        return next((Usage.model_validate(u) for u in said if isinstance(u, dict)), None)

    def _note_head(self, chunk: StreamChunk) -> None:
        for name in _HEAD:
            value = getattr(chunk, name)
            # Azure's first chunk has "" for a model.
            if value or (value is not None and name not in self._head):
                self._head[name] = value
        if chunk.model_extra:
            self._extra.update(chunk.model_extra)


class _Choice:
    """One choice, being added up."""

    __slots__ = (
        "content", "content_filter_results", "extra", "finish_reason", "known_calls", "logprobs",
        "merged", "native_finish_reason", "tool_calls",
    )  # fmt: skip

    def __init__(self) -> None:
        self.content: list[str | list[Any]] = []
        self.merged: dict[str, list[Any]] = {}
        self.tool_calls: list[_ToolCall] | None = None
        self.known_calls: dict[object, _ToolCall] = {}
        self.finish_reason: str | None = None
        self.native_finish_reason: str | None = None
        self.logprobs: list[Any] = []
        self.content_filter_results: Any = None
        self.extra: dict[str, Any] = {}

    def add(self, choice: ChunkChoice) -> None:
        delta = choice.delta
        content = delta.content
        # "" and null are different answers, so an empty text is kept until there is a better one.
        if content or (content is not None and not self.content):
            self.content.append(content)
        if delta.tool_calls is not None:
            self._add_tool_calls(delta.tool_calls)
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
        # Some servers repeat the reason in a second chunk; the first one stands.
        if choice.finish_reason is not None:
            self.finish_reason = self.finish_reason or choice.finish_reason
        if choice.native_finish_reason is not None:
            self.native_finish_reason = self.native_finish_reason or choice.native_finish_reason
        if choice.logprobs is not None:
            self.logprobs.append(choice.logprobs)
        if choice.content_filter_results is not None:
            self.content_filter_results = (
                choice.content_filter_results or self.content_filter_results or {}
            )
        if choice.model_extra:
            self.extra.update(choice.model_extra)

    def _add_tool_calls(self, fragments: list[ToolCall]) -> None:
        if self.tool_calls is None:
            self.tool_calls = []
        calls, known = self.tool_calls, self.known_calls
        for position, fragment in enumerate(fragments):
            # By the protocol the index tells which call goes on. But some servers number every call
            # 0, so an id counts for more; and some number none, so then it is the last that came.
            index, id = fragment.index, fragment.id
            call = known.get((index, id)) if id else None
            if call is None:
                if index is not None:
                    call = known.get(index)
                elif calls and position == 0:
                    call = calls[-1]
            if call is None or not call.goes_on_with(fragment):
                call = _ToolCall(index)
                calls.append(call)
            call.add(fragment)
            known[index] = call
            if id:
                known[index, id] = call

    def build(self, index: int) -> Choice:
        merged = self.merged
        annotations = merged.get("annotations")
        extra = joined_object(merged.get("model_extra")) or {}
        message = Message(
            role=next((role for role in merged.get("role", ()) if role), "assistant"),
            content=joined_content(self.content),
            tool_calls=None if self.tool_calls is None else _calls(self.tool_calls),
            refusal=joined(merged.get("refusal")),
            reasoning=joined(merged.get("reasoning")),
            reasoning_content=joined(merged.get("reasoning_content")),
            reasoning_details=joined_details(merged.get("reasoning_details")),
            annotations=None if annotations is None else list(chain.from_iterable(annotations)),
            audio=joined_audio(merged.get("audio")),
            function_call=joined_function(merged.get("function_call")),
            provider_content=merged["provider_content"][-1]
            if "provider_content" in merged
            else None,
            **{name: extra.pop(name) for name in _WHOLE if isinstance(extra.get(name), str)},
            model_extra=extra or None,
        )
        return Choice(
            index=index,
            message=message,
            finish_reason=self.finish_reason,
            native_finish_reason=self.native_finish_reason,
            logprobs=joined_value("logprobs", self.logprobs),
            content_filter_results=self.content_filter_results,
            model_extra=dict(self.extra) or None,
        )


class _ToolCall:
    """One tool call, being put together from its fragments."""

    __slots__ = ("extra", "functions", "id", "index", "name", "type", "with_arguments")

    def __init__(self, index: int | None) -> None:
        self.index = index
        self.id: str | None = None
        self.type: str | None = None
        self.name: str | None = None
        self.with_arguments = False
        self.functions: list[FunctionCall] = []
        self.extra: list[dict[str, Any]] = []

    def goes_on_with(self, fragment: ToolCall) -> bool:
        if fragment.id and self.id and fragment.id != self.id:
            return False
        # The name is whole in the first fragment, and some servers repeat it in each. Another one
        # after arguments is another call; so is the same one after arguments that came whole.
        # (Gemini numbers each of its calls 0, and gave them no ids.)
        function = fragment.function
        if function is None or not function.name or not self.with_arguments:
            return True
        if function.name != self.name:
            return False
        return not function.arguments or len(self.functions) > 1 or not self._came_whole()

    def add(self, fragment: ToolCall) -> None:
        if fragment.id is not None:
            self.id = self.id or fragment.id  # "" is how some servers call each of their calls
        self.type = self.type or fragment.type
        if fragment.model_extra:
            self.extra.append(fragment.model_extra)
        function = fragment.function
        if function is not None:
            self.functions.append(function)
            self.name = self.name or function.name
            self.with_arguments = self.with_arguments or bool(function.arguments)

    def _came_whole(self) -> bool:
        try:
            return isinstance(json.decode(self.functions[0].arguments or ""), dict)
        except ValueError:
            return False

    def build(self) -> ToolCall:
        return ToolCall(
            id=self.id,
            type=self.type or ("function" if self.functions else None),
            function=joined_function(self.functions),
            model_extra=joined_object(self.extra),
        )


def _calls(calls: list[_ToolCall]) -> list[ToolCall]:
    if any(call.index is None for call in calls):
        return [call.build() for call in calls]
    return [call.build() for call in sorted(calls, key=lambda call: call.index or 0)]


# ------------------------------------------------------------------------------ and the way back


def chunks_of(answer: ModelResponse) -> list[StreamChunk]:
    """An answer as the chunks of a stream: one with the content, one with the finish and usage.

    Accumulating them gives the answer again.
    """
    head: dict[str, Any] = {name: getattr(answer, name) for name in _HEAD}
    head["object"] = "chat.completion.chunk"
    choices = [(choice.index, choice) for choice in answer.choices]
    if len({index for index, _ in choices}) < len(choices):
        choices = list(enumerate(answer.choices))  # a server that does not number them
    content = [
        ChunkChoice(index=index, delta=_delta(choice.message), logprobs=choice.logprobs)
        for index, choice in choices
    ]
    finish = [
        ChunkChoice(
            index=index,
            finish_reason=choice.finish_reason,
            native_finish_reason=choice.native_finish_reason,
            content_filter_results=choice.content_filter_results,
            model_extra=choice.model_extra,
        )
        for index, choice in choices
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
    whole = {name: getattr(message, name) for name in _WHOLE if getattr(message, name) is not None}
    if whole:
        shared["model_extra"] = {**(message.model_extra or {}), **whole}
    return Delta(content=message.content, tool_calls=calls, **shared)


def has_content(chunk: StreamChunk) -> bool:
    """Whether a chunk is more than a role or a sign of life: text, thinking, a tool call, …."""
    for choice in chunk.choices:
        delta = choice.delta
        if (
            delta.content
            or delta.tool_calls
            or delta.reasoning
            or delta.reasoning_content
            or delta.refusal
            or delta.reasoning_details
            or delta.audio
            or delta.function_call
            or delta.annotations
            or (delta.model_extra is not None and delta.model_extra.get("images"))  # OpenRouter's
        ):
            return True
    return False


def is_count(usage: Usage) -> bool:
    """Whether a usage says anything: some servers send zeros where they do not count."""
    counts = usage.prompt_tokens, usage.completion_tokens, usage.total_tokens
    return any(counts) or usage.cost is not None or usage.model_extra is not None


def is_end(finish_reason: str | None) -> bool:
    """Whether a choice that has this finish reason came to its end, and was not broken off."""
    return bool(finish_reason) and finish_reason not in BROKEN_OFF


def accumulate(chunks: Iterable[StreamChunk]) -> ModelResponse:
    """The answer that `chunks` add up to."""
    accumulator = Accumulator()
    for chunk in chunks:
        accumulator.add(chunk)
    return accumulator.build()
