"""`Cache` and `DualCache`: objects that applications make and hand over."""

from __future__ import annotations

from enum import Enum
from typing import Any

from .._state import unsupported
from .in_memory_cache import InMemoryCache

__all__ = ["Cache", "DualCache", "InMemoryCache", "LiteLLMCacheType"]


class LiteLLMCacheType(str, Enum):
    """Where a `Cache` keeps its values."""

    LOCAL = "local"
    REDIS = "redis"
    REDIS_SEMANTIC = "redis-semantic"
    VALKEY_SEMANTIC = "valkey-semantic"
    S3 = "s3"
    DISK = "disk"
    QDRANT_SEMANTIC = "qdrant-semantic"
    AZURE_BLOB = "azure-blob"
    GCS = "gcs"


class Cache:
    """A cache in memory. Assigned to `litellm.cache`, calls refuse: see the `cache()` middleware."""

    def __init__(self, type: str | None = "local", **settings: Any) -> None:
        if type != "local":
            raise unsupported(
                f"Cache(type={type!r})",
                'use scallion\'s cache() middleware with a store: cache(stores.redis("redis://…"))',
            )
        self.type = type
        self.cache = InMemoryCache(default_ttl=settings.get("ttl"))
        self.ttl = settings.get("ttl")
        self.namespace = settings.get("namespace")

    def get_cache_key(self, **kwargs: Any) -> str:
        """Not supported: a key that leaves something out gives wrong answers."""
        del kwargs
        raise unsupported("Cache.get_cache_key", "use scallion's cache() middleware")


class DualCache:
    """A cache in memory, with the methods of litellm's two-level one."""

    def __init__(
        self,
        in_memory_cache: InMemoryCache | None = None,
        redis_cache: Any = None,
        default_in_memory_ttl: float | None = None,
        **settings: Any,
    ) -> None:
        del settings
        if redis_cache is not None:
            raise unsupported("DualCache(redis_cache=)", "use scallion.stores.redis")
        self.in_memory_cache = in_memory_cache or InMemoryCache(default_ttl=default_in_memory_ttl)
        self.redis_cache = None

    def set_cache(self, key: str, value: Any, local_only: bool = False, **kwargs: Any) -> None:
        """Keep a value."""
        del local_only
        self.in_memory_cache.set_cache(key, value, **kwargs)

    def get_cache(self, key: str, parent_otel_span: Any = None, **kwargs: Any) -> Any:
        """The value, or `None`."""
        del parent_otel_span, kwargs
        return self.in_memory_cache.get_cache(key)

    async def async_set_cache(
        self,
        key: str,
        value: Any,
        local_only: bool = False,
        **kwargs: Any,
    ) -> None:
        """See `set_cache`."""
        self.set_cache(key, value, local_only, **kwargs)

    async def async_get_cache(self, key: str, parent_otel_span: Any = None, **kwargs: Any) -> Any:
        """See `get_cache`."""
        return self.get_cache(key, parent_otel_span, **kwargs)

    def delete_cache(self, key: str) -> None:
        """Forget one value."""
        self.in_memory_cache.delete_cache(key)

    def flush_cache(self) -> None:
        """Forget all."""
        self.in_memory_cache.flush_cache()
