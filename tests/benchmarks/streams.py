"""What a chunk of a stream costs, typed and through six layers, against the SDKs' own iterators."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from clients import (
    Clients,
    settling,
    streaming,
    streaming_messages,
    streaming_sdk,
    working,
)
from measure import Row, absolute, cpu_per_call, ratio
from replies import CHUNKS

if TYPE_CHECKING:
    from measure import Call
    from server import Server

GROUP = "streamed chunk, CPU"
SHORT, LONG = CHUNKS


def rows(server: Server, *, quick: bool) -> list[Row]:
    """The rows of this file."""
    found = asyncio.run(_rows(server, "", quick=quick))
    return found + asyncio.run(_rows(server, "-flushed", quick=quick))


async def _rows(server: Server, variant: str, *, quick: bool) -> list[Row]:
    costs: dict[str, tuple[float, float, float]] = {}
    contestants: dict[str, Call] = {}
    calls: dict[str, int] = {}
    async with Clients(server.url) as clients:
        for length in CHUNKS:
            openai, anthropic = f"openai-{length}{variant}", f"anthropic-{length}{variant}"
            compatible = f"openai.compatible-{length}{variant}"
            weight = LONG // length
            for name, call, count in (
                ("openai", streaming(clients.pipeline(openai)), 3),
                ("settling", streaming(clients.pipeline(openai, settling)), 3),
                ("working", streaming(clients.pipeline(openai, working)), 1),
                ("compatible", streaming(clients.pipeline(compatible)), 1),
                ("openai SDK", streaming_sdk(clients.openai_sdk(openai)), 1),
                ("anthropic", streaming(clients.pipeline(anthropic)), 3),
                ("anthropic SDK", streaming_messages(clients.anthropic_sdk(anthropic)), 1),
            ):
                contestants[f"{name} {length}"] = call
                calls[f"{name} {length}"] = max(count * weight // (2 if quick else 1), 1)
        took = await cpu_per_call(contestants, calls=calls, rounds=3 if quick else 7)
    for name in dict.fromkeys(contestant.rsplit(" ", 1)[0] for contestant in contestants):
        short, long = took[f"{name} {SHORT}"] * 1e6, took[f"{name} {LONG}"] * 1e6
        costs[name] = ((long - short) / (LONG - SHORT), long / LONG, short / SHORT)
    return list(_table(variant, costs))


def _table(variant: str, costs: dict[str, tuple[float, float, float]]) -> list[Row]:
    """The goals are about chunks, so the call around them is taken off: `each`."""
    group = GROUP + (", a packet per event" if variant else "")
    found: list[Row] = []
    for provider, goal in (("openai", 1 / 12), ("anthropic", 1 / 2)):
        ours, bare = costs[provider], costs[f"{provider} SDK"]
        found += [
            absolute(group, f"{provider}, each", "µs", ours[0], 6.0),
            ratio(group, f"{provider}, each", "µs", ours[0], bare[0], goal),
            ratio(group, f"{provider}, {LONG:,} and their call", "µs", ours[1], bare[1], goal),
            ratio(group, f"{provider}, {SHORT} and their call", "µs", ours[2], bare[2]),
        ]
    bare = costs["openai SDK"]
    for name, label in (
        ("settling", "layers with on_settle"),
        ("working", "layers with map and on_settle"),
        ("compatible", "a field that OpenAI does not have"),
    ):
        found.append(ratio(group, f"openai, {label}, each", "µs", costs[name][0], bare[0]))
    return found
