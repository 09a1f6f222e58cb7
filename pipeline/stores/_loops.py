"""One object per running event loop, closed by that loop before it ends.

Connections belong to the loop that opened them. Whoever calls `asyncio.run` several times, or runs
loops in several threads, gets one object for each; and because `asyncio.run` closes the loop's
asynchronous generators last, one of those is what closes the object, with no help from the user.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

T = TypeVar("T")

# How long to wait for another thread's loop to close its object, in seconds.
PATIENCE = 5.0


class PerLoop(Generic[T]):
    """Makes an object for each event loop that asks.

    Args:
        make: Called in the loop, at its first `get`.
        close: Awaited in the loop, when it shuts down its asynchronous generators (`asyncio.run`
            does) or at `aclose`, whichever is first. `get` still returns the object meanwhile.
    """

    def __init__(self, make: Callable[[], T], close: Callable[[T], Awaitable[None]]) -> None:
        self._make = make
        self._close = close
        self._held: dict[asyncio.AbstractEventLoop, _Held[T]] = {}

    def get(self) -> T:
        """The running loop's object. Raises `RuntimeError` if no loop runs."""
        loop = asyncio.get_running_loop()
        held = self._held.get(loop)
        if held is not None:
            return held.item
        for other in list(self._held):
            if other.is_closed():  # without asyncio.run's care: nothing can be awaited there now
                self._held.pop(other, None)
        item = self._make()
        keeper = self._keep(loop, item)
        try:
            keeper.__anext__().send(None)  # begun inside the loop, so the loop knows it
        except StopIteration:
            self._held[loop] = _Held(item, keeper)
        return item

    def peek(self) -> T | None:
        """The running loop's object, if it has one."""
        held = self._held.get(asyncio.get_running_loop()) if self._held else None
        return None if held is None else held.item

    def any_running_loop(self) -> asyncio.AbstractEventLoop | None:
        """One of the loops that have an object and run."""
        return next((loop for loop, held in list(self._held.items()) if held.runs_in(loop)), None)

    async def aclose(self) -> None:
        """Close the objects of this loop and of those that run in other threads."""
        here = asyncio.get_running_loop()
        for loop, held in list(self._held.items()):
            if loop is here:
                await held.aclose()
            elif held.runs_in(loop):
                there = asyncio.run_coroutine_threadsafe(held.aclose(), loop)
                await asyncio.wait([asyncio.wrap_future(there)], timeout=PATIENCE)
            # Any other closes its object itself as it ends.

    async def _keep(self, loop: asyncio.AbstractEventLoop, item: T) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            try:
                await self._close(item)
            finally:
                self._held.pop(loop, None)


class _Held(Generic[T]):
    """An object, and the generator that closes it."""

    def __init__(self, item: T, keeper: AsyncGenerator[None, None]) -> None:
        self.item = item
        self._process = os.getpid()
        self._keeper = keeper
        self._closing = False

    def runs_in(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether its loop runs here: a copy that a fork made says so, and never answers."""
        return loop.is_running() and self._process == os.getpid()

    async def aclose(self) -> None:
        if not self._closing:
            self._closing = True
            await self._keeper.aclose()
