"""cache(stale_while_revalidate=): an old answer at once, and one call in the background for a new one."""

import asyncio
import contextvars
import gc
import logging
import threading

import pytest

from scallion import Clock, Response, build_pipeline
from scallion import exceptions as e
from scallion._accumulate import chunks_of
from scallion.middlewares import cost, fallback
from scallion.middlewares._cache import cache
from scallion.middlewares._cache_refresh import MOST_RESTING, PATIENCE, REST, Refreshes
from scallion.middlewares._cache_shelf import LEASE
from scallion.stores import memory, sqlite
from scallion.testing import ManualClock
from scallion.types import Choice, Message, ModelResponse
from support.chunks import Source, answer
from support.stores import backend, valkey

__all__ = ["backend", "valkey"]

TAG = contextvars.ContextVar("tag", default="none")


class Provider:
    """Answers with a number that grows, at once or when the test says so."""

    name = "p"

    def __init__(self):
        self.requests = []
        self.tags = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.failing = False
        self.finish_reason = "stop"

    @property
    def asked(self):
        return len(self.requests)

    async def __call__(self, request):
        self.requests.append(request)
        self.tags.append(TAG.get())
        number = self.asked
        await self.gate.wait()
        if self.failing:
            raise e.ServerError("no")
        message = Message(content=f"answer {number}")
        whole = ModelResponse(choices=[Choice(message=message, finish_reason=self.finish_reason)])
        if request.stream:
            return Response.streaming(Source(chunks_of(whole)), request)
        return Response.completed(whole, request)


def pipeline(provider, *layers, clock=None):
    return build_pipeline(layers, provider=provider, model="m", clock=clock)


def stale(store=None, **settings):
    return cache(store, **{"ttl": 60, "stale_while_revalidate": 600, **settings})


async def turns(count=50):
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - it is about what nobody announces
            await asyncio.sleep(0.001)


async def ask(llm, how="complete"):
    if how == "complete":
        return await llm.complete("hi")
    async with llm.stream("hi") as stream:
        return await stream.collect()


@pytest.mark.parametrize("how", ["complete", "stream"])
async def test_a_stale_answer_comes_at_once_and_the_next_one_is_new(how):
    provider, layer, clock = Provider(), stale(memory(clock=(c := ManualClock()))), ManualClock()
    clock = c
    llm = pipeline(provider, layer, clock=clock)
    await ask(llm, how)
    await clock.advance(59)
    assert (await ask(llm, how)).text == "answer 1"
    await turns()
    assert provider.asked == 1  # it was young

    await clock.advance(2)
    provider.gate.clear()
    old = await ask(llm, how)  # although the provider does not answer
    assert (old.text, old.cached) == ("answer 1", True)
    await turns()
    assert provider.asked == 2
    provider.gate.set()
    await turns()

    assert (await ask(llm, how)).text == "answer 2"
    assert provider.asked == 2
    assert (layer.stats.stale, layer.stats.refreshed) == (1, 1)


async def test_after_both_times_it_is_an_ordinary_miss(backend):
    clock = backend.clock
    provider = Provider()
    async with pipeline(provider, stale(backend.store()), clock=clock) as llm:
        await ask(llm)
        await llm.middlewares[0].store.get("settled")
        await until_stored(llm)
        backend.pass_time(661)
        again = await ask(llm)
    assert (again.text, again.cached) == ("answer 2", False)


async def until_stored(llm):
    """What a call left is written in the background."""
    async with asyncio.timeout(10):
        while llm.middlewares[0]._shelf._pending:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_five_hundred_stale_hits_are_one_refresh(backend):
    provider = Provider()
    async with pipeline(provider, stale(backend.store()), clock=backend.clock) as llm:
        await ask(llm)
        await until_stored(llm)
        backend.pass_time(61)
        provider.gate.clear()
        answers = await asyncio.gather(*[ask(llm) for _ in range(500)])
        assert {a.text for a in answers} == {"answer 1"}
        await until(lambda: provider.asked == 2)
        provider.gate.set()
        await until(lambda: llm.middlewares[0].stats.refreshed)
        await until_stored(llm)
        assert (await ask(llm)).text == "answer 2"
        await turns()
    assert provider.asked == 2


async def test_pipelines_that_share_a_store_refresh_once(backend):
    provider = Provider()
    pipelines = [pipeline(provider, stale(backend.store()), clock=backend.clock) for _ in range(5)]
    await ask(pipelines[0])
    await until_stored(pipelines[0])
    backend.pass_time(61)
    await asyncio.gather(*[ask(llm) for llm in pipelines])
    await until(lambda: any(llm.middlewares[0].stats.refreshed for llm in pipelines))
    for llm in pipelines:
        await llm.aclose()
    assert provider.asked == 2
    assert sum(llm.middlewares[0].stats.refreshed for llm in pipelines) == 1


async def test_threads_with_event_loops_of_their_own_refresh_once():
    clock, store = ManualClock(), memory()
    provider, layer = Provider(), stale(store)
    await ask(pipeline(provider, layer, clock=clock))
    clock._now += 61
    ready = threading.Barrier(4)

    async def wait_for_all():
        ready.wait()
        llm = pipeline(provider, layer, clock=clock)
        assert (await ask(llm)).cached
        await asyncio.wait(
            {t for t in asyncio.all_tasks() if t is not asyncio.current_task()}
            or {asyncio.ensure_future(asyncio.sleep(0))}
        )

    await asyncio.gather(*[asyncio.to_thread(asyncio.run, wait_for_all()) for _ in range(4)])
    assert provider.asked == 2


async def test_a_failed_refresh_is_logged_keeps_the_answer_and_is_not_tried_at_once(caplog):
    clock = ManualClock()
    provider, layer = Provider(), stale(memory(clock=clock))
    llm = pipeline(provider, layer, clock=clock)
    await ask(llm)
    await clock.advance(61)
    provider.failing = True
    with caplog.at_level(logging.WARNING, "scallion"):
        for _ in range(3):
            assert (await ask(llm)).text == "answer 1"
            await turns()
    (record,) = caplog.records
    assert "could not be refreshed" in record.getMessage()
    assert "ServerError: no" in record.getMessage()
    assert provider.asked == 2

    await clock.advance(REST + 1)
    provider.failing = False
    assert (await ask(llm)).text == "answer 1"
    await turns()
    assert (await ask(llm)).text == "answer 3"


async def test_an_answer_that_is_not_kept_is_a_failed_refresh(caplog):
    clock = ManualClock()
    provider = Provider()
    llm = pipeline(provider, stale(memory(clock=clock)), clock=clock)
    await ask(llm)
    await clock.advance(61)
    provider.finish_reason = "content_filter"
    for _ in range(3):
        assert (await ask(llm)).text == "answer 1"
        await turns()
    assert provider.asked == 2
    assert "not one that is kept" in caplog.text


async def test_a_refresh_inherits_context_variables_and_the_books_but_not_the_deadline():
    clock = ManualClock()
    provider, books = Provider(), cost()
    llm = pipeline(provider, books, stale(memory(clock=clock)), clock=clock)
    with pytest.warns(UserWarning, match="no price"):
        await ask(llm)
    await clock.advance(61)
    TAG.set("mine")
    hit = await llm.complete("hi", tenant=None, deadline=5, metadata={"job": 1})
    assert hit.cached
    await turns()

    assert provider.tags == ["none", "mine"]
    refresh = provider.requests[1].context
    assert refresh.deadline is None
    assert refresh.metadata == {"job": 1}
    assert refresh.attempts
    assert [entry.status for entry in books.entries] == ["completed", "cached", "completed"]


async def test_the_refresh_of_a_tenant_is_the_tenants():
    clock = ManualClock()
    provider = Provider()
    llm = pipeline(provider, stale(memory(clock=clock)), clock=clock)
    await llm.complete("hi", tenant="a")
    await clock.advance(61)
    await llm.complete("hi", tenant="a")
    await turns()
    assert provider.requests[1].context.tenant == "a"
    assert (await llm.complete("hi", tenant="a")).text == "answer 2"


async def test_what_a_layer_drops_in_a_refresh_is_closed():
    clock, dropped = ManualClock(), []

    async def asks_twice(request, call_next):
        dropped.append(await call_next(request))
        return await call_next(request)

    class Slow(Provider):
        async def __call__(self, request):
            self.requests.append(request)
            return Response.streaming(Source(*[[c] for c in chunks_of(answer("Hi"))]), request)

    llm = pipeline(Slow(), stale(memory(clock=clock)), asks_twice, clock=clock)
    await ask(llm, "stream")
    await clock.advance(61)
    await ask(llm, "stream")
    await turns()
    assert [response.outcome.status for response in dropped] == ["closed", "closed"]


async def test_closing_waits_for_a_refresh_and_stores_it():
    clock, store = ManualClock(), memory()
    provider = Provider()
    llm = pipeline(provider, stale(store), clock=clock)
    await ask(llm)
    clock._now += 61
    provider.gate.clear()
    await ask(llm)
    closing = asyncio.create_task(llm.aclose())
    await turns()
    assert not closing.done()
    provider.gate.set()
    await closing
    assert (await ask(pipeline(provider, stale(store), clock=clock))).text == "answer 2"


@pytest.mark.parametrize("how", ["in time", "cancelled"])
async def test_closing_does_not_wait_for_ever_and_ends_the_refresh_in_any_case(how):
    clock = ManualClock()
    provider, layer = Provider(), stale(memory(clock=clock))
    llm = pipeline(provider, layer, clock=clock)
    await ask(llm)
    await clock.advance(61)
    provider.gate.clear()
    await ask(llm)
    closing = asyncio.create_task(llm.aclose())
    await clock.advance(PATIENCE - 1)
    assert not closing.done()
    if how == "cancelled":
        closing.cancel()
    await clock.advance(2)
    await asyncio.wait([closing])
    assert closing.cancelled() is (how == "cancelled")
    assert not layer._refreshes._tasks
    assert not layer.store._leases


def test_a_program_that_ends_in_the_midst_leaves_neither_task_nor_lease(tmp_path, caplog):
    path, provider = tmp_path / "c.db", None

    async def run(held):
        nonlocal provider
        provider = Provider()
        if held:
            provider.gate.clear()
        store = sqlite(path)
        llm = pipeline(provider, stale(store, ttl=1e-6))
        answer = await ask(llm)
        return answer.cached, store

    assert asyncio.run(run(held=False))[0] is False
    assert asyncio.run(run(held=True))[0] is True  # with a refresh whose task has not yet begun

    async def lease():
        async with sqlite(path) as store:
            name = next(iter(await asyncio.to_thread(names, path)))
            async with asyncio.timeout(LEASE / 2):  # the other store's thread may still be at it
                while await store.lease(name, ttl=1) is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)

    asyncio.run(lease())
    gc.collect()
    assert "never" not in caplog.text


def names(path):
    import sqlite3

    with sqlite3.connect(path) as connection:
        found = [name for (name,) in connection.execute("SELECT key FROM entries")]
    connection.close()
    return found


async def test_closing_cancels_the_refreshes_of_other_threads_loops():
    clock = ManualClock()
    provider, layer = Provider(), stale(memory())
    llm = pipeline(provider, layer, clock=clock)
    await ask(llm)
    clock._now += 61
    asked, done = threading.Event(), threading.Event()

    class Stuck(Provider):
        async def __call__(self, request):
            asked.set()
            await asyncio.Event().wait()

    async def elsewhere():
        assert (await ask(pipeline(stuck, layer, clock=clock))).cached
        others = {t for t in asyncio.all_tasks() if t is not asyncio.current_task()}
        await asyncio.wait(others)
        done.set()

    stuck = Stuck()
    stuck.__class__.__qualname__ = Provider.__qualname__  # the same account
    thread = threading.Thread(target=asyncio.run, args=[elsewhere()])
    thread.start()
    await asyncio.to_thread(asked.wait)
    await layer.aclose()
    await asyncio.to_thread(thread.join)
    assert done.is_set()


async def test_a_lease_is_renewed_while_a_refresh_works():
    clock = ManualClock()
    store = memory(clock=clock)
    provider = Provider()
    llm = pipeline(provider, stale(store), clock=clock)
    await ask(llm)
    await clock.advance(61)
    provider.gate.clear()
    await ask(llm)
    await turns()
    await clock.advance(LEASE * 3)
    (name,) = store._leases
    assert await store.lease(name, ttl=1) is None
    provider.gate.set()
    await turns()
    assert await store.lease(name, ttl=1) is not None


@pytest.mark.parametrize(
    ("wish", "asked"),
    [
        ({"no_store": True}, 1),
        ({"max_age": 30}, 2),
        ({"max_age": 120}, 2),
        ({"no_cache": True}, 2),
    ],
)
async def test_what_a_call_wishes_holds_for_stale_answers_too(wish, asked):
    clock = ManualClock()
    provider = Provider()
    llm = pipeline(provider, stale(memory(clock=clock)), clock=clock)
    await ask(llm)
    await clock.advance(61)
    found = await llm.complete("hi", cache=wish)
    await turns()
    assert provider.asked == asked
    assert found.cached is (wish in ({"no_store": True}, {"max_age": 120}))


async def test_reading_only_gives_stale_answers_and_refreshes_nothing():
    clock = ManualClock()
    store, provider = memory(clock=clock), Provider()
    await ask(pipeline(provider, stale(store), clock=clock))
    await clock.advance(61)
    assert (await ask(pipeline(provider, stale(store, mode="read_only"), clock=clock))).cached
    await turns()
    assert provider.asked == 1


async def test_the_time_of_whoever_reads_counts():
    clock = ManualClock()
    store, provider = memory(clock=clock), Provider()
    await ask(pipeline(provider, cache(store), clock=clock))  # kept for ever
    await clock.advance(661)
    assert not (await ask(pipeline(provider, stale(store), clock=clock))).cached


async def test_a_caller_whom_the_answer_has_expired_on_joins_the_refresh():
    clock = ManualClock()
    store, provider = memory(clock=clock), Provider()
    llm = pipeline(provider, stale(store), clock=clock)
    await ask(llm)
    await clock.advance(61)
    provider.gate.clear()
    await ask(llm)
    await turns()
    await clock.advance(700)
    joining = asyncio.create_task(ask(llm))
    await turns()
    assert provider.asked == 2
    provider.gate.set()
    assert (await joining).text == "answer 2"
    assert llm.middlewares[0].stats.joined == 1


async def test_a_store_that_fails_to_lease_is_no_refresh(caplog):
    class Leaseless(type(memory())):
        async def lease(self, key, *, ttl):
            raise e.StoreError("no leases today")

    clock = ManualClock()
    provider = Provider()
    llm = pipeline(provider, stale(Leaseless(clock=clock)), clock=clock)
    await ask(llm)
    await clock.advance(61)
    assert (await ask(llm)).cached
    await turns()
    assert provider.asked == 1
    assert "no leases today" in caplog.text


async def test_two_tiers_refresh_from_the_slower_one():
    clock = ManualClock()
    provider = Provider()
    outer, inner = stale(memory(clock=clock)), cache(memory(clock=clock), ttl=3600)
    llm = pipeline(provider, outer, inner, clock=clock)
    await ask(llm)
    await clock.advance(61)
    await ask(llm)
    await turns()
    assert provider.asked == 1
    assert outer.stats.refreshed == 1
    assert inner.stats.hits == 1


async def test_a_refresh_may_be_answered_by_a_fallback():
    clock = ManualClock()
    provider, other = Provider(), Provider()
    llm = pipeline(provider, stale(memory(clock=clock)), fallback([other]), clock=clock)
    await ask(llm)
    await clock.advance(61)
    provider.failing = True
    await ask(llm)
    await turns()
    assert other.asked == 1
    assert llm.middlewares[0].stats.refreshed == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"ttl": None},
        {"stale_while_revalidate": -1},
        {"stale_while_revalidate": float("inf")},
        {"stale_while_revalidate": float("nan")},
    ],
)
def test_a_time_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match="stale_while_revalidate"):
        stale(**wrong)


async def test_what_rests_is_bounded():
    refreshes, clock = Refreshes(), Clock()

    async def fails():
        raise e.ServerError("no")

    for number in range(MOST_RESTING + 10):
        refreshes.start(str(number), fails, lambda: None, clock)
        await turns(3)
    assert len(refreshes._rest_until) <= MOST_RESTING
