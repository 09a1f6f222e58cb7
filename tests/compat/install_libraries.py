"""Makes a venv with libraries that are hard-wired to litellm, and without it: `… FOLDER`."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]

# With their dependencies, none of which is litellm.
PLAIN = ["instructor>=1.17", "smolagents>=1.26", "llama-index-core>=0.14"]
# Those that depend on litellm, and what else these need.
WIRED = ["dspy>=3.4", "llama-index-llms-litellm>=0.8"]
NEEDED = ["anyio", "cachetools", "cloudpickle", "diskcache", "gepa", "json-repair", "jsonschema"]
NEEDED += ["orjson", "regex", "tenacity", "tqdm", "xxhash", "numpy"]


def main(folder: Path) -> None:
    """Install them."""
    source = folder / "source"
    source.mkdir()
    for name in ("pipeline", "middlewares", "providers"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    subprocess.run([*pip, f"{source}[offline]", *PLAIN, *NEEDED], check=True)
    subprocess.run([*pip, "--no-deps", *WIRED], check=True)
    absent = "import importlib.util as u, sys; sys.exit(u.find_spec('litellm') is not None)"
    subprocess.run([python, "-c", absent], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
