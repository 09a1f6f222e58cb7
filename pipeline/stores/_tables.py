"""The store's tables in SQLite, and what each operation does to them.

Every function takes the connection first and, where time matters, `now` in seconds since the epoch.
A function that writes is one transaction, so a process that dies leaves all of it or nothing.
"""

from __future__ import annotations

import os
import sqlite3
import time
from typing import TYPE_CHECKING

from ._protocol import LATE, Balance, Lease, Refusal, Reservation, account_name
from ._window import bucket_ends_at, current_bucket, oldest_bucket, resets_at

if TYPE_CHECKING:
    from pathlib import Path

    from ._protocol import Claim
    from ._window import Window

APPLICATION = 0x5CA1110  # marks the file as ours
SCHEMA = 1

# What a row costs beside its value, roughly: its key, its indexes, its share of a page.
ROW_OVERHEAD = 256
# How many expired values a write clears away.
EXPIRED_PER_SET = 8
# A value's last use is written down if the one on record is older than this, in seconds.
USE_GRAIN = 60.0

TABLES = """
CREATE TABLE entries (
  key TEXT PRIMARY KEY,
  size INTEGER NOT NULL,
  expires_at REAL,
  used_at REAL NOT NULL,
  value BLOB NOT NULL
);
CREATE INDEX entries_by_use ON entries (used_at, size);
CREATE INDEX entries_by_expiry ON entries (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE total (bytes INTEGER NOT NULL);
INSERT INTO total VALUES (0);
CREATE TRIGGER entry_added AFTER INSERT ON entries BEGIN
  UPDATE total SET bytes = bytes + new.size;
END;
CREATE TRIGGER entry_gone AFTER DELETE ON entries BEGIN
  UPDATE total SET bytes = bytes - old.size;
END;
CREATE TRIGGER entry_changed AFTER UPDATE OF size ON entries BEGIN
  UPDATE total SET bytes = bytes + new.size - old.size;
END;

CREATE TABLE leases (
  key TEXT PRIMARY KEY,
  token TEXT NOT NULL,
  expires_at REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE spending (
  account TEXT NOT NULL,
  bucket INTEGER NOT NULL,
  spent INTEGER NOT NULL,
  ends_at REAL,
  PRIMARY KEY (account, bucket)
) WITHOUT ROWID;
CREATE INDEX spending_by_end ON spending (ends_at) WHERE ends_at IS NOT NULL;

CREATE TABLE holds (
  account TEXT NOT NULL,
  reservation TEXT NOT NULL,
  amount INTEGER NOT NULL,
  expires_at REAL NOT NULL,
  PRIMARY KEY (account, reservation)
) WITHOUT ROWID;
CREATE INDEX holds_by_expiry ON holds (expires_at);
"""


def connect(path: Path, timeout: float) -> sqlite3.Connection:
    """Open the file, and make its tables if it is new.

    Raises:
        sqlite3.Error: it cannot be opened, or is not one of ours.
        OSError: its folder cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Prompts and answers are nobody else's business; SQLite gives its side files the same mode.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(
        path, timeout=timeout, isolation_level=None, check_same_thread=False
    )
    try:
        _use_write_ahead_log(connection, time.monotonic() + timeout)
        # After a power cut the newest writes may be gone; after a crash of ours nothing is.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA journal_size_limit = {64 * 2**20}")
        with connection:
            connection.execute("BEGIN")  # one view of the file, while others may be making tables
            ours = _is_ours(connection)
        if not ours:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                if not _is_ours(connection):  # nobody else made them meanwhile
                    _make_tables(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _use_write_ahead_log(connection: sqlite3.Connection, deadline: float) -> None:
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError:
            # Two processes that open a new file at once: this switch does not wait by itself.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            if mode != "wal":
                raise sqlite3.OperationalError("the file system allows no write-ahead log")
            return


def _is_ours(connection: sqlite3.Connection) -> bool:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    if application == APPLICATION and schema == SCHEMA:
        return True
    if application == APPLICATION:
        raise sqlite3.DatabaseError(f"its tables have version {schema}, this one knows {SCHEMA}")
    if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        raise sqlite3.DatabaseError("it is another application's database")
    return False


def _make_tables(connection: sqlite3.Connection) -> None:
    statement = ""
    for line in TABLES.splitlines(keepends=True):  # executescript would commit first
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {SCHEMA}")


# ------------------------------------------------------------------------------------------ values


def get(connection: sqlite3.Connection, key: str, now: float) -> tuple[bytes, bool] | None:
    """The value, and whether its last use ought to be written down."""
    row = connection.execute(
        "SELECT value, used_at FROM entries"
        " WHERE key = ? AND (expires_at IS NULL OR expires_at > ?)",
        (key, now),
    ).fetchone()
    return None if row is None else (row[0], row[1] < now - USE_GRAIN)


def use(connection: sqlite3.Connection, key: str, now: float) -> None:
    """Write down that the value was used."""
    connection.execute("UPDATE entries SET used_at = ? WHERE key = ?", (now, key))


def put(
    connection: sqlite3.Connection,
    key: str,
    value: bytes,
    ttl: float | None,
    now: float,
    max_bytes: int,
) -> None:
    """Keep the value, and make room for it."""
    size = len(value) + ROW_OVERHEAD
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        if size > max_bytes:
            connection.execute("DELETE FROM entries WHERE key = ?", (key,))
            return
        connection.execute(
            "INSERT INTO entries (key, size, expires_at, used_at, value) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (key) DO UPDATE SET size = excluded.size, value = excluded.value,"
            " expires_at = excluded.expires_at, used_at = excluded.used_at",
            (key, size, None if ttl is None else now + ttl, now, value),
        )
        connection.execute(
            "DELETE FROM entries WHERE key IN"
            " (SELECT key FROM entries WHERE expires_at <= ? LIMIT ?)",
            (now, EXPIRED_PER_SET),
        )
        (total,) = connection.execute("SELECT bytes FROM total").fetchone()
        if total > max_bytes:
            _evict(connection, key, total - max_bytes)


def _evict(connection: sqlite3.Connection, spared: str, excess: int) -> None:
    oldest = connection.execute(
        "SELECT key, size FROM entries WHERE key <> ? ORDER BY used_at", (spared,)
    )
    evicted: list[tuple[str]] = []
    for key, size in oldest:
        evicted.append((key,))
        excess -= size
        if excess <= 0:
            break
    oldest.close()
    connection.executemany("DELETE FROM entries WHERE key = ?", evicted)
    if excess > 0:  # somebody has written in our table
        connection.execute("UPDATE total SET bytes = (SELECT sum(size) FROM entries)")


def delete(connection: sqlite3.Connection, key: str) -> None:
    """Forget the value."""
    connection.execute("DELETE FROM entries WHERE key = ?", (key,))


# ------------------------------------------------------------------------------------------ leases


def get_or_lease(
    connection: sqlite3.Connection, wanted: Lease, ttl: float, now: float
) -> tuple[bytes, bool] | Lease | None:
    """The value as `get` has it, or the lease, or neither."""
    found = get(connection, wanted.key, now)
    if found is not None:
        return found
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        found = get(connection, wanted.key, now)
        if found is not None:
            return found
        return wanted if _take(connection, wanted, ttl, now) else None


def lease(connection: sqlite3.Connection, wanted: Lease, ttl: float, now: float) -> Lease | None:
    """The lease, or `None` if somebody has it."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        return wanted if _take(connection, wanted, ttl, now) else None


def _take(connection: sqlite3.Connection, wanted: Lease, ttl: float, now: float) -> bool:
    connection.execute("DELETE FROM leases WHERE expires_at <= ?", (now,))
    taken = connection.execute(
        "INSERT INTO leases (key, token, expires_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (wanted.key, wanted.token, now + ttl),
    )
    return taken.rowcount == 1


def renew(connection: sqlite3.Connection, held: Lease, ttl: float, now: float) -> bool:
    """Keep a lease that is still held."""
    renewed = connection.execute(
        "UPDATE leases SET expires_at = ? WHERE key = ? AND token = ? AND expires_at > ?",
        (now + ttl, held.key, held.token, now),
    )
    return renewed.rowcount == 1


def release_lease(connection: sqlite3.Connection, held: Lease, now: float) -> bool:
    """Give back a lease that is still held."""
    released = connection.execute(
        "DELETE FROM leases WHERE key = ? AND token = ? AND expires_at > ?",
        (held.key, held.token, now),
    )
    return released.rowcount == 1


# ----------------------------------------------------------------------------------------- budgets


def reserve(
    connection: sqlite3.Connection, wanted: Reservation, now: float
) -> Reservation | Refusal:
    """Hold every claim of `wanted`, or none."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM holds WHERE expires_at <= ?", (now - LATE,))
        connection.execute("DELETE FROM spending WHERE ends_at <= ?", (now - LATE,))
        for claim in wanted.claims:
            found = _balance(connection, claim.account, claim.window, now)
            if found.spent + found.reserved + claim.amount > claim.limit:
                return Refusal(claim, found.spent, found.reserved, found.resets_at)
        connection.executemany(
            "INSERT INTO holds (account, reservation, amount, expires_at) VALUES (?, ?, ?, ?)",
            [
                (claim.account, wanted.id, claim.amount, wanted.expires_at)
                for claim in wanted.claims
            ],
        )
    return wanted


def settle(
    connection: sqlite3.Connection, held: Reservation, actual: tuple[int, ...], now: float
) -> bool:
    """Turn holds into spending, unless that was done before."""
    counted = False
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        for claim, amount in zip(held.claims, actual, strict=True):
            ended = connection.execute(
                "DELETE FROM holds WHERE account = ? AND reservation = ? AND expires_at > ?",
                (claim.account, held.id, now - LATE),
            )
            if ended.rowcount == 1:
                counted = True
                if amount:
                    _spend(connection, claim, amount, now)
    return counted


def _spend(connection: sqlite3.Connection, claim: Claim, amount: int, now: float) -> None:
    bucket = current_bucket(claim.window, now)
    ends_at = None if claim.window is None else bucket_ends_at(claim.window, bucket)
    connection.execute(
        "INSERT INTO spending (account, bucket, spent, ends_at) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (account, bucket) DO UPDATE SET spent = spent + excluded.spent",
        (claim.account, bucket, amount, ends_at),
    )


def balance(connection: sqlite3.Connection, key: str, window: Window | None, now: float) -> Balance:
    """What a claim would meet."""
    with connection:
        connection.execute("BEGIN")  # both sums of one moment
        return _balance(connection, account_name(key, window), window, now)


def _balance(
    connection: sqlite3.Connection, account: str, window: Window | None, now: float
) -> Balance:
    spent, oldest = connection.execute(
        "SELECT coalesce(sum(spent), 0), min(bucket) FROM spending"
        " WHERE account = ? AND bucket >= ?",
        (account, oldest_bucket(window, now)),
    ).fetchone()
    (reserved,) = connection.execute(
        "SELECT coalesce(sum(amount), 0) FROM holds WHERE account = ? AND expires_at > ?",
        (account, now),
    ).fetchone()
    return Balance(spent, reserved, resets_at(window, now, oldest))
