"""A recorded stream: the chunks as they came, in a form that is good to read, and their replay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from scallion.types import StreamChunk

if TYPE_CHECKING:
    from scallion._clock import Clock
    from scallion._response import Response

ENVELOPE = ("id", "object", "created", "model", "service_tier", "system_fingerprint", "provider")
"""What the chunks of one answer have in common."""


class Tape(Struct, omit_defaults=True):
    """A stream.

    Attributes:
        said: The chunks: a dict, without what it has in common with the first one; or only its
            text, if it has nothing else.
        at: When each came, in seconds after the Response was there. A cassette has that only where
            it is to be replayed, because it is never the same twice.
    """

    said: list[Any]
    at: list[float] = []

    def chunks(self) -> list[StreamChunk]:
        """The chunks.

        Raises:
            ValueError: some of it is no chunk.
        """
        first = self.said[0] if self.said and isinstance(self.said[0], dict) else {}
        common = {name: first[name] for name in ENVELOPE if name in first}
        return [StreamChunk.model_validate({**common, **_as_dict(said)}) for said in self.said]


class Recorder:
    """Takes down the chunks of a Response as they pass, and with `timing` when they do."""

    def __init__(self, response: Response, *, timing: bool) -> None:
        self._clock = response.request.context.clock
        self._timing = timing
        self._began = self._clock.now()
        self._passed: list[dict[str, Any]] = []
        self._at: list[float] = []
        self._streams = response.request.stream and response.outcome is None
        if self._streams:
            response.map(self._take)

    def tape(self) -> Tape | None:
        """The recorded stream, if it was one."""
        if not self._streams or not self._passed:
            return None
        first, *rest = self._passed
        common = {name: first[name] for name in ENVELOPE if name in first}
        said: list[Any] = [first]
        for chunk in rest:
            own = {n: v for n, v in chunk.items() if n not in common or common[n] != v}
            text = _only_text(own)
            said.append(own if text is None else text)
        return Tape(said, self._at if self._timing else [])

    def _take(self, chunk: StreamChunk) -> StreamChunk:
        if chunk.restarted:  # what came before is void
            self._passed, self._at = [], []
        # Now, and not in the end: layers further out may write on it.
        self._passed.append(chunk.to_dict())
        self._at.append(round(self._clock.now() - self._began, 3))
        return chunk


class Replay:
    """Chunks that are all here."""

    def __init__(self, chunks: list[StreamChunk]) -> None:
        self._chunks = chunks
        self.ended = False
        self.sealed = True

    async def read(self) -> list[StreamChunk]:
        """All of them."""
        chunks, self._chunks = self._chunks, []
        self.ended = True
        return chunks

    async def aclose(self) -> None:
        """Nothing is held."""
        self.ended = True


class TimedReplay(Replay):
    """Chunks that come when they came."""

    def __init__(self, chunks: list[StreamChunk], at: list[float], clock: Clock) -> None:
        super().__init__(chunks)
        self._at = list(at)
        self._clock = clock
        self._began = clock.now()

    async def read(self) -> list[StreamChunk]:
        """The next one, after the time that it took."""
        if not self._chunks:
            self.ended = True
            return []
        left = (self._at.pop(0) if self._at else 0.0) - (self._clock.now() - self._began)
        if left > 0:
            await self._clock.sleep(left)
        return [self._chunks.pop(0)]


def _as_dict(said: Any) -> dict[str, Any]:
    if isinstance(said, dict):
        return said
    if not isinstance(said, str):
        raise ValueError(f"{said!r} is no chunk")
    return {"choices": [{"delta": {"content": said}}]}


def _only_text(shown: dict[str, Any]) -> str | None:
    """The text of a chunk that adds nothing else to the first choice."""
    choices = shown.get("choices")
    if len(shown) != 1 or not isinstance(choices, list) or len(choices) != 1:
        return None
    content = choices[0].get("delta", {}).get("content")
    only = {"index": 0, "delta": {"content": content}, "finish_reason": None}
    return content if isinstance(content, str) and choices[0] == only else None
