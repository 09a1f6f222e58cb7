"""cache(): what is answered from the store, what is stored, and what one call may ask for."""

import asyncio
import logging
import pickle

import pytest

from scallion import Clock, Response, build_pipeline
from scallion import exceptions as e
from scallion._accumulate import accumulate, chunks_of
from scallion.costs import PriceTable, register_price
from scallion.middlewares import Target, cost, fallback, retry
from scallion.middlewares._cache import cache
from scallion.middlewares._cache_entry import natural_chunks
from scallion.middlewares._cache_key import request_key
from scallion.middlewares._cache_shelf import FAILED, LEASE
from scallion.stores import memory, sqlite
from scallion.testing import ManualClock
from scallion.types import (
    Choice,
    ChunkChoice,
    FunctionCall,
    Message,
    ModelResponse,
    StreamChunk,
    ToolCall,
    Usage,
)
from support.chunks import ROLE, STOP, USAGE, Source, answer

CALL = ToolCall(id="c1", type="function", function=FunctionCall(name="f", arguments='{"a": 1}'))
RICH = ModelResponse(
    id="x",
    object="chat.completion",
    model="m-1",
    choices=[
        Choice(
            message=Message(
                content="Look,  it is\nblue. ",
                reasoning="Let me think",
                tool_calls=[CALL],
                model_extra={"odd": [1]},
            ),
            finish_reason="tool_calls",
        )
    ],
    usage=Usage(prompt_tokens=5, completion_tokens=3, total_tokens=8),
    model_extra={"more": {"a": None}},
)


class Provider:
    """Plays a script, and then answers "Hi" for ever; streams if it is asked to."""

    name = "p"

    def __init__(self, *script):
        self.script = list(script)
        self.asked = []

    async def __call__(self, request):
        self.asked.append(request)
        step = self.script.pop(0) if self.script else answer("Hi", model="m-1")
        if isinstance(step, BaseException):
            raise step
        if isinstance(step, list) or request.stream:
            steps = step if isinstance(step, list) else [chunks_of(step)]
            return Response.streaming(Source(*steps), request, provider="p", request_id="r1")
        step.provider, step.request_id = "p", "r1"
        return Response.completed(step, request)


def pipeline(provider, *layers, clock=None):
    return build_pipeline(
        layers, provider=provider, model="m", clock=clock or ManualClock(auto=True)
    )


async def streamed(llm, *args, **params):
    async with llm.stream(*args, **params) as stream:
        return [chunk async for chunk in stream], stream.result


# ---------------------------------------------------------------------------------------- hits


async def test_an_equal_call_is_answered_from_the_store():
    provider, layer = Provider(RICH), cache()
    llm = pipeline(provider, layer)

    first, second = await llm.complete("hi"), await llm.complete("hi")

    assert len(provider.asked) == 1
    assert (first.cached, second.cached) == (False, True)
    assert second.to_dict() == first.to_dict()
    assert (second.provider, second.request_id) == ("p", "r1")
    assert (layer.stats.hits, layer.stats.misses, layer.stats.stored) == (1, 1, 1)


async def test_a_hit_is_nobody_elses_to_change():
    llm = pipeline(Provider(), cache())
    (await llm.complete("hi")).message.content = "changed"
    (await llm.complete("hi")).message.content = "changed"
    assert (await llm.complete("hi")).text == "Hi"


@pytest.mark.parametrize("first", ["complete", "stream"])
@pytest.mark.parametrize("then", ["complete", "stream"])
async def test_complete_and_streamed_calls_answer_each_other(first, then):
    provider = Provider(RICH)
    llm = pipeline(provider, cache())

    async def ask(how):
        return await llm.complete("hi") if how == "complete" else (await streamed(llm, "hi"))[1]

    one, other = await ask(first), await ask(then)

    assert len(provider.asked) == 1
    assert other.cached
    assert not one.cached
    assert (other.provider, other.request_id) == ("p", "r1")
    for part in ("text", "reasoning", "usage", "finish_reason", "model", "model_extra"):
        assert getattr(one, part) == getattr(other, part) == getattr(RICH, part)
    assert [c.function for c in one.tool_calls] == [c.function for c in other.tool_calls]


async def test_a_streamed_hit_comes_word_by_word():
    llm = pipeline(Provider(RICH), cache())
    await llm.complete("hi")

    chunks, result = await streamed(llm, "hi")

    assert [c.content for c in chunks if c.content] == ["Look,", "  it", " is", "\nblue.", " "]
    assert [c.reasoning for c in chunks if c.reasoning] == ["Let", " me", " think"]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].finish_reason == "tool_calls"
    assert chunks[-1].usage == RICH.usage
    assert {c.id for c in chunks} == {"x"}
    assert result.cached


@pytest.mark.parametrize(
    "whole",
    [
        RICH,
        answer(""),
        answer("word"),
        ModelResponse(choices=[Choice(message=Message(content="a", name="Ann"))]),
        ModelResponse(choices=[Choice(message=Message(content=None), finish_reason="stop")]),
        ModelResponse(choices=[Choice(message=Message(content=[{"type": "text", "text": "a"}]))]),
        ModelResponse(choices=[Choice(index=i, finish_reason="stop") for i in range(2)]),
        ModelResponse(
            choices=[Choice(message=Message(content="a b"), logprobs={"content": [{"token": "a"}]})]
        ),
    ],
)
def test_natural_chunks_add_up_to_the_answer(whole):
    expected = accumulate(chunks_of(whole))
    assert accumulate(natural_chunks(whole)) == expected


async def test_a_streamed_hit_that_is_closed_half_way_is_whole_all_the_same():
    llm = pipeline(Provider(RICH), cache())
    await llm.complete("hi")
    async with llm.stream("hi") as stream:
        await stream.__anext__()
    assert stream.result.cached
    assert stream.result.text == RICH.text


async def test_a_hit_costs_nothing_and_shows_what_it_saved():
    prices = PriceTable()
    register_price("m-1", input=1, output=10, prices=prices)
    books = cost(prices=prices)
    used = Usage(prompt_tokens=1000, completion_tokens=100, total_tokens=1100)
    provider = Provider(answer("Hi", model="m-1", usage=used))
    llm = pipeline(provider, books, cache())

    await llm.complete("hi")
    hit = await llm.complete("hi")
    await streamed(llm, "hi")

    asked, *hits = books.entries
    assert asked.cost > 0
    for entry in hits:
        assert (entry.status, entry.cost, entry.saved) == ("cached", 0, asked.cost)
    assert len(hits) == 2
    assert hit.cost.total == 0


async def test_a_fallbacks_answer_is_stored_with_the_model_that_gave_it():
    class Picky(Provider):
        async def __call__(self, request):
            if request.model == "m":
                raise e.ServerError("no")
            return await super().__call__(request)

    provider = Picky(answer("Hi", model="other-1"))
    llm = pipeline(provider, cache(), fallback(["other"]))
    await llm.complete("hi")
    hit = await llm.complete("hi")
    assert (hit.cached, hit.model) == (True, "other-1")
    assert len(provider.asked) == 1


async def test_tenants_do_not_share_answers():
    provider = Provider()
    llm = pipeline(provider, cache())
    for tenant in ("a", "b", None):
        assert not (await llm.complete("hi", tenant=tenant)).cached
    assert (await llm.complete("hi", tenant="a")).cached


async def test_an_answer_is_kept_for_its_time_to_live():
    clock = ManualClock(auto=True)
    llm = pipeline(Provider(), cache(memory(clock=clock), ttl=60), clock=clock)
    await llm.complete("hi")
    await clock.advance(59)
    assert (await llm.complete("hi")).cached
    await clock.advance(2)
    assert not (await llm.complete("hi")).cached


@pytest.mark.parametrize("data", [b"", b"nonsense", b"sc\x01\x01\x00{}", b"sc\x01\x02\x00{}"])
async def test_what_cannot_be_read_is_a_miss_and_is_replaced(data):
    store, provider = memory(), Provider()
    llm = pipeline(provider, cache(store))
    await llm.complete("hi")
    (name,) = store._values
    await store.set(name, data)

    assert not (await llm.complete("hi")).cached
    assert (await llm.complete("hi")).cached
    assert len(provider.asked) == 2


@pytest.mark.parametrize("how", ["complete", "stream"])
@pytest.mark.parametrize(
    "broken", ["7", "[]", '[{"message":{}}]', '[{"message":{},"finish_reason":"error"}]']
)
async def test_an_entry_whose_answer_cannot_be_read_or_is_not_whole_is_a_miss(how, broken):
    store, provider = memory(), Provider()
    llm = pipeline(provider, cache(store))
    await llm.complete("hi")
    (name,) = store._values
    await store.set(name, b'sc\x01\x01\x00{"answer":{"choices":%b},"at":1}' % broken.encode())
    whole = await llm.complete("hi") if how == "complete" else (await streamed(llm, "hi"))[1]
    assert (whole.text, whole.cached) == ("Hi", False)
    assert (await llm.complete("hi")).cached


async def test_another_process_finds_the_answers_in_the_file(tmp_path):
    path = tmp_path / "cache.db"
    provider = Provider(RICH)
    async with pipeline(provider, cache(sqlite(path), compress="zlib")) as llm:
        await llm.complete("hi")
    async with pipeline(provider, cache(sqlite(path))) as llm:
        assert (await llm.complete("hi")).to_dict() == RICH.to_dict()
    assert len(provider.asked) == 1


async def test_an_answer_that_is_still_being_written_is_found(tmp_path):
    provider = Provider()
    async with pipeline(provider, cache(sqlite(tmp_path / "c.db"), single_flight=False)) as llm:
        for _ in range(3):
            await llm.complete("hi")
    assert len(provider.asked) == 1


async def test_entries_are_encrypted_on_request(tmp_path):
    class Reverse:
        def encrypt(self, data):
            return data[::-1]

        def decrypt(self, token):
            return token[::-1]

    store = memory()
    llm = pipeline(Provider(), cache(store, cipher=Reverse()))
    await llm.complete("hi")
    assert (await llm.complete("hi")).cached
    assert not (await pipeline(Provider(), cache(store)).complete("hi")).cached


# --------------------------------------------------------------------------- what is not stored


def chunk_with(reason):
    return StreamChunk(choices=[ChunkChoice(finish_reason=reason)])


HI = StreamChunk.of("Hi")
FILTERED = ModelResponse(
    choices=[Choice(message=Message(content="H"), finish_reason="content_filter")]
)


@pytest.mark.parametrize(
    "script",
    {
        "an error": [e.ServerError("no")],
        "an invalid request": [e.InvalidRequestError("no")],
        "a truncated stream": [[[ROLE, HI]]],
        "a stream that breaks": [[[ROLE, HI], e.ServerError("no")]],
        "a stream that breaks after its finish": [[[ROLE, HI, STOP], e.ServerError("no")]],
        "a filtered answer": [FILTERED],
        "a filtered stream": [[[ROLE, HI, chunk_with("content_filter")]]],
        "an answer that ended in an error": [
            ModelResponse(choices=[Choice(message=Message(content="H"), finish_reason="error")])
        ],
        "a stream that ended in an error": [[[ROLE, HI, chunk_with("error")]]],
        "an answer that the server broke off": [
            ModelResponse(choices=[Choice(message=Message(content="H"), finish_reason="abort")])
        ],
        "an answer without a finish reason": [
            ModelResponse(choices=[Choice(message=Message(content="H"))])
        ],
        "one of two without a finish reason": [
            ModelResponse(choices=[Choice(finish_reason="stop"), Choice(index=1)])
        ],
        "no choices": [ModelResponse()],
    }.items(),
    ids=lambda item: item[0],
)
async def test_what_is_not_whole_is_not_stored(script):
    store, provider = memory(), Provider(*script[1])
    llm = pipeline(provider, cache(store))

    try:
        await llm.complete("hi")
    except e.LLMClientError:
        pass

    # Those who waited for it are told, and there is nothing more in the store.
    assert {value for value, _ in store._values.values()} <= {FAILED}
    assert not (await llm.complete("hi")).cached
    assert (await llm.complete("hi")).cached
    assert len(provider.asked) == 2


async def test_a_stream_that_is_closed_half_way_is_not_stored():
    provider = Provider([[ROLE, HI], [STOP]])
    llm = pipeline(provider, cache())
    async with llm.stream("hi") as stream:
        await stream.__anext__()
    assert not (await llm.complete("hi")).cached


async def test_a_stream_whose_end_had_come_with_its_last_chunks_is_stored():
    llm = pipeline(Provider([[ROLE, HI, STOP, USAGE]]), cache())
    (await streamed(llm, "hi"))
    assert (await llm.complete("hi")).usage == USAGE.usage


async def test_an_answer_over_the_size_limit_is_not_stored():
    store = memory()
    llm = pipeline(Provider(answer("x" * 1000)), cache(store, max_bytes=900))
    await llm.complete("hi")
    assert len(store._values) == 0
    await llm.complete("hi")
    assert len(store._values) == 1


# ---------------------------------------------------------------------- what one call asks for


async def test_no_cache_asks_anew_and_stores_the_answer():
    provider = Provider(answer("old"), answer("new"))
    llm = pipeline(provider, cache())
    await llm.complete("hi")
    assert (await llm.complete("hi", cache={"no_cache": True})).text == "new"
    assert (await llm.complete("hi")).text == "new"
    assert len(provider.asked) == 2


async def test_no_store_leaves_nothing_behind():
    provider = Provider()
    llm = pipeline(provider, cache())
    await llm.complete("hi", cache={"no_store": True})
    assert not (await llm.complete("hi")).cached
    assert (await llm.complete("hi", cache={"no_store": True})).cached


async def test_max_age_takes_no_older_answer():
    clock = ManualClock(auto=True)
    llm = pipeline(Provider(), cache(), clock=clock)
    await llm.complete("hi")
    await clock.advance(30)
    assert (await llm.complete("hi", cache={"max_age": 31})).cached
    assert not (await llm.complete("hi", cache={"max_age": 29})).cached
    assert (await llm.complete("hi", cache={"max_age": 1})).cached


@pytest.mark.parametrize("mode", ["read_write", "off"])
async def test_the_providers_are_not_told(mode):
    provider = Provider()
    mark = {"type": "ephemeral"}
    llm = pipeline(provider, cache(mode=mode))
    await llm.complete("hi", cache={"no_store": True}, cache_control=mark)
    assert provider.asked[0].params == {"cache_control": mark}


@pytest.mark.parametrize(
    "wish",
    [
        {"no-cache": True},
        {"max_age": "1"},
        {"max_age": -1},
        {"no_store": 1},
        True,
        "no_cache",
        {1: 2},
    ],
)
async def test_a_wish_that_is_not_known_is_refused(wish):
    provider = Provider()
    with pytest.raises(e.InvalidRequestError, match="cache="):
        await pipeline(provider, cache()).complete("hi", cache=wish)
    assert provider.asked == []


async def test_calls_that_sample_can_be_left_alone():
    provider, layer = Provider(), cache(sampled=False)
    llm = pipeline(provider, layer)
    for params in ({}, {"temperature": 1}, {"temperature": 0.5}):
        await llm.complete("hi", **params)
        assert not (await llm.complete("hi", **params)).cached
    assert layer.stats.bypassed == 6
    for params in ({"temperature": 0}, {"seed": 0}):
        await llm.complete("hi", **params)
        assert (await llm.complete("hi", **params)).cached


async def test_hits_of_calls_that_sample_are_counted_and_said_once(caplog):
    layer = cache()
    llm = pipeline(Provider(), layer)
    with caplog.at_level(logging.INFO, "scallion"):
        for _ in range(3):
            await llm.complete("hi")
            await llm.complete("hi", temperature=0)
    assert (layer.stats.hits, layer.stats.sampled) == (4, 2)
    (record,) = caplog.records
    assert "sampled=False" in record.getMessage()


# ------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("mode", "reads", "writes"),
    [
        ("read_write", True, True),
        ("read_only", True, False),
        ("write_only", False, True),
        ("off", False, False),
    ],
)
async def test_modes(mode, reads, writes):
    store, provider = memory(), Provider()
    await pipeline(provider, cache(store)).complete("stored")
    llm = pipeline(provider, cache(store, mode=mode))
    assert (await llm.complete("stored")).cached is reads
    before = len(store._values)
    await llm.complete("new")
    assert len(store._values) - before == writes


async def test_a_key_of_ones_own():
    def by_last_message(request, *, namespace, ignore):
        return request.messages[-1]["content"]

    llm = pipeline(Provider(), cache(key=by_last_message))
    await llm.complete("hi", temperature=1)
    assert (await llm.complete("hi", temperature=0)).cached


async def test_with_a_key_of_ones_own_tenants_are_kept_apart_all_the_same():
    store = memory()

    def by_text(request, **settings):
        return request.messages[0]["content"]

    llm = pipeline(Provider(), cache(store, key=by_text))
    for tenant in ("a", "b", None):
        assert not (await llm.complete("hi", tenant=tenant)).cached
        assert (await llm.complete("hi", tenant=tenant)).cached
    shared = pipeline(Provider(), cache(store, key=by_text, ignore=["tenant"]))
    assert (await shared.complete("hi", tenant="c")).cached


async def test_a_call_that_a_key_of_ones_own_has_no_name_for_is_left_alone():
    layer = cache(key=lambda request, **settings: None)
    llm = pipeline(Provider(), layer)
    for _ in range(2):
        assert not (await llm.complete("hi")).cached
    assert layer.stats.bypassed == 2
    recording = pipeline(Provider(), cache(mode="record", key=lambda request, **settings: None))
    with pytest.raises(e.InvalidRequestError, match="gave it no key"):
        await recording.complete("hi")


async def test_a_key_that_is_no_text_is_not_taken_for_one():
    async def later(request, **settings): ...

    for wrong in (later, "key"):
        with pytest.raises(TypeError, match="plain function"):
            cache(key=wrong)
    llm = pipeline(Provider(), cache(key=lambda request, **settings: 5))
    with pytest.raises(RuntimeError, match="must return a text, not 5"):
        await llm.complete("hi")


async def test_a_request_without_a_key_is_sent_on_and_not_stored():
    store, provider = memory(), Provider()
    layer = cache(store)
    llm = pipeline(provider, layer)
    for _ in range(2):
        await llm.complete("hi", odd=object())
    assert len(provider.asked) == 2
    assert layer.stats.bypassed == 2
    deep = []
    for _ in range(10_000):
        deep = [deep]
    await llm.complete([{"role": "user", "content": deep}])
    assert len(store._values) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "readwrite"},
        {"ttl": 0},
        {"ttl": -1},
        {"max_bytes": 0},
        {"wait": -1},
        {"on_error": "x"},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError):
        cache(**wrong)


def test_it_pickles_with_its_arguments(tmp_path):
    layer = cache(sqlite(tmp_path / "c.db"), ttl=5, namespace="n")
    again = pickle.loads(pickle.dumps(layer))
    assert repr(again) == repr(layer)
    assert again.arguments["ttl"] == 5


def test_a_key_does_not_go_into_a_pickle():
    fernet = type("Fernet", (Rot13,), {"__module__": "cryptography.fernet"})
    layer = cache(cipher=fernet())
    with pytest.raises(pickle.PicklingError, match="cipher"):
        pickle.dumps(layer)
    assert pickle.loads(pickle.dumps(cache(cipher=Rot13()))).arguments.keys() == {"cipher"}


class Rot13:
    """Has no key in it."""

    def encrypt(self, data):
        return data[::-1]

    def decrypt(self, token):
        return token[::-1]


# ------------------------------------------------------------------ who may answer behind the cache


def choosing(store, *targets, model=None, provider=None, **settings):
    return build_pipeline(
        [cache(store), fallback(list(targets), **settings)],
        provider=provider or Provider(),
        model=model,
    )


@pytest.mark.parametrize("model", [None, "m"])
@pytest.mark.parametrize(
    ("targets", "settings"),
    [
        (["b"], {}),
        (["a", "b"], {}),
        ([Target("a", params={"seed": 1})], {}),
        ([Target("a", provider=Provider())], {}),
        ([Target("a", on=e.RateLimitError)], {}),
        (["a"], {"on": (e.RateLimitError, e.ServerError)}),
        ([build_pipeline(provider=Provider(), model="a")], {}),
        ([build_pipeline([fallback(["c"])], provider=Provider(), model="a")], {}),
    ],
)
async def test_stacks_that_may_answer_otherwise_do_not_share_answers(model, targets, settings):
    store = memory()
    own = Provider()
    own.__class__ = type("Own", (Provider,), {})
    assert not (await choosing(store, "a", model=model, provider=own).complete("hi")).cached
    assert (await choosing(store, "a", model=model, provider=own).complete("hi")).cached
    other = choosing(store, *targets, model=model, provider=own, **settings)
    assert not (await other.complete("hi")).cached
    assert (await other.complete("hi")).cached


async def test_the_account_of_a_target_that_is_named_by_its_provider_counts(monkeypatch):
    store, own = memory(), Provider()
    llm = choosing(store, Target("b", provider="openrouter"), model="m", provider=own)
    monkeypatch.setenv("OPENROUTER_API_KEY", "one")
    await llm.complete("hi")
    assert (await llm.complete("hi")).cached
    monkeypatch.setenv("OPENROUTER_API_KEY", "two")
    assert not (await llm.complete("hi")).cached


async def test_a_nested_pipeline_that_has_a_model_needs_none_outside():
    provider = Provider()
    for inner in (
        build_pipeline(provider=provider, model="m"),
        build_pipeline([fallback(["m"])], provider=provider),
        build_pipeline(provider=build_pipeline(provider=provider, model="m")),
    ):
        llm = build_pipeline([cache()], provider=inner)
        await llm.complete("hi")
        assert (await llm.complete("hi")).cached


async def test_a_call_that_nobody_is_known_to_choose_a_model_for_is_left_alone(caplog):
    async def chooses(request, call_next):
        return await call_next(request.replace(model="m"))

    store, layer = memory(), cache()
    llm = build_pipeline([layer, chooses], provider=Provider())
    for _ in range(2):
        assert not (await llm.complete("hi")).cached
    assert layer.stats.bypassed == 2
    assert len(caplog.records) == 1
    assert "no model" in caplog.text
    with pytest.raises(e.InvalidRequestError, match="cannot be recorded: no model"):
        await build_pipeline([cache(store, mode="record"), chooses]).complete("hi")

    llm = build_pipeline([cache(key=lambda request, **_: "mine"), chooses], provider=Provider())
    await llm.complete("hi")
    assert (await llm.complete("hi")).cached


async def test_a_replay_shows_that_the_targets_have_changed():
    store = memory()

    def stack(mode, *targets):
        layers = [cache(store, mode=mode), fallback(list(targets))]
        return build_pipeline(layers, provider=Provider())

    await stack("record", "a", Target("b", params={"seed": 1})).complete("hi")
    assert (await stack("replay", "a", Target("b", params={"seed": 1})).complete("hi")).cached
    with pytest.raises(e.CacheMissError, match=r'-      "model": "a"'):
        await stack("replay", "x", Target("b", params={"seed": 1})).complete("hi")


# ------------------------------------------------------------------------------- a store that fails


class Broken:
    """A store of which every operation fails."""

    url = "broken://"

    def __getattr__(self, name):
        async def fail(*args, **kwargs):
            raise OSError("no such store")

        return fail

    def soon(self, operation, *args):
        steps = operation(*args).__await__()
        with pytest.raises(StopIteration):
            next(steps)


@pytest.mark.parametrize("how", ["complete", "stream"])
async def test_a_store_that_fails_fails_no_call_and_is_reported_once_a_minute(caplog, how):
    provider, clock, layer = Provider(), ManualClock(auto=True), cache(Broken())
    llm = pipeline(provider, layer, clock=clock)

    async def ask():
        whole = await llm.complete("hi") if how == "complete" else (await streamed(llm, "hi"))[1]
        assert whole.text == "Hi"

    with caplog.at_level(logging.WARNING, "scallion"):
        for _ in range(3):
            await ask()
        assert len(caplog.records) == 1
        await clock.advance(61)
        await ask()
        assert len(caplog.records) == 2
    assert "broken://" in caplog.text
    assert "no such store" in caplog.text
    assert layer.store_failures >= 4


async def test_a_store_that_fails_can_fail_the_call():
    provider = Provider()
    with pytest.raises(OSError, match="no such store"):
        await pipeline(provider, cache(Broken(), on_error="raise")).complete("hi")
    assert provider.asked == []


class Forgetful(type(memory())):
    """Reads, and does not write."""

    async def set(self, key, value, *, ttl=None):
        raise e.StoreError("read-only")


async def test_a_write_that_fails_later_is_counted_or_raised_as_was_asked(caplog):
    layer = cache(Forgetful())
    for _ in range(2):
        assert not (await pipeline(Provider(), layer).complete("hi")).cached
    assert layer.store_failures == 2
    assert "read-only" in caplog.text
    with pytest.raises(e.StoreError, match="read-only"):
        await pipeline(Provider(), cache(Forgetful(), on_error="raise")).complete("hi")


async def test_a_store_that_takes_no_work_from_callbacks_fails_no_call(caplog):
    class Loopless(type(memory())):
        def soon(self, operation, *args):
            raise RuntimeError("no event loop")

    llm = pipeline(Provider(), cache(Loopless()))
    assert (await llm.complete("hi")).text == "Hi"
    assert "no event loop" in caplog.text
    assert not (await llm.complete("hi")).cached  # nor is it held back to be stored some day


async def test_an_answer_that_is_no_json_is_not_stored():
    odd = answer("Hi")
    odd.model_extra = {"odd": object()}
    layer = cache()
    await pipeline(Provider(odd), layer).complete("hi")
    assert layer.stats.stored == 0


async def test_retry_outside_goes_on_after_an_error():
    provider = Provider(e.ServerError("no"), answer("Hi"))
    llm = pipeline(provider, retry(), cache())
    assert (await llm.complete("hi")).text == "Hi"
    assert (await llm.complete("hi")).cached


async def test_a_cache_inside_a_cache_of_the_same_store_does_not_wait_for_itself():
    store, provider = memory(), Provider()
    llm = pipeline(provider, cache(store), cache(store), clock=Clock())
    async with asyncio.timeout(5):
        assert (await llm.complete("hi")).text == "Hi"
    assert len(provider.asked) == 1


def test_a_path_is_no_store_and_a_mode_that_there_is_not_names_those_there_are():
    with pytest.raises(TypeError, match=r"scallion\.stores\.sqlite"):
        cache("answers.db")
    with pytest.raises(ValueError, match=r"there are .*read_write"):
        cache(mode="recrd")


def failing(operation):
    """A store that fails at one operation, as long as it has an error for that."""
    store = memory()
    works, store.error, store.failed = getattr(store, operation), None, 0

    async def fail(*args, **kwargs):
        if store.error is None:
            return await works(*args, **kwargs)
        store.failed += 1
        raise store.error

    setattr(store, operation, fail)
    return store


@pytest.mark.parametrize("error", [e.StoreError("took longer than 2 s"), OSError("no route")])
@pytest.mark.parametrize("on_error", ["pass", "raise"])
@pytest.mark.parametrize("how", ["complete", "stream", "refresh", "outdated", "unreadable"])
@pytest.mark.parametrize("operation", ["get", "set", "delete", "get_or_lease", "lease", "release"])
async def test_whatever_fails_in_a_store_the_call_goes_on_or_fails_and_the_next_one_is_well(
    operation, how, on_error, error
):
    clock, provider = ManualClock(auto=True), Provider()
    store = failing(operation)
    layer = cache(store, ttl=60, stale_while_revalidate=600, on_error=on_error)
    llm = pipeline(provider, layer, clock=clock)
    wish = {"max_age": 30} if how == "outdated" else None
    if how in ("refresh", "outdated"):
        await llm.complete("hi")
        await clock.advance(61)
    if how == "unreadable":
        await pipeline(probe := Provider(), cache()).complete("hi")
        await store.set(f"cache:{request_key(probe.asked[0])}", b"of another version")

    store.error = error
    asked = streamed(llm, "hi") if how == "stream" else llm.complete("hi", cache=wish)
    (result,) = await asyncio.gather(asked, return_exceptions=True)
    if isinstance(result, Exception):
        assert (on_error, result) == ("raise", error)
    else:
        answered = result[1] if how == "stream" else result
        assert answered.text == "Hi"
        assert on_error == "pass" or not store.failed or how == "refresh"
    assert bool(layer.store_failures) is bool(store.failed)
    if how in ("complete", "stream"):
        assert store.failed or operation in ("lease", "delete") or on_error == "raise"
    await clock.advance(0)  # what goes on in the background
    store.error = None

    await clock.advance(LEASE + 1000)  # also what could not be given back is forgotten
    assert (await llm.complete("hi")).text == "Hi"
    assert (await llm.complete("hi")).cached
    assert not layer._refreshes._tasks
