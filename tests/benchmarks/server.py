"""A server that answers faster than any client asks, in a process of its own.

The first part of the path names the reply, so a benchmark chooses it by its base URL. A reply is
made once, headers included, and written whole; what is measured is the client.
"""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from typing import TYPE_CHECKING

import replies

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_NETWORK = 1_460
"""Bytes of a stream per HTTP chunk where it is coalesced: what one Ethernet frame holds."""

Reply = list[bytes]
"""What is written for one request, one element after the other."""


class Protocol(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, as far as the clients under test go: a head and a counted body."""

    def __init__(self, known: dict[bytes, Reply]) -> None:
        self._known = known
        self._received = bytearray()
        self._expected = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        # A head always comes in one piece here, because clients write it in one.
        if not self._received:
            end = data.index(b"\r\n\r\n") + 4
            at = data.lower().find(b"content-length:", 0, end)
            length = int(data[at + 15 : data.index(b"\r", at)]) if at >= 0 else 0
            self._expected = end + length
        self._received += data
        if len(self._received) < self._expected:
            return
        assert self._transport is not None
        name = bytes(self._received[:200]).split(b"/", 2)[1]
        self._received.clear()
        for part in self._known[name]:
            self._transport.write(part)


def make_replies() -> dict[bytes, Reply]:
    """Every reply by its name, such as `openai`, `openai-200` or `anthropic-2000-flushed`."""
    known: dict[bytes, Reply] = {}
    for provider, answer, events in (
        ("openai", replies.openai_answer, replies.openai_events),
        ("openai.compatible", replies.openai_answer, replies.compatible_events),
        ("anthropic", replies.anthropic_answer, replies.anthropic_events),
    ):
        head = _head("application/json", b"content-length: %d" % len(answer()))
        known[provider.encode()] = [head + answer()]
        stream_head = _head("text/event-stream; charset=utf-8", b"transfer-encoding: chunked")
        for count in replies.CHUNKS:
            parts = events(count)
            body = b"".join(parts)
            pieces = [body[at : at + _NETWORK] for at in range(0, len(body), _NETWORK)]
            name = f"{provider}-{count}"
            known[name.encode()] = [stream_head + b"".join(map(_chunked, [*pieces, b""]))]
            known[f"{name}-flushed".encode()] = [stream_head, *map(_chunked, [*parts, b""])]
    return known


def _head(content_type: str, length: bytes) -> bytes:
    # The headers that the adapters and the SDKs look at, and as many others as OpenAI sends.
    others = "".join(f"x-ratelimit-{n}: 1000000\r\n" for n in range(6))
    return (
        (
            f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\nx-request-id: req_1\r\n"
            f"request-id: req_1\r\nserver: cloudflare\r\n{others}"
        ).encode()
        + length
        + b"\r\n\r\n"
    )


def _chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def serve() -> None:
    """Print the port, and answer until standard input is closed."""
    known = make_replies()
    gc.disable()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Protocol(known), "127.0.0.1", 0, backlog=1_024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


class Server:
    """The server as a child process: `with Server() as server: server.url("openai-200")`."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        self.root = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def url(self, reply: str) -> str:
        """The base URL at which `reply` is the answer."""
        return url_of(self.root, reply)


def url_of(root: str, reply: str) -> str:
    """The base URL of `reply` on the server at `root`. OpenAI's SDK wants the version in it."""
    return f"{root}/{reply}" + ("/v1" if reply.startswith("openai") else "")


if __name__ == "__main__":
    asyncio.run(serve())
