"""What a streamed `completion()` returns."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self


class CustomStreamWrapper:
    """The chunks of an answer, for `for` and for `async for`.

    Args:
        completion_stream: An iterator, or an asynchronous one, of `ModelResponseStream`.
        model: The model's name.
        logging_obj: litellm's own; kept as an attribute.
        custom_llm_provider: Whose model it is.
        stream_options: What was asked for.
        make_call: A function that opens the stream when the first chunk is asked for.
        _response_headers: The provider's headers.
        count_prompt_tokens: Accepted, and not called: the provider counts.

    Attributes:
        chunks: Those that were handed out.
        _hidden_params: As of a `ModelResponse`; the cost is there at the end.
    """

    def __init__(
        self,
        completion_stream: Any,
        model: Any,
        logging_obj: Any,
        custom_llm_provider: str | None = None,
        stream_options: Any = None,
        make_call: Callable[..., Any] | None = None,
        _response_headers: Any = None,
        count_prompt_tokens: Callable[[], int] | None = None,
    ) -> None:
        del count_prompt_tokens
        self.completion_stream = completion_stream
        self.model = model
        self.logging_obj = logging_obj
        self.custom_llm_provider = custom_llm_provider
        self.stream_options = stream_options
        self.make_call = make_call
        self.chunks: list[Any] = []
        self.sent_first_chunk = False
        self.sent_last_chunk = False
        self.received_finish_reason: str | None = None
        self.response_uptil_now = ""
        self.response_id: str | None = None
        self.created: int | None = None
        self.messages = getattr(logging_obj, "messages", None)
        self.system_fingerprint: str | None = None
        self._response_headers = _response_headers
        self._hidden_params: dict[str, Any] = {"model_id": None, "api_base": None}
        self._close: Callable[[], Any] | None = None

    def __iter__(self) -> Self:
        return self

    def __aiter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        if self.completion_stream is None:
            if self.make_call is None:
                raise StopIteration
            self.completion_stream = self.make_call()
        stream = self.completion_stream
        if not hasattr(stream, "__next__"):
            if hasattr(stream, "__anext__"):
                from scallion._sync import _background

                try:
                    return self._note(_background.run(_next(stream)))
                except StopAsyncIteration:
                    raise StopIteration from None
            stream = self.completion_stream = iter(stream)
        return self._note(next(stream))

    async def __anext__(self) -> Any:
        if self.completion_stream is None:
            if self.make_call is None:
                raise StopAsyncIteration
            self.completion_stream = await self.make_call()
        stream = self.completion_stream
        if hasattr(stream, "__anext__"):
            return self._note(await stream.__anext__())
        if hasattr(stream, "__aiter__"):
            self.completion_stream = stream.__aiter__()
            return await self.__anext__()
        if not hasattr(stream, "__next__"):
            stream = self.completion_stream = iter(stream)
        try:
            return self._note(next(stream))
        except StopIteration:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        """Stop here, and release the connection."""
        for close in (self._close, getattr(self.completion_stream, "aclose", None)):
            if close is not None:
                await close()

    async def fetch_stream(self) -> None:
        """Open the stream, if it is not open yet."""
        if self.completion_stream is None and self.make_call is not None:
            self.completion_stream = await self.make_call()

    def _note(self, chunk: Any) -> Any:
        self.sent_first_chunk = True
        self.chunks.append(chunk)
        self.response_id = getattr(chunk, "id", None) or self.response_id
        self.created = getattr(chunk, "created", None) or self.created
        self.system_fingerprint = (
            getattr(chunk, "system_fingerprint", None) or self.system_fingerprint
        )
        for choice in getattr(chunk, "choices", None) or ():
            if getattr(choice, "finish_reason", None):
                self.received_finish_reason = choice.finish_reason
                self.sent_last_chunk = True
            content = getattr(getattr(choice, "delta", None), "content", None)
            if isinstance(content, str):
                self.response_uptil_now += content
        hidden = getattr(chunk, "_hidden_params", None)
        if isinstance(hidden, dict):
            hidden.setdefault("custom_llm_provider", self.custom_llm_provider)
            hidden.setdefault("created_at", time.time())
            hidden.setdefault("model_id", self._hidden_params.get("model_id"))
            hidden.setdefault("api_base", self._hidden_params.get("api_base"))
            hidden.setdefault("additional_headers", {})
            hidden.setdefault("response_cost", None)
        return chunk

    def model_response_creator(self, **fields: Any) -> Any:
        """A chunk of this stream, with these fields."""
        from ..types.utils import ModelResponseStream

        self.response_id = self.response_id or f"chatcmpl-{uuid.uuid4()}"
        return ModelResponseStream(
            **{"id": self.response_id, "model": self.model, "created": self.created, **fields}
        )


async def _next(stream: Any) -> Any:
    return await stream.__anext__()
