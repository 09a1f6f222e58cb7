"""`AnthropicError`, for `except` clauses: nothing here raises it."""

from __future__ import annotations

from typing import Any


class AnthropicError(Exception):
    """litellm's inner error, from before it is translated."""

    def __init__(self, status_code: int, message: Any, headers: Any = None) -> None:
        self.status_code = status_code
        self.message = message
        self.headers = headers
        super().__init__(message)
