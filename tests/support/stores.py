"""The three backends of `scallion.stores`, alike to a test: stores that share data, and time to pass."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis

from scallion import stores
from support.clocks import HandClock
from support.valkey import valkey

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.valkey import Valkey

__all__ = ["BACKENDS", "Backend", "backend", "open_backend", "valkey"]

BACKENDS = ("memory", "sqlite", "redis")

_numbers = count()


class Backend:
    """One backend with data of its own."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.clock = HandClock()
        self._memory = stores.memory(clock=self.clock)

    def store(self, **options: Any) -> stores.Store:
        """A store; all of one backend share their data, as those of several processes would."""
        return self._memory

    def pass_time(self, seconds: float) -> None:
        self.clock.at += seconds

    def close(self) -> None:
        """Let go of what the backend itself holds. Stores are closed by who made them."""


class SQLiteBackend(Backend):
    def __init__(self, path: Path) -> None:
        super().__init__("sqlite")
        self.path = path

    def store(self, **options: Any) -> stores.Store:
        return stores.sqlite(self.path, **{"clock": self.clock, **options})


class RedisBackend(Backend):
    def __init__(self, server: Valkey) -> None:
        super().__init__("redis")
        self.url = server.url
        self.namespace = f"test{next(_numbers)}"
        self.client = Redis.from_url(server.url)

    def store(self, **options: Any) -> stores.Store:
        return stores.redis(
            self.url, **{"namespace": self.namespace, "clock": self.clock, **options}
        )

    def pass_time(self, seconds: float) -> None:
        # The server's own clock cannot be moved, but what it is to forget can be brought nearer.
        super().pass_time(seconds)
        for key in self.client.scan_iter(f"*{self.namespace}*"):
            left = self.client.pttl(key)
            if left >= 0:
                self.client.pexpire(key, max(0, round(left - seconds * 1000)))

    def close(self) -> None:
        self.client.close()


def open_backend(name: str, folder: Path, server: Valkey) -> Backend:
    """A backend without data."""
    if name == "sqlite":
        return SQLiteBackend(folder / f"store{next(_numbers)}.db")
    if name == "redis":
        return RedisBackend(server)
    return Backend(name)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path, valkey: Valkey) -> Iterator[Backend]:
    """Each backend in turn, without data."""
    opened = open_backend(request.param, tmp_path, valkey)
    yield opened
    opened.close()
