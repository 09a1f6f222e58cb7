"""What providers call the end of an answer, in OpenAI's words."""

from __future__ import annotations

from typing import Any

# Facts of the providers' own documentation: their word, and what it means.
_MEANINGS = {
    "stop_sequence": "stop",
    "end_turn": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "COMPLETE": "stop",
    "STOP": "stop",
    "max_tokens": "length",
    "MAX_TOKENS": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "content_filtered": "content_filter",
}
_OPENAI = frozenset({"stop", "length", "tool_calls", "function_call", "content_filter"})


def map_finish_reason(finish_reason: Any) -> Any:
    """OpenAI's finish reason for a provider's; `stop` for one that nobody knows."""
    if finish_reason in _OPENAI or not isinstance(finish_reason, str):
        return finish_reason
    return _MEANINGS.get(finish_reason, "stop")
