"""What callers may write for `on=`: exception types, several of them, or a predicate."""

from __future__ import annotations

import inspect
from typing import Any


def as_condition(condition: Any, name: str) -> Any:
    """The same with lists as tuples, checked: a mistake must not wait for the first failure.

    Raises:
        TypeError: it is none of the three, or an async predicate: its promise would always be true.
    """
    if isinstance(condition, (list, set, frozenset)):
        condition = tuple(condition)
    types = condition if isinstance(condition, tuple) else (condition,)
    if condition is None or all(isinstance(t, type) and issubclass(t, Exception) for t in types):
        return condition
    if inspect.iscoroutinefunction(condition) or inspect.iscoroutinefunction(
        getattr(condition, "__call__", None)  # noqa: B004 - whether it is async, and not whether it is
    ):
        raise TypeError(f"{name} cannot be async: {condition!r} must return its verdict at once")
    if callable(condition) and not isinstance(condition, type):
        return condition
    raise TypeError(f"{name} must be exception types or a predicate, not {condition!r}")
