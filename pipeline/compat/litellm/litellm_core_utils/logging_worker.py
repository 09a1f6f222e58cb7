"""`LoggingWorker`: what litellm's own logging runs on.

Callbacks are called at once here, so nothing waits in this queue but what others put into it.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine


class LoggingWorker:
    """Runs coroutines as tasks of the running loop."""

    LOGGING_WORKER_MAX_QUEUE_SIZE = 50_000
    MAX_ITERATIONS_TO_CLEAR_QUEUE = 200
    MAX_TIME_TO_CLEAR_QUEUE = 5.0

    def __init__(
        self, timeout: float = 20.0, max_queue_size: int = 50_000, concurrency: int = 100
    ) -> None:
        self.timeout = timeout
        self.max_queue_size = max_queue_size
        self.concurrency = concurrency
        self._queue: Any = None
        self._worker_task: Any = None
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self) -> None:
        """Nothing has to be started."""

    def enqueue(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run a coroutine soon; without a running loop, never."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            coroutine.close()
            return
        task = loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def ensure_initialized_and_enqueue(self, async_coroutine: Coroutine[Any, Any, Any]) -> None:
        """The same."""
        self.enqueue(async_coroutine)

    async def flush(self) -> None:
        """Wait until all have run."""
        tasks = [task for task in self._tasks if task.get_loop() is asyncio.get_running_loop()]
        if tasks:
            await asyncio.wait(tasks, timeout=self.timeout)

    async def clear_queue(self) -> None:
        """The same."""
        await self.flush()

    async def stop(self) -> None:
        """Wait until all have run, for as long as `timeout`."""
        with contextlib.suppress(asyncio.CancelledError):
            await self.flush()

    async def _worker_loop(self) -> None:
        """litellm's loop, which has nothing to do here."""

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen: a log that fails is no failure of the call


GLOBAL_LOGGING_WORKER = LoggingWorker()
