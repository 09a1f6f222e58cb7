"""What one attempt cost: from the provider's count, or estimated from what arrived."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from scallion._accumulate import is_end
from scallion.costs import Cost, price
from scallion.types import Usage

if TYPE_CHECKING:
    from scallion._request import Attempt, Request
    from scallion.costs import PriceTable
    from scallion.types import ModelResponse


class Charge(NamedTuple):
    """The bill of one attempt.

    Attributes:
        usage: Its tokens; `None` if nothing is billed.
        cost: `None` if the model's price is not known.
        exact: Whether both are the provider's own count, at known prices.
    """

    usage: Usage | None
    cost: Cost | None
    exact: bool


NOTHING = Usage()


def charge_of(attempt: Attempt, request: Request, prices: PriceTable) -> Charge:
    """The bill of an attempt that has ended.

    Providers bill no request that they answered with an error. One that broke off was billed for
    the prompt and for what had been generated, which is estimated here from what arrived. What
    became of one that was never answered, nobody knows: nothing, estimated.
    """
    answer = attempt.response
    if answer is None or not (answer.choices or answer.usage):
        # A body that could not be read has a status too, and it is no error's.
        if attempt.status == "failed" and _status_of(attempt) >= 400:
            return Charge(None, Cost(total=Decimal(0), breakdown={}), exact=True)
        return Charge(None, price_of(NOTHING, attempt, prices), exact=False)
    usage, exact = answer.usage, attempt.exact
    whole = attempt.status == "completed" or _is_whole(answer, request)
    if usage is not None and usage.cost is not None:
        exact = exact or attempt.status == "failed"  # an error that brings its bill
    elif usage is None or not whole or not _counts_prompt(usage):
        usage, exact = estimated_usage(answer, request), False
    cost = price_of(usage, attempt, prices)
    if cost is not None and not exact:
        cost = replace(cost, exact=False)  # whoever looks at the answer is told, too
    return Charge(usage, cost, cost is not None and cost.exact)


def _counts_prompt(usage: Usage) -> bool:
    """Whether the server counts: no prompt is empty, but one that Anthropic only compacted."""
    beside = usage.model_extra is not None and usage.model_extra.get("iterations")
    return bool(usage.prompt_tokens or beside)


def _is_whole(answer: ModelResponse, request: Request) -> bool:
    """Whether its consumer left only after every choice had come to its end.

    A usage that came by then, with or behind the last finish reason, is no guess.
    """
    counted = answer.usage is not None and answer.usage.completion_tokens
    reasons = [choice.finish_reason for choice in answer.choices]
    wanted = request.params.get("n")
    enough = len(reasons) >= (wanted if isinstance(wanted, int) else 1)
    return bool(counted) and enough and all(map(is_end, reasons))


def _status_of(attempt: Attempt) -> int:
    return getattr(attempt.error, "status_code", None) or 0


def price_of(usage: Usage, attempt: Attempt, prices: PriceTable) -> Cost | None:
    """The price of a usage, by the model that answered or else the one that was asked."""
    answer = attempt.response
    at = datetime.fromtimestamp(attempt.started_at, UTC)
    tier = answer.service_tier if answer is not None else None
    answered = answer.model if answer is not None else None
    models = (answered, attempt.model)
    cost = price_in_turn(models, attempt.provider, usage, tier, at, prices)
    if cost is not None and cost.row is not None:
        asked = prices.row(attempt.model, attempt.provider)
        if asked is not None and not asked.exact:  # by a route that has prices of its own
            return replace(cost, exact=False)
    return cost


def price_in_turn(
    models: tuple[str | None, ...],
    provider: str | None,
    usage: Usage,
    tier: str | None,
    at: datetime,
    prices: PriceTable,
) -> Cost | None:
    """The price for the first of `models` that has one."""
    # A handler of the caller's own is no provider that any table knows: then the model decides.
    for whose in (provider, None):
        for model in models:
            if model is not None:
                cost = price(model, usage, provider=whose, service_tier=tier, at=at, prices=prices)
                if cost is not None:
                    return cost
    return None


def estimated_usage(answer: ModelResponse, request: Request) -> Usage:
    """The usage of an answer that is not whole, or that came without a count."""
    from scallion._tokens_text import at_once

    # This runs when a call has ended, inside the event loop: it must not wait for anything.
    with at_once():
        return _estimated(answer, request)


def _estimated(answer: ModelResponse, request: Request) -> Usage:
    from scallion.tokens import count_tokens, estimate

    known = answer.usage or NOTHING
    provider = answer.provider or getattr(request.provider, "name", None)
    prompt = known.prompt_tokens or estimate(request, provider=provider).tokens
    model = answer.model or request.model or ""
    texts: list[str | None] = []
    for choice in answer.choices:
        message = choice.message
        texts += [message.text, message.refusal, message.reasoning or message.reasoning_content]
        for call in message.tool_calls or ():
            if call.function is not None:
                texts += [call.function.name, call.function.arguments]
    generated = sum(count_tokens(text, model, provider=provider) for text in texts if text)
    completion = max(known.completion_tokens, generated)
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        prompt_tokens_details=known.prompt_tokens_details,
        completion_tokens_details=known.completion_tokens_details,
        model_extra=known.model_extra,
    )
