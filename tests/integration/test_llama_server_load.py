"""Many calls to a real inference server, at once and one after another, on as few connections."""

from __future__ import annotations

import asyncio
import gc

import pytest

from support.llama_server import SLOTS
from support.server_process import until

pytestmark = pytest.mark.integration

STREAMS = 32


def overlapping(spans):
    """The largest number of spans that share a moment."""
    return max(sum(begin <= moment <= end for begin, end in spans) for moment, _ in spans)


async def test_32_streams_at_once_all_come_whole(llm, llama, style):
    """More than the server answers at a time, so some of them wait at its door."""
    arrivals: list[int] = []

    async def read(number):
        # Each is to say its own words; the Messages endpoint knows no way to make it.
        grammar = {"grammar": f'root ::= "{number}-{number}"'} if style == "openai" else None
        tokens = 12 if grammar else 4
        text = ""
        async with llm.stream(f"Which, {number}?", max_tokens=tokens, extra_body=grammar) as stream:
            async for chunk in stream:
                if chunk.content:
                    arrivals.append(number)
                    text += chunk.content
        return text, stream.result

    before = llama.counters()
    results = await asyncio.gather(*(read(number) for number in range(STREAMS)))
    after = llama.counters()
    for number, (text, answer) in enumerate(results):
        assert text
        assert answer.text == text
        assert answer.finish_reason in ("length", "stop")
        if style == "openai":
            assert text == f"{number}-{number}"
    assert len({answer.id for _, answer in results}) == STREAMS
    completions = sum(answer.usage.completion_tokens for _, answer in results)
    assert completions == after["tokens_predicted_total"] - before["tokens_predicted_total"]

    last = {number: position for position, number in enumerate(arrivals)}
    spans = [(arrivals.index(number), end) for number, end in last.items()]
    assert 2 <= overlapping(spans) <= SLOTS
    await llm.aclose()
    assert llama.connections() == 0


async def test_streams_left_at_once_close_every_connection(llm, llama):
    """As many as are answered at a time, and some that still wait for their first word."""

    async def leave(number):
        async with asyncio.timeout(0.5):
            async with llm.stream(f"Tell me a long story, {number}.", max_tokens=500) as stream:
                await anext(stream)
                await asyncio.Event().wait()

    left = await asyncio.gather(*map(leave, range(2 * SLOTS)), return_exceptions=True)
    assert all(isinstance(error, TimeoutError) for error in left)
    await until(lambda: llama.connections() == 0, "every connection is closed")
    await until(lambda: llama.busy_slots() == 0, "every slot is free")


async def test_streams_one_after_another_do_not_trip_over_closed_connections(llm):
    """The server promises to keep the connection of a stream alive, and closes it all the same."""
    for _ in range(10):
        async with llm.stream("Hi", max_tokens=1) as stream:
            assert (await stream.collect()).finish_reason


async def test_a_closed_pipeline_leaves_nothing_behind(llm, llama):
    await llm.complete("Hi", max_tokens=1)
    assert llama.connections() == 1
    await llm.aclose()
    gc.collect()
    assert llama.connections() == 0
