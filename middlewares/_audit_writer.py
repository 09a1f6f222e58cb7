"""Hands records to a sink, of whichever kind, and knows what to do when it does not take one."""

from __future__ import annotations

import inspect
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scallion._clock import Clock
from scallion.exceptions import AuditError

from ._audit_jsonl import JsonlSink
from ._audit_queue import Queues
from ._audit_sinks import AuditSink
from ._audit_sqlite import SqliteSink
from ._seldom import Seldom

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from scallion._outcome import Outcome

    Record = dict[str, Any]
    Put = Callable[[Record], asyncio.Future[None] | None]


class Writer:
    """Hands records to a sink, and knows what to do when it does not take one.

    Attributes:
        waits: Whether it takes awaiting to know that a record was written.
    """

    waits = False

    def __init__(self, *, strict: bool) -> None:
        self.lost = 0
        self._strict = strict
        self._warn = Seldom("audit: %d records could not be written so far (%s: %s)")

    def begin(self) -> Put:
        """What will take the record of a call that begins, from a callback and in any thread."""
        return self._put

    async def ready(self) -> None:
        """Wait, if `strict` is set, until a record could be written. Raises if none can be."""

    async def aclose(self) -> None:
        """Write what waits."""

    def write(
        self, put: Put, make: Callable[[Outcome], Record | None], outcome: Outcome
    ) -> asyncio.Future[None] | None:
        """Make the record, if there is to be one, and hand it over.

        Raises:
            AuditError: that failed, and `strict` is set.
        """
        try:
            record = make(outcome)
            return None if record is None else put(record)
        except Exception as error:
            self.lose(error)
            if self._strict:
                raise not_written(error) from error
            return None

    def lose(self, error: Exception) -> None:
        """Count a record that could not be written; say so, but not for each of a thousand."""
        self.lost += 1
        if not self._strict:
            self._warn(Clock(), self.lost, type(error).__name__, error)

    def _put(self, record: Record) -> asyncio.Future[None] | None:
        raise NotImplementedError


class _FileWriter(Writer):
    def __init__(self, sink: AuditSink, *, strict: bool) -> None:
        super().__init__(strict=strict)
        self._sink = sink

    async def ready(self) -> None:
        if self._strict:
            self._sink.open()

    def _put(self, record: Record) -> None:
        self._sink.write(record)

    async def aclose(self) -> None:
        self._sink.close()


class _FunctionWriter(Writer):
    def __init__(self, sink: Callable[[Record], object], *, strict: bool) -> None:
        super().__init__(strict=strict)
        self._sink = sink

    def _put(self, record: Record) -> None:
        result = self._sink(record)
        if inspect.isawaitable(result):
            if inspect.iscoroutine(result):
                result.close()
            raise TypeError("an audit sink that is awaited must be an async function")


class _AsyncWriter(Writer):
    waits = True

    def __init__(
        self, sink: Callable[[Record], Awaitable[object]], size: int, *, strict: bool
    ) -> None:
        super().__init__(strict=strict)
        self._queues = Queues(sink, size, self.lose)

    def begin(self) -> Put:
        put = self._queues.get().put
        # Calls that are under way must not fail because others were faster.
        return partial(put, beyond=True) if self._strict else put

    async def ready(self) -> None:
        if self._strict:
            await self._queues.get().room()

    async def aclose(self) -> None:
        await self._queues.aclose()


def writer_for(sink: object, *, strict: bool, chain: bool, size: int) -> Writer:
    """The writer for whatever was given as a sink. Raises `TypeError` if it is none."""
    if isinstance(sink, (str, Path)):
        return _FileWriter(as_sink(sink, chain=chain), strict=strict)
    if chain:
        raise TypeError("chain=True goes with a path; otherwise write JsonlSink(path, chain=True)")
    if isinstance(sink, AuditSink):
        return _FileWriter(sink, strict=strict)
    if not callable(sink) or isinstance(sink, type):
        raise TypeError(f"an audit sink is a path, a JsonlSink, or a function, not {sink!r}")
    if size < 1:
        raise ValueError(f"queue must be at least 1, not {size}")
    called = getattr(sink, "__call__", None)  # noqa: B004 - to see whether it is async
    if inspect.iscoroutinefunction(sink) or inspect.iscoroutinefunction(called):
        return _AsyncWriter(sink, size, strict=strict)
    return _FunctionWriter(sink, strict=strict)


def as_sink(path: str | Path, *, chain: bool) -> AuditSink:
    """The sink for a path: SQLite for `.db`, `.sqlite` and `.sqlite3`, and JSONL for all others."""
    if Path(path).suffix.lower() in {".db", ".sqlite", ".sqlite3"}:
        return SqliteSink(path, chain=chain)
    return JsonlSink(path, chain=chain)


def not_written(error: Exception) -> AuditError:
    """What a call raises that could not be recorded."""
    return AuditError(f"the call's audit record was not written ({type(error).__name__}: {error})")
