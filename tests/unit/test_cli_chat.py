"""`scallion chat`: at a terminal, from a pipe, and with Ctrl-C in the middle of an answer."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest

from scallion.__main__ import main
from scallion._cli._terminal import Terminal
from support.upstream import HANG, Upstream, completion_stream, error

pytestmark = pytest.mark.processes


def environment(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if "_API_KEY" not in name}
    return kept | {"TERM": "dumb", "PYTHONIOENCODING": "utf-8"} | variables


def piped(text: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scallion", "chat", *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment(**variables),
    )


class Chat:
    """The command in a pseudo-terminal."""

    def __init__(self, *arguments: str, **variables: str) -> None:
        self.shown = ""
        pid, self._terminal = pty.fork()
        if not pid:
            command = [sys.executable, "-m", "scallion", "chat", *arguments]
            os.execvpe(command[0], command, environment(**variables))
        self._pid = pid

    def wait_for(self, pattern: str, times: int = 1) -> None:
        """Read until `pattern` was shown so many times."""
        deadline = time.monotonic() + 60
        while len(re.findall(pattern, self.shown)) < times:
            assert time.monotonic() < deadline, self.shown
            self.read()

    def read(self) -> bool:
        """Read what is shown within a moment; false at the end."""
        if not select.select([self._terminal], [], [], 0.3)[0]:
            return True
        read = os.read(self._terminal, 65536).decode()
        self.shown += read
        return bool(read)

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def end(self) -> int:
        """Type Ctrl-D, and return the exit code."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            self.type("\x04")  # again, if the prompt was not there yet
            try:
                if not self.read():
                    break
            except OSError:  # Linux says so when the other side is closed
                break
        else:
            self.kill()
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)


@pytest.fixture
def upstream():
    with Upstream() as server:
        yield server


def real(upstream: Upstream) -> dict[str, str]:
    return {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": f"{upstream.url}/v1"}


# ----------------------------------------------------------------------------------- from a pipe


def test_a_piped_message_is_answered_on_the_standard_output_and_billed_on_the_other():
    done = piped("Hello there\n")

    assert done.returncode == 0
    assert done.stdout.startswith("You asked: Hello there")
    assert re.search(r"\d+ tokens in, \d+ out, \$0", done.stderr)
    assert "tokens in" not in done.stdout


def test_a_pipe_that_is_no_text_is_refused_in_one_line():
    done = subprocess.run(
        [sys.executable, "-m", "scallion", "chat"],
        input=b"\xff", capture_output=True, check=False, timeout=60,
        env=environment(LC_ALL="C.UTF-8"),
    )  # fmt: skip

    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"scallion chat: standard input is not text in UTF-8")


def test_ctrl_c_breaks_off_a_piped_answer_and_bills_it(upstream):
    upstream.default = completion_stream("Half an", HANG)
    process = subprocess.Popen(
        [sys.executable, "-m", "scallion", "chat", "--model=openai/gpt-4o-mini"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment(**real(upstream)),
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("hello")
    process.stdin.close()
    process.stdin = None
    assert process.stdout.read(7) == "Half an"
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)

    assert process.returncode == 130
    assert re.search(r"broken off: ~\d+ tokens in, ~\d+ out, ~\$0\.0", complaint)
    assert "Traceback" not in complaint


def test_a_program_gets_answer_tokens_and_cost_as_json(upstream):
    upstream.default = completion_stream("Hi", usage=(1_000, 100), model="gpt-4o-mini")
    done = piped("hello", "--json", "--model=openai/gpt-4o-mini", **real(upstream))

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {
        "answer": "Hi", "model": "gpt-4o-mini", "prompt_tokens": 1_000, "completion_tokens": 100,
        "cost": "0.00021", "exact": True,
    }  # fmt: skip


def test_the_options_reach_the_model(upstream):
    upstream.default = completion_stream("Hi")
    piped(
        "hello", "--model=openai/gpt-4o", "--system", "Be brief.", "--max-tokens", "7",
        "--temperature", "0.5", **real(upstream),
    )  # fmt: skip

    asked = upstream.requests[0].json
    assert [message["role"] for message in asked["messages"]] == ["system", "user"]
    assert (asked["max_tokens"], asked["temperature"]) == (7, 0.5)


@pytest.mark.parametrize(
    ("text", "arguments", "code", "said"),
    [
        ("", [], 2, "the standard input is empty"),
        ("hi", ["--model", "openai/gpt-4o"], 2, "OPENAI_API_KEY"),
        ("hi", ["--model", "nobody/x"], 2, "unknown provider prefix"),
        ("hi", ["--max-tokens", "many"], 2, "whole number"),
    ],
)
def test_a_mistake_is_said_without_a_traceback(text, arguments, code, said):
    done = piped(text, *arguments)

    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_failing_server_is_one_line_and_exit_code_1(upstream):
    upstream.default = error(400, message="no such thing")
    done = piped("hi", "--model=openai/gpt-4o", **real(upstream))

    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "no such thing" in done.stderr


# ---------------------------------------------------------------------------------- at a terminal


def test_it_keeps_the_history_until_told_to_forget(upstream):
    upstream.default = completion_stream("An", "swer", usage=(10, 2), model="gpt-4o-mini")
    chat = Chat("--model=openai/gpt-4o-mini", **real(upstream))
    try:
        chat.wait_for("> ")
        chat.type("first\n")
        chat.wait_for("in all")
        chat.type("second\n")
        chat.wait_for("in all", 2)
        chat.type("/new\n")
        chat.wait_for("forgotten")
        chat.type("third\n")
        chat.wait_for("in all", 3)
        assert chat.end() == 0
    except BaseException:
        chat.kill()
        raise

    assert [[m["content"] for m in request.json["messages"]] for request in upstream.requests] == [
        ["first"], ["first", "Answer", "second"], ["third"],
    ]  # fmt: skip
    assert "Answer\r\n" in chat.shown
    assert "10 tokens in, 2 out, $0.0000027" in chat.shown
    assert "$0.0000081 in all" in chat.shown


def test_ctrl_c_breaks_off_an_answer_bills_it_and_the_chat_goes_on(upstream):
    upstream.enqueue(
        completion_stream("Once upon a", HANG, model="gpt-4o-mini"),
        completion_stream("Hello", model="gpt-4o-mini"),
    )
    chat = Chat("--model=openai/gpt-4o-mini", **real(upstream))
    try:
        chat.wait_for("> ")
        chat.type("tell me\n")
        chat.wait_for("Once upon a")
        chat.type("\x03")
        chat.wait_for("broken off: ~\\d+ tokens in, ~\\d+ out, ~\\$0\\.0")
        chat.type("go on\n")
        chat.wait_for("Hello")
        chat.wait_for("in all", 2)
        assert chat.end() == 0
    except BaseException:
        chat.kill()
        raise
    upstream.run(upstream.all_closed())

    kept = [message["content"] for message in upstream.requests[1].json["messages"]]
    assert kept == ["tell me", "Once upon a", "go on"]
    assert "Traceback" not in chat.shown


def test_ctrl_c_at_the_prompt_ends_nothing_and_a_failed_turn_leaves_nothing(upstream):
    upstream.enqueue(error(400, message="bad words"), completion_stream("Hi"))
    chat = Chat("--model=openai/gpt-4o-mini", **real(upstream))
    try:
        chat.wait_for("> ")
        for turn in range(30):
            if chat.shown.count("Ctrl-D ends") < 2:
                if turn % 10 == 0:  # Python misses one between prompt and read
                    chat.type("\x03")
                chat.read()
        assert chat.shown.count("Ctrl-D ends") >= 2, chat.shown
        chat.type("wrong\n")
        chat.wait_for("InvalidRequestError.*bad words")
        chat.type("\nright\n")
        chat.wait_for("in all", 2)
        chat.type("/quit\n")
        assert chat.end() == 0
    except BaseException:
        chat.kill()
        raise

    assert [m["content"] for m in upstream.requests[1].json["messages"]] == ["right"]


def test_without_a_model_it_is_made_up_and_json_is_for_pipes():
    chat = Chat("--json")
    chat.wait_for("--json is for a message from a pipe")
    assert chat.end() == 2


# ------------------------------------------------------------------------------- in this process


@pytest.fixture
def converse(monkeypatch, capsys):
    """Chat in this process: each line is typed when the prompt comes, or raised there."""

    class Keyboard(io.StringIO):
        def isatty(self):
            return True

    def run(*lines, arguments=()):
        typed = iter(lines)

        def prompted(prompt):
            line = next(typed, EOFError())
            if isinstance(line, BaseException):
                raise line
            return line

        monkeypatch.setattr("sys.stdin", Keyboard())
        monkeypatch.setattr("builtins.input", prompted)
        code = main(["chat", *arguments])
        return code, capsys.readouterr()

    return run


def test_a_conversation_ends_with_quit_or_the_end_of_the_input(converse):
    typed = ("first", "", "/help", "/new", KeyboardInterrupt(), "second", "/quit", "never")
    code, out = converse(*typed)
    shown = re.sub(r"\d+ tokens in, \d+ out, ", "", out.out)
    assert (code, out.err) == (0, "")
    assert [line.split(":")[0] for line in shown.splitlines()[1:]] == [
        "You asked", "  · $0, $0 in all", "  · no command /help", "  · forgotten", "", "  · Ctrl-D ends",
        "You asked", "  · $0, $0 in all",
    ]  # fmt: skip
    assert converse()[0] == 0


def test_a_turn_that_is_broken_off_stays_in_the_history_as_far_as_it_came(
    converse, upstream, monkeypatch
):
    for name, value in real(upstream).items():
        monkeypatch.setenv(name, value)
    upstream.enqueue(completion_stream("Half an", HANG), completion_stream("Hello", usage=(9, 1)))
    write = Terminal.write

    def interrupted(terminal, text):
        write(terminal, text)
        if text == "Half an":
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Terminal, "write", interrupted)
    code, out = converse("tell me", "go on", arguments=["--model=openai/gpt-4o-mini"])

    broken, whole = (line for line in out.out.splitlines() if "in all" in line)
    assert code == 0
    assert re.match(
        r"  · broken off: ~\d+ tokens in, ~\d+ out, ~\$0\.0\d+, \$0\.0\d+ in all", broken
    )
    assert whole.startswith("  · 9 tokens in, 1 out, $0.0")
    kept = [message["content"] for message in upstream.requests[1].json["messages"]]
    assert kept == ["tell me", "Half an", "go on"]


def test_a_program_cannot_be_given_json_by_a_keyboard(converse):
    code, out = converse("hi", arguments=["--json"])

    assert (code, out.out) == (2, "")
    assert "echo … | scallion chat --json" in out.err


def test_a_failed_turn_is_told_and_the_next_one_works(converse, upstream, monkeypatch):
    for name, value in real(upstream).items():
        monkeypatch.setenv(name, value)
    upstream.enqueue(error(400, message="no such thing"), completion_stream("Hello"))
    code, out = converse("one", "two", arguments=["--model=openai/gpt-4o"])

    assert code == 0
    assert "InvalidRequestError" in out.out
    assert "no such thing" in out.out
    assert "0 tokens in, 0 out, $0, $0 in all" in out.out
    assert [len(request.json["messages"]) for request in upstream.requests] == [1, 1]


def test_a_turn_without_a_known_price_says_so(converse, upstream, monkeypatch):
    for name, value in real(upstream).items():
        monkeypatch.setenv(name, value)
    upstream.enqueue(completion_stream("Hello", model="no-price"))
    code, out = converse("one", arguments=["--model=openai/no-price"])

    assert code == 0
    assert "at an unknown price" in out.out
