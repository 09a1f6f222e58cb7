"""The answers and their parts, with litellm's fields, leniency and dumps.

What litellm 1.106 does, these do: fields that it leaves out while they are empty are absent here as
well (`hasattr(message, "reasoning_content")` is false then), and a missing `usage` is no attribute.
"""

from __future__ import annotations

import time
from enum import Enum
from typing import Any, Literal

from openai import BaseModel as OpenAIObject
from openai.types.completion_usage import (
    CompletionTokensDetails,
    CompletionUsage,
    PromptTokensDetails,
)
from pydantic import BaseModel, PrivateAttr
from typing_extensions import TypedDict

from ..litellm_core_utils.core_helpers import map_finish_reason
from ._access import Access, ItemAccess, LiteLLMBaseModel, SafeAttributeModel, given, new_id
from ._media import ImageObject, ImageResponse, ImageUsage, TranscriptionResponse
from ._messages import (
    ChatCompletionAudioResponse,
    ChatCompletionDeltaToolCall,
    ChatCompletionMessageToolCall,
    ChatCompletionTokenLogprob,
    ChoiceLogprobs,
    Delta,
    Function,
    FunctionCall,
    Message,
    TopLogprob,
)
from ._usage import (
    CompletionTokensDetailsWrapper,
    PromptTokensDetailsWrapper,
    ServerToolUse,
    Usage,
)
from .info import LlmProviders, ModelInfo, ModelInfoBase
from .llms.openai import (
    AllMessageValues,
    ChatCompletionAnnotation,
    ChatCompletionRedactedThinkingBlock,
    ChatCompletionThinkingBlock,
    ChatCompletionToolCallChunk,
    ChatCompletionToolParam,
    ChatCompletionUsageBlock,
    ImageURLListItem,
    ResponsesAPIResponse,
)

FinishReason = Literal[
    "stop",
    "content_filter",
    "function_call",
    "tool_calls",
    "length",
    "guardrail_intervened",
    "eos",
    "finish_reason_unspecified",
    "malformed_function_call",
]
OpenAIChatCompletionFinishReason = FinishReason


class CostPerToken(TypedDict):
    """Prices of one's own, in US dollars per token."""

    input_cost_per_token: float
    output_cost_per_token: float


# ----------------------------------------------------------------------------------------- choices


class Choices(Access, SafeAttributeModel):
    """One of the answers."""

    finish_reason: FinishReason
    index: int
    message: Message
    logprobs: ChoiceLogprobs | Any | None = None
    provider_specific_fields: dict[str, Any] | None = None

    def __init__(
        self,
        finish_reason: Any = None,
        index: int = 0,
        message: Message | dict[str, Any] | None = None,
        logprobs: ChoiceLogprobs | dict[str, Any] | Any | None = None,
        enhancements: Any = None,
        provider_specific_fields: dict[str, Any] | None = None,
        **params: Any,
    ) -> None:
        mapped = "stop" if finish_reason is None else map_finish_reason(finish_reason)
        if finish_reason is not None and mapped != finish_reason:
            native = {"native_finish_reason": finish_reason}
            if finish_reason != "eos":
                provider_specific_fields = {**native, **(provider_specific_fields or {})}
        if message is None:
            message = Message()
        elif isinstance(message, dict):
            message = Message(**message)
        if isinstance(logprobs, dict):
            logprobs = ChoiceLogprobs(**logprobs)
        optional = {"logprobs": logprobs, "provider_specific_fields": provider_specific_fields}
        if enhancements is not None:
            params["enhancements"] = enhancements
        super().__init__(
            finish_reason=mapped,
            index=index,
            message=message,
            **given(optional),
            **params,
        )
        self._forget_unset(*optional)


class StreamingChoices(Access, OpenAIObject):
    """A choice's part of a chunk."""

    def __init__(
        self,
        finish_reason: Any = None,
        index: int = 0,
        delta: Delta | None = None,
        logprobs: Any = None,
        enhancements: Any = None,
        **params: Any,
    ) -> None:
        if finish_reason is not None:
            finish_reason = map_finish_reason(finish_reason)
        if isinstance(delta, dict):
            delta = Delta(**delta)
        elif delta is None:
            delta = Delta()
        if isinstance(logprobs, dict):
            logprobs = ChoiceLogprobs(**logprobs)
        if enhancements is not None:
            params["enhancements"] = enhancements
        super().__init__(
            finish_reason=finish_reason,
            index=index,
            delta=delta,
            logprobs=logprobs,
            **params,
        )


# --------------------------------------------------------------------------------------- responses


class ModelResponseBase(OpenAIObject):
    """What whole answers and chunks share.

    Attributes:
        _hidden_params: `response_cost`, `model_id`, `api_base`, `custom_llm_provider`, ….
        _response_headers: The provider's headers, if they were kept.
    """

    id: str
    created: int
    model: str | None = None
    object: str
    system_fingerprint: str | None = None

    _hidden_params: dict[str, Any] = PrivateAttr(default_factory=dict)
    _response_headers: dict[str, Any] | None = PrivateAttr(None)

    def model_dump(self, **options: Any) -> dict[str, Any]:
        """As pydantic's, but without what was never set, unless that is asked for."""
        options.setdefault("exclude_unset", True)
        return super().model_dump(**options)


class ModelResponse(Access, ModelResponseBase):
    """A whole answer."""

    choices: list[Choices]

    def __init__(
        self,
        id: str | None = None,
        choices: Any = None,
        created: int | None = None,
        model: str | None = None,
        object: str | None = None,
        system_fingerprint: str | None = None,
        usage: Any = None,
        stream: Any = None,
        stream_options: Any = None,
        response_ms: float | None = None,
        hidden_params: dict[str, Any] | None = None,
        _response_headers: dict[str, Any] | None = None,
        **params: Any,
    ) -> None:
        del stream_options, hidden_params, stream  # taken, and of no effect, as in litellm
        if isinstance(choices, list):
            chosen = [_as_choice(choice) for choice in choices]
        else:
            chosen = [Choices()] if choices is None else [_as_choice(choices)]
        if isinstance(usage, dict):
            usage = Usage(**usage)
        if usage is not None:
            params = {"usage": usage, **params}
        super().__init__(
            id=id or new_id(),
            choices=chosen,
            created=int(time.time()) if created is None else created,
            model=model,
            object=object or "chat.completion",
            system_fingerprint=system_fingerprint,
            **params,
        )
        if response_ms:
            self._response_ms = response_ms
        if _response_headers:
            self._response_headers = _response_headers

    _response_ms: float | None = PrivateAttr(None)


def _as_choice(choice: Any) -> Any:
    if isinstance(choice, Choices):
        return choice
    if isinstance(choice, BaseModel):
        choice = choice.model_dump()
    return Choices(**choice) if isinstance(choice, dict) else choice


class ModelResponseStream(Access, ModelResponseBase):
    """A chunk of a streamed answer."""

    choices: list[StreamingChoices]
    provider_specific_fields: dict[str, Any] | None = None

    def __init__(
        self,
        choices: list[StreamingChoices]
        | StreamingChoices
        | dict[str, Any]
        | BaseModel
        | None = None,
        id: str | None = None,
        created: int | None = None,
        provider_specific_fields: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        listed = choices if isinstance(choices, list) else [] if choices is None else [choices]
        chosen = [_as_streaming_choice(choice) for choice in listed]
        if choices is None:
            chosen = [StreamingChoices()]
        if isinstance(usage := kwargs.get("usage"), dict):
            kwargs["usage"] = Usage(**usage)
        elif usage is None:
            kwargs.pop("usage", None)
        kwargs["object"] = "chat.completion.chunk"
        super().__init__(
            id=id or new_id(),
            choices=chosen,
            created=int(time.time()) if created is None else created,
            provider_specific_fields=provider_specific_fields,
            **kwargs,
        )


def _as_streaming_choice(choice: Any) -> Any:
    if isinstance(choice, StreamingChoices):
        return choice
    if isinstance(choice, BaseModel):
        choice = choice.model_dump()
    return StreamingChoices(**choice) if isinstance(choice, dict) else choice


class TextChoices(ItemAccess, OpenAIObject):
    """One of the answers of a text completion."""

    def __init__(
        self,
        finish_reason: Any = None,
        index: int = 0,
        text: str | None = None,
        logprobs: Any = None,
        **params: Any,
    ) -> None:
        super().__init__(
            finish_reason=map_finish_reason(finish_reason) if finish_reason else None,
            index=index,
            text=text,
            logprobs=logprobs,
            **params,
        )


class TextCompletionResponse(Access, OpenAIObject):
    """The answer of a text completion. Scallion makes none: here for `isinstance`."""

    id: str
    object: str
    created: int
    model: str | None
    choices: list[TextChoices]
    usage: Usage | None

    _hidden_params: dict[str, Any] = PrivateAttr(default_factory=dict)

    def __init__(
        self,
        id: str | None = None,
        choices: Any = None,
        created: int | None = None,
        model: str | None = None,
        usage: Any = None,
        stream: bool = False,
        response_ms: float | None = None,
        object: str | None = None,
        **params: Any,
    ) -> None:
        del stream, response_ms
        if isinstance(usage, dict):
            usage = Usage(**usage)
        super().__init__(
            id=id or new_id("cmpl-"),
            object=object or "text_completion",
            created=int(time.time()) if created is None else created,
            model=model,
            choices=[c if isinstance(c, TextChoices) else TextChoices(**c) for c in choices]
            if choices
            else [TextChoices()],
            usage=usage or Usage(),
            **params,
        )


class Embedding(OpenAIObject):
    """One vector."""

    embedding: list[float] | str
    index: int
    object: Literal["embedding"]


class EmbeddingResponse(Access, OpenAIObject):
    """Vectors for texts."""

    model: str | None = None
    data: list[Any]
    object: Literal["list"]
    usage: Usage | None = None

    _hidden_params: dict[str, Any] = PrivateAttr(default_factory=dict)
    _response_headers: dict[str, Any] | None = PrivateAttr(None)

    def __init__(
        self,
        model: str | None = None,
        usage: Any = None,
        response_ms: float | None = None,
        data: Any = None,
        hidden_params: dict[str, Any] | None = None,
        _response_headers: dict[str, Any] | None = None,
        **params: Any,
    ) -> None:
        del response_ms
        params["object"] = "list"
        if isinstance(usage, dict):
            usage = Usage(**usage)
        super().__init__(model=model, data=data or [], usage=usage or Usage(), **params)
        if hidden_params:
            self._hidden_params = hidden_params
        if _response_headers:
            self._response_headers = _response_headers


class GenericStreamingChunk(TypedDict, total=False):
    """A chunk as litellm's custom providers make them."""

    text: str
    tool_use: Any
    is_finished: bool
    finish_reason: str
    usage: Any
    index: int
    provider_specific_fields: dict[str, Any] | None


class StandardLoggingPayload(dict[str, Any]):
    """What `kwargs["standard_logging_object"]` of a callback is."""


class CallTypes(str, Enum):
    """Which function was called."""

    completion = "completion"
    acompletion = "acompletion"
    embedding = "embedding"
    aembedding = "aembedding"
    text_completion = "text_completion"
    atext_completion = "atext_completion"
    responses = "responses"
    aresponses = "aresponses"


__all__ = [
    "AllMessageValues",
    "CallTypes",
    "ChatCompletionAnnotation",
    "ChatCompletionAudioResponse",
    "ChatCompletionDeltaToolCall",
    "ChatCompletionMessageToolCall",
    "ChatCompletionRedactedThinkingBlock",
    "ChatCompletionThinkingBlock",
    "ChatCompletionTokenLogprob",
    "ChatCompletionToolCallChunk",
    "ChatCompletionToolParam",
    "ChatCompletionUsageBlock",
    "ChoiceLogprobs",
    "Choices",
    "CompletionTokensDetails",
    "CompletionTokensDetailsWrapper",
    "CompletionUsage",
    "CostPerToken",
    "Delta",
    "Embedding",
    "EmbeddingResponse",
    "Function",
    "FunctionCall",
    "GenericStreamingChunk",
    "ImageObject",
    "ImageResponse",
    "ImageURLListItem",
    "ImageUsage",
    "LiteLLMBaseModel",
    "LlmProviders",
    "Message",
    "ModelInfo",
    "ModelInfoBase",
    "ModelResponse",
    "ModelResponseBase",
    "ModelResponseStream",
    "OpenAIChatCompletionFinishReason",
    "OpenAIObject",
    "PromptTokensDetails",
    "PromptTokensDetailsWrapper",
    "ResponsesAPIResponse",
    "SafeAttributeModel",
    "ServerToolUse",
    "StandardLoggingPayload",
    "StreamingChoices",
    "TextChoices",
    "TextCompletionResponse",
    "TopLogprob",
    "TranscriptionResponse",
    "Usage",
]
