"""Orders of layers that certainly defeat themselves. One rule is one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ._layer import Layer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class OrderWarning(UserWarning):
    """Layers stand in an order in which one defeats the other."""


class Rule(NamedTuple):
    """`inner` must not stand inside `outer`."""

    outer: str
    inner: str
    reason: str
    mode: str | None = None
    """Only where the outer one has this `mode`."""


RULES = (
    Rule("retry", "retry", "their attempts multiply: one retry() with more attempts says the same"),
    Rule("cache", "budget", "nothing is ever sent in replay mode, so nothing is held", "replay"),
)


def complaints(middlewares: Sequence[object]) -> Iterator[str]:
    """What is wrong with an order, one message per pair of layers."""
    layers = [entry for entry in middlewares if isinstance(entry, Layer)]
    for position, inner in enumerate(layers):
        for outer in layers[:position]:
            for rule in RULES:
                if (outer.name, inner.name) != (rule.outer, rule.inner):
                    continue
                if rule.mode is None or outer.arguments.get("mode") == rule.mode:
                    yield f"{inner.name}() inside {outer.name}(): {rule.reason}"
