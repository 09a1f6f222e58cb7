"""What o200k's tokens weigh for Claude, and what is known of Claude's generations.

Common words weigh one, rare words nearly two, rare names and signs of other scripts more than two:
the fitted numbers are in data/tokens.json.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from scallion._tokens_text import Encoder

_MODEL = re.compile(
    r"claude-(?:(?P<tier>[a-z]+)-)?(?P<major>\d)(?:[-.](?P<minor>\d{1,2})(?!\d))?"
    r"(?:-(?P<after>opus|sonnet|haiku))?"
)


class Coefficients(msgspec.Struct, frozen=True):
    """The fitted numbers; see `data/tokens.json`.

    Attributes:
        common, usual, rare: Words whose rank in o200k is below 20,000, below 80,000, above.
        usual_name, rare_name: The latter two, if they have a capital letter.
        digits, mark, marks, blank, other: Numbers, one mark, several marks, white space, and what
            is not ASCII.
        newer: Factor on all of these for the tokenizer of Opus 4.7 and later.
        system: A system prompt.
        call: A tool call and its result.
        argument: Each argument of a call.
        thinking: Thinking with a budget.
        interleaved: Thinking between tool calls.
        serial: What the prompt about tools is shorter by, of the generations since 4.5, if the
            model may call only one at a time.
        tool: Each tool that is declared.
        schema: Around the schema of an answer.
        tools: The prompt about tools by generation: while the model may choose, and while it must
            use one.
    """

    common: float
    usual: float
    rare: float
    usual_name: float
    rare_name: float
    digits: float
    mark: float
    marks: float
    blank: float
    other: float
    newer: float
    system: float
    call: float
    argument: float
    thinking: float
    interleaved: float
    serial: float
    tool: float
    schema: float
    tools: dict[str, tuple[float, float]]


@cache
def coefficients() -> Coefficients:
    """The ones of the package."""
    path = Path(__file__).with_name("data") / "tokens.json"
    data: dict[str, msgspec.Raw] = msgspec.json.decode(
        path.read_bytes(), type=dict[str, msgspec.Raw]
    )
    return msgspec.json.decode(data["claude"], type=Coefficients)


class Generation(NamedTuple):
    """Models that share a prompt about tools.

    Attributes:
        newer: They have the tokenizer of Opus 4.7 and later.
        interleaves: They can think between tool calls.
    """

    name: str
    newer: bool = False
    interleaves: bool = True


def generation(model: str) -> Generation:
    """The generation of a Claude, by any of its usual names."""
    found = _MODEL.search(model)
    if found is None:
        return Generation("5", newer=True)
    tier = found["after"] or found["tier"] or ""
    version = (int(found["major"]), int(found["minor"] or 0))
    if version >= (5, 0):
        return Generation("5", newer=True)
    if version >= (4, 7):
        return Generation("4.7", newer=True)
    if version >= (4, 5):
        return Generation("4.5")
    if version >= (3, 7) or (version == (3, 5) and tier == "sonnet" and "20240620" not in model):
        return Generation("4", interleaves=version >= (4, 0))
    if tier == "haiku":
        return Generation("haiku-3", interleaves=False)
    return Generation("opus-3" if tier == "opus" else "sonnet-3", interleaves=False)


def kind_of(token: int, spelled: bytes) -> str:
    """The coefficient that a token of o200k counts by. Its number is its rank."""
    bare = spelled.strip()
    if not bare:
        return "blank"
    if not spelled.isascii():
        return "other"
    if bare.isdigit():
        return "digits"
    if not any(chr(byte).isalnum() for byte in bare):
        return "mark" if len(bare) == 1 else "marks"
    if token < 20_000:
        return "common"
    kind = "usual" if token < 80_000 else "rare"
    return kind if bare.islower() else f"{kind}_name"


class Weights(dict[int, float]):
    """What each token of o200k weighs, found out when it is first met."""

    def __init__(self, encoder: Encoder, given: Coefficients) -> None:
        super().__init__()
        self._encoder = encoder
        self._given = given

    def __missing__(self, token: int) -> float:
        weight: float = getattr(self._given, kind_of(token, self._encoder.token(token)))
        self[token] = weight
        return weight
