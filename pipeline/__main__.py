"""The command line: finds the command, runs it, and turns what goes wrong into one line.

A command is one file in `_cli/`: `configure(parser)` declares its arguments, `run(arguments)` does
the work and returns the exit code. Only the file of the command that was asked for is imported.

Exit codes: 0 it worked, 1 the call failed, 2 the user has to change something, 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from .exceptions import LLMClientError

    class _Command(Protocol):
        def configure(self, parser: argparse.ArgumentParser) -> None: ...

        def run(self, arguments: argparse.Namespace) -> int: ...


COMMANDS = {
    "demo": "see calls, a stream and a failure go through the onion",
    "chat": "talk to a model, and see what each turn costs",
    "doctor": "say which SDKs, keys, stores and tokenizers are usable",
    "audit": "check that no record of an audit was changed or removed",
    "models": "list the known models, their limits and prices",
    "price": "show what a model or a call costs",
    "tokens": "count the tokens of a text, a file or a request",
}

EXAMPLES = """\
examples:
  scallion demo                          no key, no network
  scallion demo --model openai/gpt-4o    the same with a real model
  scallion price gpt-4o --input 1000 --output 200
  scallion demo --help                   what a command takes
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, by default with the process's own arguments. Returns the exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started this
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: PTH123, SIM115
    # A word that the output's encoding lacks must not end a command half-way.
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
    parser = _parser(given)
    if not given:
        parser.print_help()
        return 2
    parsed = parser.parse_args(given)
    try:
        code: int = _module(parsed.command).run(parsed)
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stdout.write("\n")
        return 130
    except Exception as error:
        from .exceptions import LLMClientError

        if isinstance(error, LLMClientError):  # first: some are also an OSError
            return _tell(parsed.command, error)
        if not isinstance(error, OSError):
            raise  # a mistake of ours: the traceback is what a report of it needs
        if not isinstance(error, BrokenPipeError):  # the reader (`| head`) has gone
            sys.stderr.write(f"scallion {parsed.command}: {error.strerror or error}\n")
        try:
            sys.stdout.flush()
        except OSError:  # the interpreter's own flush at exit must not complain
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _tell(command: str, error: LLMClientError) -> int:
    """Say what went wrong, in one line. Returns the exit code."""
    from .exceptions import AuthenticationError, InvalidRequestError, ModelNotFoundError

    # Without an answer from a provider the message says it all.
    text = str(error) if getattr(error, "status_code", None) else error.message
    sys.stdout.flush()
    sys.stderr.write(f"scallion {command}: {text}\n")
    mistakes = (AuthenticationError, InvalidRequestError, ModelNotFoundError)
    return 2 if isinstance(error, mistakes) else 1


def _parser(given: Sequence[str]) -> argparse.ArgumentParser:
    from . import __version__

    parser = argparse.ArgumentParser(
        prog="scallion",
        description="Composable middleware around LLM calls.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"scallion {__version__}")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", title="commands"
    )
    for name, summary in COMMANDS.items():
        command = commands.add_parser(
            name, help=summary, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if name in given:
            _module(name).configure(command)
    return parser


def _module(command: str) -> _Command:
    return cast("_Command", import_module(f"._cli.{command}", __package__))


if __name__ == "__main__":
    sys.exit(main())
