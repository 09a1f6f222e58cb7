"""Scallion next to others that do what it does: python tests/benchmarks/peers.py.

Every contestant is installed into a virtual environment of its own, and asked against one local server,
in turns. Prints a table; with --json FILE and --svg FILE it writes them down, too. Takes ten minutes,
and most of that is installing; --venvs FOLDER keeps what was installed for the next run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from measure import turns
from run import about
from server import Server

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Figures = dict[str, dict[str, float]]

ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).with_name("peer_worker.py")
# What is installed, and what is imported, by the names in peer_worker.py.
PEERS = {
    "Scallion": (str(ROOT), "from scallion import build_pipeline; build_pipeline()"),
    "Scallion, six layers": (str(ROOT), None),
    "openai SDK": ("openai", "import openai"),
    "anthropic SDK": ("anthropic", "import anthropic"),
    # It imports the other three on its way to an answer, and does not ask for them.
    "litellm": ("litellm mcp fastapi orjson", "import litellm"),
    "any-llm": ("any-llm-sdk[openai]", "import any_llm"),
    "litelm": ("litelm", "import litelm"),
    "edgequake-litellm": ("edgequake-litellm", "import edgequake_litellm"),
    "httpx2": ("httpx2", "import httpx2"),
    "aiohttp": ("aiohttp", "import aiohttp"),
}
MORE_IS_BETTER = "calls/s"


def main() -> None:
    """Install, measure, tell."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or its import asks the network
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("peers", nargs="*", metavar="peer", help=f"of {', '.join(PEERS)}")
    parser.add_argument("--rounds", type=int, default=5, help="turns that everyone gets")
    parser.add_argument("--venvs", type=Path, help="keep the environments here")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--svg", type=Path, help="draw them here")
    options = parser.parse_args()
    names = [name for name in PEERS if name in options.peers or not options.peers]
    with tempfile.TemporaryDirectory() as folder, Server() as server:
        pythons = installed(names, options.venvs or Path(folder))
        figures: Figures = {name: {} for name in names}
        for name in names:
            figures[name]["installed, MB"] = size(pythons[name]) / 1e6
        starts(figures, pythons, server.root, options.rounds)
        for name in turns(names, 2):
            print(f"… {name}", file=sys.stderr, flush=True)
            try:
                found = worker(pythons[name], name, server.root, options.rounds)
            except subprocess.SubprocessError as error:
                print(f"{name} did not get through: {error}", file=sys.stderr)
            else:
                keep_best(figures[name], found)
    print(table(figures))
    if options.json:
        options.json.write_text(json.dumps({"about": about(), "figures": figures}, indent=2) + "\n")
    if options.svg:
        options.svg.write_text(drawing(figures))


def installed(names: Iterable[str], folder: Path) -> dict[str, Path]:
    """Each contestant's interpreter."""
    pythons = {}
    for name in names:
        package, _ = PEERS[name]
        first, *more = package.split()
        place = folder / Path(first).name.partition("[")[0]
        pythons[name] = place / "bin/python"
        if not pythons[name].exists():
            venv.create(place, with_pip=False)
        elif first != str(ROOT):  # what changes between two runs is Scallion
            continue
        print(f"installing {package} …", file=sys.stderr, flush=True)
        pip = [sys.executable, "-m", "pip", "--python", str(pythons[name])]
        subprocess.run([*pip, "install", "--quiet", "--compile", first, *more], check=True)
    return pythons


def size(python: Path) -> int:
    """Bytes of all that was installed, compiled files aside."""
    files = (python.parents[1] / "lib").rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file() and file.suffix != ".pyc")


def starts(figures: Figures, pythons: Mapping[str, Path], root: str, rounds: int) -> None:
    """The import, over a bare interpreter, and a fresh process's first call: CPU, in ms."""
    for _ in range(rounds):
        for name, python in pythons.items():
            _, imports = PEERS[name]
            if imports is None:
                continue
            bare = cpu([str(python), "-I", "-c", "pass"])
            took = cpu([str(python), "-I", "-c", imports])
            keep_best(figures[name], {"import, ms": max(took - bare, 0.0) * 1e3})
            first = cpu([str(python), str(WORKER), name, root, "0"])
            keep_best(figures[name], {"first call, ms": first * 1e3})


def cpu(command: list[str]) -> float:
    """Seconds of CPU that a process takes."""
    child = os.posix_spawn(command[0], command, os.environ, file_actions=_SILENT)
    _, status, used = os.wait4(child, 0)
    if status:
        raise RuntimeError(f"{command} ended with {status}")
    return used.ru_utime + used.ru_stime


_SILENT = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]


def worker(python: Path, name: str, root: str, rounds: int) -> dict[str, float]:
    """What peer_worker.py measures."""
    command = [str(python), str(WORKER), name, root, str(rounds)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=900)
    found: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return found


def keep_best(figures: dict[str, float], new: Mapping[str, float]) -> None:
    """Of every figure the better one: noise only adds."""
    for key, value in new.items():
        better = max if key.startswith(MORE_IS_BETTER) else min
        figures[key] = better(figures.get(key, value), value)


def columns(figures: Figures) -> list[str]:
    """All that was measured, in order."""
    return list(dict.fromkeys(key for found in figures.values() for key in found))


def table(figures: Figures) -> str:
    """A table in Markdown: contestants down, figures across."""
    keys = columns(figures)
    lines = ["| | " + " | ".join(keys) + " |", "|---|" + "---:|" * len(keys)]
    for name, found in figures.items():
        cells = [shown(found[key]) if key in found else "" for key in keys]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def shown(value: float) -> str:
    """Three digits are all that such figures are good for."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def drawing(figures: Figures) -> str:
    """Bars, one block per figure, each as long as its share of the block's longest."""
    width, bar, left = 720, 16, 180
    parts: list[str] = []
    y = 10
    for key in columns(figures):
        found = {name: values[key] for name, values in figures.items() if key in values}
        most = max(found.values()) or 1.0
        note = "longer is better" if key.startswith(MORE_IS_BETTER) else "shorter is better"
        y += 22
        parts.append(f'<text x="4" y="{y}" font-weight="bold">{escape(key)} ({note})</text>')
        y += 6
        for name, value in found.items():
            length = value / most * (width - left - 90)
            colour = "#4c8b3b" if name.startswith("Scallion") else "#9aa5b1"
            parts.append(
                f'<text x="{left - 6}" y="{y + 12}" text-anchor="end">{escape(name)}</text>'
                f'<rect x="{left}" y="{y + 1}" width="{length:.1f}" height="{bar - 3}" fill="{colour}"/>'
                f'<text x="{left + length + 5:.1f}" y="{y + 12}">{shown(value)}</text>'
            )
            y += bar
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y + 14}" '
        'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
    )
    return "\n".join([head, *parts, "</svg>", ""])


if __name__ == "__main__":
    main()
