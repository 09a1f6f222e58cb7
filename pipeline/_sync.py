"""The same calls for code without an event loop: they run on one background loop per process.

One loop serves all threads and pipelines, so connections are shared, and a call may be made from
anywhere: a script, a thread, a notebook, or a function that an event loop is running.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from concurrent.futures import Future
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from ._secrets import hide_params

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
    from typing import Self

    from ._pipeline import Pipeline
    from ._response_stream import ResponseStream
    from .types import Message, ModelResponse, StreamChunk

T = TypeVar("T")

PATIENCE = 5.0
"""Seconds that a call which Ctrl-C has cancelled may take to come to its end."""


class SyncPipeline:
    """What `pipeline.sync` is: `complete` and `stream` without `await`."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def complete(
        self, messages: str | Iterable[Mapping[str, Any] | Message], **arguments: Any
    ) -> ModelResponse:
        """Ask, and wait for the whole answer. The arguments are those of `Pipeline.complete`.

        Ctrl-C cancels the call.

        Raises:
            LLMClientError: whatever went wrong.
        """
        hide_params(arguments)
        return _background.run(self._pipeline.complete(messages, **arguments))

    def stream(
        self, messages: str | Iterable[Mapping[str, Any] | Message], **arguments: Any
    ) -> SyncStream:
        """Ask, and iterate over the answer as it comes. The arguments are those of `complete`."""
        hide_params(arguments)
        return SyncStream(self._pipeline.stream(messages, **arguments))

    def close(self) -> None:
        """Close the connections that calls from here have opened."""
        _background.run(self._pipeline.aclose())


class SyncStream:
    """A streamed answer: a context manager, and an iterator of `StreamChunk`."""

    def __init__(self, stream: ResponseStream) -> None:
        self._stream = stream
        self._ready: Iterator[StreamChunk] = iter(())

    def __enter__(self) -> Self:
        _background.run(self._stream.__aenter__())
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> StreamChunk:
        for chunk in self._ready:
            return chunk
        # A hop between threads costs more than a chunk: take all that are there.
        self._ready = iter(_background.run(self._stream.next_chunks()))
        for chunk in self._ready:
            return chunk
        raise StopIteration

    def collect(self) -> ModelResponse:
        """Read to the end, and return the whole answer."""
        return _background.run(self._stream.collect())

    def close(self) -> None:
        """Stop here, and release the connection."""
        _background.run(self._stream.aclose())

    @property
    def result(self) -> ModelResponse:
        """The accumulated answer once the stream has ended: a partial one if it broke off."""
        return self._stream.result


class _Background:
    """An event loop in a thread of its own, made when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopping = False

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run to the end, in the caller's context, and return or raise what comes of it."""
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError("pipeline.sync was called from within one of its own calls: await")
        ended = threading.Event()
        future: Future[T] = Future()
        try:
            self._start(coroutine, future, ended.set)
            return future.result()
        except BaseException:
            if not future.done():  # Ctrl-C: the call must not go on, and its end is waited for
                future.cancel()
                ended.wait(timeout=PATIENCE)
            raise

    def _start(
        self, coroutine: Coroutine[Any, Any, T], future: Future[T], on_end: Callable[[], object]
    ) -> None:
        """Begin to run, in the caller's context. `on_end` is called when it has ended, however."""
        context = copy_context()

        def begin() -> None:
            loop = asyncio.get_running_loop()
            task = loop.create_task(coroutine, context=context)
            # At the interpreter's end only daemon threads wait, which die more quietly than they fail.
            task.add_done_callback(
                lambda done: None if self._stopping else _hand_over(done, future, on_end)
            )
            future.add_done_callback(
                lambda done: loop.call_soon_threadsafe(task.cancel) if done.cancelled() else None
            )

        try:
            self._running().call_soon_threadsafe(begin)
        except RuntimeError as error:  # the interpreter is ending, and has stopped the loop
            coroutine.close()
            future.set_exception(error)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                thread = threading.Thread(
                    target=_serve, args=(loop,), name="scallion-sync", daemon=True
                )
                try:
                    thread.start()
                except RuntimeError:  # too many threads, or the interpreter is ending
                    loop.close()
                    raise
                self._loop, self._thread = loop, thread
                atexit.register(self._stop)
            return self._loop

    def _stop(self) -> None:
        """At the interpreter's exit: end what still runs, close the clients, but never hang."""
        loop, thread = self._loop, self._thread
        if loop is not None and thread is not None and thread.is_alive():
            self._stopping = True
            loop.call_soon_threadsafe(loop.stop)
            thread.join(timeout=2)

    def after_fork(self) -> None:
        """A child process has neither the thread nor a right to its sockets."""
        self._lock = threading.Lock()
        self._loop = self._thread = None


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks, timeout=1))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _hand_over(task: asyncio.Task[T], future: Future[T], on_end: Callable[[], object]) -> None:
    on_end()
    if future.cancelled() or not future.set_running_or_notify_cancel():
        if not task.cancelled():
            task.exception()  # seen
        return
    if task.cancelled():
        future.set_exception(asyncio.CancelledError())
    elif (error := task.exception()) is not None:
        future.set_exception(error)
    else:
        future.set_result(task.result())


_background = _Background()
if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=_background.after_fork)
