"""Where audit records go: a JSONL file or an SQLite database, either with a chain through them.

Both may be shared by threads and processes. Nothing that was written is ever written over.
"""

from __future__ import annotations

import os
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from ._audit_chain import Link, encode

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

Fsync = Literal["always", "never"] | float

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    record TEXT NOT NULL,
    id TEXT AS (json_extract(record, '$.id')),
    at TEXT AS (json_extract(record, '$.at')),
    tenant TEXT AS (json_extract(record, '$.tenant')),
    model TEXT AS (json_extract(record, '$.model')),
    status TEXT AS (json_extract(record, '$.status')),
    cost TEXT AS (json_extract(record, '$.cost'))
);
CREATE TABLE IF NOT EXISTS audit_last (one INTEGER PRIMARY KEY CHECK (one = 1), link TEXT);
CREATE TRIGGER IF NOT EXISTS audit_is_not_changed BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'an audit is only appended to'); END;
CREATE TRIGGER IF NOT EXISTS audit_is_not_removed BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'an audit is only appended to'); END;
"""


class AuditSink(ABC):
    """A file that records are appended to, by one thread at a time.

    Attributes:
        path: The file.
        last: The chain's end as this process knows it. Kept elsewhere, it proves later that
            nothing was cut off: `scallion audit verify FILE --last SEQ:DIGEST`.
    """

    def __init__(self, path: str | Path, arguments: dict[str, Any]) -> None:
        self.path = Path(path)
        self.last = Link()
        self._arguments = arguments
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


class JsonlSink(AuditSink):
    """One JSON object per line, readable by the file's owner only.

    Args:
        path: The file; made if it is not there, as are its folders.
        chain: Link the records, so that `scallion audit verify` finds what was changed or removed.
            The chain's end is kept beside the file, in `PATH.last`.
        fsync: When to force records onto the disk: `"always"` before a call ends, `"never"` (when
            the system likes to), or at most every so many seconds. Without it a crash of the
            process loses nothing; one of the machine loses what was not forced.
        max_bytes: Begin a new file when this one would grow larger. The old one becomes `PATH.1`,
            the next `PATH.2`, and so on; a chain goes on through all of them.
        keep: How many old files to keep; all by default.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        chain: bool = False,
        fsync: Fsync = 1.0,
        max_bytes: int | None = None,
        keep: int | None = None,
    ) -> None:
        check_fsync(fsync)
        if max_bytes is not None and max_bytes <= 0:
            raise ValueError(f"max_bytes must be above 0, not {max_bytes}")
        if keep is not None and (max_bytes is None or keep < 0):
            raise ValueError("keep= says how many files max_bytes= leaves: at least 0, and with it")
        given = {"chain": chain, "fsync": fsync, "max_bytes": max_bytes, "keep": keep}
        defaults = {"chain": False, "fsync": 1.0, "max_bytes": None, "keep": None}
        super().__init__(path, {k: v for k, v in given.items() if v != defaults[k]})
        self._chain = chain
        self._fsync = fsync
        self._max_bytes = max_bytes
        self._keep = keep
        self._file: int | None = None
        self._anchor: int | None = None
        self._end = 0
        self._synced_at = 0.0

    def _open(self) -> None:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
            self._file = os.open(self.path, flags, 0o600)
            self._end = -1  # whatever is in it was written by somebody else
            if self._chain:
                flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
                self._anchor = os.open(anchor_of(self.path), flags, 0o600)

    def _append(self, record: dict[str, Any]) -> None:
        while not self._appended(record):
            pass

    def _appended(self, record: dict[str, Any]) -> bool:
        """Append, or put the file aside because it is full."""
        with self._locked():
            assert self._file is not None
            size = os.fstat(self._file).st_size
            torn = self._read_end(size) if size != self._end else False
            if self._chain:
                line, link = self.last.next(record)
            else:
                line, link = encode(record), self.last
            # A line that a dying process left unended stays what it is: no record.
            data = b"\n" * torn + line + b"\n"
            if self._max_bytes is not None and size > 0 and size + len(data) > self._max_bytes:
                self._rotate()
                return False
            self._end = -1
            self._write_whole(data, size)
            self.last = link
            self._end = size + len(data)
            if self._anchor is not None:
                _overwrite(self._anchor, f"{link.seq:020}:{link.digest}\n".encode())
            self._sync()
            return True

    def _write_whole(self, data: bytes, size: int) -> None:
        assert self._file is not None
        try:
            written = os.write(self._file, data)
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError:
            with suppress(OSError):  # a full disk: take back the half of a record
                os.ftruncate(self._file, size)
            raise

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the file against other processes, and be sure that it is still the one at `path`."""
        while True:
            self._open()
            assert self._file is not None
            lock(self._file)
            try:
                if self._is_current():
                    yield
                    return
            finally:
                if self._file is not None:
                    unlock(self._file)
            self._close()

    def _is_current(self) -> bool:
        assert self._file is not None
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return False
        here = os.fstat(self._file)
        return (here.st_ino, here.st_dev) == (there.st_ino, there.st_dev)

    def _read_end(self, size: int) -> bool:
        """Find the chain's end in what others wrote; returns whether the last line is cut."""
        assert self._file is not None
        tail = _tail(self._file, size)
        if self._chain:
            link = _last_link_in(tail, whole=len(tail) == size)
            if link is None and len(tail) < size:
                link = _last_link_in(_tail(self._file, size, size), whole=True)
            for older in reversed(rotated(self.path)):
                link = link or last_of(older)
            # What is further on than the file was cut off from it: the chain goes on after that,
            # so that it is seen. Of two of one number the one that is not in the file is right.
            known = (self.last, read_anchor(self.path) or Link(), link or Link())
            self.last = max(known, key=lambda end: end.seq)
        return size > 0 and not tail.endswith(b"\n")

    def _rotate(self) -> None:
        """Put the file aside. Whoever comes next, in whichever process, begins another."""
        older = rotated(self.path)
        number = int(older[-1].suffix[1:]) + 1 if older else 1
        self.path.rename(self.path.with_name(f"{self.path.name}.{number}"))
        self._close()
        if self._keep is not None:
            files = rotated(self.path)
            for path in files[: len(files) - self._keep]:
                path.unlink(missing_ok=True)

    def _sync(self) -> None:
        if self._fsync == "never":
            return
        now = time.monotonic()
        if self._fsync == "always" or now - self._synced_at >= self._fsync:
            assert self._file is not None
            os.fsync(self._file)
            self._synced_at = now

    def _close(self) -> None:
        held, self._file = self._file, None
        anchor, self._anchor = self._anchor, None
        try:
            if held is not None and self._fsync != "never":
                os.fsync(held)
        finally:
            for number in (held, anchor):
                if number is not None:
                    os.close(number)

    def _forget(self) -> None:
        # Closing is right here: the parent's own descriptors stay open, and keep its lock.
        for number in (self._file, self._anchor):
            if number is not None:
                os.close(number)
        self._file = self._anchor = None


class SqliteSink(AuditSink):
    """A table `audit` that can be queried: `seq`, `record` (the JSON), and columns read from it.

    Triggers refuse changes, so that none happens by mistake.

    Args:
        path: The database; made if it is not there, as are its folders.
        chain: As for `JsonlSink`; the chain's end is in the table `audit_last`.
        fsync: `"always"` before a call ends, or `"never"`.
    """

    def __init__(
        self, path: str | Path, *, chain: bool = False, fsync: Literal["always", "never"] = "always"
    ) -> None:
        if fsync not in ("always", "never"):
            raise ValueError(f'fsync must be "always" or "never", not {fsync!r}')
        given = {"chain": (chain, False), "fsync": (fsync, "always")}
        super().__init__(path, {k: v for k, (v, default) in given.items() if v != default})
        self._chain = chain
        self._fsync = fsync
        self._connection: sqlite3.Connection | None = None

    def _open(self) -> None:
        import sqlite3

        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            connection = sqlite3.connect(
                self.path, timeout=10, isolation_level=None, check_same_thread=False
            )
            try:
                with suppress(sqlite3.OperationalError):  # another process is doing just that
                    connection.execute("PRAGMA journal_mode=WAL")
                full = "FULL" if self._fsync == "always" else "OFF"
                connection.execute(f"PRAGMA synchronous={full}")
                connection.executescript(SCHEMA)
            except BaseException:
                connection.close()
                raise
            self._connection = connection

    def _append(self, record: dict[str, Any]) -> None:
        self._open()
        connection = self._connection
        assert connection is not None
        connection.execute("BEGIN IMMEDIATE")
        try:
            if self._chain:
                found = connection.execute("SELECT link FROM audit_last").fetchone()
                line, link = (parse_link(found[0]) if found else Link()).next(record)
                connection.execute(
                    "INSERT OR REPLACE INTO audit_last VALUES (1, ?)",
                    (f"{link.seq}:{link.digest}",),
                )
            else:
                line, link = encode(record), self.last
            connection.execute("INSERT INTO audit (record) VALUES (?)", (line.decode(),))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self.last = link

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _forget(self) -> None:
        # SQLite forbids to touch a connection across a fork, and so does closing it: it is kept.
        self._inherited = self._connection
        self._connection = None


def as_sink(path: str | Path, *, chain: bool) -> AuditSink:
    """The sink for a path: SQLite for `.db`, `.sqlite` and `.sqlite3`, and JSONL for all others."""
    if Path(path).suffix.lower() in {".db", ".sqlite", ".sqlite3"}:
        return SqliteSink(path, chain=chain)
    return JsonlSink(path, chain=chain)


def check_fsync(fsync: object) -> None:
    """Refuse what is no policy."""
    number = isinstance(fsync, (int, float)) and not isinstance(fsync, bool) and fsync >= 0
    if not number and fsync not in ("always", "never"):
        raise ValueError(f'fsync must be "always", "never" or seconds, not {fsync!r}')


def anchor_of(path: Path) -> Path:
    """Where the end of a file's chain is kept."""
    return path.with_name(f"{path.name}.last")


def read_anchor(path: Path) -> Link | None:
    """The end of a file's chain as it was noted beside it, if it was."""
    try:
        return parse_link(anchor_of(path).read_text("ascii").strip())
    except (OSError, ValueError):
        return None


def parse_link(text: str) -> Link:
    """A link written as `SEQ:DIGEST`. Raises `ValueError` if it is none."""
    seq, _, digest = text.partition(":")
    if len(digest) != len(Link().digest):
        raise ValueError(f"{text!r} is not SEQ:DIGEST")
    return Link(int(seq), digest)


def rotated(path: Path) -> list[Path]:
    """The files that were put aside, oldest first."""
    names = (found for found in path.parent.glob(f"{_escaped(path.name)}.*"))
    numbered = [found for found in names if found.suffix[1:].isdecimal()]
    return sorted(numbered, key=lambda found: int(found.suffix[1:]))


def last_of(path: Path) -> Link | None:
    """The last link in a file."""
    return _last_link_in(path.read_bytes(), whole=True)


def _escaped(name: str) -> str:
    from glob import escape

    return escape(name)


def _last_link_in(data: bytes, *, whole: bool) -> Link | None:
    lines = data.split(b"\n")
    for line in reversed(lines[0 if whole else 1 :]):  # the first one may be cut
        link = Link.of_line(line)
        if link is not None:
            return link
    return None


def _tail(file: int, size: int, length: int = 65536) -> bytes:
    os.lseek(file, max(size - length, 0), os.SEEK_SET)
    parts = []
    while part := os.read(file, 1 << 20):
        parts.append(part)
    return b"".join(parts)


def _overwrite(file: int, data: bytes) -> None:
    os.lseek(file, 0, os.SEEK_SET)
    os.write(file, data)


def _rebuild(kind: type[AuditSink], path: Path, arguments: dict[str, Any]) -> AuditSink:
    made: AuditSink = kind(path, **arguments)
    return made


try:
    import fcntl
except ImportError:  # pragma: no cover - Windows

    def lock(file: int) -> None:
        """Hold a file against other processes."""
        import msvcrt

        # Far behind its end: there the system's lock keeps nobody from reading.
        os.lseek(file, 1 << 40, os.SEEK_SET)
        while True:
            with suppress(OSError):
                msvcrt.locking(file, msvcrt.LK_LOCK, 1)  # type: ignore[attr-defined]
                return

    def unlock(file: int) -> None:
        """Let it go."""
        import msvcrt

        os.lseek(file, 1 << 40, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined]
else:

    def lock(file: int) -> None:
        """Hold a file against other processes."""
        fcntl.flock(file, fcntl.LOCK_EX)

    def unlock(file: int) -> None:
        """Let it go."""
        fcntl.flock(file, fcntl.LOCK_UN)
