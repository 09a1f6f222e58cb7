"""litellm's caches, as far as others hold one. Answers are cached by the `cache()` middleware."""

from .caching import Cache, DualCache, LiteLLMCacheType
from .in_memory_cache import InMemoryCache

__all__ = ["Cache", "DualCache", "InMemoryCache", "LiteLLMCacheType"]
