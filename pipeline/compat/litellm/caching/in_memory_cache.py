"""A dict that forgets."""

from __future__ import annotations

import time
from typing import Any

_DEFAULT_SIZE = 200
_DEFAULT_TTL = 600


class InMemoryCache:
    """Keeps values for a time, and no more than so many.

    Args:
        max_size_in_memory: How many entries are kept.
        default_ttl: Seconds that one is kept.
        max_size_per_item: Accepted, and of no effect.
    """

    def __init__(
        self,
        max_size_in_memory: int | None = _DEFAULT_SIZE,
        default_ttl: float | None = _DEFAULT_TTL,
        max_size_per_item: int | None = 1024,
    ) -> None:
        self.max_size_in_memory = max_size_in_memory or _DEFAULT_SIZE
        self.default_ttl = default_ttl or _DEFAULT_TTL
        self.max_size_per_item = max_size_per_item
        self.cache_dict: dict[str, Any] = {}
        self.ttl_dict: dict[str, float] = {}

    def set_cache(self, key: str, value: Any, **kwargs: Any) -> None:
        """Keep a value, for `ttl` seconds if given."""
        self.evict_cache()
        ttl = kwargs.get("ttl")
        self.cache_dict[key] = value
        self.ttl_dict[key] = time.time() + (self.default_ttl if ttl is None else ttl)

    def get_cache(self, key: str, **kwargs: Any) -> Any:
        """The value, or `None`."""
        del kwargs
        if key in self.ttl_dict and self.ttl_dict[key] < time.time():
            self.delete_cache(key)
        return self.cache_dict.get(key)

    def evict_cache(self) -> None:
        """Forget what is over, and the oldest if there are too many."""
        for key in [key for key, ends in self.ttl_dict.items() if ends < time.time()]:
            self.delete_cache(key)
        while len(self.cache_dict) >= self.max_size_in_memory:
            self.delete_cache(next(iter(self.cache_dict)))

    def delete_cache(self, key: str) -> None:
        """Forget one value."""
        self.cache_dict.pop(key, None)
        self.ttl_dict.pop(key, None)

    def flush_cache(self) -> None:
        """Forget all."""
        self.cache_dict.clear()
        self.ttl_dict.clear()

    async def async_set_cache(self, key: str, value: Any, **kwargs: Any) -> None:
        """See `set_cache`."""
        self.set_cache(key, value, **kwargs)

    async def async_get_cache(self, key: str, **kwargs: Any) -> Any:
        """See `get_cache`."""
        return self.get_cache(key, **kwargs)

    def increment_cache(self, key: str, value: float, **kwargs: Any) -> float:
        """Add to a number."""
        total: float = (self.get_cache(key) or 0) + value
        self.set_cache(key, total, **kwargs)
        return total

    async def async_increment(self, key: str, value: float, **kwargs: Any) -> float:
        """See `increment_cache`."""
        return self.increment_cache(key, value, **kwargs)

    async def disconnect(self) -> None:
        """Nothing is connected."""
