"""Messages and their parts: what a model says, whole and in pieces, and the tools that it calls."""

from __future__ import annotations

import json
import uuid
from typing import Any, Literal

from openai import BaseModel as OpenAIObject
from openai.types.chat.chat_completion_audio import ChatCompletionAudio
from pydantic import ConfigDict

from ._access import Access, ItemAccess, SafeAttributeModel, given
from .llms.openai import (
    ChatCompletionAnnotation,
    ChatCompletionRedactedThinkingBlock,
    ChatCompletionThinkingBlock,
    ImageURLListItem,
)

# ----------------------------------------------------------------------------- calls of functions


class FunctionCall(OpenAIObject):
    """A function call in the form that came before tools."""

    arguments: str
    name: str | None = None


class Function(ItemAccess, OpenAIObject):
    """The function that a tool call is for; arguments given as an object become JSON text."""

    arguments: str
    name: str | None

    def __init__(
        self, arguments: dict[str, Any] | str | None = None, name: str | None = None, **params: Any
    ) -> None:
        if arguments is None:
            arguments = params.pop("parameters", None) or ""
        if not isinstance(arguments, str):
            arguments = json.dumps(arguments)
        super().__init__(arguments=arguments, name=name, **params)


class ChatCompletionMessageToolCall(ItemAccess, OpenAIObject):
    """A tool call of an answer."""

    model_config = ConfigDict(extra="allow")

    function: Function
    id: str
    type: str

    def __init__(
        self,
        function: dict[str, Any] | Function,
        id: str | None = None,
        type: str | None = None,
        **params: Any,
    ) -> None:
        call = Function(**function) if isinstance(function, dict) else function
        super().__init__(
            function=call, id=id or str(uuid.uuid4()), type=type or "function", **params
        )


class ChatCompletionDeltaToolCall(OpenAIObject):
    """A fragment of a tool call."""

    id: str | None = None
    function: Function
    type: str | None = None
    index: int


# ---------------------------------------------------------------------------------------- messages


class ChatCompletionAudioResponse(ChatCompletionAudio):
    """Audio of an answer."""

    def __init__(
        self, data: str, expires_at: int, transcript: str, id: str | None = None, **params: Any
    ) -> None:
        super().__init__(
            data=data,
            expires_at=expires_at,
            transcript=transcript,
            id=id or str(uuid.uuid4()),
            **params,
        )


class TopLogprob(OpenAIObject):
    """One of the likeliest tokens at a place."""

    token: str
    bytes: list[int] | None = None
    logprob: float


class ChatCompletionTokenLogprob(ItemAccess, OpenAIObject):
    """A token's log probability, and those of its rivals."""

    token: str
    bytes: list[int] | None = None
    logprob: float
    top_logprobs: list[TopLogprob]


class ChoiceLogprobs(ItemAccess, OpenAIObject):
    """The log probabilities of a choice."""

    content: list[ChatCompletionTokenLogprob] | None = None


class Message(Access, SafeAttributeModel):
    """The message of an answer."""

    content: str | None
    role: Literal["assistant", "user", "system", "tool", "function"]
    tool_calls: list[ChatCompletionMessageToolCall] | None
    function_call: FunctionCall | None
    audio: ChatCompletionAudioResponse | None = None
    images: list[ImageURLListItem] | None = None
    reasoning_content: str | None = None
    thinking_blocks: (
        list[ChatCompletionThinkingBlock | ChatCompletionRedactedThinkingBlock] | None
    ) = None
    reasoning_items: list[Any] | None = None
    provider_specific_fields: dict[str, Any] | None = None
    annotations: list[ChatCompletionAnnotation] | None = None

    def __init__(
        self,
        content: str | None = None,
        role: Literal["assistant", "user", "system", "tool", "function"] = "assistant",
        function_call: Any = None,
        tool_calls: list[Any] | None = None,
        audio: ChatCompletionAudioResponse | None = None,
        images: list[ImageURLListItem] | None = None,
        provider_specific_fields: dict[str, Any] | None = None,
        reasoning_content: str | None = None,
        thinking_blocks: list[ChatCompletionThinkingBlock | ChatCompletionRedactedThinkingBlock]
        | None = None,
        reasoning_items: list[Any] | None = None,
        annotations: list[ChatCompletionAnnotation] | None = None,
        **params: Any,
    ) -> None:
        calls = None
        if tool_calls:
            calls = [
                ChatCompletionMessageToolCall(**call) if isinstance(call, dict) else call
                for call in tool_calls
            ]
        if isinstance(function_call, dict):
            function_call = FunctionCall(**function_call)
        optional = {
            "audio": audio,
            "images": images,
            "reasoning_content": reasoning_content,
            "thinking_blocks": thinking_blocks,
            "reasoning_items": reasoning_items,
            "annotations": annotations,
        }
        super().__init__(
            content=content,
            role=role,
            function_call=function_call,
            tool_calls=calls,
            **(
                {"provider_specific_fields": provider_specific_fields}
                if provider_specific_fields
                else {}
            ),
            **given(optional),
            **params,
        )
        self._forget_unset(*optional)


class Delta(Access, SafeAttributeModel):
    """What a chunk adds to a message."""

    reasoning_content: str | None = None
    thinking_blocks: (
        list[ChatCompletionThinkingBlock | ChatCompletionRedactedThinkingBlock] | None
    ) = None
    reasoning_items: list[Any] | None = None
    provider_specific_fields: dict[str, Any] | None = None

    def __init__(
        self,
        content: Any = None,
        role: Any = None,
        function_call: Any = None,
        tool_calls: Any = None,
        audio: ChatCompletionAudioResponse | None = None,
        images: list[ImageURLListItem] | None = None,
        reasoning_content: str | None = None,
        thinking_blocks: list[ChatCompletionThinkingBlock | ChatCompletionRedactedThinkingBlock]
        | None = None,
        reasoning_items: list[Any] | None = None,
        annotations: list[ChatCompletionAnnotation] | None = None,
        **params: Any,
    ) -> None:
        calls = None
        if tool_calls is not None:
            calls = [_fragment(call, place) for place, call in enumerate(tool_calls)]
        if isinstance(function_call, dict):
            function_call = FunctionCall(**{"arguments": "", **function_call})
        optional = {
            "reasoning_content": reasoning_content,
            "thinking_blocks": thinking_blocks,
            "reasoning_items": reasoning_items,
        }
        extra = {"images": images, "annotations": annotations}
        super().__init__(
            **given(optional),
            **params,
            content=content,
            role=role,
            function_call=function_call,
            tool_calls=calls,
            audio=audio,
            **given(extra),
        )
        self._forget_unset(*optional)


def _fragment(call: Any, place: int) -> Any:
    if not isinstance(call, dict):
        return call
    fields = {"type": "function", **call}
    fields["type"] = fields["type"] or "function"
    fields["index"] = place if fields.get("index") is None else fields["index"]
    function = fields.get("function") or {}
    fields["function"] = Function(**function) if isinstance(function, dict) else function
    return ChatCompletionDeltaToolCall(**fields)
