"""When two requests are the same: a SHA-256 over everything that can change the answer."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import cache, partial
from hashlib import sha256
from math import isfinite
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from scallion._layer import Layer
from scallion._model import Model
from scallion._secrets import Secret, hidden, plain

from ._cache_memory import Digests

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from scallion._request import Request

    RequestKey = Callable[..., str]
    """`request_key` or a function with its arguments."""

VERSION: Final = 1
"""Of what goes into a key, and how. Another one makes every stored answer a miss."""

LEFT_OUT: Final = frozenset({"cache", "stream", "stream_options", "timeout"})
"""Parameters that change how an answer comes, and not what it says."""

AS_THEY_ARE: Final = frozenset({str, bool, int, dict, list})

VERBATIM: Final = frozenset({"input", "arguments"})
"""What a model called a tool with: there, a null is said, and not just a field that is empty."""


def request_key(
    request: Request,
    *,
    namespace: str = "",
    ignore: Collection[str] = (),
    stack: Sequence[Answerer] = (),
    memory: Digests | None = None,
) -> str:
    """The name under which the answer to a request is stored: 64 hexadecimal digits.

    It is a SHA-256 over the namespace, the provider's identity (its name, address and account), the
    tenant, the model, every message and every parameter, `extra_body`, `extra_headers` and tools
    included. Any change of those gives another key. The order of keys does not, nor whether a
    message is a dict or a `Message`, nor a null field in a message, nor the case of a header's
    name. How the answer is delivered (`stream`, `stream_options`, `timeout`) is left out, but for
    `include_usage=False`: there is less in such an answer than others may ask for.

    Args:
        namespace: Keeps apart what shares a store.
        ignore: Parameters to leave out as well (`"user"`, `"metadata"`, …); also `"identity"`,
            `"tenant"` and `"model"`.
        stack: Who else may answer; see `answerers`.
        memory: What is known of earlier requests, to hash only what is new of a long history. A
            message that was changed in place is hashed anew.

    Raises:
        TypeError: something in the request is no JSON value.
        ValueError: likewise.
        RecursionError: it is nested too deep.
    """
    known = memory or Digests(entries=0)
    context, params = request.context, request.params
    plain: dict[str, Any] = {}
    large: dict[str, str] = {}
    for name, value in _given(params, ignore).items():
        if name == "extra_headers":
            value = _headers(value)  # noqa: PLW2901
        if isinstance(value, (dict, list)):
            items = value if isinstance(value, list) else (value,)
            large[name] = known.state(name, items, _encoded).hexdigest()
            large[name] += str(len(items)) if isinstance(value, list) else "{}"
        else:
            plain[name] = value
    state = known.state("", request.messages, _canonical_message)
    # Without a model, the pipeline's provider is asked for those of the stack alone.
    nobody = "identity" in ignore or (request.model is None and stack)
    head = [
        VERSION,
        namespace,
        None if nobody else identity_of(request.provider, request.model),
        None if "tenant" in ignore else context.tenant,
        None if "model" in ignore else request.model,
        plain,
        large,
    ]
    if stack and "model" not in ignore:
        head.append([_told(other, ignore) for other in stack])
    state.update(b"\n")
    state.update((_encoded if stack else _encoder.encode)(head))
    return state.hexdigest()


def own_name(made: object, tenant: str | None, ignore: Collection[str]) -> str:
    """The name of an entry whose key another function has made.

    Raises:
        ValueError: it has made none.
    """
    if made is None:
        raise ValueError("cache(key=…) gave it no key")
    if not isinstance(made, str):
        raise RuntimeError(f"cache(key=…) must return a text, not {made!r}")
    if tenant is None or "tenant" in ignore:
        return f"cache:{made}"
    return f"cache:{sha256(tenant.encode()).hexdigest()[:16]}:{made}"


def identity_of(provider: Any, model: str | None, depth: int = 3) -> str:
    """Whose answers a provider's are.

    Handlers without an `identity` are known by their name; functions also by the texts and the
    handlers that they hold in defaults and in the variables of a function around them. What else
    they hold may change from call to call. A `functools.partial` has its arguments as well.
    """
    identity = getattr(provider, "identity", None)
    if callable(identity):
        return str(identity(model or ""))
    inner = getattr(provider, "provider", None)
    if inner is not None:  # a pipeline around another provider
        own = getattr(provider, "model", None)
        others = answerers(getattr(provider, "middlewares", ()), inner)
        told = _encoded([_told(other, ()) for other in others]).decode() if others else ""
        return f"{_name_of(provider)} {own} {identity_of(inner, own or model)}{told}"
    if isinstance(provider, partial):
        given = [("", value) for value in provider.args] + sorted(provider.keywords.items())
        bound = [f"{name}={_told_of(value, model, depth)}" for name, value in given]
        return f"{identity_of(provider.func, model, depth)}{bound}"
    held = [v for v in _held(provider) if isinstance(v, str) or _is_handler(v)] if depth > 0 else ()
    return " ".join([_name_of(provider), *(_told_of(value, model, depth) for value in held)])


def _held(function: Any) -> Iterator[Any]:
    yield getattr(function, "__self__", None)
    yield from getattr(function, "__defaults__", None) or ()
    yield from (getattr(function, "__kwdefaults__", None) or {}).values()
    for cell in getattr(function, "__closure__", None) or ():
        with suppress(ValueError):  # nothing is in it yet
            yield cell.cell_contents


def _is_handler(value: Any) -> bool:
    kinds = (FunctionType, MethodType, partial)
    return isinstance(value, kinds) or hasattr(value, "identity") or hasattr(value, "middlewares")


def _told_of(value: Any, model: str | None, depth: int) -> str:
    return identity_of(value, model, depth - 1) if _is_handler(value) else repr(plain(value))


class Answerer(NamedTuple):
    """Who may answer instead of a request's own model: a target of a `fallback()`.

    Attributes:
        on: The name of what the target is tried for.
    """

    model: str | None
    params: Mapping[str, Any] | None
    identity: str
    on: str | None


def answerers(layers: Iterable[object], provider: Any) -> list[Answerer]:
    """Who may answer behind `layers`, besides the request's own model and `provider`."""
    found: list[Answerer] = []
    for entry in layers:
        if not isinstance(entry, Layer) or entry.name != "fallback":
            continue
        on = entry.arguments.get("on")
        for target in entry.arguments.get("targets", ()):
            model = target if isinstance(target, str) else getattr(target, "model", None)
            if callable(target):  # a handler
                named, params, own = target, None, on
            else:
                named = getattr(target, "provider", None)
                params = getattr(target, "params", None)
                own = getattr(target, "on", None) or on
            if isinstance(named, str):
                named = _adapter(named)
            whose = identity_of(named or provider, model)
            found.append(Answerer(model, params, whose, None if own is None else _names(own)))
    return found


@cache
def _adapter(name: str) -> Any:
    """A provider's adapter, to be asked for its identity only."""
    from scallion.providers import get_client

    return get_client(name)


def chooses_model(provider: Any) -> bool:
    """Whether a provider is a pipeline that needs no model on the request."""
    if getattr(provider, "middlewares", None) is None:
        return False
    if provider.model is not None or answerers(provider.middlewares, provider.provider):
        return True
    return chooses_model(provider.provider)


def _told(other: Answerer, ignore: Collection[str]) -> list[Any]:
    identity = None if "identity" in ignore else other.identity
    return [other.model, other.params, identity, other.on]


def _names(on: object) -> str:
    return " ".join(identity_of(one, None) for one in (on if isinstance(on, tuple) else (on,)))


def canonical(
    request: Request, *, ignore: Collection[str] = (), stack: Sequence[Answerer] = ()
) -> dict[str, Any]:
    """What the key is made of, to be read and compared by people; without anything secret."""
    kept = {
        name: _headers(value) if name == "extra_headers" else value
        for name, value in _given(request.params, ignore).items()
    }
    if "extra_headers" in kept:
        kept["extra_headers"] = {name: _masked(value) for name, value in kept["extra_headers"]}
    whole: dict[str, Any] = {"model": request.model, "tenant": request.context.tenant}
    whole = {name: v for name, v in whole.items() if v is not None and name not in ignore}
    if stack and "model" not in ignore:
        whole["fallback"] = [
            {name: v for name, v in (("model", o.model), ("params", o.params)) if v is not None}
            for o in stack
        ]
    whole["messages"] = [msgspec.Raw(_canonical_message(message)) for message in request.messages]
    read: dict[str, Any] = msgspec.json.decode(_encoded({**whole, **kept}))
    for name, value in read.items():
        if name not in ("extra_headers", "messages"):
            read[name] = _without_secrets(name, value)
    return read


def _given(params: Mapping[str, Any], ignore: Collection[str]) -> dict[str, Any]:
    """The parameters that can change the answer."""
    given = {
        name: value if type(value) in AS_THEY_ARE else _as_json(value)
        for name, value in params.items()
        if value is not None and name not in LEFT_OUT and name not in ignore
    }
    options = params.get("stream_options")
    if isinstance(options, Mapping) and options.get("include_usage") is False:
        given["stream_options"] = {"include_usage": False}
    return given


def _canonical_message(message: Mapping[str, Any]) -> bytes:
    encoded = _encoded(message)
    if _may_differ(encoded):
        # Most often it is only the `content` next to tool calls, and that is quickly gone.
        encoded = _encoded({name: v for name, v in message.items() if v is not None})
        if _may_differ(encoded):
            encoded = _encoded(_without_nulls(message))
    return encoded


def _may_differ(encoded: bytes) -> bool:
    """Whether there is a null in it, or a field of ours. Some texts only look like it."""
    return b":null" in encoded or b'"@' in encoded


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Model):
        value = value.to_dict()
    if isinstance(value, Mapping):
        return {
            name: v if name in VERBATIM else _without_nulls(v)
            for name, v in value.items()
            if v is not None
        }
    return [_without_nulls(v) for v in value] if isinstance(value, (list, tuple)) else value


def _headers(headers: Any) -> list[list[str]]:
    if not isinstance(headers, Mapping):
        raise TypeError(f"extra_headers must be a dict, not {type(headers).__name__}")
    return sorted([name.lower(), str(plain(value))] for name, value in headers.items())


def _as_json(value: Any) -> Any:
    """What counts of a parameter: 1.0 is 1, and a tuple or an object is what it is sent as."""
    if isinstance(value, float):
        _check_numbers(value)
        return int(value) if value.is_integer() else float(value)
    return msgspec.json.decode(_encoded(value))


def _foreign(value: Any) -> Any:
    """What msgspec does not know: the SDKs' and pydantic's own objects, and their classes."""
    if isinstance(value, Secret):
        return plain(value)
    if isinstance(value, type) and hasattr(value, "model_json_schema"):
        return value.model_json_schema()
    if hasattr(value, "model_dump"):
        return value.model_dump(exclude_none=True)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _without_secrets(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_secrets(key, inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_secrets(name, inner) for inner in value]
    return _masked(value) if isinstance(hidden(name, value), Secret) else value


def _masked(value: str) -> str:
    # Enough to see that it changed, too little to guess it by.
    return f"<{sha256(value.encode()).hexdigest()[:4]}>"


def _name_of(provider: object) -> str:
    named = provider if hasattr(provider, "__qualname__") else type(provider)
    return f"{named.__module__}.{named.__qualname__}"


def _encoded(value: Any) -> bytes:
    try:
        encoded = _encoder.encode(value)
    except TypeError:
        # Numbers as names (of `logit_bias`) cannot be sorted. They are sent as texts, which can.
        plain = msgspec.json.encode(value, enc_hook=_foreign)
        encoded = _encoder.encode(msgspec.json.decode(plain))
    if b"null" in encoded:
        _check_numbers(value)  # msgspec writes null for those that JSON does not have
    return encoded


def _check_numbers(value: Any) -> None:
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(f"{value} is no JSON value")
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        return
    for inner in value:
        _check_numbers(inner)


_encoder = msgspec.json.Encoder(order="sorted", enc_hook=_foreign)
