"""What an audit's record says of a call: who asked what of which model, and what became of it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from scallion.exceptions import PipelineRefusedError

from ._charge import charge_of
from ._ledger import ZERO

if TYPE_CHECKING:
    from collections.abc import Callable

    from scallion._outcome import Outcome
    from scallion._request import Attempt, AttemptWatcher, Request
    from scallion.costs import PriceTable
    from scallion.types import ModelResponse

    Record = dict[str, Any]

VERSION: Final = 1


class Seen:
    """What of one call was recorded so far.

    Attributes:
        status: Of the last record.
        attempts: Those that are in a record.
    """

    def __init__(self) -> None:
        self.status: str | None = None
        self.attempts: list[Attempt] = []


class Passage:
    """One call on its way through the layer: the attempts further in, and then its record.

    Args:
        seen: Shared by all passages of the call.
        texts: What each text is to be made before it is recorded; by default none is.
    """

    def __init__(
        self,
        request: Request,
        seen: Seen,
        prices: PriceTable,
        texts: Callable[[str], str] | None = None,
    ) -> None:
        self._request = request
        self._seen = seen
        self._prices = prices
        self._texts = texts
        self._made: list[tuple[Attempt, Request]] = []

    async def guard(self, request: Request) -> AttemptWatcher:
        """Hear of an attempt further in, when it has ended."""

        def note(attempt: Attempt | None) -> None:
            if attempt is not None:
                self._made.append((attempt, request))

        return note

    def record(self, outcome: Outcome) -> Record | None:
        """All that is known at the end; `None` if it is recorded already."""
        self._seen.status = _status_of(outcome)
        self._seen.attempts += [attempt for attempt, _ in self._made]
        return self._record(outcome)

    def _record(self, outcome: Outcome) -> Record:
        request, context, answer = self._request, self._request.context, outcome.response
        now, moment = context.clock.now(), context.clock.time()
        attempts = [self._attempt(attempt, sent) for attempt, sent in self._made]
        messages = _messages_of(answer)
        record: Record = {
            "v": VERSION,
            "id": context.id,
            "at": _moment(moment - (now - context.started)),
            "tenant": _plain(context.tenant),
            "metadata": _plain(context.metadata) or None,
            "model": _plain(request.model),
            "stream": request.stream,
            "status": _status_of(outcome),
            "cached": (answer is not None and answer.cached) or None,
            "error": _error_of(outcome.error),
            "answered_by": _plain(answer.model) if answer is not None else None,
            "provider": _provider_of(outcome),
            "request_id": answer.request_id if answer is not None else None,
            "finish_reason": _finish_reason_of(answer),
            "prompt_sha256": _hash([*request.messages]),
            "answer_sha256": _hash(messages) if messages else None,
            **_totals(attempts),
            "duration": _rounded(now - context.started),
            "first_token_after": _rounded(outcome.first_token_after),
            "attempts": attempts,
        }
        if self._texts is not None:
            error = str(outcome.error) if outcome.error is not None else None
            texts = {
                "prompt": [*request.messages],
                "answer": messages or None,
                "error_message": error,
            }
            record |= {name: _plain(text, self._texts) for name, text in texts.items()}
        return {name: value for name, value in record.items() if value is not None}

    def _attempt(self, attempt: Attempt, sent: Request) -> Record:
        charge = charge_of(attempt, sent, self._prices)
        answer, usage = attempt.response, charge.usage
        cost = charge.cost if answer is None or answer.cost is None else answer.cost
        record: Record = {
            "model": _plain(attempt.model),
            "provider": attempt.provider,
            "status": attempt.status,
            "error": _error_of(attempt.error),
            "request_id": attempt.request_id,
            "prompt_tokens": usage.prompt_tokens if usage is not None else None,
            "completion_tokens": usage.completion_tokens if usage is not None else None,
            "cost": str(cost.total) if cost is not None else None,
            "exact": charge.exact,
            "at": _moment(attempt.started_at),
            "latency": _rounded(attempt.latency),
        }
        return {name: value for name, value in record.items() if value is not None}


class Edge(Passage):
    """The same from outside of all layers, where it counts only if the call ended otherwise there.

    What stands further out than the layer may keep texts from it, so they are not recorded here.
    """

    def record(self, outcome: Outcome) -> Record | None:
        """See `Passage`."""
        if self._seen.status == _status_of(outcome):
            return None
        self._made = [made for made in self._made if made[0] not in self._seen.attempts]
        return super().record(outcome)


def _totals(attempts: list[Record]) -> Record:
    """Tokens and cost of all attempts: what the call is billed for."""
    costs = [attempt.get("cost") for attempt in attempts]
    total = sum((Decimal(cost) for cost in costs if cost is not None), ZERO)
    return {
        "prompt_tokens": sum(attempt.get("prompt_tokens", 0) for attempt in attempts),
        "completion_tokens": sum(attempt.get("completion_tokens", 0) for attempt in attempts),
        "cost": None if None in costs else str(total),
        "exact": all(attempt["exact"] for attempt in attempts),
    }


def _status_of(outcome: Outcome) -> str:
    return "refused" if isinstance(outcome.error, PipelineRefusedError) else outcome.status


def _error_of(error: BaseException | None) -> Record | None:
    """The kind of an error alone: a provider's wording may quote the prompt."""
    if error is None:
        return None
    known = {
        "type": type(error).__name__,
        "code": getattr(error, "code", None),
        "status_code": getattr(error, "status_code", None),
        "request_id": getattr(error, "request_id", None),
    }
    return {name: value for name, value in known.items() if value is not None}


def _provider_of(outcome: Outcome) -> str | None:
    if outcome.response is not None and outcome.response.provider is not None:
        return outcome.response.provider
    provider: str | None = getattr(outcome.error, "provider", None)
    return provider


def _messages_of(answer: ModelResponse | None) -> list[Record]:
    """The messages of an answer, without what is empty: that differs between streamed and whole."""
    if answer is None:
        return []
    said = [choice.message.to_dict() for choice in answer.choices]
    return [{name: value for name, value in each.items() if value} for each in said]


def _finish_reason_of(answer: ModelResponse | None) -> str | None:
    return answer.choices[0].finish_reason if answer is not None and answer.choices else None


def _hash(value: object) -> str | None:
    """SHA-256 of the value as JSON with sorted keys and no spaces; `None` if it cannot be JSON."""
    try:
        encoded = msgspec.json.encode(value, enc_hook=str, order="sorted")
    except (TypeError, ValueError, RecursionError):
        return None
    return hashlib.sha256(encoded).hexdigest()


def _plain(value: object, change: Callable[[str], str] = str) -> Any:
    """The value as JSON has it, with each of its texts changed.

    What cannot be JSON, or not be changed, is said to be so: whoever may give a call its labels
    must not be able to keep it out of the record.
    """
    try:
        # What is too deep for Python is so for SQLite's JSON, too.
        plain = _changed(msgspec.to_builtins(value, enc_hook=str, str_keys=True), change)
        msgspec.json.encode(plain)
    except Exception as error:  # noqa: BLE001 - a redactor of one's own may raise anything
        return f"(cannot be recorded: {type(error).__name__})"
    return plain


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {name: _changed(item, change) for name, item in value.items()}
    if isinstance(value, list):
        return [_changed(item, change) for item in value]
    return value


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
