"""How cost grows with size: python tests/benchmarks/growth.py [--svg FILE].

Four sizes grow from small to absurd: the history, the stream, the calls at once, the layers. For each
the cost of one unit (a message, a chunk, a call, a layer) is measured. It must not rise: a unit that gets
dearer with the number of its like means that somewhere a loop goes over all of them. Exits with 1 if the
largest size is more than three times as dear per unit as the cheapest.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clients import layers
from replies import agent_messages, openai_answer, openai_events
from server import Server

from scallion import Response, build_pipeline
from scallion.middlewares import Ledger, cache, cost, retry, timeout
from scallion.providers import openai
from scallion.types import ModelResponse, StreamChunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from scallion import Request

    Call = Callable[[], Awaitable[Any]]
    Figures = dict[int, float]

TOLERANCE = 3.0
HISTORY = (10, 100, 1_000, 10_000)
STREAM = (10, 100, 1_000, 10_000, 100_000)
AT_ONCE = (1, 10, 100, 1_000, 2_000)
LAYERS = (10, 30, 100)


async def seconds(call: Call, repeat: int = 5) -> float:
    """The CPU that a call takes, at best."""
    await call()
    best = float("inf")
    for _ in range(repeat):
        gc.collect()
        began = time.process_time()
        await call()
        best = min(best, time.process_time() - began)
    return best


async def history(server: Server) -> Figures:
    """Seconds per message, for calls with long histories through cost, cache, retry and the wire."""
    base = agent_messages()
    found = {}
    for size in HISTORY:
        messages = [base[n % len(base)] for n in range(size)]
        provider = openai(api_key="sk-local", base_url=server.url("openai"))
        stack = [cost(Ledger()), cache(mode="write_only"), retry(), timeout(total=60)]
        async with build_pipeline(stack, provider=provider, model="gpt-4o") as llm:
            found[size] = await seconds(lambda llm=llm, asked=messages: llm.complete(asked)) / size
    return found


async def stream(_: Server) -> Figures:
    """Seconds per chunk, with layers that listen."""
    events = [event[6:-2] for event in openai_events(200)][:-1]
    known = [StreamChunk.model_validate_json(event) for event in events]
    head, *body, finish, usage = known

    def provider(count: int) -> Callable[[Request], Awaitable[Response]]:
        async def chunks() -> AsyncIterator[StreamChunk]:
            yield head
            for number in range(count):
                yield body[number % len(body)]
            yield finish
            yield usage

        async def provide(request: Request) -> Response:
            return Response.streaming(chunks(), request)

        return provide

    found = {}
    for size in STREAM:
        stack = [cost(Ledger()), retry(), timeout(inter_chunk=60)]
        llm = build_pipeline(stack, provider=provider(size), model="gpt-4o")

        async def read(llm: Any = llm) -> None:
            async for _ in llm.stream("Why is the sky blue?"):
                pass

        found[size] = await seconds(read, repeat=2 if size > 10_000 else 5) / size
    return found


async def at_once(server: Server) -> Figures:
    """Seconds per call, over the wire."""
    found = {}
    for size in AT_ONCE:
        provider = openai(api_key="sk-local", base_url=server.url("openai"))
        stack = [cost(Ledger()), retry(), timeout(total=60)]
        async with build_pipeline(stack, provider=provider, model="gpt-4o") as llm:

            async def burst(llm: Any = llm, size: int = size) -> None:
                await asyncio.gather(*[llm.complete("Why is the sky blue?") for _ in range(size)])

            found[size] = await seconds(burst, repeat=3) / size
    return found


async def depth(_: Server) -> Figures:
    """Seconds per layer, over what no layer costs."""
    answer = ModelResponse.model_validate_json(openai_answer())

    async def provide(request: Request) -> Response:
        return Response.completed(answer, request)

    async def many(count: int) -> float:
        llm = build_pipeline(layers(count=count), provider=provide, model="gpt-4o")

        async def calls() -> None:
            for _ in range(500):
                await llm.complete("Why is the sky blue?")

        return await seconds(calls) / 500

    await many(0)  # the first is slower
    bare = await many(0)
    return {size: max(await many(size) - bare, 1e-9) / size for size in LAYERS}


KINDS = {
    "messages in the history": history,
    "chunks in the stream": stream,
    "calls at once": at_once,
    "layers": depth,
}


def main() -> int:
    """Measure, tell, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--svg", type=Path, help="plot it here")
    options = parser.parse_args()
    found: dict[str, Figures] = {}
    steep = []
    with Server() as server:
        for name, measure in KINDS.items():
            found[name] = asyncio.run(measure(server))
            each = ", ".join(f"{size:,}: {cost * 1e6:.2f}" for size, cost in found[name].items())
            worst = list(found[name].values())[-1] / min(found[name].values())
            print(f"{name}: µs each at {each}; the largest is {worst:.2f} times the cheapest")
            if worst > TOLERANCE:
                steep.append(name)
    if options.svg:
        options.svg.write_text(plot(found))
    if steep:
        print(f"dearer with size: {', '.join(steep)}", file=sys.stderr)
    return bool(steep)


def plot(found: dict[str, Figures]) -> str:
    """One small plot per kind: sizes to the right on a log scale, cost per unit upwards from 0."""
    width, height, left, gap = 300, 150, 50, 60
    parts = []
    for number, (name, costs) in enumerate(found.items()):
        x0 = left + number % 2 * (width + gap)
        y0 = 40 + number // 2 * (height + gap)
        top = max(costs.values()) * 1.1
        points = []
        for place, (size, each) in enumerate(costs.items()):
            x = x0 + place * width / (len(costs) - 1)
            y = y0 + height * (1 - each / top)
            points.append(f"{x:.0f},{y:.0f}")
            parts.append(
                f'<circle cx="{x:.0f}" cy="{y:.0f}" r="3" fill="#4c8b3b"/>'
                f'<text x="{x:.0f}" y="{y - 7:.0f}" text-anchor="middle">{each * 1e6:.2g}</text>'
                f'<text x="{x:.0f}" y="{y0 + height + 15}" text-anchor="middle">{size:,}</text>'
            )
        parts.append(
            f'<text x="{x0}" y="{y0 - 16}" font-weight="bold">{name}: µs each</text>'
            f'<path d="M{x0} {y0}v{height}h{width}" fill="none" stroke="#9aa5b1"/>'
            f'<polyline points="{" ".join(points)}" fill="none" stroke="#4c8b3b"/>'
        )
    size = f'width="{2 * (left + width) + gap}" height="{2 * (height + gap) + 40}"'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11">'
    )
    return "\n".join(
        [head, '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>", ""]
    )


if __name__ == "__main__":
    sys.exit(main())
