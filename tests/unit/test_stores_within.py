"""A store's time limit, and an event loop that stands still."""

import asyncio
import time

import pytest

from scallion.stores import sqlite
from scallion.stores._within import PATIENCE, within


async def test_what_comes_in_time_is_returned_and_what_it_raises_is_raised():
    async def value():
        await asyncio.sleep(0)
        return 5

    async def error():
        raise KeyError("x")

    assert await within(1, value()) == 5
    with pytest.raises(KeyError):
        await within(1, error())


async def test_what_takes_longer_is_ended():
    ended = asyncio.Event()

    async def waits():
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    began = time.monotonic()
    with pytest.raises(TimeoutError):
        await within(0.02, waits())
    assert time.monotonic() - began < 1
    assert ended.is_set()


async def test_a_cancellation_stays_one():
    task = asyncio.create_task(within(60, asyncio.Event().wait()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_time_in_which_the_loop_stood_still_does_not_count(tmp_path):
    async with sqlite(tmp_path / "s.db", timeout=0.5) as store:
        await store.set("key", b"value")
        asking = asyncio.create_task(store.get("key"))
        await asyncio.sleep(0)
        time.sleep(0.7)  # noqa: ASYNC251 - as the import of an SDK does
        assert await asking == b"value"


async def test_a_loop_that_is_held_up_for_ever_does_not_wait_for_ever():
    async def stumbles():
        while True:
            time.sleep(0.06)  # noqa: ASYNC251
            await asyncio.sleep(0)

    began = time.monotonic()
    with pytest.raises(TimeoutError):
        await within(0.05, stumbles())
    assert time.monotonic() - began < 3 * PATIENCE * 0.05
