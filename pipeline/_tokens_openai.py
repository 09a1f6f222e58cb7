"""How OpenAI counts a chat: the formula, fitted where it is not published.

Text is documented (OpenAI Cookbook, "How to count tokens with tiktoken") and exact: three tokens
frame a message, three (two for the reasoning models) begin the answer. Tools, calls and answer
schemas are not documented; the constants below reproduce recorded `prompt_tokens`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from scallion import _tokens_media as media
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
from scallion._tokens_schema import answer_schema, functions
from scallion._tokens_tally import Tally, key_of, tally_messages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scallion._tokens_parts import Part
    from scallion._tokens_text import Encoder

# Tokens of a page of a PDF, which OpenAI sends as its text and as an image.
_PAGE = 900


class Dialect(NamedTuple):
    """What differs between OpenAI's models.

    Attributes:
        frame: Tokens around a message, its role not counted.
        prime: Tokens that begin the answer.
        channel: Tokens that name the channel of an earlier answer.
        call: Tokens around a tool call and its result.
        tools: Tokens around the declarations of tools.
        images: What an image costs.
    """

    frame: int = 3
    prime: int = 3
    channel: int = 0
    call: int = 13
    tools: int = 9
    images: media.Tiles | media.Patches = media.Tiles(85, 170)


_HARMONY = Dialect(prime=2, channel=2, call=18)
_O_SERIES = Dialect(prime=2, tools=6, images=media.Tiles(75, 150))

# The first that matches the name. Sources: OpenAI, "Images and vision" for images; recorded
# `prompt_tokens` for the rest.
_DIALECTS: tuple[tuple[str, Dialect], ...] = (
    (r"gpt-3\.5-turbo-0301", Dialect(frame=4)),
    (r"gpt-4(-0314|-0613|-32k.*)?$", Dialect(call=10)),
    (r"gpt-4o-mini", Dialect(images=media.Tiles(2833, 5667))),
    (r"gpt-4\.1-mini", Dialect(images=media.Patches(1.62))),
    (r"gpt-4\.1-nano", Dialect(images=media.Patches(2.46))),
    (r"gpt-5(\.\d+)?-chat|gpt-5-image", Dialect(images=media.Tiles(70, 140))),
    (r"gpt-5-mini", _HARMONY._replace(images=media.Patches(1.2))),
    (r"gpt-5-nano", _HARMONY._replace(images=media.Patches(1.5))),
    (r"gpt-5(\.[123])?(-|$)|codex", _HARMONY._replace(images=media.Tiles(70, 140))),
    (r"gpt-5|gpt-6", _HARMONY._replace(images=media.Patches(1.2, 2500))),
    (r"o1-(mini|preview)", Dialect(frame=8, prime=0)),
    (r"o4-mini", _O_SERIES._replace(images=media.Patches(1.72))),
    (r"o\d", _O_SERIES),
)


def dialect_of(name: str) -> Dialect:
    """The dialect of a model of OpenAI's, by its bare name."""
    bare = name.removeprefix("ft:")
    return next((each for names, each in _DIALECTS if re.match(names, bare)), Dialect())


class OpenAICounter:
    """Counts for one model of OpenAI's.

    Args:
        known: Whether the encoding is the model's own, and not just the likeliest.
        direct: Whether OpenAI's chat endpoint is asked; OpenRouter asks another one.
    """

    def __init__(self, encoder: Encoder, dialect: Dialect, *, known: bool, direct: bool) -> None:
        self.encoder = encoder
        self.dialect = dialect
        self._known = known
        self._direct = direct
        self._messages = Memory[tuple[float, float, bool]]()
        self._declared = Memory[tuple[int, bool]]()

    @property
    def exact(self) -> bool:
        return self._known and self.encoder.exact

    def text(self, text: str) -> int:
        return self.encoder.count(text)

    def estimate(self, messages: Sequence[Mapping[str, Any]], params: Mapping[str, Any]) -> Tally:
        exact = self.exact
        memory = self._messages if self.encoder.exact else None
        total = tally_messages(messages, memory, self.message)
        total.tokens += self.dialect.prime
        total.exact = total.exact and exact
        self._extras(total, messages, params)
        return total

    def message(self, message: Mapping[str, Any]) -> Tally:
        role = str(message.get("role") or "")
        frame = self.dialect.frame + self.encoder.count(role)
        name = message.get("name")
        if isinstance(name, str) and name and role not in ("tool", "function"):
            frame += 1 + self.encoder.count(name)
        tally = Tally(0)
        calls = []
        framed = False
        for part in parts_of(message):
            if isinstance(part, Call):
                calls.append(part)
                continue
            framed = framed or not isinstance(part, Result)
            self._part(part, tally)
        if framed or not calls:
            # A result's frame is counted with its call, which alone knows the tool's name.
            tally.tokens += 0 if role in ("tool", "function") else frame
            tally.tokens += self.dialect.channel if role == "assistant" else 0
        if calls:
            self._calls(calls, tally)
        return tally

    def _part(self, part: Part, tally: Tally) -> None:
        match part:
            case Text(text) | Document(text):
                tally.tokens += self.encoder.count(text)
            case Result(parts):
                tally.guess(0, slack=4)
                for each in parts:
                    self._part(each, tally)
            case Image(source, detail):
                tally.media(media.image(self.dialect.images, source, detail))
            case Sound(data, form):
                tally.media(media.sound(data, form))
            case File(source):
                tally.media(media.document(source, _PAGE))
            case _:
                pass  # another provider's thinking is not sent

    def _calls(self, calls: list[Call], tally: Tally) -> None:
        """Tool calls, with the frames of their results. Several are wrapped into one."""
        count = self.encoder.count
        if len(calls) == 1:
            call = calls[0]
            tally.guess(self.dialect.call + 2 * count(call.name) + count(call.arguments), slack=6)
            return
        uses = ",".join(
            f'{{"recipient_name":"functions.{call.name}","parameters":{call.arguments or "{}"}}}'
            for call in calls
        )
        tokens = 9 + count(f'{{"tool_uses":[{uses}]}}') + 7 * len(calls)
        tally.guess(tokens, slack=6 * len(calls))

    def _extras(
        self, total: Tally, messages: Sequence[Mapping[str, Any]], params: Mapping[str, Any]
    ) -> None:
        """Tools, their choice, and the schema of the answer: what stands before the messages."""
        schema, flat_schema = _schema_of(params)
        declared, flat = self._tools(params)
        if not declared and schema is None:
            return
        system = any(message.get("role") in ("system", "developer") for message in messages)
        reasoning = self.dialect.prime == 2
        if declared:
            frame = self.dialect.tools
            if reasoning and self._direct and not flat:
                # The chat endpoint tells these models more about tools than the others do.
                frame = 90
            elif flat and not reasoning:
                frame -= 6
            elif system and not reasoning:
                frame -= 4
            total.guess(frame + declared, slack=6 + declared // 12)
            if not reasoning:
                choice = params.get("tool_choice") or params.get("function_call")
                total.guess(self._choice(choice), slack=4)
        if schema is not None:
            tokens = self.encoder.count(answer_schema(schema))
            # Alone it opens a message of its own; behind tools or a system prompt it continues one.
            frame = 5 if declared else 8 if system or reasoning else 12
            if flat_schema and not declared and not (system and not reasoning):
                frame = 4 if reasoning else 5
            total.guess(frame + tokens, slack=4 + tokens // 8)

    def _tools(self, params: Mapping[str, Any]) -> tuple[int, bool]:
        """The tokens of all declared tools, and whether they have the form of the Responses."""
        given = params.get("tools") or params.get("functions")
        if not given:
            return 0, False
        key = key_of(given)
        found = self._declared.get(key)
        if found is None:
            tools = tools_of(params)
            text = functions([tool._asdict() for tool in tools]) if tools else ""
            found = self.encoder.count(text), any(tool.flat for tool in tools)
            if self.encoder.exact:
                self._declared.put(key, found, len(key))
        return found

    def _choice(self, choice: Any) -> int:
        """The tokens that name the one tool to call."""
        if not isinstance(choice, dict):
            return 0
        inner = choice.get("function")
        name = (inner if isinstance(inner, dict) else choice).get("name")
        return 7 + self.encoder.count(name) if isinstance(name, str) else 0


def _schema_of(params: Mapping[str, Any]) -> tuple[dict[str, Any] | None, bool]:
    """The `json_schema` of `response_format`, and whether it has the form of the Responses."""
    given = params.get("response_format")
    if not isinstance(given, dict) or given.get("type") != "json_schema":
        return None, False
    inner = given.get("json_schema")
    return (inner, False) if isinstance(inner, dict) else (given, True)
