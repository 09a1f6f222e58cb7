"""`scallion tokens`: how many tokens a text, a file or a request is."""

from __future__ import annotations

import json
import re
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scallion import Request
from scallion._request import as_messages
from scallion.costs import calculate_cost
from scallion.exceptions import InvalidRequestError
from scallion.tokens import TokenEstimate, count_tokens, estimate

from ._given import decoded, dollars
from ._terminal import Terminal

if TYPE_CHECKING:
    import argparse

EXAMPLES = """\
examples:
  scallion tokens "Why is the sky blue?"
  scallion tokens README.md --model claude-sonnet-4-5
  git diff | scallion tokens - --model gpt-5
  scallion tokens request.json --messages --json
"""

# What is one word and ends like a file's name was meant to be one.
_LIKE_A_FILE = re.compile(r"\S*(/|\\|\.[A-Za-z]\w{0,5}$)\S*")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Count the tokens of a text, exactly where the model's tokenizer is published.\n"
        "With --messages the input is JSON: a list of messages, or an object with messages, and\n"
        "tools and other parameters if there are. Then the whole prompt is counted."
    )
    parser.epilog = EXAMPLES
    parser.add_argument("text", metavar="FILE|-|TEXT", help="a file, - for standard input, or text")
    parser.add_argument("--model", default="gpt-4o", help="default: gpt-4o")
    parser.add_argument(
        "--messages", action="store_true", help="count a conversation, given as JSON"
    )
    parser.add_argument("--json", action="store_true", help="write JSON")


def run(arguments: argparse.Namespace) -> int:
    """Count. Returns the exit code."""
    text = _read(arguments.text)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = (
            estimate(_request(text, arguments.model))
            if arguments.messages
            else _of_text(text, arguments.model)
        )
    for warning in caught:
        sys.stderr.write(f"scallion tokens: {warning.message}\n")
    cost = calculate_cost(arguments.model, found.tokens, 0)
    terminal = Terminal()
    if arguments.json:
        facts = {
            "model": arguments.model,
            "tokens": found.tokens,
            "exact": found.exact,
            "upper": found.upper,
            "characters": len(text),
            "input_cost": None if cost is None else str(cost),
        }
        terminal.line(json.dumps(facts, indent=2))
        return 0
    about = "" if found.exact else f", estimated; at most about {found.upper:,}"
    price = "" if cost is None else f", {dollars(cost)} as input"
    tokens = "1 token" if found.tokens == 1 else f"{found.tokens:,} tokens"
    terminal.line(f"{tokens} for {arguments.model}{about}{price}")
    return 0


def _of_text(text: str, model: str) -> TokenEstimate:
    """A bare text's count, with what `estimate` says of the same text in a message."""
    around = estimate(Request(model, as_messages(text or " ")))
    tokens = count_tokens(text, model)
    upper = tokens if around.exact else max(tokens, around.upper)
    return TokenEstimate(tokens, around.exact, upper)


def _read(given: str) -> str:
    if given == "-":
        return decoded(sys.stdin.buffer.read(), "standard input")
    try:
        if Path(given).is_file():
            return decoded(Path(given).read_bytes(), given)
        if given and Path(given).is_dir():
            raise InvalidRequestError(f"{given} is a directory: name a file")
    except (OSError, ValueError) as error:  # too long for a name, or unreadable
        if isinstance(error, PermissionError):
            raise InvalidRequestError(f"{given} cannot be read: {error.strerror}") from None
    if _LIKE_A_FILE.fullmatch(given):
        raise InvalidRequestError(
            f"there is no file {given!r}: to count it as text, pipe it: echo … | scallion tokens -"
        )
    return given


def _request(text: str, model: str) -> Request:
    try:
        given: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"--messages takes JSON: {error}") from None
    params: dict[str, Any] = {}
    if isinstance(given, dict):
        params = {name: value for name, value in given.items() if name not in ("messages", "model")}
        given = given.get("messages")
    return Request(model, given, params)
