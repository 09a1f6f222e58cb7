"""How a call is made: asked through a pipeline, told to callbacks, and tried elsewhere.

Asynchronous and synchronous calls are the same steps; those of a synchronous one run in the caller's
own thread, on Scallion's background loop.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from scallion._sync import SyncPipeline
from scallion.exceptions import LLMClientError

from . import _mock
from ._callbacks import at_once
from ._convert import ChunkConverter
from ._prepared import Prepared
from .exceptions import ContextWindowExceededError
from .types.utils import ModelResponse, ModelResponseStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from scallion._response_stream import ResponseStream
    from scallion._sync import SyncStream

    from .litellm_core_utils.streaming_handler import CustomStreamWrapper

# ------------------------------------------------------------------------------------ asynchronous


async def acompletion(kwargs: dict[str, Any]) -> ModelResponse | CustomStreamWrapper:
    """Make a call, and fall back if the caller says where to."""
    try:
        return await _acompletion_once(kwargs)
    except Exception as error:
        failure: Exception = error
    for changed in _next_calls(kwargs, failure):
        try:
            return await _acompletion_once(changed)
        except Exception as error:
            failure = error
    raise failure


async def _acompletion_once(kwargs: dict[str, Any]) -> ModelResponse | CustomStreamWrapper:
    prepared = Prepared(kwargs, is_async=True)
    call = prepared.call
    try:
        if _mock.wanted(kwargs):
            await call.begin()
            if prepared.stream:
                return prepared.wrapper(_amocked(prepared, prepared.mocked_chunks()))
            response = prepared.mocked()
            await call.sent()
        else:
            pipeline = prepared.pipeline()
            await call.begin()
            if prepared.stream:
                stream = pipeline.stream(**prepared.arguments())
                await stream.__aenter__()
                await call.sent()
                wrapper = prepared.wrapper(None)
                wrapper.completion_stream = _achunks(prepared, stream, wrapper)
                wrapper._close = stream.aclose
                return wrapper
            response = prepared.convert(await pipeline.complete(**prepared.arguments()))
            await call.sent()
    except Exception as error:
        failure = prepared.translated(error)
        await call.failed(failure)
        raise failure from (error if failure is not error else error.__cause__)
    await call.succeeded(response, prepared.finish(response))
    return response


async def _achunks(
    prepared: Prepared, stream: ResponseStream, wrapper: CustomStreamWrapper
) -> AsyncIterator[ModelResponseStream]:
    converter = ChunkConverter(prepared.model)
    text: list[str] = []
    thought: list[str] = []
    call = prepared.call
    try:
        while chunks := await stream.next_chunks():
            for chunk in converter.convert(chunks):
                _collect(chunk, text, thought)
                await call.streamed(chunk)
                yield chunk
        if prepared.include_usage:
            converter.usage = prepared.streamed_usage(converter, "".join(text), "".join(thought))
            converter.include_usage = True
            for chunk in converter.close():
                yield chunk
    except LLMClientError as error:
        failure = prepared.translated(error)
        await call.failed(failure)
        raise failure from error
    finally:
        await stream.aclose()
    response = prepared.convert(stream.result)
    cost = prepared.finish(response)
    wrapper._hidden_params.update(response._hidden_params)
    await call.succeeded(response, cost)


async def _amocked(
    prepared: Prepared, chunks: Iterator[ModelResponseStream]
) -> AsyncIterator[ModelResponseStream]:
    told = []
    for chunk in chunks:
        told.append(chunk)
        await prepared.call.streamed(chunk)
        yield chunk
    response = prepared.built(told)
    await prepared.call.succeeded(response, prepared.finish(response))


# ------------------------------------------------------------------------------------- synchronous


def completion(kwargs: dict[str, Any]) -> ModelResponse | CustomStreamWrapper:
    """The same for callers without an event loop, on Scallion's background loop."""
    try:
        return _completion_once(kwargs)
    except Exception as error:
        failure: Exception = error
    for changed in _next_calls(kwargs, failure):
        try:
            return _completion_once(changed)
        except Exception as error:
            failure = error
    raise failure


def _completion_once(kwargs: dict[str, Any]) -> ModelResponse | CustomStreamWrapper:
    prepared = Prepared(kwargs, is_async=False)
    call = prepared.call
    try:
        if _mock.wanted(kwargs):
            at_once(call.begin())
            if prepared.stream:
                return prepared.wrapper(_mocked(prepared, prepared.mocked_chunks()))
            response = prepared.mocked()
            at_once(call.sent())
        else:
            pipeline = SyncPipeline(prepared.pipeline())
            at_once(call.begin())
            if prepared.stream:
                stream = pipeline.stream(**prepared.arguments())
                stream.__enter__()
                at_once(call.sent())
                wrapper = prepared.wrapper(None)
                wrapper.completion_stream = _chunks(prepared, stream, wrapper)
                return wrapper
            response = prepared.convert(pipeline.complete(**prepared.arguments()))
            at_once(call.sent())
    except Exception as error:
        failure = prepared.translated(error)
        at_once(call.failed(failure))
        raise failure from (error if failure is not error else error.__cause__)
    at_once(call.succeeded(response, prepared.finish(response)))
    return response


def _chunks(
    prepared: Prepared, stream: SyncStream, wrapper: CustomStreamWrapper
) -> Iterator[ModelResponseStream]:
    converter = ChunkConverter(prepared.model)
    text: list[str] = []
    thought: list[str] = []
    call = prepared.call
    try:
        for each in stream:
            for chunk in converter.convert([each]):
                _collect(chunk, text, thought)
                at_once(call.streamed(chunk))
                yield chunk
        if prepared.include_usage:
            converter.usage = prepared.streamed_usage(converter, "".join(text), "".join(thought))
            converter.include_usage = True
            yield from converter.close()
    except LLMClientError as error:
        failure = prepared.translated(error)
        at_once(call.failed(failure))
        raise failure from error
    finally:
        with suppress(RuntimeError):  # the garbage collector may run in the loop's own thread
            stream.close()
    response = prepared.convert(stream.result)
    cost = prepared.finish(response)
    wrapper._hidden_params.update(response._hidden_params)
    at_once(call.succeeded(response, cost))


def _mocked(
    prepared: Prepared, chunks: Iterator[ModelResponseStream]
) -> Iterator[ModelResponseStream]:
    told = []
    for chunk in chunks:
        told.append(chunk)
        at_once(prepared.call.streamed(chunk))
        yield chunk
    response = prepared.built(told)
    at_once(prepared.call.succeeded(response, prepared.finish(response)))


# ------------------------------------------------------------------------------------------ helpers


def _collect(chunk: ModelResponseStream, text: list[str], thought: list[str]) -> None:
    for choice in chunk.choices:
        delta: Any = choice.delta
        if delta.content:
            text.append(delta.content)
        if reasoning := delta.get("reasoning_content"):
            thought.append(reasoning)


def _next_calls(kwargs: dict[str, Any], failure: Exception) -> Iterator[dict[str, Any]]:
    """The calls to make after a failure: those that the caller listed."""
    larger = (kwargs.get("context_window_fallback_dict") or {}).get(kwargs.get("model"))
    if larger is not None and isinstance(failure, ContextWindowExceededError):
        yield {**kwargs, "model": larger}
    for fallback in kwargs.get("fallbacks") or ():
        changes = {"model": fallback} if isinstance(fallback, str) else dict(fallback)
        yield {**kwargs, "custom_llm_provider": None, **changes}
