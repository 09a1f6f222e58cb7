"""Callbacks of one router, in the form of litellm's `CustomLogger`: told of each call it makes.

A callback has any of `log_pre_api_call`, `log_success_event`, `log_failure_event`,
`log_stream_event` and their `async_` forms; of two forms the `async_` one is called. Whatever a
callback raises is logged, and never becomes the call's own failure.
"""

from __future__ import annotations

import inspect
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_logger = logging.getLogger("scallion.compat")


def now() -> datetime:
    """The present, without a zone: that is what these callbacks are used to."""
    return datetime.now(UTC).astimezone().replace(tzinfo=None)


class Hooks:
    """The callbacks to tell of one call.

    Args:
        kwargs: What the call was made with: `model`, `messages`, and its parameters.
    """

    def __init__(self, callbacks: Iterable[Any], kwargs: Mapping[str, Any]) -> None:
        self.callbacks = list(callbacks)
        self.kwargs = dict(kwargs)
        self.started = now()

    async def begin(self) -> None:
        """The call is about to be sent."""
        model, messages = self.kwargs.get("model"), self.kwargs.get("messages")
        for callback in self.callbacks:
            await _tell(
                callback, "log_pre_api_call", model=model, messages=messages, kwargs=self.kwargs
            )

    async def succeeded(self, response: Any) -> None:
        """The whole answer is there."""
        await self._event("log_success_event", response)

    async def failed(self, error: BaseException) -> None:
        """There will be no answer."""
        self.kwargs["exception"] = error
        await self._event("log_failure_event", error)

    async def streamed(self, chunk: Any) -> None:
        """A chunk of a stream has come."""
        await self._event("log_stream_event", chunk)

    async def _event(self, name: str, response: Any) -> None:
        for callback in self.callbacks:
            await _tell(
                callback,
                name,
                kwargs=self.kwargs,
                response_obj=response,
                start_time=self.started,
                end_time=now(),
            )


async def _tell(callback: Any, name: str, **arguments: Any) -> None:
    method = getattr(callback, f"async_{name}", None) or getattr(callback, name, None)
    if method is None:
        return
    try:
        told = method(**arguments)
        if inspect.isawaitable(told):
            await told
    except Exception:
        _logger.exception("the callback %s failed in %s", type(callback).__name__, name)
