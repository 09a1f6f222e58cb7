"""Spend no more than was allowed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from scallion._layer import Layer, not_default
from scallion.costs import load_prices, price
from scallion.exceptions import BudgetExceededError, InvalidRequestError, UnknownPriceError
from scallion.stores import Claim, Refusal, Window, memory
from scallion.stores._protocol import MAX_AMOUNT
from scallion.types import CompletionTokensDetails, PromptTokensDetails, Usage

from ._charge import charge_of

if TYPE_CHECKING:
    from pathlib import Path

    from scallion._pipeline import Handler
    from scallion._request import Attempt, AttemptWatcher, Request
    from scallion._response import Response
    from scallion.costs import PriceTable
    from scallion.stores import Balance, Reservation, Store

    Money = Decimal | float | str
    Per = Literal["pipeline", "tenant", "model"] | Callable[[Request], str]

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
        store: Where the account is kept: `memory()`, `sqlite(path)` or `redis(url)`. If it fails,
            the call fails.
        unknown_price: What to do under a limit in US dollars if the price is not known: `"refuse"`,
            `"allow"` without counting it, or rates to assume (`{"input": 5, "output": 20}`, USD per
            million tokens).
        max_output_tokens: The most that an answer may have, where the call does not say. It is sent
            to the provider as `max_tokens`. By default the model's own limit is reserved for.
        prices: A price table, the path of a prices file, or `"genai-prices"`.
        name: The account's name in the store; budgets of one name in one store are one budget.
        hold: Seconds after which the reservation of a process that died is given back. More than
            the longest call takes.
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
        if limit is not None and (not isinstance(limit, int) or not 0 <= limit <= MAX_AMOUNT):
            most = f"{MAX_AMOUNT // NANO:,}" if unit == "usd" else f"{MAX_AMOUNT:,}"
            raise ValueError(f"the limit {unit}= must be from 0 to {most}, whole for tokens")
    if isinstance(unknown_price, str) and unknown_price not in ("refuse", "allow"):
        raise ValueError(f'unknown_price must be "refuse", "allow" or rates, not {unknown_price!r}')
    table = load_prices(prices)
    account = memory() if store is None else store
    span = _window(window)
    assumed = unknown_price if isinstance(unknown_price, Mapping) else None
    marks = sorted(warn_at)
    warned: dict[str, tuple[float, float | None]] = {}
    guard_key = object()

    def claims_on(key: str, amounts: Mapping[str, int]) -> list[Claim]:
        return [
            Claim(f"{name}:{unit}:{key}", amounts[unit], limit, span)
            for unit, limit in limits.items()
            if limit is not None and unit in amounts
        ]

    async def admit(request: Request) -> AttemptWatcher | None:
        from scallion.tokens import warm_up

        request = _as_sent(request)
        await warm_up(request.model or "", provider=_provider(request))
        try:
            worst = worst_case(request, max_output_tokens=max_output_tokens)
        except (TypeError, ValueError, AttributeError) as error:
            raise InvalidRequestError(
                f"what this request could cost cannot be told: {error}", model=request.model
            ) from error
        amounts = {"tokens": min(worst.total_tokens, MAX_AMOUNT)}
        if usd is not None:
            tier = request.params.get("service_tier")
            asked = _price(request.model or "", worst, table, assumed, _provider(request), tier)
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
        held = await account.reserve(*claims, ttl=hold)
        if isinstance(held, Refusal):
            raise _refused(held, key, request)

        def settle(attempt: Attempt | None) -> None:
            if attempt is None:
                account.soon(account.release, held)
                return
            actual = _actual(attempt, request, table, assumed, amounts)
            spent = [actual[_unit(claim)] for claim in claims]
            if marks and on_warning is not None:
                account.soon(settle_and_warn, held, spent, key, claims, on_warning)
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
        for claim in claims_on(_everyone(per, key), {"usd": 0, "tokens": 0}):
            found[_unit(claim)] = await account.balance(claim.key, window=span)
        left = {
            unit: max((limits[unit] or 0) - balance.spent - balance.reserved, 0)
            for unit, balance in found.items()
        }
        return Remaining(
            usd=Decimal(left["usd"]) / NANO if "usd" in left else None, tokens=left.get("tokens")
        )

    async def middleware(request: Request, call_next: Handler) -> Response:
        request = request.guard_attempts(guard_key, admit)
        if max_output_tokens is not None and not _output_limit(request.params):
            params = {**request.params, "max_tokens": max_output_tokens}
            request = request.replace(params=params)
        return await call_next(request)

    return BudgetLayer(given, middleware, balances, account)


def worst_case(request: Request, *, max_output_tokens: int | None = None) -> Usage:
    """The most that a request can use.

    Raises:
        UnknownPriceError: nobody knows how much the model can generate.
    """
    from scallion._models import model_info
    from scallion.tokens import estimate

    prompt = estimate(request, provider=_provider(request)).upper
    limit = _output_limit(request.params) or max_output_tokens
    if limit is None:
        info = model_info(request.model or "")
        limit = None if info is None else info.max_output_tokens
    if limit is None:
        raise UnknownPriceError(
            f"nobody knows how much {request.model} can generate, so a budget cannot hold for it: "
            "pass max_tokens to the call or budget(max_output_tokens=…)"
        )
    completion = limit * max(int(request.params.get("n") or 1), 1)
    params = request.params
    # A prompt that is written to the cache costs more than one that is not, and so does sound.
    written = prompt if _writes_cache(request) else 0
    heard = prompt if _has_sound(request) else 0
    said = completion if "audio" in (params.get("modalities") or ()) else 0
    dearer = {name: params[name] for name in ("speed", "inference_geo") if params.get(name)}
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        prompt_tokens_details=PromptTokensDetails(
            cache_write_tokens=written, cache_write_1h_tokens=written, audio_tokens=heard
        ),
        completion_tokens_details=CompletionTokensDetails(audio_tokens=said),
        model_extra=dearer or None,
    )


def _provider(request: Request) -> str | None:
    """The name of the adapter that will send it; a handler of the caller's own has none."""
    return getattr(request.provider, "name", None)


def _as_sent(request: Request) -> Request:
    """The request with what `extra_body` puts in the place of its parameters."""
    extra = request.params.get("extra_body")
    if not isinstance(extra, dict) or not extra:
        return request
    params = {name: value for name, value in request.params.items() if name != "extra_body"}
    return request.replace(model=extra.get("model", request.model), params={**params, **extra})


def _output_limit(params: Mapping[str, Any]) -> int | None:
    limit = params.get("max_completion_tokens") or params.get("max_tokens")
    if limit is None:
        return None
    if int(limit) <= 0:
        raise ValueError(f"max_tokens is {limit}: it must be above 0")
    thinking = params.get("thinking")
    # The Anthropic adapter adds a thinking budget that does not fit inside.
    extra = thinking.get("budget_tokens", 0) if isinstance(thinking, dict) else 0
    return int(limit) + (int(extra) if extra >= limit else 0)


def _writes_cache(request: Request) -> bool:
    if "cache_control" in request.params:
        return True
    contents = [message.get("content") for message in request.messages]
    marked = [request.messages, request.params.get("tools") or ()]
    marked += [content for content in contents if isinstance(content, list)]
    return any("cache_control" in part for parts in marked for part in parts)


def _has_sound(request: Request) -> bool:
    contents = [message.get("content") for message in request.messages]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    return any(isinstance(part, dict) and part.get("type") == "input_audio" for part in parts)


def _price(
    model: str,
    usage: Usage,
    table: PriceTable,
    assumed: Mapping[str, Any] | None,
    provider: str | None = None,
    tier: Any = None,
) -> Decimal | None:
    """The price in whichever tier is dearer: one that is asked for may not be the one that serves."""
    for whose in (provider, None):
        costs = [
            price(model, usage, provider=whose, service_tier=each, prices=table)
            for each in (None, *((tier,) if isinstance(tier, str) else ()))
        ]
        known = [cost.total for cost in costs if cost is not None]
        if known:
            return max(known)
    if assumed is None:
        return None
    rates = {side: Decimal(str(assumed.get(side, 0))) for side in ("input", "output")}
    spent = usage.prompt_tokens * rates["input"] + usage.completion_tokens * rates["output"]
    return spent / 10**6


def _actual(
    attempt: Attempt,
    request: Request,
    table: PriceTable,
    assumed: Mapping[str, Any] | None,
    reserved: Mapping[str, int],
) -> dict[str, int]:
    """What an attempt really used; what cannot be known is what was reserved."""
    charge = charge_of(attempt, request, table)
    usage = charge.usage or Usage()
    actual = dict(reserved)
    # What a provider reports is not to be trusted with the account: never less than nothing.
    actual["tokens"] = min(max(usage.prompt_tokens + usage.completion_tokens, 0), MAX_AMOUNT)
    if charge.cost is not None:
        actual["usd"] = _nano(charge.cost.total)
    elif assumed is not None:
        actual["usd"] = _nano(_price("", usage, table, assumed) or Decimal(0))
    return actual


def _refused(refusal: Refusal, key: str, request: Request) -> BudgetExceededError:
    claim = refusal.claim
    unit = _unit(claim)

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
        return str(per(request))
    if per == "tenant":
        return request.context.tenant or "-"
    return (request.model or "-") if per == "model" else "pipeline"


def _everyone(per: Per, key: str | None) -> str:
    if per == "pipeline" and key is None:
        return "pipeline"
    return "-" if key is None else key


def _unit(claim: Claim) -> str:
    return "usd" if ":usd:" in claim.key else "tokens"


def _window(window: float | timedelta | Window | None) -> Window | None:
    if window is None or isinstance(window, Window):
        return window
    return Window(window.total_seconds() if isinstance(window, timedelta) else float(window))


def _dollars(usd: Money) -> int:
    """A limit in billionths; -1 for what is none."""
    try:
        amount = Decimal(str(usd))
    except InvalidOperation:
        raise ValueError(f"the limit usd= must be an amount, not {usd!r}") from None
    return int((amount * NANO).to_integral_value(ROUND_CEILING)) if amount.is_finite() else -1


def _nano(amount: Decimal) -> int:
    # Rounded up: a billionth too much is harmless, and a limit must not be overshot by rounding.
    return min(max(int((amount * NANO).to_integral_value(ROUND_CEILING)), 0), MAX_AMOUNT)
