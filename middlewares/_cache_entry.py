"""A stored answer: what is kept of it, which answers are kept at all, and how it is given again."""

from __future__ import annotations

from re import findall
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from scallion._accumulate import BROKEN_OFF, chunks_of
from scallion._response import Response
from scallion.stores import Envelope
from scallion.types import ChunkChoice, Delta, ModelResponse, StreamChunk

from ._cache_tape import Replay, Tape, TimedReplay

if TYPE_CHECKING:
    from scallion._outcome import Outcome
    from scallion._request import Request
    from scallion._sources import ChunkSource
    from scallion.stores import Cipher

VERSION: Final = 1

CUT_SHORT: Final = (None, "", "content_filter", *BROKEN_OFF)
"""Finish reasons of what is not whole. OpenRouter says `error`, also without an error beside it."""


class Entry(Struct, omit_defaults=True):
    """What is stored.

    Attributes:
        answer: The answer's JSON.
        at: When it was given, in seconds since the epoch. A cassette has no times.
        provider: Who gave it.
        request_id: The provider's id of the request that was answered.
        request: The canonical request, where calls are recorded.
        tape: The chunks as they came, where a stream was recorded.
    """

    answer: msgspec.Raw
    at: float = 0.0
    provider: str | None = None
    request_id: str | None = None
    request: dict[str, Any] | None = None
    tape: Tape | None = None


def envelope(compress: Any, cipher: Cipher | None) -> Envelope[Entry]:
    """How entries become bytes."""
    return Envelope(Entry, version=VERSION, compress=compress, cipher=cipher)


def entry_for(
    outcome: Outcome,
    recorded: dict[str, Any] | None = None,
    tape: Tape | None = None,
    *,
    timed: bool = True,
) -> Entry | None:
    """The entry of a call that has ended, or `None` if it left nothing to be kept.

    That is an answer which came whole: every choice has its finish reason, and neither a filter
    nor an error cut it short.
    """
    answer = outcome.response
    if outcome.status != "completed" or answer is None or not _is_whole(answer):
        return None
    try:
        encoded = msgspec.json.encode(answer.to_dict())
    except (TypeError, ValueError, RecursionError):  # a provider of one's own may put anything in
        return None
    if tape is not None and _has_secret(encoded):
        tape = None  # its chunks may have the secret in pieces, in which nobody would see it
    return Entry(
        answer=msgspec.Raw(encoded),
        at=outcome.request.context.clock.time() if timed else 0.0,
        provider=answer.provider,
        request_id=answer.request_id,
        request=recorded,
        tape=tape,
    )


def answer_of(entry: Entry) -> ModelResponse | None:
    """The answer, or `None` if it cannot be read, or is not one that is kept."""
    try:
        answer = ModelResponse.model_validate_json(bytes(entry.answer))
    except (ValueError, RecursionError):
        return None
    if not _is_whole(answer):
        return None
    answer.provider = entry.provider
    answer.request_id = entry.request_id
    answer.cached = True
    return answer


def replay(
    answer: ModelResponse, request: Request, tape: Tape | None = None, *, timing: bool = False
) -> Response:
    """A stored answer as the response to a request, whole or as a stream.

    Args:
        tape: The chunks in which it comes as a stream; without one, word by word.
        timing: Whether those come when they came.
    """
    if not request.stream:
        return Response.completed(answer, request)
    source: ChunkSource
    try:
        chunks = None if tape is None else tape.chunks()
    except ValueError:  # somebody has edited it
        chunks = None
    if tape is None or chunks is None:
        source = Replay(natural_chunks(answer))
    elif timing:
        source = TimedReplay(chunks, tape.at, request.context.clock)
    else:
        source = Replay(chunks)
    response = Response.streaming(
        source,
        request,
        provider=answer.provider,
        request_id=answer.request_id,
    )
    return response.on_settle(_mark)


def natural_chunks(answer: ModelResponse) -> list[StreamChunk]:
    """An answer as a stream would bring it: thinking and text word by word, then the rest.

    Adding them up gives the same answer as `chunks_of` does.
    """
    content, finish = chunks_of(answer)
    if len(content.choices) != 1 or content.choices[0].logprobs is not None:
        return [content, finish]
    (choice,) = content.choices
    delta = choice.delta
    pieces: list[Delta] = []
    for name in ("reasoning_content", "reasoning", "content"):
        text = getattr(delta, name)
        if isinstance(text, str) and text:
            setattr(delta, name, None)
            pieces += [Delta(**{name: word}) for word in findall(r"\s*\S+|\s+$", text)]
    first = Delta(role=delta.role or "assistant")
    last = [] if delta == first else [msgspec.structs.replace(delta, role=None)]
    return [
        *[
            msgspec.structs.replace(
                content, choices=[ChunkChoice(index=choice.index, delta=piece)], usage=None
            )
            for piece in [first, *pieces, *last]
        ],
        finish,
    ]


def _is_whole(answer: ModelResponse) -> bool:
    choices = answer.choices
    return bool(choices) and all(choice.finish_reason not in CUT_SHORT for choice in choices)


def _has_secret(encoded: bytes) -> bool:
    from scallion.stores._cassette_secrets import cleansed

    said = msgspec.json.decode(encoded)
    return bool(cleansed(said) != said)


def _mark(outcome: Outcome) -> None:
    if outcome.response is not None:
        outcome.response.cached = True
