"""The command line itself: help, mistakes, Ctrl-C, and how text is laid out."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scallion.__main__ import COMMANDS, main
from scallion._cli._terminal import Flow, Terminal


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if "_API_KEY" not in name}
    return subprocess.run(
        [sys.executable, "-m", "scallion", *arguments],
        capture_output=True,
        text=True,
        env=environment | variables,
        check=False,
        timeout=60,
    )


def test_without_arguments_it_shows_its_help_and_examples():
    finished = run()
    assert finished.returncode == 2
    assert "scallion demo --model openai/gpt-4o" in finished.stdout
    assert not finished.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_examples(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert f"usage: scallion {command}" in shown
    assert "examples:" in shown


def test_an_unknown_command_is_answered_with_the_known_ones(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["dmeo"])
    assert stopped.value.code == 2
    shown = capsys.readouterr().err
    assert all(command in shown for command in ["dmeo", *COMMANDS])


def test_a_missing_key_is_one_line_that_names_the_variable():
    finished = run("demo", "--model", "openai/gpt-4o")
    assert finished.returncode == 2
    assert finished.stdout == ""
    assert "OPENAI_API_KEY" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1


def test_an_unknown_prefix_is_one_line_that_lists_the_known_ones():
    finished = run("demo", "--model", "qwen/qwen3")
    assert finished.returncode == 2
    assert "anthropic/" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1


def test_a_provider_that_cannot_be_reached_is_one_line_and_exit_code_1():
    finished = run(
        "demo",
        "--model=openai/gpt-4o",
        OPENAI_API_KEY="sk-test",
        OPENAI_BASE_URL="http://127.0.0.1:1/v1",
    )
    assert finished.returncode == 1
    assert finished.stderr.startswith("scallion demo: the connection failed")
    assert len(finished.stderr.splitlines()) == 1


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch):
    def broken(arguments):
        raise ZeroDivisionError

    monkeypatch.setattr("scallion._cli.demo.run", broken)
    with pytest.raises(ZeroDivisionError):
        main(["demo"])


def test_ctrl_c_is_exit_code_130(monkeypatch, capsys):
    def interrupted(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("scallion._cli.demo.run", interrupted)
    assert main(["demo"]) == 130
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("error", "said"),
    [(OSError(28, "No space left on device"), "scallion demo: No space left on device\n"),
     (BrokenPipeError(32, "Broken pipe"), "")],
    ids=["full", "gone"],
)  # fmt: skip
def test_an_output_that_takes_no_more_is_exit_code_1(monkeypatch, capsys, error, said):
    def broken(arguments):
        raise error

    monkeypatch.setattr("scallion._cli.demo.run", broken)
    assert main(["demo"]) == 1
    assert capsys.readouterr().err == said


def test_a_command_needs_no_input_to_be_there(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", None)
    assert main(["tokens", "-", "--json"]) == 0
    sys.stdin.close()
    assert json.loads(capsys.readouterr().out)["tokens"] == 0


def test_ctrl_c_ends_a_command_quietly():
    process = subprocess.Popen(
        [sys.executable, "-m", "scallion", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("2  "):  # it streams now
            break
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == ""


def test_a_reader_that_leaves_early_ends_a_command_quietly():
    process = subprocess.Popen(
        [sys.executable, "-m", "scallion", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=60) == 1
    assert process.stderr.read() == ""
    process.stderr.close()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("command", ["price gpt-4o", "tokens -", "chat"])
def test_a_command_that_was_started_without_an_input_or_output_does_what_it_can(command, closed):
    finished = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m scallion {command} {closed}"],
        input="Hi", capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert finished.returncode == (2 if "<&-" in closed and command == "chat" else 0)
    assert "Traceback" not in finished.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a full disk")
@pytest.mark.parametrize("command", ["models", "price gpt-4o --json"])
def test_a_full_disk_is_one_line(command):
    finished = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m scallion {command} > /dev/full"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    name = command.split()[0]
    assert finished.stderr == f"scallion {name}: No space left on device\n"
    assert finished.returncode == 1


def test_only_the_command_that_was_asked_for_is_imported():
    code = (
        "import json, sys; from scallion.__main__ import main\n"
        "main([]); print(json.dumps([n for n in sys.modules if n.startswith('scallion')]))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    loaded = json.loads(finished.stdout.splitlines()[-1])
    assert set(loaded) == {"scallion", "scallion._lazy", "scallion.__main__"}


# ------------------------------------------------------------------------------- the terminal


def terminal(encoding: str = "utf-8", *, tty: bool = False) -> tuple[Terminal, io.TextIOWrapper]:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    out.isatty = lambda: tty
    return Terminal(out), out


def written(out: io.TextIOWrapper) -> str:
    out.seek(0)
    return out.read()


def test_a_table_is_aligned_with_numbers_flush_right():
    screen, out = terminal()
    screen.table(["model", "tokens"], [["a", "5"], ["long-one", "1234"]], right={"tokens"})
    assert written(out).splitlines() == [
        "model     tokens",
        "────────────────",
        "a              5",
        "long-one    1234",
    ]


def test_an_encoding_without_box_drawing_gets_plain_marks():
    screen, out = terminal("ascii")
    screen.table(["a"], [["│ · …"]])
    assert written(out).splitlines() == ["a", "-------", "| - ..."]


@pytest.mark.parametrize(
    ("variables", "styled"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_a_terminal_is_styled_unless_it_opts_out(variables, styled, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert ("\x1b" in terminal(tty=True)[0].bold("x")) is styled


def test_what_is_not_a_terminal_is_never_styled():
    assert terminal(tty=False)[0].bold("x") == "x"


def test_a_note_in_the_middle_of_a_stream_gets_a_line_of_its_own():
    screen, out = terminal()
    flow = Flow(screen)
    flow.add("half a line")
    screen.note("noted")
    flow.end()
    assert written(out).splitlines() == ["  half a line", "  · noted"]


@given(st.lists(st.text(alphabet="ab \n", max_size=12)))
def test_a_flow_keeps_every_word_whole_wherever_the_pieces_are_cut(pieces):
    screen, out = terminal()
    flow = Flow(screen)
    for piece in pieces:
        flow.add(piece)
    flow.end()
    assert written(out).split() == "".join(pieces).split()


@given(st.lists(st.from_regex(r"\A[a-z]{1,8} \Z"), max_size=60))
def test_a_flow_stays_inside_the_terminal(words):
    screen, out = terminal()
    flow = Flow(screen)
    for word in words:
        flow.add(word)
    flow.end()
    assert all(len(line) <= screen.width for line in written(out).splitlines())
