"""`scallion price`: what a model costs, or what so many tokens of it cost."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any

from scallion._models import OWN_PREFIXES
from scallion.costs import _STANDARD, price
from scallion.exceptions import InvalidRequestError

from ._given import dollars, price_table, unknown_model, whole_number
from ._terminal import Terminal

if TYPE_CHECKING:
    import argparse
    from decimal import Decimal

    from scallion.costs import Cost, PriceRow, PriceTable

EXAMPLES = """\
examples:
  scallion price gpt-4o                                    the rates
  scallion price gpt-4o --input 1000 --output 200 --cached 500
  scallion price claude-sonnet-4-5 --input 250,000 --output 1,000 --cache-write 200,000
  scallion price gpt-5 --input 1000 --output 5000 --reasoning 4500 --tier flex
  scallion price openrouter/z-ai/glm-4.6 --input 1000 --output 200 --json
  scallion price my-model --prices prices.json --input 1000 --output 200
"""

MODES = ("batch", "flex", "priority", "fast")

# Option → where it stands in a usage, and what it says.
_INSIDE_PROMPT = {
    "cached": ("cached_tokens", "input tokens read from the provider's cache"),
    "cache_write": ("cache_write_tokens", "input tokens written to it"),
    "cache_write_1h": ("cache_write_1h_tokens", "those of the written ones kept for an hour"),
    "audio_input": ("audio_tokens", "input tokens of sound"),
    "image_input": ("image_tokens", "input tokens of images"),
}
_INSIDE_COMPLETION = {
    "reasoning": ("reasoning_tokens", "output tokens of reasoning"),
    "audio_output": ("audio_tokens", "output tokens of sound"),
    "image_output": ("image_tokens", "output tokens of images"),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Show a model's rates, in US dollars per million tokens, or price a call.\n"
        "Cached, written and other kinds of tokens are parts of --input and --output."
    )
    parser.epilog = EXAMPLES
    parser.add_argument("model", help="a name, alias or snapshot, with or without provider/")
    for name, what in (("input", "tokens of the prompt"), ("output", "tokens of the answer")):
        parser.add_argument(f"--{name}", type=whole_number, metavar="N", help=what)
    for name, (_, what) in (_INSIDE_PROMPT | _INSIDE_COMPLETION).items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=whole_number, default=0, metavar="N", help=what)
    parser.add_argument(
        "--searches", type=whole_number, default=0, metavar="N", help="web searches of the call"
    )
    parser.add_argument("--provider", choices=OWN_PREFIXES, help="whose model it is")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--tier", metavar="NAME", help="service tier: flex, priority, fast, …")
    how.add_argument("--batch", action="store_true", help="as part of a batch")
    parser.add_argument("--at", metavar="YYYY-MM-DD", help="on that day (default: today)")
    parser.add_argument("--prices", metavar="FILE", help="a prices file, or genai-prices")
    parser.add_argument("--json", action="store_true", help="write JSON")


def run(arguments: argparse.Namespace) -> int:
    """Show the price. Returns the exit code."""
    table = price_table(arguments.prices)
    day = _day(arguments.at)
    mode = "batch" if arguments.batch else arguments.tier
    mode = None if mode in _STANDARD else mode
    row = table.row(arguments.model, arguments.provider, mode=mode, day=day)
    if row is None:
        raise unknown_model(arguments.model, arguments.provider)
    if mode is not None and row.mode != mode:
        raise _unknown_mode(mode, row, table)
    usage = _usage(arguments)
    if usage is None:
        _show_rates(row, arguments)
        return 0
    cost = price(
        arguments.model,
        usage,
        provider=arguments.provider,
        service_tier=arguments.tier,
        batch=arguments.batch,
        at=day,
        prices=table,
    )
    if cost is None:
        raise InvalidRequestError(f"{row.model} has no price for all of these")
    _show_cost(cost, row, arguments)
    return 0


def _unknown_mode(mode: str, row: PriceRow, table: PriceTable) -> InvalidRequestError:
    known = [each for each in MODES if _has(table, row, each)]
    others = f"there are {', '.join(known)}" if known else "there are only the standard ones"
    return InvalidRequestError(f"no {mode!r} rates of {row.model} are known: {others}")


def _has(table: PriceTable, row: PriceRow, mode: str) -> bool:
    found = table.row(row.model, row.provider, mode=mode)
    return found is not None and found.mode == mode


def _day(given: str | None) -> date | None:
    try:
        return None if given is None else date.fromisoformat(given)
    except ValueError:
        raise InvalidRequestError(f"--at takes a day as YYYY-MM-DD, not {given!r}") from None


def _usage(arguments: argparse.Namespace) -> dict[str, Any] | None:
    """The usage that was described, or `None` if there was none."""
    given = vars(arguments)
    prompt, completion = given["input"], given["output"]
    inside = {field: given[name] for name, (field, _) in _INSIDE_PROMPT.items()}
    made = {field: given[name] for name, (field, _) in _INSIDE_COMPLETION.items()}
    if prompt is None and completion is None and not any((*inside.values(), *made.values())):
        return None if not arguments.searches else _of(0, 0, inside, made, arguments.searches)
    if sum(inside.values()) - inside["cache_write_1h_tokens"] > (prompt or 0):
        raise InvalidRequestError("cached, written, sound and image tokens are parts of --input")
    if inside["cache_write_1h_tokens"] > inside["cache_write_tokens"]:
        raise InvalidRequestError("--cache-write-1h is a part of --cache-write")
    if sum(made.values()) > (completion or 0):
        raise InvalidRequestError("reasoning, sound and image tokens are parts of --output")
    return _of(prompt or 0, completion or 0, inside, made, arguments.searches)


def _of(
    prompt: int, completion: int, inside: dict[str, int], made: dict[str, int], searches: int
) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": inside,
        "completion_tokens_details": made,
        "server_tool_use": {"web_search_requests": searches},
    }


def _about(row: PriceRow) -> dict[str, Any]:
    return {
        "model": row.model,
        "provider": row.provider,
        "mode": row.mode,
        "since": None if row.since is None else row.since.isoformat(),
        "exact": row.exact,
        "source": row.source,
    }


def _show_rates(row: PriceRow, arguments: argparse.Namespace) -> None:
    names = row.rates.__struct_fields__[2:]
    rates = {name: getattr(row.rates, name) for name in names}
    known = {name: rate for name, rate in rates.items() if rate is not None}
    terminal = Terminal()
    if arguments.json:
        written = {name: _plain(rate) for name, rate in known.items()}
        terminal.line(json.dumps({**_about(row), "rates": written}, indent=2))
        return
    _head(row, terminal)
    shown: list[tuple[str, ...]] = [
        (name.replace("_", " "), *_rate(name, rate, place))
        for name, rate in known.items()
        for place in range(0, len(rate) if isinstance(rate, tuple) else 1, 2)
    ]
    header: tuple[str, ...] = ("rate", "US dollars", "per", "for prompts")
    if not any(line[3] for line in shown):
        header, shown = header[:3], [line[:3] for line in shown]
    terminal.table(header, shown, right={"US dollars"})


def _rate(name: str, rate: Decimal | tuple[Decimal, ...], place: int) -> tuple[str, str, str]:
    steps = rate if isinstance(rate, tuple) else (rate,)
    above = f"above {steps[place - 1]:,} tokens" if place else ""
    if name == "us":
        return f"x {steps[place].normalize():f}", "inference in the US", above
    unit = "1,000 searches" if name == "web_search" else "1,000,000 tokens"
    return dollars(steps[place]), unit, above


def _plain(rate: Decimal | tuple[Decimal, ...]) -> Any:
    return [float(part) for part in rate] if isinstance(rate, tuple) else float(rate)


def _show_cost(cost: Cost, row: PriceRow, arguments: argparse.Namespace) -> None:
    terminal = Terminal()
    if arguments.json:
        breakdown = {name: str(part) for name, part in cost.breakdown.items()}
        found = {**_about(row), "exact": cost.exact, "total": str(cost.total)}
        terminal.line(json.dumps({**found, "breakdown": breakdown}, indent=2))
        return
    _head(row, terminal)
    parts = [(name.replace("_", " "), dollars(part)) for name, part in cost.breakdown.items()]
    about = "" if cost.exact else "~"
    terminal.table(
        ("for", "US dollars"), [*parts, ("total", about + dollars(cost.total))],
        right={"US dollars"},
    )  # fmt: skip


def _head(row: PriceRow, terminal: Terminal) -> None:
    whose = f", {row.provider}" if row.provider else ""
    since = f", since {row.since}" if row.since else ""
    mode = f", {row.mode}" if row.mode else ""
    terminal.line(
        terminal.bold(f"{row.model}{whose}{mode}") + terminal.dim(f"  {row.source}{since}")
    )
    if not row.exact:
        terminal.line("No rates are known for that route: these are the standard ones.")
