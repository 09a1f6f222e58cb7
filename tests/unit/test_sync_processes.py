"""pipeline.sync in processes of their own: Ctrl-C, forks, spawned workers, and the interpreter's end."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from scallion import build_pipeline
from scallion.providers import fake
from support.upstream import HANG, SILENCE, Upstream, completion, completion_stream

pytestmark = pytest.mark.processes

HEAD = """
import asyncio, atexit, multiprocessing, os, sys, threading, time
from scallion import build_pipeline
from scallion.providers import fake, openai

def make():
    if len(sys.argv) > 1:
        provider = openai(api_key="k", base_url=sys.argv[1] + "/v1")
    else:
        provider = fake()
    return build_pipeline([seen], provider=provider, model="m")

statuses = []
async def seen(request, call_next):
    try:
        response = await call_next(request)
    except BaseException as error:
        statuses.append(type(error).__name__)
        raise
    return response.on_settle(lambda outcome: statuses.append(outcome.status))
"""


def script(tmp_path, text):
    path = tmp_path / "script.py"
    path.write_text(HEAD + textwrap.dedent(text))
    return [sys.executable, "-W", "error", str(path)]


def run(tmp_path, text, *arguments):
    done = subprocess.run(
        [*script(tmp_path, text), *arguments],
        timeout=60,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout.split()


@pytest.fixture
def upstream():
    with Upstream() as server:
        yield server


def interrupted(tmp_path, upstream, text):
    """Run until it says "now", send it Ctrl-C, and return what it says then."""
    process = subprocess.Popen(
        [*script(tmp_path, text), upstream.url],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "now\n"
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    upstream.run(upstream.all_closed())
    return out.split()


def test_ctrl_c_cancels_the_call_and_the_program_may_go_on(tmp_path, upstream):
    upstream.enqueue(completion("before"), SILENCE, completion("after"))
    text = """
        llm = make()
        llm.sync.complete("hello")
        statuses.clear()
        threading.Timer(0.5, lambda: print("now", flush=True)).start()
        try:
            llm.sync.complete("hello")
        except KeyboardInterrupt:
            print(*statuses, llm.sync.complete("again").text)
        llm.sync.close()
        """

    assert interrupted(tmp_path, upstream, text) == ["CancelledError", "after"]


def test_ctrl_c_in_the_middle_of_a_stream_cancels_it(tmp_path, upstream):
    upstream.default = completion_stream("Hel", HANG)
    text = """
        llm = make()
        stream = llm.sync.stream("hello")
        print_now = threading.Timer(0.3, lambda: print("now", flush=True))
        try:
            for chunk in stream:
                if chunk.content:
                    print_now.start()
        except KeyboardInterrupt:
            print(*statuses, stream.result.text)
        llm.sync.close()
        """

    assert interrupted(tmp_path, upstream, text) == ["cancelled", "Hel"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_after_a_fork_parent_and_children_go_on(tmp_path, upstream):
    upstream.default = completion("Hi")
    text = """
        llm = make()
        llm.sync.complete("parent")
        children = []
        for _ in range(3):
            child = os.fork()
            if not child:
                texts = [llm.sync.complete("child").text for _ in range(2)]
                texts.append(llm.sync.stream("child").collect().text if len(sys.argv) < 2 else "Hi")
                llm.sync.close()
                sys.exit(0 if texts == ["Hi"] * 3 else 1)
            children.append(child)
        assert llm.sync.complete("parent").text == "Hi"
        print(*[os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
        llm.sync.close()
        """

    assert run(tmp_path, text, upstream.url) == (0, ["0", "0", "0"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_a_fork_in_the_middle_of_another_threads_call_is_safe(tmp_path, upstream):
    upstream.enqueue(completion("Hi"), SILENCE)
    upstream.default = completion("Hi")
    text = """
        llm = make()
        llm.sync.complete("hello")
        other = threading.Thread(target=lambda: llm.sync.complete("silence"), daemon=True)
        other.start()
        time.sleep(0.3)
        child = os.fork()
        if not child:
            os._exit(0 if llm.sync.complete("child").text == "Hi" else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """

    assert run(tmp_path, text, upstream.url) == (0, ["0"])


def test_spawned_workers_get_the_pipeline_as_a_pickle(tmp_path):
    text = """
        def work(llm):
            return "asked" in llm.sync.complete("hello").text

        if __name__ == "__main__":
            llm = make()
            llm.sync.complete("parent")
            with multiprocessing.get_context("spawn").Pool(2) as pool:
                print(*pool.map(work, [llm] * 4))
        """

    assert run(tmp_path, text) == (0, ["True"] * 4)


@pytest.mark.parametrize("what", ["complete", "stream"])
def test_the_interpreter_ends_in_the_middle_of_a_daemons_call(tmp_path, upstream, what):
    upstream.enqueue(completion("Hi"))
    upstream.default = SILENCE if what == "complete" else completion_stream("Hel", HANG)
    call = "llm.sync.complete('x')" if what == "complete" else "llm.sync.stream('x').collect()"
    text = f"""
        llm = make()
        llm.sync.complete("hello")
        threading.Thread(target=lambda: {call}, daemon=True).start()
        time.sleep(0.5)
        print("end")
        """

    assert run(tmp_path, text, upstream.url) == (0, ["end"])


def test_a_call_at_the_interpreters_very_end_is_an_error_and_no_hang(tmp_path):
    text = """
        llm = make()

        def late():
            try:
                print(bool(llm.sync.complete("late").text))
            except RuntimeError as error:
                print("RuntimeError")

        atexit.register(late)
        llm.sync.complete("hello")
        """

    assert run(tmp_path, text) == (0, ["RuntimeError"])


def test_a_pipeline_that_was_closed_is_opened_again(upstream):
    from scallion.providers import openai

    upstream.default = completion("Hi")
    llm = build_pipeline(provider=openai(api_key="k", base_url=f"{upstream.url}/v1"), model="m")
    for _ in range(2):
        assert llm.sync.complete("hello").text == "Hi"
        llm.sync.close()
    upstream.run(upstream.all_closed())


def test_a_call_that_is_cancelled_before_it_begins_leaves_nothing(monkeypatch):
    from scallion import _sync

    begun = []

    async def look(request, call_next):
        begun.append(request)
        return await call_next(request)

    llm = build_pipeline([look], provider=fake(), model="m")
    llm.sync.complete("hello")  # the loop runs

    def interrupted(self, timeout=None):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_sync.Future, "result", interrupted)
        for _ in range(50):
            with pytest.raises(KeyboardInterrupt):
                llm.sync.complete("hello")
    assert llm.sync.complete("hello").text
