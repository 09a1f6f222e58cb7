"""What an operation of each store costs: `python tests/benchmarks/store_speed.py`.

One caller who waits for each answer, and a hundred at once. The best of several rounds counts,
because noise only ever adds.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from scallion import stores
from scallion.stores import Claim, Reservation, Store, Window
from support.valkey import Valkey

ROUNDS = 5
CALLS = 1_000
AT_ONCE = 100
ANSWER = bytes(2_000)

Operation = Callable[[int], Awaitable[object]]


async def one_by_one(operation: Operation) -> float:
    began = time.perf_counter()
    for number in range(CALLS):
        await operation(number)
    return (time.perf_counter() - began) / CALLS


async def at_once(operation: Operation) -> float:
    began = time.perf_counter()
    for first in range(0, CALLS, AT_ONCE):
        await asyncio.gather(*(operation(first + number) for number in range(AT_ONCE)))
    return (time.perf_counter() - began) / CALLS


async def measure(store: Store) -> dict[str, tuple[float, float]]:
    claims = (Claim("pipeline", 1, 10**9), Claim("tenant", 1, 10**9, Window(3_600, sliding=True)))
    held: list[Reservation] = []

    async def reserve(number: int) -> None:
        found = await store.reserve(claims[0], ttl=3_600)
        assert isinstance(found, Reservation)
        held.append(found)

    async def settle(number: int) -> None:
        assert await store.settle(held.pop(), 1)

    async def both(number: int) -> None:
        found = await store.reserve(*claims, ttl=3_600)
        assert isinstance(found, Reservation)
        assert await store.settle(found, 1, 1)

    async def fly(number: int) -> None:
        lease = await store.get_or_lease(f"new {number}", ttl=60)
        assert isinstance(lease, stores.Lease)
        assert await store.release(lease)

    operations: dict[str, Operation] = {
        "set (2 kB)": lambda number: store.set(f"key {number}", ANSWER, ttl=600),
        "get (hit, 2 kB)": lambda number: store.get(f"key {number}"),
        "get (miss)": lambda number: store.get(f"no key {number}"),
        "reserve": reserve,
        "settle": settle,
        "reserve + settle, two budgets": both,
        "get_or_lease + release": fly,
    }
    slowest = (float("inf"), float("inf"))
    best = dict.fromkeys(operations, slowest)
    for _ in range(ROUNDS):
        for name, operation in operations.items():
            best[name] = (min(best[name][0], await one_by_one(operation)), best[name][1])
        for name, operation in operations.items():
            best[name] = (best[name][0], min(best[name][1], await at_once(operation)))
    return best


def main() -> None:
    found: dict[str, dict[str, tuple[float, float]]] = {}
    with Valkey() as server, tempfile.TemporaryDirectory() as folder:
        for name, store in {
            "memory": stores.memory(),
            "sqlite": stores.sqlite(Path(folder) / "store.db"),
            "redis": stores.redis(server.url),
        }.items():

            async def run(store: Store = store) -> dict[str, tuple[float, float]]:
                async with store:
                    return await measure(store)

            found[name] = asyncio.run(run())
    print(f"µs per operation: one caller / {AT_ONCE} at once")
    print(f"{'':32}" + "".join(f"{name:>16}" for name in found))
    for operation in found["memory"]:
        cells = ("{:.1f} / {:.1f}".format(*(t * 1e6 for t in found[n][operation])) for n in found)
        print(f"{operation:32}" + "".join(f"{cell:>16}" for cell in cells))


if __name__ == "__main__":
    main()
