"""Closing an adapter while calls are under way: they end, each with a typed error."""

import asyncio

import pytest

from scallion import build_pipeline
from scallion.exceptions import ConnectionError, StreamInterruptedError
from scallion.providers import anthropic, openai, openrouter
from support.upstream import (
    HANG,
    SILENCE,
    Reply,
    Upstream,
    completion,
    completion_stream,
    message,
    message_stream,
)

each_provider = pytest.mark.parametrize(
    "make", [openai, anthropic, openrouter], ids=lambda make: make.__name__
)


@each_provider
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "complete"])
@pytest.mark.parametrize("stage", ["before the head", "after the head", "in the body"])
async def test_calls_that_are_under_way_end_when_their_adapter_is_closed(make, stream, stage):
    begun = message_stream if make is anthropic else completion_stream
    steps = [] if stage == "after the head" else begun("Hel").chunks[: 2 if stream else 1]
    kind = {"content-type": "text/event-stream" if stream else "application/json"}
    hanging = Reply(headers=kind, chunks=[*steps, HANG])
    async with Upstream(default=SILENCE if stage == "before the head" else hanging) as upstream:
        provider = make(api_key="k", base_url=upstream.url)
        await provider.warm_up()
        pipeline = build_pipeline(provider=provider, model="m")

        async def ask():
            return await (pipeline.stream("Hi").collect() if stream else pipeline.complete("Hi"))

        calls = [asyncio.create_task(ask()) for _ in range(3)]
        await upstream.received(3)
        await asyncio.sleep(0.05)

        await pipeline.aclose()

        ended = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 5)
        assert {type(error) for error in ended} <= {ConnectionError, StreamInterruptedError}
        await upstream.all_closed()
        upstream.default = message("Again") if make is anthropic else completion("Again")
        assert (await pipeline.complete("Hi")).text == "Again"
        await pipeline.aclose()
