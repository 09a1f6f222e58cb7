"""Compares our prices with genai-prices' and litellm's, and lists every difference with its reason.

    python tests/tools/compare_prices.py [CALLS_PER_MODEL]

Run in a virtual environment that holds scallion, genai-prices and litellm. Usages, dates and modes
are random with a fixed seed. The exit status is the number of differences without a known reason.
"""

from __future__ import annotations

import os
import random
import sys
import warnings
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
from genai_prices import Usage as GenaiUsage
from genai_prices import calc_price
from genai_prices import data as genai_data
from litellm.types.utils import Usage as LitellmUsage

from scallion import _models
from scallion.costs import price
from scallion.types import CompletionTokensDetails, PromptTokensDetails, Usage

PROVIDERS = ("openai", "anthropic", "openrouter")
MODES = {
    None: {},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
    "batch": {"processing": "batch"},
    "fast": {"speed": "fast", "service_tier": "fast"},
}
# Not text in, text out; or priced in a way that a chat's usage does not tell.
NOT_CHAT = (
    "-live-", "-transcribe", "-translate", "-whisper", "whisper-", "tts-", "moderation", "lyria",
)  # fmt: skip


def random_usage(random_: random.Random, model: Any, mode: str | None) -> Usage:
    """A usage as a provider could report it: some cached, some written, some sound."""
    prompt = random_.choice([1, 37, 1_500, 99_999, 150_000, 199_999, 200_001, 272_001, 900_000])
    completion = random_.choice([0, 1, 250, 4_000, 60_000])
    inside, made = PromptTokensDetails(), CompletionTokensDetails()
    sound = "audio" in model.id
    if sound and random_.random() < 0.5:
        inside.audio_tokens = random_.randint(0, prompt)
        made.audio_tokens = random_.randint(0, completion)
    elif random_.random() < 0.7:
        inside.cached_tokens = random_.randint(0, prompt)
        inside.cache_write_tokens = random_.randint(0, prompt - inside.cached_tokens)
        inside.cache_write_1h_tokens = random_.randint(0, inside.cache_write_tokens)
    if not sound and random_.random() < 0.5:
        made.reasoning_tokens = random_.randint(0, completion)
    usage = Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        prompt_tokens_details=inside,
        completion_tokens_details=made,
    )
    if "claude" in model.id and mode is None and random_.random() < 0.2:
        usage.model_extra = {"server_tool_use": {"web_search_requests": random_.randint(1, 5)}}
    return usage


def searches_of(usage: Usage) -> int:
    """The web searches in a usage."""
    return (usage.model_extra or {}).get("server_tool_use", {}).get("web_search_requests", 0)


def of_genai(name: str, provider: str, usage: Usage, mode: str | None, at: datetime) -> Decimal:
    """What genai-prices says."""
    inside, made = usage.prompt_tokens_details, usage.completion_tokens_details
    assert inside is not None
    assert made is not None
    theirs = GenaiUsage(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        cache_read_tokens=inside.cached_tokens or 0,
        cache_write_tokens=inside.cache_write_tokens or 0,
        cache_write_1h_tokens=inside.cache_write_1h_tokens or 0,
        input_audio_tokens=inside.audio_tokens or 0,
        output_audio_tokens=made.audio_tokens or 0,
        output_reasoning_tokens=made.reasoning_tokens or 0,
        input_image_tokens=0,
        output_image_tokens=0,
        cache_audio_read_tokens=0,
        cache_image_read_tokens=0,
        web_searches=searches_of(usage),
    )
    result = calc_price(
        theirs,
        name,
        provider_id=provider,
        genai_request_timestamp=at,
        price_context=MODES[mode] or None,
    )
    return result.total_price


def of_litellm(name: str, provider: str, usage: Usage, mode: str | None) -> Decimal:
    """What litellm's `completion_cost` says (of now: it knows no dates)."""
    inside = usage.prompt_tokens_details
    assert inside is not None
    write, hour = inside.cache_write_tokens or 0, inside.cache_write_1h_tokens or 0
    read = inside.cached_tokens or 0
    details: dict[str, Any] = {"cached_tokens": read, "cache_creation_tokens": write}
    if write:
        details["cache_creation_token_details"] = {
            "ephemeral_5m_input_tokens": write - hour,
            "ephemeral_1h_input_tokens": hour,
        }
    theirs = LitellmUsage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
        prompt_tokens_details=details,
        cache_creation_input_tokens=write,
        cache_read_input_tokens=read,
    )
    answer = litellm.ModelResponse(model=name, usage=theirs)
    cost = litellm.completion_cost(
        completion_response=answer, model=name, custom_llm_provider=provider, service_tier=mode
    )
    return Decimal(repr(cost))


def reason_for_genai(name: str, usage: Usage, ours: Any) -> str | None:
    """Why we may differ from genai-prices."""
    if any(part in name for part in NOT_CHAT):
        return "not a chat model, or not priced by the token: unknown to us, 0 or by the hour there"
    if ours is None and searches_of(usage):
        return "web searches of a model without a price for them: unknown to us, 0 there"
    if ours is None and usage.completion_tokens:
        return "no price of output tokens: unknown to us, 0 there"
    if ours is None and name in ("gemini-2.5-pro-exp-03-25", "google/gemini-flash-1.5-8b-exp"):
        return "an empty row for a withdrawn experiment: unknown to us, 0 there"
    if ours is None and name == "stealth/crouton-alpha":
        return "an empty row of a model not called :free: unknown to us, 0 there"
    if ours is None and "claude-v2" in name:
        return "they match 'claude-v2' anywhere in a name, we match no substrings"
    return None


def compare_names() -> int:
    """Over every name that a match clause of theirs spells out, with and without a date."""
    different = []
    asked = 0
    for provider in genai_data.providers:
        if provider.id not in PROVIDERS:
            continue
        data = _models.load().models[provider.id]
        names = {name for entry in data for name in (*entry.names, entry.id)}
        for stem in sorted(names):
            plain = (
                stem.rstrip("*").replace("YYYYMMDD", "20261101").replace("YYYY-MM-DD", "2026-11-01")
            )
            for name in (
                plain,
                plain + "-20261101",
                plain + "-2026-11-01",
                plain + "-x",
                "x" + plain,
            ):
                theirs = provider.find_model(name)
                found = _models.resolve(name, provider.id)
                ours = found.entry.id if found and found.entry else None
                asked += 1
                if (theirs.id.lower() if theirs else None) != ours:
                    different.append(
                        f"{provider.id}: {name}: {ours} here, {theirs and theirs.id} there"
                    )
    print(f"names: {asked:,} asked, {len(different)} mean another model")
    for line in different:
        print(f"    {line}")
    return sum("claude-v" not in line and "moderation" not in line for line in different)


def compare_genai(calls: int) -> int:
    """Over every name of every model of the three providers."""
    chance = random.Random(4)
    today = datetime.now(UTC)
    unexplained = 0
    print("genai-prices")
    for provider in genai_data.providers:
        if provider.id not in PROVIDERS:
            continue
        same, reasons = 0, Counter[str]()
        of: dict[str, set[str]] = defaultdict(set)
        for model in provider.models:
            for _ in range(calls):
                for mode in MODES:
                    if provider.id == "openrouter" and mode is not None:
                        continue
                    usage = random_usage(chance, model, mode)
                    at = today - timedelta(days=chance.choice([0, 0, 30, 60, 250, 600]))
                    theirs = (
                        of_genai(model.id, provider.id, usage, mode, at)
                        if (model.is_match(model.id))
                        else None
                    )
                    if theirs is None:
                        continue
                    tier = mode if mode in ("flex", "priority", "fast") else None
                    cost = price(
                        model.id, usage, provider=provider.id, service_tier=tier,
                        batch=mode == "batch", at=at,
                    )  # fmt: skip
                    if cost is not None and cost.total == theirs:
                        same += 1
                        continue
                    reason = reason_for_genai(model.id, usage, cost)
                    unexplained += reason is None
                    reasons[reason or "NO KNOWN REASON"] += 1
                    of[reason or "NO KNOWN REASON"].add(model.id)
        print(f"  {provider.id}: {len(provider.models)} models, {same:,} calls equal to the digit")
        for reason, count in reasons.most_common():
            print(f"    {count} calls of {len(of[reason])} models: {reason}")
            print(f"      {', '.join(sorted(of[reason])[:12])}")
    return unexplained


def reason_for_litellm(name: str, usage: Usage, mode: str | None, *, exact: bool) -> str | None:
    """Why we may differ from litellm."""
    inside = usage.prompt_tokens_details
    assert inside is not None
    entry = litellm.model_cost.get(name, {})
    ours = _models.resolve(name)
    assert ours is not None
    if mode is not None and not any(key.endswith(f"_{mode}") for key in entry):
        return f"litellm has no {mode} prices for this model"
    if mode is not None and not exact:
        return f"genai-prices has no {mode} prices for this model"
    steps = [key for key in entry if "_above_" in key and "k_tokens" in key]
    rows = b"" if ours.entry is None else bytes(ours.entry.rates)
    if b"0000," in rows and not steps:
        return "genai-prices has a step for long prompts, litellm has none"
    if steps and b"0000," not in rows:
        return "litellm has a step for long prompts, genai-prices has none"
    if mode is not None and usage.prompt_tokens > 100_000 and steps:
        return f"long prompt in {mode} mode: litellm and genai-prices list other steps"
    if usage.prompt_tokens > 100_000 and steps and inside.cache_write_1h_tokens:
        return "1 h cache writes beyond a step: litellm lists no such price"
    if mode is not None and (inside.cached_tokens or inside.cache_write_tokens):
        return f"cached tokens in {mode} mode: one of the two lists no price for them"
    if (inside.cached_tokens and b"cache_read" not in rows) or (
        inside.cache_write_tokens and b"cache_write" not in rows
    ):
        return "cached or written tokens that genai-prices lists no price for: like input here"
    if inside.cache_write_tokens and "cache_creation_input_token_cost" not in entry:
        return "cache writes that litellm lists no price for: free there, like input here"
    return None


def compare_litellm(calls: int) -> int:
    """Over the OpenAI and Anthropic models that both know."""
    chance = random.Random(5)
    unexplained = 0
    print("litellm")
    for provider in ("openai", "anthropic"):
        same = models = 0
        reasons, of = Counter[str](), defaultdict(Counter[str])
        for name, entry in sorted(litellm.model_cost.items()):
            if entry.get("litellm_provider") != provider or entry.get("mode") != "chat":
                continue
            found = _models.resolve(name, provider)
            if found is None or found.entry is None or "audio" in name:
                continue
            models += 1
            for _ in range(calls):
                for mode in (None, "flex", "priority"):
                    if mode is not None and provider == "anthropic":
                        continue
                    usage = random_usage(chance, type("M", (), {"id": ""}), mode)
                    cost = price(name, usage, provider=provider, service_tier=mode)
                    theirs = of_litellm(name, provider, usage, mode)
                    assert cost is not None, name
                    ratio = cost.total / theirs if theirs else Decimal(0)
                    if abs(cost.total - theirs) <= Decimal("1e-9") + theirs * Decimal("1e-9"):
                        same += 1
                        continue
                    reason = (
                        reason_for_litellm(name, usage, mode, exact=cost.exact) or "NO KNOWN REASON"
                    )
                    unexplained += reason == "NO KNOWN REASON"
                    reasons[reason] += 1
                    of[reason][f"{name} (ours/theirs {ratio:.3f})"] += 1
        print(f"  {provider}: {models} models, {same:,} calls equal to a billionth")
        for reason, count in reasons.most_common():
            print(f"    {count} calls: {reason}")
            print(f"      {', '.join(sorted(of[reason])[:6])}")
    return unexplained


def main() -> None:
    warnings.simplefilter("ignore")
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    sys.exit(compare_names() + compare_genai(calls) + compare_litellm(calls))


if __name__ == "__main__":
    main()
