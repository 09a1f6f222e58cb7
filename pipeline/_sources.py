"""Where a streamed Response reads from: any async iterator, or the Response that took over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ._stages import restarted
from .types import StreamChunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ._response import Response


class ChunkSource(Protocol):
    """What a streamed Response reads.

    `read` returns the chunks that are there, at least one, or an empty list at the end. `ended` is
    true as soon as the end was seen, even if it came along with the last chunks. `aclose` releases
    the connection, and makes a pending `read` return or raise. A source may have `sealed`: false as
    long as nobody has said that the end is the end (`[DONE]`), and not just of the connection.
    """

    @property
    def ended(self) -> bool: ...

    async def read(self) -> list[StreamChunk]: ...

    async def aclose(self) -> None: ...


class IteratorSource:
    """Chunks from any async iterator."""

    def __init__(self, chunks: AsyncIterator[StreamChunk]) -> None:
        self._chunks = chunks
        self.ended = False

    async def read(self) -> list[StreamChunk]:
        """The next chunk."""
        async for chunk in self._chunks:
            if not isinstance(chunk, StreamChunk):
                raise TypeError(
                    f"a stream consists of StreamChunks, and this one brought {type(chunk).__name__}: "
                    "StreamChunk.model_validate(…) makes one of a dict"
                )
            return [chunk]
        self.ended = True
        return []

    async def aclose(self) -> None:
        """Close the iterator, if it can be closed."""
        self.ended = True
        # A generator that another task is running cannot be closed; its reader closes it.
        if hasattr(self._chunks, "aclose") and not getattr(self._chunks, "ag_running", False):
            await self._chunks.aclose()


class Restart:
    """The chunks of a Response that takes over from one that broke; the first marks the seam."""

    def __init__(self, replacement: Response) -> None:
        self.replacement = replacement
        self.ended = False
        self._begun = False

    async def read(self) -> list[StreamChunk]:
        """The next chunks of the replacement."""
        chunks = await self.replacement.next_chunks()
        if not chunks:
            self.ended = True
        elif not self._begun:
            self._begun = True
            chunks[0] = restarted(chunks[0])
        return chunks

    async def aclose(self) -> None:
        """Close the replacement."""
        self.ended = True
        await self.replacement.aclose()
