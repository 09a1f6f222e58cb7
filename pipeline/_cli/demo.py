"""`scallion demo`: an onion at work, with faults on the way, and an account of every attempt.

The layers at the top are written as any user would write them. Each serves complete and streamed
calls alike, and knows nothing of the others.
"""

from __future__ import annotations

import asyncio
import re
import warnings
from typing import TYPE_CHECKING

from scallion import build_pipeline
from scallion.costs import PriceTable
from scallion.exceptions import (
    AllModelsFailedError,
    OverloadedError,
    PipelineRefusedError,
    RateLimitError,
    StreamError,
    StreamInterruptedError,
)
from scallion.middlewares import Target, budget, cache, cost, fallback, retry
from scallion.providers import Provider, detect_provider, fake, get_client

from ._terminal import Flow, Terminal

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from scallion import Attempt, Handler, Middleware, Outcome, Pipeline, Request, Response
    from scallion.middlewares import Entry
    from scallion.types import StreamChunk

# ----------------------------------------------------------------- layers, as users write them


def narrate(terminal: Terminal, outcomes: list[Outcome]) -> Middleware:
    """Say what is asked and how it ended, and keep the outcome."""

    async def narrate(request: Request, call_next: Handler) -> Response:
        def settled(outcome: Outcome) -> None:
            outcomes.append(outcome)
            tries = len(outcome.attempts)
            terminal.note(f"{outcome.status} after {outcome.duration:.2f} s, attempts: {tries}")

        terminal.note(f"{'a stream' if request.stream else 'a whole answer'} is asked for")
        response = await call_next(request)
        return response.on_settle(settled)

    return narrate


def redact(pattern: str) -> Middleware:
    """Take what matches `pattern` out of every answer."""
    matches = re.compile(pattern)

    async def redact(request: Request, call_next: Handler) -> Response:
        held = ""

        def rewrite(chunk: StreamChunk) -> StreamChunk:
            nonlocal held
            if chunk.restarted:
                held = ""  # what came before is void: another model begins anew
            if chunk.choices:
                # A match may be cut anywhere: the last word waits until it is whole.
                text = held + (chunk.content or "")
                end = len(text) if chunk.finish_reason else text.rfind(" ") + 1
                held = text[end:]
                chunk.choices[0].delta.content = matches.sub("[redacted]", text[:end])
            return chunk

        response = await call_next(request)
        return response.map(rewrite)

    return redact


# ------------------------------------------------------------------------------------- the demo

EXAMPLES = """\
examples:
  scallion demo
  scallion demo --model openai/gpt-4o
  scallion demo --model anthropic/claude-sonnet-4-5
  OPENAI_BASE_URL=http://localhost:8000/v1 scallion demo --model openai/my-model
"""

QUESTION = (
    "Why do onions make us cry? Answer in two or three sentences, "
    "and end with the address chef@example.org."
)
ANSWER = (
    "Cutting an onion breaks its cells, and an enzyme turns what was in them into a gas. The gas "
    "meets the water in your eyes and becomes a trace of sulfuric acid, which tears wash away. "
    "More from chef@example.org"
)
BROKEN_OFF = "Cutting an onion breaks its cells, and an enzyme turns"

DELAY = 0.04
"""Seconds between the words of a made-up stream."""

WAIT = 0.5
"""Seconds that the first wait before another try is at most."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Send calls through an onion, complete and streamed, with faults injected on the way.\n"
        "Without --model everything is made up: no key, no network."
    )
    parser.epilog = EXAMPLES
    parser.add_argument(
        "--model", default="fake/onion", help="a real model to ask, as provider/model"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the demo. Returns the exit code."""
    with warnings.catch_warnings():
        # Of unknown prices and estimated tokens: the table says so, too.
        warnings.simplefilter("ignore")
        try:
            asyncio.run(_demo(arguments.model, Terminal()))
        except AllModelsFailedError as error:
            raise error.errors[-1] from None  # the others were injected
    return 0


async def _demo(model: str, terminal: Terminal) -> None:
    chosen = detect_provider(model)
    made_up = chosen is Provider.FAKE
    provider = fake([ANSWER] * 3, delay=DELAY) if made_up else get_client(chosen)
    await provider.warm_up()  # a missing key shows here, before anything is written
    overloaded = OverloadedError("overloaded (injected)", status_code=529)
    limited = RateLimitError("too many requests (injected)", status_code=429, retry_after=90)
    broken = StreamInterruptedError("the connection broke (injected)")
    shaky = fake([overloaded, overloaded, limited, (BROKEN_OFF, broken)], delay=DELAY)
    prices = PriceTable()
    # Made up, as the answers are. Where all is made up, it is the price of every model.
    prices.register("*", provider=None if made_up else "fake", input=2.5, output=10)
    books = cost(prices=prices)
    outcomes: list[Outcome] = []
    llm = build_pipeline(
        [
            narrate(terminal, outcomes),
            redact(r"[\w.]+@[\w.]+\w"),
            books,
            fallback([Target("fake/shaky", shaky), model]),
            retry(attempts=2, wait_initial=WAIT),
        ],
        provider=provider,
    )
    terminal.title("The onion")
    for line in repr(llm).splitlines()[1:]:
        terminal.line(f"  {terminal.clipped(line, 2)}")
    terminal.title("The question")
    _write(QUESTION, terminal)
    async with llm:
        terminal.title("1  A whole answer: one model is overloaded, so another one gives it")
        _write((await llm.complete(QUESTION)).text, terminal)
        terminal.title("2  A stream through the same layers: rate limited, so the other one again")
        await _stream(llm, terminal)
        terminal.title("3  A stream that breaks after content: it raises, with what had come")
        try:
            await _stream(llm, terminal)
        except StreamError as error:
            terminal.line(f"  {type(error).__name__}: {error.message}")
            terminal.line(f"  .partial.text: {error.partial.text if error.partial else ''!r}")
        terminal.title("4  The same question again: from the cache, and free")
        kept = build_pipeline([*llm.middlewares[:3], cache()], provider=provider, model=model)
        for _ in range(2):
            await _stream(kept, terminal)
        terminal.title("5  A budget that the call could exceed: refused, and nothing is sent")
        thrifty = budget(usd="0.0001", prices=prices, max_output_tokens=500)
        try:
            await llm.with_middlewares(thrifty).complete(QUESTION)
        except PipelineRefusedError as error:
            _write(f"{type(error).__name__}: {error.message}", terminal)
    terminal.title("Every attempt, and what it cost (~ is an estimate)")
    _report(outcomes, books.entries, terminal)
    terminal.line()
    saved = books.ledger.saved
    terminal.line(f"In all: ${books.total:.5f}; the cache saved ${saved:.5f}.")


async def _stream(llm: Pipeline, terminal: Terminal) -> None:
    flow = Flow(terminal)
    try:
        async with llm.stream(QUESTION) as stream:
            async for chunk in stream:
                flow.add(chunk.content or "")
    finally:
        flow.end()


def _write(text: str, terminal: Terminal) -> None:
    flow = Flow(terminal)
    flow.add(text)
    flow.end()


def _report(outcomes: Sequence[Outcome], entries: Sequence[Entry], terminal: Terminal) -> None:
    made = [
        (str(number), outcome, attempt)
        for number, outcome in enumerate(outcomes, 1)
        for attempt in outcome.attempts or [None]  # an answer from the cache took none
    ]
    rows = [
        (number, *_row(outcome, attempt, entry))
        for (number, outcome, attempt), entry in zip(made, entries, strict=True)
    ]
    header = ("#", "model", "provider", "status", "latency", "in", "out", "cost")
    terminal.table(header, rows, right={"latency", "in", "out", "cost"}, shrink="model")


def _row(outcome: Outcome, attempt: Attempt | None, entry: Entry) -> tuple[str, ...]:
    usage = entry.usage
    about = "" if entry.exact or usage is None else "~"
    latency = outcome.duration if attempt is None else attempt.latency
    error = None if attempt is None else attempt.error
    return (
        entry.model.removeprefix(f"{entry.provider}/"),
        entry.provider,
        entry.status if error is None else type(error).__name__,
        "" if latency is None else f"{latency:.2f} s",
        f"{about}{usage.prompt_tokens}" if usage else "",
        f"{about}{usage.completion_tokens}" if usage else "",
        "?" if entry.cost is None else f"{about}${entry.cost:.5f}",
    )
