"""What a token costs: rows of rates by model, date and mode, and the table that finds them.

All rates are US dollars: per million tokens, but `web_search`: per thousand searches. A rate is one
number, or `[base, start, rate, start, rate, …]` where it depends on the length of the prompt: with
more than `start` prompt tokens every token of the call costs the rate that follows. A model has a
row of standard rates, further ones `from` a date on (the last that has begun counts), and rows for
a `mode` (`batch`, `flex`, `priority`, `fast`) that replace some of the standard rates.
"""

from __future__ import annotations

import time
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from scallion import _models

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Rate: TypeAlias = Decimal | tuple[Decimal, ...]

_DAY = 86_400
# The day number (since 1970) of date.min's ordinal, to turn one into the other.
_EPOCH = date(1970, 1, 1).toordinal()


class Rates(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One row of the data file, or of a prices file of your own. See above for the units.

    Attributes:
        since: First day (UTC) of the row, `from` in JSON; none means always.
        mode: The mode that these rates are for; none means the standard rates.
        cache_write: Writing to the provider's prompt cache, for five minutes where there is a
            choice. Without a rate of their own, cached and written tokens cost what input costs.
        us: Factor on all tokens if the inference is confined to the US (Anthropic).
    """

    since: date | None = msgspec.field(default=None, name="from")
    mode: str | None = None
    input: Rate | None = None
    output: Rate | None = None
    cache_read: Rate | None = None
    cache_write: Rate | None = None
    cache_write_1h: Rate | None = None
    reasoning: Rate | None = None
    input_audio: Rate | None = None
    output_audio: Rate | None = None
    cache_read_audio: Rate | None = None
    input_image: Rate | None = None
    output_image: Rate | None = None
    cache_read_image: Rate | None = None
    web_search: Rate | None = None
    us: Rate | None = None


class PriceRow(msgspec.Struct, frozen=True):
    """The rates that applied to one call.

    Attributes:
        model: The model's name in the table.
        mode: The mode whose rates are in force, `None` for the standard ones.
        since: The day on which the standard rates began, if the table knows one.
        exact: False if the table has no rates for the mode or the route that was asked for, so that
            others stand in.
        source: Who says so: `genai-prices 0.2.3`, a file's path, or `registered`.
    """

    model: str
    provider: str | None
    rates: Rates
    mode: str | None
    since: date | None
    exact: bool
    source: str


_NAMES = Rates.__struct_fields__[2:]


class PriceTable:
    """Prices by model: the ones that come with the package, and yours on top.

    Args:
        prices: Your own: model names to one row of rates or a list of rows. A name ends in `*` to
            mean every name that begins so, and begins with a provider (`openai/`, `anthropic/`,
            `openrouter/`, `fake/`, …) to mean that provider's model alone.
        source: Who says so, for the row that a cost shows.
    """

    def __repr__(self) -> str:
        return "PriceTable()"

    def __init__(
        self,
        prices: Mapping[str, Rates | Sequence[Rates]] | None = None,
        *,
        source: str = "registered",
    ) -> None:
        self._own: dict[str | None, dict[str, tuple[list[Rates], str]]] = {}
        self._indexes: dict[str | None, tuple[_models.Index, list[str]]] = {}
        self._found: dict[tuple[str, str | None, str | None, int], PriceRow | None] = {}
        for model, rows in (prices or {}).items():
            self._add(model, None, [rows] if isinstance(rows, Rates) else list(rows), source)

    @classmethod
    def from_file(cls, path: str | Path) -> PriceTable:
        """Read a JSON file: an object of model names to a row of rates or a list of rows.

        `{"my-model": {"input": 0.2, "output": 0.8}, "gpt-4o*": [{…}, {"mode": "batch", …}]}`

        Raises:
            OSError: the file cannot be read.
            ValueError: it is not JSON, has an unknown field, or a negative rate.
        """
        decoded = msgspec.json.decode(
            Path(path).read_bytes(), type=dict[str, Rates | list[Rates]], strict=True
        )
        return cls(decoded, source=str(path))

    def register(
        self,
        model: str,
        *,
        provider: str | None = None,
        input: Any,
        output: Any,
        **rates: Any,
    ) -> None:
        """Set the price of a model, in place of whatever the table says of that name.

        Args:
            model: A name as in `PriceTable`.
            provider: Whose model; without it the price is for this name at every provider.
            input: USD per million prompt tokens: a number or its text, or steps (see `Rates`).
            output: USD per million completion tokens.
            rates: Further fields of `Rates`.
        """
        given = {"input": input, "output": output, **rates}
        unknown = given.keys() - set(_NAMES)
        if unknown:
            raise TypeError(f"no such rate: {', '.join(sorted(unknown))}; there are {_NAMES}")
        self._add(model, provider, [Rates(**given)], "registered")

    def row(
        self,
        model: str,
        provider: str | None = None,
        *,
        mode: str | None = None,
        day: date | None = None,
    ) -> PriceRow | None:
        """The rates of `model` on a day (UTC; default: today), or `None` if it has no known price."""
        number = int(time.time() // _DAY) if day is None else day.toordinal() - _EPOCH
        key = (model, provider, mode, number)
        try:
            return self._found[key]
        except KeyError:
            pass
        if len(self._found) >= 4096:
            self._found.clear()
        known = self._found  # another thread may state a price meanwhile
        row = known[key] = self._find(model, provider, mode, date.fromordinal(number + _EPOCH))
        return row

    def _add(self, model: str, provider: str | None, rows: list[Rates], source: str) -> None:
        rows = [checked(model, row) for row in rows]
        readings = _models.candidates(model, provider)
        # A bare name has readings at several providers: it is for every provider.
        bare = len({owner for owner, _ in readings}) > 1
        owner, name = (None, readings[0][1]) if bare else readings[0]
        own = self._own.setdefault(owner, {})
        own[name] = (rows, source)
        # The first match wins: a whole name before a prefix, a long prefix before a short one.
        names = sorted(own, key=lambda each: (each.endswith("*"), -len(each)))
        self._indexes[owner] = _models.Index([(each,) for each in names]), names
        self._found = {}

    def _find(
        self, model: str, provider: str | None, mode: str | None, day: date
    ) -> PriceRow | None:
        found = self._registered(model, provider, mode, day)
        if found is not None:
            return found
        # OpenAI and Anthropic answer in the name of a snapshot. The price that was stated for the
        # model is meant for it, unless the snapshot is known as another model.
        undated = _models.undated(model, provider)
        if undated is not None:
            found = self._registered(undated, provider, mode, day)
        return found or self._listed(model, provider, mode, day)

    def _registered(
        self, model: str, provider: str | None, mode: str | None, day: date
    ) -> PriceRow | None:
        """What was stated for just this name."""
        readings = _models.candidates(model, provider)
        # Names with a prefix that only the caller knows (`fake/…`, `vllm/…`) are kept as they are.
        whole = [(None, f"{owner}/{name}") for owner, name in readings if provider is not None]
        anywhere = [(None, name) for _, name in readings]
        for owner, name in (*readings, *whole, *anywhere):
            if (index := self._indexes.get(owner)) is not None:
                place = index[0].find(name)
                if place is not None:
                    rows, source = self._own[owner][index[1][place]]
                    return select(rows, mode, day, model=name, provider=provider, source=source)
        return None

    def _listed(
        self, model: str, provider: str | None, mode: str | None, day: date
    ) -> PriceRow | None:
        """What the package's own data says."""
        found = _models.resolve(model, provider)
        if found is None or found.entry is None:
            return None
        rows = _rows_decoder().decode(found.entry.rates)
        row = select(
            rows, mode, day, model=found.entry.id, provider=found.provider, source=_source()
        )
        if row is None or found.exact:
            return row
        return msgspec.structs.replace(row, exact=False)


def select(
    rows: Sequence[Rates],
    mode: str | None,
    day: date,
    *,
    model: str,
    provider: str | None,
    source: str,
) -> PriceRow | None:
    """The rates in force on `day` in `mode`, out of all of a model's rows."""
    standard = None
    for row in rows:
        if row.mode is None and (standard is None or row.since is None or row.since <= day):
            standard = row
    if standard is None:
        return None
    rates = {name: getattr(standard, name) for name in _NAMES}
    own: dict[str, Rate] = {}
    for row in rows:
        if mode is not None and row.mode == mode and (row.since is None or row.since <= day):
            named = {name: getattr(row, name) for name in _NAMES}
            own = {name: value for name, value in named.items() if value is not None} | own
    return PriceRow(
        model=model,
        provider=provider,
        rates=Rates(**(rates | own)),
        mode=mode if own else None,
        since=standard.since,
        exact=mode is None or bool(own),
        source=source,
    )


def rate_of(value: Any) -> Rate:
    """A rate from what people write: a number, its text, or steps.

    Raises:
        ValueError: it is none of these.
    """
    try:
        if isinstance(value, (list, tuple)):
            return tuple(Decimal(str(part)) for part in value)
        return Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f"not a rate: {value!r}") from None


def checked(model: str, row: Rates) -> Rates:
    """A row as people write it, with `Decimal`s. Raises `ValueError` for a rate that cannot be."""
    read: dict[str, Any] = {}
    for name in _NAMES:
        value = getattr(row, name)
        if value is None:
            continue
        rate = read[name] = rate_of(value)
        steps = rate if isinstance(rate, tuple) else (rate,)
        starts = steps[1::2]
        if len(steps) % 2 == 0 or list(starts) != sorted(starts):
            raise ValueError(f"{model}: {name} must be [rate, start, rate, …], starts ascending")
        if any(not step.is_finite() or step < 0 for step in steps):
            raise ValueError(f"{model}: {name} must be finite and not negative, not {value}")
    return msgspec.structs.replace(row, **read)


@cache
def _rows_decoder() -> msgspec.json.Decoder[list[Rates]]:
    return msgspec.json.Decoder(list[Rates])  # takes 2 ms to make, which an import should not


@cache
def _source() -> str:
    return _models.load().about["prices"].partition(",")[0]


@cache
def default_table() -> PriceTable:
    """The table that the functions of `scallion.costs` use if given none.

    It is the one object in Scallion that a call can change for the whole process, and
    `register_price` is that call: an application states a price once, where it starts.
    """
    return PriceTable()
