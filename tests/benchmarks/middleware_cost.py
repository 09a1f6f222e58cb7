"""What retry, fallback and timeout cost a call that goes well: `python tests/benchmarks/middleware_cost.py`.

A call is made of a provider in this process, so that all the time is the onion's. Goals: 10 µs for
the three together, and nothing per chunk but for what `inter_chunk` needs.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING

from measure import cpu_per_call

from scallion import Response, build_pipeline
from scallion.middlewares import fallback, retry, timeout
from scallion.types import Choice, ChunkChoice, Message, ModelResponse, StreamChunk

if TYPE_CHECKING:
    from measure import Call

    from scallion import Middleware, Request

CHUNKS = 500
ANSWER = ModelResponse(choices=[Choice(message=Message(content="Hi"), finish_reason="stop")])
EVENTS = [
    *[[StreamChunk.of("word ")] for _ in range(CHUNKS)],
    [StreamChunk(choices=[ChunkChoice(finish_reason="stop")])],
]


class Memory:
    """Chunks that are there already, one for each read, as a socket brings them at best."""

    def __init__(self) -> None:
        self.ended = False
        self._events = iter(EVENTS)

    async def read(self) -> list[StreamChunk]:
        batch = next(self._events, None)
        self.ended = batch is None
        return batch or []

    async def aclose(self) -> None:
        self.ended = True


async def provider(request: Request) -> Response:
    await asyncio.sleep(0)  # every provider is waited for, and the loop drops cancelled timers then
    if request.stream:
        return Response.streaming(Memory(), request)
    return Response.completed(ANSWER, request)


def stacks() -> dict[str, list[Middleware]]:
    others = ["claude-sonnet-4-5", "gpt-4.1"]
    return {
        "bare": [],
        "retry": [retry()],
        "fallback": [fallback(others)],
        "fallback, restart": [fallback(others, stream="restart")],
        "timeout, first_token": [timeout(first_token=30)],
        "timeout, total": [timeout(total=60)],
        "timeout, inter_chunk": [timeout(inter_chunk=30)],
        "three, first_token": [timeout(first_token=30), retry(), fallback(others)],
        "three, total": [timeout(total=60), retry(), fallback(others)],
        "three, inter_chunk": [timeout(inter_chunk=30), retry(), fallback(others)],
    }


async def measure(rounds: int) -> None:
    complete: dict[str, Call] = {}
    stream: dict[str, Call] = {}
    for name, layers in stacks().items():
        llm = build_pipeline(layers, provider=provider, model="gpt-4o")

        async def read(llm=llm) -> None:
            async for _ in llm.stream("hi"):
                pass

        complete[name] = lambda llm=llm: llm.complete("hi")
        stream[name] = read
    whole = await cpu_per_call(complete, calls=dict.fromkeys(complete, 1000), rounds=rounds)
    streamed = await cpu_per_call(stream, calls=dict.fromkeys(stream, 10), rounds=rounds)
    print(f"{'':24}{'complete':>12}{'over bare':>12}{'per chunk':>12}{'over bare':>12}")
    for name in complete:
        call, more = whole[name] * 1e6, (whole[name] - whole["bare"]) * 1e6
        chunk = streamed[name] / CHUNKS * 1e6
        extra = (streamed[name] - streamed["bare"]) / CHUNKS * 1e6
        print(f"{name:24}{call:9.1f} µs{more:+9.1f} µs{chunk:9.2f} µs{extra:+9.2f} µs")
    print("goal: three, complete: +10 µs; per chunk: +0 without inter_chunk and total")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    asyncio.run(measure(parser.parse_args().rounds))
