"""A provider with a bad half hour: a server whose answers depend on the minute, and its own books.

Every request bears a tag in its body (`attempt`); the books say for each what was sent for it: the usage, and
whether the answer was whole. A tenth of a second of real time is a while here: see `FastClock`.
"""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from scallion._clock import Clock
from support.upstream import (
    CLOSE,
    CUT,
    DISCONNECT,
    HANG,
    PAUSE,
    RESET,
    SILENCE,
    Reply,
    completion,
    completion_stream,
    error,
    html,
    message,
    message_stream,
    sse,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.upstream import Received


class FastClock(Clock):
    """Time that passes `factor` times as fast as it does."""

    def __init__(self, factor: float) -> None:
        self.factor = factor
        real = Clock.now
        self._began = began = real()
        self.now = lambda: began + (real() - began) * factor  # type: ignore[method-assign]

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.factor)

    def call_at(self, when: float, callback: Callable[[], object]) -> Any:
        delay = (when - self.now()) / self.factor
        return asyncio.get_running_loop().call_later(delay, callback)


@dataclass(frozen=True)
class Told:
    """What was said to one request."""

    usage: tuple[int, int]
    whole: bool
    how: str


class _Moment:
    """An event that happens by itself, a little later."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def wait(self) -> None:
        await asyncio.sleep(self._seconds)


def moment(seconds: float) -> PAUSE:
    return PAUSE(_Moment(seconds))  # type: ignore[arg-type]


WEATHERS: dict[str, dict[str, int]] = {
    "calm": {"good": 95, "tools": 5},
    "storm": {"good": 30, "429": 60, "529": 10},
    "brown-out": {"good": 30, "slow": 30, "500": 20, "503": 10, "silence": 10},
    "cuts": {"good": 40, "cut": 20, "closed": 15, "truncated": 10, "disconnect": 10, "reset": 5},
    "stalls": {"good": 50, "stall": 20, "loris": 20, "silence": 10},
    "nonsense": {"good": 40, "html": 15, "malformed": 15, "in-band": 15, "empty": 10, "400": 5},
    "floods": {"good": 60, "huge": 20, "huge error": 10, "many": 10},
}
BIG = "x" * 500_000


class Weather:
    """Answers requests of all three APIs, and keeps the books."""

    def __init__(self, seed: int, minute: Callable[[], float]) -> None:
        self.books: dict[str, list[Told]] = {}
        self.kinds: dict[str, int] = {}
        self._random = random.Random(seed)
        self._minute = minute

    def __call__(self, request: Received) -> Reply:
        draw = self._random
        names = list(WEATHERS)
        weather = WEATHERS[names[int(self._minute() * len(names) / 15) % len(names)]]
        how = draw.choices(list(weather), list(weather.values()))[0]
        usage = (draw.randrange(1, 5_000), draw.randrange(1, 900))
        style = request.path.split("/")[1]
        said = json.loads(request.body)
        streams = bool(said.get("stream"))
        reply = (_streamed if streams else _whole)(how, style, usage, draw)
        self.kinds[how] = self.kinds.get(how, 0) + 1
        whole = how in ("good", "tools", "slow", "huge", "many", "loris")
        tag = said["attempt"]
        self.books.setdefault(tag, []).append(Told(usage, whole, how))
        named = {"x-request-id": tag, "request-id": tag}
        return replace(reply, headers={**dict(reply.headers), **named}) if reply.headers else reply


def _failure(how: str, style: str, draw: random.Random) -> Reply | None:
    if how == "429":
        headers = {"retry-after": draw.choice(["0", "1", "2", "90"])}
        return error(429, style=style, headers=headers)  # type: ignore[arg-type]
    if how.isdecimal():
        return error(int(how), style=style)  # type: ignore[arg-type]
    if how == "huge error":
        return html(502, f"<html>{BIG}</html>")
    if how == "html":
        return html(200)
    return {"silence": SILENCE, "disconnect": DISCONNECT, "reset": RESET}.get(how)


def _whole(how: str, style: str, usage: tuple[int, int], draw: random.Random) -> Reply:
    if failure := _failure(how, style, draw):
        return failure
    say = message if style == "anthropic" else completion
    text = BIG if how in ("huge", "many") else "Well, that depends."
    reply = say(text, usage=usage)
    body = reply.body
    if how in ("slow", "loris"):
        at = len(body) // 3
        return replace(
            reply, chunks=[body[:at], moment(0.02), body[at:-3], moment(0.02), body[-3:]]
        )
    if how == "stall":
        return replace(reply, chunks=[body[:40], HANG], length=len(body))
    if how in ("cut", "closed"):
        return replace(reply, chunks=[body[:40], CUT if how == "cut" else CLOSE], length=len(body))
    if how == "truncated":
        return Reply.whole(body[:40], headers=reply.headers)
    if how == "malformed":
        return Reply.whole(b'{"choices": [{"message": \xff', headers=reply.headers)
    if how == "in-band":
        said = {
            "type": "error",
            "error": {"type": "overloaded_error", "message": "no", "code": 529},
        }
        return Reply.whole(json.dumps(said).encode(), headers=reply.headers)
    if how == "empty":
        return Reply.whole(b"", headers=reply.headers)
    if how == "tools" and style != "anthropic":
        return completion(None, tool_calls=[("call_1", "f", "{}")], usage=usage)
    return reply


def _streamed(how: str, style: str, usage: tuple[int, int], draw: random.Random) -> Reply:
    if failure := _failure(how, style, draw):
        return failure
    anthropic = style == "anthropic"
    say: Any = message_stream if anthropic else completion_stream
    begun = ["Well, ", "that "] if draw.random() < 0.7 else []  # some break before any content
    if how in ("stall", "cut", "closed"):
        ending = {"stall": HANG, "cut": CUT, "closed": CLOSE}[how]
        return say(*begun, ending, usage=usage)
    if how == "truncated":
        return say(*begun, usage=usage, **{"stop_reason" if anthropic else "finish": None})
    if how == "malformed":
        return say(*begun, b"data: {oops\n\n", usage=usage)
    if how == "in-band":
        failed = {"error": {"type": "overloaded_error", "message": "no", "code": 529}}
        return say(*begun, sse({"type": "error", **failed} if anthropic else failed), usage=usage)
    if how == "empty":
        return Reply(headers={"content-type": "text/event-stream"})
    if how == "slow":
        return say("Well, ", moment(0.02), "that ", moment(0.02), "depends.", usage=usage)
    if how == "loris":
        slow = say("Well, ", "that ", "depends.", usage=usage, chunk_bytes=97)
        return replace(
            slow, chunks=[step for piece in slow.chunks for step in (piece, moment(0.002))]
        )
    if how == "huge":
        return say(BIG, usage=usage)
    if how == "many":
        return say(*["word "] * 300, usage=usage, chunk_bytes=4_096)
    if how == "tools" and not anthropic:
        return say(tool_calls=[("call_1", "f", '{"a": "some"}')], usage=usage)
    return say("Well, ", "that ", "depends.", usage=usage)
