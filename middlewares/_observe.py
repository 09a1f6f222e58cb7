"""Hear of the end of a call, also of one that never got a Response."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scallion._limits import what_ended
from scallion._outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from scallion._pipeline import Handler
    from scallion._request import Request
    from scallion._response import Response


async def observe(
    request: Request, call_next: Handler, on_outcome: Callable[[Outcome], object]
) -> Response:
    """Call on, and have `on_outcome` called once with how it ended: refused and failed calls too."""
    try:
        response = await call_next(request)
    except BaseException as error:
        on_outcome(_outcome_of(what_ended(error, request.context), request))
        raise
    return response.on_settle(on_outcome)


def _outcome_of(error: BaseException, request: Request) -> Outcome:
    context = request.context
    partial = getattr(error, "partial", None)
    return Outcome(
        status="failed" if isinstance(error, Exception) else "cancelled",
        request=request,
        response=partial,
        error=error,
        usage=partial.usage if partial is not None else None,
        attempts=tuple(context.attempts),
        duration=context.clock.now() - context.started,
    )
