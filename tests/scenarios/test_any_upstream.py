"""Whatever the upstream does: one whole answer or one typed error, no request too many, none open."""

import asyncio
import re
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scallion import Response
from scallion import exceptions as e
from scallion.testing import ManualClock
from scallion.types import StreamChunk
from support.chunks import ROLE, STOP, Source, answer
from support.stacks import (
    ERRORS,
    STATUSES,
    Behaviour,
    Model,
    Timeout,
    behaviours,
    bound,
    built,
    consume,
    late_behaviours,
    stacks,
)
from support.upstream import CUT, Reply, completion_stream, json_reply, message_stream, sse
from support.upstream import Upstream as Server
from support.world import Mode, World, failure


class Upstream:
    """A provider in this process that plays a script, and then answers well."""

    def __init__(self, script, clock):
        self.script = list(script)
        self.clock = clock
        self.calls = 0
        self.sources = []

    async def __call__(self, request):
        self.calls += 1
        behaviour = self.script.pop(0) if self.script else Behaviour(("last",))
        left = list(behaviour.delays)
        if left:
            await self.clock.sleep(left.pop(0))
        broken = ERRORS[behaviour.ends]() if behaviour.ends != "whole" else None
        if behaviour.ends in STATUSES:
            raise broken
        if not request.stream:
            if behaviour.ends != "whole":
                raise broken or e.MalformedResponseError("half of a body")
            return Response.completed(answer("".join(behaviour.says)), request)
        steps = [[ROLE], *[[StreamChunk.of(text)] for text in behaviour.says]]
        if broken is not None:
            steps.append(broken)
        elif behaviour.ends == "whole":
            steps.append([STOP])
        slow = [self.clock.sleep(left[n]) if n < len(left) else None for n in range(len(steps))]
        played = [
            step for pair in zip(slow, steps, strict=True) for step in pair if step is not None
        ]
        self.sources.append(Closing(*played))
        return Response.streaming(self.sources[-1], request)


class Closing(Source):
    """A source that throws away the waits that nobody waited for."""

    async def aclose(self):
        await super().aclose()
        for step in self.steps:
            if asyncio.iscoroutine(step):
                step.close()


def check(seen, calls, stack):
    """What holds for every upstream and every stack."""
    assert (seen.error is None) == seen.finished
    assert len(seen.attempts) == calls <= bound(stack)
    assert all(len(told) == 1 for told in seen.endings)
    assert all(a.status in ("failed", "cancelled", "completed") for a in seen.attempts)
    assert all(a.latency is not None for a in seen.attempts)
    if seen.error is None:
        assert [a.status for a in seen.attempts].count("completed") == 1
        assert seen.attempts[-1].status == "completed"
        assert seen.attempts[-1].response.text == seen.texts[-1]
    else:
        assert seen.error.attempts == tuple(seen.attempts)
        assert all(a.status != "completed" for a in seen.attempts)


@settings(max_examples=400)
@given(st.lists(behaviours, max_size=12), stacks, st.data(), st.booleans())
def test_what_comes_is_what_the_model_says(script, stack, data, streams):
    split = data.draw(st.integers(0, len(stack)))
    clock = ManualClock(auto=True)
    # Waits would run into the limits of time, which the model knows nothing of.
    stack = [
        replace(kind, limits=tuple((name, 1e6) for name, _ in kind.limits))
        if isinstance(kind, Timeout)
        else kind
        for kind in stack
    ]
    upstream = Upstream(script, clock)
    model = Model(script, streams=streams)
    texts, whole = model.run(stack)

    seen = asyncio.run(consume(built(stack, split, upstream, clock), streams=streams))

    check(seen, upstream.calls, stack)
    assert all(source.closed for source in upstream.sources)
    assert upstream.calls == model.calls
    assert seen.finished == whole
    assert seen.texts == texts


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(late_behaviours, max_size=8),
    stacks,
    st.data(),
    st.booleans(),
    st.sampled_from([None, 0.0, 2.0, 7.0]),
)
def test_with_time_in_it_too_it_is_a_whole_answer_or_a_typed_error(
    script, stack, data, streams, deadline
):
    split = data.draw(st.integers(0, len(stack)))
    clock = ManualClock(auto=True)
    upstream = Upstream(script, clock)
    llm = built(stack, split, upstream, clock)

    seen = asyncio.run(consume(llm, streams=streams, deadline=deadline))

    check(seen, upstream.calls, stack)
    assert all(source.closed for source in upstream.sources)
    if seen.error is None:
        said = ["".join(b.says) for b in script if b.ends == "whole"]
        assert seen.texts[-1] in [*said, "last"]
    if deadline is not None:
        assert seen.took <= deadline


# ------------------------------------------------------------------------------ over sockets


class Played:
    """A script of behaviours as replies of the real server, each as the asked provider says it."""

    def __init__(self, world, script):
        self.world = world
        self.script = list(script)

    async def __call__(self, request):
        behaviour, cut_at = self.script.pop(0) if self.script else (Behaviour(("last",)), None)
        delays = list(behaviour.delays)
        if delays:
            await self.world.clock.sleep(delays.pop(0))
        provider = request.path.split("/")[1]
        if behaviour.ends in STATUSES:
            headers = {"retry-after": "1"} if behaviour.ends == "429" else {}
            return failure(provider, int(behaviour.ends), headers=headers)
        if request.json.get("stream"):
            reply = self.stream(provider, behaviour, delays)
        else:
            reply = self.whole(provider, behaviour)
        # Behind the finish reason the answer is whole, and a cut there another matter.
        finish = re.search(rb'_reason":"(stop|end_turn)', reply.body)
        if cut_at is not None and (finish is None or cut_at < finish.start()):
            reply = replace(reply, chunks=[reply.body[:cut_at], CUT], length=len(reply.body))
        return reply

    def whole(self, provider, behaviour):
        good = Mode("complete").good(provider, "".join(behaviour.says))
        if behaviour.ends == "in-band error":
            return json_reply({"type": "error", "error": {"type": "server_error", "code": 502}})
        if behaviour.ends in ("malformed", "truncated"):
            return Reply.whole(good.body[: len(good.body) // 2], headers=good.headers)
        if behaviour.ends == "cut":
            return replace(good, chunks=[good.body[:40], CUT], length=len(good.body))
        return good

    def stream(self, provider, behaviour, delays):
        steps = []
        for number, text in enumerate(behaviour.says):
            if number < len(delays):
                steps.append(self.world.lasts(delays[number]))
            steps.append(text)
        error = {"type": "error", "error": {"type": "server_error", "code": 502}}
        ending = {
            "in-band error": [sse(error, "error")],
            "cut": [CUT],
            "malformed": [b"data: {oops\n\n"],
        }.get(behaviour.ends, [])
        whole = behaviour.ends == "whole"
        if provider == "anthropic":
            return message_stream(*steps, *ending, **({} if whole else {"stop_reason": None}))
        return completion_stream(*steps, *ending, **({} if whole else {"finish": None}))


@pytest.fixture
def world(monkeypatch):
    """Three providers at one server, in an event loop for all examples."""
    with asyncio.Runner() as runner:
        server = Server()
        runner.run(server.__aenter__())
        for name, path in (("openai", "/v1"), ("anthropic", ""), ("openrouter", "/api/v1")):
            monkeypatch.setenv(f"{name.upper()}_API_KEY", "sk-test")
            monkeypatch.setenv(f"{name.upper()}_BASE_URL", f"{server.url}/{name}{path}")
        world = World(server, ManualClock(auto=True))
        world.runner = runner
        yield world
        runner.run(world.aclose())
        runner.run(server.__aexit__(None, None, None))


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    script=st.lists(
        st.tuples(late_behaviours, st.none() | st.integers(0, 1500)), min_size=1, max_size=8
    ),
    stack=stacks,
    data=st.data(),
    streams=st.booleans(),
)
def test_over_sockets_it_is_one_or_the_other_too(world, script, stack, data, streams):
    split = data.draw(st.integers(0, len(stack)))

    async def example():
        clock = world.clock = ManualClock(auto=True)
        played = Played(world, script)
        world.says(openai=played, anthropic=played, openrouter=played)
        for asked in world.asked.values():
            asked.clear()
        llm = built(stack, split, world.provider, clock)

        seen = await consume(llm, streams=streams)

        for _ in range(300):
            await asyncio.sleep(0)
            serving = {connection.task for connection in world.upstream._live}
            left = asyncio.all_tasks() - {asyncio.current_task()} - serving
            if not left and world.upstream.open_connections <= 3:
                break
        assert not left
        assert world.upstream.open_connections <= 3  # one kept for the next call, per provider
        check(seen, sum(world.counts().values()), stack)
        if seen.error is None:
            said = ["".join(b.says) for b, _ in script if b.ends == "whole"]
            assert seen.texts[-1] in [*said, "last"]

    world.runner.run(example())
