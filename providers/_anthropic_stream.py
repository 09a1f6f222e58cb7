"""Anthropic's stream as OpenAI's: the events of the Messages API to `StreamChunk`s.

| event | chunks |
|---|---|
| `message_start` | one with the role; a second one marks it `restarted` |
| `content_block_start` | of a client's tool: one with the call's id and name |
| `content_block_delta` | text: `content`; thinking: `reasoning`; a tool's input: `arguments` |
| `content_block_stop` | of a text with citations: one with `annotations` |
| `message_delta` | one with `finish_reason`, `usage` and, if it is needed, `provider_content` |
| `message_stop` | the same, if `message_start` brought the whole message |
| anything else | none |

Blocks are collected on the way, because only the end shows whether OpenAI's fields said it all.
Accumulating the chunks gives what `from_anthropic` makes of the same message sent whole.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from scallion.types import ChunkChoice, Delta, FunctionCall, StreamChunk, ToolCall, Usage

from ._anthropic_response import (
    InBandError,
    annotations_of,
    citations_in,
    extra_of,
    finish_reason,
    is_error,
    provider_content_of,
    sound,
    text_in,
    usage_of,
)
from ._bodies import as_told, decoded
from ._sse import ErrorEvent
from ._tool_calls import arguments_object, arguments_text

_OBJECT = "chat.completion.chunk"


class _HotDelta(Struct, gc=False):
    type: str
    text: str | None = None


class _HotEvent(Struct, gc=False):
    """What a text delta has; other events decode into it too, and are then read in full."""

    type: str
    index: int = 0
    delta: _HotDelta | None = None


_decode_hot = msgspec.json.Decoder(_HotEvent).decode


class AnthropicEvents:
    """The state of one stream. Feed it the data of each event, in order.

    Attributes:
        id: The message's id, once `message_start` brought it.
        model: The model that answers.
        stopped: Whether `message_stop` came, after which there is nothing more to expect.
    """

    def __init__(self) -> None:
        self.id: str | None = None
        self.model: str | None = None
        self.stopped = False
        self._blocks: dict[int, dict[str, Any]] = {}
        self._pieces: dict[int, list[str]] = {}  # texts of the open blocks
        self._calls: dict[int, int] = {}  # place among the tool calls, by place among the blocks
        self._length = 0  # characters of content in the closed blocks
        self._counts: dict[str, Any] = {}
        self._extra: dict[str, Any] = {}
        self._reason: str | None = None
        self._finished = False

    @property
    def usage(self) -> Usage | None:
        """The counts so far. Those of the input are final from the first event on."""
        return usage_of(self._counts)

    def feed(self, data: bytes) -> list[StreamChunk]:
        """The chunks that one event's data make.

        Raises:
            InBandError: the event is an error.
            ValueError: not JSON, not an event, or an event out of order. (A closing `[DONE]`,
                which some gateways add, and an event with nothing in it are ignored.)
        """
        try:
            event = _decode_hot(data)
        except ValueError:
            return self._feed_any(data)
        delta = event.delta
        if delta is not None and delta.text is not None and delta.type == "text_delta":
            pieces = self._pieces.get(event.index)
            if pieces is not None:
                pieces.append(delta.text)
                return [
                    StreamChunk(
                        id=self.id,
                        object=_OBJECT,
                        model=self.model,
                        choices=[ChunkChoice(delta=Delta(content=delta.text))],
                        body=data,
                    )
                ]
        return self._feed_any(data)

    def _feed_any(self, data: bytes) -> list[StreamChunk]:
        if isinstance(data, ErrorEvent):
            raise InBandError(as_told(data))
        if data.strip() in (b"[DONE]", b""):
            return []
        data, event = decoded(data)
        if not isinstance(event, dict):
            raise ValueError(f"expected an event object, got {type(event).__name__}")
        kind = event.get("type")
        if is_error(event):
            raise InBandError(event)
        if kind == "message_start":
            chunks = self._start(_object(event, "message"))
        elif kind == "content_block_start":
            chunks = self._open(self._place(event), _object(event, "content_block"))
        elif kind == "content_block_delta":
            chunks = self._grow(self._place(event), _object(event, "delta"))
        elif kind == "content_block_stop":
            chunks = self._close(self._place(event))
        elif kind == "message_delta":
            chunks = self._end(event)
        elif kind == "message_stop":
            chunks = self._stop()
        else:
            return []
        for chunk in chunks:
            chunk.body = data
        return chunks

    @staticmethod
    def _place(event: dict[str, Any]) -> int:
        index = event.get("index", 0)
        if not isinstance(index, int):
            raise ValueError(f"a block's index is {index!r}, not a number")
        return index

    def _chunk(self, delta: Delta) -> StreamChunk:
        return StreamChunk(
            id=self.id, object=_OBJECT, model=self.model, choices=[ChunkChoice(delta=delta)]
        )

    def _start(self, message: dict[str, Any]) -> list[StreamChunk]:
        # A gateway that tried again midway: what it sent before belongs to another message.
        again = bool(self._blocks)
        if again:
            self.__init__()  # type: ignore[misc]
        self.id = text_in(message, "id")
        self.model = text_in(message, "model")
        self._note_usage(message)
        self._extra |= extra_of(message)
        chunks = [self._chunk(Delta(role="assistant"))]
        chunks[0].restarted = again
        chunks[0].usage = self.usage  # what the prompt cost is known, whatever comes of the rest
        # A turn that only goes on with a server's tool comes whole, in this one event.
        self._reason = text_in(message, "stop_reason")
        content = message.get("content")
        for place, block in enumerate(content if isinstance(content, list) else ()):
            if not isinstance(block, dict):
                continue
            chunks += [*self._open(place, block), *self._close(place)]
        return chunks

    def _open(self, place: int, block: dict[str, Any]) -> list[StreamChunk]:
        block = sound(dict(block))  # it grows here, and is the caller's
        self._blocks[place] = block
        self._pieces[place] = []
        kind = block.get("type")
        if kind == "text":
            return self._grow(place, {"type": "text_delta", "text": block.get("text")})
        if kind == "thinking":
            return self._grow(place, {"type": "thinking_delta", "thinking": block.get("thinking")})
        if kind == "tool_use":
            index = self._calls.setdefault(place, len(self._calls))
            function = FunctionCall(name=block.get("name"), arguments="")
            call = ToolCall(index=index, id=block.get("id"), type="function", function=function)
            return [self._chunk(Delta(tool_calls=[call]))]
        if kind == "fallback" and isinstance(block.get("to"), dict):
            self.model = text_in(block["to"], "model") or self.model
        return []

    def _grow(self, place: int, delta: dict[str, Any]) -> list[StreamChunk]:
        kind = delta.get("type")
        block = self._blocks.get(place)
        if block is None or place not in self._pieces:
            raise ValueError(f"a {kind} for block {place}, which is not open")
        if kind == "text_delta":
            text = text_in(delta, "text")
            return self._add(place, text, Delta(content=text))
        if kind == "thinking_delta":
            text = text_in(delta, "thinking")
            return self._add(place, text, Delta(reasoning=text))
        if kind == "input_json_delta":
            return self._arguments(place, text_in(delta, "partial_json"))
        if kind == "citations_delta":
            block["citations"] = [*citations_in(block), delta.get("citation")]
            return []
        for name, value in delta.items():  # signature_delta, compaction_delta, and what comes next
            if name != "type":
                block[name] = value
        return []

    def _add(self, place: int, text: str | None, delta: Delta) -> list[StreamChunk]:
        if not text:
            return []
        self._pieces[place].append(text)
        return [self._chunk(delta)]

    def _arguments(self, place: int, fragment: str | None) -> list[StreamChunk]:
        if not fragment:
            return []
        self._pieces[place].append(fragment)
        index = self._calls.get(place)
        if index is None:
            return []  # a server's tool: nobody but Anthropic acts on its input
        call = ToolCall(index=index, function=FunctionCall(arguments=fragment))
        return [self._chunk(Delta(tool_calls=[call]))]

    def _close(self, place: int) -> list[StreamChunk]:
        block = self._blocks.get(place)
        pieces = self._pieces.pop(place, None)
        if block is None or pieces is None:
            return []
        joined = "".join(pieces)
        kind = block.get("type")
        if kind == "text":
            block["text"] = joined
            annotations = annotations_of(block, self._length)
            self._length += len(joined)
            return [self._chunk(Delta(annotations=annotations))] if annotations else []
        if kind == "thinking":
            block["thinking"] = joined
        elif joined:
            block["input"] = arguments_object(joined)
        if place in self._calls and not joined.strip():
            # No fragment came: the input is empty, or it stood in the block's start.
            arguments = arguments_text(block.get("input"))
            call = ToolCall(index=self._calls[place], function=FunctionCall(arguments=arguments))
            return [self._chunk(Delta(tool_calls=[call]))]
        return []

    def _end(self, event: dict[str, Any]) -> list[StreamChunk]:
        delta = _object(event, "delta")
        self._note_usage(event)
        self._extra |= extra_of({**event, **delta, "delta": None})
        native = text_in(delta, "stop_reason")
        if native is None and not self._finished:
            return []
        return self._finish(native)

    def _stop(self) -> list[StreamChunk]:
        self.stopped = True
        if self._finished or self._reason is None:
            return []
        return self._finish(self._reason)

    def _finish(self, native: str | None) -> list[StreamChunk]:
        chunks = [chunk for place in list(self._pieces) for chunk in self._close(place)]
        final = StreamChunk(
            id=self.id,
            object=_OBJECT,
            model=self.model,
            usage=self.usage,
            model_extra=dict(self._extra) or None,
        )
        if native is not None:
            self._finished = True
            blocks = [self._blocks[place] for place in sorted(self._blocks)]
            final.choices = [
                ChunkChoice(
                    delta=Delta(
                        content=None if self._length or self._calls else "",
                        provider_content=provider_content_of(blocks),
                    ),
                    finish_reason=finish_reason(native),
                    native_finish_reason=native,
                )
            ]
        return [*chunks, final]

    def _note_usage(self, event: dict[str, Any]) -> None:
        # Counts are running totals, and one that does not apply is left out of a later event. They
        # may fall: a compaction's are counted apart.
        usage = event.get("usage")
        if isinstance(usage, dict):
            self._counts |= {name: value for name, value in usage.items() if value is not None}


def _object(event: dict[str, Any], name: str) -> dict[str, Any]:
    value = event.get(name)
    if not isinstance(value, dict):
        raise ValueError(f"a {event.get('type')} event without its {name!r}")
    return value
