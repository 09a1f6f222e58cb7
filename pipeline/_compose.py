"""What an onion is made of: what may stand in it, and how one layer is bound to the next."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ._layer import Layer
from ._response import Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._pipeline import Handler, Middleware
    from ._request import Request


def as_layers(middlewares: Iterable[Middleware]) -> tuple[Middleware, ...]:
    """The layers, checked.

    Raises:
        TypeError: an entry is no middleware; the message names it.
    """
    if isinstance(middlewares, (str, bytes)) or not isinstance(middlewares, Iterable):
        raise TypeError(f"middlewares must be a list of middlewares, not {middlewares!r}")
    layers = tuple(middlewares)  # before they are checked: it may be a generator
    for position, middleware in enumerate(layers):
        _check_middleware(middleware, position)
    return layers


def bind(entry: Middleware, call_next: Handler) -> Handler:
    """A layer and what is further in, as one handler."""
    # Our own layers are called without the object around them: a call through it costs as much
    # again.
    middleware = entry.run if isinstance(entry, Layer) else entry

    async def layer(request: Request) -> Response:
        response = await middleware(request, call_next)
        if response.__class__ is not Response:
            hint = ". Is an await missing?" if inspect.isawaitable(response) else ""
            raise TypeError(
                f"{name_of(entry)} returned {response!r}: "
                f"a middleware returns the Response that call_next returned{hint}"
            )
        return response

    # For layers further out that have to know what answers behind them, like cache().
    layer.further_in = (entry, *getattr(call_next, "further_in", ()))  # type: ignore[attr-defined]
    return layer


def _check_middleware(entry: object, position: int) -> None:
    where = f"middlewares[{position}] ({name_of(entry)})"
    if not callable(entry):
        raise TypeError(f"{where} is not callable: a middleware is an async function")
    if not _is_async(entry):
        hint = f": did you mean {name_of(entry)}()?" if _takes_no_positionals(entry) else ""
        raise TypeError(f"{where} is not an async function of (request, call_next){hint}")
    try:
        inspect.signature(entry).bind("request", "call_next")
    except ValueError:
        pass  # no signature to be had
    except TypeError as error:
        raise TypeError(f"{where} must take (request, call_next): {error}") from None


def check_handler(provider: object, where: str = "provider") -> None:
    """Raise `TypeError` for what cannot stand at the centre; `where` is what it was given as."""
    if not callable(provider) or not _is_async(provider):
        hint = f": did you mean {name_of(provider)}()?" if inspect.isfunction(provider) else ""
        if isinstance(provider, str):
            hint = f": {provider!r} is a name; pass scallion.providers.openai(), anthropic(), …"
        elif type(provider).__module__.partition(".")[0] in ("openai", "anthropic"):
            name = type(provider).__module__.partition(".")[0]
            hint = f": hand the SDK's client to scallion.providers.{name}(client=…)"
        raise TypeError(
            f"{where} ({name_of(provider)}) is not an async function from Request to Response{hint}"
        )


def _is_async(entry: object) -> bool:
    return inspect.iscoroutinefunction(entry) or (
        not inspect.isclass(entry) and inspect.iscoroutinefunction(getattr(entry, "__call__", None))  # noqa: B004
    )


def _takes_no_positionals(entry: Callable[..., object]) -> bool:
    """Whether this looks like one of our factories, forgotten to be called."""
    try:
        parameters = inspect.signature(entry).parameters.values()
    except (TypeError, ValueError):
        return False
    return not any(
        p.kind is p.POSITIONAL_ONLY or (p.kind is p.POSITIONAL_OR_KEYWORD and p.name == "request")
        for p in parameters
    )


def drawn(part: object) -> str:
    """A part of the onion in a few words."""
    plain = inspect.isfunction(part) or type(part).__repr__ is object.__repr__
    return name_of(part) if plain else repr(part)


def name_of(entry: object) -> str:
    """What messages call a layer or a handler."""
    name = getattr(entry, "__name__", None) or getattr(entry, "name", None)
    return name if isinstance(name, str) else type(entry).__name__
