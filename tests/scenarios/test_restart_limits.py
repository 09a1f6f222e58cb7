"""Limits of time around `fallback(stream="restart")`, what happens while it restarts, and what the
errors say.
"""

import asyncio

import pytest

from scallion import Response, build_pipeline
from scallion import exceptions as e
from scallion.middlewares import fallback, timeout
from scallion.testing import ManualClock
from scallion.types import StreamChunk
from support.chunks import STOP, Source

RESTART = fallback(["b"], stream="restart")


class Upstream:
    """Models that play timed streams: numbers are seconds, the first of them before the head."""

    def __init__(self, **streams):
        self.clock = ManualClock(auto=True)
        self.streams = streams
        self.asked = []
        self.sources = {}

    async def __call__(self, request):
        self.asked.append((request.model, self.clock.now() - 1_000_000))
        head, *steps = self.streams[request.model]
        await self.clock.sleep(head)
        played = [self.clock.sleep(s) if isinstance(s, (int, float)) else s for s in steps]
        played = [[StreamChunk.of(s)] if isinstance(s, str) else s for s in played]
        source = self.sources[request.model] = Source(*played)
        return Response.streaming(source, request)

    async def read(self, *layers, **arguments):
        """What the consumer got, and the seconds that it took."""
        llm = build_pipeline(layers, provider=self, model="a", clock=self.clock)
        texts = []
        try:
            async for chunk in llm.stream("hi", **arguments):
                texts.append(chunk.content or "")
        except e.LLMClientError as error:
            texts.append(error)
        for source in self.sources.values():
            for step in source.steps:
                if asyncio.iscoroutine(step):
                    step.close()
        return texts, self.clock.now() - 1_000_000


async def test_inside_of_fallback_total_limits_each_attempt_and_not_the_sum():
    upstream = Upstream(a=[0, "a", 3, e.ServerError("x")], b=[0, "b", 3, "c", [STOP]])

    texts, took = await upstream.read(RESTART, timeout(total=5))

    assert (texts, took) == (["a", "b", "c", ""], 6)


async def test_when_total_has_expired_inside_of_fallback_the_next_target_has_its_own():
    upstream = Upstream(a=[0, "a", 9, "x"], b=[0, "b", 3, "c", [STOP]])

    texts, took = await upstream.read(RESTART, timeout(total=5))

    assert (texts, took) == (["a", "b", "c", ""], 8)


async def test_when_total_has_expired_around_fallback_nobody_else_is_asked():
    upstream = Upstream(a=[0, "a", 9, "x"], b=[0, "b", [STOP]])

    texts, took = await upstream.read(timeout(total=5), RESTART)

    assert isinstance(texts[-1], e.TimeoutError)
    assert (texts[:-1], took) == (["a"], 5)
    assert upstream.asked == [("a", 0)]


async def test_total_around_fallback_also_limits_the_wait_for_who_takes_over():
    upstream = Upstream(a=[0, "a", 1, e.ServerError("x")], b=[60, "b", [STOP]])

    texts, took = await upstream.read(timeout(total=5), RESTART)

    assert isinstance(texts[-1], e.TimeoutError)
    assert (texts[-1].limit, took) == ("total", 5)


async def test_the_deadline_also_limits_the_wait_for_who_takes_over():
    upstream = Upstream(a=[0, "a", 1, e.ServerError("x")], b=[60, "b", [STOP]])

    texts, took = await upstream.read(RESTART, deadline=5)

    assert isinstance(texts[-1], e.TimeoutError)
    assert (texts[-1].limit, took) == ("deadline", 5)


async def test_the_broken_stream_is_closed_before_the_next_target_is_asked():
    closed = []

    async def provider(request):
        if request.model == "b":
            closed.append(source.closed)
            return Response.streaming(Source([StreamChunk.of("b")], [STOP]), request)
        return Response.streaming(source, request)

    source = Source([StreamChunk.of("a")], e.ServerError("x"))
    await build_pipeline([RESTART], provider=provider, model="a").stream("hi").collect()

    assert closed == [1]


async def test_what_a_rewriting_around_fallback_refuses_is_no_reason_to_ask_another_target():
    def refuse(chunk):
        raise PermissionError("no")

    async def guard(request, call_next):
        return (await call_next(request)).map(refuse)

    upstream = Upstream(a=[0, "a", [STOP]], b=[0, "b", [STOP]])
    layer = fallback(["b"], stream="restart", on=lambda reason: isinstance(reason, Exception))

    with pytest.raises(PermissionError):
        await upstream.read(guard, layer)

    assert [model for model, _ in upstream.asked] == ["a"]


async def test_closing_while_it_restarts_ends_the_reading_and_closes_who_takes_over():
    async def provider(request):
        if request.model == "a":
            return Response.streaming(Source([StreamChunk.of("a")], e.ServerError("x")), request)
        asked.set()
        await gate.wait()
        return Response.streaming(second, request)

    asked, gate, second = asyncio.Event(), asyncio.Event(), Source([StreamChunk.of("b")], [STOP])
    stream = build_pipeline([RESTART], provider=provider, model="a").stream("hi")
    reading = asyncio.create_task(stream.collect())
    await asked.wait()

    await stream.aclose()
    gate.set()

    with pytest.raises(e.ProviderError):
        await reading
    assert second.closed


@pytest.mark.parametrize("limit", [[], [timeout(total=60)]], ids=["unlimited", "limited"])
async def test_what_a_layer_drops_while_it_restarts_is_closed(limit):
    async def picky(request, call_next):
        response = await call_next(request)
        if request.model == "b":
            dropped.append(response)
            raise e.ServerError("not this one")
        return response

    dropped = []
    upstream = Upstream(a=[0, "a", e.ServerError("x")], b=[0, "b", [STOP]])

    await upstream.read(*limit, RESTART, picky)

    assert upstream.sources["b"].closed


# ------------------------------------------------------------------------------ what is said


@pytest.mark.parametrize(
    "layers", [[timeout(total=3), timeout(total=5)], [timeout(total=3), timeout(inter_chunk=8)]]
)
async def test_the_message_names_the_seconds_of_the_limit_that_expired(layers):
    upstream = Upstream(a=[0, "a", 60])

    (*_, error), _ = await upstream.read(*layers)

    assert "was not complete after 3 s" in str(error)


async def test_a_timeout_that_a_provider_raises_itself_is_not_taken_for_ours():
    async def impatient(request):
        raise TimeoutError("my own patience")

    llm = build_pipeline([timeout(total=60)], provider=impatient, model="a")

    with pytest.raises(TimeoutError, match="my own patience"):
        await llm.complete("hi", deadline=60)


async def test_a_limit_says_which_provider_was_asked():
    async def provider(request):
        return Response.streaming(
            Source([StreamChunk.of("a")], clock.sleep(9)), request, provider="p"
        )

    clock = ManualClock(auto=True)
    llm = build_pipeline([timeout(total=3)], provider=provider, model="a", clock=clock)

    with pytest.raises(e.TimeoutError) as caught:
        await llm.stream("hi").collect()

    assert (caught.value.provider, caught.value.model) == ("p", "a")
