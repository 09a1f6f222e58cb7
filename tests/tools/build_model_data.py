"""Writes pipeline/data/models.json from the data of genai-prices (prices) and litellm (limits).

Run by a maintainer, in a virtual environment that holds both packages and scallion:

    python tests/tools/build_model_data.py [OUTPUT]

The same two versions give the same bytes. What is left out is printed, with its reason. The format
is described where it is read: `pipeline/_models.py` (entries, names) and `pipeline/_prices.py`
(rates).
"""

from __future__ import annotations

import json
import re
import sys
from datetime import date
from decimal import Decimal
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from genai_prices import data as genai_data
from genai_prices import types as genai

from scallion._prices import Rates
from scallion._prices_live import UnpricedError, rows_of

PROVIDERS = ("openai", "anthropic", "openrouter")

# Ours → litellm's. The order is the order of the bits in the data file.
FLAGS = {
    "tools": "supports_function_calling",
    "parallel_tools": "supports_parallel_function_calling",
    "tool_choice": "supports_tool_choice",
    "response_schema": "supports_response_schema",
    "reasoning": "supports_reasoning",
    "vision": "supports_vision",
    "pdf_input": "supports_pdf_input",
    "audio_input": "supports_audio_input",
    "audio_output": "supports_audio_output",
    "prompt_caching": "supports_prompt_caching",
    "web_search": "supports_web_search",
    "computer_use": "supports_computer_use",
    "streaming": "supports_native_streaming",
    "system_messages": "supports_system_messages",
    "assistant_prefill": "supports_assistant_prefill",
    "sampling_params": "supports_sampling_params",
    "adaptive_thinking": "supports_adaptive_thinking",
}

# The vendor in an OpenRouter name → the prefix under which litellm lists that vendor's own service.
VENDORS = {
    "google": "gemini/",
    "x-ai": "xai/",
    "mistralai": "mistral/",
    "deepseek": "deepseek/",
    "moonshotai": "moonshot/",
    "z-ai": "zai/",
    "qwen": "dashscope/",
    "minimax": "minimax/",
    "perplexity": "perplexity/",
    "cohere": "",
}

DATE_PATTERNS = {
    r"-\d{8}$": "-YYYYMMDD",
    r"[-@]\d{8}$": "-YYYYMMDD @YYYYMMDD",
    r"-\d{4}-\d{2}-\d{2}$": "-YYYY-MM-DD",
}


def names_of(clause: Any) -> list[str]:
    """The names a match clause accepts: exact, `prefix*`, or with a date in its last place."""
    if isinstance(clause, genai.ClauseOr):
        return [name for part in clause.or_ for name in names_of(part)]
    if isinstance(clause, genai.ClauseEquals):
        return [clause.equals.lower()]
    if isinstance(clause, genai.ClauseStartsWith):
        return [clause.starts_with.lower() + "*"]
    if isinstance(clause, genai.ClauseContains):
        # Never by substring. The two there are: "claude-v2" (Bedrock's name) and "moderation".
        print(f"  not matched by substring: {clause.contains!r}")
        return []
    if isinstance(clause, genai.ClauseRegex):
        for pattern, dates in DATE_PATTERNS.items():
            stem = clause.regex.removesuffix(pattern)
            if stem != clause.regex and stem.startswith("^"):
                literal = re.sub(r"\\(.)", r"\1", stem[1:])
                if re.escape(literal).replace(r"\-", "-") == stem[1:].replace(r"\-", "-"):
                    return [literal + date for date in dates.split()]
    raise ValueError(f"teach this script to read {clause}")


def row_of(rates: Rates) -> dict[str, Any]:
    """A row as it is written: only what is given, numbers in their shortest form."""
    given = {name: getattr(rates, name) for name in Rates.__struct_fields__}
    row = {name: shortest(value) for name, value in given.items() if value is not None}
    return {"from" if name == "since" else name: value for name, value in row.items()}


def shortest(value: Any) -> Any:
    """The shortest JSON form that decodes to exactly `value`."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple):
        return [shortest(part) for part in value]
    if not isinstance(value, Decimal):
        return value
    if value == value.to_integral_value():
        return int(value)
    return float(value) if Decimal(repr(float(value))) == value else str(value)


class Limits:
    """What litellm's published file says of limits and capabilities."""

    def __init__(self) -> None:
        # Found without importing it: litellm asks the network for a newer file when imported.
        spec = find_spec("litellm")
        assert spec is not None
        assert spec.origin is not None
        path = Path(spec.origin).with_name("model_prices_and_context_window_backup.json")
        self.models: dict[str, Any] = json.loads(path.read_text())

    def first(self, *names: str) -> dict[str, Any] | None:
        """The first of `names` that is there and talks."""
        for name in names:
            found = self.models.get(name)
            if found and found.get("mode") in ("chat", "responses", "completion"):
                return found
        return None

    def own(self, provider: str) -> dict[str, Any]:
        """The provider's own models, by name."""
        return {
            name: model
            for name, model in self.models.items()
            if model.get("litellm_provider") == provider
            and model.get("mode") in ("chat", "responses")
        }


def info(found: dict[str, Any] | None, context: int | None, provider: str) -> list[Any] | None:
    """`[context window, max input, max output, bits known true, bits known false, end of life]`.

    `found` can be another host's listing of the same model; that host's dates, and how much of the
    window it gives to the prompt, are its own.
    """
    if found is None:
        return None if context is None else [context]
    facts = {name: found.get(theirs) for name, theirs in FLAGS.items()}
    if provider == "anthropic":
        # Facts of the Messages API that litellm does not list for each model.
        facts |= {"streaming": True, "system_messages": True, "parallel_tools": facts["tools"]}
    if provider == "openrouter":
        facts["streaming"] = True
    yes = sum(1 << bit for bit, name in enumerate(FLAGS) if facts[name] is True)
    no = sum(1 << bit for bit, name in enumerate(FLAGS) if facts[name] is False)
    most_in = found.get("max_input_tokens")
    most_out = found.get("max_output_tokens")
    if not isinstance(most_out, int) or (most_in and most_out > most_in):
        most_out = None
    own = found.get("litellm_provider") == provider
    end = found.get("deprecation_date") if own else None
    window = max(context or 0, most_in or 0) if own else context or most_in
    row = [window, most_in if own else None, most_out, yes, no, end]
    while row and not row[-1]:
        row.pop()
    return row or None


def build() -> dict[str, Any]:
    """The whole content of the data file."""
    limits = Limits()
    sources = {provider.id: provider for provider in genai_data.providers}
    entries: dict[str, list[Any]] = {}
    snapshots: dict[str, dict[str, Any]] = {}

    for provider in PROVIDERS:
        print(provider)
        listed = []
        for model in sources[provider].models:
            try:
                rows = [row_of(row) for row in rows_of(model)]
            except UnpricedError as reason:
                print(f"  left out: {model.id}: {reason}")
                continue
            names = sorted(set(names_of(model.match)))
            found = limit_of(limits, sources, provider, model.id, names)
            if provider == "anthropic" and (factor := confined(found)):
                standard = [row for row in rows if "mode" not in row]
                for rates in standard:
                    rates["us"] = factor
            row = [model.id.lower(), names, info(found, model.context_window, provider), rows]
            if names == [model.id.lower()]:
                row[1] = []
            listed.append(row)
        entries[provider] = listed

        # A snapshot or an alias can differ from the entry that prices it, and some have no price.
        differing = {}
        for name, model in sorted(limits.own(provider).items()):
            entry = sources[provider].find_model(name)
            group = next((row[2] for row in listed if entry and row[0] == entry.id.lower()), None)
            # The entry's window is this model's too only if litellm knows no difference.
            alike = entry and group and group[1:2] == [model.get("max_input_tokens")]
            context = entry.context_window if alike else None
            if (own := info(model, context, provider)) != group:
                differing[name.lower()] = own
        snapshots[provider] = differing

    return {
        "about": {
            "prices": f"genai-prices {version('genai-prices')}, MIT, (c) Pydantic Services Inc.,"
            " https://github.com/pydantic/genai-prices",
            "limits": f"litellm {version('litellm')}, MIT, (c) Berri AI,"
            " https://github.com/BerriAI/litellm",
        },
        "flags": list(FLAGS),
        "models": entries,
        "snapshots": snapshots,
    }


def confined(found: dict[str, Any] | None) -> Any:
    """The factor on the price of inference that is confined to the US."""
    return ((found or {}).get("provider_specific_entry") or {}).get("us")


def limit_of(
    limits: Limits, sources: dict[str, Any], provider: str, model: str, names: list[str]
) -> dict[str, Any] | None:
    """What litellm knows of a priced model, under the name it uses for it."""
    plain = [model, *(name.rstrip("*") for name in names)]
    if provider == "openai":
        return limits.first(*plain)
    if provider == "anthropic":
        stems = [name.removesuffix("-latest") for name in plain]
        return limits.first(*plain, *stems, *(f"vertex_ai/{stem}" for stem in stems))
    vendor, _, rest = model.lstrip("~").partition(":")[0].partition("/")
    if vendor in ("openai", "anthropic"):
        entry = sources[vendor].find_model(rest)
        if entry is None:
            return None
        theirs = [] if entry.match is None else sorted(set(names_of(entry.match)))
        exact = [rest] if vendor == "openai" else []
        return limits.first(*exact) or limit_of(limits, sources, vendor, entry.id, theirs)
    if vendor in VENDORS:
        return limits.first(VENDORS[vendor] + rest)
    return None


def main() -> None:
    default = Path(__file__).parents[2] / "pipeline" / "data" / "models.json"
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    text = json.dumps(build(), separators=(",", ":"), ensure_ascii=False)
    # One model a line: a regenerated file shows in a diff what changed.
    text = text.replace("}]],[", "}]],\n[").replace("]],", "]],\n").replace("\n\n", "\n") + "\n"
    output.write_text(text)
    print(f"{output}: {len(text.encode()):,} bytes")


if __name__ == "__main__":
    main()
