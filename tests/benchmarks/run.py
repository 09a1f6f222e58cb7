"""Speed and memory against the bare SDKs: python tests/benchmarks/run.py [group …].

Prints a table; README.md says what its columns mean. With --check it exits with 1 if a goal is
missed grossly, and with --quick it takes a minute instead of some.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from dataclasses import asdict
from importlib import metadata
from typing import TYPE_CHECKING

import calls
import memory
import onion
import startup
import streams
from measure import GROSS, Row
from server import Server

if TYPE_CHECKING:
    from collections.abc import Callable

GROUPS: dict[str, Callable[..., list[Row]]] = {
    "startup": startup.rows,
    "onion": onion.rows,
    "calls": calls.rows,
    "streams": streams.rows,
    "memory": memory.rows,
}
_COLUMNS = "{:<62}{:>11}{:>11}  {:<5}{:>10}  {:<13}{}"


def main() -> int:
    """Measure what was asked for, and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("groups", nargs="*", choices=[*GROUPS, []], metavar="group",
                        help=f"which to measure: {', '.join(GROUPS)} (default: all)")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="fewer rounds: rough, but a minute")
    parser.add_argument("--check", action="store_true",
                        help=f"exit with 1 if a goal is missed by more than {GROSS:g} times")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    quiet = options.json
    if not quiet:
        print(_COLUMNS.format(about(), "scallion", "bare SDK", "", "measured", "goal", ""))
    rows: list[Row] = []
    group = ""
    with Server() as server:
        for name in options.groups or GROUPS:
            for row in GROUPS[name](server, quick=options.quick):
                rows.append(row)
                if not quiet:
                    if row.group != group:
                        print(f"\n{row.group}")
                    print(_line(row), flush=True)
                group = row.group
    if quiet:
        print(as_json(rows))
    gross = [row for row in rows if row.gross]
    for row in gross if options.check else ():
        print(f"grossly missed: {row.group}: {row.name}", file=sys.stderr)
    return 1 if options.check and gross else 0


def about() -> str:
    """Which versions were measured."""
    versions = [f"{name} {metadata.version(name)}" for name in ("openai", "anthropic")]
    return ", ".join([f"Python {platform.python_version()}", *versions])


def as_json(rows: list[Row]) -> str:
    """The rows with their verdicts."""
    found = [asdict(row) | {"verdict": row.verdict, "gross": row.gross} for row in rows]
    return json.dumps({"about": about(), "rows": found}, indent=1, ensure_ascii=False)


def _line(row: Row) -> str:
    bound = "≥" if row.at_least else "≤"
    return _COLUMNS.format(
        f"  {row.name}",
        _number(row.ours),
        "" if row.bare is None else _number(row.bare),
        row.unit,
        _measured(row, row.measured),
        "" if row.goal is None else f"{bound} {_measured(row, row.goal)}",
        row.verdict,
    ).rstrip()


def _measured(row: Row, value: float) -> str:
    if row.bare is not None and not row.measured_unit and value <= 0.5:  # a ratio
        return f"1/{_number(1 / value)}"
    return f"{_number(value)} {row.measured_unit}".rstrip()


def _number(value: float) -> str:
    """Three digits that matter."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}".removesuffix(".00").removesuffix(".0")


if __name__ == "__main__":
    sys.exit(main())
