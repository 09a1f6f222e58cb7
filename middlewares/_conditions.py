"""What callers may write for `on=`: exception types, several of them, or a predicate."""

from __future__ import annotations

import inspect
from typing import Any


def as_condition(condition: Any, name: str, *arguments: str) -> Any:
    """The same with lists as tuples, checked: a mistake must not wait for the first failure.

    Args:
        name: What it was given as.
        arguments: What a predicate is called with.

    Raises:
        TypeError: it is none of the three, or a predicate that cannot be called so, or an async one:
            its promise would always be true.
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
    if not callable(condition) or isinstance(condition, type):
        raise TypeError(f"{name} must be exception types or a predicate, not {condition!r}")
    try:
        inspect.signature(condition).bind(*arguments)
    except ValueError:
        pass  # no signature to be had
    except TypeError as error:
        raise TypeError(f"{name} is called with ({', '.join(arguments)}): {error}") from None
    return condition
