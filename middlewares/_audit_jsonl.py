"""Audit records in a JSONL file, which threads and processes may share, with a chain through it.

Nothing that was written is ever written over.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ._audit_chain import Link, encode
from ._audit_files import (
    anchor_of,
    last_link_in,
    last_of,
    lock,
    overwrite,
    read_anchor,
    rotated,
    tail_of,
    unlock,
)
from ._audit_sinks import AuditSink, Fsync

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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
        if max_bytes is not None and max_bytes <= 0:
            raise ValueError(f"max_bytes must be above 0, not {max_bytes}")
        if keep is not None and (max_bytes is None or keep < 0):
            raise ValueError("keep= says how many files max_bytes= leaves: at least 0, and with it")
        given = {"chain": chain, "fsync": fsync, "max_bytes": max_bytes, "keep": keep}
        defaults = {"chain": False, "fsync": 1.0, "max_bytes": None, "keep": None}
        super().__init__(path, {k: v for k, v in given.items() if v != defaults[k]}, fsync)
        self._chain = chain
        self._max_bytes = max_bytes
        self._keep = keep
        self._file: int | None = None
        self._anchor: int | None = None
        self._end = 0

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
                overwrite(self._anchor, f"{link.seq:020}:{link.digest}\n".encode())
            if self._is_due():
                os.fsync(self._file)
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
        tail = tail_of(self._file, size)
        if self._chain:
            link = last_link_in(tail, whole=len(tail) == size)
            if link is None and len(tail) < size:
                link = last_link_in(tail_of(self._file, size, size), whole=True)
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
