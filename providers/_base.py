"""What every provider offers, whatever is behind it: the handler, and calls without any layers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from scallion._models import ModelInfo
    from scallion._request import Request
    from scallion._response import Response
    from scallion._response_stream import ResponseStream
    from scallion.types import Message, ModelResponse


class BaseLLMClient(ABC):
    """A provider: a handler, to be put at the centre of a pipeline or used on its own."""

    name: ClassVar[str]
    """What `response.provider` and the errors call it."""

    @abstractmethod
    async def __call__(self, request: Request) -> Response:
        """Answer one request."""

    async def complete(
        self, messages: str | Iterable[Mapping[str, Any] | Message], model: str, **params: Any
    ) -> ModelResponse:
        """Ask this provider directly, without any layers. See `Pipeline.complete`."""
        from scallion._pipeline import Pipeline
        from scallion._secrets import hide_params

        hide_params(params)
        return await Pipeline(provider=self).complete(messages, model=model, **params)

    def stream(
        self, messages: str | Iterable[Mapping[str, Any] | Message], model: str, **params: Any
    ) -> ResponseStream:
        """Ask this provider directly, and iterate over the chunks. See `Pipeline.stream`."""
        from scallion._pipeline import Pipeline

        return Pipeline(provider=self).stream(messages, model=model, **params)

    def supports_streaming(self, model: str) -> bool:
        """Whether the model can stream. Models that no data is known about are taken to."""
        info = self._model_info(model)
        return info is None or info.streaming is not False

    def supports_tools(self, model: str) -> bool:
        """Whether the model can call tools. Models that no data is known about are taken to."""
        info = self._model_info(model)
        return info is None or info.tools is not False

    def count_tokens(self, text: str, model: str) -> int:
        """How many tokens `text` is for `model`: see `scallion.tokens.count_tokens`."""
        from scallion.tokens import count_tokens

        return count_tokens(text, model)

    async def count_tokens_exact(self, request: Request) -> int:
        """How many tokens the provider will report for the prompt of `request`.

        Anthropic is asked, which is free but has its own rate limit. For OpenAI's models a chat of
        text is counted by OpenAI's published rules; it has no endpoint that counts another one.

        Raises:
            InvalidRequestError: no exact count is to be had.
            ProviderError: the provider failed.
        """
        from ._count import published

        return await published(self, request)

    async def warm_up(self) -> None:  # noqa: B027 - most have nothing to do
        """Do now what the first call would otherwise pay for."""

    async def aclose(self) -> None:  # noqa: B027
        """Close the running loop's connections."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def identity(self, model: str) -> str:
        """Whose answers these are: the provider, its address and the account, but no secret.

        Answers of one identity to equal requests may stand for each other; caches rely on it.
        """
        del model
        return self.name

    def wire_model(self, model: str) -> str:
        """The model's name as the provider knows it: without the prefix that chose the adapter."""
        return model.removeprefix(f"{self.name}/")

    def _model_info(self, model: str) -> ModelInfo | None:
        from scallion._models import model_info

        return model_info(self.wire_model(model), self.name)
