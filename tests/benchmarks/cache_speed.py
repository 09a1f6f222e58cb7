"""Prints what a hit, a miss and a key take (python tests/benchmarks/cache_speed.py).

A hit is the call of a pipeline with `cache()` over one without any layer and with a provider that
has its answer at hand, so that what is measured is the cache alone. Encoding the same request once,
which sending it takes in any case, is measured in the same run to compare with.
"""

from __future__ import annotations

import asyncio
import json
import time
import timeit
from itertools import count
from typing import TYPE_CHECKING, Any

import msgspec
from replies import agent_messages, agent_tools, openai_answer

from scallion import Request, Response, build_pipeline
from scallion.middlewares import _cache
from scallion.middlewares._cache_key import request_key
from scallion.middlewares._cache_memory import Digests
from scallion.providers import openai
from scallion.types import ModelResponse, decode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SHORT = [{"role": "user", "content": "Why is the sky blue?"}]
ROUNDS = 15


def best(call: Callable[[], object], number: int) -> float:
    """Microseconds of a call, in the best round: noise only ever adds."""
    call()
    return min(timeit.repeat(call, number=number, repeat=ROUNDS)) / number * 1e6


def keys() -> dict[str, float]:
    """What a key takes."""
    provider, memory = openai(api_key="key", base_url="http://127.0.0.1/v1"), Digests()
    history, tools = agent_messages(), agent_tools()

    def asked(messages: list[dict[str, Any]], **params: Any) -> Request:
        return Request("gpt-4o", messages, params, provider=provider)

    short = asked(SHORT, temperature=0)
    agent = asked(history, tools=tools)
    anew = asked(json.loads(json.dumps(history)), tools=json.loads(json.dumps(tools)))
    numbers = count()

    def grown() -> str:
        more = [
            {"role": "assistant", "content": "ok"},
            {"role": "user", "content": f"{next(numbers)}"},
        ]
        return request_key(asked([*history, *more], tools=tools), memory=memory)

    body = [history, tools]
    return {
        "key, short (goal: 10)": best(lambda: request_key(short, memory=memory), 2_000),
        "key, 210 messages + 20 tools, seen before (goal: 60)": best(
            lambda: request_key(agent, memory=memory), 200
        ),
        "key, the same, all objects new": best(lambda: request_key(anew, memory=memory), 200),
        "key, the same, grown by two messages": best(grown, 100),
        "key, the same, without a memory": best(lambda: request_key(agent), 20),
        "for comparison: msgspec.json.encode of it": best(lambda: msgspec.json.encode(body), 200),
    }


async def calls() -> dict[str, float]:
    """What a hit and a miss add to a call."""
    whole = decode(ModelResponse, openai_answer())

    async def provider(request: Request) -> Response:
        return Response.completed(whole, request)

    bare = build_pipeline(provider=provider, model="gpt-4o")
    cached = build_pipeline([_cache.cache()], provider=provider, model="gpt-4o")
    numbers = count()

    async def drain() -> None:
        async with cached.stream(SHORT) as stream:
            async for _ in stream:
                pass

    return {
        "a call without any layer": await _best(lambda: bare.complete(SHORT)),
        "a hit (goal: 25)": await _best(lambda: cached.complete(SHORT)),
        "a miss": await _best(lambda: cached.complete(f"{next(numbers)}")),
        "a streamed hit of 60 words": await _best(drain),
    }


async def _best(call: Callable[[], Awaitable[object]], number: int = 500) -> float:
    await call()
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(number):
            await call()
        rounds.append((time.perf_counter() - began) / number)
    return min(rounds) * 1e6


def main() -> None:
    for name, microseconds in {**keys(), **asyncio.run(calls())}.items():
        print(f"{name:56} {microseconds:7.1f} µs")


if __name__ == "__main__":
    main()
