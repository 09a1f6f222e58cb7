"""Followers wait for the leader's value, take over if there will be none, and give up in time."""

from __future__ import annotations

import asyncio

from scallion import stores
from scallion.stores import Lease
from scallion.testing import ManualClock


async def test_who_comes_first_gets_the_work():
    store = stores.memory()
    assert isinstance(await stores.follow(store, "key", ttl=60, wait=60), Lease)


async def test_a_value_that_is_there_is_not_waited_for():
    store, clock = stores.memory(), ManualClock()
    await store.set("key", b"value")
    assert await stores.follow(store, "key", ttl=60, wait=60, clock=clock) == b"value"
    assert clock.slept == []


async def test_all_followers_get_the_leaders_value():
    clock = ManualClock()
    store = stores.memory(clock=clock)
    lease = await store.lease("key", ttl=60)
    followers = [
        asyncio.create_task(stores.follow(store, "key", ttl=60, wait=60, clock=clock))
        for _ in range(20)
    ]
    await clock.advance(5)
    assert not any(follower.done() for follower in followers)
    await store.set("key", b"value")
    await store.release(lease)
    await clock.advance(0.5)
    assert [follower.result() for follower in followers] == [b"value"] * 20


async def test_a_leader_that_gives_up_hands_over_to_one_follower():
    clock = ManualClock()
    store = stores.memory(clock=clock)
    lease = await store.lease("key", ttl=60)
    followers = [
        asyncio.create_task(stores.follow(store, "key", ttl=60, wait=60, clock=clock))
        for _ in range(20)
    ]
    await clock.advance(1)
    await store.release(lease)
    await clock.advance(1)
    done = [follower for follower in followers if follower.done()]
    assert [type(follower.result()) for follower in done] == [Lease]
    await store.set("key", b"value")
    await clock.advance(1)
    assert sum(follower.result() == b"value" for follower in followers) == 19


async def test_a_leader_that_died_hands_over_when_its_lease_expires():
    clock = ManualClock()
    store = stores.memory(clock=clock)
    await store.lease("key", ttl=10)
    follower = asyncio.create_task(stores.follow(store, "key", ttl=60, wait=60, clock=clock))
    await clock.advance(9.5)
    assert not follower.done()
    await clock.advance(1)
    assert isinstance(follower.result(), Lease)


async def test_waiting_ends_in_time_and_asks_less_and_less_often():
    clock = ManualClock()
    store = stores.memory(clock=clock)
    await store.lease("key", ttl=600)
    follower = asyncio.create_task(stores.follow(store, "key", ttl=60, wait=30, clock=clock))
    await clock.advance(29.9)
    assert not follower.done()
    await clock.advance(0.1)
    assert follower.result() is None
    assert clock.slept[0] < 0.02
    assert min(clock.slept[12:-1]) > 0.15
    assert 100 < len(clock.slept) < 170
