"""Caches, stores and test helpers as a user's type checker sees them. Never run; see `api.py`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, assert_type

from scallion import Pipeline, Request, build_pipeline
from scallion.exceptions import RateLimitError
from scallion.middlewares import CacheStats, cache, request_key
from scallion.stores import (
    Balance,
    Claim,
    Envelope,
    Lease,
    Refusal,
    Reservation,
    Store,
    Window,
    cassette,
    follow,
    memory,
    redis,
    sqlite,
)
from scallion.testing import ManualClock, ScriptedProvider, assert_streams_alike
from scallion.types import ModelResponse

if TYPE_CHECKING:
    from collections.abc import Collection


def builds_caches(path: Path, asked: Request) -> None:
    def by_model(request: Request, *, namespace: str, ignore: Collection[str]) -> str:
        return f"{namespace}{request.model}"

    layer = cache(sqlite(path), ttl=60, stale_while_revalidate=600, mode="read_only")
    assert_type(layer.stats, CacheStats)
    assert_type(layer.stats.stale, int)
    assert_type(layer.store, Store)
    build_pipeline([layer, cache(key=by_model, ignore=["user"])], model="gpt-4o")
    build_pipeline([cache(cassette("tape.json"), mode="record_new", timing=True)])
    assert_type(request_key(asked, namespace="a"), str)


async def uses_stores(path: Path) -> None:
    each: list[Store] = [
        memory(maxsize=5),
        sqlite(path),
        redis("redis://localhost"),
        cassette(path),
    ]
    for store in each:
        assert_type(await store.get("key"), bytes | None)
        found = await store.reserve(Claim("team", 1, 10, Window(60, sliding=True)), ttl=60)
        if isinstance(found, Reservation):
            assert_type(await store.settle(found, 1), bool)
        else:
            assert_type(found, Refusal)
        assert_type(await store.balance("team"), Balance)
        assert_type(await store.get_or_lease("key", ttl=5), bytes | Lease | None)
        assert_type(await follow(store, "key", ttl=5, wait=5), bytes | Lease | None)
    assert_type(cassette(path).path, Path)
    assert_type(Envelope(int, version=1).open(b""), int | None)


async def tests_layers() -> None:
    clock = ManualClock(auto=True)
    provider = ScriptedProvider(RateLimitError("slow"), "Hi", ("Ha", RateLimitError("cut")))

    def build() -> Pipeline:
        return build_pipeline(provider=provider, model="m", clock=clock)

    assert_type(await assert_streams_alike(build, "Hi", temperature=0), ModelResponse)
    assert_type(provider.requests, list[Request])
    provider.assert_asked(2)
    provider.assert_played()
    assert_type(clock.slept, list[float])
