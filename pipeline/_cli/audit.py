"""`scallion audit verify`: whether records of an audit were changed or removed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from scallion.exceptions import InvalidRequestError

if TYPE_CHECKING:
    import argparse

    from scallion.middlewares._audit_verify import Verdict

EXAMPLES = """\
examples:
  scallion audit verify calls.jsonl
  scallion audit verify calls.jsonl --last 4711:9f86d081…    a SEQ:DIGEST kept elsewhere
  SCALLION_AUDIT_KEY=… scallion audit verify calls.db --json

Exit codes: 0 nothing was changed or removed, 1 something was, 2 this cannot be told.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Check the chain of an audit that was written with chain=True: a JSONL file with the files\n"
        "that were put aside from it, or an SQLite database."
    )
    parser.epilog = EXAMPLES
    parser.add_argument("action", choices=["verify"], help="what to do")
    parser.add_argument("file", type=Path, metavar="FILE", help="the audit's file")
    parser.add_argument("--json", action="store_true", help="write the verdict as JSON")
    parser.add_argument(
        "--last",
        metavar="SEQ:DIGEST",
        help="a record that must be there: an earlier verdict's last",
    )
    parser.add_argument(
        "--partial", action="store_true", help="the oldest files were deleted on purpose"
    )


def run(arguments: argparse.Namespace) -> int:
    """Check the file. Returns the exit code."""
    from scallion.middlewares._audit_files import parse_link
    from scallion.middlewares._audit_verify import verify

    try:
        last = parse_link(arguments.last) if arguments.last else None
        verdict = verify(arguments.file, partial=arguments.partial, last=last)
    except OSError as error:
        raise InvalidRequestError(f"{arguments.file}: {error.strerror or error}") from None
    except ValueError as error:
        raise InvalidRequestError(str(error)) from None
    sys.stdout.write(_as_json(verdict) if arguments.json else _as_text(verdict))
    return 0 if verdict.ok else 1


def _as_json(verdict: Verdict) -> str:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(verdict)).decode() + "\n"


def _as_text(verdict: Verdict) -> str:
    count = "1 record" if verdict.records == 1 else f"{verdict.records} records"
    lines = [f"{count}, {'none' if verdict.ok else 'but some'} changed or removed"]
    lines += [f"  problem: {problem}" for problem in verdict.problems]
    lines += [f"  note: {note}" for note in verdict.notes]
    if verdict.last is not None:
        lines.append(f"  last: {verdict.last}")
    if verdict.tail == "unknown":
        lines.append("  note: nothing tells whether records are missing at the end; see --last")
    return "".join(f"{line}\n" for line in lines)
