"""The table of models in litellm's form, made from Scallion's own data when it is first needed.

`litellm.model_cost` is this table. Users add to it (`register_model`) and patch it, so everything
that needs a fact reads it from there.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from ._state import made_setting, setting

if TYPE_CHECKING:
    from scallion._models import ModelInfo
    from scallion._prices import PriceRow, Rate

# litellm's name of a flag, and Scallion's.
_FLAGS = {
    "supports_function_calling": "tools",
    "supports_parallel_function_calling": "parallel_tools",
    "supports_tool_choice": "tool_choice",
    "supports_response_schema": "response_schema",
    "supports_reasoning": "reasoning",
    "supports_vision": "vision",
    "supports_pdf_input": "pdf_input",
    "supports_audio_input": "audio_input",
    "supports_audio_output": "audio_output",
    "supports_prompt_caching": "prompt_caching",
    "supports_web_search": "web_search",
    "supports_computer_use": "computer_use",
    "supports_system_messages": "system_messages",
    "supports_assistant_prefill": "assistant_prefill",
    "supports_native_streaming": "streaming",
}
# litellm's name of a price, and Scallion's.
_RATES = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "output_cost_per_reasoning_token": "reasoning",
    "input_cost_per_audio_token": "input_audio",
    "output_cost_per_audio_token": "output_audio",
}
# Providers that sell models of their own, and what OpenRouter calls them. What OpenRouter says of a
# model holds for it at home too: its sizes and what it can do. Its price does so for those that
# OpenRouter passes on as they are; of others none is known.
_VENDORS = {
    "gemini": "google",
    "vertex_ai": "google",
    "cohere_chat": "cohere",
    "dashscope": "qwen",
    "deepseek": "deepseek",
    "mistral": "mistralai",
    "moonshot": "moonshotai",
    "perplexity": "perplexity",
    "xai": "x-ai",
    "zai": "z-ai",
}
_SAME_PRICE = ("google/gemini-", "perplexity/")
# Claude at Amazon's: "us.anthropic.claude-sonnet-4-5-20250929-v1:0".
_AT_BEDROCK = re.compile(r"(?:[a-z-]+\.)?anthropic\.(claude-.+?)(?:-v\d+(?::\d+)?)?$")
# Written out: a row of the user's own that names no price means that there is none to pay.
_UNKNOWN_PRICES = {"input_cost_per_token": None, "output_cost_per_token": None}
_MODES = {"batch": "_batches", "flex": "_flex", "priority": "_priority"}
_NO_CHAT = ("text-embedding", "embedding", "whisper", "tts-", "dall-e", "gpt-image", "moderation")


def rows() -> dict[str, dict[str, Any]]:
    """The table as it stands: `litellm.model_cost`."""
    table: dict[str, dict[str, Any]] = setting("model_cost")
    return table


def find(name: str) -> dict[str, Any] | None:
    """The row under a key, without building the whole table for it: that takes half a second."""
    made: dict[str, dict[str, Any]] | None = made_setting("model_cost")
    return _built_in_row(name) if made is None else made.get(name)


@lru_cache(maxsize=1024)
def _built_in_row(name: str) -> dict[str, Any] | None:
    prefix, slash, rest = name.partition("/")
    if slash:
        return row_of(rest, prefix) if prefix not in ("openai", "anthropic") else None
    if _AT_BEDROCK.match(name):
        return row_of(name, "bedrock")
    if name.startswith("gemini-"):
        return row_of(name, "vertex_ai")
    if "@" in name:  # Google's way to name versions of others' models
        return None
    return row_of(name, "openai") or row_of(name, "anthropic")


@cache
def built_in() -> dict[str, dict[str, Any]]:
    """The rows for every model that Scallion's data names."""
    from scallion._models import load

    table: dict[str, dict[str, Any]] = {}
    for provider, entries in load().models.items():
        names = [name for entry in entries for name in (entry.names or [entry.id])]
        names += [entry.id for entry in entries]
        names += list(load().snapshots[provider])
        for name in names:
            if "*" in name or "YYYY" in name:
                continue
            key = f"openrouter/{name}" if provider == "openrouter" else name
            if key not in table and (row := row_of(name, provider)) is not None:
                table[key] = row
    for provider, vendor in _VENDORS.items():
        prefix = f"openrouter/{vendor}/"
        for key in [each for each in table if each.startswith(prefix)]:
            name = key.removeprefix(prefix)
            if (row := row_of(name, provider)) is not None:
                table[name if provider == "vertex_ai" else f"{provider}/{name}"] = row
    return table


def row_of(name: str, provider: str) -> dict[str, Any] | None:
    """litellm's row for one model, or `None` if nothing is known of it."""
    if provider in _VENDORS:
        return _at_home(name, provider)
    if provider == "bedrock":
        claude = _AT_BEDROCK.match(name)
        own = row_of(claude[1], "anthropic") if claude else None
        return None if own is None else {**_without_prices(own), "litellm_provider": "bedrock"}
    if provider not in ("openai", "anthropic", "openrouter"):
        return None
    from scallion._models import model_info
    from scallion._prices import default_table

    info = model_info(name, provider)
    prices = default_table().row(name, provider)
    if info is None and prices is None:
        return None
    row: dict[str, Any] = {"litellm_provider": provider, "mode": _mode(name)}
    if info is not None:
        row |= _facts(info)
    modes: list[tuple[str | None, str]] = [(None, ""), *_MODES.items()]
    for mode, suffix in modes:
        found = default_table().row(name, provider, mode=mode)
        if found is not None and found.mode == mode:
            row |= _costs(found, suffix)
    return _UNKNOWN_PRICES | row


def _at_home(name: str, provider: str) -> dict[str, Any] | None:
    """The row of a vendor's own model, by what OpenRouter says of it."""
    if ":" in name:  # a variant of OpenRouter's: ":free", ":batch"
        return None
    known = f"{_VENDORS[provider]}/{name}"
    row = row_of(known, "openrouter")
    if row is None:
        return None
    if known.startswith(_SAME_PRICE):
        # Writing into a cache is OpenRouter's own business.
        row = {name: each for name, each in row.items() if "cache_creation" not in name}
    else:
        row = _without_prices(row)
    return {**row, "litellm_provider": provider}


def _without_prices(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if "_cost" not in name} | _UNKNOWN_PRICES


def _mode(name: str) -> str:
    if name.startswith("text-embedding") or "-embedding" in name:
        return "embedding"
    return "chat" if not name.startswith(_NO_CHAT) else "other"


def _facts(info: ModelInfo) -> dict[str, Any]:
    facts = {
        "max_input_tokens": info.max_input_tokens or info.context_window,
        "max_output_tokens": info.max_output_tokens,
        "max_tokens": info.max_output_tokens or info.max_input_tokens or info.context_window,
        "deprecation_date": info.deprecation_date,
    }
    facts |= {theirs: getattr(info, ours) for theirs, ours in _FLAGS.items()}
    return {name: value for name, value in facts.items() if value is not None}


def _costs(prices: PriceRow, suffix: str) -> dict[str, Any]:
    costs: dict[str, Any] = {}
    for theirs, ours in _RATES.items():
        rate: Rate | None = getattr(prices.rates, ours)
        if rate is None:
            continue
        steps = rate if isinstance(rate, tuple) else (rate,)
        costs[theirs + suffix] = float(steps[0] / 1_000_000)
        for start, step in zip(steps[1::2], steps[2::2], strict=True):
            name = f"{theirs}_above_{int(start) // 1000}k_tokens{suffix}"
            costs[name] = float(step / 1_000_000)
    return costs
