"""audit(): one record per call, whatever becomes of it, and what happens when it cannot be written."""

import asyncio
import gc
import hashlib
import json
import logging
import pickle
import sqlite3
import threading
from contextlib import closing

import pytest

from scallion import OrderWarning, Response, build_pipeline
from scallion.costs import PriceTable
from scallion.exceptions import (
    AuditError,
    BudgetExceededError,
    InvalidRequestError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
)
from scallion.middlewares import JsonlSink, audit, budget, cache, cost, fallback, retry
from scallion.providers import fake
from scallion.testing import ManualClock
from scallion.types import StreamChunk
from support.chunks import STOP, Source

MODES = ["complete", "stream"]


@pytest.fixture
def records():
    return []


@pytest.fixture
def prices():
    table = PriceTable()
    table.register("*", input=1, output=1)
    return table


def pipeline(layers, provider=None, **settings):
    provider = provider or fake(["Hi there"] * 9)
    return build_pipeline(
        layers, provider=provider, model="m", clock=ManualClock(auto=True), **settings
    )


async def ask(llm, mode, messages="hello", **arguments):
    if mode == "complete":
        return await llm.complete(messages, **arguments)
    return await llm.stream(messages, **arguments).collect()


# --------------------------------------------------------------------------------- what it says


@pytest.mark.parametrize("mode", MODES)
async def test_a_record_says_who_asked_what_and_what_became_of_it(records, prices, mode):
    llm = pipeline([audit(records.append, prices=prices)])
    await ask(llm, mode, tenant="acme", metadata={"job": 7, "who": {"a": {1}}})

    (record,) = records
    (attempt,) = record["attempts"]
    assert record["at"].endswith("+00:00")
    assert record | {"at": "", "id": "", "attempts": []} == {
        "v": 1, "id": "", "at": "", "tenant": "acme", "metadata": {"job": 7, "who": {"a": [1]}},
        "model": "m", "stream": mode == "stream", "status": "completed", "answered_by": "m",
        "provider": "fake", "finish_reason": "stop", "prompt_tokens": 2, "completion_tokens": 3,
        "cost": "0.000005", "exact": True, "duration": 0.0, "attempts": [],
        "prompt_sha256": sha256([{"role": "user", "content": "hello"}]),
        "answer_sha256": sha256([{"role": "assistant", "content": "Hi there"}]),
    } | ({"first_token_after": 0.0} if mode == "stream" else {})  # fmt: skip
    assert attempt | {"at": ""} == {
        "model": "m", "provider": "fake", "status": "completed", "prompt_tokens": 2,
        "completion_tokens": 3, "cost": "0.000005", "exact": True, "at": "", "latency": 0.0,
    }  # fmt: skip
    json.dumps(record)


def sha256(value):
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


async def test_hashes_are_those_of_sorted_json_also_of_other_scripts(records):
    messages = [{"role": "user", "content": "Grüße 🌱\n\u2028 \x7f", "name": "b"}]
    await pipeline([audit(records.append)]).complete(messages)

    assert records[0]["prompt_sha256"] == sha256(messages)


async def test_texts_are_not_recorded_unasked(records):
    for mode in MODES:
        await ask(pipeline([audit(records.append)], fake(["the answer"])), mode, "the prompt")

    assert "the prompt" not in str(records)
    assert "the answer" not in str(records)


@pytest.mark.parametrize("mode", MODES)
async def test_texts_are_recorded_when_asked_and_redacted(records, mode):
    layer = audit(records.append, prompts=True, redact=lambda text: text.replace("secret", "***"))
    await ask(
        pipeline([layer], fake(["secret answer"])),
        mode,
        [{"role": "user", "content": [{"type": "text", "text": "my secret"}]}],
    )

    assert records[0]["prompt"][0]["content"] == [{"type": "text", "text": "my ***"}]
    assert records[0]["answer"] == [{"role": "assistant", "content": "*** answer"}]


@pytest.mark.parametrize("mode", MODES)
async def test_a_failed_call_is_recorded_without_the_providers_words(records, mode):
    failure = InvalidRequestError("you said: hello", provider="fake", status_code=400, code="bad")
    with pytest.raises(InvalidRequestError):
        await ask(pipeline([audit(records.append)], fake([failure])), mode)

    assert records[0]["status"] == "failed"
    assert records[0]["error"] == {"type": "InvalidRequestError", "code": "bad", "status_code": 400}
    assert "you said" not in str(records)
    assert "answer_sha256" not in records[0]


async def test_a_failed_calls_words_are_texts(records):
    with pytest.raises(ServerError):
        await pipeline([audit(records.append, prompts=True)], fake([ServerError("oh")])).complete(
            "a"
        )

    assert records[0]["error_message"] == "oh"
    assert "answer" not in records[0]


async def test_a_refused_call_is_recorded_as_such(records, prices):
    llm = pipeline([audit(records.append, prices=prices), budget(usd="0.00001", prices=prices)])
    with pytest.raises(BudgetExceededError):
        await llm.complete("hello", max_tokens=100)

    assert (records[0]["status"], records[0]["attempts"]) == ("refused", [])
    assert (records[0]["cost"], records[0]["error"]) == ("0", {"type": "BudgetExceededError"})


async def test_a_hit_is_recorded_as_cached_and_free(records, prices):
    llm = pipeline([audit(records.append, prices=prices), cache()])
    await llm.complete("hello")
    await llm.complete("hello")

    asked, hit = records
    assert hit["cached"] is True
    assert "cached" not in asked
    assert (asked["cost"], hit["cost"]) == ("0.000005", "0")
    assert asked["answer_sha256"] == hit["answer_sha256"]


async def test_a_stream_that_is_left_breaks_or_is_dropped_is_recorded_as_far_as_it_came(records):
    llm = pipeline([audit(records.append, prompts=True)], fake(["one two", "one two"]))
    async with llm.stream("hello") as stream:
        async for _ in stream:
            break
    stream = llm.stream("hello")
    await anext(stream)
    del stream
    gc.collect()
    await asyncio.sleep(0)
    broken = fake([("one two", StreamInterruptedError("cut"))])
    with pytest.raises(StreamInterruptedError):
        await pipeline([audit(records.append, prompts=True)], broken).stream("hello").collect()

    assert [record["status"] for record in records] == ["closed", "abandoned", "failed"]
    assert [record["answer"][0]["content"] for record in records] == ["one ", "one ", "one two"]
    assert all(record["completion_tokens"] > 0 and not record["exact"] for record in records)


@pytest.mark.parametrize("mode", MODES)
async def test_a_cancelled_call_is_recorded(records, mode):
    begun = asyncio.Event()

    async def provider(request):
        begun.set()
        await asyncio.Event().wait()

    call = asyncio.create_task(ask(pipeline([audit(records.append)], provider), mode))
    await begun.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert records[0]["status"] == "cancelled"
    assert records[0]["attempts"][0]["status"] == "cancelled"


async def test_outside_of_retry_and_fallback_a_record_has_every_attempt_and_their_sum(
    records, prices
):
    llm = pipeline(
        [audit(records.append, prices=prices), fallback(["b"]), retry(attempts=2)],
        fake([ServerError("1", status_code=500), RateLimitError("2", status_code=429), "Hi there"]),
    )
    await llm.complete("hello")

    (record,) = records
    assert [(a["model"], a["status"]) for a in record["attempts"]] == [
        ("m", "failed"), ("m", "failed"), ("b", "completed")
    ]  # fmt: skip
    assert (record["model"], record["answered_by"], record["cost"]) == ("m", "b", "0.000005")


async def test_inside_of_retry_each_passage_has_a_record_with_its_own_attempt(records):
    llm = pipeline([retry(), audit(records.append)], fake([ServerError("no"), "Hi there"]))
    await llm.complete("hello")

    assert [record["status"] for record in records] == ["failed", "completed"]
    assert [len(record["attempts"]) for record in records] == [1, 1]
    assert records[0]["id"] == records[1]["id"]


@pytest.mark.parametrize("order", ["audit first", "cost first"])
async def test_prices_are_those_of_cost_wherever_it_stands(records, prices, order):
    layers = [audit(records.append), cost(prices=prices)]
    llm = pipeline(layers if order == "audit first" else layers[::-1])
    for mode in MODES:
        await ask(llm, mode)

    assert [record["cost"] for record in records] == ["0.000005", "0.000005"]


async def test_a_price_that_nobody_knows_is_left_out(records):
    await pipeline([audit(records.append)]).complete("hello")

    assert "cost" not in records[0]
    assert records[0]["exact"] is False


async def test_tool_calls_have_one_hash_whether_streamed_or_not(records):
    from scallion.providers import openai
    from support.upstream import Upstream, completion, completion_stream

    call = ("call_1", "look", '{"at": "sky"}')
    async with Upstream() as upstream:
        upstream.enqueue(completion(None, tool_calls=[call]), completion_stream(tool_calls=[call]))
        async with openai(api_key="k", base_url=f"{upstream.url}/v1") as provider:
            for mode in MODES:
                await ask(pipeline([audit(records.append, prompts=True)], provider), mode)

    assert records[0]["answer"] == records[1]["answer"]
    assert records[0]["answer_sha256"] == records[1]["answer_sha256"]


# ------------------------------------------------------------------------------------- its place


@pytest.mark.parametrize(
    ("outer", "why"),
    [
        (cache(), "hits do not pass it"),
        (cache(mode="replay"), "hits do not pass it"),
        (budget(usd=1), "refused calls do not pass it"),
    ],
)
def test_a_place_that_calls_do_not_pass_is_warned_of(outer, why):
    with pytest.warns(OrderWarning, match=why):
        pipeline([outer, audit(print)])
    pipeline([audit(print), outer])


@pytest.mark.parametrize("mode", MODES)
async def test_a_hit_is_recorded_also_inside_of_the_cache_though_without_texts(
    records, prices, mode
):
    layers = [cache(), audit(records.append, prompts=True, prices=prices)]
    llm = pipeline(layers, order="off")
    for _ in range(2):
        await ask(llm, mode, tenant="acme")

    asked, hit = records
    assert (hit["status"], hit["cached"], hit["tenant"]) == ("completed", True, "acme")
    assert (hit["attempts"], hit["cost"]) == ([], "0")
    assert hit["prompt_sha256"] == asked["prompt_sha256"]
    assert hit["answer_sha256"] == asked["answer_sha256"]
    assert "prompt" in asked
    # What layers in between would have made of them is not known there.
    assert not {"prompt", "answer", "error_message"} & hit.keys()


@pytest.mark.parametrize("mode", MODES)
async def test_a_refused_call_is_recorded_also_inside_of_what_refuses_it(records, prices, mode):
    layers = [budget(usd="0.00001", prices=prices), audit(records.append)]
    with pytest.raises(BudgetExceededError):
        await ask(pipeline(layers, order="off"), mode, max_tokens=100)

    assert [(each["status"], each["attempts"]) for each in records] == [("refused", [])]


@pytest.mark.parametrize("mode", MODES)
async def test_a_call_that_is_cancelled_in_a_layer_further_out_is_recorded(records, mode):
    reached = asyncio.Event()

    async def wait(request, call_next):
        reached.set()
        await asyncio.Event().wait()

    call = asyncio.create_task(ask(pipeline([wait, audit(records.append)]), mode))
    await reached.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert [each["status"] for each in records] == ["cancelled"]


@pytest.mark.parametrize("mode", MODES)
async def test_a_call_that_is_given_up_between_tries_has_a_record_of_each_and_of_its_end(
    records, prices, mode
):
    waits = asyncio.Event()

    class Clock(ManualClock):
        async def sleep(self, seconds):
            waits.set()
            await asyncio.Event().wait()

    llm = build_pipeline(
        [retry(), audit(records.append, prices=prices)],
        provider=fake([ServerError("no")]), model="m", clock=Clock(),
    )  # fmt: skip
    call = asyncio.create_task(ask(llm, mode))
    await waits.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    tried, ended = records
    assert (tried["status"], len(tried["attempts"])) == ("failed", 1)
    assert (ended["status"], ended["attempts"], ended["cost"]) == ("cancelled", [], "0")
    assert tried["id"] == ended["id"]


@pytest.mark.parametrize("mode", MODES)
async def test_an_answer_that_a_layer_further_out_makes_up_or_asks_for_itself_is_recorded(
    records, prices, mode
):
    async def ask_another(request, call_next):
        return await another.send(request.replace(provider=another.provider))

    another = build_pipeline(provider=fake(["Hi there"]), model="other")
    llm = pipeline([ask_another, audit(records.append, prices=prices)])
    await ask(llm, mode)

    (record,) = records
    assert (record["answered_by"], record["cost"]) == ("m", "0.000005")
    assert [attempt["status"] for attempt in record["attempts"]] == ["completed"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("outer", [retry, cache, lambda: fallback(["b"])])
async def test_a_call_that_passes_it_has_one_record_whatever_stands_outside(records, outer, mode):
    await ask(pipeline([outer(), audit(records.append)], order="off"), mode)

    (record,) = records
    assert (record["status"], len(record["attempts"])) == ("completed", 1)


@pytest.mark.parametrize("mode", MODES)
async def test_strict_holds_for_calls_that_do_not_pass_it_too(mode):
    seen = []

    def sink(record):
        if seen:
            raise OSError("disk full")
        seen.append(record)

    llm = pipeline([cache(), audit(sink, strict=True)], order="off")
    await ask(llm, mode)
    with pytest.raises(AuditError, match="disk full"):
        await ask(llm, mode)


def test_a_cache_that_never_answers_may_stand_outside():
    pipeline([cache(mode="write_only"), audit(print)])


# ------------------------------------------------------------------------ when it cannot be written


def refuse(record):
    raise OSError("disk full")


async def refuse_later(record):
    raise OSError("disk full")


async def test_a_call_goes_on_without_its_record_unless_strict(caplog):
    layer = audit(refuse)
    llm = pipeline([layer])
    for mode in MODES:
        assert (await ask(llm, mode)).text == "Hi there"

    assert layer.lost == 2
    (warning,) = caplog.records  # one in a minute
    assert (warning.name, warning.levelno) == ("scallion", logging.WARNING)
    assert "disk full" in warning.message


@pytest.mark.parametrize("sink", [refuse, refuse_later])
@pytest.mark.parametrize("mode", MODES)
async def test_strict_fails_a_call_without_its_record(mode, sink, caplog):
    layer = audit(sink, strict=True)
    with pytest.raises(AuditError, match="disk full") as caught:
        await ask(pipeline([layer]), mode)

    assert isinstance(caught.value.__cause__, OSError)
    assert layer.lost == 1
    assert not caplog.records


@pytest.mark.parametrize("sink", [refuse, refuse_later])
async def test_strict_lets_a_streams_text_pass_and_fails_its_end(sink):
    texts = []
    with pytest.raises(AuditError):
        async for chunk in pipeline([audit(sink, strict=True)]).stream("hello"):
            texts.append(chunk.content or "")

    assert "".join(texts) == "Hi there"


@pytest.mark.parametrize("sink", [refuse, refuse_later])
@pytest.mark.parametrize("mode", MODES)
async def test_strict_says_so_of_a_failed_call_too(mode, sink):
    with pytest.raises(AuditError) as caught:
        await ask(pipeline([audit(sink, strict=True)], fake([ServerError("down")])), mode)

    context = caught.value.__cause__ or caught.value
    causes = [context, context.__context__, caught.value.__context__]
    assert any(isinstance(error, (ServerError, OSError)) for error in causes)


@pytest.mark.parametrize("mode", MODES)
async def test_strict_sends_nothing_while_the_file_cannot_be_opened(tmp_path, mode):
    (tmp_path / "file").touch()
    provider = fake(["Hi"])
    llm = pipeline([audit(tmp_path / "file" / "calls.jsonl", strict=True)], provider)
    with pytest.raises(AuditError, match="not written"):
        await ask(llm, mode)

    assert len(provider._steps) == 1


async def test_without_strict_a_file_that_cannot_be_opened_stops_nothing(tmp_path, caplog):
    (tmp_path / "file").touch()
    layer = audit(tmp_path / "file" / "calls.jsonl")
    await pipeline([layer]).complete("hello")

    assert layer.lost == 1


async def test_a_cancelled_call_stays_cancelled_though_its_record_cannot_be_written():
    begun = asyncio.Event()
    unhandled = []
    asyncio.get_running_loop().set_exception_handler(
        lambda loop, context: unhandled.append(context)
    )

    async def provider(request):
        async def chunks():
            yield StreamChunk.of("a")
            begun.set()
            await asyncio.Event().wait()

        return Response.streaming(chunks(), request)

    call = asyncio.create_task(
        pipeline([audit(refuse, strict=True)], provider).stream("hello").collect()
    )
    await begun.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert isinstance(unhandled[0]["exception"], AuditError)


def circle():
    loop = {}
    loop["self"] = loop
    return loop


def nested(depth):
    inner = {}
    for _ in range(depth):
        inner = {"in": inner}
    return inner


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    "odd",
    [circle(), nested(1_000), nested(100_000), {(1, 2): 3}, {None: 1}, {"a": "\ud800"}, {"\ud800": 1}],
    ids=["circle", "deep", "deeper", "tuple key", "null key", "surrogate", "surrogate key"],
)  # fmt: skip
async def test_no_label_can_keep_a_call_out_of_the_record(tmp_path, odd, strict):
    layer = audit(tmp_path / "calls.jsonl", strict=strict, chain=True)
    await pipeline([layer]).complete("hello", tenant="acme", metadata={"who": odd})

    (record,) = map(json.loads, (tmp_path / "calls.jsonl").read_text().splitlines())
    assert "cannot be recorded" in record["metadata"]
    assert (record["tenant"], record["status"], layer.lost) == ("acme", "completed", 0)


async def test_a_deep_label_keeps_no_column_from_being_read(tmp_path):
    async with pipeline([audit(tmp_path / "calls.db")]) as llm:
        await llm.complete("hello", tenant="acme", metadata={"who": nested(1_000)})
        await llm.complete("hello", tenant="acme", metadata={"who": nested(100)})

    with closing(sqlite3.connect(tmp_path / "calls.db")) as connection:
        rows = connection.execute("SELECT tenant, status FROM audit").fetchall()
    assert rows == [("acme", "completed")] * 2


@pytest.mark.parametrize("prompts", [True, False])
async def test_a_call_of_what_cannot_be_sent_is_recorded(tmp_path, prompts):
    layer = audit(tmp_path / "calls.jsonl", prompts=prompts)
    messages = [{"role": "user", "content": "\ud800", "own": {1: 2}}]
    await pipeline([layer]).complete(messages, tenant="\ud800", model="\ud800")

    (record,) = map(json.loads, (tmp_path / "calls.jsonl").read_text().splitlines())
    assert record["status"] == "completed"
    assert "prompt_sha256" not in record
    assert "cannot be recorded" in record["tenant"]
    assert ("prompt" in record) == prompts
    assert layer.lost == 0


async def test_a_text_that_the_redactor_fails_on_is_left_out_and_the_record_is_not(records):
    layer = audit(records.append, prompts=True, redact=lambda text: text.partition("hello")[3])
    await pipeline([layer]).complete("hello")

    assert records[0]["prompt"] == records[0]["answer"] == "(cannot be recorded: IndexError)"
    assert records[0]["status"] == "completed"


# ---------------------------------------------------------------------------- asynchronous sinks


class Slow:
    """An asynchronous sink that waits for a permission for each record."""

    def __init__(self):
        self.records = []
        self.may = asyncio.Semaphore(0)

    async def __call__(self, record):
        await self.may.acquire()
        self.records.append(record)


async def settled(condition):
    for _ in range(50):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not come to that")


async def test_a_slow_sink_holds_up_no_call_and_gets_all_in_order(records):
    sink = Slow()
    llm = pipeline([audit(sink)])
    for number in range(5):
        await llm.complete("hello", metadata={"n": number})
    assert sink.records == []
    for _ in range(5):
        sink.may.release()
    await llm.aclose()

    assert [record["metadata"]["n"] for record in sink.records] == [0, 1, 2, 3, 4]


async def test_a_full_queue_loses_records_and_says_so(caplog):
    sink = Slow()
    layer = audit(sink, queue=2)
    llm = pipeline([layer])
    for _ in range(5):
        await llm.complete("hello")
    assert (layer.lost, "audit queue is full" in caplog.text) == (3, True)
    for _ in range(2):
        sink.may.release()
    await llm.aclose()

    assert len(sink.records) == 2


async def test_strict_waits_for_each_record_and_before_a_full_queue():
    sink = Slow()
    provider = fake(["Hi there"] * 3)
    layer = audit(sink, strict=True, queue=2)
    llm = pipeline([layer], provider)
    calls = [asyncio.create_task(ask(llm, mode)) for mode in MODES]
    await settled(lambda: len(provider._steps) == 1)
    for _ in range(20):
        await asyncio.sleep(0)
    assert not any(call.done() for call in calls)  # answered, and waiting for their records
    third = asyncio.create_task(llm.complete("hello"))
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(provider._steps) == 1  # not sent: there is no room for its record
    for _ in range(3):
        sink.may.release()
    await asyncio.gather(*calls, third)

    assert (len(sink.records), layer.lost) == (3, 0)


@pytest.mark.parametrize("mode", MODES)
async def test_a_call_that_is_cancelled_while_it_waits_for_room_is_recorded(mode):
    sink = Slow()
    layer = audit(sink, strict=True, queue=1)
    llm = pipeline([layer])
    first = asyncio.create_task(llm.complete("hello"))
    await settled(lambda: layer._writer._queues.get()._records)
    second = asyncio.create_task(ask(llm, mode))
    for _ in range(20):
        await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    for _ in range(2):
        sink.may.release()
    await first
    await llm.aclose()

    assert [each["status"] for each in sink.records] == ["completed", "cancelled"]


async def test_one_that_fails_takes_the_next_record_all_the_same(caplog):
    got = []

    async def shaky(record):
        if not got:
            got.append(None)
            raise OSError("no")
        got.append(record["status"])

    layer = audit(shaky)
    llm = pipeline([layer])
    await llm.complete("hello")
    await llm.complete("hello")
    await llm.aclose()

    assert (got, layer.lost) == ([None, "completed"], 1)


def test_a_loop_that_ends_writes_what_waits_first():
    got = []

    async def slow(record):
        await asyncio.sleep(0.01)
        got.append(record["id"])

    llm = build_pipeline([audit(slow)], provider=fake(["Hi there"] * 9), model="m")

    async def main():
        for _ in range(3):
            await llm.complete("hello")

    asyncio.run(main())
    asyncio.run(main())  # and a second one gets a queue of its own

    assert len(set(got)) == 6


def test_a_sink_that_hangs_holds_up_the_loops_end_only_for_so_long(monkeypatch, caplog):
    monkeypatch.setattr("scallion.middlewares._audit_queue.PATIENCE", 0.01)

    async def hang(record):
        await asyncio.Event().wait()

    layer = audit(hang)

    async def main():
        await pipeline([layer]).complete("hello")

    asyncio.run(main())

    assert layer.lost == 1


async def test_closing_lets_the_sink_end_what_it_has_begun():
    begun, may_end = [], asyncio.Event()

    async def sink(record):
        begun.append(record["id"])
        await may_end.wait()

    llm = pipeline([audit(sink)])
    await llm.complete("hello")
    await settled(lambda: begun)
    closing = asyncio.create_task(llm.aclose())
    await asyncio.sleep(0)
    may_end.set()
    await closing

    assert len(begun) == 1


def test_a_slow_sink_has_its_time_for_each_record_when_the_loop_ends(monkeypatch):
    monkeypatch.setattr("scallion.middlewares._audit_queue.PATIENCE", 0.6)
    got = []

    async def slow(record):
        await asyncio.sleep(0.02)
        got.append(record["id"])

    layer = audit(slow)

    async def main():
        llm = pipeline([layer], fake())
        for _ in range(50):
            await llm.complete("hello")

    asyncio.run(main())

    assert (len(set(got)), layer.lost) == (50, 0)


async def test_closing_that_is_given_up_leaves_no_record_behind():
    sink, begun, may = Slow(), asyncio.Event(), asyncio.Event()

    async def wait(request, call_next):
        response = await call_next(request)
        if request.context.metadata["n"] == 1:
            begun.set()
            await may.wait()
        return response

    llm = pipeline([audit(sink), wait])
    await llm.complete("hello", metadata={"n": 0})
    under_way = asyncio.create_task(llm.complete("hello", metadata={"n": 1}))
    await begun.wait()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await llm.aclose()
    sink.may.release()
    await settled(lambda: len(sink.records) == 1)
    may.set()
    await under_way
    sink.may.release()
    await settled(lambda: len(sink.records) == 2)

    assert [record["metadata"]["n"] for record in sink.records] == [0, 1]


def test_records_come_from_several_threads_each_to_its_loops_queue():
    got = []

    async def sink(record):
        await asyncio.sleep(0)
        got.append(record["id"])

    llm = build_pipeline([audit(sink)], provider=fake(), model="m")

    async def main():
        await asyncio.gather(*(llm.complete("hello") for _ in range(20)))

    threads = [threading.Thread(target=lambda: asyncio.run(main())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(got)) == 80


async def test_a_stream_dropped_in_another_thread_is_recorded():
    got = []

    async def sink(record):
        got.append(record["status"])

    llm = pipeline([audit(sink)])
    held = [llm.stream("hello")]
    await anext(held[0])
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    gc.collect()
    await settled(lambda: got)

    assert got == ["abandoned"]


# ----------------------------------------------------------------------------------- being made


@pytest.mark.parametrize("sink", [None, 3, list, open])
def test_what_is_no_sink_is_refused_when_the_layer_is_made(sink):
    if sink is open:
        assert audit(sink).lost == 0  # a function is a function
        return
    with pytest.raises(TypeError, match="an audit sink is"):
        audit(sink)


def test_arguments_that_make_no_sense_are_refused():
    with pytest.raises(TypeError, match="JsonlSink"):
        audit(print, chain=True)
    with pytest.raises(ValueError, match="at least 1"):
        audit(print, queue=0)


async def test_a_function_that_returns_an_awaitable_is_told_to_be_async(caplog):
    layer = audit(lambda record: asyncio.sleep(0))
    await pipeline([layer]).complete("hello")
    future = asyncio.get_running_loop().create_future()
    await pipeline([audit(lambda record: future)]).complete("hello")

    assert layer.lost == 1
    assert caplog.text.count("must be an async function") == 2


def test_it_shows_what_it_was_made_from_and_pickles(tmp_path):
    layer = audit(JsonlSink(tmp_path / "a.jsonl", chain=True, fsync="never"), strict=True)

    assert repr(layer) == (
        f"audit(sink=JsonlSink('{tmp_path}/a.jsonl', chain=True, fsync='never'), strict=True)"
    )
    assert repr(pickle.loads(pickle.dumps(layer))) == repr(layer)


async def test_a_whole_stream_of_a_provider_of_ones_own_is_recorded_with_estimates(records):
    async def provider(request):
        return Response.streaming(Source([StreamChunk.of("Hello")], [STOP]), request)

    await pipeline([audit(records.append)], provider).stream("hello").collect()

    assert records[0]["status"] == "completed"
    assert records[0]["completion_tokens"] > 0
    assert records[0]["exact"] is False
