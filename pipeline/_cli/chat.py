"""`scallion chat`: talk to a model, with a history, and see what each turn costs."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import warnings
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from scallion import build_pipeline
from scallion.costs import PriceTable, load_prices
from scallion.exceptions import InvalidRequestError, LLMClientError
from scallion.middlewares import cost, retry
from scallion.providers import Provider, detect_provider, get_client

from ._given import decoded, whole_number
from ._terminal import Terminal

if TYPE_CHECKING:
    import argparse

    from scallion.middlewares import Entry
    from scallion.types import Message, ModelResponse

EXAMPLES = """\
examples:
  scallion chat                                       made up: no key, no network
  scallion chat --model openai/gpt-4o
  scallion chat --model anthropic/claude-sonnet-4-5 --system "Answer in one sentence."
  git diff | scallion chat --model openai/gpt-4o --system "Write a commit message for this."
  echo "Why is the sky blue?" | scallion chat --model openai/gpt-4o --json

In a chat, Ctrl-C breaks off an answer, /new begins afresh, and Ctrl-D or /quit ends. From a pipe,
all that comes is one message, and only the answer is written to the standard output.
"""

MADE_UP = "fake/echo"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = "Talk to a model: answers are streamed, and each turn's cost is shown."
    parser.epilog = EXAMPLES
    parser.add_argument("--model", default=MADE_UP, help="the model, as provider/model")
    parser.add_argument("--system", metavar="TEXT", help="a system message")
    parser.add_argument(
        "--max-tokens", type=whole_number, metavar="N", help="tokens of an answer at most"
    )
    parser.add_argument("--temperature", type=float, metavar="T", help="how freely it is drawn")
    parser.add_argument(
        "--json", action="store_true", help="of a piped message: write answer and cost as JSON"
    )


def run(arguments: argparse.Namespace) -> int:
    """Chat until the end of the input. Returns the exit code."""
    piped = not sys.stdin.isatty()
    if arguments.json and not piped:
        raise InvalidRequestError(
            "--json is for a message from a pipe: echo … | scallion chat --json"
        )
    with warnings.catch_warnings(), asyncio.Runner() as runner:
        # Of unknown prices and estimated tokens: each turn says so.
        warnings.simplefilter("ignore")
        chat = Chat(arguments)
        runner.run(chat.open())  # a missing key shows here
        try:
            if piped:
                return _answer_pipe(chat, runner, as_json=arguments.json)
            return _converse(chat, runner)
        finally:
            runner.run(chat.close())


class Chat:
    """A conversation: what was said, and what it cost."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        provider = detect_provider(arguments.model)
        prices = load_prices(None)
        if provider is Provider.FAKE:
            prices = PriceTable()
            prices.register("*", input=0, output=0)
        self._client = get_client(provider)
        self._books = cost(prices=prices)
        self._llm = build_pipeline(
            [self._books, retry()], provider=self._client, model=arguments.model
        )
        self._params = {
            "max_tokens": arguments.max_tokens,
            "temperature": arguments.temperature,
        }
        self._system = [{"role": "system", "content": arguments.system}] if arguments.system else []
        self._said: list[dict[str, Any] | Message] = []

    async def open(self) -> None:
        """Do what the first turn would otherwise wait for."""
        await self._client.warm_up()

    async def close(self) -> None:
        """Close the connections."""
        await self._llm.aclose()

    def forget(self) -> None:
        """Begin afresh."""
        self._said.clear()

    async def turn(self, text: str, terminal: Terminal | None) -> ModelResponse:
        """Say something, and write the answer as it comes.

        What was said and answered becomes part of the history, also as far as it came when the
        turn was broken off. A turn without any answer leaves nothing.
        """
        self._said.append({"role": "user", "content": text})
        stream = self._llm.stream([*self._system, *self._said], **self._params)
        try:
            async for chunk in stream:
                if terminal is not None:
                    terminal.write(chunk.content or "")
        finally:
            await stream.aclose()
            answer = _answer_of(stream)
            if answer is not None and answer.choices and answer.text:
                self._said.append(answer.message)
            else:
                self._said.pop()
        return stream.result

    def bill(self, since: int) -> dict[str, Any]:
        """Tokens and US dollars of the attempts since there were `since` of them."""
        entries = self._books.entries[since:]
        costs = [entry.cost for entry in entries]
        return {
            "prompt_tokens": sum(entry.usage.prompt_tokens for entry in entries if entry.usage),
            "completion_tokens": sum(
                entry.usage.completion_tokens for entry in entries if entry.usage
            ),
            "cost": None if None in costs else _plain(sum(filter(None, costs), Decimal(0))),
            "exact": all(_is_exact(entry) for entry in entries),
        }

    @property
    def attempts(self) -> int:
        """How many attempts there were so far."""
        return len(self._books.entries)

    @property
    def total(self) -> Decimal:
        """US dollars so far."""
        return self._books.total


def _converse(chat: Chat, runner: asyncio.Runner) -> int:
    """Talk with somebody at a terminal."""
    with suppress(ImportError):  # not on Windows; with it, lines can be edited
        import readline  # noqa: F401
    reconfigure = getattr(sys.stdin, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")  # a stray byte must not end a conversation
    terminal = Terminal()
    terminal.note("Ctrl-C breaks off an answer, /new begins afresh, Ctrl-D ends")
    while True:
        try:
            text = input("> ").strip()
        except EOFError:
            terminal.line()
            return 0
        except KeyboardInterrupt:
            terminal.line()
            terminal.note("Ctrl-D ends")
            continue
        if text == "/quit":
            return 0
        if text == "/new":
            chat.forget()
            terminal.note("forgotten")
        elif re.fullmatch(r"/\w+", text):
            terminal.note(f"no command {text}: there are /new and /quit")
        elif text:
            _take_turn(chat, runner, terminal, text)


def _take_turn(chat: Chat, runner: asyncio.Runner, terminal: Terminal, text: str) -> None:
    before = chat.attempts
    ended = ""
    try:
        runner.run(chat.turn(text, terminal))
    except KeyboardInterrupt:
        ended = "broken off: "
    except LLMClientError as error:
        # The conversation goes on; the next turn may work.
        ended = f"{type(error).__name__}: {error}: "
    if not terminal.fresh:
        terminal.line()
    terminal.note(f"{ended}{_shown(chat.bill(before))}, ${_plain(chat.total)} in all")


def _answer_pipe(chat: Chat, runner: asyncio.Runner, *, as_json: bool) -> int:
    """Answer one message, for a program or a file."""
    text = decoded(sys.stdin.buffer.read(), "standard input")
    if not text.strip():
        raise InvalidRequestError("the standard input is empty: pipe a message, or use a terminal")
    terminal = Terminal()
    try:
        answer = runner.run(chat.turn(text, None if as_json else terminal))
    except KeyboardInterrupt:
        if not terminal.fresh:
            terminal.line()
        Terminal(sys.stderr).note(f"broken off: {_shown(chat.bill(0))}")
        raise
    bill = chat.bill(0)
    if as_json:
        report = {"answer": answer.text, "model": answer.model, **bill}
        terminal.line(json.dumps(report, ensure_ascii=False))
    else:
        if not terminal.fresh:
            terminal.line()
        Terminal(sys.stderr).note(_shown(bill))
    return 0


def _shown(bill: dict[str, Any]) -> str:
    about = "" if bill["exact"] else "~"
    dollars = "at an unknown price" if bill["cost"] is None else f"{about}${bill['cost']}"
    return f"{about}{bill['prompt_tokens']} tokens in, {about}{bill['completion_tokens']} out, {dollars}"


def _plain(amount: Decimal) -> str:
    """An amount without exponents and zeros at its end."""
    return f"{amount.normalize():f}"


def _is_exact(entry: Entry) -> bool:
    return entry.exact or entry.usage is None


def _answer_of(stream: Any) -> ModelResponse | None:
    outcome = stream.response.outcome if stream.response is not None else None
    return None if outcome is None else outcome.response
