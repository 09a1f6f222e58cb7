"""Server-sent events, split as the bytes come in.

Linear in the bytes received, whatever the sizes of the pieces: each byte is looked at once, and an
event that spans many pieces is joined once. Only `data` matters here, and whether the event calls
itself an error; other names both providers repeat inside it.
"""

from __future__ import annotations

_BOM = b"\xef\xbb\xbf"


class EventTooLargeError(ValueError):
    """One event is larger than allowed."""


class ErrorEvent(bytes):
    """The data of an event that is named `error`, which says nothing of its form."""

    __slots__ = ()


class SSEParser:
    """Feed it pieces of a body; get back the `data` of each event that is complete.

    Follows the WHATWG's rules for line ends (LF, CRLF, CR, mixed), comments, and several `data`
    lines in one event.
    """

    __slots__ = ("_carry", "_limit", "_size", "_started", "_tail")

    def __init__(self, max_event_bytes: int) -> None:
        self._limit = max_event_bytes
        self._tail: list[bytes] = []
        self._size = 0
        self._carry = b""
        self._started = False

    def feed(self, piece: bytes) -> list[bytes]:
        """The events that `piece` completes.

        Raises:
            EventTooLargeError: the event that is being received is larger than `max_event_bytes`.
        """
        if self._carry:
            piece = self._carry + piece
            self._carry = b""
        if not self._started and piece:
            if len(piece) < len(_BOM) and _BOM.startswith(piece):
                self._carry = piece
                return []
            piece = piece.removeprefix(_BOM)
            self._started = True
        if b"\r" in piece:
            if piece.endswith(b"\r"):  # perhaps half of a CRLF
                piece, self._carry = piece[:-1], b"\r"
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        blocks = piece.split(b"\n\n")
        rest = blocks.pop()
        if rest.endswith(b"\n"):  # perhaps half of a blank line
            rest, self._carry = rest[:-1], b"\n" + self._carry
        events = []
        if blocks:
            if self._tail:
                self._tail.append(blocks[0])
                blocks[0] = b"".join(self._tail)
                self._tail.clear()
            if len(piece) + self._size > self._limit and max(map(len, blocks)) > self._limit:
                raise self._too_large()
            self._size = 0
            for block in blocks:
                # Nearly every event is this one line.
                if block.startswith(b"data: ") and b"\n" not in block:
                    events.append(block[6:])
                else:
                    events += _data_of(block)
        if rest:
            self._tail.append(rest)
            self._size += len(rest)
            if self._size > self._limit:
                raise self._too_large()
        return events

    def _too_large(self) -> EventTooLargeError:
        return EventTooLargeError(
            f"one event of the stream is larger than {self._limit:,} bytes: "
            "raise max_event_bytes if that is expected"
        )

    def close(self) -> list[bytes]:
        """The last event or events, if the body ended without the blank line behind them."""
        block = b"".join(self._tail)
        self._tail.clear()
        return _data_of(block)


def _data_of(block: bytes) -> list[bytes]:
    """The data of a block: of one event, or of several that have no blank lines between them.

    Some hosts of GLM and Kimi send tool calls so. No JSON goes on with a bracket after a brace.
    """
    events: list[list[bytes]] = []
    closed, failed = True, False
    for line in block.split(b"\n"):
        if line.startswith(b"data:"):
            data = line[5:].removeprefix(b" ")
            if closed and (not events or data.startswith((b"{", b"["))):
                events.append([])
            events[-1].append(data)
            closed = data.endswith(b"}")
        elif line in _ERROR_NAME:
            failed = True
    found = [b"\n".join(lines) for lines in events]
    if failed and found:
        found[-1] = ErrorEvent(found[-1])
    return found


_ERROR_NAME = (b"event: error", b"event:error")
