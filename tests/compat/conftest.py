"""litellm's name for the tests of this folder, and whatever of its global state they change."""

from __future__ import annotations

import sys

import pytest

import scallion.compat.litellm as stand_in


@pytest.fixture
def litellm(monkeypatch):
    """The stand-in, installed for one test, with its settings as they are after import."""
    present = {name: sys.modules.pop(name) for name in list(sys.modules) if is_litellm(name)}
    kept = {
        name: value
        for name, value in vars(stand_in).items()
        if isinstance(value, (str, bool, int, float, type(None))) and not name.startswith("__")
    }
    module = stand_in.install()
    yield module
    for name, value in kept.items():
        setattr(module, name, value)
    module.logging_callback_manager._reset_all_callbacks()
    vars(module).pop("model_cost", None)
    stand_in.uninstall()
    sys.modules.update(present)


def is_litellm(name):
    return name.partition(".")[0] == "litellm"
