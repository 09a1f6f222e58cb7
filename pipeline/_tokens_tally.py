"""A running count of tokens that knows how sure it is, and one over a remembered history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from scallion._tokens_media import Media
    from scallion._tokens_memory import Memory

_encode_json = msgspec.json.Encoder(enc_hook=str).encode


class Tally:
    """Tokens so far, whether they are exact, and how many more there could be."""

    __slots__ = ("exact", "slack", "tokens")

    def __init__(self, tokens: float, *, exact: bool = True, slack: float = 0) -> None:
        self.tokens = tokens
        self.exact = exact
        self.slack = slack

    def add(self, other: Tally) -> None:
        self.tokens += other.tokens
        self.slack += other.slack
        self.exact = self.exact and other.exact

    def guess(self, tokens: float, slack: float) -> None:
        """Add tokens that are not exact; there could be `slack` more."""
        self.tokens += tokens
        self.slack += slack
        self.exact = False

    def media(self, part: Media) -> None:
        self.tokens += part.tokens
        self.slack += part.upper - part.tokens
        self.exact = self.exact and part.exact


def tally_messages(
    messages: Sequence[Mapping[str, Any]],
    memory: Memory[tuple[float, float, bool]] | None,
    count: Callable[[Mapping[str, Any]], Tally],
) -> Tally:
    """Count all messages, each of them once.

    A message of text and tool calls is remembered by just these, so that one which was changed in
    place is counted anew. The parts of others (images, blocks) are remembered by `count`.

    Args:
        memory: Where to remember; none while counts are approximations that will be replaced.
        count: Counts one message.
    """
    # Written for speed: a history has hundreds of messages, and all but the last are remembered.
    tokens = slack = 0.0
    exact = True
    young = {} if memory is None else memory.young
    for message in messages:
        content = message.get("content")
        calls = message.get("tool_calls")
        key: Hashable = None
        if content is None or type(content) is str:
            role = message.get("role")
            if calls or (len(message) > 2 and role != "tool"):
                others = message.get("name"), message.get("refusal"), message.get("function_call")
                key = (content, role, key_of((calls, others)))
            else:
                key = (content, role)
        found = young.get(key)
        if found is None:
            found = None if memory is None else memory.get(key)
            if found is None:
                tally = count(message)
                found = (tally.tokens, tally.slack, tally.exact)
                if memory is not None and key is not None:
                    memory.put(key, found, len(content or "") + 200)
        tokens += found[0]
        slack += found[1]
        if not found[2]:
            exact = False
    return Tally(tokens, exact=exact, slack=slack)


def key_of(value: Any) -> bytes:
    """What a value's count depends on, whatever it is made of."""
    try:
        return _encode_json(value)
    except (UnicodeEncodeError, TypeError):  # half a surrogate pair, or a dict key of its own kind
        return repr(value).encode(errors="replace")
