"""budget(): what is reserved, refused, settled and given back."""

import asyncio
import re
import threading
from decimal import Decimal
from pathlib import Path

import pytest
import tiktoken

from scallion import Attempt, Context, Request, Response, _tokens_text, build_pipeline, tokens
from scallion import exceptions as e
from scallion.costs import PriceTable, register_price
from scallion.middlewares import budget, cost, fallback, retry
from scallion.middlewares._budget import _actual, _key
from scallion.middlewares._worst_case import as_sent, worst_case
from scallion.stores import Window, memory
from scallion.testing import ManualClock
from scallion.types import StreamChunk, Usage
from support.chunks import STOP, Source, answer

USED = Usage(prompt_tokens=10, completion_tokens=10, total_tokens=20)


@pytest.fixture
def prices():
    table = PriceTable()
    register_price("m", input=1, output=10, prices=table)
    register_price("dear", input=100, output=1_000, prices=table)
    return table


class Provider:
    """Answers with a usage; can be held back, fail, or stream."""

    name = "p"

    def __init__(self, *script, gate=None):
        self.script = list(script)
        self.gate = gate
        self.asked = []

    async def __call__(self, request):
        self.asked.append(request)
        if self.gate is not None:
            await self.gate.wait()
        step = self.script.pop(0) if self.script else USED
        if isinstance(step, BaseException):
            raise step
        if isinstance(step, list):
            return Response.streaming(Source(*step), request, provider="p")
        whole = answer("Hi", usage=step, model=request.model)
        whole.provider = "p"
        return Response.completed(whole, request)


def pipeline(limit, provider, *inner, outer=(), clock=None):
    return build_pipeline(
        [*outer, limit, *inner], provider=provider, model="m", clock=clock or ManualClock(auto=True)
    )


async def spent(limit, total, key=None):
    return Decimal(str(total)) - (await limit.remaining(key)).usd


async def test_a_call_within_the_budget_passes_and_its_true_cost_is_settled(prices):
    limit = budget(usd=1, prices=prices)

    await pipeline(limit, Provider()).complete("hi", max_tokens=100)

    assert await spent(limit, 1) == Decimal("0.00011")


async def test_a_call_that_could_cost_more_is_refused_before_anything_is_sent(prices):
    limit = budget(usd="0.0005", prices=prices)
    provider = Provider()

    with pytest.raises(e.BudgetExceededError) as caught:
        await pipeline(limit, provider).complete("hi", max_tokens=100)

    refused = caught.value
    assert provider.asked == []
    assert (refused.unit, refused.key, refused.limit) == ("usd", "pipeline", Decimal("0.0005"))
    assert refused.spent == refused.reserved == 0
    assert Decimal("0.001") < refused.asked < Decimal("0.0011")
    assert refused.resets_at is None
    assert "does not cover m" in str(refused)
    assert refused.attempts == ()


async def test_calls_at_the_same_time_never_spend_the_same_money(prices):
    gate = asyncio.Event()
    provider = Provider(gate=gate)
    limit = budget(usd="0.001", prices=prices)
    llm = pipeline(limit, provider)
    calls = [asyncio.create_task(llm.complete("hi", max_tokens=38)) for _ in range(50)]
    await asyncio.sleep(0.01)
    gate.set()
    results = await asyncio.gather(*calls, return_exceptions=True)

    answered = [r for r in results if not isinstance(r, Exception)]
    assert len(answered) == len(provider.asked) == 2
    assert all(isinstance(r, e.BudgetExceededError) for r in results if r not in answered)
    assert await spent(limit, "0.001") == 2 * Decimal("0.00011")


async def test_what_was_not_used_can_be_used_by_the_next_call(prices):
    limit = budget(usd="0.0012", prices=prices)
    llm = pipeline(limit, Provider())

    for _ in range(2):
        await llm.complete("hi", max_tokens=100)

    assert await spent(limit, "0.0012") == Decimal("0.00022")


@pytest.mark.parametrize(
    ("failure", "billed"),
    [
        (e.ServerError("x", status_code=500), Decimal(0)),
        (e.RateLimitError("x", status_code=429), Decimal(0)),
        (asyncio.CancelledError(), Decimal(0)),
        (ValueError("a bug"), Decimal(0)),
    ],
)
async def test_a_failed_call_gives_back_what_it_had_reserved(prices, failure, billed):
    limit = budget(usd=1, prices=prices)

    with pytest.raises(type(failure)):
        await pipeline(limit, Provider(failure)).complete("hi", max_tokens=100)

    assert await spent(limit, 1) == billed


async def test_a_broken_off_stream_is_settled_by_what_arrived(prices):
    limit = budget(usd=1, prices=prices)
    script = [[StreamChunk.of("one two three")], [StreamChunk.of("four")], [STOP]]

    async with pipeline(limit, Provider(script)).stream("hi", max_tokens=1_000) as stream:
        async for _ in stream:
            break

    assert Decimal("0.00003") < await spent(limit, 1) < Decimal("0.0001")


async def test_each_attempt_is_reserved_for_by_its_own_price(prices):
    limit = budget(usd="0.01", prices=prices)
    provider = Provider(e.ServerError("down", status_code=500))
    llm = pipeline(limit, provider, fallback(["dear"]))

    with pytest.raises(e.AllModelsFailedError) as caught:
        await llm.complete("hi", max_tokens=100)

    assert isinstance(caught.value.errors[1], e.BudgetExceededError)
    assert [request.model for request in provider.asked] == ["m"]


async def test_a_refusal_is_not_retried_wherever_the_budget_stands(prices):
    limit = budget(usd="0.0001", prices=prices)
    provider = Provider()
    llm = pipeline(limit, provider, outer=[retry()])

    with pytest.raises(e.BudgetExceededError):
        await llm.complete("hi", max_tokens=100)

    assert provider.asked == []


async def test_tokens_can_be_limited_too(prices):
    limit = budget(tokens=250)
    llm = pipeline(limit, Provider())

    await llm.complete("hi", max_tokens=100)
    assert (await limit.remaining()).tokens == 230
    with pytest.raises(e.BudgetExceededError) as caught:
        await llm.complete("hi", max_tokens=240)

    assert (caught.value.unit, caught.value.limit, caught.value.spent) == ("tokens", 250, 20)


async def test_both_limits_hold_at_once(prices):
    limit = budget(usd=1, tokens=50, prices=prices)

    with pytest.raises(e.BudgetExceededError) as caught:
        await pipeline(limit, Provider()).complete("hi", max_tokens=100)

    assert caught.value.unit == "tokens"
    assert await limit.remaining() == (1, 50)


@pytest.mark.parametrize(
    ("per", "keys"),
    [
        ("tenant", ["a", "b"]),
        (lambda request: request.context.metadata["team"], ["x", "y"]),
    ],
)
async def test_each_key_has_a_budget_of_its_own(prices, per, keys):
    limit = budget(usd="0.0012", per=per, prices=prices)
    llm = pipeline(limit, Provider())
    await llm.complete("hi", tenant="a", metadata={"team": "x"}, max_tokens=100)
    await llm.complete("hi", tenant="b", metadata={"team": "y"}, max_tokens=100)

    assert [await spent(limit, "0.0012", key) for key in keys] == [Decimal("0.00011")] * 2


async def test_a_window_begins_anew():
    clock = ManualClock(auto=True)
    table = PriceTable()
    register_price("m", input=1, output=10, prices=table)
    limit = budget(usd="0.0011", window=60, store=memory(clock=clock), prices=table)
    llm = pipeline(limit, Provider(), clock=clock)
    await llm.complete("hi", max_tokens=100)
    with pytest.raises(e.BudgetExceededError) as caught:
        await llm.complete("hi", max_tokens=100)

    assert caught.value.resets_at is not None
    await clock.sleep(caught.value.resets_at - clock.time())
    await llm.complete("hi", max_tokens=100)


async def test_the_reservation_of_a_process_that_died_is_given_back(prices):
    clock = ManualClock(auto=True)
    gate = asyncio.Event()
    limit = budget(usd="0.0011", hold=30, store=memory(clock=clock), prices=prices)
    lost = asyncio.create_task(
        pipeline(limit, Provider(gate=gate), clock=clock).complete("hi", max_tokens=100)
    )
    await asyncio.sleep(0.01)
    llm = pipeline(limit, Provider(), clock=clock)
    with pytest.raises(e.BudgetExceededError):
        await llm.complete("hi", max_tokens=100)

    await clock.sleep(31)
    await llm.complete("hi", max_tokens=100)
    lost.cancel()
    with pytest.raises(asyncio.CancelledError):
        await lost


async def test_an_unknown_price_is_refused_by_default():
    provider = Provider()
    limit = budget(usd=1, prices=PriceTable())

    with pytest.raises(e.UnknownPriceError, match="register_price"):
        await pipeline(limit, provider).complete("hi", max_tokens=100)

    assert provider.asked == []


async def test_an_unknown_price_can_be_allowed_or_assumed():
    llm = pipeline(budget(usd=1, prices=PriceTable(), unknown_price="allow"), Provider())
    await llm.complete("hi", max_tokens=100)

    limit = budget(usd=1, prices=PriceTable(), unknown_price={"input": 5, "output": 20})
    await pipeline(limit, Provider()).complete("hi", max_tokens=100)
    assert await spent(limit, 1) == Decimal("0.00025")


async def test_a_model_whose_output_nobody_knows_needs_a_limit(prices):
    provider = Provider()
    with pytest.raises(e.UnknownPriceError, match="max_output_tokens"):
        await pipeline(budget(usd=1, prices=prices), provider).complete("hi")

    await pipeline(budget(usd=1, prices=prices, max_output_tokens=50), provider).complete("hi")

    assert provider.asked[0].params == {"max_tokens": 50}


async def test_the_models_own_limit_is_reserved_for():
    limit = budget(usd="0.01")
    with pytest.raises(e.BudgetExceededError) as caught:
        await pipeline(limit, Provider()).complete("hi", model="gpt-4o")

    # 16,384 tokens of output at $10 per million.
    assert Decimal("0.16384") < caught.value.asked < Decimal("0.165")


async def test_several_choices_are_reserved_for():
    limit = budget(usd="0.0015")
    llm = pipeline(limit, Provider())

    with pytest.raises(e.BudgetExceededError):
        await llm.complete("hi", model="gpt-4o", max_tokens=100, n=2)


async def test_it_warns_once_at_each_fraction(prices):
    heard = []
    limit = budget(
        usd="0.0012",
        prices=prices,
        warn_at=(0.05, 0.1),
        on_warning=lambda key, fraction: heard.append((key, fraction)),
    )
    llm = pipeline(limit, Provider())
    for _ in range(3):
        await llm.complete("hi", max_tokens=80)

    assert heard == [("pipeline", 0.05), ("pipeline", 0.1)]


async def test_a_new_window_is_warned_of_anew():
    clock = ManualClock(auto=True)
    table = PriceTable()
    register_price("m", input=1, output=10, prices=table)
    for window in (Window(60), Window(60, sliding=True)):
        heard = []
        limit = budget(
            usd="0.0012", window=window, store=memory(clock=clock), prices=table,
            warn_at=(0.05,), on_warning=lambda key, fraction, heard=heard: heard.append(fraction),
        )  # fmt: skip
        llm = pipeline(limit, Provider(), clock=clock)
        for _ in range(2):
            await llm.complete("hi", max_tokens=80)
        assert heard == [0.05]
        await clock.sleep(125)
        # The window has forgotten everything; what crosses the mark again is news again.
        await llm.complete("hi", max_tokens=80)
        assert heard == [0.05, 0.05]


async def test_what_a_warning_raises_reaches_the_caller_and_the_call_is_settled(prices):
    def complain(key, fraction):
        raise ZeroDivisionError

    limit = budget(usd="0.0012", prices=prices, warn_at=(0.01,), on_warning=complain)
    with pytest.raises(ZeroDivisionError):
        await pipeline(limit, Provider()).complete("hi", max_tokens=80)
    assert await spent(limit, "0.0012") == Decimal("0.00011")


@pytest.mark.parametrize(("total", "left"), [(115, 885), (15, 985), (0, 985)])
async def test_of_a_total_and_its_parts_the_larger_is_spent(prices, total, left):
    limit = budget(tokens=1_000, prices=prices)
    used = Usage(prompt_tokens=10, completion_tokens=5, total_tokens=total)
    await pipeline(limit, Provider(used)).complete("hi", max_tokens=10)
    assert (await limit.remaining()).tokens == left


async def test_a_service_tier_that_is_no_text_does_not_break_the_reservation(prices):
    limit = budget(usd=1, prices=prices)
    await pipeline(limit, Provider()).complete("hi", max_tokens=10, service_tier=["flex"])
    assert (await limit.remaining()).usd < 1


async def test_a_budget_for_all_is_the_same_whoever_asks_for_it(prices):
    limit = budget(tokens=1_000, prices=prices)
    await pipeline(limit, Provider()).complete("hi", max_tokens=10)
    assert await limit.remaining("acme") == await limit.remaining()


@pytest.mark.parametrize("tokens", [-5, 2**60])
async def test_a_count_that_cannot_be_never_breaks_the_account(prices, tokens):
    odd = Usage(prompt_tokens=tokens, completion_tokens=0, total_tokens=tokens)
    limit = budget(usd=1, tokens=10**6, prices=prices)
    await pipeline(limit, Provider(odd)).complete("hi", max_tokens=10)
    left = await limit.remaining()
    assert left == ((1, 10**6) if tokens < 0 else (0, 0))


async def test_a_call_that_could_cost_more_than_can_be_counted_is_refused(prices):
    limit = budget(usd=10**6, tokens=10**9, prices=prices)
    with pytest.raises(e.BudgetExceededError):
        await pipeline(limit, Provider()).complete("hi", max_tokens=10**18)


async def test_a_store_that_fails_fails_the_call(prices):
    class Broken:
        url = "broken://"

        async def reserve(self, *claims, ttl):
            raise e.StoreError("unreachable")

    provider = Provider()
    limit = budget(usd=1, prices=prices, store=Broken())

    with pytest.raises(e.StoreError):
        await pipeline(limit, provider).complete("hi", max_tokens=100)

    assert provider.asked == []


async def test_a_store_that_fails_can_be_passed_over_with_a_warning_once_a_minute(prices, caplog):
    store, provider, clock = memory(), Provider(), ManualClock(auto=True)
    limit = budget(usd="0.0001", prices=prices, store=store, on_error="pass")
    llm = build_pipeline([limit], provider=provider, model="m", clock=clock)

    async def fail(*claims, ttl):
        raise e.StoreError("unreachable")

    with pytest.raises(e.BudgetExceededError):
        await llm.complete("hi", max_tokens=1000)
    store.reserve = fail
    for _ in range(3):
        await llm.complete("hi", max_tokens=1000)
    await clock.advance(61)
    await llm.complete("hi", max_tokens=1000)
    assert [r.getMessage() for r in caplog.records] == [
        "budget(): the store memory:// failed, and calls go on uncounted: unreachable"
    ] * 2
    assert len(provider.asked) == 4
    with pytest.raises(ValueError, match="on_error must be"):
        budget(usd=1, on_error="ignore")


async def test_two_pipelines_with_one_store_and_name_share_a_budget(prices):
    store = memory()
    first = budget(usd="0.0012", store=store, prices=prices)
    second = budget(usd="0.0012", store=store, prices=prices)
    await pipeline(first, Provider()).complete("hi", max_tokens=100)

    assert await spent(second, "0.0012") == Decimal("0.00011")
    other = budget(usd="0.0012", store=store, prices=prices, name="other")
    assert await spent(other, "0.0012") == 0


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"usd": -1},
        {"tokens": -1},
        {"tokens": 1.5},
        {"tokens": 2**60},
        {"usd": float("nan")},
        {"usd": float("inf")},
        {"usd": "ten"},
        {"usd": 10**8},
        {"usd": 1, "unknown_price": "guess"},
        {"usd": 1, "unknown_price": {}},
        {"usd": 1, "unknown_price": {"inptu": 5, "output": 20}},
        {"usd": 1, "unknown_price": {"input": 5}},
        {"usd": 1, "unknown_price": {"input": -5, "output": 20}},
        {"usd": 1, "unknown_price": {"input": float("nan"), "output": 20}},
        {"usd": 1, "unknown_price": {"input": "five", "output": 20}},
        {"usd": 1, "window": 0},
        {"usd": 1, "hold": 0},
    ],
)
def test_what_makes_no_sense_is_refused(settings):
    with pytest.raises((ValueError, TypeError), match=r"limit|tokens|unknown_price|window|hold"):
        budget(**settings)


def test_a_window_may_be_given_as_one():
    assert repr(budget(usd=1, window=Window(60, sliding=True))).startswith("budget(usd=1, window=")


@pytest.mark.parametrize(
    "params",
    [
        {"max_tokens": "many"},
        {"max_tokens": -1},
        {"max_tokens": float("inf")},
        {"max_tokens": 5, "n": "two"},
        {"max_tokens": 5, "extra_body": {"model": 5}},
    ],
)
async def test_what_a_request_could_cost_must_be_told_by_it(prices, params):
    provider = Provider()
    for most in (None, 50):
        limit = budget(usd=1, prices=prices, max_output_tokens=most)
        with pytest.raises(e.InvalidRequestError, match="what this request could cost"):
            await pipeline(limit, provider).complete("hi", **params)
    assert provider.asked == []


async def test_what_extra_body_asks_for_is_reserved(prices):
    limit = budget(tokens=500, prices=prices)
    llm = pipeline(limit, Provider())
    with pytest.raises(e.BudgetExceededError):
        await llm.complete("hi", max_tokens=10, extra_body={"max_tokens": 600})
    longer = [{"role": "user", "content": "word " * 600}]
    with pytest.raises(e.BudgetExceededError):
        await llm.complete("hi", max_tokens=10, extra_body={"messages": longer})
    dear = pipeline(budget(usd="0.0012", prices=prices), Provider())
    with pytest.raises(e.BudgetExceededError, match="does not cover dear"):
        await dear.complete("hi", max_tokens=100, extra_body={"model": "dear"})


async def test_of_two_limits_of_the_output_the_larger_is_reserved_for(prices):
    limit = budget(tokens=500, prices=prices)
    with pytest.raises(e.BudgetExceededError):
        await pipeline(limit, Provider()).complete("hi", max_completion_tokens=1, max_tokens=600)


async def test_the_dearest_of_the_models_that_may_stand_in_is_reserved_for(prices):
    provider = Provider()
    limit = budget(usd="0.0012", prices=prices)
    for models, error in ((["dear"], e.BudgetExceededError), (["nobody"], e.UnknownPriceError)):
        with pytest.raises(error):
            await pipeline(limit, provider).complete(
                "hi", max_tokens=100, extra_body={"models": models}
            )
    assert provider.asked == []


@pytest.mark.parametrize("tenant", ["a:usd:b", ":usd:", "a:tokens:b"])
async def test_a_tenants_name_is_never_taken_for_a_unit(tenant):
    limit = budget(tokens=200, per="tenant")

    await pipeline(limit, Provider()).complete("hi", model="mine", tenant=tenant, max_tokens=100)

    assert (await limit.remaining(tenant)) == (None, 180)
    with pytest.raises(e.BudgetExceededError) as caught:
        await pipeline(limit, Provider()).complete("hi", tenant=tenant, max_tokens=300)
    assert (caught.value.unit, caught.value.limit) == ("tokens", 200)


async def test_calls_without_a_key_share_a_budget_that_can_be_looked_at(prices):
    limit = budget(usd=1, prices=prices, per=lambda _: None)

    await pipeline(limit, Provider()).complete("hi", max_tokens=100)

    assert await spent(limit, 1) == Decimal("0.00011")


async def test_what_one_budget_has_held_comes_back_when_the_next_one_refuses(prices):
    wide, narrow = budget(usd=1, prices=prices), budget(tokens=5, name="narrow")
    with pytest.raises(e.BudgetExceededError):
        await pipeline(wide, Provider(), narrow).complete("hi", max_tokens=100)
    assert await wide.remaining() == (1, None)


@pytest.mark.parametrize(
    "marked",
    [
        {"cache_control": {"type": "ephemeral"}},
        {"tools": [{"name": "f", "input_schema": {}, "cache_control": {"type": "ephemeral"}}]},
        {"messages": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]},
    ],
    ids=["call", "tools", "message"],
)
async def test_a_prompt_that_is_written_to_the_cache_is_reserved_at_the_price_of_writing(marked):
    table = PriceTable()
    register_price("m", input=0, output=0, cache_write=10, cache_write_1h=100, prices=table)
    params = dict(marked)
    content = params.pop("messages", "hi")
    with pytest.raises(e.BudgetExceededError):
        await pipeline(budget(usd="0.0001", prices=table), Provider()).complete(
            [{"role": "user", "content": content}], max_tokens=10, **params
        )


@pytest.mark.parametrize("written", [20, 5])
async def test_what_a_provider_may_cache_by_itself_is_reserved_at_the_dearer_rate(written):
    table = PriceTable()
    register_price("m", input=10, output=0, cache_write=written, prices=table)
    limit = budget(usd="0.000001", prices=table)
    asked = []
    for marks in ({}, {"cache_control": {"type": "ephemeral"}}):
        with pytest.raises(e.BudgetExceededError) as caught:
            await pipeline(limit, Provider()).complete("hi " * 1_000, max_tokens=1, **marks)
        asked.append(caught.value.asked)
    upper = tokens.estimate(Request("m", "hi " * 1_000)).upper
    assert asked == [upper * Decimal(max(written, 10)) / 10**6] * 2


SOUND = [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}}]


@pytest.mark.parametrize(
    ("model", "messages", "params", "asked"),
    [
        # output at $10, and at $20 in the priority tier; in flex, which may serve it as usual, $10
        ("gpt-6-sol", "hi", {}, "0.010"),
        ("gpt-6-sol", "hi", {"service_tier": "priority"}, "0.020"),
        ("gpt-6-sol", "hi", {"service_tier": "flex"}, "0.010"),
        ("gpt-6-sol", "hi", {"service_tier": "auto"}, "0.010"),
        # $25, twice that if it is to be fast, and 1.1 times in the US
        ("claude-opus-4-8", "hi", {}, "0.025"),
        ("claude-opus-4-8", "hi", {"speed": "fast"}, "0.050"),
        ("claude-opus-4-8", "hi", {"inference_geo": "us"}, "0.0275"),
        # text at $10, sound at $64
        ("gpt-audio", "hi", {}, "0.010"),
        ("gpt-audio", "hi", {"modalities": ["text", "audio"]}, "0.064"),
        ("gpt-audio", [{"role": "user", "content": SOUND}], {}, "0.010"),
        # thinking that does not fit inside the limit comes on top: 3,000 tokens at $25
        (
            "claude-opus-4-8",
            "hi",
            {"thinking": {"type": "enabled", "budget_tokens": 2_000}},
            "0.075",
        ),
        # text at $10, images at $32
        ("gpt-image-1.5", "hi", {"modalities": ["text", "image"]}, "0.032"),
    ],
)
async def test_what_makes_a_call_dearer_is_reserved_for(model, messages, params, asked):
    limit = budget(usd="0.000001")
    with pytest.raises(e.BudgetExceededError) as caught:
        clock = ManualClock(auto=True, start=1_795_000_000)
        await pipeline(limit, Provider(), clock=clock).complete(
            messages, model=model, max_tokens=1_000, **params
        )
    # The prompt is a few tokens.
    assert Decimal(asked) < caught.value.asked < Decimal(asked) + Decimal("0.001")


async def test_an_image_in_the_prompt_is_reserved_for_at_the_rate_of_images():
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    asked = []
    for model in ("text", "seeing"):
        table = PriceTable()
        register_price("text", input=1, output=0, prices=table)
        register_price("seeing", input=1, output=0, input_image=10, prices=table)
        with pytest.raises(e.BudgetExceededError) as caught:
            await pipeline(budget(usd="0", prices=table), Provider()).complete(
                [{"role": "user", "content": [image]}], model=model, max_tokens=1
            )
        asked.append(caught.value.asked)
    assert 10 * asked[0] <= asked[1] < 12 * asked[0]


async def test_a_mark_that_is_not_reached_is_not_warned_of(prices):
    heard = []
    limit = budget(usd=1, prices=prices, warn_at=(0.9,), on_warning=lambda *a: heard.append(a))
    await pipeline(limit, Provider()).complete("hi", max_tokens=80)
    assert heard == []


async def test_closing_the_pipeline_closes_the_budgets_store(prices):
    class Closing:
        def __init__(self):
            self.inner = memory()
            self.closed = False

        def __getattr__(self, name):
            return getattr(self.inner, name)

        async def aclose(self):
            self.closed = True

    store = Closing()
    async with pipeline(budget(usd=1, prices=prices, store=store), Provider()) as llm:
        await llm.complete("hi", max_tokens=10)
    assert store.closed


@pytest.fixture
def slow_ranks(monkeypatch):
    """The ranks as they are in a fresh process: they come when the event is set."""
    arrive = threading.Event()
    whole = tiktoken.get_encoding

    def slow(name):
        assert arrive.wait(20)
        return whole(name)

    monkeypatch.setattr(tiktoken, "get_encoding", slow)
    fresh = _tokens_text.Encoder("o200k_base")
    monkeypatch.setattr(tokens, "encoder", lambda name: fresh)
    tokens._counter.cache_clear()
    yield arrive
    arrive.set()
    tokens._counter.cache_clear()


async def test_the_first_call_loads_ranks_beside_the_event_loop(slow_ranks):
    limit = budget(usd=1)
    call = asyncio.create_task(pipeline(limit, Provider()).complete("hi", model="gpt-4o"))
    for _ in range(50):
        await asyncio.sleep(0.001)  # the loop turns while the ranks are not there
    assert not call.done()
    slow_ranks.set()
    assert (await call).text == "Hi"


async def test_settling_never_waits_for_ranks(slow_ranks, prices):
    books = cost()
    chunks = [[StreamChunk.of("one two three")], [STOP]]
    async with pipeline(books, Provider(chunks)).stream("hi", model="gpt-4o") as stream:
        async for _ in stream:
            break
    # The ranks never came, and the bill was made all the same: approximately.
    assert not slow_ranks.is_set()
    (entry,) = books.entries
    assert (entry.status, entry.exact) == ("closed", False)
    assert entry.cost > 0


@pytest.mark.parametrize("per", ["user", "tenants", None])
def test_a_key_that_there_is_not_is_refused_and_not_taken_for_the_pipelines(per):
    with pytest.raises(ValueError, match='per must be "pipeline", "tenant", "model" or a function'):
        budget(usd=1, per=per)


@pytest.mark.parametrize("store", ["budget.db", Path("budget.db"), {}, memory])
def test_what_is_no_store_is_refused(store):
    with pytest.raises(TypeError, match=f"store must be a store, not {re.escape(repr(store))}"):
        budget(usd=1, store=store)


def test_a_window_in_words_is_refused():
    with pytest.raises(TypeError, match="window must be seconds"):
        budget(usd=1, window="1d")


def reserved_for(messages="hi", **params):
    return worst_case(Request("gpt-4o", messages, {"max_tokens": 10} | params))


def test_only_what_can_be_dearer_is_reserved_for_as_such():
    plain = reserved_for()
    prompt, said = plain.prompt_tokens_details, plain.completion_tokens_details
    assert not any((prompt.audio_tokens, prompt.image_tokens, said.audio_tokens, said.image_tokens))
    assert plain.model_extra is None

    sound = [{"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}]
    heard = reserved_for([{"role": "user", "content": sound}])
    assert heard.prompt_tokens_details.audio_tokens == heard.prompt_tokens
    spoken = reserved_for(modalities=["text", "audio"]).completion_tokens_details
    assert (spoken.audio_tokens, spoken.image_tokens or 0) == (10, 0)


@pytest.mark.parametrize(
    ("parts", "sound", "image"),
    [
        (["a", {"type": "text", "text": "b"}], False, False),
        (["a", {"type": "input_audio", "input_audio": {"data": "UklGRg=="}}], True, False),
        ([{"type": "text", "text": "a"}, {"type": "image", "source": {}}], False, True),
    ],
)
def test_one_part_of_a_kind_is_enough_to_reserve_for_it(parts, sound, image):
    used = reserved_for([{"role": "user", "content": "a"}, {"role": "user", "content": parts}])
    kinds = used.prompt_tokens_details
    assert kinds.audio_tokens == (used.prompt_tokens if sound else 0)
    assert kinds.image_tokens == (used.prompt_tokens if image else 0)


MARK = {"cache_control": {"type": "ephemeral"}}
PART = {"type": "text", "text": "hi"}
TOOL = {"name": "f", "input_schema": {}}


@pytest.mark.parametrize(
    ("model", "message", "params", "written"),
    [
        ("claude", {"content": "hi"}, {}, False),
        ("claude", {"content": [PART]}, {"tools": [TOOL]}, False),
        ("claude", {"content": "hi"}, MARK, True),
        ("claude", {"content": "hi"} | MARK, {}, True),
        ("claude", {"content": [PART, PART | MARK]}, {}, True),
        ("claude", {"content": [PART]}, {"tools": [TOOL | MARK, TOOL]}, True),
        ("m", {"content": "hi"}, {}, True),
        (None, {"content": "hi"}, {}, True),
    ],
)
def test_only_claudes_prompt_is_surely_not_written_to_the_cache_and_only_without_a_mark(
    model, message, params, written
):
    messages = [{"role": "user"} | message, {"role": "user", "content": "go on"}]
    used = worst_case(Request(model, messages, {"max_tokens": 10} | params))
    kinds = used.prompt_tokens_details
    assert used.prompt_tokens > 0
    assert kinds.cache_write_tokens == (used.prompt_tokens if written else 0)
    assert kinds.cache_write_1h_tokens == kinds.cache_write_tokens


@pytest.mark.parametrize(
    ("limit", "thinking", "reserved"),
    [
        (1, None, 1),
        (1, {"type": "adaptive"}, 1),
        (10, {"type": "enabled", "budget_tokens": 9}, 10),
        (10, {"type": "enabled", "budget_tokens": 10}, 20),
    ],
)
def test_thinking_that_does_not_fit_inside_the_limit_is_reserved_for_on_top(
    limit, thinking, reserved
):
    assert reserved_for(max_tokens=limit, thinking=thinking).completion_tokens == reserved


def test_a_limit_of_no_tokens_is_refused():
    with pytest.raises(ValueError, match="max_tokens is 0: it must be above 0"):
        reserved_for(max_tokens=0)


@pytest.mark.parametrize("extra", [None, {}, "no dict"])
def test_an_extra_body_without_parameters_changes_nothing_of_what_is_sent(extra):
    request = Request("m", "hi", {"max_tokens": 5, "extra_body": extra})
    sent = as_sent(request)
    assert (sent.model, sent.messages, sent.params["max_tokens"]) == ("m", request.messages, 5)


def test_a_limit_of_the_call_comes_before_that_of_the_budget():
    call = Request("gpt-4o", "hi", {"max_tokens": 10})
    assert worst_case(call, max_output_tokens=99).completion_tokens == 10
    assert worst_case(Request("gpt-4o", "hi"), max_output_tokens=99).completion_tokens == 99
    with pytest.raises(e.UnknownPriceError, match="nobody knows how much None"):
        worst_case(Request(None, "hi"))


@pytest.mark.parametrize(
    ("per", "model", "tenant", "key"),
    [
        ("tenant", "m", "acme", "acme"), ("tenant", "m", None, "-"), ("model", "m", None, "m"),
        ("model", None, "acme", "-"), ("pipeline", "m", "acme", "pipeline"),
    ],
)  # fmt: skip
def test_whose_budget_it_is(per, model, tenant, key):
    assert _key(per, Request(model, "hi", context=Context(tenant=tenant))) == key


@pytest.mark.parametrize(
    ("assumed", "reserved", "usd"),
    [
        ({"input": 2, "output": 8}, {"tokens": 9, "usd": 5}, 0),
        (None, {"tokens": 9, "usd": 5}, 5),
        (None, {"tokens": 9}, None),
    ],
)
def test_what_cannot_be_priced_is_settled_as_assumed_or_else_as_reserved(assumed, reserved, usd):
    attempt = Attempt(model="nobody-knows-it", provider="p", status="failed")
    settled = _actual(attempt, Request("m", "hi"), PriceTable(), assumed, reserved)
    assert settled == {"tokens": 0} | ({} if usd is None else {"usd": usd})
