"""What a call costs: each rate, each mode, each date, and what is unknown."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scallion.costs import (
    PriceTable,
    Rates,
    calculate_cost,
    calculate_cost_from_usage,
    load_prices,
    price,
    register_price,
)
from support.usages import usage

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def cost(model, used, **how):
    found = price(model, used, at=how.pop("at", NOW), **how)
    assert found is not None
    assert found.total == sum(found.breakdown.values())
    return found


# USD per million tokens as OpenAI and Anthropic list them: the sums are done here by hand.
@pytest.mark.parametrize(
    ("model", "used", "how", "total"),
    [
        # input and output: 1000 x 2.50 + 100 x 10
        ("gpt-4o", usage(1000, 100), {}, "0.0035"),
        # cached reads: 200 x 2.50 + 800 x 1.25 + 100 x 10
        ("gpt-4o", usage(1000, 100, inside={"cached_tokens": 800}), {}, "0.0025"),
        # reasoning is inside the completion: 10 x 2 + 500 x 8
        ("o3", usage(10, 500, made={"reasoning_tokens": 400}), {}, "0.00402"),
        # 5 m writes: 100 x 3 + 900 x 3.75 + 10 x 15
        ("claude-sonnet-4-5", usage(1000, 10, inside={"cache_write_tokens": 900}), {}, "0.003825"),
        # 1 h writes inside the writes: 100 x 3 + 400 x 3.75 + 500 x 6 + 10 x 15
        (
            "claude-sonnet-4-5",
            usage(1000, 10, inside={"cache_write_tokens": 900, "cache_write_1h_tokens": 500}),
            {},
            "0.00495",
        ),
        # Anthropic's reads: 100 x 3 + 900 x 0.30
        ("claude-sonnet-4-5", usage(1000, 0, inside={"cached_tokens": 900}), {}, "0.00057"),
        # OpenAI's writes: 1000 x 2 + 500 x 2.50
        ("gpt-6-sol", usage(1500, 0, inside={"cache_write_tokens": 500}), {}, "0.00325"),
        # audio in and out: 100 x 2.50 + 900 x 32 + 10 x 10 + 90 x 64
        (
            "gpt-audio",
            usage(1000, 100, inside={"audio_tokens": 900}, made={"audio_tokens": 90}),
            {},
            "0.03491",
        ),
        # images in and out: 100 x 5 + 900 x 8 + 10 x 10 + 90 x 32
        (
            "chatgpt-image-latest",
            usage(1000, 100, inside={"image_tokens": 900}, made={"image_tokens": 90}),
            {},
            "0.01068",
        ),
        # three searches at $10 a thousand
        (
            "claude-sonnet-4-5",
            usage(1000, 0, server_tool_use={"web_search_requests": 3}),
            {},
            "0.033",
        ),
        # context steps: up to the start, and beyond it for every token
        ("claude-sonnet-4-5", usage(200_000, 1000), {}, "0.615"),
        ("claude-sonnet-4-5", usage(200_001, 1000), {}, "1.222506"),
        ("gpt-6-sol", usage(272_001, 0, inside={"cached_tokens": 272_000}), {}, "0.108804"),
        # modes: flex 1 + 5, priority 4 + 20 and batch 1.25 + 5 per million
        ("gpt-6-sol", usage(1000, 1000), {"service_tier": "flex"}, "0.006"),
        ("gpt-6-sol", usage(1000, 1000), {"service_tier": "priority"}, "0.024"),
        ("gpt-4o", usage(1000, 1000), {"batch": True}, "0.00625"),
        ("claude-haiku-4-5", usage(1000, 1000), {"batch": True}, "0.003"),
        # Anthropic names tier and speed in the usage
        ("claude-haiku-4-5", usage(1000, 1000, service_tier="batch"), {}, "0.003"),
        ("claude-haiku-4-5", usage(1000, 1000, service_tier="standard"), {}, "0.006"),
        ("claude-opus-4-8", usage(1000, 1000, speed="fast"), {}, "0.06"),
        # inference confined to the US costs 1.1 times, in every kind of token
        ("claude-opus-4-7", usage(1000, 1000, inference_geo="us"), {}, "0.033"),
        ("claude-opus-4-7", usage(1000, 1000, inference_geo="global"), {}, "0.03"),
        # dated prices: o3 cost 10 + 40 before 2025-06-10
        ("o3", usage(1000, 1000), {"at": date(2025, 6, 9)}, "0.05"),
        ("o3", usage(1000, 1000), {"at": date(2025, 6, 10)}, "0.01"),
        # OpenRouter's free models are known to be free
        ("openrouter/google/gemma-3-4b-it:free", usage(1000, 1000), {}, "0"),
    ],
)
def test_each_kind_of_token_has_its_price(model, used, how, total):
    assert cost(model, used, **how).total == Decimal(total)


def test_reasoning_has_its_own_rate_where_one_is_stated():
    table = PriceTable({"m": Rates(input=Decimal(1), output=Decimal(2), reasoning=Decimal(30))})
    found = cost("m", usage(0, 100, made={"reasoning_tokens": 90}), prices=table)
    assert found.breakdown == {"output": Decimal("0.00002"), "reasoning": Decimal("0.0027")}


def test_no_more_is_kept_for_an_hour_than_is_written():
    inside = {"cache_write_tokens": 100, "cache_write_1h_tokens": 900}
    found = cost("claude-sonnet-4-5", usage(1000, 0, inside=inside))
    assert found.breakdown == {"input": Decimal("0.0027"), "cache_write_1h": Decimal("0.0006")}


def test_the_rates_of_a_mode_begin_with_their_first_day():
    begins = date(2026, 1, 2)
    rows = [
        Rates(input=Decimal(2), output=Decimal(2)),
        Rates(mode="batch", since=begins, input=Decimal(1)),
    ]
    table = PriceTable({"m": rows})
    for day, total, exact in ((date(2026, 1, 1), 2, False), (begins, 1, True)):
        found = cost("m", usage(10**6, 0), batch=True, at=day, prices=table)
        assert (found.total, found.exact) == (total, exact)


def test_the_breakdown_says_what_was_paid_for():
    used = usage(
        1000,
        300,
        inside={"cached_tokens": 500, "cache_write_tokens": 300, "cache_write_1h_tokens": 100},
        made={"reasoning_tokens": 200},
        server_tool_use={"web_search_requests": 1},
    )
    assert cost("claude-sonnet-4-5", used).breakdown == {
        "input": Decimal("0.0006"),
        "cache_read": Decimal("0.00015"),
        "cache_write": Decimal("0.00075"),
        "cache_write_1h": Decimal("0.0006"),
        "output": Decimal("0.0015"),
        "reasoning": Decimal("0.003"),
        "web_search": Decimal("0.01"),
    }


def test_the_row_that_was_used_is_shown():
    row = cost("gpt-6-sol-2026-11-01", usage(1, 1), service_tier="flex").row
    assert row is not None
    assert (row.model, row.provider, row.mode) == ("gpt-6-sol", "openai", "flex")
    assert row.rates.input == (Decimal(1), Decimal(272_000), Decimal(2))
    assert row.source.startswith("genai-prices ")


def test_an_unknown_model_costs_none_and_never_zero():
    assert price("my-llama", usage(10, 10)) is None
    assert calculate_cost("my-llama", 10, 10) is None
    assert calculate_cost_from_usage("gpt-4o-but-different", {"prompt_tokens": 1}) is None
    assert price("gpt-4o", usage(10, 10), provider="fake") is None


def test_a_use_without_a_price_makes_the_whole_cost_unknown():
    searched = usage(10, 10, server_tool_use={"web_search_requests": 1})
    assert price("claude-3-haiku", searched, at=NOW) is None
    assert calculate_cost("text-embedding-3-small", 1000, 0) == Decimal("0.00002")
    assert calculate_cost("text-embedding-3-small", 1000, 1) is None


def test_what_the_provider_says_it_billed_wins_over_every_table():
    billed = usage(1000, 1000, cost=0.00012345, is_byok=False)
    found = cost("openai/gpt-4o", billed, provider="openrouter")
    assert found.total == Decimal("0.00012345")
    assert found.breakdown == {"billed": Decimal("0.00012345")}
    assert found.row is None
    assert cost("never-heard-of", usage(5, 5, cost=0.0), provider="openrouter").total == 0


def test_on_ones_own_upstream_key_the_upstream_bill_is_added():
    own = usage(10, 10, cost=0.0001, is_byok=True, cost_details={"upstream_inference_cost": 0.002})
    assert cost("openai/gpt-4o", own, provider="openrouter").breakdown == {
        "billed": Decimal("0.0001"),
        "upstream": Decimal("0.002"),
    }
    silent = usage(
        10, 10, cost=0.0001, is_byok=True, cost_details={"upstream_inference_cost": None}
    )
    assert not cost("openai/gpt-4o", silent, provider="openrouter").exact


def test_xais_bill_is_in_ticks():
    found = cost("grok-9", usage(125, 48, cost_in_usd_ticks=37_756_000))
    assert found.breakdown == {"billed": Decimal("0.0037756")}
    assert found.exact
    assert price("grok-9", usage(125, 48, cost_in_usd_ticks="37756000")) is None


@pytest.mark.parametrize("billed", [-5, float("nan"), float("inf")])
def test_a_bill_that_cannot_be_is_not_believed(billed):
    assert cost("gpt-4o", usage(1000, 0, cost=billed)).total == Decimal("0.0025")


@pytest.mark.parametrize("upstream", [-5, float("nan"), True, "0.5", None])
def test_an_upstream_bill_that_cannot_be_leaves_the_cost_inexact(upstream):
    byok = {"is_byok": True, "cost_details": {"upstream_inference_cost": upstream}}
    found = cost("gpt-4o", usage(1000, 0, cost=0.001, **byok))
    assert (found.total, found.exact) == (Decimal("0.001"), False)


@pytest.mark.parametrize(
    "odd",
    [
        {"service_tier": {"name": "flex"}},
        {"service_tier": ["flex"]},
        {"iterations": [{"type": ["compaction"]}]},
        {"iterations": [{"type": "compaction", "input_tokens": "1", "model": 5}]},
        {"iterations": [{"type": "compaction", "cache_creation": [1], "input_tokens": -4}]},
    ],
)
def test_what_a_provider_should_not_say_about_a_usage_breaks_no_bill(odd):
    assert cost("gpt-4o", usage(1000, 0, **odd)).total == Decimal("0.0025")


@pytest.mark.parametrize(
    ("model", "used", "total"),
    [
        ("claude-haiku-4-5", {"input_tokens": 1000, "output_tokens": 100}, "0.0015"),
        (
            "claude-haiku-4-5",
            {
                "input_tokens": 0,
                "cache_read_input_tokens": 1000,
                "cache_creation_input_tokens": 1000,
                "cache_creation": {"ephemeral_1h_input_tokens": 1000},
                "output_tokens": 1,
            },
            "0.002105",
        ),
        (
            "gpt-4o",
            {
                "input_tokens": 1000,
                "input_tokens_details": {"cached_tokens": 1000},
                "output_tokens": 100,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": 1100,
            },
            "0.00225",
        ),
    ],
)
def test_a_usage_by_the_providers_own_names_is_never_free(model, used, total):
    assert cost(model, used).total == Decimal(total)


def test_a_compaction_is_billed_beside_the_usage_at_the_top():
    step = {
        "type": "compaction",
        "input_tokens": 100,
        "output_tokens": 131,
        "cache_read_input_tokens": 0,
        "cache_creation_input_tokens": 55_096,
        "cache_creation": {"ephemeral_5m_input_tokens": 55_096, "ephemeral_1h_input_tokens": 0},
    }
    used = usage(229, 5, iterations=[step, {"type": "message", "input_tokens": 229}])
    # 229 x 5 + 5 x 25, then 100 x 5 + 55,096 x 6.25 + 131 x 25
    assert cost("claude-opus-4-6", used).breakdown == {
        "input": Decimal("0.001145"),
        "output": Decimal("0.000125"),
        "compaction": Decimal("0.348125"),
    }


def test_an_advisor_is_billed_at_the_prices_of_its_own_model():
    step = {"type": "advisor_message", "model": "claude-opus-4-8", "input_tokens": 1000}
    used = usage(1000, 0, iterations=[step])
    assert cost("claude-haiku-4-5", used).breakdown == {
        "input": Decimal("0.001"),
        "advisor": Decimal("0.005"),
    }
    unknown = usage(1000, 0, iterations=[step | {"model": "claude-who"}])
    assert price("claude-haiku-4-5", unknown) is None


@pytest.mark.parametrize(
    ("model", "used", "how"),
    [
        ("gpt-4o", usage(10, 10), {"service_tier": "flex"}),  # no flex rates: standard stands in
        ("claude-haiku-4-5", usage(10, 10, service_tier="priority"), {}),
        ("gpt-6-sol", usage(10, 10), {"service_tier": "flex", "at": date(2026, 1, 1)}),
        ("openrouter/openai/gpt-4o:nitro", usage(10, 10), {}),
        ("claude-haiku-4-5", usage(10, 10, inference_geo="us"), {}),
        ("claude-opus-5", usage(10, 10, iterations=[{"type": "fallback_message"}]), {}),
    ],
)
def test_a_price_that_stands_in_for_another_is_not_exact(model, used, how):
    assert not cost(model, used, **how).exact
    assert cost(model, usage(10, 10), at=NOW).total == cost(model, usage(10, 10), **how).total


@pytest.mark.parametrize("tier", ["auto", "default", "standard", "standard_only"])
def test_the_usual_tier_has_the_usual_price_by_each_of_its_names(tier):
    for found in (
        cost("gpt-6-sol", usage(10, 10), service_tier=tier),
        cost("claude-haiku-4-5", usage(10, 10, service_tier=tier)),
    ):
        assert (found.exact, found.row.mode) == (True, None)


def test_cached_sound_is_not_exact_and_never_priced_too_low():
    rates = Rates(
        input=Decimal(4),
        output=Decimal(16),
        cache_read=Decimal("0.4"),
        input_audio=Decimal(32),
        cache_read_audio=Decimal("0.4"),
    )
    table = PriceTable({"voice": rates})
    # 300 text and 700 sound, 500 of them cached: at most 300 of those can be text.
    mixed = usage(1000, 0, inside={"cached_tokens": 500, "audio_tokens": 700})
    found = cost("voice", mixed, prices=table)
    assert not found.exact
    assert found.total == Decimal("0.016200")  # 500 x 0.40 and 500 x 32


def test_a_usage_that_contradicts_itself_is_priced_for_what_it_names():
    found = cost("gpt-4o", usage(10, 0, inside={"cached_tokens": 100}))
    assert not found.exact
    assert found.total == Decimal("0.000125")
    beside = cost("o3", usage(0, 10, made={"reasoning_tokens": 90}))
    assert not beside.exact
    assert beside.total == Decimal("0.0008")


def test_reasoning_that_a_server_counts_beside_the_completion_is_billed_with_it():
    # xAI's form: 9 said and 4 thought. Inside, 4 of the 9 would be thoughts.
    made = {"reasoning_tokens": 4}
    beside = cost("o3", usage(100, 9, made=made, total_tokens=113))
    inside = cost("o3", usage(100, 9, made=made))

    assert beside.total == Decimal("0.000304")  # 100 x 2, 9 x 8 and 4 x 8
    assert inside.total == Decimal("0.000272")
    assert beside.exact
    assert inside.exact


def test_thinking_that_only_the_total_counts_is_billed_as_a_guess():
    # Gemini's form: 20 asked, 198 said, and 405 more.
    found = cost("o3", usage(20, 198, total_tokens=623))

    assert found.breakdown["reasoning"] == Decimal("0.00324")
    assert found.total == Decimal("0.004864")  # 20 x 2 and 603 x 8
    assert not found.exact
    assert cost("o3", usage(20, 198, total_tokens=0)).exact  # a server without totals


@pytest.mark.parametrize(
    "name", ["cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens"]
)
@pytest.mark.parametrize("inside", [None, {}, {"cached_tokens": 0}, {"cached_tokens": 600}])
def test_cached_tokens_may_be_counted_beside_the_details(name, inside):
    found = cost("claude-sonnet-4-5", usage(1000, 0, inside=inside, **{name: 600}))

    assert found.total == Decimal("0.00138")  # 400 x 3 and 600 x 0.30
    assert found.exact


def test_written_tokens_may_be_counted_beside_the_details():
    beside = usage(1000, 0, inside={"cached_tokens": 0}, cache_creation_input_tokens=200)

    assert cost("claude-sonnet-4-5", beside).total == Decimal("0.00315")  # 800 x 3 and 200 x 3.75
    assert cost("gpt-4o", usage(1000, 0, cached_tokens="600")).total == Decimal("0.0025")


def test_cached_tokens_may_be_counted_beside_the_prompt():
    # Amazon's form: 300 of 1000 are neither read from a cache nor written to it.
    inside = {"cached_tokens": 500, "cache_write_tokens": 200}
    found = cost("claude-sonnet-4-5", usage(300, 10, inside=inside, total_tokens=1010))

    assert found.total == Decimal("0.00195")  # 300 x 3, 500 x 0.30, 200 x 3.75 and 10 x 15
    assert found.exact


def test_the_day_is_utcs_whatever_the_zone_of_the_clock():
    before = datetime(2025, 6, 10, 1, 0, tzinfo=timezone(timedelta(hours=2)))
    after = datetime(2025, 6, 9, 23, 0, tzinfo=timezone(-timedelta(hours=2)))
    assert cost("o3", usage(1000, 0), at=before).total == Decimal("0.01")
    assert cost("o3", usage(1000, 0), at=after).total == Decimal("0.002")


def test_a_registered_price_is_that_tables_alone():
    table = PriceTable()
    register_price("my-llama", input="0.10", output=0.3, cache_read=0.05, prices=table)
    used = usage(1000, 1000, inside={"cached_tokens": 500})
    assert cost("my-llama", used, prices=table).total == Decimal("0.000375")
    assert cost("my-llama", used, provider="openai", prices=table).row.source == "registered"
    assert price("my-llama", used) is None


def test_a_registered_price_replaces_the_listed_one():
    table = PriceTable()
    assert cost("gpt-4o", usage(1000, 0), prices=table).total == Decimal("0.0025")
    register_price("gpt-4o", input=1, output=1, prices=table)
    assert cost("gpt-4o", usage(1000, 0), prices=table).total == Decimal("0.001")
    assert cost("openai/gpt-4o", usage(1000, 0), prices=table).total == Decimal("0.001")
    assert cost("gpt-4o-mini", usage(1000, 0), prices=table).total == Decimal("0.00015")


def test_a_registered_price_is_its_snapshots_too_unless_they_are_known_as_another_model():
    for name in ("openai/gpt-4o", "gpt-4o"):
        table = PriceTable()
        register_price(name, input=1, output=1, prices=table)
        for snapshot in ("gpt-4o-2024-08-06", "gpt-4o-2030-01-01"):
            found = cost(snapshot, usage(10**6, 0), provider="openai", prices=table)
            assert (found.total, found.row.source) == (1, "registered")
        for other in ("gpt-4o-2024-05-13", "gpt-4o-mini-2024-07-18", "gpt-4o-mini"):
            found = cost(other, usage(10**6, 0), provider="openai", prices=table)
            assert found.row.source != "registered"
    register_price("claude-sonnet-4-5", input=1, output=1, prices=table)
    assert cost("claude-sonnet-4-5-20250929", usage(10**6, 0), prices=table).total == 1
    register_price("claude-sonnet-4-5-20250929", input=2, output=1, prices=table)
    assert cost("claude-sonnet-4-5-20250929", usage(10**6, 0), prices=table).total == 2
    register_price("mine", input=3, output=1, prices=table)
    assert cost("mine-2026-01-01", usage(10**6, 0), prices=table).total == 3
    assert price("mine-v2", usage(10**6, 0), prices=table) is None


def test_a_price_that_is_stated_while_another_thread_looks_is_not_lost(monkeypatch):
    table = PriceTable()
    find = table._find

    def slowly(*args):
        row = find(*args)
        monkeypatch.undo()
        register_price("mine", input=1, output=1, prices=table)
        return row

    monkeypatch.setattr(table, "_find", slowly)
    assert table.row("mine") is None
    assert table.row("mine") is not None


def test_a_registered_prefix_or_provider_reaches_as_far_as_it_says():
    table = PriceTable()
    register_price("house-*", input=1, output=1, prices=table)
    register_price("openrouter/openai/gpt-4o", input=7, output=7, prices=table)
    assert cost("house-7b", usage(1_000_000, 0), prices=table).total == 1
    assert price("the-house-7b", usage(1, 0), prices=table) is None
    assert cost("openai/gpt-4o", usage(10**6, 0), provider="openrouter", prices=table).total == 7
    assert cost("openai/gpt-4o", usage(10**6, 0), prices=table).total == Decimal("2.5")


@pytest.mark.parametrize(
    ("registered", "known", "unknown"),
    [
        (
            "openai/mine",
            [("openai/mine", None), ("mine", "openai"), ("openai/mine", "openai"), ("mine", None)],
            [("mine", "anthropic"), ("mine", "openrouter"), ("mine", "fake")],
        ),
        (
            "fake/mine",
            [("fake/mine", None), ("mine", "fake"), ("fake/mine", "fake")],
            [("mine", None), ("mine", "openai")],
        ),
        (
            "vllm/mi*",
            [("vllm/mine", None), ("mine", "vllm"), ("vllm/mine", "openai")],
            [("mine", None), ("mine", "openai")],
        ),
        (
            "openrouter/house/mine",
            [("openrouter/house/mine", None), ("house/mine", "openrouter"), ("house/mine", None)],
            [("house/mine", "openai"), ("mine", "openrouter")],
        ),
        ("mine", [("mine", None), ("mine", "fake"), ("openai/mine", "openai")], [("a/mine", None)]),
    ],
)
def test_a_prefix_means_that_providers_model_alone(registered, known, unknown):
    table = PriceTable()
    table.register(registered, input=1, output=1)
    for name, provider in known:
        assert cost(name, usage(10**6, 0), provider=provider, prices=table).total == 1
    for name, provider in unknown:
        assert price(name, usage(10**6, 0), provider=provider, prices=table) is None


def test_a_price_with_a_prefix_wins_over_one_without():
    table = PriceTable()
    table.register("mine", input=1, output=1)
    table.register("fake/mine", input=2, output=2)
    assert cost("mine", usage(10**6, 0), provider="fake", prices=table).total == 2
    assert cost("mine", usage(10**6, 0), provider="openai", prices=table).total == 1


def test_a_usage_may_be_a_dict_with_fields_that_nobody_knows():
    plain = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    assert cost("gpt-4o", plain).total == Decimal("0.0035")
    odd = plain | {"prompt_tokens_details": {"cached_tokens": None, "new": 1}, "newer": {"a": []}}
    assert cost("gpt-4o", odd).total == Decimal("0.0035")
    with pytest.raises(ValueError, match=r"dict|mapping|object"):
        price("gpt-4o", [1000, 100])


def test_a_whole_name_wins_over_a_prefix_and_a_long_prefix_over_a_short_one():
    table = PriceTable()
    for name, rate in (("house-*", 1), ("house-big*", 2), ("house-big-1", 3)):
        register_price(name, input=rate, output=rate, prices=table)
    asked = ("house-small", "house-big-2", "house-big-1")
    totals = [cost(name, usage(10**6, 0), prices=table).total for name in asked]
    assert totals == [1, 2, 3]


def test_the_default_table_can_be_told_a_price():
    name = "a-model-of-this-test-only"
    assert calculate_cost(name, 10**6, 0) is None
    register_price(name, input=3, output=4)
    assert calculate_cost(name, 10**6, 10**6) == 7


def test_a_prices_file_holds_steps_dates_and_modes(tmp_path):
    path = tmp_path / "prices.json"
    rows = [
        {"input": [1, 1000, 2], "output": 5},
        {"from": "2026-06-01", "input": [2, 1000, 4], "output": 5},
        {"mode": "batch", "input": 0.5},
    ]
    path.write_text(json.dumps({"mine": rows, "theirs*": {"input": 1, "output": 1}}))
    table = load_prices(path)
    assert cost("mine", usage(1000, 0), prices=table, at=date(2026, 5, 31)).total == Decimal(
        "0.001"
    )
    assert cost("mine", usage(1001, 0), prices=table).total == Decimal("0.004004")
    assert cost("mine", usage(1000, 100), prices=table, batch=True).total == Decimal("0.001")
    assert cost("theirs-9", usage(1, 0), prices=str(path)).row.source == str(path)
    assert cost("gpt-4o", usage(1000, 0), prices=table).total == Decimal("0.0025")


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        '{"m": {"input": -1}}',
        '{"m": {"inputs": 1}}',
        '{"m": {"input": [1, 2]}}',
        '{"m": {"input": [1, 20, 2, 10, 3]}}',
        '{"m": {"input": "NaN", "output": 1}}',
    ],
)
def test_a_wrong_prices_file_is_refused(tmp_path, text):
    path = tmp_path / "prices.json"
    path.write_text(text)
    with pytest.raises(ValueError):
        load_prices(path)


def test_a_wrong_rate_is_refused():
    with pytest.raises(TypeError, match="no such rate: cached"):
        register_price("m", input=1, output=1, cached=1, prices=PriceTable())
    with pytest.raises(ValueError, match="negative"):
        register_price("m", input=-1, output=1, prices=PriceTable())
    with pytest.raises(ValueError, match="not a rate: 'cheap'"):
        register_price("m", input="cheap", output=1, prices=PriceTable())


def test_a_missing_prices_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_prices(tmp_path / "nowhere.json")


@given(
    prompt=st.integers(0, 2_000_000),
    completion=st.integers(0, 200_000),
    cached=st.integers(0, 2_000_000),
    model=st.sampled_from(["gpt-4o", "gpt-6-sol", "claude-sonnet-4-5", "claude-opus-4-7"]),
)
def test_a_cached_token_never_costs_more_than_a_fresh_one(prompt, completion, cached, model):
    fresh = cost(model, usage(prompt, completion))
    some = cost(model, usage(prompt, completion, inside={"cached_tokens": min(cached, prompt)}))
    assert some.total <= fresh.total
    assert fresh.exact
    assert some.exact


@given(
    parts=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 5000)), min_size=1, max_size=20)
)
def test_calls_add_up_to_the_last_digit(parts):
    total = sum(cost("gpt-4o", usage(*part)).total for part in parts)
    together = (sum(p for p, _ in parts), sum(c for _, c in parts))
    assert total == cost("gpt-4o", usage(*together)).total


def test_rates_of_a_mode_alone_are_no_price():
    table = PriceTable({"mine": [Rates(mode="batch", input=Decimal(1), output=Decimal(1))]})
    assert price("mine", usage(1, 1), prices=table) is None
    assert repr(table) == "PriceTable()"


def test_a_cost_can_be_used_as_a_number():
    assert float(cost("gpt-4o", usage(1000, 100))) == pytest.approx(0.0035)
