"""What users give to the commands, read with errors that say what to change."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from scallion._models import candidates, load
from scallion.costs import PriceTable, load_prices
from scallion.exceptions import InvalidRequestError, ModelNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from decimal import Decimal


def whole_number(text: str) -> int:
    """An argument that counts something: `1500`, `1_500`, `1,500`."""
    try:
        number = int(text.replace(",", ""))
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0, not {text!r}")
    return number


def decoded(content: bytes, where: str) -> str:
    """What was read from a file or a pipe, as text."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"{where} is not text in UTF-8: {error}") from None


def price_table(given: str | None) -> PriceTable:
    """The table that `--prices` names."""
    try:
        return load_prices(given)
    except ModuleNotFoundError:
        raise InvalidRequestError(
            "genai-prices is not installed: pip install 'scallion[prices]'"
        ) from None
    except OSError as error:
        raise InvalidRequestError(f"--prices {given}: {error.strerror or error}") from None
    except ValueError as error:
        raise InvalidRequestError(f"--prices {given}: {error}") from None


def unknown_model(model: str, provider: str | None) -> ModelNotFoundError:
    """The error for a model that no table knows, with the names that come closest."""
    readings = candidates(model, provider)
    hint = did_you_mean(readings[0][1], {owner for owner, _ in readings})
    return ModelNotFoundError(
        f"no model {model!r} is known: {hint or 'scallion models --search finds names'}"
    )


def did_you_mean(name: str, providers: Iterable[str]) -> str | None:
    """The names of models that come closest, as a question; `None` if none is close."""
    from difflib import get_close_matches

    known = {name for provider in providers for name in known_names(provider)}
    near = get_close_matches(name, sorted(known), n=3, cutoff=0.7)
    return f"did you mean {' or '.join(near)}?" if near else None


def known_names(provider: str) -> Iterator[str]:
    """The names of a provider's models, without those that are only the beginning of one."""
    for entry in load().models[provider]:
        yield entry.id
        yield from (name for name in entry.names if not name.endswith("*"))


def dollars(amount: Decimal) -> str:
    """An amount with as many places as it has: `$0.00125`."""
    text = f"{amount.normalize():f}"
    whole, _, places = text.partition(".")
    return f"${whole}.{places.ljust(2, '0')}"
