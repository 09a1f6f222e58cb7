"""What `cache()` returns: the layer, and what it has done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from scallion._layer import Layer

if TYPE_CHECKING:
    from scallion.stores import Store

    from ._cache_refresh import Refreshes
    from ._cache_shelf import Shelf

HOME: Final = "scallion.middlewares._cache"
"""Where the factory is found again when a layer is unpickled."""


class CacheStats(Struct):
    """What a cache has done so far.

    Attributes:
        hits: Calls answered from the store.
        stale: Those of the hits whose answer was past its `ttl`.
        sampled: Those of the hits whose call samples: the model might have answered otherwise.
        joined: Calls answered by an equal call that was under way in this process.
        misses: Calls that were sent on because there was no answer, or none was wanted.
        bypassed: Calls that it left alone (`mode="off"`, `sampled=False`, no key).
        stored: Answers that were stored.
        refreshed: Those of the stored that replaced one past its `ttl`, in the background.
    """

    hits: int = 0
    stale: int = 0
    sampled: int = 0
    joined: int = 0
    misses: int = 0
    bypassed: int = 0
    stored: int = 0
    refreshed: int = 0


class CacheLayer(Layer):
    """What `cache()` returns: the layer, and what it has done.

    Attributes:
        stats: Its counts.
    """

    __slots__ = ("_refreshes", "_shelf", "stats")

    def __init__(
        self,
        arguments: dict[str, Any],
        run: Any,
        stats: CacheStats,
        shelf: Shelf,
        refreshes: Refreshes,
    ) -> None:
        super().__init__("cache", HOME, arguments, run)
        self.stats = stats
        self._shelf = shelf
        self._refreshes = refreshes

    @property
    def store(self) -> Store:
        """Where the answers are."""
        return self._shelf.store

    @property
    def store_failures(self) -> int:
        """How often the store failed."""
        return self._shelf.failures

    async def aclose(self) -> None:
        """Finish what is still to be refreshed and stored, and close the store's connections.

        Refreshes that take longer than ten seconds are cancelled.
        """
        await self._refreshes.aclose()
        await self._shelf.store.aclose()

    def __reduce__(self) -> Any:
        cipher = self.arguments.get("cipher")
        if type(cipher).__module__.partition(".")[0] == "cryptography":
            from pickle import PicklingError

            raise PicklingError(
                "cache(cipher=…) has its key in it, which does not go into a pickle: pass a cipher "
                "of your own that fetches its key on each machine"
            )
        return super().__reduce__()
