"""cache(): equal calls at the same time are one call, whatever becomes of it."""

import asyncio
import gc
import threading
from itertools import count

import pytest

from scallion import Response, build_pipeline
from scallion import exceptions as e
from scallion._clock import Clock
from scallion.middlewares import _cache_shelf, fallback
from scallion.middlewares._cache import cache
from scallion.middlewares._cache_key import request_key
from scallion.middlewares._cache_shelf import FAILED_FOR, LEASE
from scallion.stores import Lease, cassette, follow, memory, sqlite
from scallion.testing import ManualClock
from scallion.types import Choice, Message, ModelResponse, StreamChunk
from support.cancelling import at_every_await
from support.chunks import ROLE, STOP, Source, answer
from support.stores import backend, valkey

__all__ = ["backend", "valkey"]

HI = StreamChunk.of("Hi")
FILTERED = ModelResponse(
    choices=[Choice(message=Message(content="H"), finish_reason="content_filter")]
)


class Opened:
    """A step of a script that waits for an event, and may never be come to."""

    def __init__(self, event):
        self.event = event

    def __await__(self):
        return self.event.wait().__await__()


class Provider:
    """Answers when the test says so: each step is what the next request gets."""

    name = "p"

    def __init__(self, *script, held=True):
        self.script = list(script)
        self.asked = []
        self.gate = asyncio.Event()
        if not held:
            self.gate.set()

    async def __call__(self, request):
        self.asked.append(request)
        step = self.script.pop(0) if self.script else "Hi"
        if isinstance(step, list):
            return Response.streaming(Source([ROLE, HI], Opened(self.gate), *step), request)
        await self.gate.wait()
        if isinstance(step, BaseException):
            raise step
        whole = answer(step) if isinstance(step, str) else step
        return Response.completed(whole, request)


def pipeline(provider, *layers, clock=None):
    return build_pipeline(layers, provider=provider, model="m", clock=clock)


async def turns(count=50):
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - it is about what nobody announces
            await asyncio.sleep(0.001)


async def read(llm):
    async with llm.stream("hi") as stream:
        return await stream.collect()


@pytest.mark.parametrize("count", [20, 500])
async def test_equal_calls_at_the_same_time_are_one(backend, count):
    provider, layer = Provider(), cache(backend.store())
    llm = pipeline(provider, layer)
    calls = [asyncio.create_task(llm.complete("hi")) for _ in range(count)]
    await until(lambda: provider.asked)
    await turns()
    assert len(provider.asked) == 1
    provider.gate.set()

    answers = await asyncio.gather(*calls)
    await llm.aclose()

    assert len(provider.asked) == 1
    assert [a.text for a in answers] == ["Hi"] * count
    assert [a.cached for a in answers].count(False) == 1
    assert len({id(a) for a in answers}) == count
    # Over a slow store, some come to the answer only when it is there.
    assert layer.stats.joined + layer.stats.hits == count - 1


async def test_different_calls_do_not_wait_for_each_other():
    provider = Provider()
    llm = pipeline(provider, cache())
    calls = [asyncio.create_task(llm.complete(str(number))) for number in range(5)]
    await turns()
    assert len(provider.asked) == 5
    provider.gate.set()
    await asyncio.gather(*calls)


async def test_without_single_flight_each_asks_for_itself():
    provider = Provider()
    llm = pipeline(provider, cache(single_flight=False))
    calls = [asyncio.create_task(llm.complete("hi")) for _ in range(5)]
    await turns()
    assert len(provider.asked) == 5
    provider.gate.set()
    await asyncio.gather(*calls)


async def test_the_followers_of_a_stream_wait_for_its_end():
    provider = Provider([[STOP]])
    llm = pipeline(provider, cache())
    leader = asyncio.create_task(read(llm))
    await turns()
    followers = [asyncio.create_task(llm.complete("hi")), asyncio.create_task(read(llm))]
    await turns()
    assert not any(task.done() for task in (leader, *followers))
    provider.gate.set()

    assert [(await task).text for task in (leader, *followers)] == ["Hi"] * 3
    assert len(provider.asked) == 1


@pytest.mark.parametrize("streams", [False, True])
async def test_cancelling_the_leader_hands_over_to_a_follower(streams):
    provider = Provider([[STOP]]) if streams else Provider()
    llm = pipeline(provider, cache())
    leader = asyncio.create_task(read(llm) if streams else llm.complete("hi"))
    await turns()
    followers = [asyncio.create_task(llm.complete("hi")) for _ in range(19)]
    await turns()
    assert len(provider.asked) == 1

    leader.cancel()
    await until(lambda: len(provider.asked) == 2)
    provider.gate.set()

    assert [(await follower).text for follower in followers] == ["Hi"] * 19
    assert leader.cancelled()
    assert len(provider.asked) == 2


async def test_cancelling_a_follower_disturbs_nobody():
    provider = Provider()
    llm = pipeline(provider, cache())
    leader, one, other = (asyncio.create_task(llm.complete("hi")) for _ in range(3))
    await turns()
    one.cancel()
    await turns()
    provider.gate.set()
    assert (await leader).text == (await other).text == "Hi"
    assert one.cancelled()
    assert len(provider.asked) == 1


@pytest.mark.parametrize("ending", ["closed", "dropped", "broken", "truncated"])
async def test_a_leading_stream_that_ends_early_hands_over(ending):
    last = {"broken": [e.ServerError("no")], "truncated": []}.get(ending, [[STOP]])
    provider = Provider(last)
    llm = pipeline(provider, cache())
    stream = llm.stream("hi")
    await stream.__anext__()
    follower = asyncio.create_task(llm.complete("hi"))
    await turns()
    assert len(provider.asked) == 1

    if ending in ("broken", "truncated"):
        provider.gate.set()
        with pytest.raises(e.StreamError):
            await stream.collect()
    elif ending == "closed":
        await stream.aclose()
    else:
        del stream
        gc.collect()
    await until(lambda: len(provider.asked) == 2)
    provider.gate.set()

    assert (await follower).text == "Hi"


async def test_a_leading_stream_that_is_dropped_in_another_thread_wakes_the_follower():
    provider = Provider([[STOP]])
    llm = pipeline(provider, cache())
    stream = llm.stream("hi")
    await stream.__anext__()
    follower = asyncio.create_task(llm.complete("hi"))
    await turns()
    provider.gate.set()
    held = [stream]
    del stream
    thread = threading.Timer(0.1, held.clear)  # when the event loop has nothing to do but wait
    thread.start()

    async with asyncio.timeout(10):
        assert (await follower).text == "Hi"
    thread.join()
    assert len(provider.asked) == 2


async def test_an_error_is_the_leaders_own_and_the_next_one_tries():
    provider = Provider(e.ServerError("one"), e.ServerError("two"), held=False)
    llm = pipeline(provider, cache())

    results = await asyncio.gather(*[llm.complete("hi") for _ in range(20)], return_exceptions=True)

    assert [str(r) for r in results if isinstance(r, Exception)] == ["one", "two"]
    assert sum(isinstance(r, ModelResponse) for r in results) == 18
    assert len(provider.asked) == 3


class Slow(Provider):
    """Takes ten seconds for each step."""

    async def __call__(self, request):
        self.asked.append(request)
        step = self.script.pop(0) if self.script else self.last
        await request.context.clock.sleep(10)
        if isinstance(step, BaseException):
            raise step
        return Response.completed(step, request)


@pytest.mark.parametrize("last", [e.ServerError("no"), FILTERED], ids=["errors", "filtered"])
async def test_nobody_waits_for_more_than_two_calls_that_fail(last):
    clock, provider = ManualClock(), Slow()
    provider.last = last
    layer = cache()
    llm = pipeline(provider, layer, clock=clock)
    calls = [asyncio.create_task(llm.complete("hi")) for _ in range(20)]
    for asked in (1, 2, 20):
        await turns()
        assert len(provider.asked) == asked
        await clock.advance(10)
    assert all(call.done() for call in calls)
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert {getattr(r, "text", str(r)) for r in results} == {getattr(last, "text", str(last))}
    assert layer.stats.misses == 20


async def test_after_one_failure_the_next_call_is_for_all():
    clock, provider = ManualClock(auto=True), Slow(e.ServerError("no"))
    provider.last = answer("Hi")
    llm = pipeline(provider, cache(), clock=clock)
    calls = [asyncio.create_task(llm.complete("hi")) for _ in range(20)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(r, ModelResponse) for r in results) == 19
    assert len(provider.asked) == 2


async def test_those_who_give_up_hand_over_one_by_one():
    provider = Provider()
    llm = pipeline(provider, cache())
    calls = [asyncio.create_task(llm.complete("hi")) for _ in range(20)]
    for number, call in enumerate(calls[:10], start=1):
        await turns()
        assert len(provider.asked) == number
        call.cancel()
    await turns()
    provider.gate.set()
    assert [(await call).text for call in calls[10:]] == ["Hi"] * 10
    assert len(provider.asked) == 11


async def test_what_is_not_stored_is_not_handed_to_others():
    provider = Provider(FILTERED, held=False)
    llm = pipeline(provider, cache())
    one, other = await asyncio.gather(llm.complete("hi"), llm.complete("hi"))
    assert (one.text, other.text) == ("H", "Hi")


async def test_an_answer_too_large_to_be_stored_still_serves_those_who_wait():
    provider = Provider("x" * 1000)
    llm = pipeline(provider, cache(max_bytes=100))
    calls = [asyncio.create_task(llm.complete("hi")) for _ in range(5)]
    await turns()
    provider.gate.set()
    assert {(await call).text for call in calls} == {"x" * 1000}
    assert len(provider.asked) == 1


async def test_calls_that_want_a_fresh_answer_or_leave_none_fly_alone():
    provider = Provider()
    llm = pipeline(provider, cache())
    wishes = [{}, {"no_cache": True}, {"no_cache": True}, {"no_store": True}]
    calls = [asyncio.create_task(llm.complete("hi", cache=wish)) for wish in wishes]
    await turns()
    assert len(provider.asked) == 4
    provider.gate.set()
    await asyncio.gather(*calls)


async def test_nobody_waits_for_an_equal_call_longer_than_was_said():
    clock, provider = ManualClock(), Provider()
    llm = pipeline(provider, cache(wait=5), clock=clock)
    calls = [asyncio.create_task(llm.complete("hi")) for _ in range(2)]
    await clock.advance(4.9)
    assert len(provider.asked) == 1
    await clock.advance(0.2)
    assert len(provider.asked) == 2
    provider.gate.set()
    assert [(await call).text for call in calls] == ["Hi", "Hi"]


@pytest.mark.parametrize("age", [0, 30])
async def test_calls_for_which_the_answer_is_too_old_are_one_call_too(backend, age):
    clock, provider = backend.clock, Provider("old", held=False)
    pipelines = [pipeline(provider, cache(backend.store()), clock=clock) for _ in range(2)]
    wish = {"max_age": age}
    assert (await pipelines[0].complete("hi")).text == "old"
    await pipelines[0].middlewares[0].store.balance("any")  # which waits until it is stored
    backend.pass_time(age + 1)
    provider.gate.clear()
    calls = [asyncio.create_task(p.complete("hi", cache=wish)) for p in pipelines * 10]
    await until(lambda: len(provider.asked) > 1)
    await asyncio.sleep(0.05)
    assert (await pipelines[1].complete("hi")).text == "old"  # who takes it does not wait
    provider.gate.set()
    assert {(await call).text for call in calls} == {"Hi"}
    assert len(provider.asked) <= 3  # at most one in each process
    for p in pipelines:
        await p.aclose()


async def test_a_failure_does_not_cost_an_answer_that_is_too_old_for_some(backend):
    clock, provider = backend.clock, Provider("old", e.ServerError("no"), held=False)
    async with pipeline(provider, cache(backend.store()), clock=clock) as llm:
        await llm.complete("hi")
        await llm.middlewares[0].store.balance("any")
        backend.pass_time(31)
        with pytest.raises(e.ServerError):
            await llm.complete("hi", cache={"max_age": 30})
        await llm.middlewares[0].store.balance("any")
        assert (await llm.complete("hi")).text == "old"
        assert (await llm.complete("hi", cache={"max_age": 30})).text == "Hi"


async def test_a_deadline_holds_while_waiting_for_an_equal_call():
    clock, provider = ManualClock(), Provider()
    llm = pipeline(provider, cache(), clock=clock)
    leader = asyncio.create_task(llm.complete("hi"))
    await turns()
    hasty = asyncio.create_task(llm.complete("hi", deadline=1))
    await turns()
    await clock.advance(1.1)
    with pytest.raises(e.TimeoutError):
        await hasty
    provider.gate.set()
    assert (await leader).text == "Hi"


async def test_the_next_target_of_a_fallback_is_a_call_of_its_own():
    provider = Provider(e.ServerError("no"), held=False)
    llm = pipeline(provider, fallback(["n"]), cache())
    answers = await asyncio.gather(*[llm.complete("hi") for _ in range(5)])
    assert [a.text for a in answers] == ["Hi"] * 5


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("streams", [False, True])
async def test_a_call_cancelled_at_any_await_leaves_no_lease_behind(streams, late):
    store = memory()
    layer = cache(store)

    async def call():
        store._values.clear()
        provider = Provider(*([[[STOP]]] if streams else []), held=False)
        llm = pipeline(provider, layer)
        return await (read(llm) if streams else llm.complete("hi"))

    async for trial in at_every_await(call, late=late):
        assert trial.error is None
        gc.collect()
        await turns()
        assert not store._leases, trial
    assert trial.result.text == "Hi"


# ------------------------------------------------------------------------- over several processes


async def in_two_processes(backend, provider, clock=None):
    """Two pipelines that share nothing but the store's data."""
    stores = backend.store(), backend.store()
    return stores, [pipeline(provider, cache(store), clock=clock) for store in stores]


async def test_equal_calls_of_two_processes_are_one(backend):
    provider = Provider()
    stores, pipelines = await in_two_processes(backend, provider)
    async with stores[0], stores[1]:
        calls = [asyncio.create_task(p.complete("hi")) for p in pipelines for _ in range(10)]
        await until(lambda: provider.asked)
        await asyncio.sleep(0.05)
        assert len(provider.asked) == 1
        provider.gate.set()
        answers = await asyncio.gather(*calls)
    assert {a.text for a in answers} == {"Hi"}
    assert [a.cached for a in answers].count(False) == 1
    assert len(provider.asked) == 1


@pytest.mark.parametrize("backend", ["sqlite", "redis"], indirect=True)
async def test_so_they_are_if_each_process_has_a_cache_of_its_own_before_the_common_one(backend):
    provider, stores = Provider(), [backend.store() for _ in range(2)]
    pipelines = [pipeline(provider, cache(memory(), ttl=60), cache(store)) for store in stores]
    calls = [asyncio.create_task(p.complete("hi")) for p in pipelines for _ in range(10)]
    await until(lambda: provider.asked)
    await asyncio.sleep(0.05)
    provider.gate.set()
    assert {(await call).text for call in calls} == {"Hi"}
    for p in pipelines:
        await p.aclose()
    assert len(provider.asked) == 1


async def test_an_entry_that_cannot_be_read_is_made_anew_by_one_of_two_processes(backend):
    provider = Provider()
    await pipeline(probe := Provider(held=False), cache()).complete("hi")
    stores, pipelines = await in_two_processes(backend, provider)
    async with stores[0], stores[1]:
        await stores[0].set(f"cache:{request_key(probe.asked[0])}", b"of another version")
        calls = [asyncio.create_task(p.complete("hi")) for p in pipelines]
        await until(lambda: provider.asked)
        await asyncio.sleep(0.05)
        provider.gate.set()
        await asyncio.gather(*calls)
    assert len(provider.asked) == 1


async def test_another_process_takes_over_when_the_leader_is_cancelled(backend):
    provider = Provider()
    stores, (one, other) = await in_two_processes(backend, provider)
    async with stores[0], stores[1]:
        leader = asyncio.create_task(one.complete("hi"))
        await until(lambda: provider.asked)
        follower = asyncio.create_task(other.complete("hi"))
        await asyncio.sleep(0.05)
        assert len(provider.asked) == 1
        leader.cancel()
        await until(lambda: len(provider.asked) == 2)
        provider.gate.set()
        assert (await follower).text == "Hi"


async def test_when_the_leader_fails_each_of_the_other_processes_asks_once(backend, monkeypatch):
    monkeypatch.setattr(_cache_shelf, "FAILED_FOR", 60.0)  # however busy this machine is
    provider = Provider(e.ServerError("no"))
    stores = [backend.store() for _ in range(5)]
    pipelines = [pipeline(provider, cache(store)) for store in stores]
    leader = asyncio.create_task(pipelines[0].complete("hi"))
    await until(lambda: provider.asked)
    calls = [asyncio.create_task(p.complete("hi")) for p in pipelines[1:] for _ in range(5)]
    await asyncio.sleep(0.05)
    assert len(provider.asked) == 1
    gate, provider.gate = provider.gate, asyncio.Event()
    gate.set()
    # And not one after the other: none of their calls has ended yet.
    await until(lambda: len(provider.asked) == 5)
    await asyncio.sleep(0.05)
    provider.gate.set()
    assert {(await call).text for call in calls} == {"Hi"}
    with pytest.raises(e.ServerError):
        await leader
    for store in stores:
        await store.aclose()


async def test_a_failure_is_forgotten_after_a_moment(backend):
    provider = Provider(e.ServerError("no"), held=False)
    stores, (one, other) = await in_two_processes(backend, provider)
    async with stores[0], stores[1]:
        with pytest.raises(e.ServerError):
            await one.complete("hi")
        await stores[0].balance("any")  # which waits for what the call left to be done
        backend.pass_time(FAILED_FOR + 0.1)
        provider.gate.clear()
        calls = [asyncio.create_task(p.complete("hi")) for p in (one, other)]
        await until(lambda: len(provider.asked) == 2)
        await asyncio.sleep(0.05)
        provider.gate.set()
        await asyncio.gather(*calls)
    assert len(provider.asked) == 2


@pytest.mark.parametrize("mode", ["read_write", "record_new"])
async def test_a_failure_leaves_nothing_in_a_cassette(tmp_path, mode):
    provider = Provider(e.ServerError("no"), held=False)
    path = tmp_path / "tape.json"
    llm = pipeline(provider, cache(cassette(path), mode=mode))
    with pytest.raises(e.ServerError):
        await llm.complete("hi")
    assert not path.exists()
    assert (await llm.complete("hi")).text == "Hi"


async def test_what_is_missing_is_recorded_once_for_equal_calls(backend):
    provider = Provider([[STOP]])
    layer = cache(backend.store(), mode="record_new")
    async with pipeline(provider, layer) as llm:
        leader = asyncio.create_task(read(llm))
        await until(lambda: provider.asked)
        calls = [asyncio.create_task(ask("hi")) for ask in [llm.complete] * 9]
        await asyncio.sleep(0.05)
        provider.gate.set()
        assert {(await call).text for call in [leader, *calls]} == {"Hi"}
    assert (len(provider.asked), layer.stats.stored) == (1, 1)
    replaying = pipeline(provider, cache(backend.store(), mode="replay"))
    async with replaying as llm, llm.stream("hi") as stream:
        assert [chunk.content async for chunk in stream] == ["", "Hi", None]
    assert len(provider.asked) == 1


async def test_another_process_takes_over_when_the_leader_dies(backend):
    provider = Provider(held=False)
    store = backend.store()
    async with store:
        await pipeline(provider, cache()).complete("hi")
        name = f"cache:{request_key(provider.asked[0])}"
        assert await store.lease(name, ttl=LEASE)  # whose owner never releases it

        call = asyncio.create_task(pipeline(provider, cache(store)).complete("hi"))
        await asyncio.sleep(0.05)
        assert len(provider.asked) == 1
        backend.pass_time(LEASE + 1)
        assert (await call).text == "Hi"
        assert len(provider.asked) == 2


async def test_a_leader_whose_lease_is_over_streams_on_and_takes_nothing_from_the_next(backend):
    provider = Provider([[STOP]])
    stores, (one, other) = await in_two_processes(backend, provider)
    async with stores[0], stores[1]:
        slow = asyncio.create_task(read(one))
        await until(lambda: provider.asked)
        backend.pass_time(LEASE + 1)  # its event loop stood still, say, and did not renew it
        gate, provider.gate = provider.gate, asyncio.Event()
        call = asyncio.create_task(other.complete("hi"))
        await until(lambda: len(provider.asked) == 2)
        gate.set()
        assert (await slow).text == "Hi"
        await stores[0].balance("any")  # which waits until all is stored and given back
        name = f"cache:{request_key(provider.asked[0])}"
        assert await stores[0].lease(name, ttl=1) is None
        provider.gate.set()
        assert (await call).text == "Hi"
        await stores[1].balance("any")
        assert await stores[0].lease(name, ttl=1)
        assert (await one.complete("hi")).cached
    assert len(provider.asked) == 2


@pytest.mark.parametrize("step", [-3600, 3600])
async def test_a_clock_that_is_set_while_calls_are_under_way_costs_a_call_at_most(backend, step):
    provider = Provider()
    stores = backend.store(), backend.store()
    one, other = (pipeline(provider, cache(s, ttl=60), clock=backend.clock) for s in stores)
    async with stores[0], stores[1]:
        calls = [asyncio.create_task(one.complete("hi")) for _ in range(3)]
        await until(lambda: provider.asked)
        backend.clock.at += step
        calls += [asyncio.create_task(p.complete("hi")) for p in (one, other)]
        await asyncio.sleep(0.05)
        provider.gate.set()
        assert {(await call).text for call in calls} == {"Hi"}
        assert len(provider.asked) <= 2
        assert (await one.complete("hi")).cached
        assert (await other.complete("hi", cache={"max_age": 60})).cached


class StoreClock(Clock):
    """A store's time of day, which is a pipeline's clock."""

    def __init__(self, clock):
        self.clock = clock

    def time(self):
        return self.clock.now()


@pytest.mark.parametrize("streams", [False, True])
async def test_the_lease_is_renewed_while_the_leader_works(streams):
    clock = ManualClock()
    store = memory(clock=StoreClock(clock))
    provider = Provider(*([[[STOP]]] if streams else []))
    llm = pipeline(provider, cache(store), clock=clock)
    leader = asyncio.create_task(read(llm) if streams else llm.complete("hi"))
    await turns()
    (name,) = store._leases
    for _ in range(10):
        await clock.advance(LEASE)
        assert await store.lease(name, ttl=1) is None
    provider.gate.set()
    await leader
    assert not store._leases
    assert not [timer for *_, timer in clock._timers if timer.callback is not None]


async def test_threads_with_event_loops_of_their_own_share_one_call():
    store, started, go = memory(), threading.Event(), threading.Event()
    asked, answers = [], []

    async def provider(request):
        asked.append(request)
        started.set()
        await asyncio.to_thread(go.wait, 10)
        return Response.completed(answer("Hi"), request)

    llm = pipeline(provider, cache(store))

    def work():
        answers.append(asyncio.run(llm.complete("hi")))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert await asyncio.to_thread(started.wait, 10)
    await asyncio.sleep(0.05)
    go.set()
    for thread in threads:
        await asyncio.to_thread(thread.join, 10)

    assert [a.text for a in answers] == ["Hi"] * 4
    assert len(asked) == 1


@pytest.mark.parametrize("late", [False, True])
async def test_a_call_cancelled_at_any_await_of_a_slow_store_leaves_no_lease_behind(tmp_path, late):
    async with sqlite(tmp_path / "cache.db") as store:
        numbers = count()

        async def call():
            provider = Provider(held=False)
            return await pipeline(provider, cache(store)).complete(f"{next(numbers)}")

        async for trial in at_every_await(call, late=late):
            assert trial.error is None
        probe = Provider(held=False)
        for number in range(trial.at):
            await pipeline(probe, cache()).complete(f"{number}")
        for request in probe.asked:
            name = f"cache:{request_key(request)}"
            found = await follow(store, name, ttl=1, wait=5)
            assert isinstance(found, (bytes, Lease))
    assert trial.at > 2
    assert trial.result.text == "Hi"
