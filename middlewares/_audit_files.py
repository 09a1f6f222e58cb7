"""What belongs to an audit's file: the note of its chain's end, files put aside, and its lock."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from glob import escape
from typing import TYPE_CHECKING, Final

from ._audit_chain import Link

if TYPE_CHECKING:
    from pathlib import Path

LINK: Final = re.compile("([0-9]{1,20}):([0-9a-f]{64})")


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
    found = LINK.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not SEQ:DIGEST")
    return Link(int(found[1]), found[2])


def rotated(path: Path) -> list[Path]:
    """The files that were put aside, oldest first."""
    names = (found for found in path.parent.glob(f"{escape(path.name)}.*"))
    numbered = [found for found in names if found.suffix[1:].isdecimal()]
    return sorted(numbered, key=lambda found: int(found.suffix[1:]))


def last_of(path: Path) -> Link | None:
    """The last link in a file."""
    return last_link_in(path.read_bytes(), whole=True)


def last_link_in(data: bytes, *, whole: bool) -> Link | None:
    """The last link in a part of a file, or in the whole."""
    lines = data.split(b"\n")
    for line in reversed(lines[0 if whole else 1 :]):  # the first one may be cut
        link = Link.of_line(line)
        if link is not None:
            return link
    return None


def tail_of(file: int, size: int, length: int = 65536) -> bytes:
    """The last `length` bytes of an open file, and what was appended meanwhile."""
    os.lseek(file, max(size - length, 0), os.SEEK_SET)
    parts = []
    while part := os.read(file, 1 << 20):
        parts.append(part)
    return b"".join(parts)


def overwrite(file: int, data: bytes) -> None:
    """Put `data` at the beginning of an open file."""
    os.lseek(file, 0, os.SEEK_SET)
    os.write(file, data)


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
