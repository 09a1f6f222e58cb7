"""A network that can be blocked, cut, and watched: a proxy between a store and its server."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager


class Proxy:
    """A way to the server that can be blocked, cut, and watched."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._blocked = self._open = asyncio.Event()
        self._open.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.requests = 0
        self.connections = 0
        self.lose_one_in = 0
        self.script_replies = 0
        self.lost = 0
        self.lose_next = False

    @asynccontextmanager
    async def running(self):
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.unblock()
            self.cut()
            await server.wait_closed()

    def block(self) -> None:
        """Hold back every byte from now on, as a network does that lost its way."""
        self._open.clear()

    def block_existing(self) -> None:
        """The same, but only for the connections that there are."""
        self.block()
        self._open = asyncio.Event()
        self._open.set()

    def unblock(self) -> None:
        self._open.set()
        self._blocked.set()

    def cut(self) -> None:
        """Reset every connection."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader, writer) -> None:
        self.connections += 1
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers |= {writer, to_writer}
        asked: deque[bytes] = deque()
        open_ = self._open
        await asyncio.gather(
            self._requests(reader, to_writer, asked, open_),
            self._replies(to_reader, writer, asked, open_),
        )
        self._writers -= {writer, to_writer}

    async def _requests(self, reader, writer, asked, open_) -> None:
        try:
            while data := await reader.read(65_536):
                self.requests += 1
                asked.append(data)
                await open_.wait()
                writer.write(data)
        except ConnectionError:
            pass
        writer.close()

    async def _replies(self, reader, writer, asked, open_) -> None:
        try:
            while data := await reader.read(65_536):
                await open_.wait()
                if asked and b"EVALSHA" in asked.popleft():
                    self.script_replies += 1
                    one_of_many = self.lose_one_in and self.script_replies % self.lose_one_in == 0
                    if one_of_many or self.lose_next:
                        self.lost += 1
                        self.lose_next = False
                        writer.transport.abort()
                        break
                writer.write(data)
        except ConnectionError:
            pass
        writer.close()
