"""Scenarios 7 and 8: the bill of every call over HTTP is what the provider bills."""

from __future__ import annotations

import csv
import json
import warnings
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from scallion.costs import PriceTable, price
from scallion.exceptions import ProviderError, StreamInterruptedError
from scallion.middlewares import Ledger, cache, cost, fallback, retry
from scallion.testing import ManualClock
from support.upstream import CUT, completion_stream, error, json_reply, message_stream, sse
from support.world import MODELS, Mode


@pytest.fixture
def clock():
    """A day on which all these prices were in force."""
    return ManualClock(auto=True, start=datetime(2026, 11, 20, tzinfo=UTC).timestamp())


USED = {"usage": (1_000, 100)}


def openai_usage(prompt, completion, inside=None, made=None, **more):
    counted = {"prompt_tokens": prompt, "completion_tokens": completion}
    counted |= {"total_tokens": prompt + completion, **more}
    if inside:
        counted["prompt_tokens_details"] = inside
    if made:
        counted["completion_tokens_details"] = made
    return counted


def anthropic_usage(fresh, output, read=0, write=0, hour=0, **more):
    return {
        "input_tokens": fresh,
        "output_tokens": output,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": write,
        "cache_creation": {
            "ephemeral_5m_input_tokens": write - hour,
            "ephemeral_1h_input_tokens": hour,
        },
        **more,
    }


# What each provider bills, in US dollars per million tokens by its own list: sums done by hand.
BILLS = {
    # 200 x 2.50 + 800 x 1.25 + 100 x 10
    "cached reads": (
        "openai", "gpt-4o", openai_usage(1_000, 100, {"cached_tokens": 800}), {}, "0.0025",
    ),
    # 10 x 2 + 500 x 8
    "reasoning": ("openai", "o3", openai_usage(10, 500, made={"reasoning_tokens": 400}), {}, "0.00402"),
    # 100 x 2.50 + 900 x 32 + 10 x 10 + 90 x 64
    "audio": (
        "openai", "gpt-audio",
        openai_usage(1_000, 100, {"audio_tokens": 900}, {"audio_tokens": 90}), {}, "0.03491",
    ),
    # 100 x 5 + 900 x 8 + 10 x 10 + 90 x 32
    "images": (
        "openai", "chatgpt-image-latest",
        openai_usage(1_000, 100, {"image_tokens": 900}, {"image_tokens": 90}), {}, "0.01068",
    ),
    # 1 + 5, twice, and 2 x 2 + 2 x 10
    "flex": ("openai", "gpt-6-sol", openai_usage(1_000, 1_000), {"service_tier": "flex"}, "0.006"),
    "priority": (
        "openai", "gpt-6-sol", openai_usage(1_000, 1_000), {"service_tier": "priority"}, "0.024",
    ),
    # 272,001 tokens are beyond the step: 1 x 4 + 272,000 x 0.40
    "context steps": (
        "openai", "gpt-6-sol", openai_usage(272_001, 0, {"cached_tokens": 272_000}), {}, "0.108804",
    ),
    # 100 x 3 + 200 x 0.30 + 400 x 3.75 + 500 x 6 + 10 x 15
    "reads and writes": (
        "anthropic", "claude-sonnet-4-5", anthropic_usage(100, 10, 200, 900, 500), {}, "0.00501",
    ),
    # 1,000 x 3 and three searches at $10 a thousand
    "web search": (
        "anthropic", "claude-sonnet-4-5",
        anthropic_usage(1_000, 0, server_tool_use={"web_search_requests": 3}), {}, "0.033",
    ),
    # 100 x 3 and 10 x 15, of an answer that is nothing but a compaction
    "a compaction alone": (
        "anthropic", "claude-sonnet-4-5",
        anthropic_usage(0, 0, iterations=[
            {"type": "compaction", "input_tokens": 100, "output_tokens": 10},
        ]), {}, "0.00045",
    ),
    # 200,001 tokens, most of them read: 1 x 6 + 200,000 x 0.60 + 1,000 x 22.50
    "context steps of Claude": (
        "anthropic", "claude-sonnet-4-5", anthropic_usage(1, 1_000, 200_000), {}, "0.142506",
    ),
    # half of 1 and half of 5
    "batch": (
        "anthropic", "claude-haiku-4-5", anthropic_usage(1_000, 1_000, service_tier="batch"), {},
        "0.003",
    ),
    # what OpenRouter itself says
    "the provider's own bill": (
        "openrouter", "meta-llama/llama-3.3-70b-instruct",
        openai_usage(1_000, 100, cost=0.00012345, is_byok=False), {}, "0.00012345",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BILLS)
async def test_a_call_costs_what_the_provider_bills_streamed_or_not(world, mode, case):
    provider, model, usage, more, total = BILLS[case]
    world.says(**{provider: mode.good(provider, model=model, usage=usage, **more)})
    books = cost()
    prefix = "openrouter/" if provider == "openrouter" else ""
    answer = await mode.ask(world.pipeline(books, model=prefix + model))

    assert answer.cost.total == Decimal(total)
    (entry,) = books.entries
    assert (entry.cost, entry.exact, entry.status) == (Decimal(total), True, "completed")
    assert books.total == Decimal(total)
    assert sum(entry.breakdown.values()) == Decimal(total)


async def test_a_batch_of_openais_is_priced_as_one():
    usage = openai_usage(1_000, 1_000)
    assert price("gpt-4o", usage, batch=True).total == Decimal("0.00625")


async def test_an_unknown_model_has_no_cost_one_warning_and_never_a_silent_zero(world, mode):
    world.says(openai=mode.good("openai", model="house-1", **USED))
    books = cost()
    llm = world.pipeline(books, model="house-1")
    with pytest.warns(UserWarning, match="no price is known for openai/house-1"):
        first = await mode.ask(llm)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second = await mode.ask(llm)
    assert (first.cost, second.cost) == (None, None)
    assert (books.ledger.unpriced, books.total) == (2, 0)
    assert [entry.cost for entry in books.entries] == [None, None]


async def test_an_error_that_brings_its_bill_is_billed_by_that(world, mode):
    bill = openai_usage(43, 10, cost=0.00321, is_byok=False)
    failed = {"id": "g", "error": {"code": 502, "message": "upstream"}, "usage": bill}
    part = {"delta": {"content": "Hel"}, "index": 0}
    reply = completion_stream(sse({"choices": [part]}), sse(failed | {"choices": []}), finish=None)
    world.says(openrouter=reply if mode.streams else json_reply(failed | {"choices": []}))
    books = cost()

    with pytest.raises(ProviderError, match="upstream"):
        await mode.ask(world.pipeline(books, first="openrouter"))

    (entry,) = books.entries
    assert (entry.cost, entry.exact, entry.status) == (Decimal("0.00321"), True, "failed")


ZEROS = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


@pytest.mark.parametrize("usage", [ZEROS, {}], ids=["zeros", "empty"])
async def test_a_server_that_counts_nothing_is_billed_by_estimate_and_never_at_zero(
    world, mode, usage
):
    world.says(openai=mode.good("openai", "Hello there", model="gpt-4o", usage=usage))
    books = cost()
    await mode.ask(world.pipeline(books))

    (entry,) = books.entries
    assert entry.cost > 0
    assert entry.usage.completion_tokens == 2
    assert not entry.exact


async def test_an_empty_count_behind_the_real_one_changes_nothing(world):
    events = [
        sse({"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]}),
        sse({"choices": [], "usage": openai_usage(5, 2)}),
        sse({"choices": [], "usage": ZEROS}),
        b"data: [DONE]\n\n",
    ]
    world.says(openai=completion_stream(*events, finish=None))
    books = cost()
    answer = await Mode("stream").ask(world.pipeline(books))

    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (5, 2)
    assert books.entries[0].exact


async def test_a_ledger_holds_failures_an_abort_and_a_hit_marked_as_what_they_are(world, tmp_path):
    mode = Mode("stream")
    books = cost()
    llm = world.pipeline(books, cache(), retry(attempts=3))
    world.says(openai=[error(500), error(429), mode.good("openai", "one two three", hang=True)])
    async with llm.stream("Tell me", temperature=0, metadata={"team": "x"}) as stream:
        async for _ in stream:
            break
    world.says(openai=mode.good("openai", model="gpt-4o", **USED))
    for _ in range(2):
        answer = await mode.ask(llm, temperature=0, tenant="acme", metadata={"team": "x"})

    entries = books.entries
    assert [(entry.status, entry.exact) for entry in entries] == [
        ("failed", True),
        ("failed", True),
        ("closed", False),
        ("completed", True),
        ("cached", True),
    ]
    assert [entry.cost for entry in entries[:2]] == [0, 0]
    assert 0 < entries[2].cost < Decimal("0.0002")
    assert entries[3].cost == Decimal("0.0035")
    assert (entries[4].cost, entries[4].saved) == (0, Decimal("0.0035"))
    assert answer.cached
    assert answer.cost.total == 0
    assert books.total == entries[2].cost + Decimal("0.0035")
    assert books.ledger.saved == Decimal("0.0035")
    assert books.by_tenant == {None: entries[2].cost, "acme": Decimal("0.0035")}
    assert books.ledger.by_metadata("team") == {"x": books.total}

    books.ledger.to_jsonl(tmp_path / "books.jsonl")
    books.ledger.to_csv(tmp_path / "books.csv")
    lines = [json.loads(line) for line in (tmp_path / "books.jsonl").read_text().splitlines()]
    with (tmp_path / "books.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for written in (lines, rows):
        assert sum(Decimal(row["cost"]) for row in written) == books.total
        assert [row["status"] for row in written] == [entry.status for entry in entries]
    assert Decimal(rows[4]["saved"]) == Decimal("0.0035")


async def test_an_aborted_stream_that_said_its_usage_at_the_start_is_billed_by_it(world):
    mode = Mode("stream")
    world.says(anthropic=message_stream("one two ", CUT, usage=(5_000, 100)))
    books = cost()
    with pytest.raises(StreamInterruptedError) as caught:
        await mode.ask(world.pipeline(books, first="anthropic"))
    (entry,) = books.entries
    # 5,000 x 3, as message_start said, and the words that came.
    assert entry.usage.prompt_tokens == 5_000
    assert Decimal("0.015") < entry.cost < Decimal("0.0151")
    assert caught.value.partial.cost.total == entry.cost


async def test_every_target_of_a_fallback_is_billed_by_its_own_price(world, mode):
    world.says(
        openai=error(503),
        anthropic=mode.good("anthropic", model=MODELS["anthropic"], **USED),
    )
    books = cost()
    answer = await mode.ask(world.pipeline(books, fallback([MODELS["anthropic"]])))
    # 1,000 x 3 + 100 x 15
    assert answer.cost.total == Decimal("0.0045")
    assert [(entry.provider, entry.cost) for entry in books.entries] == [
        ("openai", 0),
        ("anthropic", Decimal("0.0045")),
    ]


async def test_a_hit_is_in_each_ledger_once_however_pipelines_nest(world, mode):
    world.says(openai=mode.good("openai", model="gpt-4o", **USED))
    mine, shared = cost(), Ledger()
    inner = world.pipeline(cache(), cost(shared))
    llm = world.pipeline(mine, cost(shared), provider=inner)
    for _ in range(2):
        await mode.ask(llm, temperature=0)
    for books in (mine.ledger, shared):
        assert [entry.status for entry in books.entries if entry.status == "cached"] == ["cached"]
        assert books.saved == Decimal("0.0035")


async def test_cost_and_cache_are_right_in_either_order(world, mode):
    world.says(openai=mode.good("openai", model="gpt-4o", **USED))
    outside = cost()
    llm = world.pipeline(outside, cache())
    paid, hit = [await mode.ask(llm, temperature=0) for _ in range(2)]
    assert (paid.cost.total, hit.cost.total, hit.cached) == (Decimal("0.0035"), 0, True)
    assert [(entry.status, entry.saved) for entry in outside.entries] == [
        ("completed", None),
        ("cached", Decimal("0.0035")),
    ]

    inside = cost()
    llm = world.pipeline(cache(), inside)
    paid, hit = [await mode.ask(llm, temperature=0) for _ in range(2)]
    assert (paid.cost.total, hit.cost.total, hit.cached) == (Decimal("0.0035"), 0, True)
    # A hit never gets as far as this layer, and yet it is in its books.
    assert [(entry.status, entry.saved) for entry in inside.entries] == [
        ("completed", None),
        ("cached", Decimal("0.0035")),
    ]
    assert outside.total == inside.total == Decimal("0.0035")


@pytest.mark.parametrize("prices", ["genai-prices", "file"])
async def test_other_prices_can_be_billed_by(world, mode, prices, tmp_path):
    if prices == "file":
        prices = tmp_path / "prices.json"
        prices.write_text('{"gpt-4o": {"input": 2.5, "output": 10}}')
    world.says(openai=mode.good("openai", model="gpt-4o", **USED))
    books = cost(prices=prices)
    assert (await mode.ask(world.pipeline(books))).cost.total == Decimal("0.0035")


async def test_a_stream_and_a_whole_answer_cost_the_same_to_the_last_digit(world):
    table = PriceTable()
    table.register("gpt-4o", input="0.333333333", output="7.777777777", cache_read="0.0111111111")
    usage = openai_usage(7_919, 6_007, {"cached_tokens": 1_009})
    totals = []
    for mode in (Mode("complete"), Mode("stream")):
        world.says(openai=mode.good("openai", model="gpt-4o", usage=usage))
        books = cost(prices=table)
        await mode.ask(world.pipeline(books))
        totals.append(books.total)
    assert totals[0] == totals[1]
