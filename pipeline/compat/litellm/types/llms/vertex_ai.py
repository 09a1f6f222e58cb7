"""Parts of Gemini's own messages, so that code that mentions them can be imported."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict


class PartType(TypedDict, total=False):
    """A part of a message as Gemini's own API takes it, which Scallion does not speak."""

    text: str
    inline_data: Any
    file_data: Any
    function_call: Any
    function_response: Any
    thought: bool
