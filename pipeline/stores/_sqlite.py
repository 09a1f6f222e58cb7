"""The store in one SQLite file: durable, and shared by the processes of one machine."""

from __future__ import annotations

import asyncio
import os
import secrets
import sqlite3
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from scallion._clock import Clock
from scallion.exceptions import StoreError

from . import _tables as tables
from ._base import BaseStore
from ._protocol import Lease, Reservation, check_key, check_ttl, check_value
from ._within import within

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._protocol import Balance, Claim, Refusal
    from ._window import Window

T = TypeVar("T")


class SQLiteStore(BaseStore):
    """Values, budgets and leases in a file.

    Several processes of one machine may use the file at once, and each may be killed at any moment:
    what was written is whole, what was not is not there. The file must not lie on a network file
    system. It is created readable by its owner only. If it is deleted, those who have it open notice
    at their next operation, and share a new one. (Do not put another in its place while `-wal` and
    `-shm`, its log, lie beside it: SQLite would take that for the log of the other.)

    Args:
        path: The file; it and its folder are made when first needed.
        max_bytes: How large the values may be together; the least recently used go first.
        timeout: Seconds that an operation may take, waiting for other processes included.
        clock: The time of day, for expiry and windows.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_bytes: int = 2**30,
        timeout: float = 5.0,
        clock: Clock | None = None,
    ) -> None:
        if os.fspath(path) in {"", ":memory:"}:
            raise ValueError("sqlite() needs a file; for a store without one use memory()")
        check_ttl(timeout)
        self._path = Path(path).absolute()  # another process may have another working directory
        super().__init__(
            {"path": self._path, "max_bytes": max_bytes, "timeout": timeout, "clock": clock}
        )
        self._max_bytes = max_bytes
        self._timeout = timeout
        self._time = (clock or Clock()).time
        self._lock = threading.Lock()
        self._worker: _Worker | None = None

    @property
    def url(self) -> str:
        """See `Store.url`."""
        return f"sqlite:///{self._path}"

    async def get(self, key: str) -> bytes | None:
        """See `Store.get`."""
        return self._used(key, await self._run("get", tables.get, key, self._time()))

    async def set(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        """See `Store.set`. A value above `max_bytes` is not kept."""
        check_value(key, value, ttl)
        await self._run("set", tables.put, key, value, ttl, self._time(), self._max_bytes)

    async def delete(self, key: str) -> None:
        """See `Store.delete`."""
        await self._run("delete", tables.delete, key)

    async def lease(self, key: str, *, ttl: float) -> Lease | None:
        """See `Store.lease`."""
        check_ttl(ttl)
        wanted = _new_lease(key)
        try:
            return await self._run("lease", tables.lease, wanted, ttl, self._time())
        except (Exception, asyncio.CancelledError):
            self._submit(tables.release_lease, wanted, self._time())
            raise

    async def get_or_lease(self, key: str, *, ttl: float) -> bytes | Lease | None:
        """See `Store.get_or_lease`."""
        check_ttl(ttl)
        wanted = _new_lease(key)
        try:
            found = await self._run("lease", tables.get_or_lease, wanted, ttl, self._time())
        except (Exception, asyncio.CancelledError):
            self._submit(tables.release_lease, wanted, self._time())
            raise
        return found if found is None or isinstance(found, Lease) else self._used(key, found)

    async def renew(self, lease: Lease, *, ttl: float) -> bool:
        """See `Store.renew`."""
        check_ttl(ttl)
        return await self._run("renew", tables.renew, lease, ttl, self._time())

    async def aclose(self) -> None:
        """See `Store.aclose`."""
        await super().aclose()
        with self._lock:
            worker, self._worker = self._worker, None
        if worker is not None:
            await asyncio.wrap_future(worker.dispose())

    async def _reserve(
        self, identity: str, claims: tuple[Claim, ...], ttl: float
    ) -> Reservation | Refusal:
        now = self._time()
        wanted = Reservation(identity, claims, now + ttl)
        try:
            return await self._run("reserve", tables.reserve, wanted, now)
        except (Exception, asyncio.CancelledError):
            # It may have been held all the same. The thread does one thing after the other, so
            # this comes after that.
            self._submit(tables.settle, wanted, (0,) * len(claims), now)
            raise

    async def _settle(self, reservation: Reservation, actual: tuple[int, ...]) -> bool:
        return await self._run("settle", tables.settle, reservation, actual, self._time())

    async def _balance(self, key: str, window: Window | None) -> Balance:
        check_key(key)
        return await self._run("balance", tables.balance, key, window, self._time())

    async def _release_lease(self, lease: Lease) -> bool:
        return await self._run("release", tables.release_lease, lease, self._time())

    def _used(self, key: str, found: tuple[bytes, bool] | None) -> bytes | None:
        if found is None:
            return None
        value, to_note = found
        if to_note:
            self._submit(tables.use, key, self._time())  # nobody waits for it
        return value

    async def _run(self, operation: str, job: Callable[..., T], *args: object) -> T:
        try:
            return await within(self._timeout, asyncio.wrap_future(self._submit(job, *args)))
        except TimeoutError:
            raise StoreError(
                f"{self.url}: {operation} took longer than {self._timeout:g} s"
            ) from None
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{self.url}: {operation} failed: {error}") from error

    def _submit(self, job: Callable[..., T], *args: object) -> Future[T]:
        with self._lock:
            if self._worker is not None and not self._worker.is_of_this_process():
                self._worker.disown()
                self._worker = None
            if self._worker is None:
                self._worker = _Worker(self._path, self._timeout)
            return self._worker.submit(job, *args)


class _Worker:
    """A thread, and the connection that it alone uses. Both end with it if nobody disposes of it."""

    def __init__(self, path: Path, timeout: float) -> None:
        self._path = path
        self._timeout = timeout
        self._process = os.getpid()
        self._busy = False
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="scallion-sqlite")

    def __del__(self) -> None:
        # Here and not by a finalizer that asks the thread: the garbage collector runs anywhere,
        # also where the executor's locks are held. A thread that is busy keeps its worker alive.
        if self.is_of_this_process():
            self._close()

    def submit(self, job: Callable[..., T], *args: object) -> Future[T]:
        """Do `job` with the connection, after everything that was submitted before."""
        return self._thread.submit(self._do, job, args)

    def dispose(self) -> Future[None]:
        """Close the connection and end the thread, after everything that was submitted before."""
        closed = self._thread.submit(self._close)
        self._thread.shutdown(wait=False)
        return closed

    def is_of_this_process(self) -> bool:
        """Whether it was not inherited by a fork, which has the connection but not the thread."""
        return self._process == os.getpid()

    def disown(self) -> None:
        """Let go of a connection that belongs to the parent process.

        SQLite must not be carried over a fork: its idea of which locks it has would be the
        parent's. Closing first, in a quiet moment, leaves nothing of that.

        Raises:
            StoreError: the moment of the fork was not quiet.
        """
        if self._busy:
            raise StoreError(
                f"sqlite:///{self._path} was in use when this process was forked off:"
                " make the store in the new process"
            )
        self._close()

    def _do(self, job: Callable[..., T], args: tuple[object, ...]) -> T:
        self._busy = True
        try:
            if self._connection is None or self._file != self._file_there():
                # Else this one would go on with a file without a name, and others with a new one.
                self._close()
                before = self._file_there()
                self._connection = tables.connect(self._path, self._timeout)
                self._file = before or self._file_there()
            return job(self._connection, *args)
        finally:
            self._busy = False

    def _file_there(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _new_lease(key: str) -> Lease:
    check_key(key)
    return Lease(key, secrets.token_hex(8))
