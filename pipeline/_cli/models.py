"""`scallion models`: which models are known, what they can do and what they cost."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from scallion._models import OWN_PREFIXES, load, model_info

from ._given import did_you_mean, dollars, price_table
from ._terminal import Terminal

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from scallion._models import Entry, ModelInfo
    from scallion.costs import PriceTable

EXAMPLES = """\
examples:
  scallion models --search gpt-4o
  scallion models --provider anthropic
  scallion models --provider openrouter --search "qwen free"
  scallion models --can vision --can reasoning --json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "List the known models: limits in tokens, prices in US dollars per million tokens.\n"
        "Other models work as well; nothing is known of them, that is all."
    )
    parser.epilog = EXAMPLES
    parser.add_argument("--provider", choices=OWN_PREFIXES, help="only this provider's")
    parser.add_argument("--search", metavar="WORDS", help="only names with all of these in them")
    parser.add_argument(
        "--can",
        action="append",
        default=[],
        choices=load().flags,
        metavar="WHAT",
        help=f"only those known to have it: {', '.join(load().flags)}",
    )
    parser.add_argument("--prices", metavar="FILE", help="a prices file, or genai-prices")
    parser.add_argument("--json", action="store_true", help="write JSON")


def run(arguments: argparse.Namespace) -> int:
    """List the models. Returns the exit code."""
    table = price_table(arguments.prices)
    words = (arguments.search or "").lower().split()
    owners = (arguments.provider,) if arguments.provider else OWN_PREFIXES
    found = [
        _row(entry, owner, info, table)
        for owner in owners
        for entry, info in _matching(owner, words, arguments.can)
    ]
    terminal = Terminal()
    if arguments.json:
        terminal.line(json.dumps(found, indent=2))
    if not found:
        sys.stderr.write(f"No model matches{_hint(arguments, words, owners)}\n")
        return 1
    if arguments.json:
        return 0
    shown = [
        (
            each["model"], each["provider"], _tokens(each["context_window"]),
            _tokens(each["max_output_tokens"]), _money(each["input"]), _money(each["output"]),
        )
        for each in found
    ]  # fmt: skip
    numbers = {"context", "output", "$ in", "$ out"}
    header = ("model", "provider", "context", "output", "$ in", "$ out")
    terminal.table(header, shown, right=numbers, shrink="model")
    terminal.line(terminal.dim(f"{len(found)} models. {'; '.join(load().about.values())}"))
    return 0


def _hint(arguments: argparse.Namespace, words: list[str], owners: Sequence[str]) -> str:
    """What to change so that one does."""
    for narrowing, wider, abilities in (
        ("--can", owners, []),
        ("--provider", OWN_PREFIXES, arguments.can),
        ("--provider and --can", OWN_PREFIXES, []),
    ):
        if any(True for owner in wider for _ in _matching(owner, words, abilities)):
            return f": without {narrowing} there would be some."
    near = did_you_mean("-".join(words), owners)
    return f": {near}" if near else "."


def _matching(
    owner: str, words: list[str], abilities: list[str]
) -> Iterator[tuple[Entry, ModelInfo]]:
    for entry in load().models[owner]:
        names = " ".join((entry.id, *entry.names))
        info = model_info(entry.id, owner)
        if info is None or not all(word in names for word in words):
            continue
        if all(getattr(info, ability) for ability in abilities):
            yield entry, info


def _row(entry: Entry, owner: str, info: ModelInfo, table: PriceTable) -> dict[str, Any]:
    price = table.row(entry.id, owner)
    facts = {flag: getattr(info, flag) for flag in load().flags}
    return {
        "model": entry.id,
        "provider": owner,
        "names": [name for name in entry.names if name != entry.id],
        "context_window": info.context_window,
        "max_output_tokens": info.max_output_tokens,
        "deprecation_date": info.deprecation_date,
        "input": None if price is None else _first(price.rates.input),
        "output": None if price is None else _first(price.rates.output),
        **{flag: fact for flag, fact in facts.items() if fact is not None},
    }


def _first(rate: Any) -> float | None:
    """The rate of a short prompt."""
    base = rate[0] if isinstance(rate, tuple) else rate
    return None if base is None else float(base)


def _tokens(count: int | None) -> str:
    return "" if count is None else f"{count:,}"


def _money(amount: float | None) -> str:
    from decimal import Decimal

    return "" if amount is None else dollars(Decimal(repr(amount))).removeprefix("$")
