"""What a middleware factory returns: the layer, and what it was made from."""

from __future__ import annotations

from functools import wraps
from importlib import import_module
from inspect import Signature, signature
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ParamSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ._pipeline import Handler, Middleware
    from ._request import Request
    from ._response import Response

P = ParamSpec("P")


class Layer:
    """A middleware that knows its factory and arguments: it can be shown, compared and pickled.

    Attributes:
        name: The factory's name.
        arguments: What it was called with, without the defaults.
        run: The middleware itself.
        observe: Called with each Response as the pipeline hands it out, also where a layer further
            out (a cache) answered without asking this one.
        edge: A second middleware, for the place outside of all layers if this one does not stand
            there: what those further out answer, refuse or give up passes it as well.
    """

    __slots__ = ("_module", "arguments", "edge", "name", "observe", "run")

    def __init__(self, name: str, module: str, arguments: dict[str, Any], run: Middleware) -> None:
        self.name = name
        self.arguments = arguments
        self.run = run
        self.observe: Callable[[Response], object] | None = None
        self.edge: Middleware | None = None
        self._module = module

    async def __call__(self, request: Request, call_next: Handler) -> Response:
        """Run the middleware."""
        return await self.run(request, call_next)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"{self.name}({shown})"

    def __reduce__(self) -> tuple[Callable[..., Layer], tuple[str, str, dict[str, Any]]]:
        return _rebuild, (self._module, self.name, self.arguments)


def layer(factory: Callable[P, Middleware]) -> Callable[P, Layer]:
    """Make a factory of middlewares return `Layer`s."""
    parameters = signature(factory)

    @wraps(factory)
    def make(*args: P.args, **kwargs: P.kwargs) -> Layer:
        try:
            arguments = parameters.bind(*args, **kwargs).arguments
        except TypeError as error:
            name = factory.__name__
            raise TypeError(f"{name}(): {error}. It is {name}{parameters_of(factory)}") from None
        check_kinds(factory, arguments)
        return Layer(factory.__name__, factory.__module__, arguments, factory(*args, **kwargs))

    return make


def parameters_of(factory: Callable[..., object]) -> str:
    """Its parameters, as one would write them."""
    bare = [
        one.replace(annotation=one.empty)
        for one in signature(factory).parameters.values()
        if one.name != "rng"
    ]
    return str(Signature(bare))


def check_kinds(factory: Callable[..., object], arguments: Mapping[str, Any]) -> None:
    """Check the arguments that are to be numbers, texts or switches, by the factory's annotations.

    Raises:
        TypeError: one is something else; the text names it, and says what is wanted.
    """
    for name, parameter in signature(factory).parameters.items():
        wanted = str(parameter.annotation).split(" | ")
        if name not in arguments or not _KINDS.keys() >= set(wanted):
            continue
        value = arguments[name]
        # True is an int to Python, and never meant as one.
        switch = isinstance(value, bool) and "bool" not in wanted
        if switch or not isinstance(value, tuple(_KINDS[kind][0] for kind in wanted)):
            what = " or ".join(_KINDS[kind][1] for kind in wanted)
            raise TypeError(f"{factory.__name__}(): {name} must be {what}, not {value!r}")


_KINDS: dict[str, tuple[type, str]] = {
    "bool": (bool, "True or False"),
    "int": (Integral, "a whole number"),
    "float": (Real, "a number"),
    "str": (str, "a text"),
    "None": (type(None), "None"),
}


def not_default(factory: Callable[..., object], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `arguments` that say something: for factories whose layers are of their own kind."""
    check_kinds(factory, arguments)
    defaults = {name: p.default for name, p in signature(factory).parameters.items()}
    return {
        name: value
        for name, value in arguments.items()
        if name in defaults and value is not defaults[name]
    }


def _rebuild(module: str, name: str, arguments: dict[str, Any]) -> Layer:
    made: Layer = getattr(import_module(module), name)(**arguments)
    return made
