"""A process of its own that works on a store: `python store_worker.py ROLE BACKEND PLACE …`.

spend  BACKEND PLACE LIMIT CALLS   reserve and settle 1 until CALLS were tried; print how many fit
flight BACKEND PLACE KEYS          make each key's value, unless another process does; print how
                                   many were made here
churn  BACKEND PLACE               write values and budgets for ever, and print each thing done
die    BACKEND PLACE TTL           hold everything, print that, and wait to be killed
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import sys

from scallion import stores
from scallion.stores import Claim, Lease, Reservation


def checked(payload: bytes) -> bytes:
    """A value that shows whether it is whole."""
    return hashlib.sha256(payload).digest() + payload


async def spend(store: stores.Store, limit: str, calls: str) -> None:
    async def call() -> bool:
        held = await store.reserve(Claim("team", 2, int(limit)), ttl=60)
        if not isinstance(held, Reservation):
            return False
        await store.settle(held, 1)
        return True

    fitted = 0
    for _ in range(int(calls) // 25):
        fitted += sum(await asyncio.gather(*(call() for _ in range(25))))
    print(fitted)


async def flight(store: stores.Store, keys: str) -> None:
    made = 0

    async def want(key: str) -> None:
        nonlocal made
        found = await stores.follow(store, key, ttl=30, wait=30)
        if isinstance(found, Lease):
            made += 1
            await asyncio.sleep(0.01)  # the work
            await store.set(key, b"made")
            await store.release(found)
        else:
            assert found == b"made"

    wanted = [f"key {number}" for number in range(int(keys))]
    random.shuffle(wanted)
    await asyncio.gather(*(want(key) for key in wanted))
    print(made)


async def churn(store: stores.Store) -> None:
    number = 0
    while True:
        number += 1
        await store.set(f"key {number % 20}", checked(random.randbytes(random.randrange(60_000))))
        held = await store.reserve(Claim("team", 5, 2**50), Claim("tenant", 5, 2**50), ttl=3600)
        print("held", flush=True)
        await store.settle(held, 3, 4)
        print("settled", flush=True)


async def die(store: stores.Store, ttl: str) -> None:
    held = await store.reserve(Claim("team", 1000, 1000), ttl=float(ttl))
    assert isinstance(held, Reservation)
    print("held", flush=True)
    await asyncio.sleep(60)


async def main(role: str, backend: str, place: str, *arguments: str) -> None:
    async with getattr(stores, backend)(place) as store:
        await globals()[role](store, *arguments)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
