"""A scripted HTTP/1.1 server on loopback: says exactly these bytes, in these pieces, and counts.

It is a real TCP server without a web framework, because what the tests are about (where a body is
cut, how a socket ends, whether it is used again) is what frameworks hide.
"""

from __future__ import annotations

import asyncio
import inspect
import socket
import struct
import threading
from collections import deque
from typing import TYPE_CHECKING, TypeVar

from support.script import CLOSE, CUT, HANG, PAUSE, Headers, Received, Reply, Script

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType
    from typing import Self

T = TypeVar("T")

# Turns of the event loop between two pieces, so that a client in the same loop reads them apart.
_TURNS = 3


class Upstream:
    """The server. `async with` runs it in the test's event loop, `with` in a thread of its own.

    A request for which nothing is scripted is answered with a 500 and fails the test when the
    `with` block ends; so does an error inside a callable of the script.

    Attributes:
        default: Answers once the queue is empty: a reply, or a callable (async or not) from the
            request to a reply.
        requests: Every request received, in order.
        connections: How many connections were ever accepted.
        open_connections: How many are open now.
        answering: How many requests are being answered now, by clients that are still there.
        drop_reused: Close a connection as soon as a second request arrives on it, unanswered and
            unread, as a server does whose keep-alive timeout has just passed.
        dropped: How many requests met that fate. They are not in `requests`.
    """

    def __init__(self, *replies: Script, default: Script | None = None) -> None:
        self.default = default
        self.requests: list[Received] = []
        self.connections = 0
        self.open_connections = 0
        self.answering = 0
        self.drop_reused = False
        self.dropped = 0
        self.port = 0
        self._queue: deque[Script] = deque(replies)
        self._problems: list[str] = []
        self._live: set[_Connection] = set()
        self._changed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: asyncio.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, without a slash."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def count(self) -> int:
        """How many requests were received."""
        return len(self.requests)

    def enqueue(self, *replies: Script) -> None:
        """Answer the next requests with these, one each, in order."""
        self._queue.extend(replies)

    async def all_closed(self, within: float = 5.0) -> None:
        """Wait until no connection is open. Fails after `within` seconds."""
        await self._until(lambda: not self.open_connections, "every connection closed", within)

    async def all_answered(self, within: float = 5.0) -> None:
        """Wait until each request was answered, or given up. Fails after `within` seconds."""
        await self._until(lambda: not self.answering, "every answer to end", within)

    async def received(self, count: int, within: float = 5.0) -> None:
        """Wait until `count` requests have arrived in all. Fails after `within` seconds."""
        await self._until(lambda: self.count >= count, f"{count} requests", within)

    def run(self, awaitable: Awaitable[T]) -> T:
        """Run one of the waits above from synchronous code, for a server in a thread."""
        if self._loop is None:
            raise RuntimeError("the server does not run")

        async def run() -> T:
            return await awaitable

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._server = await self._loop.create_server(
            lambda: _Connection(self), "127.0.0.1", 0, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
        live = list(self._live)
        for connection in live:
            connection.stop()
        await asyncio.gather(*(connection.task for connection in live), return_exceptions=True)
        await self.all_closed()
        if error is None and self._problems:
            raise AssertionError("; ".join(self._problems))

    def __enter__(self) -> Self:
        loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=loop.run_forever, name="upstream", daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.__aenter__(), loop).result()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        loop, thread = self._loop, self._thread
        assert loop is not None
        assert thread is not None
        try:
            asyncio.run_coroutine_threadsafe(self.__aexit__(kind, error, None), loop).result()
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    async def _until(self, holds: Callable[[], bool], what: str, within: float) -> None:
        if self._loop is not asyncio.get_running_loop():
            assert self._loop is not None
            elsewhere = self._until(holds, what, within)
            future = asyncio.run_coroutine_threadsafe(elsewhere, self._loop)
            return await asyncio.wrap_future(future)
        try:
            async with asyncio.timeout(within):
                while not holds():
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(
                f"waited {within} s for {what}: {self.open_connections} connections are open, "
                f"{self.count} requests have arrived"
            ) from None

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _reply_to(self, request: Received) -> Reply:
        script = self._queue.popleft() if self._queue else self.default
        try:
            if script is None:
                raise LookupError("nothing is scripted")
            if isinstance(script, Reply):
                return script
            reply = script(request)
            return await reply if inspect.isawaitable(reply) else reply
        except Exception as error:  # noqa: BLE001 - told to the test, whatever it is
            number = len(self.requests)
            problem = f"request {number} ({request.method} {request.target}): {error!r}"
            self._problems.append(problem)
            return Reply.whole(problem.encode(), 500, headers={"content-type": "text/plain"})


class _Gone(Exception):
    pass


class _Connection(asyncio.Protocol):
    """One accepted connection: reads a request, plays the reply, and so on."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._buffer = bytearray()
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(high=0)  # "written" means handed to the kernel
        self._transport = transport
        self._number = self._upstream.connections
        self._upstream.connections += 1
        self._upstream.open_connections += 1
        self._upstream._live.add(self)
        self._upstream._notify()
        self.task = asyncio.get_running_loop().create_task(self._serve())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._arrived.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def eof_received(self) -> bool:
        self._leave()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        # Only then is everything about the connection on record, `abandoned` included.
        self.task.add_done_callback(self._forget)

    def _forget(self, _task: asyncio.Task[None]) -> None:
        self._upstream.open_connections -= 1
        self._upstream._live.discard(self)
        self._upstream._notify()

    def stop(self) -> None:
        self.task.cancel()
        self._transport.abort()

    def _leave(self) -> None:
        for event in (self._gone, self._arrived, self._writable):
            event.set()

    async def _serve(self) -> None:
        served = 0
        try:
            while True:
                await self._fill(1)
                if served and self._upstream.drop_reused:
                    self._upstream.dropped += 1
                    break
                if not await self._answer(await self._read_request()):
                    break
                served += 1
        except _Gone:
            pass
        finally:
            self._transport.close()

    async def _answer(self, request: Received) -> bool:
        """Play the reply; whether the connection lives on."""
        self._upstream.requests.append(request)
        self._upstream.answering += 1
        self._upstream._notify()
        try:
            reply = await self._while_connected(self._upstream._reply_to(request))
            if reply.wait is not None:
                await self._pause(reply.wait)
            return await self._play(reply)
        except _Gone:
            request.abandoned = True
            raise
        finally:
            self._upstream.answering -= 1
            self._upstream._notify()

    async def _play(self, reply: Reply) -> bool:
        chunked = reply.framing == "chunked"
        if reply.framing != "raw":
            await self._write(reply.head())
        for step in reply.chunks:
            if isinstance(step, PAUSE):
                await self._pause(step.event)
            elif step is HANG:
                await self._gone.wait()
                raise _Gone
            elif step is CUT:
                self._reset()
                return False
            elif step is CLOSE:
                return False
            elif isinstance(step, bytes) and step:
                await self._write(b"%x\r\n%b\r\n" % (len(step), step) if chunked else step)
        if chunked:
            await self._write(b"0\r\n\r\n")
        return reply.keep_alive and reply.framing in ("chunked", "length")

    async def _write(self, data: bytes) -> None:
        if self._gone.is_set() or self._transport.is_closing():
            raise _Gone
        self._transport.write(data)
        await self._writable.wait()
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    def _reset(self) -> None:
        if self._transport.is_closing():
            raise _Gone  # the client was quicker
        # A linger time of zero turns the close into a reset.
        linger = struct.pack("ii", 1, 0)
        self._transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, linger
        )
        self._transport.abort()

    async def _pause(self, event: asyncio.Event | threading.Event) -> None:
        if isinstance(event, threading.Event):
            await self._while_connected(asyncio.to_thread(event.wait))
        else:
            await self._while_connected(event.wait())

    async def _while_connected(self, awaitable: Awaitable[T]) -> T:
        waiting = asyncio.ensure_future(awaitable)
        leaving = asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if self._gone.is_set():
                raise _Gone
            return waiting.result()
        finally:
            waiting.cancel()
            leaving.cancel()

    async def _fill(self, size: int) -> None:
        """Wait until the buffer holds `size` bytes."""
        while len(self._buffer) < size:
            if self._gone.is_set():
                raise _Gone
            self._arrived.clear()
            await self._arrived.wait()

    async def _take(self, size: int) -> bytes:
        await self._fill(size)
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    async def _take_until(self, mark: bytes) -> bytes:
        while (at := self._buffer.find(mark)) < 0:
            await self._fill(len(self._buffer) + 1)
        return (await self._take(at + len(mark)))[:at]

    async def _read_request(self) -> Received:
        head = (await self._take_until(b"\r\n\r\n")).decode("latin-1")
        start, *lines = head.split("\r\n")
        method, target, _ = start.split(" ")
        headers = Headers()
        for line in lines:
            name, _, value = line.partition(":")
            name, value = name.strip().lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = await self._take_chunked()
        else:
            body = await self._take(int(headers.get("content-length", 0)))
        return Received(method, target, headers, body, self._number)

    async def _take_chunked(self) -> bytes:
        body = bytearray()
        while size := int((await self._take_until(b"\r\n")).partition(b";")[0], 16):
            body += await self._take(size)
            await self._take(2)
        while await self._take_until(b"\r\n"):
            pass
        return bytes(body)
