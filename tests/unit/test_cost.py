"""cost(): every attempt in the books, priced right, whoever stands where."""

import asyncio
import csv
import json
import pickle
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scallion import Attempt, Context, Request, Response, build_pipeline
from scallion import exceptions as e
from scallion.costs import PriceTable, register_price
from scallion.middlewares import Entry, Ledger, budget, cache, cost, fallback, retry
from scallion.middlewares._charge import charge_of
from scallion.testing import ManualClock
from scallion.types import (
    CompletionTokensDetails,
    FunctionCall,
    PromptTokensDetails,
    StreamChunk,
    ToolCall,
    Usage,
)
from support.chunks import STOP, Source, answer

USAGE = Usage(prompt_tokens=1_000, completion_tokens=100, total_tokens=1_100)


@pytest.fixture
def prices():
    table = PriceTable()
    register_price("m", input=1, output=10, prices=table)
    register_price("n", input=2, output=20, prices=table)
    return table


class Provider:
    """Answers from a script: errors, usages (whole answers), or lists of chunks (streams)."""

    name = "p"

    def __init__(self, *script):
        self.script = list(script)

    async def __call__(self, request):
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        if isinstance(step, Usage):
            whole = answer("Hi", usage=step, model=request.model)
            whole.provider = "p"
            return Response.completed(whole, request)
        return Response.streaming(Source(*step), request, provider="p")


def pipeline(books, *script, outer=(), inner=()):
    return build_pipeline(
        [*outer, books, *inner],
        provider=Provider(*script),
        model="m",
        clock=ManualClock(auto=True),
    )


def stream_of(*texts, usage=USAGE):
    chunks = [[StreamChunk(model="m", choices=StreamChunk.of(text).choices)] for text in texts]
    return [*chunks, [STOP], [StreamChunk(model="m", usage=usage)]]


async def test_a_complete_call_has_its_cost_and_an_entry(prices):
    books = cost(prices=prices)
    response = await pipeline(books, USAGE).complete("hi", tenant="acme", metadata={"job": 7})

    assert response.cost.total == Decimal("0.002")
    assert response.cost.breakdown["input"] == Decimal("0.001")
    (entry,) = books.entries
    assert (entry.model, entry.provider, entry.status, entry.exact) == ("m", "p", "completed", True)
    assert (entry.cost, entry.tenant, entry.metadata) == (Decimal("0.002"), "acme", {"job": 7})
    assert entry.usage == USAGE


async def test_a_stream_costs_the_same_as_the_complete_call(prices):
    books = cost(prices=prices)
    stream = pipeline(books, stream_of("Hi")).stream("hi")

    await stream.collect()

    assert stream.result.cost.total == Decimal("0.002")
    assert [entry.cost for entry in books.entries] == [Decimal("0.002")]


@pytest.mark.parametrize("place", ["outside", "between", "inside"])
async def test_every_attempt_is_recorded_wherever_it_stands(prices, place):
    books = cost(prices=prices)
    layers = {
        "outside": [books, retry(), fallback(["n"])],
        "between": [retry(), books, fallback(["n"])],
        "inside": [retry(), fallback(["n"]), books],
    }[place]
    script = [
        e.ServerError("1", status_code=500), e.ServerError("2", status_code=500),
        e.ConnectionError("3"), USAGE,
    ]  # fmt: skip
    llm = build_pipeline(
        layers, provider=Provider(*script), model="m", clock=ManualClock(auto=True)
    )

    await llm.complete("hi")

    assert [(n.model, n.status, n.cost, n.exact) for n in books.entries] == [
        ("m", "failed", Decimal(0), True),
        ("n", "failed", Decimal(0), True),
        ("m", "failed", Decimal(0), False),
        ("n", "completed", Decimal("0.004"), True),
    ]
    assert books.total == Decimal("0.004")
    assert books.by_model == {"m": 0, "n": Decimal("0.004")}


async def test_a_call_that_fails_altogether_is_recorded(prices):
    books = cost(prices=prices)

    with pytest.raises(e.AuthenticationError):
        await pipeline(books, e.AuthenticationError("no", status_code=401)).complete("hi")

    assert [(n.status, n.cost, n.exact) for n in books.entries] == [("failed", 0, True)]


async def test_an_aborted_stream_is_priced_from_what_arrived_and_marked_estimated(prices):
    books = cost(prices=prices)
    llm = pipeline(books, stream_of("one two three ", "four"))

    async with llm.stream("How are you?") as stream:
        async for _ in stream:
            break

    (entry,) = books.entries
    assert (entry.status, entry.exact) == ("closed", False)
    assert 0 < entry.usage.completion_tokens <= 4
    assert 5 < entry.usage.prompt_tokens < 15
    expected = entry.usage.prompt_tokens + 10 * entry.usage.completion_tokens
    assert entry.cost == Decimal(expected) / 10**6
    assert stream.result.cost.total == entry.cost


@pytest.mark.parametrize(
    ("usage", "billed"),
    [
        (Usage(prompt_tokens=1_000, completion_tokens=1, total_tokens=1_001), "0.00101"),
        (Usage(prompt_tokens=1_000, completion_tokens=1, cost=0.5), "0.5"),
    ],
)
async def test_a_stream_that_is_left_behind_its_last_word_is_billed_by_its_own_usage(
    prices, usage, billed
):
    books = cost(prices=prices)
    llm = pipeline(books, stream_of("Many words", " and more", usage=usage))
    async with llm.stream("hi") as stream:
        async for chunk in stream:
            if chunk.usage is not None:
                break

    (entry,) = books.entries
    assert (entry.status, entry.cost, entry.exact) == ("closed", Decimal(billed), False)


async def test_a_stream_that_is_left_before_another_choice_has_ended_is_estimated(prices):
    books = cost(prices=prices)
    usage = Usage(prompt_tokens=1_000, completion_tokens=1)
    chunks = [*stream_of("Many words", " and more", usage=usage), [StreamChunk.of("x")]]
    async with pipeline(books, chunks).stream("hi", n=2) as stream:
        async for chunk in stream:
            if chunk.usage is not None:
                break

    assert books.entries[0].usage.completion_tokens > 1


async def test_a_broken_stream_carries_its_estimated_cost_on_the_error(prices):
    books = cost(prices=prices)
    llm = pipeline(books, [[StreamChunk.of("one two")], e.ServerError("boom")])

    with pytest.raises(e.StreamInterruptedError) as caught:
        await llm.stream("hi").collect()

    assert caught.value.partial.text == "one two"
    assert caught.value.partial.cost.total > 0
    assert [(n.status, n.exact) for n in books.entries] == [("failed", False)]


async def test_what_the_provider_counted_before_the_break_is_used(prices):
    books = cost(prices=prices)
    first = StreamChunk(
        model="m",
        choices=StreamChunk.of("x").choices,
        usage=Usage(prompt_tokens=5_000, completion_tokens=1, total_tokens=5_001),
    )
    llm = pipeline(books, [[first], e.ServerError("boom")])

    with pytest.raises(e.StreamInterruptedError):
        await llm.stream("hi").collect()

    assert books.entries[0].usage.prompt_tokens == 5_000


async def test_a_stream_without_usage_is_estimated(prices):
    books = cost(prices=prices)

    llm = pipeline(books, [[StreamChunk.of("one two three")], [STOP]])
    response = await llm.stream("hi").collect()

    (entry,) = books.entries
    assert (entry.status, entry.exact, response.cost.exact) == ("completed", False, False)
    assert entry.usage.completion_tokens == 3


async def test_an_unknown_model_costs_none_with_one_warning_and_never_nothing():
    books = cost(prices=PriceTable())
    llm = pipeline(books, USAGE, USAGE)

    with pytest.warns(UserWarning, match="no price is known for p/m") as caught:  # noqa: PT031
        first = await llm.complete("hi")
        await llm.complete("hi")

    assert len(caught) == 1
    assert first.cost is None
    assert [entry.cost for entry in books.entries] == [None, None]
    assert (books.total, books.ledger.unpriced) == (0, 2)


async def test_a_model_that_does_not_exist_costs_nothing_and_needs_no_price():
    books = cost(prices=PriceTable())

    with pytest.raises(e.ModelNotFoundError):
        await pipeline(books, e.ModelNotFoundError("no such model", status_code=404)).complete("hi")

    (entry,) = books.entries
    assert (entry.cost, entry.exact, books.ledger.unpriced) == (0, True, 0)


async def test_the_providers_own_bill_wins(prices):
    books = cost(prices=prices)
    billed = Usage(prompt_tokens=1_000, completion_tokens=100, total_tokens=1_100, cost=0.00123)

    response = await pipeline(books, billed).complete("hi")

    assert response.cost.total == Decimal("0.00123")


async def test_a_cached_answer_costs_nothing_and_shows_what_it_saved(prices):
    async def cached(request, call_next):
        hit = answer("Hi", usage=USAGE, model="m")
        hit.cached = True
        return Response.completed(hit, request)

    books = cost(prices=prices)
    response = await pipeline(books, inner=[cached]).complete("hi")

    assert response.cost.total == 0
    (entry,) = books.entries
    assert (entry.status, entry.cost, entry.saved) == ("cached", 0, Decimal("0.002"))
    assert (books.total, books.ledger.saved) == (0, Decimal("0.002"))


@pytest.mark.parametrize("nested", [False, True])
async def test_two_layers_with_one_ledger_enter_an_attempt_once(prices, nested):
    books, other, heard = Ledger(), cost(prices=prices), []
    outer = cost(books, prices=prices)
    inner = cost(books, prices=prices, on_charge=heard.append)
    if nested:
        within = pipeline(inner, USAGE, e.ServerError("1"), USAGE, inner=[retry()])
        llm = build_pipeline([other, outer], provider=within, model="m")
    else:
        script = USAGE, e.ServerError("1"), USAGE
        llm = pipeline(inner, *script, outer=[other, outer, retry()])

    await llm.complete("hi")
    await llm.complete("hi")

    assert [entry.status for entry in books.entries] == ["completed", "failed", "completed"]
    assert books.total == other.total == Decimal("0.004")
    assert len(heard) == 3


async def test_on_charge_hears_of_each_entry(prices):
    heard = []
    llm = pipeline(
        cost(prices=prices, on_charge=heard.append), e.ServerError("1"), USAGE, inner=[retry()]
    )

    await llm.complete("hi")

    assert [entry.status for entry in heard] == ["failed", "completed"]


async def test_totals_by_tenant_and_metadata(prices):
    books = cost(prices=prices)
    llm = pipeline(books, USAGE, USAGE, USAGE)

    await llm.complete("hi", tenant="a", metadata={"team": "x", "doc": {"big": 1}})
    await llm.complete("hi", tenant="b", metadata={"team": "x"})
    await llm.complete("hi", metadata={"team": "y"})

    each = Decimal("0.002")
    assert books.by_tenant == {"a": each, "b": each, None: each}
    assert books.ledger.by_metadata("team") == {"x": 2 * each, "y": each}
    assert books.ledger.by_metadata("doc") == {}
    assert books.ledger.by_provider == {"p": 3 * each}


async def test_totals_go_on_when_old_entries_are_let_go(prices):
    books = cost(Ledger(max_entries=2), prices=prices)
    llm = pipeline(books, USAGE, USAGE, USAGE)
    for _ in range(3):
        await llm.complete("hi")

    assert len(books.entries) == 2
    assert books.total == Decimal("0.006")


async def test_the_books_can_be_exported(prices, tmp_path):
    books = cost(prices=prices)
    llm = pipeline(books, USAGE, e.ServerError("x", status_code=500))
    await llm.complete("hi", tenant="acme")
    with pytest.raises(e.ServerError):
        await llm.complete("hi")

    books.ledger.to_jsonl(tmp_path / "books.jsonl")
    books.ledger.to_csv(tmp_path / "books.csv")

    rows = [json.loads(line) for line in (tmp_path / "books.jsonl").read_text().splitlines()]
    assert Decimal(rows[0]["cost"]) == Decimal("0.002")
    assert rows[0]["usage"]["prompt_tokens"] == 1_000
    with (tmp_path / "books.csv").open() as file:
        table = list(csv.DictReader(file))
    assert (table[0]["tenant"], table[0]["completion_tokens"]) == ("acme", "100")
    assert (table[1]["status"], table[1]["cost"]) == ("failed", "0")


async def test_attempts_at_the_same_time_are_each_recorded(prices):
    async def hedge(request, call_next):
        first, second = await asyncio.gather(call_next(request), call_next(request))
        del first
        return second

    books = cost(prices=prices)
    llm = pipeline(books, stream_of("a"), stream_of("b"), inner=[hedge])
    await llm.stream("hi").collect()

    assert sorted(entry.status for entry in books.entries) == ["closed", "completed"]


def test_it_pickles_with_fresh_books():
    books = cost(Ledger())

    copy = pickle.loads(pickle.dumps(books))

    assert repr(copy).startswith("cost(ledger=<Ledger $0 in 0 entries>")
    assert copy.total == 0


async def test_the_call_id_ties_entries_to_logs(prices):
    books = cost(prices=prices)
    context = Context(id="call-1")
    llm = build_pipeline([books], provider=Provider(USAGE))

    await (await llm.send(Request("m", "hi", context=context))).collect()

    assert books.entries[0].call_id == "call-1"


async def test_the_tool_calls_of_a_broken_stream_are_estimated_too(prices):
    call = ToolCall(index=0, function=FunctionCall(name="find_it", arguments='{"where": "there"}'))
    books = cost(prices=prices)
    script = [[StreamChunk.of(None, tool_calls=[call])], e.ServerError("boom")]
    with pytest.raises(e.StreamInterruptedError):
        await pipeline(books, script).stream("hi").collect()
    assert books.entries[0].usage.completion_tokens >= 6


async def test_an_attempt_that_a_budget_refuses_is_none(prices):
    books = cost(prices=prices)
    llm = pipeline(books, USAGE, inner=[budget(tokens=1)])
    with pytest.raises(e.BudgetExceededError):
        await llm.complete("hi", max_tokens=10)
    assert books.entries == ()


async def test_what_a_cached_answer_saved_is_what_it_had_cost_whoever_gave_it():
    class Gateway:
        name = "gateway"

        async def __call__(self, request):
            whole = answer("Hi", usage=USAGE, model="an alias")
            whole.provider = self.name
            return Response.completed(whole, request)

    books = cost()
    llm = build_pipeline([books, cache()], provider=Gateway(), model="gpt-4o-mini")
    await llm.complete("hi")
    await llm.complete("hi")

    paid, hit = books.entries
    assert paid.cost > 0
    assert hit.saved == paid.cost


@pytest.mark.parametrize(
    "metadata", [{"job": object()}, {"ids": {1}}, {1: "x"}, {"text": "\ud800"}, {"a": [[cost()]]}]
)
async def test_books_with_any_labels_can_be_exported(prices, tmp_path, metadata):
    books = cost(prices=prices)
    await pipeline(books, USAGE).complete("hi", tenant="\ud800", metadata=metadata)

    books.ledger.to_jsonl(tmp_path / "ledger.jsonl")
    books.ledger.to_csv(tmp_path / "ledger.csv")

    (line,) = (tmp_path / "ledger.jsonl").read_text().splitlines()
    assert Decimal(json.loads(line)["cost"]) == Decimal("0.002")
    (row,) = csv.DictReader((tmp_path / "ledger.csv").read_text().splitlines())
    assert Decimal(row["cost"]) == Decimal("0.002")


@pytest.mark.parametrize("tenant", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", 'a",\n=b'])
async def test_no_cell_of_the_exported_table_is_a_formula(prices, tmp_path, tenant):
    books = cost(prices=prices)
    await pipeline(books, USAGE).complete("hi", tenant=tenant)

    books.ledger.to_csv(tmp_path / "ledger.csv")

    with (tmp_path / "ledger.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["tenant"].removeprefix("'") == tenant
    assert row["tenant"][0] in "'a"


async def test_a_cached_answer_without_usage_has_saved_nobody_knows_what(prices):
    async def cached(request, call_next):
        hit = answer("Hi", model="m")
        hit.cached = True
        return Response.completed(hit, request)

    books = cost(prices=prices)
    await pipeline(books, inner=[cached]).complete("hi")
    assert [(entry.cost, entry.saved) for entry in books.entries] == [(0, None)]


@st.composite
def usages(draw):
    """What a provider can report: parts of the prompt and of the completion, and its own bill."""
    prompt, completion = draw(st.integers(0, 10**6)), draw(st.integers(0, 10**5))
    read = draw(st.integers(0, prompt))
    write = draw(st.integers(0, prompt - read))
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        prompt_tokens_details=PromptTokensDetails(
            cached_tokens=read,
            cache_write_tokens=write,
            cache_write_1h_tokens=draw(st.integers(0, write)),
        ),
        completion_tokens_details=CompletionTokensDetails(
            reasoning_tokens=draw(st.integers(0, completion))
        ),
        cost=draw(st.none() | st.floats(0, 10)),
    )


RATES = st.decimals(0, 200, places=4)


@given(usages(), st.lists(RATES, min_size=6, max_size=6), st.lists(st.text(max_size=5), max_size=5))
def test_a_stream_costs_what_the_whole_answer_costs_whatever_was_used(usage, rates, texts):
    names = ("input", "output", "cache_read", "cache_write", "cache_write_1h", "reasoning")
    table = PriceTable()
    table.register("m", **dict(zip(names, rates, strict=True)))

    async def both():
        found = []
        for script in (usage, stream_of("Hi", *texts, usage=usage)):
            books = cost(prices=table)
            llm = pipeline(books, script)
            stream = llm.stream("hi") if script is not usage else None
            answer = await (llm.complete("hi") if stream is None else stream.collect())
            found.append((answer.cost.total, answer.cost.breakdown, answer.cost.exact, books.total))
        return found

    whole, streamed = asyncio.run(both())
    assert whole == streamed


def test_an_entry_made_in_the_middle_of_another_is_entered_and_waits_for_nothing():
    class Label(str):
        """A label that ends another call while it is looked up, as the garbage collector may."""

        __slots__ = ()

        def __hash__(self):
            if books is not None and not nested:
                nested.append(True)
                books.add(entry_of("inner"))
            return super().__hash__()

    nested = []
    books = None

    def entry_of(model):
        return Entry(
            model=model, provider="p", status="completed", at=datetime.now(UTC),
            cost=Decimal(1), exact=True,
        )  # fmt: skip

    outer = entry_of(Label("outer"))
    books = Ledger()
    books.add(outer)
    assert nested
    assert books.total == 2
    assert set(books.by_model) == {"outer", "inner"}


def charged(prices, *, said=None, **attempt):
    ended = Attempt(model="m", provider="p", response=said, **attempt)
    return charge_of(ended, Request("m", "hi"), prices)


@pytest.mark.parametrize(
    ("status", "code", "exact"),
    [
        ("failed", 400, True),
        ("failed", 399, False),
        ("failed", None, False),
        ("closed", 400, False),
    ],
)
def test_only_what_the_provider_rejected_is_surely_free(prices, status, code, exact):
    error = e.ServerError("no", status_code=code)
    charge = charged(prices, status=status, error=error)
    assert (charge.usage, charge.cost.total, charge.exact) == (None, 0, exact)


def test_a_usage_without_any_choice_is_billed(prices):
    said = answer("Hi", usage=USAGE, model="m")
    said.choices = []
    assert charged(prices, said=said, status="completed", exact=True).cost.total == Decimal("0.002")


def test_what_is_not_priced_exactly_is_not_exact(prices):
    said = answer("Hi", usage=Usage(prompt_tokens=1, completion_tokens=-5), model="m")
    charge = charged(prices, said=said, status="completed", exact=True)
    assert charge.exact is charge.cost.exact
    assert charged(PriceTable(), said=said, status="completed", exact=True).exact is False


def test_every_kind_of_text_that_arrived_is_estimated(prices):
    def completion_of(**fields):
        said = answer("", model="m")
        for name, value in fields.items():
            setattr(said.message, name, value)
        return charged(prices, said=said, status="closed").usage

    words = "some words that a model may have said"
    call = ToolCall(id="a", function=FunctionCall(name=words, arguments=None))
    other = ToolCall(id="a", function=FunctionCall(name=None, arguments=words))
    usages = [
        completion_of(content=words), completion_of(refusal=words), completion_of(reasoning=words),
        completion_of(reasoning_content=words), completion_of(tool_calls=[call]),
        completion_of(tool_calls=[other]),
    ]  # fmt: skip
    assert {usage.completion_tokens for usage in usages} == {usages[0].completion_tokens}
    assert usages[0].completion_tokens > 5
    assert usages[0].total_tokens == usages[0].prompt_tokens + usages[0].completion_tokens
