"""Libraries that are hard-wired to litellm, unchanged, on the stand-in and a local server.

They are installed into a venv that this run makes, and litellm is not: what depends on it comes
without its dependencies, which are listed instead.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import venv
from pathlib import Path

import pytest

from support.upstream import Upstream, completion, completion_stream

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PROGRAMS = sorted(path.stem for path in (HERE / "libraries").glob("run_*.py"))

# With their dependencies, none of which is litellm.
PLAIN = ["instructor>=1.17", "smolagents>=1.26", "llama-index-core>=0.14"]
# Those that depend on litellm, and what else these need.
WIRED = ["dspy>=3.4", "llama-index-llms-litellm>=0.8"]
NEEDED = ["anyio", "cachetools", "cloudpickle", "diskcache", "gepa", "json-repair", "jsonschema"]
NEEDED += ["orjson", "regex", "tenacity", "tqdm", "xxhash", "numpy"]

pytestmark = pytest.mark.integration


@pytest.fixture(scope="session")
def python(tmp_path_factory):
    """The interpreter of a venv with the libraries, the project, and no litellm."""
    folder = tmp_path_factory.mktemp("libraries")
    source = folder / "source"
    source.mkdir()
    for name in ("pipeline", "middlewares", "providers"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    venv.create(folder / "venv", with_pip=True)
    interpreter = folder / "venv" / "bin" / "python"
    pip = [interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*pip, "--no-compile", f"{source}[offline]", *PLAIN, *NEEDED])
    run([*pip, "--no-compile", "--no-deps", *WIRED])
    assert "litellm" not in installed(interpreter)
    return interpreter


def run(command, **options):
    finished = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert finished.returncode == 0, finished.stdout[-3000:] + finished.stderr[-6000:]
    return finished.stdout


def installed(interpreter):
    names = "[each.name for each in importlib.metadata.distributions()]"
    return set(
        json.loads(
            run([interpreter, "-c", f"import importlib.metadata, json; print(json.dumps({names}))"])
        )
    )


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
