"""A process of its own with a budget on a shared store: `python budget_worker.py ROLE BACKEND PLACE …`.

spend BACKEND PLACE USD CALLS USED   make CALLS calls at once, whose worst case is $0.00039 and which
                                     use USED tokens of 39; print how many were admitted
die   BACKEND PLACE USD HOLD         begin a call, print that it is on its way, and wait to be killed
"""

from __future__ import annotations

import asyncio
import sys

from scallion import Pipeline, Response, build_pipeline, stores
from scallion.costs import PriceTable
from scallion.exceptions import BudgetExceededError
from scallion.middlewares import budget
from scallion.types import Usage
from support.chunks import answer


def prices() -> PriceTable:
    """A model whose output costs $10 per million tokens, and whose prompt is free."""
    table = PriceTable()
    table.register("m", input=0, output=10)
    return table


async def spend(place: stores.Store, usd: str, calls: str, used: str) -> None:
    everyone_asked = asyncio.Event()

    async def provider(request: object) -> Response:
        await everyone_asked.wait()
        usage = Usage(prompt_tokens=5, completion_tokens=int(used), total_tokens=5 + int(used))
        return Response.completed(answer("Hi", usage=usage, model="m"), request)

    llm = build_pipeline(
        [budget(usd=usd, store=place, prices=prices())], provider=provider, model="m"
    )
    print(await admitted(llm, int(calls), everyone_asked))


async def admitted(llm: Pipeline, calls: int, everyone_asked: asyncio.Event) -> int:
    """How many of so many calls at once were not refused."""
    tasks = [asyncio.create_task(llm.complete("hi", max_tokens=39)) for _ in range(calls)]
    await asyncio.sleep(0.2)
    everyone_asked.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception) and not isinstance(result, BudgetExceededError):
            raise result
    return sum(not isinstance(result, Exception) for result in results)


async def die(place: stores.Store, usd: str, hold: str) -> None:
    async def provider(request: object) -> Response:
        print("sent", flush=True)
        await asyncio.sleep(60)
        raise AssertionError("it should have been killed")

    limit = budget(usd=usd, hold=float(hold), store=place, prices=prices())
    await build_pipeline([limit], provider=provider, model="m").complete("hi", max_tokens=39)


async def main(role: str, backend: str, place: str, *arguments: str) -> None:
    async with getattr(stores, backend)(place) as store:
        await globals()[role](store, *arguments)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
