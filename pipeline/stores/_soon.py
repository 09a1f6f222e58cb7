"""What synchronous callbacks left to be done in one event loop, and will be done.

A response settles in a synchronous callback, often as the last thing before the program ends. A
task alone would be lost then: `asyncio.run` cancels it, perhaps before its first step. So the work
is remembered until it is done, and done again by `finish`, which runs after that.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Work = Callable[[], Awaitable[object]]


class Unfinished:
    """Tasks under way, each with the work it does."""

    def __init__(self) -> None:
        self._work: dict[asyncio.Task[None], Work] = {}

    def start(self, work: Work) -> None:
        """Do `work` in the background. It may be done twice."""
        task = asyncio.get_running_loop().create_task(_do(work))
        self._work[task] = work
        task.add_done_callback(self._ended)

    async def caught_up(self) -> None:
        """Wait until what was started before now has ended."""
        # Work that itself has to wait for work would wait for ever.
        if self._work and asyncio.current_task() not in self._work:
            await asyncio.wait(list(self._work))

    async def finish(self) -> None:
        """Wait for everything, and do again what was cancelled."""
        await self.caught_up()
        if self._work:
            works = list(self._work.values())
            self._work.clear()
            # In another loop, because this one is ending and takes no new generators.
            for error in await asyncio.to_thread(asyncio.run, _do_all(works)):
                _report(error)

    def __bool__(self) -> bool:
        return bool(self._work)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return  # only the end of the event loop does that, and `finish` comes after it
        self._work.pop(task, None)
        error = task.exception()
        if error is not None:
            _report(error)


async def _do(work: Work) -> None:
    await work()


async def _do_all(works: list[Work]) -> list[BaseException]:
    found = await asyncio.gather(*(_do(work) for work in works), return_exceptions=True)
    return [error for error in found if error is not None]


def _report(error: BaseException) -> None:
    asyncio.get_running_loop().call_exception_handler(
        {"message": "a store could not finish what a callback had started", "exception": error}
    )
