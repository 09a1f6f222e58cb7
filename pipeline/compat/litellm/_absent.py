"""Modules of litellm's that are not here: they can be imported, and what is in them refuses.

A program, or a file of tests, imports more than it uses. So `from litellm.llms.openai.openai import
OpenAIChatCompletion` gives a class, and making one is the `NotImplementedError` that says so.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NoReturn

from ._state import unsupported

# The folders and files of litellm 1.106 that have modules which are not here. The proxy is a
# program of its own: who asks whether it is there hears no.
_PLACES = """
anthropic_interface assistants batch_completion batches budget_manager caching completion_extras
containers endpoints evals experimental_mcp_client files fine_tuning google_genai images
integrations interactions litellm_core_utils llms ocr passthrough rag realtime_api rerank_api
responses router_strategy router_utils sandbox scheduler search secret_managers skills timeout
types vector_store_files vector_stores videos _service_logger _uuid
"""


def _refuse(name: str) -> NoReturn:
    raise unsupported(
        name.removeprefix("litellm."),
        "it is a part of litellm's own machinery; what Scallion has instead is in docs/litellm.md",
    )


def refusing_class(name: str, place: str) -> type:
    """A class that can be named, subclassed and asked for with `isinstance`, and not be made."""

    def refuse(self: object, *args: Any, **kwargs: Any) -> None:
        del self, args, kwargs
        _refuse(f"{place}.{name}")

    return type(name, (), {"__module__": place, "__doc__": "Not supported.", "__init__": refuse})


class Absent(ModuleType):
    """A module that is not here. Names that the package has are the package's.

    It can be called, and refuses: litellm has functions that are called as its modules are.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path, "Not supported.")
        self._path = path

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Not supported."""
        del args, kwargs
        _refuse(self._path)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name.isupper():
            raise AttributeError(f"this module of litellm's is not here, so it has no {name!r}")
        made: Any = getattr(sys.modules[__package__], name, None)
        if made is None:
            make = refusing_class if name[0].isupper() else _Part
            made = make(name, self._path)
        setattr(self, name, made)
        return made


class _Part(Absent):
    """What is in such a module: a function, or another module, of which only classes are found."""

    def __init__(self, name: str, place: str) -> None:
        super().__init__(f"{place}.{name}")
        self.__name__ = name

    def __getattr__(self, name: str) -> Any:
        # Functions are asked for marks: whether they are wrapped, or coroutines.
        if not name[0].isupper():
            raise AttributeError(f"{self.__name__} has no attribute {name!r}")
        return super().__getattr__(name)


class Loader:
    """Makes them, for the import system."""

    def create_module(self, spec: ModuleSpec) -> Absent:
        """An empty one."""
        return Absent(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is in it until it is asked for."""


def spec_of(name: str) -> ModuleSpec | None:
    """How to import `litellm.<something>` that is not here, or `None` if litellm has it neither."""
    package, _, rest = name.partition(".")
    if package != "litellm" or rest.partition(".")[0] not in _PLACES.split():
        return None
    return ModuleSpec(name, Loader(), is_package=True)  # type: ignore[arg-type]
