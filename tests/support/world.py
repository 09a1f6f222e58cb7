"""Three providers at one scripted server, reached through their real adapters, and the time."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from scallion import build_pipeline
from scallion.providers import auto
from support.upstream import (
    HANG,
    PAUSE,
    Upstream,
    completion,
    completion_stream,
    error,
    message,
    message_stream,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from scallion import Middleware, ModelResponse, Pipeline, StreamChunk
    from scallion.testing import ManualClock
    from support.upstream import Received, Reply, Script

MODELS = {
    "openai": "gpt-4o",
    "anthropic": "claude-sonnet-4-5",
    "openrouter": "openrouter/meta-llama/llama-3.3-70b-instruct",
}
_TURNS = 60


class World:
    """The three providers, what they were scripted to say, and the time.

    `asked` holds what each provider received. A provider repeats the last step of its script.
    """

    def __init__(self, upstream: Upstream, clock: ManualClock) -> None:
        self.upstream = upstream
        self.clock = clock
        self.asked: dict[str, list[Received]] = {name: [] for name in MODELS}
        self._scripts: dict[str, deque[Script]] = {}
        self.provider = auto()
        upstream.default = self._reply

    def says(self, **scripts: Any) -> None:
        """What each provider answers from now on: a step, or a list of them."""
        for name, script in scripts.items():
            self._scripts[name] = deque(script if isinstance(script, list) else [script])

    def pipeline(self, *layers: Middleware, first: str = "openai", **settings: Any) -> Pipeline:
        """A pipeline whose provider follows from the model's name, by default that of `first`."""
        defaults = {"provider": self.provider, "model": MODELS[first], "clock": self.clock}
        return build_pipeline(layers, **(defaults | settings))

    def counts(self) -> dict[str, int]:
        """How many requests each provider received, without those that received none."""
        return {name: len(asked) for name, asked in self.asked.items() if asked}

    def lasts(self, seconds: float) -> PAUSE:
        """A step that takes the provider so long."""
        return PAUSE(_Lapse(self.clock, seconds))  # type: ignore[arg-type]

    async def run(self, awaitable: Awaitable[Any], *, step: float = 0.5) -> tuple[Any, float]:
        """Move the clock until it is done. Returns the result, or the error, and the seconds."""
        began = self.clock.now()
        task = asyncio.ensure_future(awaitable)
        for _ in range(400):
            await self.turns(5)
            if task.done():
                break
            await self.clock.advance(step)
        else:
            task.cancel()
        try:
            return await task, self.clock.now() - began
        except Exception as failure:  # noqa: BLE001 - the test looks at it
            return failure, self.clock.now() - began

    async def turns(self, times: int = 1) -> None:
        """Let what is on its way through the sockets arrive."""
        for _ in range(_TURNS * times):
            await asyncio.sleep(0)

    async def warm_up(self) -> None:
        """Make each SDK's first call, which does things in threads: later ones keep to the loop."""
        for name, model in MODELS.items():
            self.says(**{name: replace(Mode("complete").good(name), keep_alive=False)})
            await self.pipeline(model=model).complete("hi")
        await self.upstream.all_closed()
        for asked in self.asked.values():
            asked.clear()
        self.upstream.requests.clear()

    async def aclose(self) -> None:
        """Close all connections."""
        await self.provider.aclose()

    async def _reply(self, request: Received) -> Reply:
        name = request.path.split("/")[1]
        self.asked[name].append(request)
        script = self._scripts[name]
        step = script.popleft() if len(script) > 1 else script[0]
        return step if not callable(step) else await step(request)


class _Lapse:
    """An event that happens when time has passed."""

    def __init__(self, clock: ManualClock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds

    async def wait(self) -> None:
        await self._clock.sleep(self._seconds)


class Mode:
    """Complete or streaming: how to ask, and what the providers answer."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.streams = name == "stream"

    def good(self, provider: str, text: str = "Hi", *, hang: bool = False, **fields: Any) -> Reply:
        """The provider's whole answer, or a stream that stalls behind the text."""
        if hang:
            stream = message_stream if provider == "anthropic" else completion_stream
            return stream(text, HANG, **fields)
        if provider == "anthropic":
            return message_stream(text, **fields) if self.streams else message(text, **fields)
        return completion_stream(text, **fields) if self.streams else completion(text, **fields)

    async def ask(self, llm: Pipeline, messages: Any = "hi", **arguments: Any) -> ModelResponse:
        """The whole answer, however it comes."""
        if not self.streams:
            return await llm.complete(messages, **arguments)
        async with llm.stream(messages, **arguments) as stream:
            return await stream.collect()


def failure(provider: str, status: int, **fields: Any) -> Reply:
    """An HTTP error in the provider's shape."""
    return error(status, style=provider, **fields)  # type: ignore[arg-type]


async def chunks_of(stream: Any) -> list[StreamChunk]:
    """Read a stream to its end."""
    async with stream:
        return [chunk async for chunk in stream]
