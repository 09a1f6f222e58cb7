"""What a script can do that no recording holds: sockets that break, stall or were closed before.

The same for each adapter, because the SDKs differ most where the network fails.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from scallion import build_pipeline
from scallion.exceptions import (
    ConnectionError,
    MalformedResponseError,
    ProviderError,
    StreamInterruptedError,
    TimeoutError,
)
from scallion.providers import anthropic, openai, openrouter
from support.upstream import (
    CLOSE,
    CUT,
    DISCONNECT,
    HANG,
    RESET,
    SILENCE,
    Reply,
    Upstream,
    completion,
    completion_stream,
    message,
    message_stream,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from scallion import Pipeline

MODEL = {"openai": "gpt-4o-mini", "openrouter": "openai/gpt-4o-mini", "anthropic": "claude-opus-4"}


@pytest.fixture(params=list(MODEL))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def _whole(name: str, text: str = "Hello") -> Reply:
    return message(text) if name == "anthropic" else completion(text)


def _stream(name: str, *pieces: Any, whole: bool = True) -> Reply:
    if name == "anthropic":
        return message_stream(*pieces, stop_reason="end_turn" if whole else None)
    return completion_stream(*pieces, finish="stop" if whole else None)


@asynccontextmanager
async def _llm(name: str, url: str, **settings: Any) -> AsyncIterator[Pipeline]:
    factory = {"openai": openai, "openrouter": openrouter, "anthropic": anthropic}[name]
    base_url = url if name == "anthropic" else url + "/v1"
    provider = factory(api_key="sk-test", base_url=base_url, **settings)
    async with build_pipeline(provider=provider, model=MODEL[name]) as pipeline:
        yield pipeline


async def _error(call: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await call
    return caught.value


@pytest.mark.parametrize("end", [CUT, CLOSE], ids=str)
async def test_a_socket_that_breaks_in_a_stream_is_an_interruption_with_what_came(name, end):
    reply = _stream(name, "Hel", "lo", end, whole=False)
    async with Upstream(reply) as upstream, _llm(name, upstream.url) as llm:
        error = await _error(llm.stream("Hi").collect())
        await upstream.all_closed()
    assert type(error) is StreamInterruptedError
    assert error.partial is not None
    assert (error.partial.text, error.partial.finish_reason) == ("Hello", None)
    assert (error.provider, error.model, error.retryable) == (name, MODEL[name], True)


@pytest.mark.parametrize("end", [CUT, CLOSE], ids=str)
async def test_a_socket_that_breaks_before_content_is_a_connection_error(name, end):
    reply = Reply(chunks=[b": hello\n\n", end])
    async with Upstream(reply) as upstream, _llm(name, upstream.url) as llm:
        error = await _error(llm.stream("Hi").collect())
    assert type(error) is ConnectionError
    assert error.retryable


@pytest.mark.parametrize("end", [CUT, CLOSE], ids=str)
async def test_a_socket_that_breaks_in_a_whole_answer_is_a_connection_error(name, end):
    body = _whole(name).body
    reply = Reply(chunks=[body[:40], end], framing="length", length=len(body))
    async with Upstream(reply) as upstream, _llm(name, upstream.url) as llm:
        error = await _error(llm.complete("Hi"))
    assert type(error) is ConnectionError
    assert error.retryable


@pytest.mark.parametrize("reply", [DISCONNECT, RESET], ids=["fin", "rst"])
@pytest.mark.parametrize("stream", [False, True], ids=["complete", "stream"])
async def test_a_server_that_hangs_up_instead_of_an_answer_is_a_connection_error(
    name, reply, stream
):
    async with Upstream(reply) as upstream, _llm(name, upstream.url) as llm:
        error = await _error(llm.stream("Hi").collect() if stream else llm.complete("Hi"))
        assert upstream.count == 1  # the SDK did not try again behind our back
    assert type(error) is ConnectionError
    assert error.retryable


async def test_a_kept_alive_connection_that_was_closed_meanwhile_may_be_tried_again(name):
    async with Upstream(default=_whole(name)) as upstream, _llm(name, upstream.url) as llm:
        assert (await llm.complete("Hi")).text == "Hello"
        upstream.drop_reused = True
        error = await _error(llm.complete("Hi"))
        assert upstream.dropped == 1
        assert (await llm.complete("Hi")).text == "Hello"
    assert type(error) is ConnectionError
    assert error.retryable


async def test_no_server_is_a_connection_error(name):
    async with Upstream() as upstream:
        url = upstream.url
    async with _llm(name, url) as llm:
        error = await _error(llm.complete("Hi"))
    assert type(error) is ConnectionError


async def test_silence_is_a_timeout(name):
    async with Upstream(SILENCE) as upstream, _llm(name, upstream.url, timeout=0.05) as llm:
        error = await _error(llm.complete("Hi"))
        await upstream.all_closed()
    assert type(error) is TimeoutError
    assert upstream.requests[0].abandoned


async def test_a_stream_that_stalls_is_a_timeout_with_what_came(name):
    reply = _stream(name, "Hel", HANG, whole=False)
    async with Upstream(reply) as upstream, _llm(name, upstream.url, timeout=0.05) as llm:
        error = await _error(llm.stream("Hi").collect())
        await upstream.all_closed()
    assert isinstance(error, TimeoutError)
    assert error.partial is not None
    assert error.partial.text == "Hel"
    assert upstream.requests[0].abandoned


async def test_bytes_that_are_not_http_are_a_typed_error(name):
    reply = Reply(chunks=[b"220 mail.example.org ESMTP\r\n", CLOSE], framing="raw")
    async with Upstream(reply) as upstream, _llm(name, upstream.url) as llm:
        error = await _error(llm.complete("Hi"))
    assert type(error) in (ConnectionError, MalformedResponseError)


@pytest.mark.parametrize("stream", [False, True], ids=["complete", "stream"])
async def test_a_body_that_is_not_utf8_is_malformed(name, stream):
    reply = _stream(name, "Grüß") if stream else _whole(name, "Grüß")
    broken = [
        chunk.replace("ü".encode(), b"\xfc") if isinstance(chunk, bytes) else chunk
        for chunk in reply.chunks
    ]
    latin = Reply(headers=reply.headers, chunks=broken)
    async with Upstream(latin) as upstream, _llm(name, upstream.url) as llm:
        error = await _error(llm.stream("Hi").collect() if stream else llm.complete("Hi"))
    assert type(error) is MalformedResponseError


@pytest.mark.parametrize("stream", [False, True], ids=["complete", "stream"])
async def test_json_10000_levels_deep_is_malformed(name, stream):
    deep = b'{"a":' * 10_000 + b"1" + b"}" * 10_000
    reply = Reply(headers={"content-type": "application/json"}, chunks=[deep])
    if stream:
        reply = Reply(
            headers={"content-type": "text/event-stream"}, chunks=[b"data: ", deep, b"\n\n"]
        )
    async with Upstream(reply) as upstream, _llm(name, upstream.url) as llm:
        error = await _error(llm.stream("Hi").collect() if stream else llm.complete("Hi"))
    assert type(error) is MalformedResponseError


async def test_an_event_of_10_mb_in_small_pieces_arrives_whole_and_a_larger_limit_is_kept(name):
    text = "ü" * 5_000_000
    reply = _stream(name, text)
    pieces = [
        chunk[at : at + 16_384]
        for chunk in reply.chunks
        if isinstance(chunk, bytes)
        for at in range(0, len(chunk), 16_384)
    ]
    large = Reply(headers=reply.headers, chunks=pieces)
    async with Upstream(default=large) as upstream:
        async with _llm(name, upstream.url) as llm:
            assert (await llm.stream("Hi").collect()).text == text
        async with _llm(name, upstream.url, max_event_bytes=1_000_000) as llm:
            error = await _error(llm.stream("Hi").collect())
    assert type(error) is MalformedResponseError
    assert "max_event_bytes" in str(error)


async def test_a_stream_that_is_left_releases_its_socket(name):
    reply = _stream(name, "Hel", HANG, whole=False)
    async with Upstream(reply) as upstream, _llm(name, upstream.url) as llm:
        async with llm.stream("Hi") as stream:
            async for chunk in stream:
                if chunk.content:
                    break
        await upstream.all_closed()
        assert stream.result.text == "Hel"
    assert upstream.requests[0].abandoned


async def test_a_cancelled_call_releases_its_socket(name):
    async with Upstream(SILENCE) as upstream, _llm(name, upstream.url) as llm:
        call = asyncio.create_task(llm.complete("Hi"))
        await upstream.received(1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await upstream.all_closed()
    assert upstream.requests[0].abandoned


async def test_one_connection_serves_one_call_after_the_other(name):
    replies = [_stream(name, "Hi"), _whole(name), _stream(name, "Hi")]
    async with Upstream(*replies) as upstream, _llm(name, upstream.url) as llm:
        for number in range(3):
            await (llm.complete("Hi") if number == 1 else llm.stream("Hi").collect())
        assert upstream.connections == 1
