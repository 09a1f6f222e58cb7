"""An SDK client that lives as long as its event loop, or as the adapter that made it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

if TYPE_CHECKING:
    import asyncio
    import weakref
    from collections.abc import AsyncGenerator
    from weakref import WeakKeyDictionary


class LoopClient:
    """An SDK client that closes itself when its event loop shuts down.

    The loop closes asynchronous generators before it stops (`asyncio.run` does, and so does every
    runner); a generator that waits inside a `finally` is therefore told in time.
    """

    def __init__(self, client: Any) -> None:
        self.client = client
        self.responses: WeakSet[Any] = WeakSet()  # whose bodies may still be read
        self._guard: AsyncGenerator[None, None] | None = None

    async def watch(
        self,
        forgotten: weakref.finalize[..., Any],
        clients: WeakKeyDictionary[asyncio.AbstractEventLoop, LoopClient],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._guard = self._close_at_the_end(self.client, self.responses, forgotten, clients, loop)
        await anext(self._guard)

    async def aclose(self) -> None:
        if self._guard is not None:
            await self._guard.aclose()

    @staticmethod
    async def _close_at_the_end(
        client: Any,
        responses: WeakSet[Any],
        forgotten: weakref.finalize[..., Any],
        clients: WeakKeyDictionary[asyncio.AbstractEventLoop, LoopClient],
        loop: asyncio.AbstractEventLoop,
    ) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            forgotten.detach()
            clients.pop(loop, None)
            try:
                # Under aiohttp, whoever waits for a body would wait for ever once the client is
                # closed.
                for response in list(responses):
                    with suppress(Exception):
                        await response.aclose()
            finally:
                await client.close()


def close_soon(held: LoopClient, loop: asyncio.AbstractEventLoop) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(lambda: loop.create_task(held.aclose()))
