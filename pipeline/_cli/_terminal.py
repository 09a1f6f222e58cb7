"""Text that reads well in any terminal: tables, wrapped streams, and marks where they can be shown.

Colour only on a terminal that has not opted out (https://no-color.org), box drawing only where the
encoding has it.
"""

from __future__ import annotations

import os
import re
import shutil
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Sequence
    from typing import TextIO

_PLAIN = str.maketrans({"│": "|", "─": "-", "…": "...", "·": "-", "↻": "*", "—": "-"})


class Terminal:
    """Where a command writes to.

    Attributes:
        width: Columns to fill.
        fresh: Whether the cursor is at the beginning of a line.

    Args:
        out: By default the standard output as it is now.
    """

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self.fresh = True
        self.width = min(shutil.get_terminal_size().columns, 80)
        self._styled = (
            self._out.isatty()
            and not os.environ.get("NO_COLOR")
            and os.environ.get("TERM") != "dumb"
        )
        try:
            "│─…·↻".encode(self._out.encoding or "ascii")
        except (UnicodeEncodeError, LookupError):
            self._marks: dict[int, str] = _PLAIN
        else:
            self._marks = {}

    def write(self, text: str) -> None:
        """Write at once: what streams has to be seen while it does."""
        if text:
            self._out.write(text.translate(self._marks))
            self._out.flush()
            self.fresh = text.endswith("\n")

    def line(self, text: str = "") -> None:
        """Write a line."""
        self.write(f"{text}\n")

    def note(self, text: str) -> None:
        """Write a line that stands back, on a line of its own even in the middle of a stream."""
        self.line(("" if self.fresh else "\n") + self.dim(f"  · {text}"))

    def title(self, text: str) -> None:
        """Write a heading, with space before it."""
        self.line()
        self.line(self.bold(text))

    def bold(self, text: str) -> str:
        """`text`, standing out where the terminal can."""
        return f"\x1b[1m{text}\x1b[0m" if self._styled else text

    def dim(self, text: str) -> str:
        """`text`, standing back where the terminal can."""
        return f"\x1b[2m{text}\x1b[0m" if self._styled else text

    def clipped(self, text: str, indent: int) -> str:
        """`text`, cut to what fits into a line after `indent` columns."""
        room = self.width - indent
        return text if len(text) <= room else f"{text[: room - 1]}…"

    def table(
        self,
        header: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        right: Container[str] = (),
        shrink: str | None = None,
    ) -> None:
        """Write columns as wide as they need to be.

        Args:
            right: The columns that are set flush right, as numbers are, by their header.
            shrink: The column whose texts are cut where the terminal is too narrow.
        """
        shown = [[cell.translate(self._marks) for cell in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(header, *shown, strict=True)]
        gaps = 2 * (len(widths) - 1)
        over = sum(widths) + gaps - self.width
        if shrink is not None and over > 0:
            place = header.index(shrink)
            widths[place] = max(widths[place] - over, len(shrink))

        def joined(cells: Sequence[str]) -> str:
            placed = [
                cell.rjust(width) if title in right else cell[:width].ljust(width)
                for title, cell, width in zip(header, cells, widths, strict=True)
            ]
            return "  ".join(placed).rstrip()

        self.line(self.bold(joined(header)))
        self.line("─" * (sum(widths) + gaps))
        for row in shown:
            self.line(joined(row))


class Flow:
    """Writes text that arrives in pieces, at once, and breaks lines between words."""

    def __init__(self, terminal: Terminal, indent: str = "  ") -> None:
        self._terminal = terminal
        self._indent = indent
        self._column = 0
        self._space = False
        # A word may come in several pieces; its end must still find room.
        self._limit = terminal.width - 8

    def add(self, text: str) -> None:
        """Write a piece."""
        for part in re.findall(r"\n|[^\S\n]+|\S+", text):
            if part == "\n":
                self.end()
            elif part.isspace():
                self._space = True
            else:
                self._word(part)

    def end(self) -> None:
        """End the line, if it was not ended yet."""
        if not self._terminal.fresh:
            self._terminal.write("\n")
        self._column = 0
        self._space = False

    def _word(self, part: str) -> None:
        if self._space and self._column + len(part) > self._limit:
            self.end()
        between = " " if self._space else ""
        before = between if self._column else self._indent
        self._terminal.write(before + part)
        self._column += len(before + part)
        self._space = False
