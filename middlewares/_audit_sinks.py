"""What an audit's files have in common: one thread at a time writes, in whichever process."""

from __future__ import annotations

import math
import os
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ._audit_chain import Link

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Fsync = Literal["always", "never"] | float
"""When records are forced onto the disk: before a call ends, never, or every so many seconds."""


class AuditSink(ABC):
    """A file that records are appended to, by one thread at a time.

    Attributes:
        path: The file.
        last: The chain's end as this process knows it. Kept elsewhere, it proves later that
            nothing was cut off: `scallion audit verify FILE --last SEQ:DIGEST`.
    """

    def __init__(self, path: str | Path, arguments: dict[str, Any], fsync: Fsync) -> None:
        number = isinstance(fsync, (int, float)) and not isinstance(fsync, bool) and fsync >= 0
        if not number and fsync not in ("always", "never"):
            raise ValueError(f'fsync must be "always", "never" or seconds, not {fsync!r}')
        self.path = Path(path)
        self.last = Link()
        self._arguments = arguments
        self._fsync = fsync
        self._synced_at = -math.inf
        self._pid = os.getpid()
        self._make_lock()

    def _make_lock(self) -> None:
        # Held again by the same thread when the garbage collector ends a dropped stream meanwhile.
        self._lock = threading.RLock()
        self._busy = False
        self._late: deque[dict[str, Any]] = deque()

    def open(self) -> None:
        """Find out now whether records can be written. Raises `OSError` or `sqlite3.Error`."""
        with self._alone():
            self._open()

    def write(self, record: dict[str, Any]) -> None:
        """Append a record. Raises `OSError` or `sqlite3.Error`."""
        with self._alone() as first:
            if not first:
                self._late.append(record)
                return
            self._append(record)
            while self._late:
                self._append(self._late.popleft())

    def close(self) -> None:
        """Make sure that all is on the disk, and let the file go. The next record opens it anew."""
        with self._alone():
            self._close()

    def _is_due(self) -> bool:
        """Whether what is written now is to be forced onto the disk."""
        if isinstance(self._fsync, str):
            return self._fsync == "always"
        now = time.monotonic()
        due = now - self._synced_at >= self._fsync
        if due:
            self._synced_at = now
        return due

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        if self._pid != os.getpid():
            # Across a fork: locks may be held by threads that are not here, and the file is the
            # parent's, with which its locks would be shared.
            self._pid = os.getpid()
            self._make_lock()
            self._forget()
        with self._lock:
            first, self._busy = not self._busy, True
            try:
                yield first
            finally:
                self._busy = not first

    @abstractmethod
    def _open(self) -> None: ...

    @abstractmethod
    def _append(self, record: dict[str, Any]) -> None: ...

    @abstractmethod
    def _close(self) -> None: ...

    @abstractmethod
    def _forget(self) -> None:
        """Drop what was inherited, without closing it for the parent."""

    def __reduce__(self) -> tuple[Callable[..., AuditSink], tuple[Any, ...]]:
        return _rebuild, (type(self), self.path, self._arguments)

    def __repr__(self) -> str:
        shown = "".join(f", {name}={value!r}" for name, value in self._arguments.items())
        return f"{type(self).__name__}({str(self.path)!r}{shown})"


def _rebuild(kind: type[AuditSink], path: Path, arguments: dict[str, Any]) -> AuditSink:
    made: AuditSink = kind(path, **arguments)
    return made
