"""What the onion itself costs: layers around a provider that answers from memory."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from clients import layers, passing, settling, working
from measure import Row, cpu_per_call, difference
from replies import openai_answer, openai_events

from scallion import Response, build_pipeline
from scallion.types import ModelResponse, StreamChunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from measure import Call
    from server import Server

    from scallion import Handler, Middleware, Request

GROUP = "the onion alone, CPU"
CHUNKS, LAYERS = 200, 10


def rows(server: Server, *, quick: bool) -> list[Row]:
    """The rows of this file. They need no server."""
    del server
    return asyncio.run(_rows(quick=quick))


async def _rows(*, quick: bool) -> list[Row]:
    provider = _from_memory()
    contestants: dict[str, Call] = {}
    for name, kind, count in (
        ("bare", passing, 0),
        ("passing", passing, LAYERS),
        ("settling", settling, LAYERS),
        ("working", working, LAYERS),
    ):
        contestants[name] = _complete(provider, kind, count)
        contestants[f"{name} stream"] = _stream(provider, kind, count)
    calls = {name: 100 if "stream" in name else 500 for name in contestants}
    took = await cpu_per_call(contestants, calls=calls, rounds=5 if quick else 15)
    us = {name: seconds * 1e6 for name, seconds in took.items()}
    found = []
    for name, label, goals in (
        ("passing", "ten layers", (20.0, 15.0)),
        ("settling", "ten layers with on_settle", (None, None)),
        ("working", "ten layers with map and on_settle", (None, None)),
    ):
        streamed, bare = us[f"{name} stream"], us["bare stream"]
        found += [
            difference(GROUP, f"{label}, complete", "µs", us[name], us["bare"], goals[0]),
            Row(
                group=GROUP,
                name=f"{label}, {CHUNKS}-chunk stream",
                unit="µs",
                ours=streamed,
                bare=bare,
                measured=(streamed / bare - 1) * 100,
                measured_unit="%",
                goal=goals[1],
            ),
        ]
    return found


def _from_memory() -> Handler:
    """A provider whose answers are there already."""
    answer = ModelResponse.model_validate_json(openai_answer())
    events = [event[6:-2] for event in openai_events(CHUNKS)][:-1]
    chunks = [StreamChunk.model_validate_json(event) for event in events]

    async def iterate() -> AsyncIterator[StreamChunk]:
        for chunk in chunks:
            yield chunk

    async def provider(request: Request) -> Response:
        if request.stream:
            return Response.streaming(iterate(), request)
        return Response.completed(answer, request)

    return provider


def _complete(provider: Handler, kind: Callable[[], Middleware], count: int) -> Call:
    llm = build_pipeline(layers(kind, count), provider=provider, model="gpt-4o")
    return lambda: llm.complete("Why is the sky blue?")


def _stream(provider: Handler, kind: Callable[[], Middleware], count: int) -> Call:
    llm = build_pipeline(layers(kind, count), provider=provider, model="gpt-4o")

    async def read() -> None:
        async for _ in llm.stream("Why is the sky blue?"):
            pass

    return read
