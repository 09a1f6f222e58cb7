"""The objects of OpenAI's Responses API, under litellm's names.

They are here so that code that mentions them can be imported; Scallion speaks Chat Completions.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from openai.types.responses import ResponseFunctionToolCall as ResponseFunctionToolCall
from openai.types.responses import ResponseInputParam as ResponseInputParam

from .base import BaseLiteLLMOpenAIResponseObject


class ResponseAPIUsage(BaseLiteLLMOpenAIResponseObject):
    """Tokens of one call."""

    input_tokens: int
    input_tokens_details: Any = None
    output_tokens: int
    output_tokens_details: Any = None
    total_tokens: int
    cost: float | None = None


class ResponsesAPIResponse(BaseLiteLLMOpenAIResponseObject):
    """A whole answer."""

    id: str
    created_at: int
    output: list[Any]
    model: str | None = None
    object: str | None = "response"
    parallel_tool_calls: bool | None = None
    tool_choice: Any = None
    tools: list[Any] | None = None
    status: str | None = None
    usage: ResponseAPIUsage | None = None
    instructions: Any = None
    previous_response_id: str | None = None


class ResponsesAPIStreamingResponse(BaseLiteLLMOpenAIResponseObject):
    """An event of a streamed answer."""

    type: str


class OutputTextDeltaEvent(ResponsesAPIStreamingResponse):
    """Text."""

    item_id: str
    output_index: int
    content_index: int
    delta: str


class RefusalDeltaEvent(OutputTextDeltaEvent):
    """Text of a refusal."""


class ReasoningSummaryTextDeltaEvent(ResponsesAPIStreamingResponse):
    """Text of a summary of the thinking."""

    item_id: str
    output_index: int
    delta: str


class ResponseCompletedEvent(ResponsesAPIStreamingResponse):
    """The end."""

    response: ResponsesAPIResponse


class ResponseFailedEvent(ResponseCompletedEvent):
    """The end, by a failure."""


class ResponseIncompleteEvent(ResponseCompletedEvent):
    """The end, before all was said."""


class ErrorEventError(BaseLiteLLMOpenAIResponseObject):
    """What went wrong."""

    type: str | None = None
    code: str | None = None
    message: str | None = None
    param: str | None = None


class ErrorEvent(ResponsesAPIStreamingResponse):
    """A failure."""

    sequence_number: int = 0
    error: Any = None


# OpenAI's names of the events of a stream, each without its "response.".
_EVENTS = """
created in_progress completed failed incomplete reasoning_summary_text.delta
reasoning_summary_text.done reasoning_summary_part.done output_item.added output_item.done
content_part.added content_part.done output_text.delta output_text.annotation.added
output_text.done refusal.delta refusal.done function_call_arguments.delta
function_call_arguments.done custom_tool_call_input.delta custom_tool_call_input.done
file_search_call.in_progress file_search_call.searching file_search_call.completed
web_search_call.in_progress web_search_call.searching web_search_call.completed
mcp_list_tools.in_progress mcp_list_tools.completed mcp_list_tools.failed mcp_call.in_progress
mcp_call_arguments.delta mcp_call_arguments.done mcp_call.completed mcp_call.failed
shell_call.in_progress shell_call.completed
"""
# Those whose names at litellm are not their own in capitals.
_NAMED_DIFFERENTLY = {
    **{f"RESPONSE_{name.upper()}": f"response.{name}" for name in _EVENTS.split()[:5]},
    "RESPONSE_PART_ADDED": "response.reasoning_summary_part.added",
    "SHELL_CALL_OUTPUT": "response.shell_call_output.done",
    "IMAGE_GENERATION_PARTIAL_IMAGE": "image_generation.partial_image",
    "ERROR": "error",
}


class _Event(str, Enum):
    """The type of an event that is also its text."""


ResponsesAPIStreamEvents: Any = _Event(  # type: ignore[call-overload]
    "ResponsesAPIStreamEvents",
    {name.replace(".", "_").upper(): f"response.{name}" for name in _EVENTS.split()[5:]}
    | _NAMED_DIFFERENTLY,
    module=__name__,
)
