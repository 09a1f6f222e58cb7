"""pipeline.sync: the same calls without an event loop, from anywhere."""

import asyncio
import contextvars
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from scallion import build_pipeline
from scallion._sync import _Background
from scallion.exceptions import ServerError
from scallion.providers import fake, openai
from support.upstream import HANG, SILENCE, Upstream, completion, completion_stream


@pytest.fixture
def upstream():
    with Upstream() as server:
        yield server


@pytest.fixture
def llm(upstream):
    provider = openai(api_key="k", base_url=f"{upstream.url}/v1")
    pipeline = build_pipeline(provider=provider, model="m")
    yield pipeline
    pipeline.sync.close()


def test_a_call_returns_the_answer(upstream, llm):
    upstream.enqueue(completion("Hi"))

    assert llm.sync.complete("hello", temperature=0).text == "Hi"
    assert upstream.requests[0].json["temperature"] == 0


def test_a_stream_is_iterated_and_has_its_result(upstream, llm):
    upstream.enqueue(completion_stream("Hel", "lo"))

    with llm.sync.stream("hello") as stream:
        texts = [chunk.content for chunk in stream if chunk.content]

    assert texts == ["Hel", "lo"]
    assert stream.result.text == "Hello"


def test_a_stream_without_a_block_or_collected_works_too(upstream, llm):
    upstream.enqueue(completion_stream("a", "b"), completion_stream("c"))

    assert [c.content for c in llm.sync.stream("hello") if c.content] == ["a", "b"]
    assert llm.sync.stream("hello").collect().text == "c"


def test_errors_are_raised_as_they_are():
    llm = build_pipeline(provider=fake([ServerError("down")]), model="m")

    with pytest.raises(ServerError, match="down"):
        llm.sync.complete("hello")


def test_connections_are_shared_between_threads(upstream, llm):
    upstream.default = completion("Hi")
    texts = []

    def work():
        texts.extend(llm.sync.complete("hello").text for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert texts == ["Hi"] * 40
    assert upstream.connections <= 8


async def test_it_works_inside_of_a_running_loop_as_in_a_notebook():
    llm = build_pipeline(provider=fake(["Hi"]), model="m")

    assert llm.sync.complete("hello").text == "Hi"


async def test_a_middleware_that_calls_it_from_the_background_loop_is_told():
    async def nested(request, call_next):
        return llm.sync.complete("again")

    llm = build_pipeline([nested], provider=fake(), model="m")

    with pytest.raises(RuntimeError, match="await"):
        await asyncio.to_thread(llm.sync.complete, "hello")


def test_the_callers_context_variables_are_seen():
    variable = contextvars.ContextVar("variable", default="unset")
    seen = []

    async def look(request, call_next):
        seen.append(variable.get())
        return await call_next(request)

    llm = build_pipeline([look], provider=fake(), model="m")
    variable.set("mine")
    llm.sync.complete("hello")

    assert seen == ["mine"]


def test_leaving_a_stream_early_closes_its_connection(upstream, llm):
    upstream.default = completion_stream("Hel", HANG)

    with llm.sync.stream("hello") as stream:
        next(stream)
    upstream.run(upstream.all_closed())

    stream = llm.sync.stream("hello")
    next(stream)
    del stream
    gc.collect()
    upstream.run(upstream.all_closed())


def test_ctrl_c_cancels_the_call(upstream, llm):
    upstream.default = SILENCE
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()

    with pytest.raises(KeyboardInterrupt):
        llm.sync.complete("hello")

    upstream.run(upstream.all_closed())
    timer.join()


@pytest.fixture
def background():
    made = _Background()
    yield made
    made._stop()


async def slow(ended):
    try:
        await asyncio.sleep(3_600)
    finally:
        ended.append(True)


def test_what_still_runs_when_the_interpreter_ends_is_ended_and_no_more_is_begun(background):
    ended = []
    threading.Thread(target=background.run, args=(slow(ended),), daemon=True).start()
    background.run(asyncio.sleep(0))
    background._stop()

    assert ended == [True]
    with pytest.raises(RuntimeError, match="closed"):
        background.run(asyncio.sleep(0))


def test_after_a_fork_there_is_another_loop_and_the_parents_is_let_be(background):
    loop = background.run(_loop())
    parents = (background._loop, background._thread)
    background.after_fork()

    assert background.run(_loop()) is not loop
    assert parents[1].is_alive()
    parents[0].call_soon_threadsafe(parents[0].stop)
    parents[1].join()


async def _loop():
    return asyncio.get_running_loop()


def test_a_call_that_cancels_itself_is_cancelled_for_its_caller(background):
    async def give_up():
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        background.run(give_up())


def test_a_thread_that_cannot_be_started_is_an_error_and_the_next_call_tries_again(
    background, monkeypatch
):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="new thread"):
                background.run(asyncio.sleep(0))
    assert background.run(asyncio.sleep(0, "works")) == "works"


def test_a_forked_child_gets_a_loop_of_its_own():
    llm = build_pipeline(provider=fake(), model="m")
    llm.sync.complete("hello")

    script = textwrap.dedent(
        """
        import os, sys
        from scallion import build_pipeline
        from scallion.providers import fake
        llm = build_pipeline(provider=fake(), model="m")
        llm.sync.complete("parent")
        child = os.fork()
        if child == 0:
            os._exit(0 if "child" in llm.sync.complete("child").text else 1)
        _, status = os.waitpid(child, 0)
        sys.exit(os.waitstatus_to_exitcode(status))
        """
    )
    done = subprocess.run([sys.executable, "-c", script], timeout=30, check=False)

    assert done.returncode == 0


def test_the_interpreter_exits_in_the_middle_of_a_stream():
    script = textwrap.dedent(
        """
        from scallion import build_pipeline
        from scallion.providers import fake
        llm = build_pipeline(provider=fake(["one two three"], delay=60), model="m")
        stream = llm.sync.stream("hello")
        print(next(stream).content)
        """
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        timeout=30,
        check=True,
        capture_output=True,
        text=True,
    )

    assert done.stdout.strip() == "one"
    assert done.stderr == ""
