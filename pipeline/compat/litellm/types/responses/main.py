"""Parts of the Responses API's answers, so that code that mentions them can be imported."""

from __future__ import annotations

from typing import Any

from ..llms.base import BaseLiteLLMOpenAIResponseObject


class OutputFunctionToolCall(BaseLiteLLMOpenAIResponseObject):
    """A tool call."""

    arguments: str | None = None
    call_id: str | None = None
    name: str | None = None
    type: str | None = None
    id: str | None = None
    status: str | None = None


class OutputText(BaseLiteLLMOpenAIResponseObject):
    """Text."""

    type: str | None = None
    text: str | None = None
    annotations: list[Any] | None = None


class GenericResponseOutputItem(BaseLiteLLMOpenAIResponseObject):
    """A message."""

    type: str
    id: str
    status: str
    role: str
    content: list[OutputText]
