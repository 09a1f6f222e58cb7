"""The arithmetic of a bill: one usage times one row of rates."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from scallion._prices import PriceRow  # noqa: TC001 - msgspec reads the annotation

if TYPE_CHECKING:
    from scallion._prices import Rate
    from scallion.types import Usage

ZERO = Decimal(0)


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """The cost of one call.

    Attributes:
        total: US dollars.
        breakdown: `total` by what was paid for: `input`, `cache_read`, `cache_write`,
            `cache_write_1h`, `input_audio`, `input_image`, `output`, `reasoning`, `output_audio`,
            `output_image`, `web_search`, `compaction`, `advisor`; or `billed` (and `upstream`) if
            the provider itself stated the cost.
        exact: False if something had to be assumed: tokens, rates for that service tier or route, or a
            usage that does not say which of its tokens are which.
        row: The rates that were used; `None` if the provider stated the cost.
    """

    total: Decimal
    breakdown: dict[str, Decimal]
    exact: bool = True
    row: PriceRow | None = None

    def __float__(self) -> float:
        return float(self.total)


def charge(row: PriceRow, usage: Usage, searches: int, *, confined: bool) -> Cost | None:
    """Multiply out one usage; `None` if it has tokens or searches that have no rate.

    `confined` is for inference that was confined to the US.
    """
    rates = row.rates
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    read = _beside(usage, "cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens")
    write = _beside(usage, "cache_creation_input_tokens")
    write_1h = heard = seen = reasoned = said = drawn = 0
    if (given := usage.prompt_tokens_details) is not None:
        read = given.cached_tokens or read
        write = given.cache_write_tokens or write
        write_1h = min(given.cache_write_1h_tokens or 0, write)
        # Without a rate of its own a kind of token is priced like text.
        heard = (given.audio_tokens or 0) if rates.input_audio is not None else 0
        seen = (given.image_tokens or 0) if rates.input_image is not None else 0
    if (made := usage.completion_tokens_details) is not None:
        reasoned = made.reasoning_tokens or 0
        said = (made.audio_tokens or 0) if rates.output_audio is not None else 0
        drawn = (made.image_tokens or 0) if rates.output_image is not None else 0

    hidden = max(0, usage.total_tokens - prompt - completion)
    if hidden and hidden == read + write:  # Amazon's way: what is cached is beside the prompt
        prompt, hidden = prompt + hidden, 0
    fresh = prompt - read - write - heard - seen
    # No usage says which of the cached tokens were sound or images. Text first is the dearer guess.
    mixed = bool(read and (heard or seen))
    twice = max(0, -fresh)
    read_audio = min(heard, read, twice)
    read_image = min(seen, read - read_audio, twice - read_audio)
    # xAI counts thinking beside the completion, and so does Gemini, which tells it in no other way.
    guessed = hidden > 0 and reasoned == 0
    if guessed:
        reasoned = hidden
    rest = completion - (0 if hidden == reasoned else reasoned) - said - drawn
    sound = fresh >= 0 and rest >= 0 and not guessed
    exact = row.exact and sound and not mixed and not (confined and rates.us is None)
    if rest < 0:
        rest = completion  # a server that counts reasoning beside the completion, without a total

    parts: list[tuple[str, int, Rate | None]] = [("input", fresh, rates.input)]
    if read:
        cached = _either(rates.cache_read, rates.input)
        parts.append(("cache_read", read - read_audio - read_image, cached))
        if mixed:
            parts.append(("cache_read", read_audio, _either(rates.cache_read_audio, cached)))
            parts.append(("cache_read", read_image, _either(rates.cache_read_image, cached)))
    if write:
        written = _either(rates.cache_write, rates.input)
        parts.append(("cache_write", write - write_1h, written))
        parts.append(("cache_write_1h", write_1h, _either(rates.cache_write_1h, written)))
    if heard or seen:
        parts.append(("input_audio", heard - read_audio, rates.input_audio))
        parts.append(("input_image", seen - read_image, rates.input_image))
    parts.append(("output", rest, rates.output))
    if reasoned:
        parts.append(("reasoning", reasoned, _either(rates.reasoning, rates.output)))
    if made is not None:
        parts.append(("output_audio", said, rates.output_audio))
        parts.append(("output_image", drawn, rates.output_image))
    breakdown: dict[str, Decimal] = {}
    total = ZERO
    for name, tokens, rate in parts:
        if tokens > 0:
            if rate is None:
                return None
            part = (_step(rate, prompt) * tokens).scaleb(-6)
            if confined and rates.us is not None:
                part *= _step(rates.us, prompt)
            breakdown[name] = breakdown[name] + part if name in breakdown else part
            total += part
    if searches > 0:
        if rates.web_search is None:
            return None
        breakdown["web_search"] = part = (_step(rates.web_search, prompt) * searches).scaleb(-3)
        total += part
    return Cost(total=total, breakdown=breakdown, exact=exact, row=row)


def _beside(usage: Usage, *names: str) -> int:
    """A count that a server gives beside the details: Moonshot, DeepSeek and LiteLLM's proxy do."""
    extra = usage.model_extra
    counts = [extra.get(name) for name in names] if extra is not None else []
    return next((count for count in counts if isinstance(count, int) and count > 0), 0)


def _either(rate: Rate | None, default: Rate | None) -> Rate | None:
    return default if rate is None else rate


def _step(rate: Rate, prompt_tokens: int) -> Decimal:
    """The rate for a prompt of this length."""
    if not isinstance(rate, tuple):
        return rate
    found = rate[0]
    for place in range(1, len(rate), 2):
        if prompt_tokens > rate[place]:
            found = rate[place + 1]
    return found
