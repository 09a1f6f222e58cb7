"""Stacks of the three layers, what upstreams may do to them, and a model of what comes of it.

The model is the three layers written a second time and plainly: a stack is a function that plays a
script, without time, chunks or sockets.
"""

from dataclasses import dataclass, field, replace

from hypothesis import strategies as st

from scallion import build_pipeline
from scallion import exceptions as e
from scallion.middlewares import fallback, retry, timeout

# ------------------------------------------------------------------------------ the upstream

ERRORS = {
    "500": lambda: e.ServerError("500", status_code=500),
    "429": lambda: e.RateLimitError("429", status_code=429, retry_after=1.0),
    "401": lambda: e.AuthenticationError("401", status_code=401),
    "400": lambda: e.InvalidRequestError("400", status_code=400),
    "in-band error": lambda: e.OverloadedError("in band"),
    "cut": lambda: e.ConnectionError("cut"),
    "malformed": lambda: e.MalformedResponseError("malformed"),
    "truncated": lambda: None,
}
STATUSES = ("500", "429", "401", "400")


@dataclass(frozen=True)
class Behaviour:
    """What the upstream does to one request.

    Attributes:
        says: The pieces of text that come.
        ends: `whole`, or what goes wrong behind them.
        delays: Seconds before each step, the first of them before the head.
    """

    says: tuple[str, ...] = ()
    ends: str = "whole"
    delays: tuple[float, ...] = ()


pieces = st.lists(st.sampled_from(["a", "b ", "ü", "\n"]), min_size=1, max_size=3).map(tuple)
behaviours = st.one_of(
    st.builds(Behaviour, pieces),
    st.builds(Behaviour, st.just(()), st.sampled_from(STATUSES)),
    st.builds(
        Behaviour,
        st.just(()) | pieces,
        st.sampled_from(["in-band error", "cut", "malformed", "truncated"]),
    ),
)
delays = st.lists(st.sampled_from([0.0, 0.0, 0.5, 2.0, 5.0]), max_size=4).map(tuple)
late_behaviours = st.builds(lambda b, d: replace(b, delays=d), behaviours, delays)


# ------------------------------------------------------------------------------ the stacks


@dataclass(frozen=True)
class Timeout:
    limits: tuple[tuple[str, float], ...]

    def layer(self, name):
        return timeout(**dict(self.limits))

    def bound(self, inner):
        return inner


@dataclass(frozen=True)
class Retry:
    attempts: int

    def layer(self, name):
        return retry(attempts=self.attempts, wait_initial=0)

    def bound(self, inner):
        return self.attempts * inner


@dataclass(frozen=True)
class Fallback:
    targets: int
    stream: str

    def layer(self, name):
        # Each of another provider, where there are several.
        names = [f"{('claude-', 'openrouter/x/')[n % 2]}{name}-{n}" for n in range(self.targets)]
        return fallback(names, stream=self.stream)

    def bound(self, inner):
        return (1 + self.targets) * inner


limits = st.sampled_from(["total", "first_token", "inter_chunk"])
kinds = st.one_of(
    st.builds(
        Timeout,
        st.dictionaries(limits, st.sampled_from([1.0, 3.0, 10.0]), min_size=1).map(
            lambda chosen: tuple(chosen.items())
        ),
    ),
    st.builds(Retry, st.integers(1, 3)),
    st.builds(Fallback, st.integers(1, 2), st.sampled_from(["before_content", "restart"])),
)
stacks = st.lists(kinds, max_size=4)


def built(stack, split, provider, clock):
    """The stack around the provider, in one pipeline or, split somewhere, in two."""
    layers = [kind.layer(f"model{number}") for number, kind in enumerate(stack)]
    inner = build_pipeline(layers[split:], provider=provider, order="off", clock=clock)
    if not split:
        return inner
    return build_pipeline(layers[:split], provider=inner, order="off", clock=clock)


def bound(stack):
    """How many requests a stack may make at most."""
    most = 1
    for kind in reversed(stack):
        most = kind.bound(most)
    return most


# ------------------------------------------------------------------------------ the model


@dataclass
class Failed(Exception):
    """An error as far as it matters who goes on after it."""

    retryable: bool
    elsewhere: bool = False


@dataclass
class Stream:
    """An answer: its text, what goes wrong behind it, and who may take over then, inside out."""

    text: str
    breaks: bool
    recoveries: list = field(default_factory=list)


class Model:
    """Plays a script through a stack, without any time or any chunk."""

    def __init__(self, script, *, streams):
        self.script = list(script)
        self.streams = streams
        self.calls = 0

    def provider(self):
        self.calls += 1
        behaviour = self.script.pop(0) if self.script else Behaviour(("last",))
        broken = behaviour.ends != "whole"
        if broken and (not self.streams or not behaviour.says):
            raise Failed(behaviour.ends not in ("400", "401"), elsewhere=behaviour.ends == "401")
        return Stream("".join(behaviour.says), broken)

    def ask(self, stack):
        if not stack:
            return self.provider()
        kind, *inner = stack
        if isinstance(kind, Timeout):
            return self.ask(inner)
        if isinstance(kind, Retry):
            for attempt in range(1, kind.attempts + 1):
                try:
                    return self.ask(inner)
                except Failed as failed:
                    if attempt == kind.attempts or not failed.retryable:
                        raise
        return self.fall_back(kind, inner)

    def fall_back(self, kind, inner):
        left = 1 + kind.targets
        errors = []

        def ask_next():
            nonlocal left
            while left and (not errors or errors[-1].retryable or errors[-1].elsewhere):
                left -= 1
                try:
                    stream = self.ask(inner)
                except Failed as failed:
                    errors.append(failed)
                    continue
                if kind.stream == "restart":
                    stream.recoveries.append(take_over)
                return stream
            if len(errors) == 1:
                raise errors[0]
            raise Failed(any(error.retryable for error in errors))

        def take_over(failed):
            errors.append(failed)
            return ask_next()

        return ask_next()

    def read(self, stream):
        """The text of each beginning, and whether the last of them is whole."""
        if not stream.breaks:
            return [stream.text], None
        texts, failed = [stream.text], Failed(retryable=True)
        for recover in stream.recoveries:
            try:
                replacement = recover(failed)
            except Failed as worse:
                failed = worse
                continue
            more, failed = self.read(replacement)
            texts += more
            if failed is None:
                break
        return texts, failed

    def run(self, stack):
        try:
            texts, failed = self.read(self.ask(stack))
        except Failed:
            return [], False
        return texts, failed is None


# ------------------------------------------------------------------------------ the consumer


@dataclass
class Seen:
    """What a consumer of one call saw, and how it ended."""

    texts: list[str] = field(default_factory=list)
    finished: bool = False
    error: Exception | None = None
    endings: list[list[str]] = field(default_factory=list)
    attempts: list = field(default_factory=list)
    took: float = 0.0


async def consume(llm, *, streams, **arguments):
    """Make a call, and note everything about it."""
    seen = Seen()

    async def watch(request, call_next):
        seen.attempts = request.context.attempts
        response = await call_next(request)
        told = []
        seen.endings.append(told)
        return response.on_settle(lambda outcome: told.append(outcome.status))

    llm = type(llm)([watch, *llm.middlewares], provider=llm.provider, model="own", clock=llm._clock)
    began = llm._clock.now()
    try:
        if streams:
            stream = llm.stream("hi", **arguments)
            async with stream:
                async for chunk in stream:
                    if chunk.restarted or not seen.texts:
                        seen.texts.append("")
                    seen.texts[-1] += chunk.content or ""
                    seen.finished = seen.finished or chunk.finish_reason == "stop"
            assert stream.result.text == seen.texts[-1]
            assert stream.response.outcome.status == "completed"
        else:
            whole = await llm.complete("hi", **arguments)
            seen.texts, seen.finished = [whole.text], whole.finish_reason == "stop"
    except e.LLMClientError as error:
        seen.error = error
        assert not seen.finished
    seen.took = llm._clock.now() - began
    return seen
