"""The places between the layers: what has passed a place, and who there wants to know the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from ._accumulate import Accumulator
from .types import StreamChunk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ._outcome import Outcome
    from .types import ModelResponse

    Mapper = Callable[[StreamChunk], StreamChunk | Iterable[StreamChunk] | None]
    SettleCallback = Callable[[Outcome], object]


class Stage:
    """The answer as it is behind one rewriting (or behind none), and before the next.

    Args:
        before: The stage whose answer is this one's too, because nothing is rewritten in between.

    Attributes:
        adds: Whether this stage adds chunks up; otherwise the one before it does.
        error: What the rewriting raised; nothing passes any more.
    """

    __slots__ = ("_restarted", "accumulator", "adds", "callbacks", "error", "fn")

    def __init__(self, fn: Mapper | None = None, *, before: Stage | None = None) -> None:
        self.fn = fn
        self.adds = before is None
        self.accumulator: Accumulator = Accumulator() if before is None else before.accumulator
        self.callbacks: list[SettleCallback] = []
        self.error: Exception | None = None
        self._restarted = False

    def take(self, batch: list[StreamChunk]) -> list[StreamChunk]:
        """Let chunks pass: rewrite them, add them up, and return what goes on."""
        if self.fn is not None:
            batch = self._rewrite(batch)
        if self.adds:
            add = self.accumulator.add
            for chunk in batch:
                add(chunk)
        return batch

    def check_end(self) -> None:
        """After a whole answer: it is an error if its end was not let through."""
        if self.fn is not None and self.error is None and not self.accumulator.finished:
            name = getattr(self.fn, "__qualname__", repr(self.fn))
            self.error = TypeError(
                f"what map() was given ({name}) let no chunk with a finish_reason pass: "
                "does it return the chunk?"
            )

    def tell(self, outcome: Outcome, problems: list[Exception]) -> None:
        """Call back whoever registered here; collect what they raise."""
        for callback in self.callbacks:
            try:
                callback(outcome)
            except Exception as problem:  # noqa: BLE001 - the other layers must still be told
                problems.append(problem)

    def _rewrite(self, batch: list[StreamChunk]) -> list[StreamChunk]:
        assert self.fn is not None
        passed: list[StreamChunk] = []
        for chunk in batch:
            self._restarted = self._restarted or chunk.restarted
            try:
                result = self.fn(chunk)
                if isinstance(result, StreamChunk):
                    passed.append(result)
                elif result is not None:
                    passed.extend(map(_checked, result))
            except Exception as error:  # noqa: BLE001 - raised when what passed was delivered
                self.error = error
                break
        if self._restarted and passed:
            passed[0] = restarted(passed[0])  # the seam must be seen further out, too
            self._restarted = False
        return passed


def _checked(chunk: object) -> StreamChunk:
    if isinstance(chunk, StreamChunk):
        return chunk
    raise TypeError(
        "what map() is given returns a StreamChunk, several, or None: "
        f"{type(chunk).__name__} is no StreamChunk"
    )


def restarted(chunk: StreamChunk) -> StreamChunk:
    """The chunk with the mark of a seam: a copy, because others may hold the chunk itself."""
    return chunk if chunk.restarted else replace(chunk, restarted=True)


def carry_labels(source: ModelResponse, target: ModelResponse) -> ModelResponse:
    """Copy what is in no chunk; returns `target`."""
    target.provider = source.provider
    target.request_id = source.request_id
    target.cost = source.cost
    target.cached = source.cached
    target.body = source.body
    return target
