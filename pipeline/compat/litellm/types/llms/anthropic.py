"""Claude's own parameters, for annotations."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict


class AnthropicThinkingParam(TypedDict, total=False):
    """How much Claude is to think."""

    type: Literal["enabled", "adaptive", "disabled"]
    budget_tokens: int
    display: Literal["summarized", "omitted", "updates"]
