"""Names of a package that are loaded when they are first used (PEP 562)."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def lazy(package: str, homes: dict[str, str]) -> "Callable[[str], object]":
    """The `__getattr__` of a package.

    Args:
        package: Its `__name__`.
        homes: Where each name lives, seen from the package: `"module"`, `"module:its_name_there"`,
            or `""` for a submodule.
    """

    def load(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        import sys
        from importlib import import_module

        home, _, there = homes[name].partition(":")
        module = import_module(f".{home or name}", package)
        value = getattr(module, there or name) if home else module
        setattr(sys.modules[package], name, value)
        return value

    return load
