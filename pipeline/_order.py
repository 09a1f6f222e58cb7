"""Orders of layers that certainly defeat themselves. One rule is one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ._layer import Layer
from ._request import plain_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class OrderWarning(UserWarning):
    """Layers stand in an order in which one defeats the other."""


class Rule(NamedTuple):
    """`inner` must not stand inside `outer`."""

    outer: str
    inner: str
    reason: str
    modes: tuple[str, ...] | None = None
    """Only where the outer one has one of these as its `mode`."""


HITS = ("read_write", "read_only", "replay")

RULES = (
    Rule("retry", "retry", "their attempts multiply: one retry() with more attempts says the same"),
    Rule("cache", "budget", "nothing is ever sent in replay mode, so nothing is held", ("replay",)),
    Rule("cache", "audit", "hits do not pass it: they are recorded without texts", HITS),
    Rule("budget", "audit", "refused calls do not pass it: they are recorded without texts"),
)


def complaints(middlewares: Sequence[object]) -> Iterator[str]:
    """What is wrong with an order, one message per pair of layers."""
    layers = [entry for entry in middlewares if isinstance(entry, Layer)]
    for position, inner in enumerate(layers):
        for outer in layers[:position]:
            for rule in RULES:
                if (outer.name, inner.name) != (rule.outer, rule.inner):
                    continue
                mode = outer.arguments.get("mode", "read_write")
                if rule.modes is None or mode in rule.modes:
                    yield f"{inner.name}() inside {outer.name}(): {rule.reason}"


def asked_twice(middlewares: Sequence[object], model: str | None) -> Iterator[str]:
    """What a `fallback()` would ask that is the pipeline's own model, and asked before it."""
    for entry in middlewares:
        if isinstance(entry, Layer) and entry.name == "fallback":
            for target in entry.arguments["targets"]:
                if isinstance(target, str) and plain_name(target) == plain_name(model):
                    yield f"fallback() has {target!r}, the pipeline's own model: it is asked once"
