"""`install()`: from then on, `import litellm` gives this package."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import Distribution, DistributionFinder
from pathlib import Path
from pkgutil import walk_packages
from typing import TYPE_CHECKING, Any

from ._absent import Absent, spec_of
from ._version import version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.machinery import ModuleSpec
    from os import PathLike
    from types import ModuleType

_ALIAS = "litellm"
# Where litellm has the classes that stand in a module of another name here.
_HOMES = {
    "_own_errors": "exceptions",
    "types._access": "types.utils",
    "types._media": "types.utils",
    "types._messages": "types.utils",
    "types._usage": "types.utils",
    "types.info": "types.utils",
    "types.llms._responses": "types.llms.openai",
}


def install() -> ModuleType:
    """Put this package and its modules into `sys.modules` under litellm's names.

    Call it before anything imports litellm: code that holds the real one keeps it. The real one need
    not be installed; `importlib.metadata.version("litellm")` is `litellm.__version__` in any case.
    Calling again changes nothing.

    The classes say that they are litellm's (`__module__`): others look there to recognise them, and
    what is pickled or cached by class name can be read by either. So a process that unpickles them
    has to install as well.

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
    modules = [import_module(name) for name in _names(package)]
    for module in modules:
        sys.modules[_ALIAS + module.__name__.removeprefix(package.__name__)] = module
    for module in modules:
        for thing in list(vars(module).values()):
            if isinstance(thing, type) and thing.__module__.startswith(f"{package.__name__}."):
                _call_litellms(thing, thing.__module__.removeprefix(f"{package.__name__}."))
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    return package


def uninstall() -> None:
    """Take them out again. Who has imported litellm in the meantime keeps this one."""
    for name in [each for each in sys.modules if each.partition(".")[0] == _ALIAS]:
        module = sys.modules[name]
        ours = module.__name__.partition(".")[0] == __package__.partition(".")[0]
        if ours or isinstance(module, Absent):
            del sys.modules[name]
    while _renamed:
        thing, module_name = _renamed.popitem()
        thing.__module__ = module_name
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)


_renamed: dict[type, str] = {}
"""Our own names of the modules of classes that say that they are litellm's."""


def _call_litellms(thing: type, place: str) -> None:
    """Let a class say that it is litellm's, if it can be found there."""
    home = f"{_ALIAS}.{_HOMES.get(place, place)}"
    if getattr(sys.modules.get(home), thing.__qualname__, None) is thing:
        _renamed[thing] = thing.__module__
        thing.__module__ = home


def _names(package: ModuleType) -> Iterator[str]:
    yield package.__name__
    for found in walk_packages(package.__path__, f"{package.__name__}."):
        # Our own private modules stay ours; litellm's `_logging` and `_version` are public enough.
        last = found.name.rpartition(".")[2]
        if not last.startswith("_") or last in ("_logging", "_version"):
            yield found.name


class _Metadata(Distribution):
    """What the metadata of installed packages says of litellm while this stands in for it."""

    def read_text(self, filename: str) -> str | None:
        if filename != "METADATA":
            return None
        return f"Metadata-Version: 2.1\nName: {_ALIAS}\nVersion: {version}\n"

    def locate_file(self, path: str | PathLike[str]) -> Path:
        return Path(__file__).parent / path


class _Finder(DistributionFinder):
    """Finds modules of litellm's that are not here, and the metadata of litellm alone."""

    def find_spec(self, name: str, *args: Any) -> ModuleSpec | None:
        """A module that refuses, in litellm's place; the others are in `sys.modules` already."""
        return spec_of(name)

    def find_distributions(
        self,
        context: DistributionFinder.Context = DistributionFinder.Context(),  # noqa: B008
    ) -> Iterator[Distribution]:
        """The metadata, when it is asked for by its name."""
        if (context.name or "").lower() == _ALIAS:
            yield _Metadata()


_finder = _Finder()
