"""What only the memory store has: bounds, and no need of an event loop's help."""

from __future__ import annotations

import asyncio
import gc
import pickle
import threading
import tracemalloc
from functools import partial

import pytest

from scallion import stores
from scallion.stores import Balance, Claim, Lease, Reservation, Window
from scallion.stores._protocol import LATE
from support.clocks import HandClock


async def kept(store, *keys):
    return [key for key in keys if await store.get(key) is not None]


async def test_beyond_maxsize_the_least_recently_used_value_goes():
    store = stores.memory(maxsize=3)
    for key in "abc":
        await store.set(key, b"value")
    await store.get("a")
    await store.set("d", b"value")
    assert await kept(store, *"abcd") == ["a", "c", "d"]


async def test_beyond_max_bytes_values_go_until_it_fits():
    store = stores.memory(max_bytes=100)
    for key in "abc":
        await store.set(key, b"x" * 33)
    await store.set("d", b"x" * 60)
    assert await kept(store, *"abcd") == ["c", "d"]


async def test_a_value_above_max_bytes_is_not_kept_and_neither_is_the_old_one():
    store = stores.memory(max_bytes=100)
    await store.set("a", b"old")
    await store.set("b", b"value")
    await store.set("a", b"x" * 101)
    assert await kept(store, "a", "b") == ["b"]


async def test_expired_values_make_room_before_others_do():
    clock = HandClock()
    store = stores.memory(maxsize=2, clock=clock)
    await store.set("lasting", b"value")
    await store.set("brief", b"value", ttl=10)
    clock.at += 11
    await store.set("new", b"value")
    assert await kept(store, "lasting", "brief", "new") == ["lasting", "new"]


@pytest.mark.parametrize("bounds", [{"maxsize": 0}, {"max_bytes": 0}, {"maxsize": -1}])
def test_bounds_are_positive(bounds):
    with pytest.raises(ValueError, match="positive"):
        stores.memory(**bounds)


def test_what_a_callback_starts_is_done_at_once_without_an_event_loop():
    store = stores.memory()
    held = asyncio.run(store.reserve(Claim("team", 10, 10), ttl=60))
    store.soon(store.settle, held, 3)
    assert asyncio.run(store.balance("team")) == Balance(3, 0, None)


def test_a_callback_may_only_wait_for_the_store():
    store = stores.memory()

    async def other() -> None:
        await asyncio.sleep(0)

    with pytest.raises(TypeError, match="other than the store"):
        store.soon(other)


async def test_a_pickled_store_keeps_its_bounds():
    store = pickle.loads(pickle.dumps(stores.memory(maxsize=1, max_bytes=5)))
    await store.set("a", b"12345")
    await store.set("b", b"123456")
    assert await kept(store, "a", "b") == ["a"]
    await store.set("b", b"12345")
    assert await kept(store, "a", "b") == ["b"]


async def test_memory_stays_flat_however_many_tenants_come_and_go():
    clock = HandClock()
    store = stores.memory(maxsize=100, clock=clock)

    async def day(number):
        for tenant in range(1_000):
            key = f"{number}:{tenant}"
            claim = Claim(key, 1, 10, Window(3_600))
            held = await store.reserve(claim, ttl=60)
            assert isinstance(held, Reservation)
            if tenant % 3:
                await store.settle(held, 1)
            await store.lease(key, ttl=60)
            await store.set(key, b"x" * 100)
        clock.at += 2 * 86_400

    for number in range(3):
        await day(number)
    tracemalloc.start()
    await day(3)
    before = tracemalloc.get_traced_memory()[0]
    for number in range(4, 7):
        await day(number)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 200_000


class Abandoned:
    """Settles when the garbage collector finds it, as a response does that nobody closed."""

    def __init__(self, store, held) -> None:
        self.itself = self
        self._store = store
        self._held = held

    def __del__(self) -> None:
        self._store.soon(self._store.settle, self._held, 1)


class CollectingClock(HandClock):
    """Looks at the time and lets the garbage collector run, in the midst of every operation."""

    def time(self) -> float:
        gc.collect(1)
        return super().time()


async def test_what_the_garbage_collector_settles_in_the_midst_of_an_operation_counts():
    store = stores.memory(clock=CollectingClock())
    for number in range(5):
        held = await store.reserve(Claim("team", 10, 1000), ttl=60)
        Abandoned(store, held)
        await store.set("key", b"value")
        assert await store.balance("team") == Balance(number + 1, 0, None)


def test_what_many_threads_settle_from_callbacks_counts():
    store = stores.memory()

    async def call() -> None:
        for _ in range(200):
            held = await store.reserve(Claim("team", 1, 10_000), ttl=60)
            store.soon(store.settle, held, 1)

    threads = [threading.Thread(target=asyncio.run, args=(call(),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asyncio.run(store.balance("team")) == Balance(1600, 0, None)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_what_lasts_eight_seconds_is_over_after_eight_seconds_and_not_before(tmp_path, kind):
    clock = HandClock()
    made = {"memory": stores.memory, "sqlite": partial(stores.sqlite, tmp_path / "store.db")}
    async with made[kind](clock=clock) as store:
        await store.set("key", b"value", ttl=8)
        lease = await store.lease("key", ttl=8)
        claim = Claim("team", 1, 1, Window(60))
        held = await store.reserve(claim, ttl=8)
        clock.at += 7.5
        assert await store.get("key") == b"value"
        assert await store.lease("key", ttl=8) is None
        assert (await store.balance("team", window=Window(60))).reserved == 1
        clock.at += 0.5
        assert await store.get("key") is None
        assert not await store.renew(lease, ttl=8)
        assert not await store.release(lease)
        assert (await store.balance("team", window=Window(60))).reserved == 0
        assert isinstance(await store.get_or_lease("key", ttl=8), Lease)
        clock.at += LATE
        assert not await store.settle(held, 1)
