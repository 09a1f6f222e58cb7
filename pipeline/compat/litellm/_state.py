"""The settings of `import litellm`: attributes of the module itself, which users assign to."""

from __future__ import annotations

import sys
from typing import Any


def setting(name: str, default: Any = None) -> Any:
    """The present value of `litellm.<name>`."""
    return getattr(sys.modules[__package__], name, default)


def made_setting(name: str) -> Any:
    """The same, but `None` for one that is made when it is first asked for, and has not been."""
    return vars(sys.modules[__package__]).get(name)


def of_package(name: str) -> Any:
    """The `__getattr__` of a module of which litellm's has what it imports: all of the package.

    Raises:
        AttributeError: the package has it neither, or it is private.
    """
    if name.startswith("_"):
        raise AttributeError(f"this module has no attribute {name!r}")
    return getattr(sys.modules[__package__], name)


def unsupported(what: str, way: str) -> NotImplementedError:
    """The error for something of litellm's that is not here."""
    return NotImplementedError(
        f"litellm's {what} is not supported by scallion.compat.litellm: {way}"
    )
