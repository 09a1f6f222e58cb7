"""A process of its own that asks through a cache: `python cache_worker.py BACKEND PLACE URL …`.

BACKEND PLACE URL CALLS QUESTION   ask CALLS times at once; print "asking", and then the answers
"""

from __future__ import annotations

import asyncio
import sys

from scallion import build_pipeline, stores
from scallion.middlewares import _cache_flight, _cache_shelf, cache
from scallion.providers import openai

LEASE = 1.0
"""Seconds, instead of fifteen: as long as a test waits for those who follow a dead leader."""


async def main(backend: str, place: str, url: str, calls: str, question: str) -> None:
    _cache_flight.LEASE = _cache_shelf.LEASE = LEASE
    store = getattr(stores, backend)(place)
    provider = openai(api_key="key", base_url=f"{url}/v1")
    await provider.warm_up()
    async with build_pipeline([cache(store)], provider=provider, model="gpt-4o") as llm:
        print("asking", flush=True)
        answers = await asyncio.gather(*[llm.complete(question) for _ in range(int(calls))])
        print(*[answer.text for answer in answers], sep="\n", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
