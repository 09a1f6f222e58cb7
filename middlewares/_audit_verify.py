"""Check the chain of an audit file, with the files that were put aside from it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from msgspec import Struct

from ._audit_chain import Check, Link
from ._audit_files import parse_link, read_anchor, rotated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SQLITE = b"SQLite format 3\0"


class Verdict(Struct, kw_only=True):
    """What was found.

    Attributes:
        ok: Whether nothing was changed or removed, as far as that can be told.
        records: How many there are.
        first: The number of the first one; 1, unless older files were deleted.
        last: The end of the chain, as `SEQ:DIGEST`, to be kept elsewhere.
        tail: Whether records may be missing at the end: `whole` if the chain's end was known from
            somewhere else, `cut` if it goes on further, `unknown` if nothing tells.
        problems: What is wrong, one sentence each.
        notes: What is odd, but not wrong.
    """

    ok: bool
    records: int
    first: int | None
    last: str | None
    tail: str
    problems: list[str]
    notes: list[str]


def verify(path: Path, *, partial: bool = False, last: Link | None = None) -> Verdict:
    """Check the file at `path`, and `path.1`, `path.2`, … before it.

    Args:
        partial: Take it that the oldest files were deleted on purpose.
        last: An end of the chain that was kept elsewhere: the record must be there.

    Raises:
        OSError: a file cannot be read.
        ValueError: this is no audit, or its key is missing.
    """
    check = Check(partial=partial)
    ends = [last] if last is not None else []
    with path.open("rb") as file:
        is_database = file.read(len(SQLITE)) == SQLITE
    if is_database:
        noted = _read_database(path, check)
    else:
        # Before the records: one that is being written meanwhile is not missing.
        noted = read_anchor(path)
        for each in (*rotated(path), path):
            for number, line in enumerate(_lines(each), 1):
                check.read(line, f"{each.name}:{number}")
    ends += [noted] if noted is not None else []
    tail = "whole" if ends else "unknown"
    for end in ends:
        if end.seq > check.last.seq:
            tail = "cut"
            check.problems.append(
                f"the records after {check.last.seq} are missing: there were {end.seq} once"
            )
        elif not check.has(end):
            check.problems.append(f"record {end.seq} is not the one that was there once")
    if not check.records and not check.problems:
        raise ValueError(f"{path} has no record with a chain: was it written with chain=True?")
    return Verdict(
        ok=not check.problems,
        records=check.records,
        first=check.first,
        last=f"{check.last.seq}:{check.last.digest}" if check.records else None,
        tail=tail,
        problems=check.problems,
        notes=check.notes,
    )


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            if line != b"\n":
                yield line.removesuffix(b"\n")


def _read_database(path: Path, check: Check) -> Link | None:
    import sqlite3

    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        try:
            connection.execute("BEGIN")
            found = connection.execute("SELECT link FROM audit_last").fetchone()
            for seq, record in connection.execute("SELECT seq, record FROM audit ORDER BY seq"):
                check.read(str(record).encode(), f"{path.name}:{seq}")
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{path} is no audit: {error}") from error
    return parse_link(str(found[0])) if found else None
