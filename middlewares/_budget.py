"""Spend no more than was allowed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from scallion._layer import Layer, not_default
from scallion.costs import load_prices, price
from scallion.exceptions import BudgetExceededError, InvalidRequestError, UnknownPriceError
from scallion.stores import Claim, Refusal, Window
from scallion.stores._protocol import MAX_AMOUNT, as_store
from scallion.types import Usage

from ._charge import charge_of
from ._seldom import Seldom
from ._worst_case import OUTPUT_LIMITS, as_sent, provider_of, stand_ins, worst_case

if TYPE_CHECKING:
    from pathlib import Path

    from scallion._pipeline import Handler
    from scallion._request import Attempt, AttemptWatcher, Request
    from scallion._response import Response
    from scallion.costs import PriceTable
    from scallion.stores import Balance, Reservation, Store

    Money = Decimal | float | str
    Per = Literal["pipeline", "tenant", "model"] | Callable[[Request], str | None]

NANO = Decimal(10) ** 9
"""Stores count in whole numbers: money in billionths of a dollar."""


class Remaining(NamedTuple):
    """What a budget has left, reservations taken off; `None` for a unit that has no limit."""

    usd: Decimal | None
    tokens: int | None


class BudgetLayer(Layer):
    """What `budget()` returns: the layer, and a look into its account."""

    __slots__ = ("_balances", "_store")

    def __init__(self, arguments: dict[str, Any], run: Any, balances: Any, store: Store) -> None:
        super().__init__("budget", __name__, arguments, run)
        self._balances = balances
        self._store = store

    async def remaining(self, key: str | None = None) -> Remaining:
        """What is left for `key`: a tenant, a model, or whatever `per` tells apart."""
        left: Remaining = await self._balances(key)
        return left

    async def aclose(self) -> None:
        """Finish what is still to be settled, and close the store's connections."""
        await self._store.aclose()


def budget(
    *,
    usd: Money | None = None,
    tokens: int | None = None,
    per: Per = "pipeline",
    window: float | timedelta | Window | None = None,
    store: Store | None = None,
    unknown_price: Literal["refuse", "allow"] | Mapping[str, Any] = "refuse",
    max_output_tokens: int | None = None,
    prices: PriceTable | str | Path | None = None,
    name: str = "budget",
    hold: float = 3600.0,
    on_error: Literal["raise", "pass"] = "raise",
    warn_at: Sequence[float] = (),
    on_warning: Callable[[str, float], object] | None = None,
) -> BudgetLayer:
    """Refuse calls that could spend more than is left.

    Before each attempt the most that it can cost is reserved: the upper estimate of the prompt, and
    all the output that it may generate. Afterwards the true cost is settled, in every way that a
    call can end. So calls at the same time can never spend the same money, also from several
    processes that share a store; and every try of a `retry()` or a `fallback()` further in is
    reserved for again, by the price of its own model.

    What it cannot foresee is not held back: a server tool's fees, and the output of models whose
    limit nobody knows (give `max_output_tokens` for those).

    Args:
        usd: The most to spend, in US dollars.
        tokens: The most to use, in tokens, prompts and completions together.
        per: Whose budget it is: one for the `"pipeline"`, or one for each `"tenant"` or `"model"`,
            or for each value of a function of the request.
        window: Seconds over which the limit holds, beginning anew at multiples of it (86 400 is a
            day in UTC); a `Window(seconds, sliding=True)` ends now, always. By default for ever.
        store: Where the account is kept: `memory()`, `sqlite(path)` or `redis(url)`.
        unknown_price: What to do under a limit in US dollars if the price is not known: `"refuse"`,
            `"allow"` without counting it, or rates to assume (`{"input": 5, "output": 20}`, USD per
            million tokens).
        max_output_tokens: The most that an answer may have, where the call does not say. It is sent
            to the provider as `max_tokens`. By default the model's own limit is reserved for.
        prices: A price table, the path of a prices file, or `"genai-prices"`.
        name: The account's name in the store; budgets of one name in one store are one budget.
        hold: Seconds after which the reservation of a process that died is given back. More than
            the longest call takes.
        on_error: What to do if the store fails or is slow: `"raise"` fails the call, before anything
            is sent; `"pass"` lets it go on, uncounted, with a warning (logger `scallion`) once a
            minute.
        warn_at: Fractions of a limit (0.8, …) that `on_warning` is called at, once for each key and
            window.
        on_warning: Called with the key and the fraction that spending has reached, when a call has
            been settled.

    Raises:
        ValueError: no limit was given, or one that makes no sense.
    """
    given = not_default(budget, locals())
    if usd is None and tokens is None:
        raise ValueError("budget() needs a limit: usd= or tokens=")
    limits = {"usd": None if usd is None else _dollars(usd), "tokens": tokens}
    for unit, limit in limits.items():
        if limit is not None and not 0 <= limit <= MAX_AMOUNT:
            most = f"{MAX_AMOUNT // NANO:,}" if unit == "usd" else f"{MAX_AMOUNT:,}"
            raise ValueError(f"the limit {unit}= must be from 0 to {most}, whole for tokens")
    if isinstance(unknown_price, str) and unknown_price not in ("refuse", "allow"):
        raise ValueError(f'unknown_price must be "refuse", "allow" or rates, not {unknown_price!r}')
    if not hold > 0:
        raise ValueError(f"hold must be seconds above 0, not {hold!r}")
    if not callable(per) and per not in ("pipeline", "tenant", "model"):
        raise ValueError(f'per must be "pipeline", "tenant", "model" or a function, not {per!r}')
    if on_error not in ("raise", "pass"):
        raise ValueError(f'on_error must be "raise" or "pass", not {on_error!r}')
    table = load_prices(prices)
    account = as_store(store)
    span = _window(window)
    assumed = _assumed(unknown_price) if isinstance(unknown_price, Mapping) else None
    marks = sorted(warn_at)
    warned: dict[str, tuple[float, float | None]] = {}
    guard_key = object()
    warn_failed = Seldom("budget(): the store %s failed, and calls go on uncounted: %s")

    def claims_on(key: str, amounts: Mapping[str, int]) -> dict[str, Claim]:
        return {
            unit: Claim(f"{name}:{unit}:{key}", amounts[unit], limit, span)
            for unit, limit in limits.items()
            if limit is not None and unit in amounts
        }

    async def admit(request: Request) -> AttemptWatcher | None:
        from scallion.tokens import warm_up

        request = as_sent(request)
        try:
            await warm_up(request.model or "", provider=provider_of(request))
            worst = worst_case(request, max_output_tokens=max_output_tokens)
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            raise InvalidRequestError(
                f"what this request could cost cannot be told: {error}", model=request.model
            ) from error
        amounts = {"tokens": min(worst.total_tokens, MAX_AMOUNT)}
        if usd is not None:
            provider, tier = provider_of(request), request.params.get("service_tier")
            models = [request.model or "", *stand_ins(request.params)]
            costs = [_price(each, worst, table, assumed, provider, tier) for each in models]
            asked = None if None in costs else max(cost for cost in costs if cost is not None)
            if asked is None and unknown_price == "refuse":
                raise UnknownPriceError(
                    f"no price is known for {request.model}, so a budget in US dollars cannot hold "
                    "for it: register_price() sets one, or pass budget(unknown_price=…)"
                )
            if asked is not None:
                amounts["usd"] = _nano(asked)
        key = _key(per, request)
        claims = claims_on(key, amounts)
        if not claims:
            return None
        try:
            held = await account.reserve(*claims.values(), ttl=hold)
        except Exception as error:
            if on_error == "raise":
                raise
            warn_failed(request.context.clock, account.url, error)
            return None
        if isinstance(held, Refusal):
            short = next(unit for unit, claim in claims.items() if claim == held.claim)
            raise _refused(held, short, key, request)

        def settle(attempt: Attempt | None) -> None:
            if attempt is None:
                account.soon(account.release, held)
                return
            actual = _actual(attempt, request, table, assumed, amounts)
            spent = [actual[unit] for unit in claims]
            if marks and on_warning is not None:
                account.soon(settle_and_warn, held, spent, key, list(claims.values()), on_warning)
            else:
                account.soon(account.settle, held, *spent)

        return settle

    async def settle_and_warn(held: Reservation, spent: list[int], *about: Any) -> None:
        await account.settle(held, *spent)
        await warn(*about)

    async def warn(key: str, claims: list[Claim], callback: Callable[[str, float], object]) -> None:
        for claim in claims:
            now = await account.balance(claim.key, window=span)
            reached = max((mark for mark in marks if now.spent >= mark * claim.limit), default=None)
            before, until = warned.pop(claim.key, (-1.0, None))
            if reached is None:
                continue
            resets_at = now.resets_at
            # One whole window later all that was warned of is forgotten.
            anew = span and until and resets_at and resets_at >= until + span.seconds
            news = bool(anew) or reached > before
            warned[claim.key] = reached, resets_at if news else until
            if news:
                callback(key, reached)

    async def balances(key: str | None) -> Remaining:
        found: dict[str, Balance] = {}
        for unit, claim in claims_on(_everyone(per, key), {"usd": 0, "tokens": 0}).items():
            found[unit] = await account.balance(claim.key, window=span)
        left = {
            unit: max((limits[unit] or 0) - balance.spent - balance.reserved, 0)
            for unit, balance in found.items()
        }
        return Remaining(
            usd=Decimal(left["usd"]) / NANO if "usd" in left else None, tokens=left.get("tokens")
        )

    async def middleware(request: Request, call_next: Handler) -> Response:
        request = request.guard_attempts(guard_key, admit)
        limited = any(request.params.get(limit) is not None for limit in OUTPUT_LIMITS)
        if max_output_tokens is not None and not limited:
            params = {**request.params, "max_tokens": max_output_tokens}
            request = request.replace(params=params)
        return await call_next(request)

    return BudgetLayer(given, middleware, balances, account)


def _price(
    model: str,
    usage: Usage,
    table: PriceTable,
    assumed: Mapping[str, Decimal] | None,
    provider: str | None = None,
    tier: Any = None,
) -> Decimal | None:
    """The price in whichever tier is dearer: one that is asked for may not be the one that serves.

    Likewise the tokens may turn out to be plain ones, which some providers charge more for than for
    writing to their cache (Google).
    """
    plain = Usage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        model_extra=usage.model_extra,
    )
    for whose in (provider, None):
        costs = [
            price(model, tokens, provider=whose, service_tier=each, prices=table)
            for each in (None, *((tier,) if isinstance(tier, str) else ()))
            for tokens in (usage, plain)
        ]
        known = [cost.total for cost in costs if cost is not None]
        if known:
            return max(known)
    if assumed is None:
        return None
    spent = usage.prompt_tokens * assumed["input"] + usage.completion_tokens * assumed["output"]
    return spent / 10**6


def _actual(
    attempt: Attempt,
    request: Request,
    table: PriceTable,
    assumed: Mapping[str, Decimal] | None,
    reserved: Mapping[str, int],
) -> dict[str, int]:
    """What an attempt really used; what cannot be known is what was reserved."""
    charge = charge_of(attempt, request, table)
    usage = charge.usage or Usage()
    actual = dict(reserved)
    # What a provider reports is not to be trusted with the account: never less than nothing.
    used = max(usage.prompt_tokens + usage.completion_tokens, usage.total_tokens, 0)
    actual["tokens"] = min(used, MAX_AMOUNT)
    if charge.cost is not None:
        actual["usd"] = _nano(charge.cost.total)
    elif assumed is not None:
        actual["usd"] = _nano(_price("", usage, table, assumed) or Decimal(0))
    return actual


def _assumed(rates: Mapping[str, Any]) -> dict[str, Decimal]:
    """Both rates: one that is misspelt or left out would be a silent zero."""
    try:
        found = {side: Decimal(str(rate)) for side, rate in rates.items()}
    except InvalidOperation:
        found = {}
    sane = all(rate.is_finite() and rate >= 0 for rate in found.values())
    if found.keys() != {"input", "output"} or not sane:
        raise ValueError(
            f"unknown_price takes {{'input': …, 'output': …}} in US dollars per million tokens, "
            f"not {rates!r}"
        )
    return found


def _refused(refusal: Refusal, unit: str, key: str, request: Request) -> BudgetExceededError:
    claim = refusal.claim

    def shown(amount: int) -> Decimal | int:
        return Decimal(amount) / NANO if unit == "usd" else amount

    sign = "$" if unit == "usd" else ""
    return BudgetExceededError(
        f"the budget of {sign}{shown(claim.limit)} {'' if sign else 'tokens '}for {key!r} does not "
        f"cover {request.model}: {sign}{shown(claim.amount)} could be needed, "
        f"{sign}{shown(refusal.spent)} is spent and {sign}{shown(refusal.reserved)} reserved",
        key=key,
        unit=unit,
        limit=shown(claim.limit),
        spent=shown(refusal.spent),
        reserved=shown(refusal.reserved),
        asked=shown(claim.amount),
        resets_at=refusal.resets_at,
    )


def _key(per: Per, request: Request) -> str:
    if callable(per):
        found = per(request)
        return "-" if found is None else str(found)
    if per == "tenant":
        return request.context.tenant or "-"
    return (request.model or "-") if per == "model" else "pipeline"


def _everyone(per: Per, key: str | None) -> str:
    if per == "pipeline":
        return "pipeline"
    return "-" if key is None else key


def _window(window: float | timedelta | Window | None) -> Window | None:
    if window is None or isinstance(window, Window):
        return window
    if isinstance(window, timedelta):
        return Window(window.total_seconds())
    if not isinstance(window, (int, float)):
        raise TypeError(f"window must be seconds, a timedelta or a Window, not {window!r}")
    return Window(float(window))


def _dollars(usd: Money) -> int:
    """A limit in billionths."""
    with suppress(InvalidOperation):
        amount = Decimal(str(usd))
        if amount.is_finite():
            return int((amount * NANO).to_integral_value(ROUND_CEILING))
    raise ValueError(f"the limit usd= must be an amount, not {usd!r}")


def _nano(amount: Decimal) -> int:
    # Rounded up: a billionth too much is harmless, and a limit must not be overshot by rounding.
    return min(max(int((amount * NANO).to_integral_value(ROUND_CEILING)), 0), MAX_AMOUNT)
