"""How many tokens a request is for Claude: an estimate, since no tokenizer is published.

A text is cut by o200k, and each of its tokens weighs what tokens of its kind weigh with Claude on
average (see `_tokens_weights`). Around the text stand constants: for turns, for tool calls, and for
the prompt that teaches a generation of models to use tools. All numbers are fitted to recorded
requests by `tests/tools/fit_tokens.py`. For an exact count ask the provider
(`count_tokens_exact`).
"""

from __future__ import annotations

import json
from operator import ne
from typing import TYPE_CHECKING, Any

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
    Thinking,
    parts_of,
    tools_of,
)
from scallion._tokens_tally import Tally, key_of, tally_messages
from scallion._tokens_text import approximate
from scallion._tokens_weights import Coefficients, Weights, coefficients, generation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scallion._tokens_parts import Part, Tool
    from scallion._tokens_text import Encoder

# "PDF support" in Anthropic's documentation: text of 1,500 to 3,000 tokens a page, and an image.
_PAGE = 2_200

_SYSTEM = ("system", "developer")
_LATER_SYSTEM = 4

# The prompt that asks to cite a document, as recorded.
_CITATIONS = 550

# The generations whose prompt about tools speaks of calling several at once.
_ABOUT_SEVERAL = ("4.5", "4.7", "5")


class ClaudeCounter:
    """Counts for one generation of Claude."""

    exact = False

    def __init__(self, encoder: Encoder, model: str, given: Coefficients | None = None) -> None:
        self.encoder = encoder
        self._given = given or coefficients()
        self._generation = generation(model)
        self._thinking = model.endswith(":thinking")  # OpenRouter's name for it
        self._factor = self._given.newer if self._generation.newer else 1.0
        self._weights = Weights(encoder, self._given)
        self._texts = Memory[float]()
        self._messages = Memory[tuple[float, float, bool]]()
        self._declared = Memory[tuple[float, float, int]]()

    def text(self, text: str) -> int:
        return max(1, round(self._text(text))) if text else 0

    def _text(self, text: str) -> float:
        tokens = self._texts.get(text)
        if tokens is None:
            if not self.encoder.exact:
                return approximate(text) * 1.15 * self._factor
            weigh = self._weights.__getitem__
            tokens = self._factor * sum(sum(map(weigh, ids)) for ids in self.encoder.encode(text))
            self._texts.put(text, tokens, len(text))
        return tokens

    def estimate(self, messages: Sequence[Mapping[str, Any]], params: Mapping[str, Any]) -> Tally:
        memory = self._messages if self.encoder.exact else None
        total = tally_messages(messages, memory, self.message)
        total.exact = False
        turns, system, later = _turns(messages)
        if isinstance(params.get("system"), str | list):
            system = True
            total.add(self.message({"content": params["system"]}))
        tokens = 1 + 3 * turns + self._given.system * system + _LATER_SYSTEM * later
        total.guess(tokens, slack=1)
        self._extras(total, messages, params)
        return total

    def message(self, message: Mapping[str, Any]) -> Tally:
        tally = Tally(0, exact=False)
        for part in parts_of(message):
            self._part(part, tally)
        return tally

    def _part(self, part: Part, tally: Tally) -> None:
        match part:
            case Text(text):
                tally.tokens += self._text(text)
            case Call(name, arguments, keys):
                tokens = self._text(name) + self._text(arguments)
                tally.guess(tokens + self._given.call + self._given.argument * keys, slack=12)
            case Result(parts):
                for each in parts:
                    self._part(each, tally)
            case Image(source, _):
                tally.media(media.claude_image(source, newer=self._generation.newer))
            case Document(source, cited):
                tally.tokens += self._text(source) + media.FILE + cited * _CITATIONS
                tally.slack += media.FILE + cited * 100
            case File(source):
                tally.media(media.document(source, _PAGE))
            case Thinking() | Sound():
                pass  # thinking counts only in the turn it belongs to; see `_thinking`

    def _extras(
        self, total: Tally, messages: Sequence[Mapping[str, Any]], params: Mapping[str, Any]
    ) -> None:
        given = self._given
        budgeted = self._thinking or _budgeted(params)
        if budgeted:
            total.guess(given.thinking, slack=3)
        elif _adaptive(params):
            total.guess(2, slack=16)  # adaptive thinking: nothing or a few, once sixteen
        total.guess(sum(map(self._text, _thinking(messages))), slack=0)
        declared, slack, number = self._tools(params)
        if number:
            forced, named = _choice(params)
            prompt = given.tools[self._generation.name][forced]
            # What no recording tells of the newest models is assumed to be what is known of others.
            unknown = self._generation.name == "5"
            total.guess(prompt, slack=300 if unknown else 20 + prompt // 25)
            if not forced and _serial(params) and self._generation.name in _ABOUT_SEVERAL:
                total.guess(
                    -given.serial, slack=0 if self._generation.name == "4.5" else given.serial
                )
            total.guess(declared + self._text(named), slack)
            interleaves = budgeted and self._generation.interleaves
            if interleaves and _interleaved(params):
                total.guess(given.interleaved, slack=10)
            elif interleaves:
                total.slack += given.interleaved  # the client may send that header by itself
        if (schema := _schema(params)) is not None:
            # Counts closest as JSON over many lines.
            tokens = self._text(json.dumps(schema, indent=2, ensure_ascii=False, default=str))
            total.guess(given.schema + tokens, slack=20 + tokens // 8)

    def _tools(self, params: Mapping[str, Any]) -> tuple[float, float, int]:
        """The tokens of all declared tools, how many more there could be, and how many tools."""
        if not params.get("tools") and not params.get("functions"):
            return 0, 0, 0
        key = key_of((params.get("tools"), params.get("functions")))
        found = self._declared.get(key)
        if found is None:
            tools = tools_of(params)
            found = (
                sum(self._given.tool + self._text(declared(tool)) for tool in tools),
                4 * len(tools),
                len(tools),
            )
            if self.encoder.exact:
                self._declared.put(key, found, len(key))
        return found


def _turns(messages: Sequence[Mapping[str, Any]]) -> tuple[int, bool, int]:
    """How many turns there are, whether there is a system prompt, and later system messages."""
    # Written for speed, like `tally_messages`.
    roles = [message.get("role") for message in messages]
    # The first ones become the system prompt, a later one a turn of its own.
    first = next((at for at, role in enumerate(roles) if role not in _SYSTEM), len(roles))
    rest = roles[first:]
    later = 0
    if not set(rest).isdisjoint(_SYSTEM):
        later = sum(role in _SYSTEM for role in rest)
        rest = [role for role in rest if role not in _SYSTEM]
    # Messages of one speaker are one turn, and the model's own is there even if it is empty.
    speakers = [role == "assistant" for role in rest]
    turns = sum(map(ne, speakers, speakers[1:])) + bool(speakers)
    turns += not speakers or not speakers[-1]
    return turns, bool(first or later), later


def declared(tool: Tool) -> str:
    """A tool as JSON with blanks, which counts closest to what is recorded."""
    given = {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
    kept = {key: value for key, value in given.items() if value is not None}
    return json.dumps(kept, ensure_ascii=False, default=str)


def _budgeted(params: Mapping[str, Any]) -> bool:
    """Whether thinking is switched on with a budget (by Anthropic's name or OpenRouter's)."""
    thinking = params.get("thinking")
    if isinstance(thinking, dict):
        return thinking.get("type") == "enabled"
    return bool(params.get("reasoning") or params.get("reasoning_effort") not in (None, "none"))


def _adaptive(params: Mapping[str, Any]) -> bool:
    thinking = params.get("thinking")
    return isinstance(thinking, dict) and thinking.get("type") == "adaptive"


def _serial(params: Mapping[str, Any]) -> bool:
    """Whether only one tool may be called at a time (by OpenAI's name or Anthropic's)."""
    choice = params.get("tool_choice")
    one = isinstance(choice, dict) and choice.get("disable_parallel_tool_use") is True
    return one or params.get("parallel_tool_calls") is False


def _interleaved(params: Mapping[str, Any]) -> bool:
    headers = params.get("extra_headers")
    named = str(params.get("betas") or "")
    if isinstance(headers, dict):
        named += str({key.lower(): value for key, value in headers.items()}.get("anthropic-beta"))
    return "interleaved-thinking" in named


def _choice(params: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether a tool must be used, and the name of the one that must."""
    choice = params.get("tool_choice")
    if isinstance(choice, str):
        return choice in ("required", "any"), ""
    if not isinstance(choice, dict):
        return False, ""
    inner = choice.get("function")
    name = (inner if isinstance(inner, dict) else choice).get("name")
    forced = choice.get("type") in ("any", "tool", "function", "required")
    return forced, name if isinstance(name, str) else ""


def _schema(params: Mapping[str, Any]) -> Any:
    """The schema of a structured answer, in OpenAI's or Anthropic's form."""
    given = params.get("response_format") or params.get("output_format")
    if given is None and isinstance(params.get("output_config"), dict):
        given = params["output_config"].get("format")
    if not isinstance(given, dict) or given.get("type") not in ("json_schema", None):
        return None
    inner = given.get("json_schema")
    return (inner if isinstance(inner, dict) else given).get("schema")


def _thinking(messages: Sequence[Mapping[str, Any]]) -> list[str]:
    """The thinking that counts when sent back: what led to the tool calls of the unfinished turn."""
    found = []
    for message in reversed(messages):
        blocks = _blocks(message.get("content"))
        if message.get("role") == "assistant":
            own = message.get("provider_content")
            blocks += _blocks(own.get("content") if isinstance(own, dict) else None)
            thoughts = (block.get("thinking") for block in blocks)
            found += [thought for thought in thoughts if isinstance(thought, str)]
        elif message.get("role") != "tool" and not any(
            block.get("type") == "tool_result" for block in blocks
        ):
            break
    return found


def _blocks(content: Any) -> list[dict[str, Any]]:
    given = content if isinstance(content, list) else []
    return [block for block in given if isinstance(block, dict)]
