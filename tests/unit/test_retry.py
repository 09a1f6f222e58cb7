"""retry(): what it tries again, how long it waits, and what it leaves alone."""

import asyncio
import pickle
import threading
from contextlib import suppress
from math import inf, nan

import pytest

from scallion import Context, OrderWarning, Request, Response, build_pipeline
from scallion import exceptions as e
from scallion.middlewares import RetryBudget, retry
from scallion.middlewares._retry import wait_before_retry
from scallion.testing import ManualClock
from scallion.types import StreamChunk
from support.chunks import ROLE, STOP, Source, answer, words

DEFAULTS = {"wait_initial": 0.5, "wait_max": 8.0, "max_retry_after": 60.0}


class Upstream:
    """A provider that plays a script of errors and answers, and counts."""

    def __init__(self, *script):
        self.script = list(script)
        self.calls = 0

    async def __call__(self, request):
        self.calls += 1
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(step, Exception):
            raise step
        if isinstance(step, Source):
            return Response.streaming(step, request)
        if request.stream:
            return Response.streaming(words(step), request)
        return Response.completed(answer(step), request)


def pipeline(upstream, **settings):
    clock = ManualClock(auto=True)
    layer = retry(rng=lambda: 1.0, **settings)
    return build_pipeline([layer], provider=upstream, model="m", clock=clock), clock


# ------------------------------------------------------------------------------ the decision


@pytest.mark.parametrize(
    ("error", "retried"),
    [
        (e.ConnectionError("x"), True),
        (e.TimeoutError("x"), True),
        (e.RateLimitError("x"), True),
        (e.RateLimitError("x", retryable=False), False),
        (e.ServerError("x"), True),
        (e.OverloadedError("x"), True),
        (e.MalformedResponseError("x"), True),
        (e.StreamTruncatedError("x"), True),
        (e.ProviderError("x", status_code=409, retryable=True), True),
        (e.InvalidRequestError("x"), False),
        (e.InvalidRequestError("x", retryable=True), True),
        (e.ServerError("x", retryable=False), False),
        (e.ContextWindowExceededError("x"), False),
        (e.ContentPolicyError("x"), False),
        (e.AuthenticationError("x"), False),
        (e.PermissionDeniedError("x"), False),
        (e.ModelNotFoundError("x"), False),
        (e.AllModelsFailedError("x", errors=[], retryable=True), True),
        (e.AllModelsFailedError("x", errors=[]), False),
        (e.BudgetExceededError("x"), False),
        (e.CacheMissError("x"), False),
        (ValueError("a bug"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_retried_by_default(error, retried):
    assert (wait_before_retry(error, 1, **DEFAULTS) is not None) is retried


@pytest.mark.parametrize(
    ("attempt", "draw", "expected"),
    [
        (1, 1.0, 0.5),
        (2, 1.0, 1.0),
        (3, 1.0, 2.0),
        (5, 1.0, 8.0),
        (6, 1.0, 8.0),
        (5_000, 1.0, 8.0),
        (3, 0.0, 0.0),
        (3, 0.25, 0.5),
    ],
)
def test_waits_double_up_to_the_maximum_and_are_a_random_part_of_that(attempt, draw, expected):
    assert wait_before_retry(e.ServerError("x"), attempt, **DEFAULTS, draw=draw) == expected


@pytest.mark.parametrize(
    ("retry_after", "draw", "expected"),
    [(3.0, 0.0, 3.0), (3.0, 1.0, 3.5), (60.0, 0.0, 60.0), (60.1, 0.0, None), (0.0, 0.5, 0.25)],
)
def test_retry_after_is_a_lower_bound_and_never_shortened(retry_after, draw, expected):
    error = e.RateLimitError("x", retry_after=retry_after)

    assert wait_before_retry(error, 1, **DEFAULTS, draw=draw) == expected


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        (e.AuthenticationError, 0.5),
        (e.ServerError, None),
        ((e.ServerError, e.AuthenticationError), 0.5),
        (lambda error, attempt: True, 0.5),
        (lambda error, attempt: False, None),
        (lambda error, attempt: None, None),
        (lambda error, attempt: 7.5, 7.5),
        (lambda error, attempt: 0.0, 0.0),
        (lambda error, attempt: attempt, 1.0),
        (lambda error, attempt: isinstance(error, e.AuthenticationError), 0.5),
    ],
)
def test_on_decides_by_types_or_by_a_predicate_whose_number_is_the_wait(on, expected):
    assert wait_before_retry(e.AuthenticationError("x"), 1, **DEFAULTS, on=on) == expected


@pytest.mark.parametrize("wait", [nan, inf, -1.0, "yes", [3]])
def test_a_predicates_wait_that_would_never_end_is_refused(wait):
    with pytest.raises(ValueError, match=r"retry\(on=\) must return seconds"):
        wait_before_retry(e.ServerError("x"), 1, **DEFAULTS, on=lambda error, attempt: wait)


@pytest.mark.parametrize(
    ("retry_after", "expected"), [(nan, None), (inf, None), (-5.0, 0.5), (0.0, 0.5)]
)
def test_a_retry_after_that_makes_no_sense_hangs_nobody(retry_after, expected):
    error = e.RateLimitError("x", retry_after=retry_after)
    assert wait_before_retry(error, 1, **DEFAULTS) == expected


# ------------------------------------------------------------------------------ the mechanism


@pytest.mark.parametrize("mode", ["complete", "stream"])
async def test_it_tries_until_it_gets_an_answer(mode):
    upstream = Upstream(e.ServerError("1"), e.ConnectionError("2"), "Hi")
    llm, clock = pipeline(upstream)

    if mode == "complete":
        text = (await llm.complete("hi")).text
    else:
        text = (await llm.stream("hi").collect()).text

    assert text == "Hi"
    assert upstream.calls == 3
    assert clock.slept == [0.5, 1.0]


async def test_the_last_error_is_raised_as_it_is_with_every_attempt():
    errors = [e.ServerError("1"), e.RateLimitError("2"), e.OverloadedError("3")]
    upstream = Upstream(*errors)
    llm, _ = pipeline(upstream)

    with pytest.raises(e.OverloadedError) as caught:
        await llm.complete("hi")

    assert caught.value is errors[2]
    assert [attempt.error for attempt in caught.value.attempts] == errors
    assert [attempt.waited_after for attempt in caught.value.attempts] == [0.5, 1.0, None]


async def test_one_attempt_means_no_retry():
    upstream = Upstream(e.ServerError("1"))
    llm, clock = pipeline(upstream, attempts=1)

    with pytest.raises(e.ServerError):
        await llm.complete("hi")

    assert upstream.calls == 1
    assert clock.slept == []


async def test_a_stream_that_breaks_before_content_is_retried():
    upstream = Upstream(
        Source([ROLE], e.OverloadedError("busy")), Source([ROLE]), Source([ROLE]), "Hi"
    )
    llm, _ = pipeline(upstream, attempts=4)

    assert [c.content async for c in llm.stream("hi") if c.content] == ["Hi"]
    assert upstream.calls == 4


async def test_a_stream_that_breaks_after_content_is_not_retried():
    upstream = Upstream(Source([StreamChunk.of("Hel")], e.ServerError("boom")))
    llm, _ = pipeline(upstream)

    with pytest.raises(e.StreamInterruptedError):
        await llm.stream("hi").collect()

    assert upstream.calls == 1


async def test_a_wait_beyond_the_deadline_is_not_begun():
    upstream = Upstream(e.RateLimitError("slow down", retry_after=10.0))
    llm, clock = pipeline(upstream)

    with pytest.raises(e.RateLimitError):
        await llm.complete("hi", deadline=9.0)

    assert upstream.calls == 1
    assert clock.slept == []


@pytest.mark.parametrize(("deadline", "calls"), [(10.0, 1), (10.1, 3)])
async def test_a_wait_up_to_the_very_deadline_is_not_begun_either(deadline, calls):
    upstream = Upstream(e.ServerError("x"))
    llm, clock = pipeline(upstream, on=lambda error, attempt: 10.0 if attempt == 1 else 0.0)

    with pytest.raises(e.ServerError):
        await llm.complete("hi", deadline=deadline)

    assert upstream.calls == calls
    assert clock.slept == [10.0, 0.0][: calls - 1]


async def test_a_retry_after_over_the_maximum_goes_on_at_once():
    upstream = Upstream(e.RateLimitError("slow down", retry_after=61.0))
    llm, clock = pipeline(upstream)

    with pytest.raises(e.RateLimitError):
        await llm.complete("hi")

    assert upstream.calls == 1
    assert clock.slept == []


async def test_cancelling_during_the_wait_ends_it():
    clock = ManualClock()
    upstream = Upstream(e.ServerError("1"))
    llm = build_pipeline([retry()], provider=upstream, model="m", clock=clock)
    call = asyncio.create_task(llm.complete("hi"))
    await clock.advance(0)

    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert upstream.calls == 1


async def test_cancellation_is_never_retried():
    async def cancelled(request):
        upstream.calls += 1
        raise asyncio.CancelledError

    upstream = Upstream("unused")
    llm, _ = pipeline(cancelled)

    with pytest.raises(asyncio.CancelledError):
        await llm.complete("hi")

    assert upstream.calls == 1


async def test_cancellation_is_not_retried_even_if_the_predicate_says_so():
    async def cancelled(request):
        calls.append(request)
        raise asyncio.CancelledError

    calls = []
    llm, _ = pipeline(cancelled, on=lambda error, attempt: True)

    with pytest.raises(asyncio.CancelledError):
        await llm.complete("hi")

    assert len(calls) == 1


async def test_what_a_layer_further_in_raises_before_anything_was_sent_is_retried_too():
    async def moody(request, call_next):
        calls.append(request)
        if len(calls) < 3:
            raise e.ServerError("not yet")
        return await call_next(request)

    calls = []
    llm, clock = pipeline(Upstream("Hi"))
    response = await llm.with_middlewares(moody).send(
        Request("m", "hi", context=Context(clock=clock))
    )

    assert len(calls) == 3
    assert [a.waited_after for a in response.request.context.attempts] == [None]


async def test_a_wait_stands_in_the_attempt_that_it_followed_and_in_no_other():
    failures = iter([None, e.ConnectionError("not even sent"), None])
    contexts = []

    async def stumbles(request, call_next):
        contexts.append(request.context)
        failure = next(failures)
        if failure is not None:
            raise failure
        return await call_next(request)

    upstream = Upstream(e.ServerError("down"), "Hi")
    clock = ManualClock(auto=True)
    layers = [retry(rng=lambda: 1.0), stumbles]
    await build_pipeline(layers, provider=upstream, model="m", clock=clock).complete("hi")

    assert clock.slept == [0.5, 1.0]
    assert [a.waited_after for a in contexts[0].attempts] == [0.5, None]


@pytest.mark.parametrize("breaks", [e.ServerError("cut"), None], ids=["error", "truncation"])
async def test_a_complete_call_over_a_stream_that_breaks_is_retried_because_nobody_saw_it(breaks):
    broken = Source([StreamChunk.of("Hel")], *[breaks] if breaks else [])
    llm, _ = pipeline(Upstream(broken, Source([StreamChunk.of("Hi")], [STOP])))

    response = await llm.send(Request("m", "hi"))

    assert (await response.collect()).text == "Hi"
    assert [a.status for a in response.outcome.attempts] == ["failed", "completed"]


async def test_an_iterator_of_messages_is_read_once_and_sent_each_time():
    sent = []

    async def provider(request):
        sent.append(tuple(request.messages))
        if len(sent) < 3:
            raise e.ServerError("again")
        return Response.completed(answer(), request)

    llm, _ = pipeline(provider)
    await llm.complete(m for m in [{"role": "user", "content": "hi"}])

    assert sent == [({"role": "user", "content": "hi"},)] * 3


@pytest.mark.parametrize(
    "settings",
    [
        {"attempts": 0},
        *[
            {name: number}
            for name in ("wait_initial", "wait_max", "max_retry_after")
            for number in (-1, nan)
        ],
    ],
)
def test_numbers_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValueError, match=rf"^{next(iter(settings))} must be"):
        retry(**settings)


@pytest.mark.parametrize("kind", [list, set, frozenset, tuple])
async def test_several_types_may_come_in_any_collection(kind):
    upstream = Upstream(e.AuthenticationError("a"), e.ServerError("b"), "Hi")
    llm, _ = pipeline(upstream, on=kind([e.AuthenticationError, e.ServerError]))

    assert (await llm.complete("hi")).text == "Hi"


@pytest.mark.parametrize("on", [5, "ServerError", int, [int], BaseException, [e.ServerError, 5]])
def test_what_is_no_condition_is_refused_when_the_layer_is_made(on):
    with pytest.raises(TypeError, match="on must be exception types or a predicate"):
        retry(on=on)


def test_an_async_predicate_is_refused_because_a_promise_is_always_true():
    async def asks_somebody(error, attempt):
        return False

    class AsksSomebody:
        async def __call__(self, error, attempt):
            return False

    for on in (asks_somebody, AsksSomebody()):
        with pytest.raises(TypeError, match="on cannot be async"):
            retry(on=on)


def test_it_takes_keywords_only():
    with pytest.raises(TypeError):
        retry(3)


# ------------------------------------------------------------------------------ the budget


async def test_a_budget_is_shared_by_all_layers_and_concurrent_calls():
    budget = RetryBudget(ratio=0, min_per_second=0, burst=4)
    upstream = Upstream(e.ServerError("down"))
    inner, clock = pipeline(upstream, budget=budget)
    layers = [retry(budget=budget), retry(budget=budget)]
    outer = build_pipeline(layers, provider=upstream, model="m", clock=clock, order="off")

    results = await asyncio.gather(
        *[outer.complete("hi") for _ in range(5)],
        *[inner.complete("hi") for _ in range(5)],
        return_exceptions=True,
    )

    assert all(isinstance(result, e.ServerError) for result in results)
    assert upstream.calls == 10 + 4


def test_a_budget_earns_with_calls_and_with_time_up_to_its_burst():
    budget = RetryBudget(ratio=0.5, min_per_second=0.1, burst=2)
    assert [budget.withdraw(0.0) for _ in range(3)] == [True, True, False]

    budget.deposit(0.0)
    assert not budget.withdraw(0.0)
    budget.deposit(0.0)
    assert budget.withdraw(0.0)

    assert not budget.withdraw(9.0)
    assert budget.withdraw(10.0)

    for _ in range(100):
        budget.deposit(10.0)
    assert [budget.withdraw(10.0) for _ in range(3)] == [True, True, False]


def test_what_time_pays_in_is_capped_too_and_shown_after_a_deposit():
    budget = RetryBudget(ratio=0.5, min_per_second=0.1, burst=2)
    for _ in range(2):
        assert budget.withdraw(0.0)

    budget.deposit(10.0)
    assert budget.balance == 1.5

    assert [budget.withdraw(1_000.0) for _ in range(3)] == [True, True, False]


def test_a_time_that_another_thread_saw_earlier_changes_nothing():
    budget = RetryBudget(ratio=0, min_per_second=0.1, burst=1)
    assert budget.withdraw(10.0)

    assert not budget.withdraw(5.0)
    assert not budget.withdraw(15.0)
    assert budget.withdraw(20.0)


def test_threads_that_look_at_the_clock_together_earn_once():
    budget = RetryBudget(ratio=0, min_per_second=1, burst=100)
    assert all(budget.withdraw(0.0) for _ in range(50))
    together = threading.Barrier(2)

    class Now(float):
        def __sub__(self, earlier):
            with suppress(threading.BrokenBarrierError):
                together.wait(timeout=0.1)  # for the other thread, which the lock keeps out
            return float(self) - earlier

    threads = [threading.Thread(target=budget.deposit, args=(Now(10.0),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert budget.balance == 60


async def test_a_call_pays_in_once_however_many_layers_share_the_budget():
    budget = RetryBudget(ratio=1, min_per_second=0, burst=10)
    while budget.withdraw(0.0):
        pass
    layers = [retry(budget=budget), retry(budget=budget)]
    nested = build_pipeline(layers, provider=Upstream("Hi"), model="m", order="off")

    await nested.complete("hi")

    assert budget.balance == 1


def test_tenths_add_up_to_a_whole_try():
    budget = RetryBudget(ratio=0.1, min_per_second=0, burst=1)
    assert budget.withdraw(0.0)
    for _ in range(10):
        budget.deposit(0.0)
    assert budget.withdraw(0.0)


@pytest.mark.parametrize("number", [-1, nan])
@pytest.mark.parametrize("setting", ["ratio", "min_per_second", "burst"])
def test_a_budget_refuses_what_is_negative_or_no_number(setting, number):
    with pytest.raises(ValueError, match="negative"):
        RetryBudget(**{setting: number})


def test_a_budget_pickles():
    copy = pickle.loads(pickle.dumps(RetryBudget(ratio=0.3, min_per_second=2, burst=5)))
    assert repr(copy) == "RetryBudget(ratio=0.3, min_per_second=2, burst=5)"


# ------------------------------------------------------------------------------ the layer


def test_it_shows_what_it_was_made_from_and_pickles():
    layer = retry(attempts=5)

    assert repr(layer) == "retry(attempts=5)"
    assert repr(pickle.loads(pickle.dumps(layer))) == "retry(attempts=5)"


def test_a_retry_inside_a_retry_is_pointed_out():
    with pytest.warns(OrderWarning, match=r"retry\(\) inside retry\(\): their attempts multiply"):
        build_pipeline([retry(), retry()], provider=Upstream("x"))
    with pytest.raises(ValueError, match="multiply"):
        build_pipeline([retry(), retry()], provider=Upstream("x"), order="error")
    build_pipeline([retry(), retry()], provider=Upstream("x"), order="off")


async def test_the_context_is_the_same_in_every_attempt():
    seen = []

    async def provider(request):
        seen.append(request.context)
        if len(seen) < 3:
            raise e.ServerError("again")
        return Response.completed(answer(), request)

    llm, clock = pipeline(provider)
    context = Context(clock=clock)
    await llm.send(Request("m", "hi", context=context))

    assert seen == [context] * 3


def test_an_error_of_ones_own_that_is_wanted_waits_like_any_other():
    assert wait_before_retry(KeyError("x"), 1, **DEFAULTS, on=KeyError, draw=0.5) == (
        wait_before_retry(e.ServerError("x"), 1, **DEFAULTS, draw=0.5)
    )
