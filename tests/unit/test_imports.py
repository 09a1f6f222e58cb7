"""`import scallion` is light and lazy, and every name it promises is there."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module

import pytest

import scallion

# What takes long to import, and none of it is needed before the first pipeline is built.
HEAVY = {
    "aiohttp", "anthropic", "asyncio", "cachetools", "dataclasses", "httpx2", "importlib.metadata",
    "inspect", "logging", "msgspec", "openai", "pydantic", "structlog", "tiktoken", "typing",
    "typing_extensions",
}  # fmt: skip
SDKS = {"aiohttp", "anthropic", "httpx2", "openai", "pydantic", "structlog", "tiktoken"}


def modules_after(statement: str) -> set[str]:
    """The modules that a fresh interpreter has loaded because of `statement`."""
    code = (
        "import json, sys; before = set(sys.modules)\n"
        f"{statement}\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    # -S and -E: what site-packages' .pth files and the environment load is not ours. The path is
    # handed over by hand instead.
    path = f"import sys; sys.path[:] = {sys.path!r}\n"
    finished = subprocess.run(
        [sys.executable, "-I", "-S", "-c", path + _editable_finder() + code],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(finished.stdout))


def _editable_finder() -> str:
    """The code that makes an editable install importable, which a .pth file would have run."""
    for finder in sys.meta_path:
        module = getattr(finder, "__module__", "")
        if module.startswith("__editable___scallion"):
            return f"import {module}; {module}.install()\n"
    return ""


def test_what_is_heavy_would_be_seen():
    assert modules_after("import msgspec, openai") >= {"msgspec", "openai", "pydantic"}


def test_importing_scallion_loads_nothing_heavy():
    assert not modules_after("import scallion") & HEAVY


@pytest.mark.parametrize("name", ["scallion.middlewares", "scallion.providers"])
def test_importing_a_subpackage_loads_nothing_heavy(name):
    assert not modules_after(f"import {name}") & HEAVY


def test_exceptions_can_be_named_in_an_except_clause_without_loading_anything_heavy():
    assert not modules_after("from scallion.exceptions import RateLimitError") & HEAVY


def test_building_a_pipeline_around_every_provider_imports_no_sdk():
    statement = (
        "from scallion import build_pipeline\n"
        "from scallion.providers import anthropic, auto, fake, openai, openrouter\n"
        "for make in (anthropic, auto, fake, openai, openrouter): build_pipeline(provider=make())"
    )
    assert not modules_after(statement) & SDKS


@pytest.mark.parametrize("name", ["scallion", "scallion.middlewares", "scallion.providers"])
def test_every_promised_name_resolves_and_is_listed(name):
    package = import_module(name)
    for promised in package.__all__:
        assert getattr(package, promised) is not None
    assert set(package.__all__) <= set(dir(package))
    assert list(package.__all__) == sorted(package.__all__)


@pytest.mark.parametrize("name", ["scallion", "scallion.middlewares", "scallion.providers"])
def test_a_star_import_gives_what_all_lists(name):
    namespace = {}
    exec(f"from {name} import *", namespace)
    assert set(import_module(name).__all__) <= set(namespace)


@pytest.mark.parametrize("name", ["scallion", "scallion.middlewares", "scallion.providers"])
def test_a_name_that_does_not_exist_is_an_attribute_error_that_says_so(name):
    with pytest.raises(AttributeError, match=f"module '{name}' has no attribute 'nothing'"):
        _ = import_module(name).nothing


def test_every_submodule_that_dir_lists_can_be_reached_as_an_attribute():
    for name in set(dir(scallion)) - set(scallion.__all__) - {"__version__"}:
        assert getattr(scallion, name).__name__ == f"scallion.{name}"
