"""A history of OpenAI-style messages as Anthropic's: a system prompt, and turns that alternate.

- System and developer messages, wherever they stand, become the system prompt, in order. If there
  is nothing else, they are what the user says.
- Neighbours of the same role become one turn. A user's turn begins with its tool results.
- An assistant message that holds Anthropic's own blocks (`provider_content`) is sent as those very
  blocks, as long as its text and tool calls are still what the blocks say. If they were changed,
  the change counts; the thinking that led the turn stays, because it is still valid.
- What only another provider can read is left out: reasoning as text, OpenRouter's
  `reasoning_details`, `annotations`, audio ids, participants' names.
- What Anthropic refuses is mended where nothing is lost by it: blank texts, tool ids with other
  characters than letters, digits, `_` and `-`, ids used twice, a turn that ends in thinking, blanks
  at the end of a prefill.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from scallion.types import text_of

from ._anthropic_content import Block, blocks_of, text_block
from ._anthropic_response import FORMAT, sound
from ._tool_calls import arguments_object, hashed_id

if TYPE_CHECKING:
    from collections.abc import Iterable

_VALID_ID = re.compile(r"[a-zA-Z0-9_-]+")
_THINKING = ("thinking", "redacted_thinking")
_LEADING = (*_THINKING, "compaction")


def convert_messages(messages: Iterable[dict[str, Any]]) -> tuple[list[Block], list[Block]]:
    """The blocks of the system prompt, and the turns.

    Raises:
        ValueError: a message that cannot be sent; the text says which, why, and what to do.
    """
    history = _History()
    for position, message in enumerate(messages):
        try:
            history.add(message)
        except ValueError as error:
            raise ValueError(f"messages[{position}]: {error}") from error
    return history.finish()


def lacks_thinking(turns: list[Block]) -> bool:
    """Whether the tool loop that the turns end in began without thinking.

    Anthropic refuses to think on from there if the thinking is of a fixed budget: "a final
    assistant message must start with a thinking block". Such a history comes from another
    provider, or from calls made without thinking.
    """
    first = None
    for turn in reversed(turns):
        if turn["role"] == "assistant":
            first = turn
        elif turn["content"][0].get("type") != "tool_result":
            break
    return (
        first is not None
        and turns[-1]["role"] == "user"
        and first["content"][0].get("type") not in _THINKING
    )


class _History:
    """The conversion of one history, message by message."""

    def __init__(self) -> None:
        self._system: list[Block] = []
        self._turns: list[Block] = []
        self._ids = _ToolIds()
        self._unsaid: int | None = None  # the user's message that came last, if it was empty
        self._seen = 0

    def add(self, message: dict[str, Any]) -> None:
        if not isinstance(message, dict):
            raise ValueError(f"a message must be an object, not {type(message).__name__}")
        self._seen += 1
        role = message.get("role")
        if role == "assistant":
            if self._turns and self._turns[-1]["role"] == "user":
                self._ids.begin_turn()
            self._say("assistant", self._assistant(message))
            self._unsaid = None
            return
        blocks: list[Block]
        if role in ("tool", "function"):
            blocks = [self._result(message)]
        elif role in ("user", "system", "developer"):
            blocks = [self._answering(block) for block in blocks_of(message.get("content"))]
            _mark(blocks, message.get("cache_control"))
        else:
            raise ValueError(
                f"the role is {role!r}; it must be system, developer, user, assistant or tool"
            )
        if role in ("system", "developer"):
            if any(block.get("type") != "text" for block in blocks):
                raise ValueError("a system message takes text only; send the rest as the user")
            self._system += blocks
            return
        self._unsaid = None if blocks else self._seen - 1
        self._say("user", blocks)

    def finish(self) -> tuple[list[Block], list[Block]]:
        if self._unsaid is not None:
            raise ValueError(
                f"messages[{self._unsaid}]: the message to answer is empty, which Anthropic refuses"
            )
        turns, self._turns = self._turns, []
        for turn in turns:
            blocks = turn["content"]
            while turn["role"] == "assistant" and blocks and blocks[-1].get("type") in _THINKING:
                blocks = blocks[:-1]
            self._say(turn["role"], blocks)
        turns = self._turns
        for turn in turns:  # only now: two turns become one where that between them had nothing
            if turn["role"] == "user":
                turn["content"] = _results_first(turn["content"])
        if turns and turns[-1]["role"] == "assistant":
            _trim(turns)
        if turns:
            return self._system, turns
        if self._system:
            return [], [{"role": "user", "content": self._system}]
        raise ValueError("messages: there is nothing to send; Anthropic needs a user's message")

    def _say(self, role: str, blocks: list[Block]) -> None:
        if not blocks:
            return
        if self._turns and self._turns[-1]["role"] == role:
            self._turns[-1]["content"] += blocks
        else:
            self._turns.append({"role": role, "content": blocks})

    def _assistant(self, message: dict[str, Any]) -> list[Block]:
        content = message.get("content")
        own = _own_blocks(message)
        if own is not None and _unchanged(message, own):
            blocks = [self._ids.renamed(block) for block in own if not _is_blank(block)]
            if isinstance(content, list):
                for part in content:
                    _mark(blocks, part.get("cache_control") if isinstance(part, dict) else None)
        else:
            blocks = _leading_thought(own or message.get("thinking_blocks"))
            blocks += blocks_of(content, keep_citations=True)
            refusal = message.get("refusal")
            if not blocks and isinstance(refusal, str) and refusal.strip():
                blocks.append(text_block(refusal))
            there = {block.get("id") for block in blocks if block.get("type") == "tool_use"}
            blocks = [self._ids.renamed(block) for block in blocks]
            blocks += self._calls(message, there)
        _mark(blocks, message.get("cache_control"))
        return blocks

    def _calls(self, message: dict[str, Any], there: set[Any]) -> list[Block]:
        uses = []
        for call in _tool_calls(message):
            if call.get("id") in there:
                continue  # some histories say it twice: as a block, and as a tool call
            name, arguments = _name_and_arguments(call)
            uses.append(_tool_use(self._ids.call(str(call.get("id") or "")), name, arguments))
        function = message.get("function_call")
        if isinstance(function, dict):
            name = str(function.get("name") or "")
            used = self._ids.call(_function_id(name))
            uses.append(_tool_use(used, name, arguments_object(function.get("arguments"))))
        return uses

    def _result(self, message: dict[str, Any]) -> Block:
        original = (
            str(message.get("tool_call_id") or "")
            if message["role"] == "tool"
            else _function_id(str(message.get("name") or ""))
        )
        block: Block = {"type": "tool_result", "tool_use_id": self._ids.result(original)}
        content = message.get("content")
        cache_control = message.get("cache_control")
        if isinstance(content, str):
            if content.strip():
                block["content"] = content
        elif parts := blocks_of(content):
            # A marker inside a result is not one of Anthropic's breakpoints; on the result it is.
            for part in parts:
                cache_control = part.get("cache_control") or cache_control
            block["content"] = [_without(part, "cache_control") for part in parts]
        if message.get("is_error"):
            block["is_error"] = True
        if cache_control:
            block["cache_control"] = cache_control
        return block

    def _answering(self, block: Block) -> Block:
        """A block with the id under which the call that it answers is sent."""
        original = block.get("tool_use_id")
        if block.get("type") != "tool_result" or not isinstance(original, str):
            return block
        return {**block, "tool_use_id": self._ids.result(original)}


class _ToolIds:
    """Ids as Anthropic takes them: of its characters, and each used once in the whole history.

    Some servers give every call of every turn the same id, or none at all, so an id is what it
    meant last, and equal ids of one turn are answered in order.
    """

    def __init__(self) -> None:
        self._used: set[str] = set()
        self._waiting: dict[str, list[str]] = {}

    def begin_turn(self) -> None:
        self._waiting.clear()

    def renamed(self, block: Block) -> Block:
        """A block, with such an id if it is a call."""
        original = block.get("id")
        if block.get("type") != "tool_use" or not isinstance(original, str):
            return block
        sent = self.call(original)
        return block if sent == original else {**block, "id": sent}

    def call(self, original: str) -> str:
        sent = original if _VALID_ID.fullmatch(original) else hashed_id(original)
        number = 1
        while sent in self._used:
            number += 1
            sent = hashed_id(f"{original} {number}")
        self._used.add(sent)
        self._waiting.setdefault(original, []).append(sent)
        return sent

    def result(self, original: str) -> str:
        waiting = self._waiting.get(original)
        if waiting:
            return waiting.pop(0)
        return original if _VALID_ID.fullmatch(original) else hashed_id(original)


def _own_blocks(message: dict[str, Any]) -> list[Block] | None:
    kept = message.get("provider_content")
    if not isinstance(kept, dict) or kept.get("format") != FORMAT:
        return None
    content = kept.get("content")
    if not isinstance(content, list):
        return None
    # What somebody else wrote into it is not what Anthropic said.
    return content if all(isinstance(b, dict) and sound(b) is b for b in content) else None


def _unchanged(message: dict[str, Any], own: list[Block]) -> bool:
    """Whether the message still says what Anthropic's blocks say."""
    texts = [block.get("text") or "" for block in own if block.get("type") == "text"]
    if "".join(texts) != text_of(message.get("content")):
        return False
    uses = [block for block in own if block.get("type") == "tool_use"]
    calls = _tool_calls(message)
    return len(uses) == len(calls) and all(
        use.get("id") == call.get("id")
        and (use.get("name") or "", use.get("input") or {}) == _name_and_arguments(call)
        for use, call in zip(uses, calls, strict=True)
    )


def _leading_thought(own: object) -> list[Block]:
    """The thinking that a turn begins with: signed for itself, so it outlives what follows it."""
    blocks: list[Block] = []
    for block in own if isinstance(own, list) else ():
        if not isinstance(block, dict) or block.get("type") not in _LEADING:
            break
        blocks.append(block)
    return blocks


def _tool_calls(message: dict[str, Any]) -> list[dict[str, Any]]:
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise ValueError("tool_calls must be a list of objects")
    return calls


def _name_and_arguments(call: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    custom, function = call.get("custom"), call.get("function") or {}
    if isinstance(custom, dict):  # OpenAI's free-form tools: the input is a text, not an object
        return custom.get("name") or "", {"input": custom.get("input") or ""}
    if not isinstance(function, dict):
        raise ValueError(f"the function of a tool call must be an object, not {function!r}")
    return function.get("name") or "", arguments_object(function.get("arguments"))


def _tool_use(used: str, name: str, arguments: dict[str, Any]) -> Block:
    return {"type": "tool_use", "id": used, "name": name, "input": arguments}


def _function_id(name: str) -> str:
    return f"function_call {name}"  # never valid, so always hashed: it meets no id of a tool


def _results_first(blocks: list[Block]) -> list[Block]:
    results = [block for block in blocks if block.get("type") == "tool_result"]
    if not results:
        return blocks
    return results + [block for block in blocks if block.get("type") != "tool_result"]


def _is_blank(block: Block) -> bool:
    return block.get("type") == "text" and not (block.get("text") or "").strip()


def _mark(blocks: list[Block], cache_control: object) -> None:
    """Put a message's cache marker on the last of its blocks that can carry one."""
    if not cache_control:
        return
    for place in range(len(blocks) - 1, -1, -1):
        if blocks[place].get("type") not in _THINKING:
            blocks[place] = {**blocks[place], "cache_control": cache_control}
            return


def _without(block: Block, name: str) -> Block:
    return {key: value for key, value in block.items() if key != name}


def _trim(turns: list[Block]) -> None:
    """Take the blanks off the end of a prefill."""
    blocks = turns[-1]["content"]
    last = blocks[-1]
    if last.get("type") == "text" and last["text"] != last["text"].rstrip():
        turns[-1]["content"] = [*blocks[:-1], {**last, "text": last["text"].rstrip()}]
