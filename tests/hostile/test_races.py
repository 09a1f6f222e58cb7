"""Many threads, many loops, one pipeline: each call is billed once and exactly, and nothing blocks.

Where asyncio's debug mode is on, whatever touches a loop from another thread raises. One callback
that holds a loop for 100 ms of processor time is an error too; time that the machine gave to
somebody else is not counted. (Counting the tokens of a long history that a budget sees for the first
time takes what it takes: some 100 ms for each 400 kB.)
"""

import asyncio
import gc
import random
import sys
import threading
import time
from collections import Counter
from decimal import Decimal

import pytest
from hostile.effort import EFFORT

from scallion import build_pipeline
from scallion.costs import PriceTable
from scallion.middlewares import Ledger, audit, budget, cache, cost, fallback, log, retry, timeout
from scallion.providers import anthropic, openai
from scallion.stores import memory, sqlite
from support.upstream import Upstream, completion, completion_stream, message, message_stream

CALLS = round(1_000 * EFFORT)
MODELS = [f"model-{number}" for number in range(5)]


class Quiet:
    def debug(self, event, **fields):
        pass

    info = warning = error = debug


def priced():
    table = PriceTable()
    for number, model in enumerate(MODELS, 1):
        table.register(model, input=number, output=10 * number)
    return table


def usage_of(number):
    """What call `number` uses: never the same twice."""
    return number + 1, 2 * number + 3


def reply(received):
    """The number of the call is its question; the usage follows from it."""
    said = received.json
    question = said["messages"][-1]["content"]
    number = int(question if isinstance(question, str) else question[-1]["text"])
    whole, streamed = (
        (message, message_stream)
        if received.path.endswith("/messages")
        else (completion, completion_stream)
    )
    make = streamed if said.get("stream") else whole
    return make(f"answer {number}", model=said["model"], usage=usage_of(number))


def model_of(number):
    return MODELS[number % 5]


def check(ledger, count):
    """One entry per call, each at the price of its own tokens and its own model."""
    entries = [entry for entry in ledger.entries if entry.status != "cached"]
    assert len(entries) == count
    for entry in entries:
        number = entry.metadata["n"]
        prompt, said = usage_of(number)
        rate = 1 + number % 5
        assert (entry.model, entry.exact, entry.status) == (model_of(number), True, "completed")
        assert (entry.usage.prompt_tokens, entry.usage.completion_tokens) == (prompt, said)
        assert entry.cost == Decimal(rate * (prompt + 10 * said)).scaleb(-6)
    assert Counter(entry.metadata["n"] for entry in entries) == Counter(range(count))
    assert ledger.total == sum(entry.cost for entry in entries)
    assert sum(ledger.by_model.values()) == sum(ledger.by_tenant.values()) == ledger.total


@pytest.fixture
def server():
    with Upstream(default=reply) as upstream:
        yield upstream
        upstream.run(upstream.all_closed())


@pytest.fixture(params=[("openai", "memory"), ("anthropic", "sqlite")], ids="-".join)
def kinds(request):
    return request.param


@pytest.fixture
def store(kinds, tmp_path):
    return memory() if kinds[1] == "memory" else sqlite(tmp_path / "store.db")


@pytest.fixture
def provider(kinds, server):
    make = openai if kinds[0] == "openai" else anthropic
    return make(api_key="k", base_url=server.url)


@pytest.fixture(autouse=True)
def slices():
    """Threads take turns a thousand times as often as usual, so that races show."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def records():
    return []


@pytest.fixture
def stack(provider, store, records):
    """All layers, over one ledger; and a budget that is told everything."""
    table, ledger = priced(), Ledger(max_entries=10**6)
    spending = budget(usd=10**6, tokens=10**12, prices=table, store=store, max_output_tokens=50)
    layers = [
        log(Quiet()), audit(records.append), cost(ledger, prices=table), cache(memory()), spending,
        timeout(total=120), fallback(["model-never"]), retry(attempts=2),
    ]  # fmt: skip
    return build_pipeline(layers, provider=provider, order="off"), ledger, spending, records


async def ask(llm, number):
    arguments = {"model": model_of(number), "tenant": f"t{number % 3}", "metadata": {"n": number}}
    if number % 2:
        answer = await llm.complete(str(number), **arguments)
    else:
        async with llm.stream(str(number), **arguments) as stream:
            async for _ in stream:
                pass
        answer = stream.result
    assert answer.text == f"answer {number}"
    assert answer.usage.prompt_tokens == usage_of(number)[0]


def in_threads(works):
    """Run all at once, and raise what any of them raised."""
    problems = []

    def guarded(work):
        try:
            work()
        except BaseException as problem:  # noqa: BLE001 - raised below
            problems.append(problem)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), "a thread hangs"
    if problems:
        raise problems[0]


async def check_stack(stack, count):
    _, ledger, spending, records = stack
    check(ledger, count)
    assert len(records) == count
    await spending.aclose()
    left = await spending.remaining()
    used = sum(sum(usage_of(number)) for number in range(count))
    assert left.tokens == 10**12 - used
    assert abs(left.usd - (10**6 - ledger.total)) <= Decimal(count) * Decimal("1e-9")


def test_loops_in_threads_and_one_after_the_other_share_one_pipeline(stack, kinds):
    # Debug mode costs five times as much; the pair that has it makes fewer calls.
    debug = kinds[0] == "anthropic"
    count = CALLS // 5 if debug else CALLS
    llm, per_thread = stack[0], count // 5

    def loops(first):
        numbers = list(range(first, first + per_thread))
        random.Random(first).shuffle(numbers)

        async def some(part):
            await asyncio.gather(*(ask(llm, number) for number in part))

        for at in range(0, per_thread, per_thread // 4):  # a loop for each quarter
            asyncio.run(some(numbers[at : at + per_thread // 4]), debug=debug)

    in_threads([lambda first=first: loops(first) for first in range(0, count, per_thread)])
    asyncio.run(check_stack(stack, count))


def test_threads_without_a_loop_share_one_pipeline(stack):
    llm, count = stack[0], CALLS // 5
    each = count // 10

    def calls(first):
        for number in range(first, first + each):
            arguments = {"model": model_of(number), "metadata": {"n": number}}
            if number % 2:
                answer = llm.sync.complete(str(number), **arguments)
            else:
                with llm.sync.stream(str(number), **arguments) as stream:
                    said = "".join(chunk.content or "" for chunk in stream)
                answer = stream.result
                assert said == answer.text
            assert answer.text == f"answer {number}"

    in_threads([lambda first=first: calls(first) for first in range(0, count, each)])
    llm.sync.close()
    asyncio.run(check_stack(stack, count))


def test_threads_and_loops_at_the_same_time_get_one_answer_for_equal_calls(provider, server):
    layer = cache(memory())
    llm = build_pipeline([layer], provider=provider, model="model-0")

    def here():
        assert llm.sync.complete("7").text == "answer 7"

    def there():
        async def some():
            answers = await asyncio.gather(*(llm.complete("7") for _ in range(10)))
            assert {answer.text for answer in answers} == {"answer 7"}

        asyncio.run(some(), debug=True)

    in_threads([here, there] * 8)
    llm.sync.close()
    stats = layer.stats
    assert server.count == stats.misses
    assert stats.hits + stats.joined + stats.misses == 8 * 11


async def test_nothing_holds_the_loop_while_many_calls_are_under_way(stack, server, monkeypatch):
    """By the thread's own processor time: on a busy machine the wall's says nothing."""
    llm = stack[0]
    for number in range(10_000, 10_004):
        await ask(llm, number)  # the imports and tables of a first call are its own affair
    stack[1]._entries.clear()
    seen = []
    run = asyncio.Handle._run

    def timed(handle):
        began = time.thread_time()
        run(handle)
        took = time.thread_time() - began
        if took > 0.1:
            seen.append(f"{took:.3f} s in {handle!r}")

    gc.collect()
    gc.disable()  # a full collection of all that pytest has imported is not ours either
    monkeypatch.setattr(asyncio.Handle, "_run", timed)
    try:
        for at in range(0, 200, 50):
            await asyncio.gather(*(ask(llm, number) for number in range(at, at + 50)))
    finally:
        gc.enable()
        monkeypatch.undo()
    await llm.aclose()

    assert seen == []
