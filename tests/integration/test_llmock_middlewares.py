"""What retry, fallback and timeout make of a provider's faults. The mock counts the requests."""

from __future__ import annotations

import pytest

from scallion import Clock, build_pipeline
from scallion.exceptions import (
    AllModelsFailedError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
    StreamTruncatedError,
    TimeoutError,
)
from scallion.middlewares import Target, fallback, retry, timeout
from support.server_process import until

pytestmark = pytest.mark.integration

MODELS = {"openai": "gpt-4o", "anthropic": "claude-sonnet-4-5"}
OTHER = {"openai": "anthropic", "anthropic": "openai"}
TEXT = "Every word of this answer is a piece of its own."
BEFORE_THIRD_WORD = {"openai": 3, "anthropic": 5}


class Hasty(Clock):
    """Real time, but for waits between tries: those are noted, and not waited."""

    def __init__(self):
        self.slept = []

    async def sleep(self, seconds):
        self.slept.append(seconds)


class World:
    """The mock as both providers, the one that is asked and the one that is fallen back to."""

    def __init__(self, mock, style):
        self.mock = mock
        self.style = style
        self.other = OTHER[style]
        self.clock = Hasty()
        self.providers = {name: mock.provider(name) for name in MODELS}

    @property
    def target(self):
        return Target(MODELS[self.other], provider=self.providers[self.other])

    def pipeline(self, *layers):
        provider, model = self.providers[self.style], MODELS[self.style]
        return build_pipeline(layers, provider=provider, model=model, clock=self.clock)

    def will(self, behavior, /, **particulars):
        """Have the provider that is asked first do this, however often it is asked."""
        match = {"provider": self.style}
        self.mock.will(behavior, **({"times": None, "match": match} | particulars))

    def counts(self):
        asked = [request["provider"] for request in self.mock.requests()]
        return [asked.count(self.style), asked.count(self.other)]


@pytest.fixture
async def world(llmock, style):
    world = World(llmock, style)
    for provider in world.providers.values():
        await provider.warm_up()  # importing an SDK can take longer than a limit here
    yield world
    for provider in world.providers.values():
        await provider.aclose()
    await until(lambda: llmock.connections() == 0, "every connection is closed")


@pytest.fixture(params=["complete", "stream"])
def ask(request):
    async def complete(llm):
        return await llm.complete("Hi")

    async def stream(llm):
        return await llm.stream("Hi").collect()

    return complete if request.param == "complete" else stream


async def test_a_429_is_tried_again_after_the_time_that_it_names(world, ask):
    world.will("fail", status=429, retry_after=3, times=2)
    world.will("reply", text=TEXT)

    answer = await ask(world.pipeline(retry(rng=lambda: 0.0)))

    assert answer.text == TEXT
    assert world.clock.slept == [3.0, 3.0]
    assert world.counts() == [3, 0]


async def test_a_429_that_names_too_long_a_time_goes_to_the_fallback_at_once(world, ask):
    world.will("fail", status=429, retry_after=3600)

    answer = await ask(world.pipeline(fallback([world.target]), retry()))

    assert answer.provider == world.other
    assert world.clock.slept == []
    assert world.counts() == [1, 1]


@pytest.mark.parametrize("status", [500, 503, 529])
async def test_a_5xx_is_tried_again_and_then_falls_over(world, ask, status):
    world.will("fail", status=status)

    answer = await ask(world.pipeline(fallback([world.target]), retry(attempts=3)))

    assert answer.provider == world.other
    assert world.counts() == [3, 1]


async def test_when_all_fail_every_attempt_is_told(world, ask):
    world.will("fail", status=500, match={})

    with pytest.raises(AllModelsFailedError) as caught:
        await ask(world.pipeline(fallback([world.target]), retry(attempts=2)))

    assert [type(error) for error in caught.value.errors] == [ServerError, ServerError]
    assert [a.provider for a in caught.value.attempts] == [world.style] * 2 + [world.other] * 2
    assert world.counts() == [2, 2]


async def test_a_400_is_neither_tried_again_nor_handed_on(world, ask):
    world.will("fail", status=400)

    with pytest.raises(Exception, match="400"):
        await ask(world.pipeline(fallback([world.target]), retry()))

    assert world.counts() == [1, 0]


@pytest.mark.parametrize("kind", ["disconnect", "truncate", "malformed"])
async def test_a_stream_that_breaks_before_content_is_replaced_unseen(world, kind):
    world.will("stream_fault", kind=kind, after_chunks=1)
    llm = world.pipeline(fallback([world.target]), retry(attempts=2))

    chunks = [chunk async for chunk in llm.stream("Hi")]

    assert not any(chunk.restarted for chunk in chunks)
    assert world.counts() == [2, 1]


BREAKS = {
    "disconnect": StreamInterruptedError,
    "truncate": StreamTruncatedError,
    "malformed": StreamInterruptedError,
}


@pytest.mark.parametrize("kind", BREAKS)
async def test_a_stream_that_breaks_after_content_raises(world, kind):
    world.will("reply", text=TEXT)
    world.will("stream_fault", kind=kind, after_chunks=BEFORE_THIRD_WORD[world.style])
    layers = [timeout(total=60, inter_chunk=30), fallback([world.target]), retry()]

    with pytest.raises(BREAKS[kind]) as caught:
        await world.pipeline(*layers).stream("Hi").collect()

    assert caught.value.partial.text == "Every word "
    assert world.counts() == [1, 0]


@pytest.mark.parametrize("kind", BREAKS)
async def test_or_begins_anew_where_that_is_wanted(world, kind):
    world.will("reply", text=TEXT, match={})
    world.will("stream_fault", kind=kind, after_chunks=BEFORE_THIRD_WORD[world.style])
    stream = world.pipeline(fallback([world.target], stream="restart"), retry()).stream("Hi")

    texts = [""]
    async for chunk in stream:
        if chunk.restarted:
            texts.append("")
        texts[-1] += chunk.content or ""

    assert texts == ["Every word ", TEXT]
    assert (stream.result.text, stream.result.provider) == (TEXT, world.other)
    assert [a.status for a in stream.response.outcome.attempts] == ["failed", "completed"]
    assert world.counts() == [1, 1]


async def test_a_stall_after_content_is_left_when_inter_chunk_says_so(world):
    world.will("reply", text=TEXT)
    world.will("stream_fault", kind="stall", after_chunks=BEFORE_THIRD_WORD[world.style])
    llm = world.pipeline(timeout(total=60, inter_chunk=0.3))

    with pytest.raises(TimeoutError) as caught:
        await llm.stream("Hi").collect()

    assert (caught.value.limit, caught.value.partial.text) == ("inter_chunk", "Every word ")
    await until(lambda: world.mock.connections() == 0, "the connection is closed")


async def test_a_stall_before_content_is_left_and_the_fallback_serves(world):
    world.will("stream_fault", kind="stall", after_chunks=1)
    llm = world.pipeline(fallback([world.target]), timeout(first_token=0.3))

    answer = await llm.stream("Hi").collect()

    assert answer.provider == world.other
    assert world.counts() == [1, 1]
    stalled = next(r for r in world.mock.requests() if r["provider"] == world.style)
    assert not stalled["completed"]


async def test_an_answer_that_does_not_begin_is_left_by_total_and_tried_again(world, ask):
    async def note(request, call_next):
        attempts.append(request.context.attempts)
        return await call_next(request)

    attempts = []
    world.will("delay", seconds=30, times=1)

    answer = await ask(world.pipeline(note, retry(), timeout(total=0.5)))

    # The mock tells of a request when it has answered it.
    assert answer.provider == world.style
    assert [attempt.status for attempt in attempts[0]] == ["failed", "completed"]


async def test_without_any_of_them_the_first_429_is_the_end(world, ask):
    world.will("fail", status=429, retry_after=1)

    with pytest.raises(RateLimitError):
        await ask(world.pipeline())

    assert world.counts() == [1, 0]
