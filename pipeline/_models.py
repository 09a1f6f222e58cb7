"""Which model a name means, and what is known of it: the reader of data/models.json.

A name is matched exactly, by the rules that genai-prices keeps for each provider: an entry lists
the names it answers to, some of them prefixes (`claude-3-opus*`) or with a date in their last place
(`gpt-6-sol-YYYY-MM-DD`). The first entry that matches wins. Nothing is ever matched by substring:
`gpt-4` is not `gpt-4o`.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import msgspec

__all__ = ["ModelInfo", "model_info"]

OWN_PREFIXES = ("openai", "anthropic", "openrouter")
# Suffixes by which OpenRouter routes the same model differently; others (`:free`) are own models.
_ROUTES = (":nitro", ":floor", ":online", ":exacto")
# Amazon's names of Claude: us.anthropic.claude-sonnet-4-5-20250929-v1:0, also at the end of an ARN.
_BEDROCK = re.compile(r"(?:arn:.*/)?(?:[a-z-]+\.)?anthropic\.(claude-.+?)(?:-v\d+)?(?::\w+)*")
_DATE = re.compile(r"(?<=[-@])(?:\d{8}|\d{4}-\d{2}-\d{2})$")
_COMPACT_DATE = re.compile(r"-(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")


class ModelInfo(msgspec.Struct, frozen=True):
    """What is known of a model. `None` is "not known", never "no".

    Limits are tokens. The facts are litellm's published ones (context windows also genai-prices'),
    as of the versions named in data/models.json.

    Attributes:
        id: The model's name in the data; a dated snapshot has the name of its model where the two
            do not differ.
        provider: `openai`, `anthropic` or `openrouter`.
        context_window: Input and output together, where the provider counts them so.
        deprecation_date: When the provider means to switch it off, as YYYY-MM-DD.
        sampling_params: Whether `temperature`, `top_p` and `top_k` are accepted (Anthropic).
        adaptive_thinking: Whether `thinking: {"type": "adaptive"}` is (Anthropic).
    """

    id: str
    provider: str
    context_window: int | None = None
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    deprecation_date: str | None = None
    tools: bool | None = None
    parallel_tools: bool | None = None
    tool_choice: bool | None = None
    response_schema: bool | None = None
    reasoning: bool | None = None
    vision: bool | None = None
    pdf_input: bool | None = None
    audio_input: bool | None = None
    audio_output: bool | None = None
    prompt_caching: bool | None = None
    web_search: bool | None = None
    computer_use: bool | None = None
    streaming: bool | None = None
    system_messages: bool | None = None
    assistant_prefill: bool | None = None
    sampling_params: bool | None = None
    adaptive_thinking: bool | None = None


def model_info(model: str, provider: str | None = None) -> ModelInfo | None:
    """What is known of `model`: context window, output limit and capabilities.

    Args:
        model: A name, alias or dated snapshot, with or without an adapter's prefix (`openai/`,
            `anthropic/`, `openrouter/`).
        provider: Whose model it is. Without it the prefix decides, then the known names of OpenAI,
            Anthropic and OpenRouter, in this order.

    Returns:
        `None` for a model that the data does not know.
    """
    return _model_info(model, provider)


class Limits(msgspec.Struct, array_like=True, frozen=True):
    """An entry's facts; bit n of `yes` or `no` is the flag at n of the file's `flags`."""

    context_window: int | None = None
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    yes: int = 0
    no: int = 0
    deprecation_date: str | None = None


class Entry(msgspec.Struct, array_like=True, frozen=True):
    """A model of one provider. No `names` means: only its id. `rates` is read in `_prices`."""

    id: str
    names: list[str]
    limits: Limits | None
    rates: msgspec.Raw


class Data(msgspec.Struct, frozen=True):
    """The file as it stands."""

    about: dict[str, str]
    flags: list[str]
    models: dict[str, list[Entry]]
    snapshots: dict[str, dict[str, Limits]]


class Name(NamedTuple):
    """A model's name as one provider knows it, with the entry that it means, if any."""

    provider: str
    model: str
    entry: Entry | None
    limits: Limits | None
    exact: bool
    """False for a route of OpenRouter's or Amazon's: the same model, at a price of its own."""


@cache
def load() -> Data:
    """The data file, read once."""
    path = Path(__file__).with_name("data") / "models.json"
    return msgspec.json.decode(path.read_bytes(), type=Data)


class Index:
    """One provider's names. A list of names can be built anew cheaply; see `_prices`."""

    def __init__(self, names: list[tuple[str, ...]]) -> None:
        self.exact: dict[str, int] = {}
        self.prefixes: list[tuple[str, int]] = []
        for place, accepted in enumerate(names):
            for name in accepted:
                if name.endswith("*"):
                    self.prefixes.append((name[:-1], place))
                else:
                    self.exact.setdefault(name, place)

    def find(self, name: str) -> int | None:
        """The place of the first entry that answers to `name`."""
        found = self._match(name)
        if found is None:
            # OpenRouter and litellm write dates without dashes.
            dashed = _COMPACT_DATE.sub(r"-\1-\2-\3", name)
            found = self._match(dashed) if dashed != name else None
        return found

    def _match(self, name: str) -> int | None:
        places = [place for prefix, place in self.prefixes if name.startswith(prefix)]
        exact = self.exact.get(name)
        if exact is not None:
            places.append(exact)
        if date := _DATE.search(name):
            form = "YYYYMMDD" if len(date[0]) == 8 else "YYYY-MM-DD"
            dated = self.exact.get(name[: date.start()] + form)
            if dated is not None:
                places.append(dated)
        return min(places, default=None)


@cache
def _index(provider: str) -> Index:
    entries = load().models[provider]
    return Index([tuple(entry.names) or (entry.id,) for entry in entries])


@lru_cache(maxsize=1024)
def resolve(model: str, provider: str | None = None) -> Name | None:
    """Find `model` among the models of `provider`, or of whichever provider it belongs to."""
    for owner, name in candidates(model, provider):
        if (found := _resolve_in(owner, name)) is not None:
            return found
    return None


def undated(model: str, provider: str | None = None) -> str | None:
    """The name of the model that `model` is a dated snapshot of, if the two are one entry."""
    name = model.strip().lower()
    date = _DATE.search(name)
    if date is None:
        return None
    whole = name[: date.start() - 1]
    snapshot, found = resolve(name, provider), resolve(whole, provider)
    entry = None if snapshot is None else snapshot.entry
    same = entry is None or (found is not None and found.entry is entry)
    return whole if same else None


def candidates(model: str, provider: str | None) -> list[tuple[str, str]]:
    """The readings of a name, likeliest first: pairs of provider and the name it would use."""
    name = model.strip().lower()
    prefix, _, rest = name.partition("/")
    if provider is not None:
        owner = provider.strip().lower()
        readings = [(owner, rest)] if prefix == owner and rest else []
        # "openrouter/auto" and OpenRouter's "openai/gpt-4o" are names with their slash.
        if owner == "openrouter":
            return [*readings, (owner, name)]
        return readings or [(owner, name)]
    if prefix in OWN_PREFIXES and rest:
        whole = [("openrouter", name)] if prefix == "openrouter" else []
        return [(prefix, rest), *whole]
    return [(owner, name) for owner in OWN_PREFIXES]


def _resolve_in(provider: str, name: str) -> Name | None:
    data = load()
    if provider not in data.models:
        return None
    place = _index(provider).find(name)
    entry = None if place is None else data.models[provider][place]
    limits = data.snapshots[provider].get(name)
    if name.startswith("ft:") and (limits or (entry and entry.limits)) is None:
        base = _resolve_in(provider, name.split(":")[1])
        limits = None if base is None else base.limits
    if entry is not None or limits is not None:
        group = None if entry is None else entry.limits
        return Name(provider, name, entry, limits or group, exact=True)
    if provider == "anthropic" and (amazons := _BEDROCK.fullmatch(name)):
        found = _resolve_in(provider, amazons[1])
        return None if found is None else found._replace(exact=False)
    if provider == "openrouter" and name.endswith(_ROUTES):
        found = _resolve_in(provider, name.rpartition(":")[0])
        return None if found is None else found._replace(exact=False)
    return None


@lru_cache(maxsize=1024)
def _model_info(model: str, provider: str | None) -> ModelInfo | None:
    found = resolve(model, provider)
    if found is None:
        return None
    entry = found.entry
    own = entry is None or entry.limits not in (None, found.limits)
    name = found.model if own or entry is None else entry.id
    limits = found.limits or Limits()
    flags = {
        flag: True if limits.yes >> bit & 1 else False if limits.no >> bit & 1 else None
        for bit, flag in enumerate(load().flags)
    }
    return ModelInfo(
        id=name,
        provider=found.provider,
        context_window=limits.context_window,
        max_input_tokens=limits.max_input_tokens,
        max_output_tokens=limits.max_output_tokens,
        deprecation_date=limits.deprecation_date,
        **flags,
    )
