"""How many tokens a text, a conversation or a request is.

For OpenAI's models texts and plain chats are counted exactly, everything else closely. For Claude,
which publishes no tokenizer, and for other models behind OpenRouter the count is an estimate.
`estimate()` says which of the two it is, and gives an upper bound that budgets can rely on.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from scallion._tokens_claude import ClaudeCounter
from scallion._tokens_openai import OpenAICounter, dialect_of
from scallion._tokens_other import OtherCounter
from scallion._tokens_text import Approximation, encoder
from scallion.exceptions import InvalidRequestError
from scallion.types import Message

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from scallion._tokens_tally import Tally
    from scallion._tokens_text import Encoder

__all__ = [
    "TokenEstimate",
    "count_message_tokens",
    "count_tokens",
    "count_tokens_anthropic",
    "count_tokens_openai",
    "estimate",
    "warm_up",
]

# Exact names and families with their encoding. Sources: tiktoken's own table, and recorded usage
# for the families that are newer than it.
_CL100K = re.compile(r"gpt-3\.?5|gpt-4(-|$)|text-embedding")
_O200K = re.compile(r"gpt-(4o|4\.1|4\.5|5)|chatgpt-4o|o[134](-|$)|codex-mini")
_OPENAI = re.compile(r"gpt-(?!oss)|chatgpt-|o\d|codex-|computer-use|text-embedding")
_CLAUDE = re.compile(r"(^|[./])claude\b")

# How far an estimate can be off beyond what its parts say of themselves: a factor, and tokens.
_MARGIN_EXACT = 1.01, 2
_MARGIN_OPENAI = 1.02, 3
_MARGIN_CLAUDE = 1.12, 1
_MARGIN_OTHER = 1.0, 4
_MARGIN_WITHOUT_RANKS = 1.35, 8


class TokenEstimate(msgspec.Struct, frozen=True):
    """How many tokens a prompt is.

    Attributes:
        tokens: The likeliest count.
        exact: Whether it is what the provider will report, by its published rules.
        upper: What it will hardly ever exceed: a budget reserves this.
    """

    tokens: int
    exact: bool
    upper: int


class _Request(Protocol):
    @property
    def model(self) -> str | None: ...
    @property
    def messages(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def params(self) -> Mapping[str, Any]: ...


class _Counter(Protocol):
    encoder: Encoder

    @property
    def exact(self) -> bool: ...
    def text(self, text: str) -> int: ...
    def estimate(
        self, messages: Sequence[Mapping[str, Any]], params: Mapping[str, Any]
    ) -> Tally: ...


def estimate(request: _Request, *, provider: str | None = None) -> TokenEstimate:
    """How many tokens the prompt of `request` is: messages, tools, schemas, images and all.

    Args:
        request: A `Request`, or anything with `model`, `messages` (OpenAI-style dicts) and
            `params` (`tools`, `tool_choice`, `response_format`, …).
        provider: The adapter that will send it, if the model's name does not say so.

    Raises:
        InvalidRequestError: something in it is nested too deep to be read.
    """
    counter, margin = _counter(request.model or "", provider)
    tally = _tally(counter, request.messages, request.params)
    tokens = max(0, round(tally.tokens))
    if tally.exact:
        margin = _MARGIN_EXACT
    elif not counter.encoder.exact:
        margin = _MARGIN_WITHOUT_RANKS
    factor, more = margin
    return TokenEstimate(tokens, tally.exact, math.ceil(tally.tokens * factor + tally.slack + more))


async def warm_up(model: str = "gpt-4o", *, provider: str | None = None) -> None:
    """Load what counting for `model` needs, without holding up the event loop.

    Counting does that by itself, but the first count of a process waits half a second for tiktoken
    to read its ranks, or three for a download. `budget()` calls this before it counts.
    """
    ranks = _counter(model, provider)[0].encoder
    if not ranks.settled:
        import asyncio

        await asyncio.to_thread(getattr, ranks, "exact")


def count_tokens(text: str, model: str, *, provider: str | None = None) -> int:
    """Tokens of a bare text, without what a chat puts around it."""
    return _counter(model, provider)[0].text(text)


def count_message_tokens(
    messages: str | Iterable[Mapping[str, Any] | Message],
    model: str,
    *,
    tools: Sequence[Mapping[str, Any]] | None = None,
    provider: str | None = None,
) -> int:
    """Tokens of a whole conversation as a prompt, with the tools that go with it."""
    given = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
    dicts = [each.to_dict() if isinstance(each, Message) else each for each in given]
    tally = _tally(_counter(model, provider)[0], dicts, {"tools": tools})
    return max(0, round(tally.tokens))


def count_tokens_openai(text: str, model: str = "gpt-4o") -> int:
    """Tokens of a text for a model of OpenAI's."""
    return count_tokens(text, model, provider="openai")


def count_tokens_anthropic(text: str, model: str = "claude-sonnet-4-5") -> int:
    """Tokens of a text for Claude: an estimate."""
    return count_tokens(text, model, provider="anthropic")


def _tally(
    counter: _Counter, messages: Sequence[Mapping[str, Any]], params: Mapping[str, Any]
) -> Tally:
    try:
        return counter.estimate(messages, params)
    except RecursionError as error:
        raise InvalidRequestError(
            "the request cannot be counted: a message, tool or schema is nested too deep"
        ) from error


@lru_cache(maxsize=256)
def _counter(model: str, provider: str | None) -> tuple[_Counter, tuple[float, int]]:
    """The counter for a model, and the margin of its estimates."""
    name = model.strip().lower()
    if name.startswith("fake/"):
        return OtherCounter(Approximation(), name), _MARGIN_OTHER
    routed = provider == "openrouter" or name.startswith("openrouter/")
    if _CLAUDE.search(name) or provider == "anthropic":
        return ClaudeCounter(encoder("o200k_base"), name), _MARGIN_CLAUDE
    bare = name.rpartition("/")[2].removeprefix("ft:").partition(":")[0]
    if _OPENAI.match(bare):
        cl100k = _CL100K.match(bare)
        counter = OpenAICounter(
            encoder("cl100k_base" if cl100k else "o200k_base"),
            dialect_of(bare),
            known=bool(cl100k or _O200K.match(bare)),
            direct=not routed,
        )
        return counter, _MARGIN_OPENAI
    return OtherCounter(encoder("o200k_base"), name), _MARGIN_OTHER
