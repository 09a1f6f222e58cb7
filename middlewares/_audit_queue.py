"""Asynchronous audit sinks: records wait in a bounded queue per event loop until they are taken.

A call ends in a callback that cannot wait, so what has to be awaited is done by a task. It runs only
while there is something to do, so no idle task is left behind.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from scallion.stores._loops import PerLoop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Sink = Callable[[dict[str, Any]], Awaitable[object]]

PATIENCE: Final = 10.0
"""Seconds that each record may take when the queue is drained."""


class QueueFullError(Exception):
    """A sink is slower than the calls, and its queue is full."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the audit queue is full: {size} records wait for the sink")


class Waiting(NamedTuple):
    """A record, and who waits for it to be written."""

    record: dict[str, Any]
    written: asyncio.Future[None]


class Queue:
    """The records of one event loop.

    Args:
        sink: Awaited with one record at a time, in the order in which the calls ended.
        size: How many records may wait.
        on_loss: Told of each error of the sink.
    """

    def __init__(self, sink: Sink, size: int, on_loss: Callable[[Exception], object]) -> None:
        self._sink = sink
        self._size = size
        self._on_loss = on_loss
        self._loop = asyncio.get_running_loop()
        self._records: deque[Waiting] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        self._closing = False
        self._limit: asyncio.Timeout | None = None

    def put(self, record: dict[str, Any], *, beyond: bool = False) -> asyncio.Future[None]:
        """Add a record; the future says when it is written, or why not. From any thread.

        Args:
            beyond: Add it also where there is no room.

        Raises:
            QueueFullError: there is no room.
            RuntimeError: the event loop is closed.
        """
        if len(self._records) >= self._size and not beyond:
            raise QueueFullError(self._size)
        waiting = Waiting(record, self._loop.create_future())
        # Nobody may ask: its error was told to `on_loss`, and is no unseen one.
        waiting.written.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._records.append(waiting)
        if _running_loop() is self._loop:
            self._work()
        else:
            self._loop.call_soon_threadsafe(self._work)
        return waiting.written

    async def room(self) -> None:
        """Wait until a record could be added."""
        while len(self._records) >= self._size:
            self._room.clear()
            await self._room.wait()

    async def drain(self) -> None:
        """Write what waits, and end."""
        self._closing = True
        try:
            async with asyncio.timeout(PATIENCE) as self._limit:
                if self._worker is not None:
                    await asyncio.wait([self._worker])  # cancelled, it would begin its record anew
                # Unless the loop's own end has cancelled it already: then that is done here.
                await self._write_all()
        except TimeoutError:
            if self._worker is not None:
                self._worker.cancel()
            for waiting in self._records:
                self._lost(waiting, TimeoutError("the event loop ended before it was written"))
            self._records.clear()
        finally:
            self._closing, self._limit = False, None

    def _work(self) -> None:
        if self._worker is None and not self._closing and self._records:
            self._worker = self._loop.create_task(self._write_all())

    async def _write_all(self) -> None:
        try:
            while self._records:
                waiting = self._records[0]
                try:
                    await self._sink(waiting.record)
                except Exception as error:  # noqa: BLE001 - a sink of one's own may raise anything
                    self._lost(waiting, error)
                else:
                    if not waiting.written.done():
                        waiting.written.set_result(None)
                self._records.popleft()
                self._room.set()
                if self._limit is not None:
                    with suppress(RuntimeError):  # it has run out meanwhile
                        self._limit.reschedule(self._loop.time() + PATIENCE)
        finally:
            if self._worker is asyncio.current_task():
                self._worker = None

    def _lost(self, waiting: Waiting, error: Exception) -> None:
        self._on_loss(error)
        if not waiting.written.done():
            waiting.written.set_exception(error)


class Queues:
    """A queue for each event loop, drained at its end or by `aclose`."""

    def __init__(self, sink: Sink, size: int, on_loss: Callable[[Exception], object]) -> None:
        self._queues = PerLoop(lambda: Queue(sink, size, on_loss), Queue.drain)

    def get(self) -> Queue:
        """The running loop's queue."""
        return self._queues.get()

    async def aclose(self) -> None:
        """Drain the queues."""
        await self._queues.aclose()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
