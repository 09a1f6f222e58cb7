"""Messages, tools and content parts as OpenAI takes them, under litellm's names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, Required, TypeAlias

from openai.types.chat import ChatCompletionAudioParam as ChatCompletionAudioParam
from openai.types.chat import (
    ChatCompletionContentPartInputAudioParam as ChatCompletionContentPartInputAudioParam,
)
from openai.types.chat import ChatCompletionModality as ChatCompletionModality
from openai.types.chat import (
    ChatCompletionPredictionContentParam as ChatCompletionPredictionContentParam,
)
from openai.types.chat.chat_completion_content_part_input_audio_param import InputAudio
from typing_extensions import TypedDict

from ._responses import ErrorEvent as ErrorEvent
from ._responses import ErrorEventError as ErrorEventError
from ._responses import OutputTextDeltaEvent as OutputTextDeltaEvent
from ._responses import ReasoningSummaryTextDeltaEvent as ReasoningSummaryTextDeltaEvent
from ._responses import RefusalDeltaEvent as RefusalDeltaEvent
from ._responses import ResponseAPIUsage as ResponseAPIUsage
from ._responses import ResponseCompletedEvent as ResponseCompletedEvent
from ._responses import ResponseFailedEvent as ResponseFailedEvent
from ._responses import ResponseFunctionToolCall as ResponseFunctionToolCall
from ._responses import ResponseIncompleteEvent as ResponseIncompleteEvent
from ._responses import ResponseInputParam as ResponseInputParam
from ._responses import ResponsesAPIResponse as ResponsesAPIResponse
from ._responses import ResponsesAPIStreamEvents as ResponsesAPIStreamEvents
from ._responses import ResponsesAPIStreamingResponse as ResponsesAPIStreamingResponse
from .base import BaseLiteLLMOpenAIResponseObject as BaseLiteLLMOpenAIResponseObject


class ChatCompletionCachedContent(TypedDict, total=False):
    """A mark up to which the provider is to cache the prompt."""

    type: Required[Literal["ephemeral"]]
    ttl: str


# --------------------------------------------------------------------------------- content parts


class ChatCompletionTextObject(TypedDict, total=False):
    """Text."""

    type: Required[Literal["text"]]
    text: Required[str]
    cache_control: ChatCompletionCachedContent


class ChatCompletionImageUrlObject(TypedDict, total=False):
    """Where an image is."""

    url: Required[str]
    detail: str
    format: str


class ChatCompletionImageObject(TypedDict):
    """An image."""

    type: Literal["image_url"]
    image_url: str | ChatCompletionImageUrlObject


class ChatCompletionVideoUrlObject(TypedDict, total=False):
    """Where a film is."""

    url: Required[str]
    detail: str


class ChatCompletionVideoObject(TypedDict):
    """A film."""

    type: Literal["video_url"]
    video_url: str | ChatCompletionVideoUrlObject


class ChatCompletionAudioObject(TypedDict):
    """Sound."""

    input_audio: InputAudio
    type: Literal["input_audio"]


class DocumentObject(TypedDict):
    """A document's data."""

    type: Literal["text"]
    media_type: str
    data: str


class CitationsObject(TypedDict):
    """Whether to cite from a document."""

    enabled: bool


class ChatCompletionDocumentObject(TypedDict):
    """A document."""

    type: Literal["document"]
    source: DocumentObject
    title: str
    context: str
    citations: CitationsObject | None


class ChatCompletionFileObjectFile(TypedDict, total=False):
    """A file's data, or its id."""

    file_data: str
    file_id: str
    filename: str
    format: str


class ChatCompletionFileObject(TypedDict):
    """A file."""

    type: Literal["file"]
    file: ChatCompletionFileObjectFile


class ImageURLObject(TypedDict, total=False):
    """Where an image of an answer is."""

    url: Required[str]
    detail: str


class ImageURLListItem(TypedDict):
    """An image of an answer."""

    image_url: ImageURLObject
    index: int
    type: Literal["image_url"]


class ChatCompletionThinkingBlock(TypedDict, total=False):
    """A block of Claude's thinking."""

    type: Required[Literal["thinking"]]
    thinking: str
    signature: str | None
    cache_control: dict[str, Any] | ChatCompletionCachedContent | None


class AnthropicThinkingParam(TypedDict, total=False):
    """How much Claude is to think."""

    type: Literal["enabled", "adaptive", "disabled"]
    budget_tokens: int
    display: Literal["summarized", "omitted", "updates"]


class ChatCompletionRedactedThinkingBlock(TypedDict, total=False):
    """One that only Claude can read."""

    type: Required[Literal["redacted_thinking"]]
    data: str
    cache_control: dict[str, Any] | ChatCompletionCachedContent | None


class ChatCompletionReasoningItem(TypedDict, total=False):
    """Reasoning of the Responses API."""

    type: Required[Literal["reasoning"]]
    id: str
    summary: list[Any]
    encrypted_content: str | None


class ChatCompletionAnnotationURLCitation(TypedDict, total=False):
    """A citation from a page."""

    start_index: int
    end_index: int
    title: str
    url: str


class ChatCompletionAnnotation(TypedDict, total=False):
    """An annotation of an answer."""

    type: Literal["url_citation"]
    url_citation: ChatCompletionAnnotationURLCitation


# ------------------------------------------------------------------------------------- tool calls


class ChatCompletionToolCallFunctionChunk(TypedDict, total=False):
    """The function that a call is for."""

    name: str | None
    arguments: str
    provider_specific_fields: dict[str, Any] | None


class ChatCompletionAssistantToolCall(TypedDict):
    """A tool call of a message."""

    id: str | None
    type: Literal["function"]
    function: ChatCompletionToolCallFunctionChunk


class ChatCompletionToolCallChunk(TypedDict):
    """A tool call of an answer."""

    id: str | None
    type: Literal["function"]
    function: ChatCompletionToolCallFunctionChunk
    index: int


class ChatCompletionDeltaToolCallChunk(TypedDict, total=False):
    """A fragment of one."""

    id: str
    type: Literal["function"]
    function: ChatCompletionToolCallFunctionChunk
    index: int


class ChatCompletionToolParamFunctionChunk(TypedDict, total=False):
    """A function that may be called."""

    name: Required[str]
    description: str
    parameters: dict[str, Any]
    strict: bool


class ChatCompletionToolParam(TypedDict, total=False):
    """A tool that may be called."""

    type: Required[str]
    function: Required[ChatCompletionToolParamFunctionChunk]
    cache_control: ChatCompletionCachedContent


class ChatCompletionToolChoiceFunctionParam(TypedDict):
    """The function that has to be called."""

    name: str


class ChatCompletionToolChoiceObjectParam(TypedDict):
    """The tool that has to be called."""

    type: Literal["function"]
    function: ChatCompletionToolChoiceFunctionParam


class ChatCompletionNamedToolChoiceParam(TypedDict):
    """The same."""

    type: Literal["function"]
    function: ChatCompletionToolChoiceFunctionParam


ChatCompletionToolChoiceStringValues: TypeAlias = Literal["none", "auto", "required"]
ChatCompletionToolChoiceValues: TypeAlias = (
    ChatCompletionToolChoiceStringValues | ChatCompletionToolChoiceObjectParam
)


# --------------------------------------------------------------------------------------- messages

OpenAIMessageContentListBlock: TypeAlias = (
    ChatCompletionTextObject
    | ChatCompletionImageObject
    | ChatCompletionAudioObject
    | ChatCompletionDocumentObject
    | ChatCompletionVideoObject
    | ChatCompletionFileObject
)
OpenAIMessageContent: TypeAlias = str | Iterable[OpenAIMessageContentListBlock]


class ChatCompletionUserMessage(TypedDict, total=False):
    """What the user says."""

    role: Required[Literal["user"]]
    content: Required[OpenAIMessageContent]
    cache_control: ChatCompletionCachedContent


class ChatCompletionAssistantMessage(TypedDict, total=False):
    """What the model said."""

    role: Required[Literal["assistant"]]
    content: (
        str
        | Iterable[
            ChatCompletionTextObject
            | ChatCompletionThinkingBlock
            | ChatCompletionRedactedThinkingBlock
            | ChatCompletionImageObject
        ]
        | None
    )
    name: str | None
    tool_calls: list[ChatCompletionAssistantToolCall] | None
    function_call: ChatCompletionToolCallFunctionChunk | None
    reasoning_content: str | None
    cache_control: ChatCompletionCachedContent
    thinking_blocks: list[ChatCompletionThinkingBlock | ChatCompletionRedactedThinkingBlock] | None
    reasoning_items: list[ChatCompletionReasoningItem] | None


class ChatCompletionToolMessage(TypedDict):
    """What a tool returned."""

    role: Literal["tool"]
    content: str | Iterable[ChatCompletionTextObject | ChatCompletionImageObject]
    tool_call_id: str


class ChatCompletionFunctionMessage(TypedDict):
    """What a function returned."""

    role: Literal["function"]
    content: str | list[Any] | None
    name: str
    tool_call_id: str | None


class ChatCompletionSystemMessage(TypedDict, total=False):
    """What the application says."""

    role: Required[Literal["system"]]
    content: Required[str | list[Any]]
    name: str
    cache_control: ChatCompletionCachedContent


class ChatCompletionDeveloperMessage(TypedDict, total=False):
    """The same, under its newer name."""

    role: Required[Literal["developer"]]
    content: Required[str | list[Any]]
    name: str
    cache_control: ChatCompletionCachedContent


AllMessageValues: TypeAlias = (
    ChatCompletionUserMessage
    | ChatCompletionAssistantMessage
    | ChatCompletionToolMessage
    | ChatCompletionSystemMessage
    | ChatCompletionFunctionMessage
    | ChatCompletionDeveloperMessage
)


class ChatCompletionUsageBlock(TypedDict, total=False):
    """Tokens of one call."""

    prompt_tokens: Required[int]
    completion_tokens: Required[int]
    total_tokens: Required[int]
    prompt_tokens_details: dict[str, Any] | None
    completion_tokens_details: dict[str, Any] | None


class OpenAIWebSearchOptions(TypedDict, total=False):
    """How to search the web."""

    search_context_size: Literal["low", "medium", "high"] | None
    user_location: dict[str, Any] | None
