"""The store on a Redis or Valkey server, shared by a fleet."""

from __future__ import annotations

import asyncio
import os
import pickle
import secrets
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from scallion.exceptions import StoreError

from ._base import BaseStore, Session
from ._loops import PerLoop
from ._protocol import (
    LATE,
    Balance,
    Claim,
    Lease,
    Refusal,
    Reservation,
    check_key,
    check_ttl,
    check_value,
)
from ._within import within

try:
    from redis.asyncio import BlockingConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import ConnectionError, RedisError
except ImportError as error:
    raise ImportError(
        "scallion.stores.redis needs redis-py: pip install 'scallion[redis]'"
    ) from error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from urllib.parse import SplitResult

    from scallion._clock import Clock

    from ._window import Window

T = TypeVar("T")

# The server refuses times to live that overflow; a century does not.
LONGEST_TTL = 100 * 365 * 86_400.0

# The shape of a budget without a window: bucket width and count.
FOR_EVER = (0.0, 0)


class RedisStore(BaseStore):
    """Values, budgets and leases on a server (Redis 6.2 or later, or Valkey).

    Every operation is one round trip and atomic on the server, by the server's clock. In a cluster,
    budgets of one namespace share a slot and so do a value and its lease. A server that evicts keys
    must spare those without an expiry (`volatile-lru`, not `allkeys-lru`), or it forgets budgets.

    Args:
        url: `redis://[[user]:password@]host[:port][/database]`, `rediss://` for TLS, or
            `unix://path`. By default the environment's `REDIS_URL`. A store made so pickles without
            the URL; one with a password in its URL does not pickle.
        namespace: The first part of every key.
        timeout: Seconds that an operation may take, connecting included.
        max_connections: How many connections each event loop opens at most. Further operations
            wait for one, within their timeout.
        clock: The time of day for budgets, instead of the server's. For tests.

    Raises:
        ImportError: redis-py is not installed.
        ValueError: there is no URL, or not one of these.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        namespace: str = "scallion",
        timeout: float = 2.0,
        max_connections: int = 32,
        clock: Clock | None = None,
    ) -> None:
        check_ttl(timeout)
        check_key(namespace)
        address = url or os.environ.get("REDIS_URL", "")
        self._url, self._has_secret = _without_credentials(address)
        super().__init__(
            {
                "url": url,
                "namespace": namespace,
                "timeout": timeout,
                "max_connections": max_connections,
                "clock": clock,
            }
        )
        self._sessions: PerLoop[RedisSession] = PerLoop(
            partial(RedisSession, address, max_connections, timeout), RedisSession.aclose
        )
        self._namespace = namespace
        self._timeout = timeout
        self._clock = clock

    @property
    def url(self) -> str:
        """See `Store.url`."""
        return self._url

    async def get(self, key: str) -> bytes | None:
        """See `Store.get`."""
        client = self._sessions.get().client
        value: bytes | None = await self._ask("get", client.get(self._value_key(key)))
        return value

    async def set(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        """See `Store.set`."""
        check_value(key, value, ttl)
        lifetime = None if ttl is None else _milliseconds(ttl)
        client = self._sessions.get().client
        await self._ask("set", client.set(self._value_key(key), value, px=lifetime))

    async def delete(self, key: str) -> None:
        """See `Store.delete`."""
        await self._ask("delete", self._sessions.get().client.delete(self._value_key(key)))

    async def lease(self, key: str, *, ttl: float) -> Lease | None:
        """See `Store.lease`."""
        wanted = Lease(key, secrets.token_hex(8))
        taken = await self._undoable(self._ask_lease("lease", wanted, ttl), wanted)
        return wanted if taken else None

    async def get_or_lease(self, key: str, *, ttl: float) -> bytes | Lease | None:
        """See `Store.get_or_lease`."""
        wanted = Lease(key, secrets.token_hex(8))
        found = await self._undoable(self._ask_lease("get_or_lease", wanted, ttl), wanted)
        if isinstance(found, bytes):
            return found
        return wanted if found else None

    async def renew(self, lease: Lease, *, ttl: float) -> bool:
        """See `Store.renew`."""
        return bool(await self._ask_lease("renew", lease, ttl))

    def __reduce__(self) -> tuple[Callable[[], BaseStore], tuple[()]]:
        if self._has_secret and self._arguments["url"] is not None:
            raise pickle.PicklingError(
                f"the URL of {self.url} has credentials, which do not go into pickles:"
                " put it into REDIS_URL on every machine, and make the store without a URL"
            )
        return super().__reduce__()

    async def _release_lease(self, lease: Lease) -> bool:
        return bool(await self._ask_lease("release", lease, 1.0))

    async def _ask_lease(self, command: str, lease: Lease, ttl: float) -> bytes | int:
        check_ttl(ttl)
        keys = [f"{self._namespace}:lease:{{{lease.key}}}", self._value_key(lease.key)]
        script = self._sessions.get().lease
        found: bytes | int = await self._ask(
            command, script(keys=keys, args=[command, lease.token, _milliseconds(ttl)])
        )
        return found

    async def _reserve(
        self, identity: str, claims: tuple[Claim, ...], ttl: float
    ) -> Reservation | Refusal:
        wanted = Reservation(identity, claims, 0.0)
        bounds = tuple(claim.limit for claim in claims)
        asked = self._ask_budget("reserve", wanted, bounds, min(ttl, LONGEST_TTL))
        found = await self._undoable(asked, wanted)
        if found[0] == 1:
            return Reservation(identity, claims, float(found[1]))
        _, position, spent, reserved, resets_at = found
        return Refusal(claims[position - 1], spent, reserved, float(resets_at or 0) or None)

    async def _settle(self, reservation: Reservation, actual: tuple[int, ...]) -> bool:
        return bool(await self._ask_budget("settle", reservation, actual, 0.0))

    async def _balance(self, key: str, window: Window | None) -> Balance:
        anything = Reservation("", (Claim(key, 0, 0, window),), 0.0)
        spent, reserved, resets_at = await self._ask_budget("balance", anything, (0,), 0.0)
        return Balance(spent, reserved, float(resets_at or 0) or None)

    async def _ask_budget(
        self, command: str, reservation: Reservation, bounds: tuple[int, ...], ttl: float
    ) -> Any:
        now = "" if self._clock is None else repr(self._clock.time())
        keys: list[str] = []
        arguments: list[str | int | float] = [command, now, LATE, reservation.id, ttl]
        for claim, bound in zip(reservation.claims, bounds, strict=True):
            account = f"{{{self._namespace}}}:budget:{claim.account}"
            keys += [f"{account}:sums", f"{account}:held", f"{account}:late"]
            window = claim.window
            shape = FOR_EVER if window is None else (window.width, window.slices)
            arguments += [claim.amount, bound, *shape]
        script = self._sessions.get().budget
        return await self._ask(command, script(keys=keys, args=arguments))

    async def _undoable(self, asked: Awaitable[T], wanted: Reservation | Lease) -> T:
        """Ask for something that is given back if nobody takes the answer."""
        task = asyncio.ensure_future(asked)
        try:
            return await asyncio.shield(task)
        except (Exception, asyncio.CancelledError):
            self.soon(self._undo, task, wanted)
            raise

    async def _undo(self, task: asyncio.Future[object], wanted: Reservation | Lease) -> None:
        # Not before the server had its say, or the answer could be given after it was given back. At
        # the end of its loop this is done in another one, which would never hear of it; by then
        # it has been cancelled.
        if task.get_loop() is asyncio.get_running_loop():
            await asyncio.wait([task])
        try:
            await self.release(wanted)
        except StoreError:
            pass  # it expires

    async def _ask(self, operation: str, call: Awaitable[Any]) -> Any:
        try:
            return await within(self._timeout, call)
        except TimeoutError:
            raise StoreError(
                f"{self.url}: {operation} took longer than {self._timeout:g} s"
            ) from None
        except (RedisError, OSError) as error:
            raise StoreError(f"{self.url}: {operation} failed: {error}") from error

    def _value_key(self, key: str) -> str:
        check_key(key)
        return f"{self._namespace}:value:{{{key}}}"


class RedisSession(Session):
    """The connections of one event loop."""

    def __init__(self, url: str, max_connections: int, timeout: float) -> None:
        super().__init__()
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=max_connections,
            timeout=None,  # the operation's timeout is the only one, but for closing
            socket_timeout=None,
            socket_connect_timeout=timeout,
            # A connection that died while it was idle is no failure: once more, on a new one.
            # Every script may be sent twice.
            retry=Retry(NoBackoff(), 1),
            retry_on_error=[ConnectionError],
        )
        pool.connection_kwargs["decode_responses"] = False  # whatever the URL says: it is bytes
        self.client: Redis = Redis.from_pool(pool)
        self.lease = self.client.register_script(_script("lease"))
        self.budget = self.client.register_script(_script("budget"))

    async def aclose(self) -> None:
        """Finish what callbacks started, and close the connections."""
        await super().aclose()
        await self.client.aclose()


def _script(name: str) -> str:
    return files(__package__).joinpath(f"{name}.lua").read_text(encoding="utf-8")


def _milliseconds(ttl: float) -> int:
    return max(1, round(min(ttl, LONGEST_TTL) * 1000))


def _has_place(parts: SplitResult) -> bool:
    """Whether host and port are where they belong, and not behind a password that has a slash."""
    try:
        _ = parts.port
    except ValueError:
        return False
    return "@" not in f"{parts.path}{parts.fragment}"


def _without_credentials(url: str) -> tuple[str, bool]:
    """The URL without user, password and options, and whether there was a secret in these."""
    if not url:
        raise ValueError("redis() needs a URL, or one in the environment's REDIS_URL")
    parts = urlsplit(url)
    if parts.scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("a Redis URL begins with redis://, rediss:// or unix://")
    if parts.scheme != "unix" and not _has_place(parts):
        # Neither the URL nor its parts are shown: one of them is a password.
        raise ValueError(
            "a Redis URL's port is a number, and user and password are percent-encoded in it:"
            " a / is %2F, a ? is %3F, a # is %23"
        )
    place = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{place}{parts.path}", "@" in parts.netloc or "password" in parts.query
