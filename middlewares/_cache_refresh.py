"""Asking anew in the background for what was answered with an answer past its time."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from scallion._clock import Clock

    Work = Callable[[], Coroutine[Any, Any, None]]

REST: Final = 10.0
"""Seconds after a refresh that failed, until the next one of the same answer."""

PATIENCE: Final = 10.0
"""Seconds that closing waits for refreshes under way before it cancels them."""

MOST_RESTING: Final = 1000


class Refreshes:
    """The tasks of one cache, none of which is lost.

    A refresh inherits the context variables of the call that caused it, and outlives that call.
    """

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[None], Clock] = {}
        self._rest_until: dict[str, float] = {}

    def is_resting(self, name: str, clock: Clock) -> bool:
        """Whether the last refresh failed, and not long ago."""
        return bool(self._rest_until) and clock.now() < self._rest_until.get(name, 0.0)

    def start(self, name: str, work: Work, ended: Callable[[], object], clock: Clock) -> None:
        """Do `work` in the background, and log its failure. `ended` is called in any case."""
        task = asyncio.get_running_loop().create_task(self._do(name, work, clock))
        self._tasks[task] = clock
        task.add_done_callback(lambda done: self._tasks.pop(done, None))
        task.add_done_callback(lambda _: ended())

    async def _do(self, name: str, work: Work, clock: Clock) -> None:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - nobody waits for it
            if len(self._rest_until) >= MOST_RESTING:
                self._rest_until.clear()
            self._rest_until[name] = clock.now() + REST
            logging.getLogger("scallion").warning(
                "cache(): an answer past its time could not be refreshed, and is used on: %s: %s",
                type(error).__name__,
                error,
            )
        else:
            self._rest_until.pop(name, None)

    async def aclose(self) -> None:
        """Wait for the refreshes of this event loop, but not long; those of others are cancelled."""
        loop = asyncio.get_running_loop()
        tasks = list(self._tasks)
        here = [task for task in tasks if task.get_loop() is loop]
        for task in tasks:
            if task not in here:
                with suppress(RuntimeError):  # that loop is closed, and its tasks with it
                    task.get_loop().call_soon_threadsafe(task.cancel)
        if not here:
            return
        clock = self._tasks[here[0]]

        def give_up() -> None:
            for task in here:
                task.cancel()

        timer = clock.call_at(clock.now() + PATIENCE, give_up)
        try:
            await asyncio.wait(here)
        finally:
            timer.cancel()
            give_up()
