"""What a call cost, in US dollars: `price()` and the short forms around it.

Money is `Decimal`. A model without a known price costs `None`, never 0, and so does a call that
used something its row has no price for. Cached tokens are inside `prompt_tokens` and reasoning
inside `completion_tokens`, as everywhere in Scallion.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from scallion._models import ModelInfo, model_info
from scallion._prices import PriceRow, PriceTable, Rates, default_table
from scallion._prices_charge import ZERO, Cost, charge
from scallion.types import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = [
    "Cost",
    "ModelInfo",
    "PriceRow",
    "PriceTable",
    "Rates",
    "calculate_cost",
    "calculate_cost_from_usage",
    "load_prices",
    "model_info",
    "price",
    "register_price",
]

Prices: TypeAlias = "PriceTable | str | Path | None"
"""A table, the path of a prices file, `"genai-prices"` for the installed one, or the default."""

_STANDARD = frozenset({"auto", "default", "standard", "standard_only"})
# Work beside the answer that Anthropic bills and does not add to the usage at the top.
_BESIDE = {"compaction": "compaction", "advisor_message": "advisor"}


def price(
    model: str,
    usage: Usage | Mapping[str, Any],
    *,
    provider: str | None = None,
    service_tier: str | None = None,
    batch: bool = False,
    at: datetime | date | None = None,
    prices: Prices = None,
) -> Cost | None:
    """Price one call.

    A cost that the provider states in the usage itself (OpenRouter's `cost`, xAI's
    `cost_in_usd_ticks`) wins over every table. Otherwise the row for the model, date and mode is
    looked up and multiplied out.

    Args:
        model: The model that answered, as the provider names it.
        usage: Its usage, as a `Usage` or the same as a dict; also with Anthropic's own names
            (`input_tokens`, …) or those of OpenAI's Responses.
        provider: Whose model it is; see `model_info`.
        service_tier: The tier that the answer names (OpenAI: `flex`, `priority`, …). Without it
            the one in the usage counts (Anthropic).
        batch: Whether the call was part of a batch.
        at: When the call was made: a date of UTC, or a datetime (naive: UTC). Default: now.
        prices: The table to use.

    Returns:
        `None` if the model, or something that the call used, has no known price.
    """
    if not isinstance(usage, Usage):
        usage = _usage_from(usage)
    extra = usage.model_extra
    if (billed := _amount(usage.cost)) is not None:
        return _stated(billed, extra)
    if extra is not None and (ticks := _amount(extra.get("cost_in_usd_ticks"))) is not None:
        return _stated(ticks.scaleb(-10), extra)
    mode = "batch" if batch else None
    iterations = geo = None
    searches = 0
    if extra is not None:
        if not service_tier and isinstance(extra.get("service_tier"), str):
            service_tier = extra["service_tier"]
        mode = mode or ("fast" if extra.get("speed") == "fast" else None)
        iterations, geo = extra.get("iterations"), extra.get("inference_geo")
        searches = _searches(extra)
    if mode is None and service_tier is not None and service_tier not in _STANDARD:
        mode = service_tier

    table = load_prices(prices)
    row = table.row(model, provider, mode=mode, day=_day(at))
    if row is None:
        return None
    cost = charge(row, usage, searches, confined=geo == "us")
    if cost is None or not isinstance(iterations, list):
        return cost
    return _with_beside(
        cost,
        iterations,
        lambda step: price(
            step["model"] if isinstance(step.get("model"), str) else model,
            _usage_of(step) | {"inference_geo": geo},
            provider=provider,
            service_tier=service_tier,
            batch=batch,
            at=at,
            prices=table,
        ),
    )


def calculate_cost(
    model: str,
    prompt_tokens: int,
    completion_tokens: int,
    *,
    provider: str | None = None,
    prices: Prices = None,
) -> Decimal | None:
    """US dollars for so many tokens of plain input and output, or `None` if the price is unknown."""
    usage = Usage(prompt_tokens=prompt_tokens, completion_tokens=completion_tokens)
    cost = price(model, usage, provider=provider, prices=prices)
    return None if cost is None else cost.total


def calculate_cost_from_usage(
    model: str,
    usage: Usage | Mapping[str, Any],
    *,
    provider: str | None = None,
    prices: Prices = None,
) -> Decimal | None:
    """US dollars for a usage, or `None` if the price is unknown. `price()` tells more."""
    cost = price(model, usage, provider=provider, prices=prices)
    return None if cost is None else cost.total


def register_price(
    model: str,
    *,
    input: Any,
    output: Any,
    provider: str | None = None,
    prices: PriceTable | None = None,
    **rates: Any,
) -> None:
    """Set the price of a model: USD per million tokens, further `Rates` fields by keyword.

    Without `prices` this changes the default table, for the whole process: state prices where the
    application starts. A table of your own (`PriceTable()`) given as `prices=` keeps them apart.

    Args:
        model: A name, a `prefix*`, either with a provider (`openai/`, `anthropic/`, `openrouter/`,
            `fake/`, …) before it to mean that provider's alone. A name's dated snapshots have its
            price, too, but for those that are listed as other models (`gpt-4o-2024-05-13`).
        input: USD per million prompt tokens (a number, its text, or steps; see `Rates`).
        output: USD per million completion tokens.
        provider: Whose model; default: this name at every provider.
        prices: The table to change.
        rates: `cache_read`, `cache_write`, `web_search`, ….

    Raises:
        TypeError: there is no such rate.
        ValueError: a rate is negative or not a number.
    """
    table = default_table() if prices is None else prices
    table.register(model, provider=provider, input=input, output=output, **rates)


def load_prices(prices: Prices) -> PriceTable:
    """The table that `prices` stands for. A file is read anew at each call: keep the table.

    Raises:
        OSError, ValueError: a prices file cannot be read, or is wrong.
        ModuleNotFoundError: `"genai-prices"` is not installed.
    """
    if prices is None:
        return default_table()
    if isinstance(prices, PriceTable):
        return prices
    if prices == "genai-prices":
        from scallion._prices_live import LiveTable

        return LiveTable()
    return PriceTable.from_file(prices)


def _usage_from(given: Mapping[str, Any]) -> Usage:
    if isinstance(given, dict) and not (
        given.get("prompt_tokens") or given.get("completion_tokens")
    ):
        inside = given.get("input_tokens_details")
        if isinstance(
            inside, dict
        ):  # OpenAI's Responses count cached tokens inside, like its chats
            given = given | {
                "prompt_tokens": _count(given.get("input_tokens")),
                "completion_tokens": _count(given.get("output_tokens")),
                "prompt_tokens_details": inside,
                "completion_tokens_details": given.get("output_tokens_details"),
            }
        elif given.get("input_tokens") or given.get("output_tokens"):
            given = given | _usage_of(given)
    try:
        return msgspec.convert(given, Usage)
    except msgspec.ValidationError:  # something unknown or odd in it, which is read with care
        return Usage.model_validate(given)


def _day(at: datetime | date | None) -> date | None:
    if not isinstance(at, datetime):
        return at
    return at.date() if at.tzinfo is None else at.astimezone(UTC).date()


def _amount(stated: object) -> Decimal | None:
    """What a provider states in dollars, if that can be an amount."""
    if not isinstance(stated, int | float) or isinstance(stated, bool):
        return None
    return Decimal(repr(stated)) if 0 <= stated < math.inf else None


def _stated(billed: Decimal, extra: dict[str, Any] | None) -> Cost:
    """What the provider says it billed. On one's own upstream key, that is only its fee."""
    breakdown = {"billed": billed}
    if extra is not None and extra.get("is_byok") is True:
        details = extra.get("cost_details")
        named = details.get("upstream_inference_cost") if isinstance(details, dict) else None
        if (upstream := _amount(named)) is None:
            return Cost(total=billed, breakdown=breakdown, exact=False)
        breakdown["upstream"] = upstream
    return Cost(total=sum(breakdown.values(), ZERO), breakdown=breakdown)


def _searches(extra: dict[str, Any]) -> int:
    used = extra.get("server_tool_use")
    count = used.get("web_search_requests") if isinstance(used, dict) else None
    return count if isinstance(count, int) else 0


def _with_beside(
    cost: Cost, iterations: list[Any], priced: Callable[[dict[str, Any]], Cost | None]
) -> Cost | None:
    """Add what Anthropic lists in `usage.iterations` alone: compactions, and an advisor's model."""
    breakdown, exact = dict(cost.breakdown), cost.exact
    for step in iterations:
        kind = step.get("type") if isinstance(step, dict) else None
        if kind == "fallback_message":
            exact = False  # another model served a part of it
        elif isinstance(kind, str) and kind in _BESIDE:
            if (found := priced(step)) is None:
                return None
            name = _BESIDE[kind]
            breakdown[name] = breakdown.get(name, ZERO) + found.total
            exact = exact and found.exact
    total = sum(breakdown.values(), ZERO)
    return Cost(total=total, breakdown=breakdown, exact=exact, row=cost.row)


def _usage_of(counts: Mapping[str, Any]) -> dict[str, Any]:
    """Anthropic's separate counts, an iteration's or a whole message's, as a usage."""
    read = _count(counts.get("cache_read_input_tokens"))
    write = _count(counts.get("cache_creation_input_tokens"))
    written = counts.get("cache_creation")
    kept = written.get("ephemeral_1h_input_tokens") if isinstance(written, dict) else None
    return {
        "prompt_tokens": _count(counts.get("input_tokens")) + read + write,
        "completion_tokens": _count(counts.get("output_tokens")),
        "prompt_tokens_details": {
            "cached_tokens": read,
            "cache_write_tokens": write,
            "cache_write_1h_tokens": _count(kept),
        },
    }


def _count(value: object) -> int:
    return max(value, 0) if isinstance(value, int) else 0
