"""Keep a record of every call: who asked what of which model, and what became of it."""

from __future__ import annotations

import hashlib
import inspect
import logging
import time
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from scallion._layer import Layer, not_default
from scallion.costs import load_prices
from scallion.exceptions import AuditError, PipelineRefusedError

from ._audit_queue import Queues
from ._audit_sinks import AuditSink, as_sink
from ._charge import charge_of
from ._ledger import ZERO
from ._observe import observe

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from scallion._outcome import Outcome
    from scallion._pipeline import Handler
    from scallion._request import Attempt, AttemptWatcher, Request
    from scallion._response import Response
    from scallion.costs import PriceTable
    from scallion.types import ModelResponse

    Record = dict[str, Any]
    Put = Callable[[Record], asyncio.Future[None] | None]

VERSION: Final = 1

QUIET: Final = 60.0
"""Seconds between two warnings of records that cannot be written."""


class AuditLayer(Layer):
    """What `audit()` returns.

    Attributes:
        lost: How many records could not be written.
    """

    __slots__ = ("_writer",)

    def __init__(self, arguments: dict[str, Any], run: Any, writer: Writer) -> None:
        super().__init__("audit", __name__, arguments, run)
        self._writer = writer

    @property
    def lost(self) -> int:
        """How many records could not be written."""
        return self._writer.lost

    async def aclose(self) -> None:
        """Write what waits, and close the file. The next call opens it again."""
        await self._writer.aclose()


def audit(
    sink: str | Path | AuditSink | Callable[[Record], object],
    *,
    strict: bool = False,
    prompts: bool = False,
    chain: bool = False,
    redact: Callable[[str], str] | None = None,
    prices: PriceTable | str | Path | None = None,
    queue: int = 1_000,
) -> AuditLayer:
    """Append one record per call to `sink`, however the call ends.

    The fields are described in `docs/audit.md`. A layer sees the calls that reach it: stand outside
    of `cache()` and `budget()`, or what they answer and refuse goes unrecorded.

    Args:
        sink: A path (SQLite for `.db`, `.sqlite` and `.sqlite3`, else JSONL), a `JsonlSink` or
            `SqliteSink`, or a function of the record, async or not.
        strict: Fail calls whose record cannot be written. A stream fails at its end then, because
            its text is out already; but where it can be known before, nothing is sent at all.
        prompts: Record the messages and the answer themselves, and not only their hashes.
        chain: Link the records of a path's file, so that `scallion audit verify` finds what was
            changed or removed. A sink object is told so itself.
        redact: Applied to each text that `prompts=True` records.
        prices: As for `cost()`, whose prices are used where it stands further in.
        queue: How many records may wait for an async function. When it is full, records are lost;
            with `strict`, calls wait.

    Raises:
        TypeError: `sink` is none of these.
    """
    given = not_default(audit, locals())
    table = load_prices(prices)
    writer = _writer_for(sink, strict=strict, chain=chain, size=queue)

    async def middleware(request: Request, call_next: Handler) -> Response:
        passage = _Passage(request, prompts=prompts, redact=redact, prices=table)
        put = await writer.begin()
        written: asyncio.Future[None] | None = None

        def settled(outcome: Outcome) -> None:
            nonlocal written
            written = writer.write(put, passage.record, outcome)

        async def confirmed(_: object = None) -> None:
            if written is not None:
                try:
                    await written
                except Exception as error:
                    raise not_written(error) from error

        try:
            response = await observe(
                request.guard_attempts(passage, passage.guard), call_next, settled
            )
        except Exception:
            if strict:
                await confirmed()
            raise
        if strict and writer.waits:
            # Callbacks cannot wait; the end of a stream is asked about where it can be awaited.
            await confirmed()
            response.on_break(confirmed)
        return response

    return AuditLayer(given, middleware, writer)


class _Passage:
    """One call on its way through the layer: the attempts further in, and then its record."""

    def __init__(
        self,
        request: Request,
        *,
        prompts: bool,
        redact: Callable[[str], str] | None,
        prices: PriceTable,
    ) -> None:
        self._request = request
        self._prompts = prompts
        self._redact = redact or str
        self._prices = prices
        self._made: list[tuple[Attempt, Request]] = []

    async def guard(self, request: Request) -> AttemptWatcher:
        """Hear of an attempt further in, when it has ended."""

        def note(attempt: Attempt | None) -> None:
            if attempt is not None:
                self._made.append((attempt, request))

        return note

    def record(self, outcome: Outcome) -> Record:
        """All that is known at the end."""
        request, context, answer = self._request, self._request.context, outcome.response
        now, moment = context.clock.now(), context.clock.time()
        attempts = [self._attempt(attempt, sent) for attempt, sent in self._made]
        messages = _messages_of(answer)
        record: Record = {
            "v": VERSION,
            "id": context.id,
            "at": _moment(moment - (now - context.started)),
            "tenant": context.tenant,
            "metadata": _plain(context.metadata) or None,
            "model": request.model,
            "stream": request.stream,
            "status": _status_of(outcome),
            "cached": (answer is not None and answer.cached) or None,
            "error": _error_of(outcome.error),
            "answered_by": answer.model if answer is not None else None,
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
        if self._prompts:
            record["prompt"] = self._shown(_plain([*request.messages]))
            record["answer"] = self._shown(_plain(messages)) if messages else None
            record["error_message"] = self._shown(str(outcome.error)) if outcome.error else None
        return {name: value for name, value in record.items() if value is not None}

    def _attempt(self, attempt: Attempt, sent: Request) -> Record:
        charge = charge_of(attempt, sent, self._prices)
        answer, usage = attempt.response, charge.usage
        cost = charge.cost if answer is None or answer.cost is None else answer.cost
        record: Record = {
            "model": attempt.model,
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

    def _shown(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._redact(value)
        if isinstance(value, dict):
            return {name: self._shown(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self._shown(item) for item in value]
        return value


class Writer:
    """Hands records to a sink, and knows what to do when it does not take one.

    Attributes:
        waits: Whether it takes awaiting to know that a record was written.
    """

    waits = False

    def __init__(self, *, strict: bool) -> None:
        self.lost = 0
        self._strict = strict
        self._warned_at: float | None = None

    async def begin(self) -> Put:
        """Get ready for one call: what will take its record, from a callback and in any thread."""
        return self._put

    async def aclose(self) -> None:
        """Write what waits."""

    def write(
        self, put: Put, make: Callable[[Outcome], Record], outcome: Outcome
    ) -> asyncio.Future[None] | None:
        """Make the record and hand it over.

        Raises:
            AuditError: that failed, and `strict` is set.
        """
        try:
            return put(make(outcome))
        except Exception as error:
            self.lose(error)
            if self._strict:
                raise not_written(error) from error
            return None

    def lose(self, error: Exception) -> None:
        """Count a record that could not be written; say so, but not for each of a thousand."""
        self.lost += 1
        now = time.monotonic()
        if not self._strict and (self._warned_at is None or now - self._warned_at >= QUIET):
            self._warned_at = now
            logging.getLogger("scallion").warning(
                "audit: %d records could not be written so far (%s: %s)",
                self.lost,
                type(error).__name__,
                error,
            )

    def _put(self, record: Record) -> asyncio.Future[None] | None:
        raise NotImplementedError


class _FileWriter(Writer):
    def __init__(self, sink: AuditSink, *, strict: bool) -> None:
        super().__init__(strict=strict)
        self._sink = sink

    async def begin(self) -> Put:
        if self._strict:
            try:
                self._sink.open()
            except Exception as error:
                raise not_written(error) from error
        return self._put

    def _put(self, record: Record) -> None:
        self._sink.write(record)

    async def aclose(self) -> None:
        self._sink.close()


class _FunctionWriter(Writer):
    def __init__(self, sink: Callable[[Record], object], *, strict: bool) -> None:
        super().__init__(strict=strict)
        self._sink = sink

    def _put(self, record: Record) -> None:
        result = self._sink(record)
        if inspect.isawaitable(result):
            if inspect.iscoroutine(result):
                result.close()
            raise TypeError("an audit sink that is awaited must be an async function")


class _AsyncWriter(Writer):
    waits = True

    def __init__(
        self, sink: Callable[[Record], Awaitable[object]], size: int, *, strict: bool
    ) -> None:
        super().__init__(strict=strict)
        self._queues = Queues(sink, size, self.lose)

    async def begin(self) -> Put:
        queue = self._queues.get()
        if not self._strict:
            return queue.put
        await queue.room()
        # Calls that are under way must not fail because others were faster.
        return partial(queue.put, beyond=True)

    async def aclose(self) -> None:
        await self._queues.aclose()


def _writer_for(sink: object, *, strict: bool, chain: bool, size: int) -> Writer:
    if isinstance(sink, (str, Path)):
        return _FileWriter(as_sink(sink, chain=chain), strict=strict)
    if chain:
        raise TypeError("chain=True goes with a path; otherwise write JsonlSink(path, chain=True)")
    if isinstance(sink, AuditSink):
        return _FileWriter(sink, strict=strict)
    if not callable(sink) or isinstance(sink, type):
        raise TypeError(f"an audit sink is a path, a JsonlSink, or a function, not {sink!r}")
    if size < 1:
        raise ValueError(f"queue must be at least 1, not {size}")
    called = getattr(sink, "__call__", None)  # noqa: B004 - to see whether it is async
    if inspect.iscoroutinefunction(sink) or inspect.iscoroutinefunction(called):
        return _AsyncWriter(sink, size, strict=strict)
    return _FunctionWriter(sink, strict=strict)


def not_written(error: Exception) -> AuditError:
    """What a call raises that could not be recorded."""
    return AuditError(f"the call's audit record was not written ({type(error).__name__}: {error})")


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


def _hash(value: object) -> str:
    """SHA-256 of the value as JSON with sorted keys and no spaces."""
    encoded = msgspec.json.encode(value, enc_hook=str, order="sorted")
    return hashlib.sha256(encoded).hexdigest()


def _plain(value: object) -> Any:
    return msgspec.to_builtins(value, enc_hook=str, str_keys=True)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
