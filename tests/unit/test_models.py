"""Which model a name means, and what is known of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import scallion._models as models
from scallion._models import model_info
from scallion.costs import price

DATA = json.loads(Path(models.__file__).with_name("data").joinpath("models.json").read_text())
NAMES = [
    (provider, place, name)
    for provider, entries in DATA["models"].items()
    for place, (identity, names, *_) in enumerate(entries)
    for name in names or [identity]
]


@pytest.mark.parametrize(
    ("asked", "provider", "id_"),
    [
        ("gpt-4", "openai", "gpt-4"),
        ("gpt-4o", "openai", "gpt-4o"),
        ("openai/gpt-4o", "openai", "gpt-4o"),
        (" GPT-4o ", "openai", "gpt-4o"),
        ("gpt-4o-2024-05-13", "openai", "gpt-4o-2024-05-13"),
        ("gpt-6-sol-2026-10-30", "openai", "gpt-6-sol"),
        ("gpt-5.2-20251211", "openai", "gpt-5.2"),
        ("ft:gpt-4o-mini-2024-07-18:acme::x1", "openai", "ft:gpt-4o-mini"),
        ("claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5"),
        ("anthropic/claude-sonnet-4.5", "anthropic", "claude-sonnet-4-5"),
        ("claude-3-5-sonnet-20241022", "anthropic", "claude-3-5-sonnet"),
        ("openrouter/anthropic/claude-sonnet-4.5", "openrouter", "anthropic/claude-sonnet-4.5"),
        ("deepseek/deepseek-chat", "openrouter", "deepseek/deepseek-chat"),
        ("openrouter/openai/gpt-4o:nitro", "openrouter", "openai/gpt-4o"),
    ],
)
def test_a_name_means_the_model_that_its_provider_means(asked, provider, id_):
    found = model_info(asked)
    assert found is not None
    assert (found.provider, found.id) == (provider, id_)


@pytest.mark.parametrize(
    ("asked", "provider"),
    [
        ("gpt-4-", None),
        ("gpt-4ox", None),
        ("xgpt-4o", None),
        ("o", None),
        ("", None),
        ("gpt-6-sol-2026", None),
        ("gpt-6-sol-YYYY-MM-DD", None),
        ("claude", None),
        ("sonnet", None),
        ("my-llama", None),
        ("claude-sonnet-4-5", "openai"),
        ("gpt-4o", "anthropic"),
        ("gpt-4o", "fake"),
        ("anthropic/claude-sonnet-4.5", "openai"),
        ("openai/gpt-4o:unheard-of", "openrouter"),
    ],
)
def test_a_name_that_only_resembles_a_model_is_unknown(asked, provider):
    assert model_info(asked, provider) is None


def test_the_provider_decides_what_a_name_with_a_slash_means():
    direct = model_info("anthropic/claude-sonnet-4.5", "anthropic")
    routed = model_info("anthropic/claude-sonnet-4.5", "openrouter")
    assert direct is not None
    assert routed is not None
    assert (direct.id, routed.id) == ("claude-sonnet-4-5", "anthropic/claude-sonnet-4.5")
    assert direct.context_window == 200_000
    assert routed.context_window == 1_000_000


def test_limits_and_capabilities_are_told_and_the_unknown_stays_none():
    sonnet = model_info("claude-sonnet-4-5")
    assert sonnet is not None
    assert sonnet.max_output_tokens == 64_000
    assert sonnet.tools is sonnet.vision is sonnet.reasoning is sonnet.streaming is True
    assert sonnet.audio_input is None

    opus = model_info("claude-opus-4-7")
    assert opus is not None
    assert opus.sampling_params is False
    assert opus.adaptive_thinking is True


def test_a_snapshot_that_differs_from_its_model_has_its_own_limits():
    old, new = model_info("gpt-4o-2024-05-13"), model_info("gpt-4o")
    assert old is not None
    assert new is not None
    assert (old.max_output_tokens, new.max_output_tokens) == (4_096, 16_384)


def test_a_fine_tuned_model_has_the_limits_of_its_base():
    tuned, base = model_info("ft:gpt-4o-mini-2024-07-18:acme::x1"), model_info("gpt-4o-mini")

    assert tuned.id == "ft:gpt-4o-mini"
    assert tuned.max_output_tokens == base.max_output_tokens > 0
    assert tuned.context_window == base.context_window > 0
    assert model_info("ft:gpt-4.1-2025-04-14:acme::x1").max_output_tokens == 32768
    assert model_info("ft:no-such-model:acme::x1") is None
    assert model_info("ft:") is None


@pytest.mark.parametrize(
    ("amazons", "claude"),
    [
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5-20250929"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5-20250929"),
        ("us-gov.anthropic.claude-3-haiku-20240307-v1:0:48k", "claude-3-haiku-20240307"),
        ("global.anthropic.claude-opus-4-6-v1", "claude-opus-4-6"),
        (
            "arn:aws:bedrock:us-east-1:1:inference-profile/eu.anthropic.claude-opus-4-6-v1",
            "claude-opus-4-6",
        ),
    ],
)
def test_amazons_names_of_claude_mean_the_same_model_at_a_price_of_its_own(amazons, claude):
    usage = {"prompt_tokens": 1_000_000}

    assert model_info(amazons, "anthropic") == model_info(claude, "anthropic")
    there, here = (price(name, usage, provider="anthropic") for name in (amazons, claude))
    assert (there.total, there.exact) == (here.total, False)


def test_a_name_that_only_resembles_amazons_is_unknown():
    assert model_info("us.anthropic.claude", "anthropic") is None
    assert model_info("us.anthropic.claude-sonnet-4-5-v1:0", "openai") is None


def test_every_listed_name_finds_its_own_entry_or_an_earlier_one():
    for provider, place, name in NAMES:
        asked = name.rstrip("*").replace("YYYYMMDD", "20261101").replace("YYYY-MM-DD", "2026-11-01")
        found = models.resolve(asked, provider)
        assert found is not None, name
        assert found.entry is not None, name
        ids = [entry[0] for entry in DATA["models"][provider]]
        assert ids.index(found.entry.id) <= place, name


@given(st.sampled_from(NAMES), st.text("abcxyz-.:@0123456789", min_size=1, max_size=6))
def test_no_name_is_found_by_a_part_of_it(listed, more):
    provider, _, name = listed
    exact = {name for owner, _, name in NAMES if owner == provider}
    prefixes = tuple(name[:-1] for name in exact if name.endswith("*"))
    longer = more + name.rstrip("*")
    if longer not in exact and not longer.startswith(prefixes):
        assert models.resolve(longer, provider) is None


def test_the_data_says_where_it_comes_from_and_stays_small():
    path = Path(models.__file__).with_name("data") / "models.json"
    assert path.stat().st_size <= 200_000
    assert "genai-prices" in DATA["about"]["prices"]
    assert "litellm" in DATA["about"]["limits"]
    assert all("MIT" in line for line in DATA["about"].values())


def test_every_flag_of_the_data_is_a_field():
    assert set(DATA["flags"]) <= set(models.ModelInfo.__struct_fields__)
