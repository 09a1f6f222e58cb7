"""`CustomLLM`: the base of providers of one's own, which are handlers in Scallion."""

from __future__ import annotations

from typing import Any


class CustomLLMError(Exception):
    """A failure of such a provider."""

    def __init__(self, status_code: int, message: Any) -> None:
        self.status_code = status_code
        self.message = message
        super().__init__(message)


class CustomLLM:
    """Can be subclassed and made. Calls refuse `litellm.custom_provider_map`, which is its use."""

    def completion(self, *args: Any, **kwargs: Any) -> Any:
        """Override this one, or one of those that follow."""
        raise CustomLLMError(status_code=500, message="Not implemented yet!")

    def streaming(self, *args: Any, **kwargs: Any) -> Any:
        """An iterator of `GenericStreamingChunk`s."""
        raise CustomLLMError(status_code=500, message="Not implemented yet!")

    async def acompletion(self, *args: Any, **kwargs: Any) -> Any:
        """As `completion`."""
        raise CustomLLMError(status_code=500, message="Not implemented yet!")

    async def astreaming(self, *args: Any, **kwargs: Any) -> Any:
        """As `streaming`."""
        raise CustomLLMError(status_code=500, message="Not implemented yet!")
