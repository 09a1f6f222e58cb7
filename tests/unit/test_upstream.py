"""The scripted upstream itself, seen by a client that reads raw bytes."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from contextlib import asynccontextmanager

import pytest

from support.upstream import (
    CLOSE,
    CUT,
    DISCONNECT,
    HANG,
    PAUSE,
    RESET,
    SILENCE,
    Received,
    Reply,
    Upstream,
    completion,
    completion_stream,
    error,
    html,
    message,
    message_stream,
    rechunk,
    sse,
)

BODY = b'{"model": "m"}'
REQUEST = b"POST /v1/chat/completions?x=1 HTTP/1.1\r\nHost: h\r\nX-Two: a\r\nx-two: b\r\n"
REQUEST += b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY)


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, request: bytes = REQUEST) -> None:
        self.writer.write(request)

    async def head(self) -> str:
        return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    async def chunk(self) -> bytes:
        size = int(await self.reader.readline(), 16)
        data = await self.reader.readexactly(size)
        assert await self.reader.readexactly(2) == b"\r\n"
        return data

    async def chunks(self) -> list[bytes]:
        found = []
        while data := await self.chunk():
            found.append(data)
        return found


@asynccontextmanager
async def connected(upstream):
    reader, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        try:
            await writer.wait_closed()
        except ConnectionError:
            pass


def events(reply: Reply) -> list:
    """The JSON data of a streamed reply."""
    data = [line[6:] for line in reply.body.splitlines() if line.startswith(b"data: ")]
    return [json.loads(line) if line != b"[DONE]" else "[DONE]" for line in data]


async def test_a_request_is_recorded_as_it_arrived():
    async with Upstream(Reply.whole(b"ok")) as upstream, connected(upstream) as client:
        client.send()
        assert "content-length: 2" in await client.head()
        assert await client.reader.readexactly(2) == b"ok"
    (request,) = upstream.requests
    assert (request.method, request.path, request.query) == ("POST", "/v1/chat/completions", "x=1")
    assert request.headers["X-TWO"] == "a, b"
    assert "x-two" in request.headers
    assert request.headers.get("Nope", "-") == "-"
    assert request.json == {"model": "m"}
    assert not request.abandoned


async def test_a_chunked_request_body_is_put_together():
    async with Upstream(Reply.whole(b"ok")) as upstream, connected(upstream) as client:
        client.send(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        client.send(b"2;x=y\r\nde\r\n0\r\n\r\n")
        await client.head()
    assert upstream.requests[0].body == b"abcde"


async def test_replies_come_in_order_and_then_the_default():
    upstream = Upstream(Reply.whole(b"1"), default=lambda request: Reply.whole(request.body))
    upstream.enqueue(Reply.whole(b"2"))
    async with upstream, connected(upstream) as client:
        for expected in (b"1", b"2", BODY, BODY):
            client.send()
            await client.head()
            assert await client.reader.readexactly(len(expected)) == expected
    assert upstream.count == 4
    assert upstream.connections == 1
    assert {request.connection for request in upstream.requests} == {0}


async def test_a_default_may_be_a_coroutine_function():
    async def answer(request: Received) -> Reply:
        await asyncio.sleep(0)
        return Reply.whole(request.method.encode())

    async with Upstream(default=answer) as upstream, connected(upstream) as client:
        client.send()
        await client.head()
        assert await client.reader.readexactly(4) == b"POST"


async def test_an_unscripted_request_fails_the_test():
    upstream = await Upstream().__aenter__()
    async with connected(upstream) as client:
        client.send()
        assert " 500 " in await client.head()
    with pytest.raises(AssertionError, match=r"request 1 \(POST .*nothing is scripted"):
        await upstream.__aexit__(None, None, None)


async def test_an_error_in_a_script_fails_the_test():
    def answer(request: Received) -> Reply:
        raise ZeroDivisionError

    upstream = await Upstream(answer).__aenter__()
    async with connected(upstream) as client:
        client.send()
        await client.head()
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        await upstream.__aexit__(None, None, None)


async def test_the_error_of_the_test_itself_comes_first():
    upstream = await Upstream().__aenter__()
    async with connected(upstream) as client:
        client.send()
        await client.head()
    await upstream.__aexit__(KeyError, KeyError(), None)  # raises nothing of its own


async def test_chunks_arrive_one_by_one():
    pieces = [b"a", "ü".encode()[:1], "ü".encode()[1:], b"long" * 1000]
    async with Upstream(Reply(chunks=pieces)) as upstream, connected(upstream) as client:
        client.send()
        await client.head()
        assert await client.chunks() == pieces


async def test_small_chunks_reach_a_client_in_the_same_loop_as_separate_reads():
    pieces = [b"%d" % number for number in range(20)]
    async with Upstream(Reply(chunks=pieces)) as upstream:
        reads = []
        finished = asyncio.Event()

        class Reader(asyncio.Protocol):
            def data_received(self, data: bytes) -> None:
                reads.append(data)
                if data == b"0\r\n\r\n":
                    finished.set()

        transport, _ = await asyncio.get_running_loop().create_connection(
            Reader, "127.0.0.1", upstream.port
        )
        transport.write(REQUEST)
        await finished.wait()
        transport.close()
    assert reads[1:-1] == [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]


async def test_a_body_larger_than_the_socket_buffers_arrives_whole():
    body = bytes(range(256)) * 40_000
    async with Upstream(Reply.whole(body)) as upstream, connected(upstream) as client:
        client.send()
        await client.head()
        assert await client.reader.readexactly(len(body)) == body


async def test_a_pause_lasts_until_the_event_is_set():
    event = asyncio.Event()
    reply = Reply(chunks=[b"a", PAUSE(event), b"b"])
    async with Upstream(reply) as upstream, connected(upstream) as client:
        client.send()
        await client.head()
        assert await client.chunk() == b"a"
        rest = asyncio.create_task(client.chunk())
        for _ in range(20):
            await asyncio.sleep(0)
        assert not rest.done()
        event.set()
        assert await rest == b"b"


async def test_a_head_can_be_held_back():
    event = asyncio.Event()
    async with Upstream(Reply(wait=event)) as upstream, connected(upstream) as client:
        client.send()
        await upstream.received(1)
        head = asyncio.create_task(client.head())
        for _ in range(20):
            await asyncio.sleep(0)
        assert not head.done()
        event.set()
        assert await head


async def test_cut_resets_the_socket():
    async with Upstream(Reply(chunks=[b"a", CUT])) as upstream, connected(upstream) as client:
        client.send()
        await client.head()
        await client.chunk()
        with pytest.raises(ConnectionResetError):
            await client.reader.read()
        await upstream.all_closed()


async def test_close_ends_the_socket_in_good_order():
    reply = Reply(chunks=[b"a", CLOSE], framing="length", length=5)
    async with Upstream(reply) as upstream, connected(upstream) as client:
        client.send()
        assert "content-length: 5" in await client.head()
        assert await client.reader.read() == b"a"


@pytest.mark.parametrize("reply", [DISCONNECT, RESET])
async def test_a_connection_can_end_without_an_answer(reply: Reply):
    async with Upstream(reply) as upstream, connected(upstream) as client:
        client.send()
        if reply is RESET:
            with pytest.raises(ConnectionResetError):
                await client.reader.read()
        else:
            assert await client.reader.read() == b""
    assert upstream.count == 1


async def test_a_raw_reply_need_not_be_http():
    reply = Reply(chunks=[b"220 SMTP\r\n", CLOSE], framing="raw")
    async with Upstream(reply) as upstream, connected(upstream) as client:
        client.send()
        assert await client.reader.read() == b"220 SMTP\r\n"


async def test_a_body_may_be_ended_by_the_end_of_the_connection():
    reply = Reply(chunks=[b"ab"], framing="close")
    async with Upstream(reply) as upstream, connected(upstream) as client:
        client.send()
        head = await client.head()
        assert "connection: close" in head
        assert "content-length" not in head
        assert await client.reader.read() == b"ab"


async def test_headers_may_repeat_and_hold_utf8():
    reply = Reply.whole(b"", headers=[("x-a", "1"), ("x-a", "ü")], keep_alive=False)
    async with Upstream(reply) as upstream, connected(upstream) as client:
        client.send()
        head = await client.head()
        assert "x-a: 1\r\nx-a: ü\r\n" in head
        assert "connection: close" in head
        assert await client.reader.read() == b""


@pytest.mark.parametrize(
    "reply",
    [SILENCE, Reply(chunks=[HANG]), Reply(wait=asyncio.Event()), Reply(chunks=[b"a", HANG])],
)
async def test_a_client_that_leaves_is_noticed_and_recorded(reply: Reply):
    async with Upstream(reply) as upstream:
        async with connected(upstream) as client:
            client.send()
            await upstream.received(1)
            assert upstream.open_connections == 1
        await upstream.all_closed()
        assert upstream.requests[0].abandoned


async def test_a_client_that_leaves_while_a_script_thinks_is_recorded():
    async def answer(request: Received) -> Reply:
        await asyncio.Event().wait()
        return Reply()

    async with Upstream(answer) as upstream:
        async with connected(upstream) as client:
            client.send()
            await upstream.received(1)
        await upstream.all_closed()
        assert upstream.requests[0].abandoned


async def test_a_client_that_leaves_between_chunks_is_recorded():
    event = asyncio.Event()
    async with Upstream(Reply(chunks=[b"a", PAUSE(event), b"b"])) as upstream:
        async with connected(upstream) as client:
            client.send()
            await client.head()
        await upstream.all_closed()
        assert upstream.requests[0].abandoned


async def test_a_reused_connection_can_be_dropped_at_its_second_request():
    async with Upstream(default=Reply.whole(b"")) as upstream:
        upstream.drop_reused = True
        async with connected(upstream) as client:
            client.send()
            await client.head()
            client.send()
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await client.head()
        async with connected(upstream) as client:
            client.send()
            await client.head()
    assert (upstream.count, upstream.dropped, upstream.connections) == (2, 1, 2)


async def test_an_open_connection_fails_the_wait_for_closed_ones():
    async with Upstream(SILENCE) as upstream, connected(upstream) as client:
        client.send()
        await upstream.received(1)
        with pytest.raises(AssertionError, match="1 connections are open, 1 requests"):
            await upstream.all_closed(within=0.01)


async def test_the_server_stops_with_connections_open():
    async with Upstream(SILENCE) as upstream, connected(upstream) as client:
        client.send()
        await upstream.received(1)
        await upstream.__aexit__(None, None, None)
        assert upstream.open_connections == 0
        assert await client.reader.read() == b""


def test_the_server_runs_in_a_thread_for_synchronous_tests():
    event = threading.Event()
    with Upstream(Reply(chunks=[b"a", PAUSE(event), b"b"], keep_alive=False)) as upstream:
        with socket.create_connection(("127.0.0.1", upstream.port), timeout=5) as client:
            client.sendall(REQUEST)
            upstream.run(upstream.received(1))
            event.set()
            received = b""
            while data := client.recv(4096):
                received += data
        upstream.run(upstream.all_closed())
    assert received.endswith(b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n")


async def test_the_server_in_a_thread_can_be_awaited_from_another_loop():
    with Upstream(Reply.whole(b"")) as upstream:
        async with connected(upstream) as client:
            client.send()
            await upstream.received(1)
            await client.head()
        await upstream.all_closed()


def test_a_thread_hands_the_failure_of_a_script_to_the_test():
    upstream = Upstream().__enter__()
    with socket.create_connection(("127.0.0.1", upstream.port), timeout=5) as client:
        client.sendall(REQUEST)
        assert b" 500 " in client.recv(4096)
    with pytest.raises(AssertionError, match="nothing is scripted"):
        upstream.__exit__(None, None, None)


# ----------------------------------------------------------------------- what providers say


def test_rechunk_loses_nothing():
    assert rechunk(b"abcde", 2) == [b"ab", b"cd", b"e"]
    assert rechunk(b"", 2) == []


def test_a_completion_has_openais_shape():
    reply = completion(
        None,
        tool_calls=[("call_1", "add", '{"a":1}')],
        usage=(7, 3),
        message={"refusal": None},
        provider="Azure",
    )
    body = json.loads(reply.body)
    assert body["provider"] == "Azure"
    assert body["usage"] == {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    (choice,) = body["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "add", "arguments": '{"a":1}'}


def test_a_completion_stream_ends_with_finish_usage_and_done():
    *deltas, finish, usage, done = events(completion_stream("Hel", "lo"))
    assert [event["choices"][0]["delta"]["content"] for event in deltas] == ["", "Hel", "lo"]
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 7)
    assert done == "[DONE]"


def test_a_completion_stream_fragments_tool_arguments():
    reply = completion_stream(tool_calls=[("call_1", "add", '{"a":1}')], role=False, usage=None)
    opening, *fragments, finish, _ = events(reply)
    assert opening["choices"][0]["delta"]["tool_calls"][0]["id"] == "call_1"
    parts = [event["choices"][0]["delta"]["tool_calls"][0]["function"] for event in fragments]
    assert [part["arguments"] for part in parts] == ['{"a', '":1', "}"]
    assert finish["choices"][0]["finish_reason"] == "tool_calls"


def test_steps_keep_their_place_when_a_stream_is_cut_into_bytes():
    event = asyncio.Event()
    reply = completion_stream(
        "a", PAUSE(event), b": hello\n\n", CUT, chunk_bytes=7, line_end=b"\r\n", finish=None
    )
    at = reply.chunks.index(PAUSE(event))
    assert all(isinstance(chunk, bytes) and len(chunk) <= 7 for chunk in reply.chunks[:at])
    assert reply.chunks[at + 1 :] == [b": hello", b"\r\n\r\n", CUT]
    assert b"\n" not in reply.body.replace(b"\r\n", b"")


def test_a_message_stream_has_anthropics_sequence_of_events():
    reply = message_stream(
        {"type": "thinking", "thinking": "Hmmm", "signature": "sig"},
        "Hel",
        "lo",
        {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": 1}},
        stop_reason="tool_use",
        usage={"input_tokens": 9, "cache_read_input_tokens": 4, "output_tokens": 6},
    )
    kinds = [event["type"] for event in events(reply)]
    block = ["content_block_start", "content_block_delta", "content_block_stop"]
    assert [kind for kind, previous in zip(kinds, ["", *kinds], strict=False) if kind != previous] == [
        "message_start", block[0], "ping", *block[1:], *block, *block, "message_delta", "message_stop",
    ]  # fmt: skip
    deltas = [event["delta"] for event in events(reply) if event["type"] == block[1]]
    partial = "".join(delta.get("partial_json", "") for delta in deltas)
    assert json.loads(partial) == {"a": 1}
    assert {"type": "signature_delta", "signature": "sig"} in deltas
    start, end = events(reply)[0]["message"], events(reply)[-2]
    assert (start["usage"]["input_tokens"], start["usage"]["output_tokens"]) == (9, 1)
    assert (end["usage"], end["delta"]["stop_reason"]) == ({"output_tokens": 6}, "tool_use")
    assert reply.body.startswith(b"event: message_start\ndata: {")


def test_a_message_stream_may_break_off():
    kinds = [event["type"] for event in events(message_stream("Hel", CUT, stop_reason=None))]
    assert kinds[-1] == "content_block_delta"


def test_a_message_has_anthropics_shape():
    body = json.loads(message("Hi", stop_reason="max_tokens", container=None).body)
    assert body["content"] == [{"type": "text", "text": "Hi"}]
    assert body["stop_reason"] == "max_tokens"
    assert body["usage"] == {"input_tokens": 5, "output_tokens": 2}


def test_errors_have_each_providers_shape():
    openai = json.loads(error(429, code="rate_limit_exceeded").body)["error"]
    assert (openai["type"], openai["code"]) == ("rate_limit_exceeded", "rate_limit_exceeded")
    anthropic = error(529, style="anthropic", headers={"request-id": "req_1"})
    assert json.loads(anthropic.body)["error"]["type"] == "overloaded_error"
    assert dict(anthropic.headers)["request-id"] == "req_1"
    openrouter = json.loads(error(402, style="openrouter", message="No credit").body)["error"]
    assert openrouter == {"message": "No credit", "code": 402}
    assert html(503).status == 503


def test_an_event_may_have_a_name():
    assert sse({"a": "ü"}, "delta") == 'event: delta\ndata: {"a":"ü"}\n\n'.encode()
