"""How many tokens a request is for models whose tokenizer is not at hand: by o200k, roughly.

Around the text a family of models has its own template, and around tools its own instructions;
what these take on average was recorded through OpenRouter (data/tokens.json, fitted by
`tests/tools/fit_tokens.py`). Hosts of the same model differ, and a few put a prompt of their own
before the caller's, so the upper bound is wide.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from scallion import _tokens_media as media
from scallion._tokens_claude import declared
from scallion._tokens_memory import Memory
from scallion._tokens_parts import (
    Call,
    Document,
    File,
    Image,
    Result,
    Sound,
    Text,
    parts_of,
    tools_of,
)
from scallion._tokens_tally import Tally, key_of, tally_messages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scallion._tokens_parts import Part
    from scallion._tokens_text import Encoder

# Each message's frame in the usual templates.
FRAME = 4
_IMAGE = media.Tiles(85, 170)
_PAGE = 900

# The first that is found in the name, between its dashes and slashes.
_FAMILIES = (
    ("gpt-oss", r"gpt-oss"),
    ("grok-4", r"grok-4(?!.*fast)"),
    ("hermes", r"hermes"),
    ("deepseek", r"deepseek"),
    ("gemini", r"gemini"),
    ("gemma", r"gemma"),
    ("glm", r"glm"),
    ("grok", r"grok"),
    ("kimi", r"kimi|moonshot"),
    ("llama", r"llama"),
    ("minimax", r"minimax"),
    ("mistral", r"\w*stral|mixtral"),
    ("qwen", r"qwen|qwq"),
)


class Around(msgspec.Struct, frozen=True):
    """What a family adds to the text.

    Attributes:
        text: Tokens around a conversation, beside four for each message.
        most: The most of them that were seen.
        tools: Tokens around the declarations of tools.
        schema: Tokens for each of o200k's in the tools' JSON.
    """

    text: float = 0
    most: float = 60
    tools: float = 60
    schema: float = 1.0


@cache
def _arounds() -> dict[str, Around]:
    path = Path(__file__).with_name("data") / "tokens.json"
    data = msgspec.json.decode(path.read_bytes(), type=dict[str, msgspec.Raw])
    return msgspec.json.decode(data["others"], type=dict[str, Around])


def family_of(model: str) -> str | None:
    """The family that a model's name tells, if it is one that we have recordings of."""
    for family, pattern in _FAMILIES:
        if re.search(rf"(?:^|[-/~]){pattern}", model):
            return family
    return None


class OtherCounter:
    """Counts for a model that is neither OpenAI's nor Anthropic's."""

    exact = False

    def __init__(self, encoder: Encoder, model: str, given: Around | None = None) -> None:
        self.encoder = encoder
        family = family_of(model)
        self._around = given or (_arounds().get(family) if family else None) or Around()
        self._messages = Memory[tuple[float, float, bool]]()
        self._declared = Memory[int]()

    def text(self, text: str) -> int:
        return self.encoder.count(text)

    def estimate(self, messages: Sequence[Mapping[str, Any]], params: Mapping[str, Any]) -> Tally:
        around = self._around
        memory = self._messages if self.encoder.exact else None
        total = tally_messages(messages, memory, self.message)
        # A third more or less: how far the tokenizers of these families differ.
        total.guess(around.text, slack=around.most - around.text + 0.3 * total.tokens)
        if params.get("tools") or params.get("functions"):
            written = self._written(params)
            total.guess(around.tools + around.schema * written, slack=110 + 0.5 * written)
        return total

    def message(self, message: Mapping[str, Any]) -> Tally:
        tally = Tally(FRAME, exact=False, slack=2)
        for part in parts_of(message):
            self._part(part, tally)
        return tally

    def _written(self, params: Mapping[str, Any]) -> int:
        """The tokens of all declared tools, as JSON."""
        key = key_of((params.get("tools"), params.get("functions")))
        found = self._declared.get(key)
        if found is None:
            found = sum(self.encoder.count(declared(tool)) for tool in tools_of(params))
            if self.encoder.exact:
                self._declared.put(key, found, len(key))
        return found

    def _part(self, part: Part, tally: Tally) -> None:
        match part:
            case Text(text) | Document(text):
                tally.tokens += self.encoder.count(text)
            case Call(name, arguments, _):
                tally.guess(self.encoder.count(name + arguments) + 12, slack=20)
            case Result(parts):
                for each in parts:
                    self._part(each, tally)
            case Image(source, detail):
                tally.media(media.image(_IMAGE, source, detail)._replace(exact=False))
            case Sound(data, form):
                tally.media(media.sound(data, form)._replace(exact=False))
            case File(source):
                tally.media(media.document(source, _PAGE))
            case _:
                pass
