"""Prints what a hit, a miss and a key take (python tests/benchmarks/cache_speed.py [PYTHON]).

A hit is the call of a pipeline with `cache()` over one without any layer and with a provider that
has its answer at hand, so that what is measured is the cache alone. Encoding the same request once,
which sending it takes in any case, is measured in the same run to compare with. PYTHON is the
interpreter of an environment that has litellm: its local cache is measured in turn with ours then.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import timeit
from itertools import count
from typing import TYPE_CHECKING, Any

import msgspec
from replies import agent_messages, agent_tools, openai_answer

from scallion import Request, Response, build_pipeline
from scallion._model import decode
from scallion.middlewares import _cache
from scallion.middlewares._cache_key import request_key
from scallion.middlewares._cache_memory import Digests
from scallion.providers import openai
from scallion.types import ModelResponse

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


LITELLM = """
import asyncio, json, logging, sys, time, types
logging.disable(logging.CRITICAL)
sys.modules["soundfile"] = types.ModuleType("soundfile")  # its cache imports its proxy, and that this
import litellm
from litellm.caching.caching import Cache

short, history, tools, rounds = json.load(sys.stdin)
cache = litellm.cache = Cache(type="local")
litellm.suppress_debug_info = True

def best(call, number):
    call()
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(number):
            call()
        found.append((time.perf_counter() - began) / number)
    return min(found) * 1e6

async def hit():
    ask = lambda: litellm.acompletion(
        model="gpt-4o", messages=short, api_key="key", mock_response="Hi", caching=True
    )
    await ask()
    await asyncio.sleep(0.2)
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(50):
            answer = await ask()
        found.append((time.perf_counter() - began) / 50)
    assert answer._hidden_params.get("cache_hit"), "it did not come from the cache"
    return min(found) * 1e6

json.dump({
    "litellm: key, short": best(
        lambda: cache.get_cache_key(model="gpt-4o", messages=short, temperature=0), 500),
    "litellm: key, 210 messages + 20 tools": best(
        lambda: cache.get_cache_key(model="gpt-4o", messages=history, tools=tools), 20),
    "litellm: a hit": asyncio.run(hit()),
}, sys.stdout)
"""


def litellm(python: str) -> dict[str, float]:
    """What the same takes with litellm's local cache, in a process of its own."""
    given = json.dumps([SHORT, agent_messages(), agent_tools(), ROUNDS])
    done = subprocess.run(
        [python, "-c", LITELLM],
        input=given,
        text=True,
        stdout=subprocess.PIPE,
        check=True,
        env={"LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    found = {**keys(), **asyncio.run(calls())}
    if len(sys.argv) > 1:
        found |= litellm(sys.argv[1])
        # Once more, because the machine may have been slower or faster meanwhile.
        for name, microseconds in {**keys(), **asyncio.run(calls())}.items():
            found[name] = min(found[name], microseconds)
    for name, microseconds in found.items():
        print(f"{name:56} {microseconds:8.1f} µs")


if __name__ == "__main__":
    main()
