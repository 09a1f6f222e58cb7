"""The answers and their parts, with litellm's fields, leniency and dumps.

What litellm 1.106 does, these do: fields that it leaves out while they are empty are absent here as
well (`hasattr(message, "reasoning_content")` is false then), and a missing `usage` is no attribute.
"""

from __future__ import annotations

import json
import time
import uuid
from enum import Enum
from typing import Any, Literal

from openai import BaseModel as OpenAIObject
from openai.types.chat.chat_completion_audio import ChatCompletionAudio
from openai.types.completion_usage import (
    CompletionTokensDetails,
    CompletionUsage,
    PromptTokensDetails,
)
from pydantic import BaseModel, ConfigDict, PrivateAttr
from typing_extensions import TypedDict

from ..litellm_core_utils.core_helpers import map_finish_reason
from ._access import Access, ItemAccess
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


def _new_id(prefix: str = "chatcmpl-") -> str:
    return f"{prefix}{uuid.uuid4()}"


class CostPerToken(TypedDict):
    """Prices of one's own, in US dollars per token."""

    input_cost_per_token: float
    output_cost_per_token: float


class LiteLLMBaseModel(BaseModel):
    """What litellm derives its own models from."""

    model_config = ConfigDict(protected_namespaces=())


class SafeAttributeModel(OpenAIObject):
    """A model of which fields can be deleted, to be absent from then on."""

    def __delattr__(self, name: str) -> None:
        self.__dict__.pop(name, None)
        self.__pydantic_fields_set__.discard(name)
        if self.__pydantic_extra__ is not None:
            self.__pydantic_extra__.pop(name, None)


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
            **{name: value for name, value in optional.items() if value is not None},
            **params,
        )
        for name, value in optional.items():
            if value is None:
                delattr(self, name)


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
            **{name: value for name, value in optional.items() if value is not None},
            **params,
            content=content,
            role=role,
            function_call=function_call,
            tool_calls=calls,
            audio=audio,
            **{name: value for name, value in extra.items() if value is not None},
        )
        for name, value in optional.items():
            if value is None:
                delattr(self, name)


def _fragment(call: Any, place: int) -> Any:
    if not isinstance(call, dict):
        return call
    given = {"type": "function", **call}
    given["type"] = given["type"] or "function"
    given["index"] = place if given.get("index") is None else given["index"]
    function = given.get("function") or {}
    given["function"] = Function(**function) if isinstance(function, dict) else function
    return ChatCompletionDeltaToolCall(**given)


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
            **{name: value for name, value in optional.items() if value is not None},
            **params,
        )
        for name, value in optional.items():
            if value is None:
                delattr(self, name)


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


# ------------------------------------------------------------------------------------------- usage


class PromptTokensDetailsWrapper(SafeAttributeModel, PromptTokensDetails):
    """What the prompt's tokens were."""

    text_tokens: int | None = None
    image_tokens: int | None = None
    video_tokens: int | None = None
    web_search_requests: int | None = None
    character_count: int | None = None
    image_count: int | None = None
    video_length_seconds: float | None = None
    cache_creation_tokens: int | None = None
    cache_creation_token_details: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        params = kwargs
        written, created = params.get("cache_write_tokens"), params.get("cache_creation_tokens")
        if written is not None or created is not None:
            params["cache_write_tokens"] = written if written is not None else created
            params["cache_creation_tokens"] = created if created is not None else written
        super().__init__(*args, **params)
        for name in _ABSENT_IN_PROMPT_DETAILS:
            if getattr(self, name, None) is None:
                delattr(self, name)


_ABSENT_IN_PROMPT_DETAILS = (
    "web_search_requests",
    "character_count",
    "image_count",
    "video_length_seconds",
    "cache_write_tokens",
    "cache_creation_tokens",
    "cache_creation_token_details",
)


class CompletionTokensDetailsWrapper(CompletionTokensDetails):
    """What the completion's tokens were."""

    text_tokens: int | None = None
    image_tokens: int | None = None
    video_tokens: int | None = None


class ServerToolUse(LiteLLMBaseModel):
    """How often the provider's own tools were used."""

    web_search_requests: int | None = None
    tool_search_requests: int | None = None
    browser_open_requests: int | None = None


class Usage(Access, SafeAttributeModel, CompletionUsage):
    """Tokens of one call. As OpenAI counts them: cached ones are inside `prompt_tokens`."""

    completion_tokens_details: CompletionTokensDetailsWrapper | None = None
    prompt_tokens_details: PromptTokensDetailsWrapper | None = None
    server_tool_use: ServerToolUse | None = None
    cost: float | None = None

    _cache_creation_input_tokens: int = PrivateAttr(0)
    _cache_read_input_tokens: int = PrivateAttr(0)

    def __init__(
        self,
        prompt_tokens: int | None = None,
        completion_tokens: int | None = None,
        total_tokens: int | None = None,
        reasoning_tokens: int | None = None,
        prompt_tokens_details: PromptTokensDetailsWrapper
        | PromptTokensDetails
        | dict[str, Any]
        | None = None,
        completion_tokens_details: CompletionTokensDetailsWrapper | dict[str, Any] | None = None,
        server_tool_use: ServerToolUse | dict[str, Any] | None = None,
        cost: float | None = None,
        **params: Any,
    ) -> None:
        completion = _details_dict(completion_tokens_details)
        if reasoning_tokens:
            completion = completion or {}
            if completion.get("reasoning_tokens") is None:
                completion["reasoning_tokens"] = reasoning_tokens
            if completion.get("text_tokens") is None and completion_tokens:
                completion["text_tokens"] = completion_tokens - reasoning_tokens
        prompt = _details_dict(prompt_tokens_details)
        created = params.get("cache_creation_input_tokens")
        read = params.get("cache_read_input_tokens")
        hit = params.get("prompt_cache_hit_tokens")
        if created is not None:
            prompt = prompt or {}
            prompt.setdefault("cache_creation_tokens", created)
        if (cached := read if read is not None else hit) is not None:
            prompt = prompt or {}
            if prompt.get("cached_tokens") is None:
                prompt["cached_tokens"] = cached
        if isinstance(server_tool_use, dict):
            server_tool_use = ServerToolUse(**server_tool_use)
        super().__init__(
            prompt_tokens=prompt_tokens or 0,
            completion_tokens=completion_tokens or 0,
            total_tokens=total_tokens or 0,
            completion_tokens_details=None
            if completion is None
            else CompletionTokensDetailsWrapper(**completion),
            prompt_tokens_details=None if prompt is None else PromptTokensDetailsWrapper(**prompt),
            server_tool_use=server_tool_use,
            cost=cost,
            **params,
        )
        self._cache_creation_input_tokens = created or 0
        self._cache_read_input_tokens = cached or 0
        for name in ("server_tool_use", "cost"):
            if getattr(self, name) is None:
                delattr(self, name)


def _details_dict(details: Any) -> dict[str, Any] | None:
    if details is None or isinstance(details, dict):
        return None if details is None else dict(details)
    dumped: dict[str, Any] = details.model_dump()
    return dumped


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
            id=id or _new_id(),
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
        given = choices if isinstance(choices, list) else [] if choices is None else [choices]
        chosen = [_as_streaming_choice(choice) for choice in given]
        if choices is None:
            chosen = [StreamingChoices()]
        if isinstance(usage := kwargs.get("usage"), dict):
            kwargs["usage"] = Usage(**usage)
        elif usage is None:
            kwargs.pop("usage", None)
        kwargs["object"] = "chat.completion.chunk"
        super().__init__(
            id=id or _new_id(),
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
            id=id or _new_id("cmpl-"),
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
    "ImageURLListItem",
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
    "Usage",
]
