"""Scenario 4 with a ledger and a cache: what broke off is billed by estimate, and is never kept."""

from decimal import Decimal

import pytest

from scallion import exceptions as e
from scallion.middlewares import cache, cost, fallback
from scallion.stores import memory
from support.upstream import (
    CLOSE,
    CUT,
    Reply,
    completion,
    completion_stream,
    message,
    message_stream,
    sse,
)
from support.world import MODELS, Mode, chunks_of

STREAM, COMPLETE = Mode("stream"), Mode("complete")
EVENTS = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json"}


@pytest.fixture(params=["openai", "anthropic"])
def provider(request):
    return request.param


def broken_off(provider, *step):
    """A stream that says "Hel" and "lo", and then this happens."""
    if provider == "anthropic":
        return message_stream("Hel", "lo", *step, stop_reason=None)
    return completion_stream("Hel", "lo", *step, finish=None)


AFTER_CONTENT = {
    "no finish reason": (),
    "closed": (CLOSE,),
    "cut": (CUT,),
    "malformed": (b'data: {"oops\n\n',),
    "error": (sse({"type": "error", "error": {"type": "api_error", "message": "Oh"}}, "error"),),
}


class Kept:
    """A pipeline with a ledger and a cache, whose provider fails first and answers well then."""

    def __init__(self, world, mode, provider, bad, *layers):
        self.world, self.mode, self.provider = world, mode, provider
        self.ledger = cost()
        world.says(**{provider: [bad, mode.good(provider, "Well")]})
        self.llm = world.pipeline(cache(memory()), self.ledger, *layers, first=provider)

    async def fails(self):
        with pytest.raises(e.ProviderError) as caught:
            await self.mode.ask(self.llm)
        (entry,) = self.ledger.entries
        assert (entry.status, entry.exact) == ("failed", False)
        return caught.value, entry

    async def is_not_kept(self):
        """The next one asks the provider again, and the one after that does not."""
        for cached in (False, True):
            answer = await self.mode.ask(self.llm)
            assert (answer.text, answer.finish_reason, answer.cached) == ("Well", "stop", cached)
        assert self.world.counts() == {self.provider: 2}


@pytest.mark.parametrize("how", AFTER_CONTENT)
async def test_a_stream_that_broke_off_carries_its_estimated_cost_and_is_not_kept(
    world, provider, how
):
    kept = Kept(world, STREAM, provider, broken_off(provider, *AFTER_CONTENT[how]))

    error, entry = await kept.fails()

    assert isinstance(error, e.StreamError)
    assert (error.partial.text, error.partial.finish_reason) == ("Hello", None)
    assert error.partial.cost.total == entry.cost > 0
    assert entry.usage.prompt_tokens > 0
    assert entry.usage.completion_tokens >= 1
    await kept.is_not_kept()


INSTEAD = {
    "an empty body": (Reply.whole(b""),) * 2,
    "an empty stream": (Reply(headers=EVENTS),) * 2,
    "a closed stream": (Reply(headers=EVENTS, chunks=[CLOSE]),) * 2,
    "malformed": (Reply(headers=EVENTS, chunks=[b"data: {oops\n\n"]),) * 2,
    "nothing but a role": (completion_stream(finish=None), message_stream(stop_reason=None)),
}


@pytest.mark.parametrize("what", INSTEAD)
async def test_what_is_no_stream_is_billed_by_estimate_and_not_kept(world, provider, what):
    kept = Kept(world, STREAM, provider, INSTEAD[what][provider == "anthropic"])

    error, entry = await kept.fails()

    assert error.partial is None or error.partial.finish_reason is None
    assert entry.cost >= 0
    await kept.is_not_kept()


async def test_json_where_a_stream_was_asked_for_is_billed_and_not_kept(world, provider):
    whole = (completion("Whole"), message("Whole"))[provider == "anthropic"]
    kept = Kept(world, STREAM, provider, whole)

    error, entry = await kept.fails()

    assert isinstance(error, e.MalformedResponseError)
    assert error.partial.text == "Whole"
    assert error.partial.cost.total == entry.cost > 0
    await kept.is_not_kept()


async def test_a_stream_where_a_whole_answer_was_asked_for_is_billed_and_not_kept(world, provider):
    stream = (completion_stream("Wh", "ole"), message_stream("Wh", "ole"))[provider == "anthropic"]
    kept = Kept(world, COMPLETE, provider, stream)

    error, entry = await kept.fails()

    assert isinstance(error, e.MalformedResponseError)
    assert error.partial.text == "Whole"
    assert error.partial.cost.total == entry.cost > 0
    await kept.is_not_kept()


async def test_an_error_event_where_a_whole_answer_was_asked_for_is_that_error(world, provider):
    said = {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}
    world.says(**{provider: Reply(headers=EVENTS, chunks=[sse(said)])})

    with pytest.raises(e.RateLimitError, match="slow down"):
        await COMPLETE.ask(world.pipeline(first=provider))


BODIES = {
    "cut": b'{"id": "x", "choices": [{"mess',
    "empty": b"",
    "no object": b"[1]",
    "SSE": b'data: {"choices": []}\n\n',
    "not UTF-8": b'{"id": "\xff"}',
}


@pytest.mark.parametrize("what", BODIES)
async def test_a_body_that_is_not_whole_is_billed_by_estimate_and_not_kept(world, provider, what):
    kept = Kept(world, COMPLETE, provider, Reply.whole(BODIES[what], headers=JSON))

    error, entry = await kept.fails()

    assert isinstance(error, e.MalformedResponseError)
    assert entry.cost == Decimal(0)
    await kept.is_not_kept()


async def test_a_body_whose_socket_is_cut_is_not_kept(world, provider):
    whole = COMPLETE.good(provider).chunks[0]
    cut = Reply(headers=JSON, chunks=[whole[:50], CUT], framing="length", length=len(whole))
    kept = Kept(world, COMPLETE, provider, cut)

    await kept.fails()

    await kept.is_not_kept()


async def test_a_restart_is_billed_for_both_and_only_the_answer_that_came_whole_is_kept(
    world, provider
):
    other = {"openai": "anthropic", "anthropic": "openai"}[provider]
    restart = fallback([MODELS[other]], stream="restart")
    kept = Kept(world, STREAM, provider, broken_off(provider, CUT), restart)
    world.says(**{other: STREAM.good(other, "Anew")})

    stream = kept.llm.stream("hi")
    chunks = await chunks_of(stream)

    assert sum(chunk.restarted for chunk in chunks) == 1
    entries = kept.ledger.entries
    assert [(x.provider, x.status, x.exact) for x in entries] == [
        (provider, "failed", False),
        (other, "completed", True),
    ]
    assert all(entry.cost > 0 for entry in entries)
    assert stream.result.cost.total == entries[1].cost
    again = await STREAM.ask(kept.llm)
    assert (again.text, again.provider, again.cached) == ("Anew", other, True)
    assert world.counts() == {provider: 1, other: 1}
