"""Know what every call costs."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from scallion._layer import Layer, not_default
from scallion.costs import Cost, load_prices
from scallion.exceptions import asked

from ._charge import charge_of, price_in_turn
from ._ledger import ZERO, Entry, Ledger

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal
    from pathlib import Path

    from scallion._outcome import Outcome
    from scallion._pipeline import Handler
    from scallion._request import Attempt, AttemptWatcher, Context, Request
    from scallion._response import Response
    from scallion.costs import PriceTable
    from scallion.types import ModelResponse

    from ._charge import Charge


class CostLayer(Layer):
    """What `cost()` returns: the layer, and its books.

    Attributes:
        ledger: The books.
    """

    __slots__ = ("ledger",)

    def __init__(
        self,
        arguments: dict[str, Any],
        run: Any,
        ledger: Ledger,
        observe: Callable[[Response], object],
    ) -> None:
        super().__init__("cost", __name__, arguments, run)
        self.ledger = ledger
        self.observe = observe

    @property
    def total(self) -> Decimal:
        """US dollars spent so far."""
        return self.ledger.total

    @property
    def by_model(self) -> dict[str, Decimal]:
        """US dollars by the model that answered."""
        return self.ledger.by_model

    @property
    def by_tenant(self) -> dict[str | None, Decimal]:
        """US dollars by tenant; `None` for calls without one."""
        return self.ledger.by_tenant

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The latest entries, one per attempt, oldest first."""
        return self.ledger.entries


def cost(
    ledger: Ledger | None = None,
    *,
    prices: PriceTable | str | Path | None = None,
    on_charge: Callable[[Entry], object] | None = None,
) -> CostLayer:
    """Set `response.cost`, and record every attempt of every call in a ledger.

    Failed, rejected and aborted attempts are recorded as well as answers, and so are cached ones,
    wherever this stands among the layers. An answer that broke off is priced from what arrived, and
    marked as estimated. A model without a known price costs `None`, with one warning, and never 0.

    Args:
        ledger: The books to keep; several pipelines may share one. By default a new one.
        prices: A price table, the path of a prices file, or `"genai-prices"` for the installed one.
        on_charge: Called with each entry, synchronously.
    """
    given = not_default(cost, locals())
    books = Ledger() if ledger is None else ledger
    if not isinstance(books, Ledger):
        raise TypeError(f"ledger must be a Ledger, not {ledger!r}")
    table = load_prices(prices)
    unknown: set[str] = set()
    key = _Clerk(books)

    def enter(entry: Entry, *, booked: bool = False) -> None:
        if not booked:
            books.add(entry)  # first: a warning may be an error
        if entry.cost is None and entry.model not in unknown:
            unknown.add(entry.model)
            warnings.warn(
                f"no price is known for {asked(entry.provider, entry.model)}: its calls are recorded "
                "without a cost. register_price() sets one",
                stacklevel=2,
            )
        if on_charge is not None:
            on_charge(entry)

    async def watch(request: Request) -> AttemptWatcher:
        clerks = (known for known, _ in request.guards if isinstance(known, _Clerk))
        booked = next(clerk for clerk in clerks if clerk.books is books) is not key

        def note(attempt: Attempt | None) -> None:
            if attempt is None:
                return
            charge = charge_of(attempt, request, table)
            if attempt.response is not None:
                attempt.response.cost = charge.cost
            enter(_entry_for(attempt, request, charge), booked=booked)

        return note

    async def middleware(request: Request, call_next: Handler) -> Response:
        return await call_next(request.guard_attempts(key, watch))

    def note_hit(outcome: Outcome) -> None:
        answer = outcome.response
        if answer is not None and answer.cached:
            answer.cost = Cost(total=ZERO, breakdown={})
            enter(_entry_for_hit(answer, outcome.request, table))

    def observe(response: Response) -> None:
        # The callback must not hold the Response: whoever drops it has to be noticed.
        if books.follow(response):
            response.on_settle(note_hit)

    return CostLayer(given, middleware, books, observe)


class _Clerk:
    """One `cost()` among those that stand around a call: the outermost of a ledger's enters it."""

    __slots__ = ("books",)

    def __init__(self, books: Ledger) -> None:
        self.books = books


def _entry_for(attempt: Attempt, request: Request, charge: Charge) -> Entry:
    answer = attempt.response
    return Entry(
        model=(answer.model if answer is not None else None) or attempt.model,
        provider=attempt.provider,
        status=attempt.status,
        at=datetime.fromtimestamp(attempt.started_at, UTC),
        cost=None if charge.cost is None else charge.cost.total,
        breakdown={} if charge.cost is None else charge.cost.breakdown,
        exact=charge.exact,
        usage=charge.usage,
        request_id=attempt.request_id,
        **_labels(request.context),
    )


def _entry_for_hit(answer: ModelResponse, request: Request, table: PriceTable) -> Entry:
    model = answer.model or request.model or "unknown"
    at = datetime.fromtimestamp(request.context.clock.time(), UTC)
    saved = None
    if answer.usage is not None:
        saved = price_in_turn(
            (answer.model, request.model),
            answer.provider,
            answer.usage,
            answer.service_tier,
            at,
            table,
        )
    return Entry(
        model=model,
        provider=answer.provider or "cache",
        status="cached",
        at=at,
        cost=ZERO,
        exact=True,
        usage=answer.usage,
        saved=None if saved is None else saved.total,
        request_id=answer.request_id,
        **_labels(request.context),
    )


def _labels(context: Context) -> dict[str, Any]:
    return {"tenant": context.tenant, "metadata": context.metadata, "call_id": context.id}
