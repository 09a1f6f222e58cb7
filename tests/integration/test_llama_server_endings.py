"""How calls to a real inference server end that do not end well: refused, left, or cut off."""

from __future__ import annotations

import asyncio
import gc

import pytest

from scallion import build_pipeline
from scallion.exceptions import (
    AuthenticationError,
    ConnectionError,
    ContextWindowExceededError,
    InvalidRequestError,
    StreamInterruptedError,
)
from support.llama_server import CONTEXT, KEY, MODEL
from support.server_process import until

pytestmark = pytest.mark.integration

STORY = "Tell me a very long story about the sea and everybody who lives there."


async def ask(llm, messages, *, stream, **params):
    if not stream:
        return await llm.complete(messages, **params)
    async with llm.stream(messages, **params) as chunks:
        return await chunks.collect()


both_ways = pytest.mark.parametrize("stream", [False, True], ids=["complete", "stream"])


# --------------------------------------------------------------------------------------- refused


@both_ways
async def test_a_wrong_key_is_an_authentication_error(llama, style, stream):
    wrong = "sk-wrong-0123456789abcdef"
    provider = llama.provider(style, api_key=wrong)
    async with build_pipeline(provider=provider, model=MODEL) as llm:
        with pytest.raises(AuthenticationError) as caught:
            await ask(llm, "Hi", stream=stream)
    assert caught.value.status_code == 401
    assert caught.value.provider == style
    assert not caught.value.retryable
    assert wrong not in f"{caught.value} {caught.value!r} {caught.value.__dict__}"


@both_ways
async def test_a_prompt_longer_than_the_context_says_so(llm, stream):
    with pytest.raises(ContextWindowExceededError) as caught:
        await ask(llm, "word " * (CONTEXT + 100), stream=stream, max_tokens=1)
    assert caught.value.status_code == 400
    assert not caught.value.retryable
    assert caught.value.body["error"]["n_ctx"] == CONTEXT
    assert (await llm.complete("Hi", max_tokens=1)).text


@both_ways
async def test_a_parameter_of_the_wrong_type_is_an_invalid_request(openai_llm, stream):
    with pytest.raises(InvalidRequestError) as caught:
        await ask(openai_llm, "Hi", stream=stream, min_p="hot")  # which only this server knows
    assert caught.value.status_code == 400


# ------------------------------------------------------------------------------------------ left


async def leave_by_closing(stream):
    await stream.aclose()


async def leave_by_error(stream):
    with pytest.raises(ZeroDivisionError):
        async with stream:
            raise ZeroDivisionError


async def leave_by_cancellation(stream):
    task = asyncio.create_task(stream.collect())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("leave", [leave_by_closing, leave_by_error, leave_by_cancellation])
async def test_a_stream_that_is_left_frees_its_place_at_the_server(llm, llama, leave):
    before = llama.counters()["tokens_predicted_total"]
    stream = llm.stream(STORY, max_tokens=CONTEXT // 2)
    seen = [await anext(stream) for _ in range(4)]
    assert llama.busy_slots() == 1
    assert llama.connections() == 1
    await leave(stream)
    await until(lambda: llama.busy_slots() == 0, "the slot is free")
    await until(lambda: llama.connections() == 0, "the connection is closed")
    assert llama.counters()["tokens_predicted_total"] - before < CONTEXT // 4
    partial = stream.result
    assert partial.finish_reason is None
    assert partial.text.startswith("".join(chunk.content or "" for chunk in seen))


async def test_a_stream_that_is_dropped_frees_its_place_at_the_server(llm, llama):
    async for chunk in llm.stream(STORY, max_tokens=CONTEXT // 2):
        if chunk.content:
            break
    assert llama.busy_slots() == 1
    gc.collect()
    await until(lambda: llama.busy_slots() == 0, "the slot is free")
    await until(lambda: llama.connections() == 0, "the connection is closed")


async def test_a_call_that_is_cancelled_closes_its_connection(llm, llama):
    task = asyncio.create_task(llm.complete(STORY, max_tokens=100))
    await until(lambda: llama.busy_slots() == 1, "the call has begun")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: llama.connections() == 0, "the connection is closed")
    # This server makes an answer that was not to be streamed to its end all the same.
    await until(lambda: llama.busy_slots() == 0, "the slot is free", within=30)


# ---------------------------------------------------------------------------------------- cut off


async def test_a_server_that_dies_interrupts_its_streams(mortal_llama):
    openai, anthropic = (
        build_pipeline(provider=mortal_llama.provider(style), model=MODEL)
        for style in ("openai", "anthropic")
    )
    async with openai, anthropic:
        streams = [llm.stream(STORY, max_tokens=CONTEXT // 2) for llm in (openai, anthropic)]
        texts = []
        for stream in streams:
            texts.append([(await anext(stream)).content or "" for _ in range(4)])
        mortal_llama.kill()
        for stream, pieces in zip(streams, texts, strict=True):
            with pytest.raises(StreamInterruptedError) as caught:
                async for chunk in stream:
                    pieces.append(chunk.content or "")
            text = "".join(pieces)
            assert text
            assert caught.value.partial.text == text
            assert caught.value.partial.finish_reason is None
            assert caught.value.retryable
            assert stream.result.text == text
        for llm in (openai, anthropic):
            for stream in (False, True):
                with pytest.raises(ConnectionError) as refused:
                    await ask(llm, "Hi", stream=stream)
                assert refused.value.retryable
                assert refused.value.provider == llm.provider.name
                assert KEY not in f"{refused.value} {refused.value!r}"
    assert mortal_llama.connections() == 0
