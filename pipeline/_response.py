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
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from ._accumulate import Accumulator, chunks_of
from ._clock import time_limit
from .exceptions import (
    ProviderError,
    StreamError,
    StreamInterruptedError,
    StreamTruncatedError,
    TimeoutError,
)
from .types import ModelResponse, StreamChunk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import NoReturn, Self

    from ._request import Attempt, Request
    from .types import Usage

    Mapper = Callable[[StreamChunk], "StreamChunk | Iterable[StreamChunk] | None"]
    SettleCallback = Callable[["Outcome"], object]


class Outcome(Struct, kw_only=True, eq=False, repr_omit_defaults=True):
    """How a Response ended.

    Attributes:
        status: `completed`: the whole answer came. `failed`: `error` says why. `cancelled`: the
            task that was reading was cancelled. `closed`: somebody closed it before its end.
            `abandoned`: it was dropped unread and unclosed, and the garbage collector found it.
        response: The answer as seen from where the callback was registered; what there was of it
            if it did not complete.
        usage: The provider's count, or `None` if it did not come to that.
        attempts: Every call of a provider that was made for this request so far.
        duration: Seconds since the call began.
        first_token_after: Seconds from there to the first content of a stream.
    """

    status: str
    request: Request
    response: ModelResponse | None = None
    error: BaseException | None = None
    usage: Usage | None = None
    attempts: tuple[Attempt, ...] = ()
    duration: float = 0.0
    first_token_after: float | None = None


class ChunkSource(Protocol):
    """Where a streamed Response reads from.

    `read` returns the chunks that are there, at least one, or an empty list at the end. `ended` is
    true as soon as the end was seen, even if it came along with the last chunks. `aclose` releases
    the connection, and makes a pending `read` return or raise.
    """

    @property
    def ended(self) -> bool: ...

    async def read(self) -> list[StreamChunk]: ...

    async def aclose(self) -> None: ...


class Response:
    """An answer on its way out, whole or streamed.

    Iterate over it for chunks, or `await collect()` for the whole: both work for both. A layer
    returns the very object that it received.
    """

    __slots__ = (
        "__weakref__", "_answer", "_attempt", "_batch", "_error", "_first_content_at", "_labels",
        "_loop", "_outcome", "_position", "_primed", "_source", "_stages", "_to_replay", "request",
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
        self._labels = (provider, request_id)
        self._stages: list[_Stage] = [_Stage(None)]
        self._primed: list[StreamChunk] = []
        self._batch: list[StreamChunk] = []
        self._position = 0
        self._to_replay = source is None
        self._error: BaseException | None = None
        self._outcome: Outcome | None = None
        self._attempt: Attempt | None = None
        self._first_content_at: float | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        if source is None:
            self._outcome = self._make_outcome("completed", answer)
        else:
            self._loop = asyncio.get_running_loop()

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
        source = _IteratorSource(chunks) if isinstance(chunks, AsyncIterator) else chunks
        return cls(request, source=source, provider=provider, request_id=request_id)

    # -------------------------------------------------------------------------- for the layers

    def map(self, fn: Mapper) -> Self:
        """Rewrite the answer as it passes: `fn` gets each chunk, and returns what goes on.

        That is the chunk, another one, several, or none (`None` or an empty list): so an output
        guard holds text back until the chunk that has a `finish_reason`. A whole answer passes
        through `fn` as two chunks, content and finish. Layers further in do not see the change.
        """
        stage = _Stage(fn)
        if self._outcome is None:
            self._stages.append(stage)
        elif self._answer is not None:
            stage.take(chunks_of(self._answer))
            if stage.error is not None:
                raise stage.error
            self._answer = _with_labels_of(self._answer, stage.accumulator.build())
            self._outcome = self._make_outcome(self._outcome.status, self._answer)
        return self

    def on_settle(self, fn: SettleCallback) -> Self:
        """Call `fn` with the `Outcome` once the Response has ended: at once if it has already.

        Callbacks are synchronous, are called exactly once, and run from the innermost layer
        outwards. If one raises, the others still run, and the consumer gets the error.
        """
        if self._outcome is None:
            self._stages[-1].callbacks.append(fn)
        else:
            fn(self._outcome)
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

    async def collect(self) -> ModelResponse:
        """The whole answer. Reads a stream to its end; may be called again.

        Raises:
            LLMClientError: the call failed.
        """
        if self._outcome is None:
            # A layer may read the whole answer and pass the Response on: it starts over then.
            self._to_replay = not self._batch
            while await self._advance():
                pass
        if self._error is not None:
            raise self._error
        if self._answer is None or self._outcome is None or self._outcome.status != "completed":
            raise StreamInterruptedError(
                "the stream was closed before its end", partial=self._answer
            )
        return self._answer

    async def aclose(self) -> None:
        """Stop here and release the connection. Does nothing once the Response has ended."""
        if self._outcome is None:
            assert self._source is not None
            self._take_primed()
            whole = self._source.ended and self._stages[0].accumulator.finished
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
        self._settle("abandoned")
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_close_soon, self._source, self._loop)

    def __repr__(self) -> str:
        status = "open" if self._outcome is None else self._outcome.status
        return f"<Response {status} model={self.request.model!r}>"

    # --------------------------------------------------------------------------- the machinery

    def record(self, attempt: Attempt) -> None:
        """Keep the books of the provider call that this answers. The core calls this."""
        if self._outcome is None:
            self._attempt = attempt
        else:
            attempt.end(self._outcome, self.request.context.clock.now())

    async def commit(self) -> Self:
        """Read up to the first content, so that what fails before it fails in `call_next`.

        The core calls this; layers receive Responses that are committed already.
        """
        while self._outcome is None and self._first_content_at is None:
            try:
                batch = await self._read()
                self._primed += batch
                if not batch:
                    if not _finished(self._primed):
                        raise self._truncated()
                    break
            except BaseException as error:  # noqa: BLE001 - raised again by _fail
                await self._fail(error)
        return self

    async def _refill(self) -> None:
        """Put chunks into `_batch`, or raise what ends the iteration."""
        while await self._advance():
            if self._batch:
                return
        if self._to_replay and self._answer is not None and self._error is None:
            self._to_replay = False
            self._batch = chunks_of(self._answer)
            return
        raise StopAsyncIteration

    async def _advance(self) -> bool:
        """Read the next chunks and pass them through the stages; False if the stream has ended."""
        self._batch, self._position = [], 0
        if self._outcome is not None:
            return False
        assert self._source is not None
        try:
            for stage in self._stages:
                if stage.error is not None:
                    raise stage.error
            batch = self._primed or await self._read()
            self._primed = []
            if self._outcome is not None:
                raise self._interrupted("the stream was closed while it was being read")
            if batch:
                for stage in self._stages:
                    batch = stage.take(batch)
                self._batch = batch
                return True
            if not self._stages[0].accumulator.finished:
                raise self._truncated()
        except BaseException as error:  # noqa: BLE001 - raised again by _fail
            await self._fail(error)
        try:
            self._settle("completed")
        finally:
            await self._source.aclose()
        return False

    async def _read(self) -> list[StreamChunk]:
        source, context = self._source, self.request.context
        assert source is not None
        if source.ended:
            return []
        if context.deadline is None:
            batch = await source.read()
        else:
            try:
                async with time_limit(context.clock, context.deadline):
                    batch = await source.read()
            except builtins.TimeoutError as error:
                if isinstance(error, ProviderError):
                    raise
                raise deadline_passed(self.request) from None
        if self._first_content_at is None and any(map(_has_content, batch)):
            self._first_content_at = context.clock.now()
        return batch

    async def _fail(self, error: BaseException) -> NoReturn:
        """End because of `error`, and raise what it means to the consumer."""
        assert self._source is not None
        try:
            if self._outcome is None:
                self._take_primed()
                error = self._as_seen(error)
                self._error = error
                cancelled = not isinstance(error, Exception)
                self._settle("cancelled" if cancelled else "failed", error)
        finally:
            await self._source.aclose()
        raise error

    def _settle(self, status: str, error: BaseException | None = None) -> None:
        """End, exactly once: tell every layer, from the innermost outwards."""
        problems: list[Exception] = []
        labelled = ModelResponse(provider=self._labels[0], request_id=self._labels[1])
        for stage in self._stages:
            answer = _with_labels_of(labelled, stage.accumulator.build())
            self._answer = labelled = answer
            self._outcome = outcome = self._make_outcome(status, answer, error)
            if self._attempt is not None:
                self._attempt.end(outcome, self.request.context.clock.now(), self._first_content_at)
                self._attempt = None
            for callback in stage.callbacks:
                try:
                    callback(outcome)
                except Exception as problem:  # noqa: BLE001 - the other layers must still be told
                    problems.append(problem)
        if len(problems) == 1:
            raise problems[0]
        if problems:
            raise ExceptionGroup("several layers failed when the call had ended", problems)

    def _make_outcome(
        self, status: str, answer: ModelResponse | None, error: BaseException | None = None
    ) -> Outcome:
        context = self.request.context
        first = self._first_content_at
        return Outcome(
            status=status,
            request=self.request,
            response=answer,
            error=error,
            usage=answer.usage if answer is not None else None,
            attempts=tuple(context.attempts),
            duration=context.clock.now() - context.started,
            first_token_after=None if first is None else first - context.started,
        )

    def _as_seen(self, error: BaseException) -> BaseException:
        """The error as the consumer gets it: with what had arrived, if content had."""
        if isinstance(error, (StreamError, TimeoutError)):
            if error.partial is None:
                error.partial = self._partial()
        elif isinstance(error, ProviderError) and self._first_content_at is not None:
            interrupted = self._interrupted(
                error.message,
                provider=error.provider,
                model=error.model,
                status_code=error.status_code,
                request_id=error.request_id,
                code=error.code,
                retry_after=error.retry_after,
                body=error.body,
            )
            interrupted.__cause__ = error
            return interrupted
        return error

    def _interrupted(self, message: str, **particulars: Any) -> StreamInterruptedError:
        return StreamInterruptedError(message, partial=self._partial(), **particulars)

    def _truncated(self) -> StreamTruncatedError:
        return StreamTruncatedError(
            "the stream ended without a finish reason: the answer is not whole",
            provider=self._labels[0],
            model=self.request.model,
            request_id=self._labels[1],
        )

    def _partial(self) -> ModelResponse:
        labels = ModelResponse(provider=self._labels[0], request_id=self._labels[1])
        return _with_labels_of(labels, self._stages[-1].accumulator.build())

    def _take_primed(self) -> None:
        """Count what was read ahead but not asked for: it arrived, so it is billed."""
        self._stages[0].take(self._primed)
        self._primed = []


class _Stage:
    """The answer between two rewritings: what has passed there, and who wants to know its end."""

    __slots__ = ("accumulator", "callbacks", "error", "fn")

    def __init__(self, fn: Mapper | None) -> None:
        self.fn = fn
        self.accumulator = Accumulator()
        self.callbacks: list[SettleCallback] = []
        self.error: Exception | None = None

    def take(self, batch: list[StreamChunk]) -> list[StreamChunk]:
        if self.fn is not None:
            try:
                batch = self.rewrite(batch)
            except _RewriteError as stopped:
                # What passed before the mapper refused is delivered first, whether or not it came
                # in the same packet.
                self.error = stopped.error
                batch = stopped.passed
        add = self.accumulator.add
        for chunk in batch:
            add(chunk)
        return batch

    def rewrite(self, batch: list[StreamChunk]) -> list[StreamChunk]:
        assert self.fn is not None
        passed: list[StreamChunk] = []
        for chunk in batch:
            try:
                result = self.fn(chunk)
                if isinstance(result, StreamChunk):
                    passed.append(result)
                elif result is not None:
                    passed.extend(result)
            except Exception as error:
                raise _RewriteError(error, passed) from error
        return passed


class _RewriteError(Exception):
    def __init__(self, error: Exception, passed: list[StreamChunk]) -> None:
        self.error = error
        self.passed = passed


class _IteratorSource:
    """Chunks from any async iterator."""

    def __init__(self, chunks: AsyncIterator[StreamChunk]) -> None:
        self._chunks = chunks
        self.ended = False

    async def read(self) -> list[StreamChunk]:
        async for chunk in self._chunks:
            return [chunk]
        self.ended = True
        return []

    async def aclose(self) -> None:
        self.ended = True
        # A generator that another task is running cannot be closed; its reader closes it.
        if hasattr(self._chunks, "aclose") and not getattr(self._chunks, "ag_running", False):
            await self._chunks.aclose()


def deadline_passed(request: Request) -> TimeoutError:
    """The error for a call whose `deadline` has come."""
    return TimeoutError("the call's deadline has passed", limit="deadline", model=request.model)


def _with_labels_of(labelled: ModelResponse, answer: ModelResponse) -> ModelResponse:
    """Carry over what is not in any chunk."""
    answer.provider = labelled.provider
    answer.request_id = labelled.request_id
    answer.cost = labelled.cost
    answer.cached = labelled.cached
    return answer


def _has_content(chunk: StreamChunk) -> bool:
    return any(
        delta.content
        or delta.tool_calls
        or delta.reasoning
        or delta.reasoning_content
        or delta.refusal
        or delta.reasoning_details
        or delta.audio
        or delta.function_call
        or delta.annotations
        for delta in [choice.delta for choice in chunk.choices]
    )


def _finished(chunks: list[StreamChunk]) -> bool:
    accumulator = Accumulator()
    for chunk in chunks:
        accumulator.add(chunk)
    return accumulator.finished


def _close_soon(source: ChunkSource, loop: asyncio.AbstractEventLoop) -> None:
    async def close() -> None:
        with suppress(Exception):  # nobody is left to hear of it
            await source.aclose()

    loop.create_task(close())
