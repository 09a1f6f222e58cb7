"""Limits of time: on something awaited once, and on the reads of a stream.

A limit cancels the task that waits, and makes an error of that cancellation, and of no other. It tells
them apart as `asyncio.timeout` does: a task counts its cancellations, so what somebody else wanted is
still counted when the limit has taken its own back.
"""

from __future__ import annotations

import asyncio
import builtins
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from .exceptions import TimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self
    from weakref import WeakMethod

    from ._clock import Clock, TimerHandle
    from ._request import Context, Request


class _Limit:
    """What limits have in common.

    Attributes:
        error: What it raises, once it has run out.
    """

    __slots__ = ("_cancelling", "_context", "_task", "error")

    _context: Context | None
    _task: asyncio.Task[object] | None
    _cancelling: int
    error: Exception | None

    def _expire(self, error: Exception) -> None:
        assert self._task is not None
        self.error = error
        if self._context is not None and self._context.expired is None:
            self._context.expired = self
        self._task.cancel()

    def _raise(self, ended_by: BaseException | None) -> None:
        """Raise the error, unless something else has ended the body."""
        assert self._task is not None
        error, self.error = self.error, None
        if self._context is not None and self._context.expired is self:
            self._context.expired = None
        nobody_else = self._task.uncancel() <= self._cancelling
        if nobody_else and isinstance(ended_by, asyncio.CancelledError):
            assert error is not None
            raise error from None


class TimeLimit(_Limit):
    """`with TimeLimit(clock, when):` ends what is awaited inside at `when`.

    Args:
        error: Makes what is then raised. An error of the body's own passes through.
        context: The call whose time it is; its attempts that end by this end with the same error.
    """

    __slots__ = ("_clock", "_error", "_timer", "_when")

    def __init__(
        self,
        clock: Clock,
        when: float,
        error: Callable[[], Exception] = builtins.TimeoutError,
        context: Context | None = None,
    ) -> None:
        self._clock = clock
        self._when = when
        self._error = error
        self._context = context
        self.error = None

    def __enter__(self) -> Self:
        self._task = task = _this_task()
        self._cancelling = task.cancelling()
        self._timer = self._clock.call_at(self._when, self._fire)
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._timer.cancel()
        if self.error is not None:
            self._raise(error)

    def _fire(self) -> None:
        self._expire(self._error())


def call_limit(request: Request, when: float, name: str, seconds: float | None = None) -> TimeLimit:
    """A limit on a handler's work for `request`; `name` is the `TimeoutError`'s `limit`."""
    context = request.context
    return TimeLimit(context.clock, when, lambda: expired(name, request, seconds), context)


class ReadLimit(NamedTuple):
    """How long the reads of one stream may take.

    Attributes:
        name: As in a `TimeoutError`'s `limit`.
        seconds: What was configured: from content to content, unless `at` says otherwise.
        at: When all of the stream must have been read.
    """

    name: str
    seconds: float
    at: float | None = None


class ReadLimits(_Limit):
    """The limits on the reads of one stream: `with limits:` around each of them.

    One timer serves them all. What is due moves on with the content, and the timer stays: if it goes
    off too early it is set anew. So a read costs two looks at the clock.

    Attributes:
        waited: Seconds spent waiting for the provider since the last content. What the consumer
            does between two reads is not the provider's time, and is not in it.
        given_up: Whether the end came between two reads. Whoever reads next hears of it.
    """

    __slots__ = (
        "_began", "_clock", "_due", "_ends_at", "_fires_at", "_gap", "_give_up", "_limits", "_request",
        "_timer", "given_up", "waited",
    )  # fmt: skip

    def __init__(self, request: Request, give_up: WeakMethod[Callable[[], None]]) -> None:
        """Limit the reads of the stream that answers `request`.

        Args:
            give_up: Called if the time for all of it is over while nobody reads.
        """
        self._request = request
        self._context = request.context
        self._clock = request.context.clock
        self._give_up = give_up
        self.given_up = False
        self._task = self.error = None
        self._limits: list[ReadLimit] = []
        self._ends_at = self._gap = self._due = self._fires_at = inf
        self._timer: TimerHandle | None = None
        self.waited = 0.0

    def __len__(self) -> int:
        return len(self._limits)

    def add(self, limit: ReadLimit) -> None:
        """Limit the reads from now on."""
        self._change([*self._limits, limit])
        if self._task is None and limit.at is not None and limit.at < self._fires_at:
            self._due = limit.at  # also if nobody ever reads
            self.stop()
            self._set_timer()

    def drop(self, count: int) -> None:
        """Forget the first so many: those who set them are no longer there."""
        self._change(self._limits[count:])

    @property
    def have_run_out(self) -> bool:
        """Whether a read that begins now is too late."""
        now = self._clock.now()
        return self._due_after(now) <= now

    def stop(self) -> None:
        """There will be no more reads."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def __enter__(self) -> Self:
        self._began = began = self._clock.now()
        self._due = due = self._due_after(began)
        if due <= began:
            raise self._what_ran_out()
        self._task = task = _this_task()
        self._cancelling = task.cancelling()
        if due < self._fires_at:
            self.stop()
            self._set_timer()
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if self._gap < inf:
            self.waited += self._clock.now() - self._began
        if self.error is None:
            self._task = None
            return
        try:
            self._raise(error)
        finally:
            self._task = None

    def _due_after(self, began: float) -> float:
        due = min(began + self._gap - self.waited, self._ends_at)
        deadline = self._request.context.deadline
        return due if deadline is None or due < deadline else deadline

    def _change(self, limits: list[ReadLimit]) -> None:
        self._limits = limits
        self._ends_at = min((x.at for x in limits if x.at is not None), default=inf)
        self._gap = min((x.seconds for x in limits if x.at is None), default=inf)

    def _set_timer(self) -> None:
        self._fires_at = self._due
        self._timer = self._clock.call_at(self._due, self._fire)

    def _fire(self) -> None:
        self._timer, self._fires_at = None, inf
        if self._task is None:
            self._look_between_reads()
        elif self._clock.now() < self._due:
            self._set_timer()
        else:
            self._expire(self._what_ran_out())

    def _look_between_reads(self) -> None:
        """Nobody waits for the provider, so only the end of all counts."""
        deadline = self._request.context.deadline
        self._due = self._ends_at if deadline is None else min(self._ends_at, deadline)
        if self._due <= self._clock.now():
            self.given_up = True
            give_up = self._give_up()
            if give_up is not None:
                give_up()
        elif self._due < inf:
            self._set_timer()

    def _what_ran_out(self) -> TimeoutError:
        for name, seconds, at in self._limits:
            if self._due == (self._began + seconds - self.waited if at is None else at):
                return expired(name, self._request, seconds)
        return expired("deadline", self._request)


def expired(name: str, request: Request, seconds: float | None = None) -> TimeoutError:
    """The error for a limit that ran out; `name` is `deadline`, `total`, … as in its `limit`."""
    message = {
        "deadline": "the call's deadline has passed",
        "total": f"the answer was not complete after {seconds} s",
        "first_token": f"no content came within {seconds} s",
        "inter_chunk": f"no further content came for {seconds} s",
    }[name]
    provider, model = getattr(request.provider, "name", None), request.model
    if request.context.attempts:  # a layer further in may have chosen whom to ask
        attempt = request.context.attempts[-1]
        provider, model = attempt.provider, attempt.model
    return TimeoutError(message, limit=name, provider=provider, model=model)


def what_ended(error: BaseException, context: Context) -> BaseException:
    """The limit's error where `error` is a limit's cancellation, on its way out to it."""
    limit = context.expired
    if limit is None or limit.error is None or not isinstance(error, asyncio.CancelledError):
        return error
    return limit.error


def _this_task() -> asyncio.Task[object]:
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a limit of time needs a task that it can end")
    return task
