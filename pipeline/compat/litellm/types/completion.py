"""Messages as OpenAI's first chat endpoint took them: the names that came before `types.llms`."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from typing_extensions import TypedDict


class ImageURL(TypedDict, total=False):
    """Where an image is."""

    url: str
    detail: Literal["auto", "low", "high"]


class ChatCompletionContentPartTextParam(TypedDict, total=False):
    """Text."""

    text: str
    type: Literal["text"]


class ChatCompletionContentPartImageParam(TypedDict, total=False):
    """An image."""

    image_url: ImageURL
    type: Literal["image_url"]


ChatCompletionContentPartParam: TypeAlias = (
    ChatCompletionContentPartTextParam | ChatCompletionContentPartImageParam
)


class Function(TypedDict, total=False):
    """The function that a tool call is for."""

    arguments: str
    name: str


class FunctionCall(TypedDict, total=False):
    """A function call."""

    arguments: str
    name: str


class ChatCompletionMessageToolCallParam(TypedDict, total=False):
    """A tool call."""

    id: str
    function: Function
    type: Literal["function"]


class ChatCompletionSystemMessageParam(TypedDict, total=False):
    """What the application says."""

    content: str
    role: Literal["system"]
    name: str


class ChatCompletionUserMessageParam(TypedDict, total=False):
    """What the user says."""

    content: str | list[ChatCompletionContentPartParam]
    role: Literal["user"]
    name: str


class ChatCompletionAssistantMessageParam(TypedDict, total=False):
    """What the model said."""

    role: Literal["assistant"]
    content: str | None
    function_call: FunctionCall
    name: str
    tool_calls: list[ChatCompletionMessageToolCallParam]


class ChatCompletionToolMessageParam(TypedDict, total=False):
    """What a tool returned."""

    content: str | list[Any]
    role: Literal["tool"]
    tool_call_id: str


class ChatCompletionFunctionMessageParam(TypedDict, total=False):
    """What a function returned."""

    content: str | list[Any] | None
    name: str
    role: Literal["function"]


ChatCompletionMessageParam: TypeAlias = (
    ChatCompletionSystemMessageParam
    | ChatCompletionUserMessageParam
    | ChatCompletionAssistantMessageParam
    | ChatCompletionFunctionMessageParam
    | ChatCompletionToolMessageParam
)
