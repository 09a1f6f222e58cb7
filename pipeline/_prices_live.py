"""Prices from the installed genai-prices, which may be newer than the data in this package.

Also what `tests/tools/build_model_data.py` writes the package's own data with, so that the two
cannot read the same prices differently.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scallion import _models
from scallion._prices import PriceRow, PriceTable, Rate, Rates, rate_of, select

if TYPE_CHECKING:
    from datetime import date

# Ours → genai-prices'.
_RATES = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "reasoning": "output_reasoning_mtok",
    "input_audio": "input_audio_mtok",
    "output_audio": "output_audio_mtok",
    "cache_read_audio": "cache_audio_read_mtok",
    "input_image": "input_image_mtok",
    "output_image": "output_image_mtok",
    "cache_read_image": "cache_image_read_mtok",
    "web_search": "web_searches_kcount",
}
# Searches of a vector store are billed beside the usage that an answer reports.
_NOT_OURS = {"storage_searches_kcount"}

_MODES = {
    ("service_tier", "flex"): "flex",
    ("service_tier", "priority"): "priority",
    ("service_tier", "fast"): "fast",
    ("speed", "fast"): "fast",
    ("processing", "batch"): "batch",
}


class UnpricedError(ValueError):
    """A model is priced in a way that `Rates` cannot say."""


class LiveTable(PriceTable):
    """A price table whose listed prices are those of the installed genai-prices.

    Its own updates (`genai_prices.UpdatePrices`) are followed.

    Raises:
        ModuleNotFoundError: genai-prices is not installed.
    """

    def __init__(self) -> None:
        super().__init__()
        from genai_prices import data_snapshot

        self._snapshots = data_snapshot
        self._snapshot: Any = None

    def row(
        self,
        model: str,
        provider: str | None = None,
        *,
        mode: str | None = None,
        day: date | None = None,
    ) -> PriceRow | None:
        snapshot = self._snapshots.get_snapshot()
        if snapshot is not self._snapshot:
            self._found = {}
            self._snapshot = snapshot
        return super().row(model, provider, mode=mode, day=day)

    def _listed(
        self, model: str, provider: str | None, mode: str | None, day: date
    ) -> PriceRow | None:
        for owner, name in _models.candidates(model, provider):
            try:
                _, found = self._snapshot.find_provider_model(name, None, owner, None)
                rows = rows_of(found)
            except (LookupError, UnpricedError):
                continue
            return select(
                rows, mode, day, model=found.id, provider=owner, source="genai-prices (installed)"
            )
        return None


def rows_of(model: Any) -> list[Rates]:
    """All rows of one of genai-prices' models: by date, then by mode.

    Raises:
        UnpricedError: some of it cannot be said in `Rates`.
    """
    one = not isinstance(model.prices, list)
    if one and model.id.endswith(":free") and not _given(model.prices):
        return [Rates(input=_rate(0), output=_rate(0))]
    dated = [model] if one else model.prices
    rows = [
        Rates(since=_since(getattr(row, "constraint", None)), **_rates(row.prices, whole=True))
        for row in dated
    ]
    for variant in model.price_variants or ():
        rates = _rates(variant.prices, whole=False)
        when = tuple(variant.when.items())
        # Without rates it is the default tier; other conditions (a route) are never met here.
        if rates and len(when) == 1 and when[0] in _MODES:
            rows.append(Rates(mode=_MODES[when[0]], since=_since(variant.constraint), **rates))
    return rows


def _given(price: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(price).items() if value is not None}


def _rates(price: Any, *, whole: bool) -> dict[str, Any]:
    """One row of rates. `whole` rows must say what input costs; a mode's row only overrides."""
    given = _given(price)
    if unknown := given.keys() - set(_RATES.values()) - _NOT_OURS:
        raise UnpricedError(f"billed by {', '.join(sorted(unknown))}")
    if whole and "input_mtok" not in given:
        raise UnpricedError("no price of input tokens")
    return {ours: _rate(given[theirs]) for ours, theirs in _RATES.items() if theirs in given}


def _rate(value: Any) -> Rate:
    tiers = getattr(value, "tiers", None)
    if tiers is None:
        return rate_of(value)
    steps = [value.base]
    for tier in tiers:
        steps += [tier.start, tier.price]
    return rate_of(steps)


def _since(constraint: Any) -> date | None:
    if constraint is None:
        return None
    if (start := getattr(constraint, "start_date", None)) is None:
        raise UnpricedError(f"priced by {type(constraint).__name__}")
    since: date = start
    return since
