"""What a call through `pipeline.sync` costs over the same call awaited, in microseconds.

    python tests/benchmarks/sync_cost.py [CALLS]

The provider answers at once, so all that is measured is the way to the background loop and back.
The goal is 150 µs; the exit code is 1 if the median of the rounds is above it.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time

from scallion import Response, build_pipeline
from scallion.types import Choice, Message, ModelResponse

GOAL = 150.0
ROUNDS = 9

ANSWER = ModelResponse(choices=[Choice(message=Message(content="Hi"), finish_reason="stop")])


async def at_once(request):
    return Response.completed(ANSWER, request)


LLM = build_pipeline(provider=at_once, model="m")


async def awaited(calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        await LLM.complete("hello")
    return (time.perf_counter() - began) / calls * 1e6


def without_a_loop(calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        LLM.sync.complete("hello")
    return (time.perf_counter() - began) / calls * 1e6


def main() -> int:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    LLM.sync.complete("hello")  # the loop is started once
    overheads = []
    for _ in range(ROUNDS):
        one, other = asyncio.run(awaited(calls)), without_a_loop(calls)
        overheads.append(other - one)
        print(f"awaited {one:6.1f} µs   sync {other:6.1f} µs   overhead {other - one:6.1f} µs")
    middle = statistics.median(overheads)
    print(f"median overhead {middle:.1f} µs, at best {min(overheads):.1f} µs (goal: {GOAL:.0f})")
    return int(middle > GOAL)


if __name__ == "__main__":
    sys.exit(main())
