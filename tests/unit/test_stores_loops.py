"""One object per event loop, and work that outlives the task that started it."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import weakref

from scallion.stores import StoreError
from scallion.stores._loops import PATIENCE, PerLoop
from scallion.stores._soon import Unfinished


class Thing:
    """Something that belongs to a loop, like a connection."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.closed = 0

    async def close(self) -> None:
        assert asyncio.get_running_loop() is self.loop
        await asyncio.sleep(0)
        self.closed += 1


async def get(things):
    return things.get()


def test_each_loop_has_its_own_and_closes_it_as_it_ends():
    things = PerLoop(Thing, Thing.close)
    found = [asyncio.run(get(things)) for _ in range(3)]
    assert len(set(map(id, found))) == 3
    assert [thing.closed for thing in found] == [1, 1, 1]


async def test_one_loop_gets_the_same_until_it_is_closed():
    things = PerLoop(Thing, Thing.close)
    assert things.peek() is None
    first = things.get()
    assert things.get() is things.peek() is first
    await asyncio.gather(things.aclose(), things.aclose())
    assert first.closed == 1
    assert things.peek() is None
    second = things.get()
    assert second is not first
    await things.aclose()
    await things.aclose()
    assert (first.closed, second.closed) == (1, 1)


def test_closing_closes_those_of_other_threads_loops_there():
    things = PerLoop(Thing, Thing.close)
    got, stop = threading.Event(), threading.Event()
    found = []

    async def hold():
        found.append(things.get())
        got.set()
        await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(hold(),))
    thread.start()
    got.wait()
    asyncio.run(things.aclose())
    assert found[0].closed == 1
    stop.set()
    thread.join()
    assert found[0].closed == 1


def test_loops_that_a_fork_has_copied_are_not_waited_for(monkeypatch):
    things = PerLoop(Thing, Thing.close)

    async def close():
        assert things.any_running_loop() is None
        async with asyncio.timeout(PATIENCE / 2):
            await things.aclose()

    async def parent():
        things.get()
        assert things.any_running_loop() is asyncio.get_running_loop()
        with monkeypatch.context() as child:  # in which no thread runs the parent's loop
            child.setattr(os, "getpid", lambda: -1)
            thread = threading.Thread(target=asyncio.run, args=(close(),))
            thread.start()
            thread.join()

    asyncio.run(parent())


def test_loops_that_end_without_care_do_not_pile_up():
    things = PerLoop(Thing, Thing.close)
    seen = []
    for _ in range(5):
        loop = asyncio.new_event_loop()
        seen.append(weakref.ref(loop.run_until_complete(get(things))))
        loop.close()
    asyncio.run(get(things))
    gc.collect()
    assert not any(thing() for thing in seen)


async def test_what_is_dropped_without_closing_is_closed_by_its_loop():
    things = PerLoop(Thing, Thing.close)
    thing = things.get()
    del things
    gc.collect()
    for _ in range(5):
        await asyncio.sleep(0)
    assert thing.closed == 1


def test_work_is_done_although_its_task_never_began():
    done = []
    kept = PerLoop(Unfinished, Unfinished.finish)

    async def work(number):
        await asyncio.sleep(0)
        done.append(number)

    async def main():
        for number in range(3):
            kept.get().start(lambda number=number: work(number))

    asyncio.run(main())
    assert sorted(done) == [0, 1, 2]


def test_work_is_done_although_its_task_was_cut_off():
    done = []
    kept = PerLoop(Unfinished, Unfinished.finish)

    async def work():
        done.append("began")
        await asyncio.sleep(0.001)
        done.append("ended")

    async def main():
        kept.get().start(work)
        await asyncio.sleep(0)

    asyncio.run(main())
    assert done == ["began", "began", "ended"]


async def test_work_that_waits_for_other_work_does_not_wait_for_itself():
    unfinished = Unfinished()
    done = []

    async def work(number):
        await unfinished.caught_up()
        done.append(number)

    for number in range(3):
        unfinished.start(lambda number=number: work(number))
    assert unfinished
    await unfinished.finish()
    assert sorted(done) == [0, 1, 2]
    assert not unfinished


async def test_what_fails_when_it_is_done_again_is_reported():
    unfinished, tries, reports = Unfinished(), [], []

    async def work():
        tries.append(1)
        if len(tries) == 1:
            await asyncio.Event().wait()
        raise StoreError("no")

    asyncio.get_running_loop().set_exception_handler(lambda _, said: reports.append(said))
    unfinished.start(work)
    await asyncio.sleep(0)
    for task in unfinished._work:
        task.cancel()  # as the end of the event loop does
    await unfinished.finish()
    assert len(tries) == 2
    assert [str(said["exception"]) for said in reports] == ["no"]
