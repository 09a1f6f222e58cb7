"""What comes back: one Response for complete and streaming calls, and how it ends.

A Response is handed up through the layers as it is. Layers change it in place (`map`) and watch it
(`on_settle`); no task, queue or generator stands between a layer and its callee. It ends exactly
once, as `completed`, `failed`, `cancelled`, `closed` or `abandoned`, and tells everyone who asked.
"""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterator
from contextlib import suppress
from inspect import CO_COROUTINE
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from weakref import WeakMethod

from ._accumulate import Accumulator, chunks_of, has_content
from ._limits import ReadLimit, ReadLimits, what_ended
from ._opened import keep_one
from ._outcome import interrupted_by, outcome_of
from ._request import raise_problems
from ._sources import IteratorSource, Restart
from ._stages import Stage, carry_labels
from .exceptions import (
    AllModelsFailedError,
    ProviderError,
    StreamError,
    StreamInterruptedError,
    StreamTruncatedError,
    TimeoutError,
)
from .types import ModelResponse, StreamChunk

E = TypeVar("E", bound=BaseException)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import NoReturn, Self

    from ._outcome import Outcome
    from ._request import Attempt, Request
    from ._sources import ChunkSource
    from ._stages import Mapper, SettleCallback

    Recovery = Callable[[Exception | ModelResponse], Coroutine[Any, Any, "Response | None"]]


class _RecoveryAt(NamedTuple):
    """Who may take over when the Response breaks, and how much of it lies further in."""

    boundary: Stage
    limited: int
    recover: Recovery


class Response:
    """An answer on its way out, whole or streamed.

    Iterate over it for chunks, or `await collect()` for the whole: both work for both. A layer
    returns the very object that it received.
    """

    __slots__ = (
        "__weakref__", "_answer", "_attempt", "_batch", "_error", "_first_content_at", "_labels", "_limits",
        "_loop", "_lost_end", "_outcome", "_position", "_primed", "_recorded", "_recoveries", "_source",
        "_stages", "_to_replay", "_unheard", "request",
    )  # fmt: skip

    def __init__(
        self,
        request: Request,
        *,
        answer: ModelResponse | None = None,
        source: ChunkSource | None = None,
        provider: str | None = None,
        request_id: str | None = None,
    ) -> None:
        self.request = request
        self._answer = answer
        self._source = source
        self._batch: list[StreamChunk] = []
        self._position = 0
        self._unheard = False  # whoever reads on must hear that it did not come to its end
        self._recorded = False
        self._to_replay = source is None
        self._error: BaseException | None = None
        self._outcome: Outcome | None = None
        self._first_content_at: float | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        if source is None:
            self._outcome = self._make_outcome("completed", answer)
        else:
            self._loop = asyncio.get_running_loop()
            self._labels = ModelResponse(provider=provider, request_id=request_id)
            self._stages: list[Stage] = [Stage()]
            self._primed: list[StreamChunk] = []
            self._limits: ReadLimits | None = None
            self._lost_end = False
            self._recoveries: list[_RecoveryAt] = []
            self._attempt: Attempt | None = None

    @classmethod
    def completed(cls, model_response: ModelResponse, request: Request) -> Response:
        """A Response that has its whole answer already."""
        return cls(request, answer=model_response)

    @classmethod
    def streaming(
        cls,
        chunks: ChunkSource | AsyncIterator[StreamChunk],
        request: Request,
        *,
        provider: str | None = None,
        request_id: str | None = None,
    ) -> Response:
        """A Response that reads its answer from `chunks`; any async iterator of chunks will do."""
        source = IteratorSource(chunks) if isinstance(chunks, AsyncIterator) else chunks
        return cls(request, source=source, provider=provider, request_id=request_id)

    # -------------------------------------------------------------------------- for the layers

    def map(self, fn: Mapper) -> Self:
        """Rewrite the answer as it passes: `fn` gets each chunk, and returns what goes on.

        That is the chunk, another one, several, or none (`None` or an empty list): so an output
        guard holds text back until the chunk that has a `finish_reason`. A whole answer passes
        through `fn` as two chunks, content and finish. A chunk that is `restarted` voids what came
        before it. Layers further in do not see the change.
        """
        _check_synchronous(fn, "map")
        stage = Stage(fn)
        if self._outcome is None:
            self._stages.append(stage)
        elif self._answer is not None:
            stage.take(chunks_of(self._answer))
            reasons = [choice.finish_reason for choice in self._answer.choices]
            if reasons and all(reasons):
                stage.check_end()
            if stage.error is not None:
                raise stage.error
            self._answer = carry_labels(self._answer, stage.accumulator.build())
            self._outcome = self._make_outcome(self._outcome.status, self._answer)
        return self

    def on_settle(self, fn: SettleCallback) -> Self:
        """Call `fn` with the `Outcome` once the Response has ended: at once if it has already.

        Callbacks are synchronous, are called exactly once, and run from the innermost layer
        outwards. If one raises, the others still run, and the consumer gets the error.
        """
        _check_synchronous(fn, "on_settle")
        if self._outcome is None:
            self._stages[-1].callbacks.append(fn)
        else:
            fn(self._outcome)
        return self

    def on_break(self, fn: Recovery) -> Self:
        """Ask `fn` for another Response when this one breaks after content, or has ended.

        `fn` gets the error, or the whole answer at its end, and may return a Response that takes
        over: its first chunk is `restarted`. Layers further in settle then; those further out go
        on with the new answer. A whole answer that is here already is not asked about.
        """
        if self._outcome is None:
            boundary = Stage(before=self._stages[-1])
            self._stages.append(boundary)
            self._recoveries.append(_RecoveryAt(boundary, len(self._limits or ()), fn))
        return self

    def limit_reads(self, limit: ReadLimit) -> Self:
        """Let reads of the provider take no longer than `limit`; see the `timeout()` middleware."""
        if self._outcome is None:
            self._read_limits().add(limit)
        return self

    @property
    def outcome(self) -> Outcome | None:
        """How it ended, as seen from outside all layers; `None` while it has not."""
        return self._outcome

    # ------------------------------------------------------------------------ for the consumer

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamChunk:
        position = self._position
        if position == len(self._batch):
            await self._refill()
            position = 0
        self._position = position + 1
        return self._batch[position]

    async def next_chunks(self) -> list[StreamChunk]:
        """The next chunks, as many as are there without waiting again; none at the end."""
        if self._position == len(self._batch):
            try:
                await self._refill()
            except StopAsyncIteration:
                return []
        chunks, self._position = self._batch[self._position :], len(self._batch)
        return chunks

    async def collect(self) -> ModelResponse:
        """The whole answer. Reads a stream to its end; may be called again.

        Raises:
            LLMClientError: the call failed.
        """
        if self._outcome is None:
            # A layer may read the whole answer and pass the Response on: it starts over then.
            self._to_replay = not self._batch
            self._unheard = True  # by whoever iterates later, if this fails
            while await self._advance():
                pass
        assert self._outcome is not None
        if self._outcome.status != "completed" or self._error is not None:
            raise self._what_cut_it_short()
        assert self._answer is not None
        return self._answer

    async def aclose(self) -> None:
        """Stop here and release the connection. Does nothing once the Response has ended."""
        if self._outcome is None:
            assert self._source is not None
            self._unheard = True
            self._take_primed()
            whole = self._source.ended and self._is_whole(self._stages[0].accumulator)
            try:
                self._settle("completed" if whole else "closed")
            finally:
                await self._source.aclose()

    def __del__(self) -> None:
        # A consumer that broke out of its loop, or never began. The socket must still be released,
        # and reservations given back; nobody is there to await it, so the loop is asked to.
        if getattr(self, "_loop", None) is None or self._outcome is not None:
            return
        assert self._source is not None
        assert self._loop is not None
        self._take_primed()
        try:
            self._settle("abandoned")
        finally:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(_close_soon, self._source, self._limits, self._loop)

    def __repr__(self) -> str:
        status = "open" if self._outcome is None else self._outcome.status
        return f"<Response {status} model={self.request.model!r}>"

    # ---------------------------------------------------------------------------- for the core

    def record(self, attempt: Attempt) -> bool:
        """Keep the books of the provider call that this answers; false if somebody does already."""
        if self._recorded:
            return False
        self._recorded = True
        if self._outcome is None:
            self._attempt = attempt
            attempt.provider = self._labels.provider or attempt.provider
        else:
            attempt.end(self._outcome, self.request.context.clock.now())
        return True

    def rewind(self) -> Self:
        """Let a new reader have all of what has ended, also if a layer has read it already."""
        if self._outcome is not None:
            self._batch, self._position = [], 0
            self._to_replay = self._unheard = True
        return self

    async def commit(self) -> Self:
        """Read up to the first content, so that what fails before it fails in `call_next`."""
        while self._outcome is None and self._first_content_at is None:
            try:
                batch = await self._read()
                self._primed += batch
                if not batch:
                    if not self._is_whole(self._arrived()):
                        raise self._truncated()
                    break
            except BaseException as error:  # noqa: BLE001 - raised again by _fail
                await self._fail(error)
        return self

    # --------------------------------------------------------------------------- the machinery

    async def _refill(self) -> None:
        """Put chunks into `_batch`, or raise what ends the iteration."""
        while await self._advance():
            if self._batch:
                return
        if self._to_replay and self._answer is not None and self._error is None:
            self._to_replay = False
            self._batch = chunks_of(self._answer)
            return
        if self._unheard and self._outcome is not None and self._outcome.status != "completed":
            self._unheard = False
            raise self._what_cut_it_short()
        raise StopAsyncIteration

    async def _advance(self) -> bool:
        """Read the next chunks and pass them through the stages; False if the stream has ended."""
        self._batch, self._position = [], 0
        if self._outcome is not None:
            return False
        try:
            self._raise_of_layers()
            batch = self._primed or await self._read()
            self._primed = []
            if self._outcome is not None:
                raise self._closed_early("while it was being read")
            if batch:
                for stage in self._stages:
                    batch = stage.take(batch)
                self._batch = batch
                return True
            if not self._is_whole(self._stages[0].accumulator):
                raise self._truncated()
            for stage in self._stages:
                stage.check_end()
            self._raise_of_layers()
            if self._recoveries and await self._restarted(self._stages[0].accumulator.build()):
                return True
        except BaseException as error:  # noqa: BLE001 - raised again by _fail
            if isinstance(error, Exception) and self._outcome is None:
                try:
                    if await self._restarted(self._as_seen(error)):
                        return True
                except BaseException as last:  # noqa: BLE001
                    error = last
            await self._fail(error)
        assert self._source is not None
        try:
            self._settle("completed")
        except Exception as problem:
            self._error = problem
            raise
        finally:
            await self._source.aclose()
        return False

    def _raise_of_layers(self) -> None:
        """What a layer's `map` raised; only those further out may recover from it."""
        for depth, stage in enumerate(self._stages):
            if stage.error is not None:
                inner = self._stages[: depth + 1]
                self._recoveries = [r for r in self._recoveries if r.boundary not in inner]
                raise stage.error

    async def _read(self) -> list[StreamChunk]:
        source, limits = self._source, self._limits
        assert source is not None
        given_up = limits is not None and limits.given_up
        if (source.ended and not given_up) or self._lost_end:
            return []
        try:
            if limits is None and self.request.context.deadline is None:
                batch = await source.read()
            else:
                if limits is None:
                    limits = self._read_limits()
                with limits:
                    batch = await source.read()
                if limits.waited and any(map(has_content, batch)):
                    limits.waited = 0.0
        except (builtins.ConnectionError, builtins.TimeoutError):
            # Behind the finish reason, there was nothing left to lose but the usage.
            self._lost_end = True
            if self._outcome is not None or not self._is_whole(self._arrived()):
                raise
            if limits is not None:
                limits.waited = 0.0
            return []
        if self._first_content_at is None and any(map(has_content, batch)):
            self._first_content_at = self.request.context.clock.now()
        return batch

    def _read_limits(self) -> ReadLimits:
        if self._limits is None:
            # Weakly: nothing makes a circle of a Response, so that it goes as soon as it is dropped.
            self._limits = ReadLimits(self.request, WeakMethod(self._let_go))
        return self._limits

    def _let_go(self) -> None:
        """Time is up while the consumer is busy: the connection need not wait for its next read."""
        if self._source is not None and not self._source.ended and self._outcome is None:
            _close_soon(self._source, None, asyncio.get_running_loop())

    async def _restarted(self, reason: Exception | ModelResponse) -> bool:
        """Whether somebody has another Response to go on with. Raises `reason` if it is an error.

        The layers inside of whoever is asked are told that their part is over.
        """
        while self._recoveries:
            boundary, limited, recover = self._recoveries.pop(0)
            depth = self._stages.index(boundary)
            inner, self._stages = self._stages[:depth], self._stages[depth:]
            boundary.adds = True
            if self._limits is not None:  # what limited the layers further in goes with them
                self._limits.drop(limited)
            self._recoveries = [r._replace(limited=r.limited - limited) for r in self._recoveries]
            if isinstance(reason, Exception):
                self._labels = self._tell(inner, "failed", reason)
            else:
                self._labels = self._tell(inner, "completed", None)
            assert self._source is not None
            await self._source.aclose()  # first: the next target may need its connection
            try:
                replacement = await self._take_over(recover, reason)
            except Exception as failure:  # noqa: BLE001 - the next one out may know more
                reason = failure
                continue
            if replacement is not None:
                self._source, self._lost_end = Restart(replacement), False
                if self._outcome is not None:  # closed by another task meanwhile
                    await replacement.aclose()
                    raise self._closed_early("while it was being read")
                return True
        if isinstance(reason, Exception):
            raise reason
        return False

    async def _take_over(
        self, recover: Recovery, reason: Exception | ModelResponse
    ) -> Response | None:
        context = self.request.context
        if self._limits is None and context.deadline is None:
            return await keep_one(context, recover(reason))
        limits = self._read_limits()
        if isinstance(reason, ModelResponse) and limits.have_run_out:
            return None  # the answer is whole, and there is no time for another
        with limits:
            return await keep_one(context, recover(reason))

    async def _fail(self, error: BaseException) -> NoReturn:
        """End because of `error`, and raise what it means to the consumer."""
        assert self._source is not None
        meant = error
        try:
            if self._outcome is None:
                self._take_primed()
                self._error = meant = self._as_seen(what_ended(error, self.request.context))
                if isinstance(error, Exception):
                    error = meant
                    self._settle("failed", error)
                else:
                    self._settle_cancelled(meant)
        finally:
            if isinstance(meant, (StreamError, TimeoutError)):
                meant.partial = self._answer  # the very answer that the layers wrote on
            try:
                await self._source.aclose()
            except Exception as problem:  # noqa: BLE001 - what ended it counts for more
                _report("a stream that had failed could not be closed", problem)
        raise error

    def _settle_cancelled(self, meant: BaseException) -> None:
        """Cancellation goes on whatever the layers make of it: timeouts and task groups wait."""
        self._unheard = True
        try:
            self._settle("failed" if isinstance(meant, Exception) else "cancelled", meant)
        except Exception as problem:  # noqa: BLE001
            _report("a layer failed when its call was cancelled", problem)

    def _settle(self, status: str, error: BaseException | None = None) -> None:
        """End, exactly once: tell every layer, from the innermost outwards."""
        if isinstance(self._source, Restart):
            replaced = self._source.replacement.outcome
            if replaced is not None and replaced.response is not None:
                self._labels = replaced.response
        # Whoever asks while the others are being told must see that it has ended.
        self._outcome = self._make_outcome(status, self._labels, error)
        self._recoveries.clear()
        if self._limits is not None and status != "abandoned":  # timers are their loop's alone
            self._limits.stop()
        self._tell(self._stages, status, error)

    def _tell(self, stages: list[Stage], status: str, error: BaseException | None) -> ModelResponse:
        """Tell the layers at `stages` of the end; returns the outermost answer."""
        problems: list[Exception] = []
        answer = self._labels
        for stage in stages:
            answer = carry_labels(answer, stage.accumulator.build())
            outcome = self._make_outcome(status, answer, error)
            if self._attempt is not None:
                attempt, self._attempt = self._attempt, None
                now = self.request.context.clock.now()
                try:
                    attempt.end(outcome, now, self._first_content_at)
                except Exception as problem:  # noqa: BLE001 - the layers must still be told
                    problems.append(problem)
            if self._outcome is not None:
                self._outcome, self._answer = outcome, answer
            stage.tell(outcome, problems)
        raise_problems(problems)
        return answer

    def _make_outcome(
        self, status: str, answer: ModelResponse | None, error: BaseException | None = None
    ) -> Outcome:
        return outcome_of(self.request, status, answer, error, self._first_content_at)

    def _as_seen(self, error: E) -> E | StreamInterruptedError:
        """The error as the consumer gets it: with what had arrived, if content had."""
        if isinstance(error, (StreamError, TimeoutError)):
            if error.partial is None:
                error.partial = self._partial()
        elif (
            isinstance(error, ProviderError)
            and not isinstance(error, AllModelsFailedError)
            and self._first_content_at is not None
        ):
            return interrupted_by(error, self._partial())
        return error

    def _closed_early(self, when: str) -> StreamInterruptedError:
        return StreamInterruptedError(f"the stream was closed {when}", partial=self._partial())

    def _what_cut_it_short(self) -> Exception:
        """What readers get who come when it has ended too early. Never the cancellation of another."""
        assert self._outcome is not None
        if isinstance(self._error, Exception):
            return self._error
        how = "cancelled" if self._outcome.status == "cancelled" else "closed"
        return StreamInterruptedError(
            f"the stream was {how} before its end", partial=self._partial()
        )

    def _truncated(self) -> StreamTruncatedError:
        return StreamTruncatedError(
            "the stream ended without a finish reason: the answer is not whole",
            provider=self._labels.provider,
            model=self.request.model,
            request_id=self._labels.request_id,
        )

    def _is_whole(self, accumulator: Accumulator) -> bool:
        if not accumulator.finished:
            return False
        wanted = self.request.params.get("n")
        # A server that knows no `n` gives one choice and says that this is all: so be it.
        sealed = not self._lost_end and getattr(self._source, "sealed", True)
        if not isinstance(wanted, int) or sealed:
            return True
        return accumulator.choice_count >= wanted

    def _arrived(self) -> Accumulator:
        """What has come from the provider so far."""
        if not self._primed:
            return self._stages[0].accumulator
        probe = Accumulator()
        for chunk in self._primed:
            probe.add(chunk)
        return probe

    def _partial(self) -> ModelResponse:
        if self._outcome is not None and self._answer is not None:
            return self._answer
        return carry_labels(self._labels, self._stages[-1].accumulator.build())

    def _take_primed(self) -> None:
        """Count what was read ahead but not asked for: it arrived, so it is billed."""
        self._stages[0].take(self._primed)
        self._primed = []


def _check_synchronous(fn: object, method: str) -> None:
    code = getattr(fn, "__code__", None)
    if code is not None and code.co_flags & CO_COROUTINE:
        name = getattr(fn, "__qualname__", repr(fn))
        raise TypeError(f"{method}() takes a plain function, and {name} is an async one")


def _report(message: str, problem: Exception) -> None:
    """Tell of a problem that must not take the place of what ended the call."""
    asyncio.get_running_loop().call_exception_handler({"message": message, "exception": problem})


def _close_soon(
    source: ChunkSource, limits: ReadLimits | None, loop: asyncio.AbstractEventLoop
) -> None:
    if limits is not None:
        limits.stop()

    async def close() -> None:
        with suppress(Exception):  # nobody is left to hear of it
            await source.aclose()

    loop.create_task(close())
