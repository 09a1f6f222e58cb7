"""What one passage through the layers has opened, so that nothing a layer drops stays open."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar

from ._request import raise_problems

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from ._pipeline import Handler
    from ._request import Context, Request
    from ._response import Response
    from .types import ModelResponse

R = TypeVar("R", bound="Response | None")

_running: ContextVar[_Passage | None] = ContextVar("scallion_passage", default=None)


class _Passage:
    """The call's `context`, and what was opened; neither once it is over.

    Tasks that a layer starts inherit it and may outlive it, and so may timers: a loop forgets a
    cancelled one when it would have been due. They must not hold a call and its answer as long.
    """

    __slots__ = ("context", "opened")

    def __init__(self, context: Context) -> None:
        self.context: Context | None = context
        self.opened: list[Response] = []

    async def close_all_but(self, kept: Response | None) -> None:
        self.context = None
        opened, self.opened = self.opened, []
        problems: list[Exception] = []
        stopped: BaseException | None = None
        for response in opened:
            if response is not kept:
                try:
                    await response.aclose()
                except Exception as problem:  # noqa: BLE001 - the others must still be closed
                    problems.append(problem)
                except BaseException as cancelled:  # noqa: BLE001 - likewise
                    stopped = cancelled
        if kept is not None and (problems or stopped is not None):
            await kept.aclose()  # nobody will get it
        if stopped is not None:
            raise stopped
        raise_problems(problems)


def note(response: Response) -> None:
    """Hold the passage that is under way to account for `response`, if it belongs to its call."""
    passage = _running.get()
    if passage is not None and passage.context is response.request.context:
        passage.opened.append(response)


async def keep_one(context: Context, passing: Awaitable[R]) -> R:
    """Await a passage, and close all that was opened on it but for what comes of it."""
    passage = _Passage(context)
    token = _running.set(passage)
    kept = None
    try:
        kept = await passing
    finally:
        _running.reset(token)
        await passage.close_all_but(kept)
    return kept


async def ask_apart(request: Request, call_next: Handler) -> ModelResponse:
    """Ask a part of the onion as a call of its own, which may outlive the one that is under way.

    Args:
        request: With a context of its own.
        call_next: Where to.
    """
    response = await keep_one(request.context, call_next(request))
    try:
        return await response.collect()
    finally:
        await response.aclose()
