"""Libraries that are hard-wired to litellm, unchanged, on the stand-in and a local server.

They are installed into a venv that this run makes, and litellm is not: what depends on it comes
without its dependencies, which are listed instead.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from support.upstream import Upstream, completion, completion_stream

HERE = Path(__file__).parent
PROGRAMS = sorted(path.stem for path in (HERE / "libraries").glob("run_*.py"))

pytestmark = pytest.mark.integration


@pytest.fixture(scope="session")
def python(libraries):
    """The interpreter of a venv with the libraries, the project, and no litellm."""
    folder, installing = libraries
    assert installing.wait(600) == 0, (folder / "log").read_text()[-6000:]
    return folder / "venv" / "bin" / "python"


def run(command, **options):
    finished = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert finished.returncode == 0, finished.stdout[-3000:] + finished.stderr[-6000:]
    return finished.stdout


def say(asked):
    """What the server answers, by the model's name and by how far the conversation is."""
    body = asked.json
    double = ("call_1", "double", '{"number": 21}')
    texts = {
        "plain": ["Hello ", "there"],
        "answer": ["[[ ## answer ## ]]\n", "42", "\n\n[[ ## completed ## ]]"],
        "thought": [
            "[[ ## reasoning ## ]]\nsix times seven\n\n",
            "[[ ## answer ## ]]\n42\n\n[[ ## completed ## ]]",
        ],
    }
    calls = {
        "user": [("call_1", "User", '{"name": "Ann", "age": 3}')],
        "double": [double],
        "gpt-4o": [double],
        "agent": [
            ("call_2", "final_answer", '{"answer": "42"}')
            if any("42" in json.dumps(message) for message in body["messages"][1:])
            else double
        ],
    }
    model = body["model"].removeprefix("openai/")
    pieces, tools = texts.get(model, []), calls.get(model, [])
    if body.get("stream"):
        finish = "tool_calls" if tools else "stop"
        return completion_stream(*pieces, tool_calls=tools, usage=(5, 2), finish=finish)
    return completion("".join(pieces) or None, tool_calls=tools, usage=(5, 2))


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_library_that_is_hard_wired_to_litellm_runs_unchanged(python, program):
    with Upstream(default=say) as upstream:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(python.parent),
            "PYTHONPATH": str(HERE / "libraries"),
            "SCALLION_TEST_SERVER": f"{upstream.url}/v1",
            "NO_PROXY": "*",
        }
        run([python, HERE / "libraries" / f"{program}.py"], env=environment, timeout=120)
        assert upstream.count > 0


def test_every_library_has_its_program():
    assert PROGRAMS == ["run_dspy", "run_instructor", "run_llama_index", "run_smolagents"]
