"""Audit records in an SQLite database, which threads and processes may share."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from ._audit_chain import Link, encode
from ._audit_files import parse_link
from ._audit_sinks import AuditSink, Fsync

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

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


class SqliteSink(AuditSink):
    """A table `audit` that can be queried: `seq`, `record` (the JSON), and columns read from it.

    Triggers refuse changes, so that none happens by mistake.

    Args:
        path: The database; made if it is not there, as are its folders.
        chain: As for `JsonlSink`; the chain's end is in the table `audit_last`.
        fsync: As for `JsonlSink`; `"never"` leaves it to SQLite, which does so at its checkpoints.
    """

    def __init__(self, path: str | Path, *, chain: bool = False, fsync: Fsync = 1.0) -> None:
        given = {"chain": (chain, False), "fsync": (fsync, 1.0)}
        super().__init__(path, {k: v for k, (v, default) in given.items() if v != default}, fsync)
        self._chain = chain
        self._connection: sqlite3.Connection | None = None
        self._inherited: list[sqlite3.Connection | None] = []

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
                connection.executescript(SCHEMA)
            except BaseException:
                connection.close()
                raise
            self._connection = connection

    def _append(self, record: dict[str, Any]) -> None:
        self._open()
        connection = self._connection
        assert connection is not None
        # A commit that is forced onto the disk takes with it all that were not.
        connection.execute(f"PRAGMA synchronous={'FULL' if self._is_due() else 'NORMAL'}")
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
        # SQLite forbids to touch a connection across a fork, also to close it: it is kept.
        self._inherited.append(self._connection)
        self._connection = None
