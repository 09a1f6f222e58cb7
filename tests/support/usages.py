"""Usages as providers say them."""

from __future__ import annotations

from typing import Any

from scallion.types import Usage


def usage(
    prompt: int = 0, completion: int = 0, *, inside: Any = None, made: Any = None, **extra: Any
) -> Usage:
    """A usage from the wire, where details and foreign fields are JSON.

    Args:
        prompt: Tokens, as is `completion`; the total is their sum, unless `extra` has another.
        inside: What the prompt's tokens are said to be, and `made` those of the completion.
        extra: Any other field.
    """
    said = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": inside,
        "completion_tokens_details": made,
    }
    return Usage.model_validate({**said, **extra})
