"""`import scallion` is light and lazy, and every name it promises is there."""

from __future__ import annotations

from importlib import import_module

import pytest

import scallion
from support.imports import modules_after

OURS = {"scallion", "scallion._lazy"}
SDKS = {"aiohttp", "anthropic", "httpx2", "openai", "pydantic", "structlog", "tiktoken"}


def test_what_is_heavy_would_be_seen():
    assert modules_after("import msgspec, openai") >= {"msgspec", "openai", "pydantic"}


@pytest.mark.parametrize(
    ("statement", "more"),
    [
        ("import scallion", set()),
        ("import scallion.middlewares", {"scallion.middlewares"}),
        ("import scallion.providers", {"scallion.providers"}),
        ("from scallion.exceptions import RateLimitError", {"scallion.exceptions"}),
    ],
)
def test_importing_scallion_loads_these_modules_and_nothing_else(statement, more):
    assert modules_after(statement) == OURS | more


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
