"""Between Scallion's answers and litellm's."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from scallion import types as ours

from .types.utils import (
    Choices,
    Delta,
    Message,
    ModelResponse,
    ModelResponseStream,
    StreamingChoices,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def response_from_scallion(answer: ours.ModelResponse, model: str | None = None) -> ModelResponse:
    """A whole answer, as litellm gives it. `model` stands in if the provider named none."""
    extra: dict[str, Any] = dict(answer.model_extra or {})
    if answer.service_tier is not None:
        extra["service_tier"] = answer.service_tier
    if answer.upstream_provider is not None:
        extra["provider"] = answer.upstream_provider
    usage = None if answer.usage is None else usage_from_scallion(answer.usage)
    return ModelResponse(
        id=answer.id,
        created=answer.created,
        model=answer.model or model,
        object="chat.completion",
        system_fingerprint=answer.system_fingerprint,
        choices=[_choice(choice) for choice in answer.choices],
        **{"usage": usage, **extra},
    )


def response_to_scallion(response: ModelResponse) -> ours.ModelResponse:
    """The way back. What Scallion has no field for is kept in `model_extra`."""
    return ours.ModelResponse.model_validate(response.model_dump(exclude_none=True))


def _choice(choice: ours.Choice) -> Choices:
    return Choices(
        finish_reason=choice.finish_reason,
        index=choice.index,
        message=message_from_scallion(choice.message),
        logprobs=choice.logprobs,
    )


def message_from_scallion(message: ours.Message) -> Message:
    """A message, as litellm gives it."""
    specific: dict[str, Any] = {}
    if message.refusal is not None:
        specific["refusal"] = message.refusal
    if message.provider_content is not None:
        specific["provider_content"] = message.provider_content
    content: Any = message.content
    if isinstance(content, list):
        content = ours.text_of(content)
    extra: dict[str, Any] = dict(message.model_extra or {})
    if message.reasoning_details is not None:
        specific["reasoning_details"] = message.reasoning_details
    return Message(
        content=content,
        role="assistant",
        tool_calls=[_call(call) for call in message.tool_calls or ()],
        function_call=None if message.function_call is None else message.function_call.to_dict(),
        audio=_audio(message.audio),
        reasoning_content=message.reasoning_content or message.reasoning,
        thinking_blocks=thinking_blocks(message.provider_content),
        annotations=message.annotations,
        provider_specific_fields=specific or None,
        **extra,
    )


def _call(call: ours.ToolCall) -> dict[str, Any]:
    function = call.function or ours.FunctionCall()
    return {
        **(call.model_extra or {}),
        "id": call.id,
        "type": call.type,
        "function": {"name": function.name, "arguments": function.arguments},
    }


def _audio(audio: dict[str, Any] | None) -> Any:
    from .types.utils import ChatCompletionAudioResponse

    return None if audio is None else ChatCompletionAudioResponse(**audio)


def thinking_blocks(provider_content: dict[str, Any] | None) -> Any:
    """The blocks of Claude's thinking, with their signatures; `None` if there are none."""
    content = (provider_content or {}).get("content")
    blocks = [
        block
        for block in (content if isinstance(content, list) else ())
        if isinstance(block, dict) and block.get("type") in ("thinking", "redacted_thinking")
    ]
    return blocks or None


def usage_from_scallion(usage: ours.Usage) -> Usage:
    """Tokens, as litellm counts them."""
    fields = usage.to_dict()
    prompt = fields.pop("prompt_tokens_details", None)
    if prompt is not None:
        written = prompt.get("cache_write_tokens")
        hour = prompt.pop("cache_write_1h_tokens", None)
        if written is not None and prompt.get("cached_tokens") is not None:
            fields.setdefault("cache_creation_input_tokens", written)
            fields.setdefault("cache_read_input_tokens", prompt["cached_tokens"])
        if hour:
            prompt["cache_creation_token_details"] = {"ephemeral_1h_input_tokens": hour}
    return Usage(prompt_tokens_details=prompt, **fields)


def usage_to_scallion(usage: Usage) -> ours.Usage:
    """The way back."""
    return ours.Usage.model_validate(usage.model_dump(exclude_none=True))


# ----------------------------------------------------------------------------------------- streams


class ChunkConverter:
    """Turns the chunks of one stream into litellm's.

    litellm's have a role in the first one only, no usage but at the very end, the finish reason in
    a chunk without content, and the name and time of the call in all of them.

    Args:
        model: The model's name as it was asked for, without its provider.
        include_usage: Whether the caller wants a last chunk with the usage.

    Attributes:
        usage: The provider's count, once it has come.
        answered: The model that answers, as the provider names it.
    """

    def __init__(self, model: str, *, include_usage: bool = False) -> None:
        self.model = model
        self.include_usage = include_usage
        self.usage: Usage | None = None
        self.finish: dict[int, Any] = {}
        self.fingerprint: str | None = None
        self.answered: str | None = None
        self._created = int(time.time())
        self._id: str | None = None
        self._begun: set[int] = set()

    def convert(self, chunks: Iterable[ours.StreamChunk]) -> Iterator[ModelResponseStream]:
        """The chunks that these become: fewer, or more."""
        for chunk in chunks:
            self._id = self._id or chunk.id
            self.answered = self.answered or chunk.model
            self.fingerprint = self.fingerprint or chunk.system_fingerprint
            if chunk.usage is not None:
                self.usage = usage_from_scallion(chunk.usage)
            said = [choice for choice in chunk.choices if self._says_something(choice)]
            if said:
                yield self._chunk([self._content(choice) for choice in said], citations=None)
            for choice in chunk.choices:
                if choice.finish_reason is not None and choice.index not in self.finish:
                    self.finish[choice.index] = choice.finish_reason
                    yield self._chunk([self._end(choice)])

    def close(self) -> Iterator[ModelResponseStream]:
        """What comes after the last chunk."""
        if self.include_usage and self.usage is not None:
            yield self._chunk([StreamingChoices()], usage=self.usage)

    def _says_something(self, choice: ours.ChunkChoice) -> bool:
        delta = choice.delta
        if choice.index not in self._begun and delta.role is not None:
            return choice.finish_reason is None or bool(delta.content)
        return bool(
            delta.content
            or delta.tool_calls
            or delta.reasoning
            or delta.reasoning_content
            or delta.refusal
            or delta.audio
            or delta.function_call
            or delta.annotations
            or delta.reasoning_details
            or choice.logprobs
            or (delta.provider_content and thinking_blocks(delta.provider_content))
        )

    def _content(self, choice: ours.ChunkChoice) -> StreamingChoices:
        delta = choice.delta
        role = None
        if choice.index not in self._begun:
            self._begun.add(choice.index)
            role = "assistant"
        content = delta.content
        optional: dict[str, Any] = dict(delta.model_extra or {})
        if role is None:
            optional["provider_specific_fields"] = None
        if delta.refusal is not None:
            optional["refusal"] = delta.refusal
        if delta.provider_content is not None:
            optional["provider_specific_fields"] = {"provider_content": delta.provider_content}
        made = Delta(
            content=ours.text_of(content) if isinstance(content, list) else content,
            role=role,
            tool_calls=[_fragment(call) for call in delta.tool_calls] if delta.tool_calls else None,
            function_call=None if delta.function_call is None else delta.function_call.to_dict(),
            audio=delta.audio,  # type: ignore[arg-type]
            reasoning_content=delta.reasoning_content or delta.reasoning,
            thinking_blocks=thinking_blocks(delta.provider_content),
            annotations=delta.annotations,
            **optional,
        )
        return StreamingChoices(index=choice.index, delta=made, logprobs=choice.logprobs)

    def _end(self, choice: ours.ChunkChoice) -> StreamingChoices:
        return StreamingChoices(
            finish_reason=choice.finish_reason, index=choice.index, delta=Delta()
        )

    def _chunk(self, choices: list[StreamingChoices], **extra: Any) -> ModelResponseStream:
        made = ModelResponseStream(
            id=self._id,
            created=self._created,
            model=self.model,
            system_fingerprint=self.fingerprint,
            choices=choices,
            **extra,
        )
        self._id = made.id
        return made


def _fragment(call: ours.ToolCall) -> dict[str, Any]:
    function = call.function or ours.FunctionCall()
    return {
        "id": call.id,
        "type": call.type or "function",
        "index": call.index,
        "function": {"name": function.name, "arguments": function.arguments or ""},
    }
