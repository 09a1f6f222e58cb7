"""One contestant's figures, measured in its own environment: run by peers.py, prints JSON.

It imports nothing of ours but the replies' requests, so it runs wherever the contestant is installed.
Every contestant is used as its documentation does, for OpenAI's chat completions.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import sys
import time
import warnings
from types import ModuleType
from typing import TYPE_CHECKING, Any

import replies

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Complete = Callable[..., Awaitable[Any]]
    Stream = Callable[[int], AsyncIterator[Any]]

warnings.simplefilter("ignore")
MODEL = "gpt-4o"
SHORT = replies.SHORT


def scallion(root: str, layers: int = 0) -> tuple[Complete, Stream]:
    from scallion import build_pipeline
    from scallion.providers import openai

    async def layer(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    def pipeline(name: str) -> Any:
        provider = openai(api_key="sk-local", base_url=f"{root}/{name}")
        return build_pipeline([layer] * layers, provider=provider, model=MODEL)

    llm, streams = pipeline("openai"), {n: pipeline(f"openai-{n}") for n in replies.CHUNKS}
    return llm.complete, lambda n: streams[n].stream(SHORT)


def scallion_six(root: str) -> tuple[Complete, Stream]:
    return scallion(root, 6)


def openai_sdk(root: str) -> tuple[Complete, Stream]:
    from openai import AsyncOpenAI

    def client(name: str) -> Any:
        return AsyncOpenAI(api_key="sk-local", base_url=f"{root}/{name}", max_retries=0)

    one, streams = client("openai"), {n: client(f"openai-{n}") for n in replies.CHUNKS}

    def complete(messages: Any, **params: Any) -> Any:
        return one.chat.completions.create(model=MODEL, messages=messages, **params)

    async def stream(count: int) -> Any:
        async for chunk in await streams[count].chat.completions.create(
            model=MODEL, messages=SHORT, stream=True
        ):
            yield chunk

    return complete, stream


def anthropic_sdk(root: str) -> tuple[Complete, Stream]:
    from anthropic import AsyncAnthropic

    def client(name: str) -> Any:
        return AsyncAnthropic(api_key="sk-local", base_url=f"{root}/{name}", max_retries=0)

    one = client("anthropic")
    streams = {n: client(f"anthropic-{n}") for n in replies.CHUNKS}
    agent = replies.anthropic_agent()

    def complete(messages: Any, tools: Any = None) -> Any:
        asked = agent if tools else {"messages": messages}
        return one.messages.create(**{"model": "claude-haiku-4-5", "max_tokens": 1_000, **asked})

    async def stream(count: int) -> Any:
        async for event in await streams[count].messages.create(
            model="claude-haiku-4-5", max_tokens=1_000, messages=SHORT, stream=True
        ):
            yield event

    return complete, stream


def litellm(root: str) -> tuple[Complete, Stream]:
    import litellm as library

    return _like_litellm(root, library.acompletion)


def litelm(root: str) -> tuple[Complete, Stream]:
    import litelm as library

    return _like_litellm(root, library.acompletion)


def edgequake(root: str) -> tuple[Complete, Stream]:
    import edgequake_litellm as library

    async def complete(messages: Any, **params: Any) -> Any:
        _point_at(f"{root}/openai")
        return await library.acompletion(model=f"openai/{MODEL}", messages=messages, **params)

    async def stream(count: int) -> Any:
        _point_at(f"{root}/openai-{count}")
        chunks = await library.acompletion(model=f"openai/{MODEL}", messages=SHORT, stream=True)
        async for chunk in chunks:
            yield chunk

    return complete, stream


def _point_at(url: str) -> None:
    """It takes no address and no key with a call, and reads both from the environment."""
    os.environ |= {"OPENAI_API_KEY": "sk-local", "OPENAI_BASE_URL": url}


def _like_litellm(root: str, acompletion: Any) -> tuple[Complete, Stream]:
    def complete(messages: Any, **params: Any) -> Any:
        return acompletion(
            model=f"openai/{MODEL}", messages=messages, api_base=f"{root}/openai",
            api_key="sk-local", **params,
        )  # fmt: skip

    async def stream(count: int) -> Any:
        async for chunk in await acompletion(
            model=f"openai/{MODEL}", messages=SHORT, api_base=f"{root}/openai-{count}",
            api_key="sk-local", stream=True,
        ):  # fmt: skip
            yield chunk

    return complete, stream


def any_llm(root: str) -> tuple[Complete, Stream]:
    from any_llm import acompletion

    def complete(messages: Any, **params: Any) -> Any:
        return acompletion(
            model=MODEL, provider="openai", messages=messages, api_base=f"{root}/openai",
            api_key="sk-local", **params,
        )  # fmt: skip

    async def stream(count: int) -> Any:
        async for chunk in await acompletion(
            model=MODEL, provider="openai", messages=SHORT, api_base=f"{root}/openai-{count}",
            api_key="sk-local", stream=True,
        ):  # fmt: skip
            yield chunk

    return complete, stream


def httpx2_floor(root: str) -> tuple[Complete, Stream]:
    import httpx2

    client = httpx2.AsyncClient(limits=httpx2.Limits(max_connections=None))

    async def complete(messages: Any, **params: Any) -> Any:
        body = {"model": MODEL, "messages": messages, **params}
        return (await client.post(f"{root}/openai/chat/completions", json=body)).json()

    async def stream(count: int) -> Any:
        body = {"model": MODEL, "messages": SHORT, "stream": True}
        async with client.stream("POST", f"{root}/openai-{count}/chat", json=body) as response:
            async for line in response.aiter_lines():
                if line.startswith("data: {"):
                    yield json.loads(line[6:])

    return complete, stream


def aiohttp_floor(root: str) -> tuple[Complete, Stream]:
    import aiohttp

    sessions: list[aiohttp.ClientSession] = []

    def session() -> aiohttp.ClientSession:
        if not sessions:
            connector = aiohttp.TCPConnector(limit=0)
            sessions.append(aiohttp.ClientSession(connector=connector))
        return sessions[0]

    async def complete(messages: Any, **params: Any) -> Any:
        body = {"model": MODEL, "messages": messages, **params}
        async with session().post(f"{root}/openai/chat/completions", json=body) as response:
            return await response.json()

    async def stream(count: int) -> Any:
        body = {"model": MODEL, "messages": SHORT, "stream": True}
        async with session().post(f"{root}/openai-{count}/chat", json=body) as response:
            async for line in response.content:
                if line.startswith(b"data: {"):
                    yield json.loads(line[6:])

    return complete, stream


async def scallion_extras(root: str, rounds: int) -> dict[str, float]:
    from scallion import build_pipeline
    from scallion.costs import price
    from scallion.middlewares import cache
    from scallion.providers import openai
    from scallion.tokens import count_message_tokens
    from scallion.types import Usage

    usage, history = Usage(prompt_tokens=1_000, completion_tokens=200), replies.agent_messages()
    llm = build_pipeline(
        [cache()], provider=openai(api_key="sk-local", base_url=f"{root}/openai"), model=MODEL
    )
    return await _extras(
        lambda: price(MODEL, usage),
        lambda: count_message_tokens(history, MODEL),
        lambda: llm.complete(SHORT),
        rounds,
    )


async def litellm_extras(root: str, rounds: int) -> dict[str, float]:
    import litellm as library

    # Its cache imports this on the way, and its package does not ask for it.
    sys.modules.setdefault("soundfile", ModuleType("soundfile"))
    library.cache = library.Cache(type="local")
    history = replies.agent_messages()
    return await _extras(
        lambda: library.cost_per_token(MODEL, prompt_tokens=1_000, completion_tokens=200),
        lambda: library.token_counter(MODEL, messages=history),
        lambda: library.acompletion(
            model=f"openai/{MODEL}", messages=SHORT, api_base=f"{root}/openai",
            api_key="sk-local", caching=True,
        ),
        rounds,
    )  # fmt: skip


async def _extras(
    price: Callable[[], Any], count: Callable[[], Any], hit: Complete, rounds: int
) -> dict[str, float]:
    async def priced() -> None:
        price()

    async def counted() -> None:
        count()

    await priced()
    await counted()
    await hit()
    return {
        "price, µs": await best(priced, 100, rounds) * 1e6,
        "count a history again, µs": await best(counted, 5, rounds) * 1e6,
        "cache hit, µs": await best(hit, 100, rounds) * 1e6,
    }


EXTRAS = {"Scallion": scallion_extras, "litellm": litellm_extras}

CONTESTANTS = {
    "Scallion": scallion,
    "Scallion, six layers": scallion_six,
    "openai SDK": openai_sdk,
    "anthropic SDK": anthropic_sdk,
    "litellm": litellm,
    "any-llm": any_llm,
    "litelm": litelm,
    "edgequake-litellm": edgequake,
    "httpx2": httpx2_floor,
    "aiohttp": aiohttp_floor,
}


async def measure(name: str, root: str, rounds: int) -> dict[str, float]:
    complete, stream = CONTESTANTS[name](root)
    messages, tools = replies.agent_messages(), replies.agent_tools()
    figures: dict[str, float] = {}

    async def read(count: int) -> None:
        async for _ in stream(count):
            pass

    await complete(SHORT)
    if not rounds:
        return figures  # a first call is all that was wanted
    await read(200)
    figures["short call, ms"] = await best(lambda: complete(SHORT), 40, rounds) * 1e3
    figures["agent call, ms"] = await best(lambda: complete(messages, tools=tools), 5, rounds) * 1e3
    many, few = max(replies.CHUNKS), min(replies.CHUNKS)
    long = await best(lambda: read(many), 1, rounds)
    brief = await best(lambda: read(few), 3, rounds)
    figures["chunk, µs"] = (long - brief) / (many - few) * 1e6
    for at_once in (1, 64, 256):
        calls = max(at_once * 3, 100)
        figures[f"calls/s, {at_once} at once"] = await rate(complete, at_once, calls, rounds)
    # Before those that only some have.
    figures["memory, MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if name in EXTRAS:
        figures |= await EXTRAS[name](root, rounds)
    return figures


async def best(call: Callable[[], Awaitable[Any]], number: int, rounds: int) -> float:
    """Seconds of CPU that one call takes, in the best of some rounds."""
    found = float("inf")
    for _ in range(rounds):
        gc.collect()
        began = time.process_time()
        for _ in range(number):
            await call()
        found = min(found, (time.process_time() - began) / number)
    return found


async def rate(complete: Complete, at_once: int, calls: int, rounds: int) -> float:
    """Calls per second of wall time, in the best of some rounds."""

    async def caller() -> None:
        for _ in range(calls // at_once):
            await complete(SHORT)

    found = 0.0
    for _ in range(rounds):
        began = time.perf_counter()
        await asyncio.gather(*[caller() for _ in range(at_once)])
        found = max(found, calls // at_once * at_once / (time.perf_counter() - began))
    return found


async def main(name: str, root: str, rounds: int) -> None:
    print(json.dumps(await measure(name, root, rounds)), flush=True)
    # Some contestants leave threads and connections behind; what they say of that is not ours.
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
