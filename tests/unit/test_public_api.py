"""What users can import does not change by accident: names, signatures, fields.

To change it on purpose: python tests/unit/test_public_api.py, and a line in CHANGELOG.md.
"""

from __future__ import annotations

import inspect
from enum import Enum
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import msgspec

import scallion

SNAPSHOT = Path(__file__).with_name("public_api.txt")
MODULES = (
    "scallion", "scallion.middlewares", "scallion.providers", "scallion.types",
    "scallion.exceptions", "scallion.costs", "scallion.tokens", "scallion.stores",
    "scallion.testing", "scallion.router", "scallion.compat",
)  # fmt: skip


def described():
    lines = []
    for module in MODULES:
        lines.append(f"[{module}]")
        for name in sorted(import_module(module).__all__):
            lines += entry(name, getattr(import_module(module), name))
        lines.append("")
    return "\n".join(lines)


def entry(name, thing):
    if not isinstance(thing, type):
        alias = hasattr(thing, "__origin__")  # Handler and its like, which some Pythons can "call"
        return [f"{name}{signature(thing)}" if callable(thing) and not alias else name]
    bases = ", ".join(base.__name__ for base in thing.__bases__ if base is not object)
    lines = [f"class {name}({bases})" if bases else f"class {name}"]
    if issubclass(thing, Enum):
        return [*lines, *[f"  {member.name} = {member.value!r}" for member in thing]]
    fields = set()
    if issubclass(thing, msgspec.Struct):
        fields = set(thing.__struct_fields__)
        lines += [f"  {field}" for field in thing.__struct_fields__]
    elif "__init__" in vars(thing):
        lines.append(f"  __init__{signature(thing.__init__)}")
    for attribute in sorted(public(thing) - fields):
        value = inspect.getattr_static(thing, attribute)
        function = getattr(value, "__func__", value)
        lines.append(
            f"  {attribute}{signature(function)}"
            if inspect.isfunction(function)
            else f"  {attribute}"
        )
    return lines


def public(thing):
    """Attributes of our own classes: what builtins, msgspec and pydantic add is theirs."""
    ours = [cls for cls in thing.__mro__ if cls.__module__.startswith("scallion")]
    return {
        name for cls in ours for name in vars(cls) if not name.startswith(("_", "model_config"))
    }


def signature(function):
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return ""
    bare = [one.replace(annotation=one.empty, default=shown(one.default)) for one in parameters]
    return str(inspect.Signature(bare))


class Shown:
    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return self.text


def shown(default):
    """A default as text that is the same in every process and on every Python."""
    if default is inspect.Parameter.empty:
        return default
    simple = default is None or isinstance(default, (bool, int, float, str, tuple))
    return default if simple else Shown("…")


def test_the_public_names_and_signatures_are_those_that_were_agreed():
    expected = SNAPSHOT.read_text("utf-8").splitlines()
    assert described().splitlines() == expected


def test_no_module_is_public_without_being_looked_at():
    found = {module.name for module in iter_modules(scallion.__path__, "scallion.")}
    # Where the folders lie apart, as in an editable install, two of them are not seen.
    assert {name for name in found if "._" not in name} <= set(MODULES)


if __name__ == "__main__":
    SNAPSHOT.write_text(described(), "utf-8")
