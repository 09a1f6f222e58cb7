"""A streamed HTTP body as a source of chunks, and how it is given back to its connection."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from scallion.exceptions import MalformedResponseError

from ._bodies import looks_like_events, read_whole
from ._sse import EventTooLargeError, SSEParser

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from scallion.exceptions import ProviderError
    from scallion.types import StreamChunk

_DRAIN_TIMEOUT = 0.1
"""Seconds to wait for the end of a body whose last event has come, so that its connection can be
used again. The openai SDK waits as long."""

_HEAD = 2**16
"""Bytes that are kept of a body without any event in it, to say what it was."""


class EventDecoder(Protocol):
    """Turns a provider's events into chunks."""

    def decode(self, events: list[bytes], chunks: list[StreamChunk]) -> bool:
        """Append the chunks of `events` to `chunks`. True if the last of them ends the stream.

        Raises:
            ProviderError: an event is an error; `chunks` then holds what came before it.
            ValueError: an event is not what the protocol promises.
        """
        ...


class EventStream:
    """The `ChunkSource` over an HTTP response."""

    def __init__(
        self,
        http: Any,
        decoder: EventDecoder,
        *,
        pieces: AsyncIterator[bytes] | None = None,
        max_event_bytes: int,
        on_error: Callable[[Exception], ProviderError],
        on_other: Callable[[bytes], ProviderError],
        cleanse: Callable[[BaseException, BaseException | None], None],
    ) -> None:
        self.ended = False
        self.sealed = False
        self._http = http
        self._pieces: AsyncIterator[bytes] = http.aiter_bytes() if pieces is None else pieces
        self._decode = decoder.decode
        self._parser = SSEParser(max_event_bytes)
        self._on_error = on_error
        self._on_other = on_other
        self._cleanse = cleanse
        self._head: bytes | None = b""  # until the first event: what came instead of one
        self._held: Exception | None = None
        self._at_eof = False
        self._closed = False
        self._pending = False

    async def read(self) -> list[StreamChunk]:
        """The chunks of the next bytes that come; empty at the end."""
        handled = sys.exception()
        try:
            return await self._read()
        except BaseException as error:
            self._cleanse(error, handled)
            raise

    async def _read(self) -> list[StreamChunk]:
        chunks: list[StreamChunk] = []
        while not chunks and not self.ended:
            if self._held is not None:
                raise self._held
            piece = await self._next_piece()
            try:
                if piece is not None:
                    events = self._parser.feed(piece)
                    if events:
                        self._head = None
                        self.ended = self.sealed = self._decode(events, chunks)
                    elif self._head is not None and len(self._head) < _HEAD:
                        self._head += piece
                else:
                    self.ended = True
                    self._decode_rest(chunks)
            except Exception as error:  # noqa: BLE001 - held, and raised when the rest is read
                # Tracebacks show locals, and providers quote keys.
                piece, events = None, []
                # What came before the error is delivered first, also if it came in one packet.
                self._held = self._as_error(error)
                self.ended = False
        return chunks

    async def read_body(self, limit: int) -> bytes:
        """The whole body, for a response that turns out not to be a stream."""
        try:
            return await read_whole(self._http, limit)
        except Exception as error:  # noqa: BLE001 - made a typed one
            failure = self._on_error(error)
            raise failure from (None if failure is error else error)
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Release the connection: back to the pool if the body is at its end, else closed."""
        if self._closed:
            return
        self._closed = True
        try:
            if self.ended and not self._at_eof and not self._pending:
                with suppress(Exception):
                    async with asyncio.timeout(_DRAIN_TIMEOUT):
                        async for _ in self._pieces:
                            pass
        finally:
            self.ended = True
            if not self._pending:
                with suppress(Exception):
                    await self._pieces.aclose()  # type: ignore[attr-defined]
            with suppress(Exception):
                await self._http.aclose()

    async def _next_piece(self) -> bytes | None:
        self._pending = True
        try:
            return await anext(self._pieces)
        except StopAsyncIteration:
            self._at_eof = True
            return None
        except Exception as error:
            raise self._on_error(error) from error
        finally:
            self._pending = False

    def _decode_rest(self, chunks: list[StreamChunk]) -> None:
        rest = self._parser.close()
        if rest:
            # Cut in the middle of an event: whether the answer is whole is for the caller to say.
            with suppress(ValueError):
                self._decode(rest, chunks)
        elif self._head and self._head.strip() and not looks_like_events(self._head):
            # An error page, or JSON without a frame around it, whatever it was declared to be.
            raise self._on_other(self._head)

    def _as_error(self, error: Exception) -> Exception:
        if isinstance(error, (ValueError, RecursionError)):
            malformed = MalformedResponseError(
                f"an event of the stream cannot be read: {error}",
                retryable=not isinstance(error, EventTooLargeError),
            )
            located = self._on_error(malformed)
            located.__cause__ = error
            return located
        return self._on_error(error)
