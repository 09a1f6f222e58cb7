"""Chunks and answers in few words, for tests of the core."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scallion.types import (
    Choice,
    ChunkChoice,
    Delta,
    Message,
    ModelResponse,
    StreamChunk,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from scallion import Clock

ROLE = StreamChunk(choices=[ChunkChoice(delta=Delta(role="assistant", content=""))])
STOP = StreamChunk(choices=[ChunkChoice(finish_reason="stop")])
USAGE = StreamChunk(usage=Usage(prompt_tokens=5, completion_tokens=2, total_tokens=7))


def answer(text: str = "Hi", **fields: Any) -> ModelResponse:
    """A whole answer."""
    choice = Choice(message=Message(content=text), finish_reason="stop")
    return ModelResponse(choices=[choice], **fields)


class Source:
    """A chunk source that plays a script, batch by batch, and remembers how it was treated.

    Each step is a list of chunks, an exception to raise, or an awaitable to wait for.
    """

    def __init__(self, *steps: Any) -> None:
        self.steps = list(steps)
        self.ended = False
        self.closed = 0
        self.reads = 0

    async def read(self) -> list[StreamChunk]:
        self.reads += 1
        while self.steps:
            step = self.steps.pop(0)
            if isinstance(step, BaseException):
                raise step
            if isinstance(step, list):
                return step
            await step
        self.ended = True
        return []

    async def aclose(self) -> None:
        self.closed += 1
        self.ended = True


class Timed(Source):
    """A source whose numbers are seconds that it takes before the next step."""

    def __init__(self, clock: Clock, *steps: Any) -> None:
        super().__init__(*steps)
        self.clock = clock

    async def read(self) -> list[StreamChunk]:
        while self.steps and isinstance(self.steps[0], (int, float)):
            await self.clock.sleep(self.steps.pop(0))
        return await super().read()


async def words(*texts: str) -> AsyncIterator[StreamChunk]:
    """A stream as a plain async generator."""
    for text in texts:
        yield StreamChunk.of(text)
    yield STOP
