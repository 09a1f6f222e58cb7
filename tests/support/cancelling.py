"""Runs a call again and again, and cancels it at its first suspension, its second, and so on."""

from __future__ import annotations

import asyncio
from itertools import count
from types import coroutine
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Generator

T = TypeVar("T")


class Trial(Generic[T]):
    """One run.

    Attributes:
        at: The suspension at which it was cancelled, from 1.
        reached: Whether it came to that suspension; otherwise it ran to its end undisturbed.
        cancelled: Whether it ended as cancelled.
        result: What it returned.
        error: What it raised, if not the cancellation.
    """

    def __init__(self, at: int) -> None:
        self.at = at
        self.reached = False
        self.cancelled = False
        self.result: T | None = None
        self.error: Exception | None = None

    def __repr__(self) -> str:
        return f"<Trial at={self.at} {self.reached=} {self.cancelled=} {self.error=}>"


async def at_every_await(
    make: Callable[[], Coroutine[Any, Any, T]], *, late: bool = False, limit: int = 1000
) -> AsyncIterator[Trial[T]]:
    """A trial for each suspension of what `make` makes, and a last one that is not cancelled.

    Args:
        make: Begins the call anew.
        late: Cancel not when the call begins to wait, but when what it waits for has come and it
            has not yet been told: its result is lost then, and nobody else may know of it.
        limit: Suspensions after which it is taken to go on for ever.
    """
    for at in count(1):
        trial: Trial[T] = Trial(at)
        task = asyncio.create_task(_run(make(), trial, late=late))
        try:
            trial.result = await task
        except asyncio.CancelledError:
            trial.cancelled = task.cancelled()
            if not trial.cancelled:  # it is this function that is being cancelled
                task.cancel()
                raise
        except Exception as error:  # noqa: BLE001 - the test looks at it
            trial.error = error
        yield trial
        if not trial.reached:
            return
        assert at < limit, f"it suspends more than {limit} times"


async def _run(inner: Coroutine[Any, Any, T], trial: Trial[T], *, late: bool) -> T:
    return await _watched(inner, trial, late=late)


@coroutine
def _watched(
    inner: Coroutine[Any, Any, T], trial: Trial[T], *, late: bool
) -> Generator[Any, Any, T]:
    """Does as `inner` does, and has its task cancelled at the suspension in question."""
    suspensions = 0
    sent: Any = None
    thrown: BaseException | None = None
    while True:
        try:
            waits_for = inner.send(sent) if thrown is None else inner.throw(thrown)
        except StopIteration as end:
            result: T = end.value
            return result
        sent = thrown = None
        suspensions += 1
        if suspensions == trial.at:
            trial.reached = True
            _cancel_this_task(waits_for if late else None)
        try:
            sent = yield waits_for
        except BaseException as error:  # noqa: BLE001 - handed on into the call
            thrown = error


def _cancel_this_task(after: asyncio.Future[Any] | None) -> None:
    task = asyncio.current_task()
    assert task is not None
    if after is None:
        asyncio.get_running_loop().call_soon(task.cancel)
    else:
        after.add_done_callback(lambda _: task.cancel())
