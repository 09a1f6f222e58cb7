"""`CustomLLM`: the base of providers of one's own, which are handlers in Scallion."""

from __future__ import annotations

from typing import Any

from .._state import unsupported


class CustomLLMError(Exception):
    """A failure of such a provider."""

    def __init__(self, status_code: int, message: Any) -> None:
        self.status_code = status_code
        self.message = message
        super().__init__(message)


class CustomLLM:
    """Can be subclassed, and not be called."""

    def __init__(self) -> None:
        raise unsupported(
            "CustomLLM", "write a handler: build_pipeline([...], provider=an_async_function)"
        )
