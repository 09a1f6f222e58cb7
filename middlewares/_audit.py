"""Keep a record of every call, however it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scallion._layer import Layer, not_default
from scallion.costs import load_prices

from ._audit_record import Edge, Passage, Seen
from ._audit_writer import not_written, writer_for
from ._observe import observe

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from pathlib import Path

    from scallion._outcome import Outcome
    from scallion._pipeline import Handler, Middleware
    from scallion._request import Request
    from scallion._response import Response
    from scallion.costs import PriceTable

    from ._audit_sinks import AuditSink
    from ._audit_writer import Writer


class AuditLayer(Layer):
    """What `audit()` returns.

    Attributes:
        lost: How many records could not be written.
    """

    __slots__ = ("_writer",)

    def __init__(
        self, arguments: dict[str, Any], run: Middleware, edge: Middleware, writer: Writer
    ) -> None:
        super().__init__("audit", __name__, arguments, run)
        self.edge = edge
        self._writer = writer

    @property
    def lost(self) -> int:
        """How many records could not be written."""
        return self._writer.lost

    async def aclose(self) -> None:
        """Write what waits, and close the file. The next call opens it again."""
        await self._writer.aclose()


def audit(
    sink: str | Path | AuditSink | Callable[[dict[str, Any]], object],
    *,
    strict: bool = False,
    prompts: bool = False,
    chain: bool = False,
    redact: Callable[[str], str] | None = None,
    prices: PriceTable | str | Path | None = None,
    queue: int = 1_000,
) -> AuditLayer:
    """Append one record per call to `sink`, however the call ends.

    The fields are described in `docs/audit.md`. Calls that layers further out answer, refuse or give
    up are recorded as well, as far as that can be seen from outside: without texts.

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
    writer = writer_for(sink, strict=strict, chain=chain, size=queue)

    async def record(passage: Passage, request: Request, call_next: Handler) -> Response:
        written: asyncio.Future[None] | None = None
        put = writer.begin()

        async def onward(request: Request) -> Response:
            await writer.ready()
            return await call_next(request)

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
                request.guard_attempts(passage, passage.guard), onward, settled
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

    async def middleware(request: Request, call_next: Handler) -> Response:
        seen = request.context.state.setdefault(writer, Seen())
        texts = (redact or str) if prompts else None
        return await record(Passage(request, seen, table, texts), request, call_next)

    async def edge(request: Request, call_next: Handler) -> Response:
        seen = request.context.state.setdefault(writer, Seen())
        return await record(Edge(request, seen, table), request, call_next)

    return AuditLayer(given, middleware, edge, writer)
