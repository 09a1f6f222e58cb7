"""Prices from the installed genai-prices, and that the package's own data says the same."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from types import SimpleNamespace

import pytest
from genai_prices import data_snapshot

from scallion import _models
from scallion._prices import PriceTable
from scallion._prices_live import UnpricedError, rows_of
from scallion.costs import load_prices, price
from scallion.types import Usage

THOUSAND = Usage(prompt_tokens=1000, completion_tokens=1000)


@pytest.fixture
def live():
    return load_prices("genai-prices")


def test_the_installed_prices_are_used_and_named(live):
    cost = price("gpt-4o", THOUSAND, prices=live)
    assert cost is not None
    assert cost.total == Decimal("0.0125")
    assert cost.row is not None
    assert cost.row.source == "genai-prices (installed)"


def test_a_provider_that_the_package_does_not_list_is_known_to_the_installed_one(live):
    assert price("mistral-large-latest", THOUSAND, provider="mistral") is None
    assert price("mistral-large-latest", THOUSAND, provider="mistral", prices=live) is not None


def test_what_it_does_not_know_or_cannot_be_said_in_tokens_is_unknown(live):
    assert price("my-llama", THOUSAND, prices=live) is None
    assert price("my-llama", THOUSAND, provider="nobody", prices=live) is None
    assert price("tts-1", THOUSAND, prices=live) is None


def test_a_registered_price_stands_above_it(live):
    live.register("gpt-4o", input=1, output=1)
    cost = price("gpt-4o", THOUSAND, prices=live)
    assert cost is not None
    assert cost.total == Decimal("0.002")


def test_an_update_of_it_is_followed(live):
    before = price("gpt-4o", THOUSAND, prices=live)
    assert before is not None
    data_snapshot.set_custom_snapshot(data_snapshot.DataSnapshot([], from_auto_update=True))
    try:
        assert price("gpt-4o", THOUSAND, prices=live) is None
    finally:
        data_snapshot.set_custom_snapshot(None)
    assert price("gpt-4o", THOUSAND, prices=live) == before


def test_the_packages_own_data_reads_the_same_for_every_model(live):
    own = PriceTable()
    days = (date(2024, 1, 1), date(2026, 3, 13), datetime(2026, 11, 20, tzinfo=UTC).date())
    for provider, entries in _models.load().models.items():
        for entry in entries:
            name = (entry.names or [entry.id])[0].rstrip("*")
            for day in days:
                for mode in (None, "batch", "flex", "priority", "fast"):
                    ours = own.row(name, provider, mode=mode, day=day)
                    theirs = live.row(name, provider, mode=mode, day=day)
                    assert ours is not None
                    assert theirs is not None
                    assert (ours.mode, ours.since) == (theirs.mode, theirs.since)
                    for rate in ("input", "output", "cache_read", "cache_write_1h", "web_search"):
                        assert getattr(ours.rates, rate) == getattr(theirs.rates, rate), name


def test_what_cannot_be_said_in_rates_is_left_out_with_its_reason():
    def model(prices):
        return SimpleNamespace(id="x", prices=prices, price_variants=None)

    for prices, reason in [
        (SimpleNamespace(output_mtok=1), "no price of input tokens"),
        (SimpleNamespace(input_mtok=1, requests_kcount=2), "billed by requests_kcount"),
        (
            [SimpleNamespace(constraint=SimpleNamespace(), prices=SimpleNamespace(input_mtok=1))],
            "priced by SimpleNamespace",
        ),
    ]:
        with pytest.raises(UnpricedError, match=reason):
            rows_of(model(prices))
