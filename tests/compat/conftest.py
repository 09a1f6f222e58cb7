"""litellm's name for the tests of this folder, and whatever of its global state they change."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import scallion.compat.litellm as stand_in

INSTALL = Path(__file__).with_name("install_libraries.py")


@pytest.hookimpl(trylast=True)  # when it is known which tests were asked for
def pytest_collection_modifyitems(config, items):
    """Begin to install the libraries now, and let the tests that need them come last: it takes minutes."""
    last = [item for item in items if "libraries" in getattr(item, "fixturenames", ())]
    if last and not config.option.collectonly:
        items[:] = [item for item in items if item not in last] + last
        holder = TemporaryDirectory(prefix="scallion-libraries-", ignore_cleanup_errors=True)
        config.add_cleanup(holder.cleanup)
        folder = Path(holder.name)
        with (folder / "log").open("wb") as log:
            installing = subprocess.Popen(
                [sys.executable, INSTALL, folder], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        config.add_cleanup(installing.wait)
        config.add_cleanup(installing.kill)
        config.stash[LIBRARIES] = folder, installing


LIBRARIES = pytest.StashKey()


@pytest.fixture(scope="session")
def libraries(pytestconfig):
    """The folder into which they are installed, and the process that is at it."""
    return pytestconfig.stash[LIBRARIES]


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
