"""The words of a scripted server: what it is to say, and what it heard."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import asyncio
    import threading
    from typing import Self


class Ending:
    """A step of a script at which the response stops, whatever its framing had promised."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


CUT = Ending("CUT")  # the socket is reset (RST)
CLOSE = Ending("CLOSE")  # the socket is closed in good order (FIN)
HANG = Ending("HANG")  # nothing more is sent until the client goes away


@dataclass(frozen=True)
class PAUSE:
    """A step that waits until the test sets the event, or until the client goes away.

    A `threading.Event` has to be set in the end in any case: a thread waits for it.
    """

    event: asyncio.Event | threading.Event


Step = bytes | PAUSE | Ending


@dataclass(frozen=True)
class Reply:
    """One scripted answer.

    Attributes:
        headers: A mapping, or pairs where a header comes twice.
        chunks: The body, written and flushed piece by piece; steps among them pause or end it.
        framing: `chunked` (each piece is one HTTP chunk), `length` (a content-length and the bare
            pieces), `close` (the end of the connection ends the body), or `raw` (no head at all:
            the pieces are everything that is said).
        length: The content-length to claim, if not the true one.
        wait: Set by the test when the head may be sent.
        keep_alive: False closes the connection after this answer, and says so in a header.
    """

    status: int = 200
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = field(default_factory=dict)
    chunks: Sequence[Step] = ()
    framing: Literal["chunked", "length", "close", "raw"] = "chunked"
    length: int | None = None
    wait: asyncio.Event | threading.Event | None = None
    keep_alive: bool = True

    @classmethod
    def whole(cls, body: bytes, status: int = 200, **fields: Any) -> Self:
        """An answer with `body` in one piece and its content-length."""
        return cls(status=status, chunks=[body], framing="length", **fields)

    @property
    def body(self) -> bytes:
        """The bytes that would be sent if no step ended the response."""
        return b"".join(chunk for chunk in self.chunks if isinstance(chunk, bytes))

    def head(self) -> bytes:
        headers = self.headers.items() if isinstance(self.headers, Mapping) else self.headers
        lines = [f"HTTP/1.1 {self.status} Scripted", *(f"{k}: {v}" for k, v in headers)]
        if self.framing == "chunked":
            lines.append("transfer-encoding: chunked")
        elif self.framing == "length":
            length = len(self.body) if self.length is None else self.length
            lines.append(f"content-length: {length}")
        if self.framing == "close" or not self.keep_alive:
            lines.append("connection: close")
        # Header values in UTF-8: some providers do that, and clients have to bear it.
        return "\r\n".join([*lines, "", ""]).encode()


SILENCE = Reply(chunks=[HANG], framing="raw")  # takes the request and never says a word
DISCONNECT = Reply(chunks=[CLOSE], framing="raw")  # closes the connection instead of an answer
RESET = Reply(chunks=[CUT], framing="raw")  # the same, rudely


class Headers(dict[str, str]):
    """Request headers by lower-case name; look-ups take any case. Repeated ones are joined."""

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)


@dataclass(eq=False)
class Received:
    """A request as it arrived.

    Attributes:
        path: The target without its query.
        connection: Which connection it came on, counted from 0: equal numbers prove reuse.
        abandoned: The client went away before the answer was complete.
    """

    method: str
    target: str
    headers: Headers
    body: bytes
    connection: int
    abandoned: bool = False

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Script = Reply | Callable[[Received], Reply | Awaitable[Reply]]
