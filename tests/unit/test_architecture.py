"""The parts lean on each other in one direction only: see docs/architecture.md."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = (
    "_accumulate", "_clock", "_compose", "_fragments", "_layer", "_limits", "_model", "_order", "_pipeline", "_request",
    "_response", "_response_stream",
    "_sources", "_stages", "_sync", "exceptions", "types",
)  # fmt: skip
LAYERS = ("_audit", "_budget", "_cache", "_cost", "_fallback", "_log", "_retry", "_timeout")


def imported(path):
    """The modules that a file imports, also within functions, by their names under scallion."""
    package = [{"pipeline": "scallion"}.get(part, part) for part in path.relative_to(ROOT).parts]
    if package[0] != "scallion":
        package.insert(0, "scallion")
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: -node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {module, *[f"{module}.{alias.name}" for alias in node.names]}
    return {name for name in found if name.startswith("scallion.")}


def sources(folder):
    return sorted((ROOT / folder).rglob("*.py"))


def within(names, *packages):
    return {name for name in names if name.startswith(packages)}


def test_each_folder_with_modules_is_a_package_that_is_installed_and_no_other_is():
    with (ROOT / "pyproject.toml").open("rb") as file:
        listed = tomllib.load(file)["tool"]["setuptools"]["packages"]
    there = set()
    for folder, package in (
        ("pipeline", ()),
        ("middlewares", ("middlewares",)),
        ("providers", ("providers",)),
    ):
        for path in sources(folder):
            there.add(
                ".".join(["scallion", *package, *path.parent.relative_to(ROOT / folder).parts])
            )
    assert sorted(listed) == sorted(there)


@pytest.mark.parametrize("module", CORE)
def test_the_onion_knows_no_layer_and_asks_for_a_provider_only_if_none_is_given(module):
    names = imported(ROOT / "pipeline" / f"{module}.py")
    assert not within(names, "scallion.middlewares", "scallion.stores", "scallion.compat")
    allowed = {"scallion.providers", "scallion.providers.auto"} if module == "_pipeline" else set()
    assert within(names, "scallion.providers") <= allowed


@pytest.mark.parametrize("path", sources("providers"), ids=lambda path: path.stem)
def test_a_provider_knows_no_layer(path):
    assert not within(imported(path), "scallion.middlewares", "scallion.stores")


@pytest.mark.parametrize("path", sources("middlewares"), ids=lambda path: path.stem)
def test_a_layer_knows_no_other_layer(path):
    if path.stem == "__init__":
        return
    others = {f"scallion.middlewares.{layer}" for layer in LAYERS if layer != path.stem}
    # A helper belongs to the layer whose name it has.
    others -= {f"scallion.middlewares.{layer}" for layer in LAYERS if path.stem.startswith(layer)}
    assert not imported(path) & others
    assert within(imported(path), "scallion.providers") <= {
        "scallion.providers",
        "scallion.providers.get_client",
    }


@pytest.mark.parametrize("folder", ["pipeline", "middlewares", "providers"])
def test_nothing_leans_on_the_compatibility_layers(folder):
    for path in sources(folder):
        if path.parts[-2] in ("compat", "litellm") or "compat" in path.parts:
            continue
        lazily = {"scallion.compat"} if path == ROOT / "pipeline/__init__.py" else set()
        assert within(imported(path), "scallion.compat") <= lazily, path
