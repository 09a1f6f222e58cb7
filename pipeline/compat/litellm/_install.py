"""`install()`: from then on, `import litellm` gives this package."""

from __future__ import annotations

import sys
from importlib import import_module
from pkgutil import walk_packages
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

_ALIAS = "litellm"


def install() -> ModuleType:
    """Put this package and its modules into `sys.modules` under litellm's names.

    Call it before anything imports litellm: code that holds the real one keeps it. The real one need
    not be installed. Calling again changes nothing.

    Returns:
        The module that `import litellm` gives now.

    Raises:
        RuntimeError: the real litellm has been imported already.
    """
    package = sys.modules[__package__]
    present = sys.modules.get(_ALIAS)
    if present is not None and present is not package:
        raise RuntimeError(
            "litellm has been imported already: call scallion.compat.litellm.install() first"
        )
    for name in _names(package):
        sys.modules[_ALIAS + name.removeprefix(package.__name__)] = import_module(name)
    return package


def uninstall() -> None:
    """Take them out again. Who has imported litellm in the meantime keeps this one."""
    for name in [each for each in sys.modules if each.partition(".")[0] == _ALIAS]:
        module = sys.modules[name]
        if module.__name__.partition(".")[0] == __package__.partition(".")[0]:
            del sys.modules[name]


def _names(package: ModuleType) -> Iterator[str]:
    yield package.__name__
    for found in walk_packages(package.__path__, f"{package.__name__}."):
        # Our own private modules stay ours; litellm's `_logging` and `_version` are public enough.
        last = found.name.rpartition(".")[2]
        if not last.startswith("_") or last in ("_logging", "_version"):
            yield found.name
