"""A call that streams, from the consumer's side: nothing is sent before somebody reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .exceptions import StreamInterruptedError

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import Self

    from ._pipeline import Pipeline
    from ._request import Request
    from ._response import Response
    from .types import ModelResponse, StreamChunk


class ResponseStream:
    """A streamed answer: an async context manager, and an async iterator of `StreamChunk`.

    With `async with`, the connection is released at the end of the block whatever happens. Without
    it, it is released at the end of the stream, or when this object is dropped.
    """

    def __init__(self, pipeline: Pipeline, request: Request) -> None:
        self._pipeline = pipeline
        self._request = request
        self._response: Response | None = None
        self._opening = False
        self._failure: Exception | None = None

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Awaitable[StreamChunk]:
        # Not a coroutine of its own: this runs for every chunk.
        response = self._response
        return self._first() if response is None else response.__anext__()

    async def _first(self) -> StreamChunk:
        return await (await self._open()).__anext__()

    async def next_chunks(self) -> list[StreamChunk]:
        """The next chunks, as many as are there without waiting again; none at the end."""
        return await (self._response or await self._open()).next_chunks()

    async def collect(self) -> ModelResponse:
        """Read to the end, and return the whole answer."""
        return await (self._response or await self._open()).collect()

    async def aclose(self) -> None:
        """Stop here. Does nothing at the end of the stream."""
        if self._response is not None:
            await self._response.aclose()

    @property
    def response(self) -> Response | None:
        """The Response underneath, once something was sent."""
        return self._response

    @property
    def result(self) -> ModelResponse:
        """The accumulated answer once the stream has ended: a partial one if it broke off.

        Raises:
            RuntimeError: it has not ended yet.
        """
        outcome = self._response.outcome if self._response is not None else None
        if outcome is None or outcome.response is None:
            if self._failure is not None:
                raise RuntimeError("the call failed before any content") from self._failure
            raise RuntimeError("the stream has not ended: iterate to its end, or await collect()")
        return outcome.response

    async def _open(self) -> Response:
        if self._failure is not None:
            raise self._failure
        if self._response is None:
            if self._opening:
                raise RuntimeError("another task is opening this stream: one stream, one reader")
            self._opening = True
            try:
                self._response = await self._pipeline.send(self._request)
            except Exception as failure:
                self._failure = failure
                raise
            except BaseException:
                # Who reads on, as heartbeats around each read do, must not send it once more.
                self._failure = StreamInterruptedError("the stream was cancelled before it began")
                raise
            finally:
                self._opening = False
        return self._response
