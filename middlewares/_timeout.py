"""Give up on what takes too long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scallion._layer import layer
from scallion._limits import ReadLimit, call_limit

if TYPE_CHECKING:
    from scallion._pipeline import Handler, Middleware
    from scallion._request import Request
    from scallion._response import Response


@layer
def timeout(
    *,
    total: float | None = None,
    first_token: float | None = None,
    inter_chunk: float | None = None,
) -> Middleware:
    """Limit the time that what is further in may take. The three limits are independent.

    Content counts, and not bytes: roles and keep-alives prove nothing, thinking does. When a limit
    is reached the connection is closed at once, and a `TimeoutError` names it in `.limit`; if the
    consumer of a stream is busy with something else just then, its next read raises it.
    Outside `retry()` it limits all attempts together, inside each of them.

    Args:
        total: Seconds from the request to the end of the answer.
        first_token: Seconds from the request to the first content of a stream. Complete calls have
            no first token: `total` is for them.
        inter_chunk: Seconds between two pieces of content of a stream. Only waiting for the
            provider counts; a slow consumer takes as long as it likes.

    Raises:
        ValueError: no limit was given, or one that is not positive.
    """
    limits = {"total": total, "first_token": first_token, "inter_chunk": inter_chunk}
    given = {name: seconds for name, seconds in limits.items() if seconds is not None}
    if not given or not all(seconds > 0 for seconds in given.values()):
        raise ValueError("timeout() needs total=, first_token= or inter_chunk=, in seconds above 0")
    # What counts until `call_next` returns: a stream's first content, or a whole answer.
    of_stream = _nearest(given, "total", "first_token")
    of_answer = _nearest(given, "total")

    async def middleware(request: Request, call_next: Handler) -> Response:
        began = request.context.clock.now()
        limit = of_stream if request.stream else of_answer
        if limit is None:
            response = await call_next(request)
        else:
            seconds, name = limit
            with call_limit(request, began + seconds, name, seconds):
                response = await call_next(request)
        if response.outcome is None:
            if total is not None:
                response.limit_reads(ReadLimit("total", total, began + total))
            if inter_chunk is not None:
                response.limit_reads(ReadLimit("inter_chunk", inter_chunk))
        return response

    return middleware


def _nearest(given: dict[str, float], *names: str) -> tuple[float, str] | None:
    return min(((given[name], name) for name in names if name in given), default=None)
