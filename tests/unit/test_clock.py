"""Time: the real clock, the one that tests move by hand, and limits on either."""

import asyncio
import time

import pytest

from scallion import Clock
from scallion._limits import TimeLimit
from scallion.testing import ManualClock


async def forever():
    await asyncio.Event().wait()


async def limited(clock, seconds, body=forever):
    """Run `body` under a limit, and say how it ended."""
    try:
        with TimeLimit(clock, clock.now() + seconds):
            await body()
    except TimeoutError:
        return "expired"
    except asyncio.CancelledError:
        return "cancelled"
    return "done"


# ------------------------------------------------------------------------------ real time


async def test_the_real_clock_tells_the_systems_time():
    clock = Clock()

    assert time.monotonic() <= clock.now() <= clock.now() <= time.monotonic()
    assert time.time() - 1 <= clock.time() <= time.time() + 1


async def test_the_real_clock_sleeps_and_calls_back():
    clock, called = Clock(), asyncio.Event()
    began = clock.now()

    cancelled = clock.call_at(began, lambda: pytest.fail("was cancelled"))
    cancelled.cancel()
    clock.call_at(began + 0.01, called.set)
    await called.wait()
    await clock.sleep(0.01)

    assert clock.now() - began >= 0.02 - 0.002  # the loop's own resolution


async def test_a_limit_in_real_time_ends_what_is_awaited():
    assert await limited(Clock(), 0.01) == "expired"


@pytest.mark.parametrize("seconds", [0, -5])
async def test_a_limit_that_has_passed_in_real_time_ends_it_at_once(seconds):
    assert await limited(Clock(), seconds) == "expired"


@pytest.mark.parametrize("origin", [-100_000, 100_000])
def test_the_event_loops_own_clock_may_begin_anywhere(origin):
    class OtherLoop(asyncio.SelectorEventLoop):
        def time(self):
            return super().time() + origin

    async def timed():
        began = time.monotonic()
        return await asyncio.wait_for(limited(Clock(), 0.02), 5), time.monotonic() - began

    with asyncio.Runner(loop_factory=OtherLoop) as runner:
        ended, took = runner.run(timed())

    assert ended == "expired"
    assert took >= 0.02 - 0.002


# ------------------------------------------------------------------------------ the manual clock


async def test_it_stands_still_until_it_is_moved():
    clock = ManualClock(start=100.0)

    assert (clock.now(), clock.time()) == (100.0, 100.0)
    await asyncio.sleep(0.01)
    assert clock.now() == 100.0
    await clock.advance(2.5)
    assert (clock.now(), clock.time()) == (102.5, 102.5)


async def test_timers_fire_in_the_order_of_their_time_and_then_of_their_making():
    clock, fired = ManualClock(start=0.0), []

    for name, when in [("c", 3), ("a", 1), ("b1", 2), ("b2", 2), ("late", 9)]:
        clock.call_at(when, lambda name=name: fired.append((name, clock.now())))
    await clock.advance(5)

    assert fired == [("a", 1), ("b1", 2), ("b2", 2), ("c", 3)]
    assert clock.now() == 5
    await clock.advance(4)
    assert fired[-1] == ("late", 9)


async def test_a_timer_that_a_timer_sets_fires_in_the_same_move():
    clock, fired = ManualClock(start=0.0), []

    def first():
        fired.append(clock.now())
        clock.call_at(clock.now() + 1, lambda: fired.append(clock.now()))

    clock.call_at(1, first)
    await clock.advance(10)

    assert fired == [1, 2]


async def test_a_cancelled_timer_does_not_fire():
    clock, fired = ManualClock(start=0.0), []
    timers = {}
    timers["a"] = clock.call_at(1, lambda: [timer.cancel() for timer in timers.values()])
    timers["b"] = clock.call_at(2, lambda: fired.append("b"))
    timers["c"] = clock.call_at(3, lambda: fired.append("c"))
    timers["c"].cancel()
    timers["c"].cancel()

    await clock.advance(5)

    assert fired == []


async def test_sleepers_wake_in_order_and_see_their_own_time():
    clock, woken = ManualClock(start=0.0), []

    async def sleeper(seconds):
        await clock.sleep(seconds)
        woken.append((seconds, clock.now()))

    tasks = [asyncio.create_task(sleeper(seconds)) for seconds in (3, 1, 2)]
    await clock.advance(2.5)
    assert woken == [(1, 1), (2, 2)]
    await clock.advance(2.5)
    await asyncio.gather(*tasks)

    assert woken == [(1, 1), (2, 2), (3, 3)]
    assert clock.slept == [3, 1, 2]


async def test_what_wakes_runs_its_course_before_the_next_timer():
    clock, log = ManualClock(start=0.0), []

    async def steps():
        for _ in range(3):
            await clock.sleep(1)
            for _ in range(5):
                await asyncio.sleep(0)
            log.append(clock.now())

    task = asyncio.create_task(steps())
    clock.call_at(2.5, lambda: log.append("timer"))
    await clock.advance(10)
    await task

    assert log == [1, 2, "timer", 3]


async def test_a_sleeper_that_is_cancelled_leaves_no_timer():
    clock = ManualClock(start=0.0)
    task = asyncio.create_task(clock.sleep(5))
    await clock.advance(1)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await clock.advance(10)

    assert clock.now() == 11


async def test_an_automatic_clock_never_waits():
    clock = ManualClock(auto=True, start=0.0)

    await clock.sleep(60)
    await clock.sleep(3600)

    assert clock.now() == 3660
    assert clock.slept == [60, 3600]


async def test_an_automatic_clock_fires_the_timers_on_its_way():
    clock, fired = ManualClock(auto=True, start=0.0), []
    clock.call_at(30, lambda: fired.append(clock.now()))
    clock.call_at(90, lambda: fired.append(clock.now()))

    await clock.sleep(60)

    assert fired == [30]
    assert clock.now() == 60


async def test_an_automatic_clock_ends_a_sleep_that_is_limited():
    clock = ManualClock(auto=True, start=0.0)

    assert await limited(clock, 2, lambda: clock.sleep(5)) == "expired"
    assert await limited(clock, 9, lambda: clock.sleep(5)) == "done"


# ------------------------------------------------------------------------------ limits


@pytest.fixture
def clock():
    return ManualClock(start=0.0)


async def test_a_limit_ends_what_is_awaited_at_its_time_and_not_before(clock):
    task = asyncio.create_task(limited(clock, 5))

    await clock.advance(4.99)
    assert not task.done()
    await clock.advance(0.01)

    assert await task == "expired"


async def test_a_body_that_is_done_in_time_is_left_alone(clock):
    task = asyncio.create_task(limited(clock, 5, lambda: clock.sleep(1)))
    await clock.advance(1)
    assert await task == "done"

    await clock.advance(10)

    assert task.cancelling() == 0


async def test_a_bodys_own_errors_pass(clock):
    async def body():
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await limited(clock, 5, body)


async def test_a_cancellation_from_outside_is_no_timeout(clock):
    task = asyncio.create_task(limited(clock, 5))
    await clock.advance(1)

    task.cancel()

    assert await task == "cancelled"


class HandTrigger(Clock):
    """A clock whose timer is pulled by hand, in the midst of a turn of the event loop."""

    def call_at(self, when, callback):
        self.pull = callback
        return asyncio.get_running_loop().call_later(60, callback)


@pytest.mark.parametrize("first", ["limit", "outside"])
async def test_a_cancellation_from_outside_counts_for_more_than_a_limit_of_the_same_moment(first):
    clock = HandTrigger()
    task = asyncio.create_task(limited(clock, 5))
    await asyncio.sleep(0)

    if first == "limit":
        clock.pull()
        assert task.cancelling() == 1  # the limit's, which the task has not seen yet
        task.cancel()
    else:
        task.cancel()
        clock.pull()

    assert await task == "cancelled"


async def test_the_task_goes_on_undisturbed_after_a_limit(clock):
    async def several():
        ends = [await limited(clock, 1) for _ in range(3)]
        await asyncio.sleep(0)
        return ends, asyncio.current_task().cancelling()

    task = asyncio.create_task(several())
    await clock.advance(10)

    assert await task == (["expired"] * 3, 0)


@pytest.mark.parametrize(
    ("outer", "inner", "ends"),
    [
        (5, 2, ["inner expired", "outer done"]),
        (2, 5, ["inner cancelled", "outer expired"]),
        (2, 2, ["inner cancelled", "outer expired"]),
    ],
    ids=["inner first", "outer first", "at once"],
)
async def test_of_nested_limits_the_one_that_came_first_is_named(clock, outer, inner, ends):
    log = []

    async def nested():
        try:
            with TimeLimit(clock, outer):
                try:
                    with TimeLimit(clock, inner):
                        await forever()
                except TimeoutError:
                    log.append("inner expired")
                except asyncio.CancelledError:
                    log.append("inner cancelled")
                    raise
            log.append("outer done")
        except TimeoutError:
            log.append("outer expired")

    task = asyncio.create_task(nested())
    await clock.advance(10)
    await task

    assert log == ends


async def test_a_body_may_catch_the_limits_cancellation_to_clean_up(clock):
    cleaned = []

    async def body():
        try:
            await forever()
        finally:
            await asyncio.sleep(0)
            cleaned.append(clock.now())

    task = asyncio.create_task(limited(clock, 5, body))
    await clock.advance(9)

    assert await task == "expired"
    assert cleaned == [5]


async def test_limits_in_many_tasks_do_not_mix(clock):
    tasks = [asyncio.create_task(limited(clock, seconds)) for seconds in range(1, 6)]

    for done in range(1, 6):
        await clock.advance(1)
        assert sum(task.done() for task in tasks) == done

    assert [await task for task in tasks] == ["expired"] * 5


# ------------------------------------------------------------------------------ as in real time


@pytest.mark.parametrize("seconds", [0, -5])
async def test_a_limit_that_has_passed_ends_it_at_once(clock, seconds):
    assert await asyncio.wait_for(limited(clock, seconds), 1) == "expired"


async def test_a_sleep_of_nothing_does_not_wait(clock):
    await asyncio.wait_for(clock.sleep(0), 1)


async def test_sleepers_of_an_automatic_clock_wake_in_order():
    clock, woken = ManualClock(auto=True, start=0.0), []

    async def sleeper(seconds):
        await clock.sleep(seconds)
        woken.append((seconds, clock.now()))

    await asyncio.gather(*[sleeper(seconds) for seconds in (5, 1, 3)])

    assert woken == [(1, 1), (3, 3), (5, 5)]
