"""What tests need: a provider that plays a script, and a clock that is moved by hand.

provider = ScriptedProvider(ServerError("no"), "Hi")
clock = ManualClock()
llm = build_pipeline([retry()], provider=provider, model="m", clock=clock)
call = asyncio.create_task(llm.complete("hi"))
await clock.advance(2.0)
assert (await call).text == "Hi"
provider.assert_played()

Recordings of real answers are the `scallion_cassette` fixture's business (docs/testing.md).
"""

from __future__ import annotations

import asyncio
import heapq
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from ._clock import Clock
from .providers._fake import FakeClient
from .types import text_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._pipeline import Pipeline
    from ._request import Request
    from ._response import Response
    from .providers._fake import Step
    from .types import ModelResponse

__all__ = ["ManualClock", "ScriptedProvider", "assert_streams_alike"]

_TURNS = 20
"""Turns that the event loop gets after each timer, for what the timer woke to run its course."""


class ScriptedProvider(FakeClient):
    """Plays a script, one step per request, and knows what it was asked.

    Unlike `scallion.providers.fake()`, it fails the test if it is asked more than its script knows.

    Attributes:
        requests: Every request that came, in order.

    Args:
        *script: The steps: a text, a `ModelResponse`, an error to raise, a text with an error that
            breaks the stream after it, or a function (async or not) of the request that returns one
            of these.
        delay: Seconds after each word of a stream, on the pipeline's clock.
    """

    def __init__(self, *script: Step, delay: float = 0.0) -> None:
        super().__init__(script, delay=delay)
        self.requests: list[Request] = []

    async def __call__(self, request: Request) -> Response:
        """Take the next step."""
        self.requests.append(request)
        if not self._steps:
            asked = text_of(request.messages[-1].get("content"))
            raise AssertionError(
                f"the provider was asked {self._times(len(self.requests))}, and its script has "
                f"{_steps(len(self._script))}. The last request: {request.model}, {asked!r}"
            )
        return await super().__call__(request)

    def assert_asked(self, times: int) -> None:
        """Fail unless it was asked so many times."""
        asked = [f"{request.model}: {request.messages[-1]!r}" for request in self.requests]
        assert len(asked) == times, "\n  ".join(
            [f"asked {self._times(len(asked))}, not {times}:", *asked]
        )

    def assert_played(self) -> None:
        """Fail unless the whole script was played."""
        assert not self._steps, f"{_steps(len(self._steps))} not played: {list(self._steps)!r}"

    @staticmethod
    def _times(number: int) -> str:
        return "once" if number == 1 else f"{number} times"

    def __reduce__(self) -> Any:
        return partial(ScriptedProvider, delay=self._delay), self._script


def _steps(number: int) -> str:
    return "1 step" if number == 1 else f"{number} steps"


async def assert_streams_alike(
    build: Callable[[], Pipeline], messages: Any = "Hi", **params: Any
) -> ModelResponse:
    """Fail unless a pipeline says the same in one piece and as a stream; for layers of your own.

    Args:
        build: Makes the pipeline, with a new script each time.
        messages: What to ask; see `Pipeline.complete`.
        **params: Its other arguments.

    Returns:
        The answer.
    """
    async with build() as llm:
        whole = await llm.complete(messages, **params)
    async with build() as llm, llm.stream(messages, **params) as stream:
        streamed = await stream.collect()
    for field in ("choices", "usage", "model", "provider", "cached"):
        one, other = getattr(whole, field), getattr(streamed, field)
        assert one == other, f"{field} differs: whole {one!r}, streamed {other!r}"
    return whole


class ManualClock(Clock):
    """A clock that stands still until it is moved.

    Attributes:
        slept: Every `sleep` that was asked for, in seconds.

    Args:
        auto: Move by itself when something sleeps, so that no sleep ever waits. Timers that come
            due on the way fire.
        start: What `now()` and `time()` begin with, in seconds.
    """

    def __init__(self, *, auto: bool = False, start: float = 1_000_000.0) -> None:
        self.slept: list[float] = []
        self._now = start
        self._auto = auto
        self._timers: list[tuple[float, int, _Timer]] = []
        self._order = count()

    def now(self) -> float:
        """The time the clock was moved to."""
        return self._now

    def time(self) -> float:
        """The same as `now()`."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has been moved on by `seconds`."""
        self.slept.append(seconds)
        woken = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        timer = self.call_at(self._now + seconds, wake)
        try:
            while self._auto and not woken.done():
                await self._settle()
                if not woken.done():
                    self._fire_next()
            await woken
        finally:
            timer.cancel()

    def call_at(self, when: float, callback: Callable[[], object]) -> _Timer:
        """Call back when the clock is moved to `when` or past it."""
        timer = _Timer(callback)
        if when <= self._now:
            asyncio.get_running_loop().call_soon(timer.fire)
            return timer
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    async def advance(self, seconds: float) -> None:
        """Move the clock, fire what comes due in order, and let the event loop act on it."""
        target = self._now + seconds
        await self._settle()
        while self._timers and self._timers[0][0] <= target:
            if self._fire_next():
                await self._settle()
        self._now = max(self._now, target)

    def _fire_next(self) -> bool:
        when, _, timer = heapq.heappop(self._timers)
        if timer.callback is None:
            return False
        self._now = max(self._now, when)
        timer.fire()
        return True

    async def _settle(self) -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)


class _Timer:
    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def fire(self) -> None:
        """Call back, once, unless it was cancelled."""
        callback, self.callback = self.callback, None
        if callback is not None:
            callback()

    def cancel(self) -> None:
        """Do not call back."""
        self.callback = None
