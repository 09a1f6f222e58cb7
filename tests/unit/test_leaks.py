"""Nothing is left behind: no task, no socket, no object, however calls and streams end."""

import asyncio
import gc
import sys
import threading
import weakref
from contextlib import suppress
from pathlib import Path

import pytest

from scallion import Response, build_pipeline
from scallion.exceptions import InvalidRequestError, ProviderError, StreamError
from scallion.middlewares import fallback, retry, timeout
from scallion.providers import anthropic, openai
from support.chunks import answer, words
from support.upstream import (
    CUT,
    HANG,
    SILENCE,
    Upstream,
    completion,
    completion_stream,
    error,
    html,
    message,
    message_stream,
    sse,
)

pytestmark = pytest.mark.processes  # thousands of calls

CALLS, STREAMS = 2_000, 300

REPLIES = {
    "whole": (completion("Hi"), completion_stream("Hel", "lo")),
    "refused": (error(400), error(400)),
    "malformed": (html(200), completion_stream("Hel", b"data: {broken\n\n")),
    "cut": (html(200), completion_stream("Hel", CUT)),
    "failing": (html(200), completion_stream("Hel", sse({"error": {"code": 400}}))),
    "left": (completion("Hi"), completion_stream("Hel", HANG)),
    "dropped": (completion("Hi"), completion_stream("Hel", HANG)),
    "cancelled": (SILENCE, completion_stream("Hel", HANG)),
}
ANTHROPIC = {
    "whole": (message("Hi"), message_stream("Hel", "lo")),
    "refused": (error(400, style="anthropic"), error(400, style="anthropic")),
    "malformed": (html(200), message_stream("Hel", b"data: {broken\n\n")),
    "cut": (html(200), message_stream("Hel", CUT)),
    "failing": (html(200), message_stream("Hel", sse({"type": "error", "error": {}}))),
    "left": (message("Hi"), message_stream("Hel", HANG)),
    "dropped": (message("Hi"), message_stream("Hel", HANG)),
    "cancelled": (SILENCE, message_stream("Hel", HANG)),
}


def answering(replies):
    """A server that is told by the message what to do."""

    def reply(received):
        how = received.json["messages"][-1]["content"]
        how = how if isinstance(how, str) else how[0]["text"]
        return replies[how][1 if received.json.get("stream") else 0]

    return reply


async def passes(request, call_next):
    return await call_next(request)


async def watches(request, call_next):
    response = await call_next(request)
    return response.on_settle(lambda outcome: outcome.response)


async def rewrites(request, call_next):
    return (await call_next(request)).map(lambda chunk: chunk)


def six_layers(provider, model):
    # A failing call would be tried again after a wait: here it is once, and at once.
    layers = [passes, timeout(total=60), retry(attempts=2, on=lambda *_: False), watches, rewrites]
    return build_pipeline([*layers, fallback([model])], provider=provider)


ADAPTERS = {
    "openai": (lambda url: openai(api_key="k", base_url=f"{url}/v1"), "openai/m", REPLIES),
    "anthropic": (lambda url: anthropic(api_key="k", base_url=url), "claude-x", ANTHROPIC),
}


@pytest.fixture(params=ADAPTERS)
async def upstream(request):
    make, model, replies = ADAPTERS[request.param]
    async with Upstream(default=answering(replies)) as server:
        server.pipeline = lambda: six_layers(make(server.url), model)
        yield server


# ------------------------------------------------------------------------------ the ways to end


async def call(llm, upstream, how):
    if how == "cancelled":
        return await cancelled(llm.complete(how), upstream)
    with suppress(ProviderError):
        await llm.complete(how)
    return None


async def stream(llm, upstream, how):
    if how == "cancelled":
        return await cancelled(llm.stream(how).collect(), upstream)
    if how == "left":
        async with llm.stream(how) as chunks:
            async for _ in chunks:
                break
    elif how == "dropped":
        async for _ in llm.stream(how):
            break
    else:
        with suppress(StreamError, InvalidRequestError):
            await llm.stream(how).collect()
    return None


async def cancelled(awaitable, upstream):
    seen = upstream.count
    task = asyncio.ensure_future(awaitable)
    await upstream.received(seen + 1)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()


def schedule(count):
    """How calls end: mostly well."""
    odd = [how for how in REPLIES if how != "whole"]
    return [odd[at // 8 % len(odd)] if at % 8 == 7 else "whole" for at in range(count)]


async def run(llm, upstream, calls, streams):
    """Make that many calls and streams, some side by side."""
    for how in schedule(calls):
        await call(llm, upstream, how)
    for at in range(streams):
        await stream(llm, upstream, list(REPLIES)[at % len(REPLIES)])
    together = [call(llm, upstream, "whole") for _ in range(10)]
    await asyncio.gather(*together, *[stream(llm, upstream, "whole") for _ in range(10)])
    gc.collect()
    upstream.requests.clear()


# ------------------------------------------------------------------------------ what there is


class Held:
    """What the process holds on to at this moment."""

    def __init__(self):
        for _ in range(3):
            gc.collect()
        self.objects = len(gc.get_objects())
        self.blocks = sys.getallocatedblocks()
        self.files = len(list(Path("/dev/fd").iterdir()))
        self.threads = threading.active_count()


def assert_hardly_more(after, before):
    """No more objects than the event loop's cancelled timers, which it sweeps out a hundred at once.

    One object for every sixth call would be more, and two for every pipeline.
    """
    assert after.objects - before.objects < 400
    assert after.blocks - before.blocks < 1_200


async def settled(upstream, open_connections):
    """Wait until the server has seen all but so many connections end."""
    await upstream._until(
        lambda: upstream.open_connections <= open_connections, "connections ended", 5
    )
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def complaints(monkeypatch):
    """What destructors complained of: with warnings as errors, whatever was left unclosed."""
    heard = []
    monkeypatch.setattr(sys, "unraisablehook", lambda raised: heard.append(str(raised.exc_value)))
    return heard


# ------------------------------------------------------------------------------ the tests


async def test_nothing_grows_over_thousands_of_calls_however_they_end(upstream, complaints):
    tasks = asyncio.all_tasks()
    async with upstream.pipeline() as llm:
        await run(llm, upstream, 100, 2 * len(REPLIES))  # fills pools, caches and free lists
        await settled(upstream, 20)
        before, connected = Held(), upstream.open_connections

        await run(llm, upstream, CALLS, STREAMS)

        await settled(upstream, connected)
        after = Held()
        idle = len(asyncio.all_tasks()) - len(tasks)
        assert idle <= 1 + 3 * upstream.open_connections  # the server's, one per connection
    assert after.files <= before.files
    assert after.threads == before.threads
    assert_hardly_more(after, before)
    await upstream.all_closed()
    assert asyncio.all_tasks() == tasks
    assert complaints == []


@pytest.mark.parametrize("streamed", [False, True], ids=["complete", "stream"])
async def test_a_call_that_is_over_is_freed_without_the_garbage_collector(streamed):
    async def provider(request):
        await asyncio.sleep(0)
        if streamed:
            return Response.streaming(words("a", "b"), request)
        return Response.completed(answer(), request)

    layers = [timeout(total=60, inter_chunk=30), retry(), watches, passes, timeout(first_token=9)]
    layers.insert(2, fallback(["n"], stream="restart"))
    llm = build_pipeline(layers, provider=provider, model="m", order="off")
    gc.collect()
    gc.disable()
    try:
        for _ in range(50):
            await (llm.stream("hi").collect() if streamed else llm.complete("hi"))
        left = gc.collect()
    finally:
        gc.enable()

    assert left < 50


@pytest.mark.parametrize("streamed", [False, True], ids=["complete", "stream"])
async def test_a_call_that_is_over_is_held_by_no_timer_and_no_task_that_it_began(streamed):
    class Mark:
        pass

    async def begins_a_task(request, call_next):
        tasks.append(asyncio.create_task(goes_on.wait()))
        return await call_next(request)

    async def provider(request):
        return Response.streaming(words("a", "b"), request)

    goes_on, tasks = asyncio.Event(), []
    layers = [timeout(total=600, first_token=300), begins_a_task]
    llm = build_pipeline(layers, provider=provider, model="m", order="off")
    # Behind a timer that is still due, a loop keeps those that were cancelled.
    due = asyncio.get_running_loop().call_later(60, print)
    mark = Mark()
    known, said = weakref.ref(mark), {"metadata": {"mark": mark}, "deadline": 900}
    await (llm.stream("hi", **said).collect() if streamed else llm.complete("hi", **said))
    del mark, said
    gc.collect()

    assert known() is None
    due.cancel()
    goes_on.set()
    await asyncio.gather(*tasks)


async def test_pipelines_that_are_dropped_leave_nothing_behind(upstream, complaints):
    tasks = asyncio.all_tasks()

    async def build_and_drop(count):
        for _ in range(count):
            llm = upstream.pipeline()
            await llm.complete("whole")
            async for _ in llm.stream("whole"):
                pass
            async for _ in llm.stream("dropped"):
                break
        del llm
        gc.collect()
        await upstream.all_closed(within=20)
        upstream.requests.clear()
        for _ in range(10):
            await asyncio.sleep(0)

    await build_and_drop(20)
    assert complaints == []
    before = Held()

    await build_and_drop(200)

    after = Held()
    assert complaints == []
    assert asyncio.all_tasks() == tasks
    assert after.files <= before.files
    assert after.threads == before.threads
    assert_hardly_more(after, before)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_event_loops_that_come_and_go_leave_nothing_behind(adapter, complaints):
    make, model, replies = ADAPTERS[adapter]
    with Upstream(default=answering(replies)) as server:
        provider = make(server.url)
        llm = six_layers(provider, model)

        async def work():
            for how in ("whole", "refused", "malformed"):
                await call(llm, server, how)
            for how in ("whole", "cut", "left", "dropped"):
                await stream(llm, server, how)

        def run_loops(count):
            for _ in range(count):
                asyncio.run(work())
            server.run(server.all_closed())
            server.requests.clear()
            gc.collect()
            assert len(provider._clients) == 0
            return Held()

        before = run_loops(3)
        after = run_loops(10)

    assert complaints == []
    assert after.files <= before.files
    assert after.threads == before.threads
    assert_hardly_more(after, before)
