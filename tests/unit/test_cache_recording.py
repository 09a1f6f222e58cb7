"""cache(mode="record") and "replay": a suite that runs offline, and says what has changed."""

import asyncio
import json

import pytest

from scallion import Response, build_pipeline
from scallion import exceptions as e
from scallion._accumulate import chunks_of
from scallion.middlewares import retry
from scallion.middlewares._cache import cache
from scallion.middlewares._cache_entry import envelope
from scallion.middlewares._cache_recording import LONGEST_DIFF, MOST, Recordings
from scallion.middlewares._cache_shelf import Shelf
from scallion.providers import openai
from scallion.stores import StoreError, cassette, memory
from scallion.testing import ManualClock
from scallion.types import StreamChunk
from support.chunks import STOP, Source, answer
from support.stores import backend, valkey

__all__ = ["backend", "valkey"]


class Provider:
    """Answers with a number that grows."""

    def __init__(self):
        self.asked = 0

    async def __call__(self, request):
        self.asked += 1
        whole = answer(f"answer {self.asked}")
        if request.stream:
            return Response.streaming(Source(chunks_of(whole)), request)
        return Response.completed(whole, request)


async def offline(request):
    raise AssertionError("replay asked the provider")


def recording(store, provider=None, **settings):
    layer = cache(store, mode="record", **settings)
    return build_pipeline([layer], provider=provider or Provider(), model="m")


def replaying(store, provider=offline, **settings):
    return build_pipeline([cache(store, mode="replay", **settings)], provider=provider, model="m")


async def missed(llm, *args, **params):
    with pytest.raises(e.CacheMissError) as caught:
        await llm.complete(*args, **params)
    return str(caught.value)


async def test_what_was_recorded_is_replayed_without_asking(backend):
    async with recording(backend.store()) as llm:
        await llm.complete("one")
        async with llm.stream("two") as stream:
            await stream.collect()

    async with replaying(backend.store()) as llm:
        async with llm.stream("one") as stream:
            assert (await stream.collect()).text == "answer 1"
        assert (await llm.complete("two")).text == "answer 2"
        assert (await llm.complete("two", cache={"no_cache": True, "max_age": 0})).cached


async def test_recording_always_asks_and_keeps_the_latest():
    store, provider = memory(), Provider()
    llm = recording(store, provider)
    for _ in range(3):
        assert not (await llm.complete("hi")).cached
    await asyncio.gather(*[llm.complete("hi") for _ in range(3)])
    assert provider.asked == 6
    assert (await replaying(store).complete("hi")).text == "answer 6"


async def test_any_account_replays_what_one_account_recorded():
    class Account(Provider):
        def __init__(self, identity):
            super().__init__()
            self.identity = lambda model: identity

    store = memory()
    await recording(store, Account("mine")).complete("hi")
    assert (await replaying(store, Account("none")).complete("hi")).cached
    openai_without_key = openai(base_url="http://127.0.0.1:9/v1", api_key="x")
    assert (await replaying(store, openai_without_key).complete("hi")).cached


async def test_a_miss_shows_how_the_nearest_recorded_request_differs(backend):
    async with recording(backend.store()) as llm:
        await llm.complete("Say hi", temperature=0, user="ann")
        await llm.complete([{"role": "system", "content": "Be brief"}], seed=1)

    async with replaying(backend.store()) as llm:
        shown = await missed(llm, "Say hi", temperature=1, user="ann")

    assert "to m" in shown
    lines = shown.splitlines()
    assert '-  "temperature": 0' in lines
    assert '+  "temperature": 1' in lines
    assert '   "user": "ann"' in lines
    assert "Be brief" not in shown


async def test_a_streamed_call_misses_in_the_same_way():
    store = memory()
    await recording(store).complete("Say hi")
    with pytest.raises(e.CacheMissError, match=r'[+] +"content": "Say ho"'):
        async with replaying(store).stream("Say ho") as stream:
            await stream.collect()


async def test_a_miss_is_not_retried_and_counts_as_refused():
    llm = build_pipeline([retry(), cache(mode="replay")], provider=offline, model="m")
    with pytest.raises(e.PipelineRefusedError) as caught:
        await llm.complete("hi")
    assert caught.value.attempts == ()


async def test_a_miss_without_any_recording_says_what_to_do():
    shown = await missed(replaying(memory()), "hi")
    assert "Nothing is recorded in memory://" in shown
    assert 'mode="record"' in shown


async def test_an_answer_of_another_namespace_is_a_miss():
    store = memory()
    await recording(store, namespace="one").complete("hi")
    assert "Nothing is recorded" in await missed(replaying(store, namespace="two"), "hi")


async def test_a_request_that_differs_in_a_secret_says_so_without_showing_it():
    store = memory()
    headers = {"Authorization": "canary-1"}
    await recording(store).complete("hi", extra_headers=headers)
    shown = await missed(replaying(store), "hi", extra_headers={"authorization": "canary-2"})
    assert "canary" not in shown
    assert "authorization" in shown
    assert (await replaying(store).complete("hi", extra_headers=headers)).cached


async def test_no_secret_is_in_the_recording():
    store = memory()
    provider = openai(api_key="canary-key", base_url="http://canary.test/v1")

    async def ask(request):
        return Response.completed(answer("Hi"), request)

    ask.identity = provider.identity
    body = {"api_key": "canary-body"}
    await recording(store, ask).complete("hi", extra_headers={"X": "canary-head"}, extra_body=body)
    kept = b" ".join(value for value, _ in store._values.values())
    assert b'"content":"hi"' in kept
    assert b"canary" not in kept


async def test_a_secret_that_a_stream_says_in_pieces_is_in_no_cassette(tmp_path, monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "canary-canary")

    async def says_it(request):
        pieces = [StreamChunk.of(piece) for piece in ("It is ", "canary", "-can", "ary.")]
        return Response.streaming(Source([*pieces, STOP]), request)

    path = tmp_path / "tape.json"
    async with recording(cassette(path), says_it).stream("hi") as stream:
        assert (await stream.collect()).text == "It is canary-canary."
    assert "canar" not in path.read_text()
    async with replaying(cassette(path)).stream("hi") as stream:
        assert (await stream.collect()).text.startswith("It is <secret ")


async def test_a_cassette_is_not_compressed_or_it_could_hide_secrets(tmp_path, monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "canary-canary")
    path = tmp_path / "tape.json"
    question = "canary-canary " + "word " * 200
    await recording(cassette(path), compress="zlib").complete(question)
    assert "base64" not in path.read_text()
    assert "word word" in path.read_text()
    assert (await replaying(cassette(path), compress="zlib").complete(question)).cached


async def test_ignored_parameters_may_differ():
    store = memory()
    await recording(store, ignore=["user"]).complete("hi", user="a")
    llm = replaying(store, ignore=["user"])
    assert (await llm.complete("hi", user="b")).cached
    assert '"user": "b"' not in await missed(llm, "ho", user="b")


async def test_a_long_diff_is_cut():
    store = memory()
    await recording(store).complete([{"role": "user", "content": str(n)} for n in range(200)])
    shown = await missed(
        replaying(store), [{"role": "user", "content": f"{n}x"} for n in range(200)]
    )
    assert len(shown.splitlines()) <= LONGEST_DIFF + 2
    assert shown.splitlines()[-1].endswith("more lines")


async def test_everything_recorded_at_once_is_found_again(backend):
    async with recording(backend.store()) as llm:
        await asyncio.gather(*[llm.complete(f"question {n}") for n in range(20)])
    async with replaying(backend.store()) as llm:
        for number in range(20):
            assert (await llm.complete(f"question {number}")).cached
            shown = await missed(llm, f"question {number}", seed=number)
            changed = [line for line in shown.splitlines()[3:] if line[0] in "+-"]
            assert changed == [f'+  "seed": {number}']


async def test_errors_are_not_recorded():
    async def fails(request):
        raise e.ServerError("no")

    store = memory()
    with pytest.raises(e.ServerError):
        await recording(store, fails).complete("hi")
    assert "Nothing is recorded" in await missed(replaying(store), "hi")


async def test_what_cannot_be_recorded_is_refused():
    with pytest.raises(e.InvalidRequestError, match="cannot be recorded"):
        await recording(memory()).complete("hi", odd=object())


@pytest.mark.parametrize("depth", [100, 300, 600, 900, 5_000])
async def test_what_is_nested_too_deep_is_recorded_or_refused_before_it_is_sent(tmp_path, depth):
    odd = {}
    for _ in range(depth):
        odd = {"a": odd}
    provider, store = Provider(), cassette(tmp_path / "tape.json")
    asked = {"extra_body": {"odd": odd}}
    try:
        await recording(store, provider).complete("hi", **asked)
    except e.InvalidRequestError:
        assert provider.asked == 0
        with pytest.raises((e.InvalidRequestError, e.CacheMissError)):
            await replaying(store).complete("hi", **asked)
    else:
        assert (await replaying(store).complete("hi", **asked)).cached


async def test_an_answer_that_is_nested_too_deep_is_a_typed_error_or_is_recorded(tmp_path):
    store = cassette(tmp_path / "tape.json")
    for depth in (100, 300, 450, 600, 900, 5_000):
        value = b"[" * depth + b'"sk-proj-abcdefgh0123456789ijkl"' + b"]" * depth
        try:
            await store.set(f"{depth}", value)
        except StoreError:
            continue
        assert len(await store.get(f"{depth}")) < len(value)
    assert "sk-proj" not in store.path.read_text()


async def test_a_recording_without_its_index_still_replays():
    store = memory()
    await recording(store).complete("hi")
    (index,) = [name for name in store._values if name.endswith("recorded")]
    await store.set(index, json.dumps({"not": "a list"}).encode())
    assert (await replaying(store).complete("hi")).cached
    assert "Nothing is recorded" in await missed(replaying(store), "ho")


async def test_a_store_that_fails_fails_the_replay():
    class Broken:
        url = "broken://"

        async def get(self, key):
            raise OSError("no such store")

    with pytest.raises(OSError, match="no such store"):
        await replaying(Broken()).complete("hi")


async def test_a_cassette_is_asked_for_its_entries_and_keeps_no_list_of_them(tmp_path):
    store = cassette(tmp_path / "tape.json")
    await recording(store, namespace="one").complete("hi")
    (name,) = store.keys()
    assert not name.endswith("recorded")
    shown = await missed(replaying(store, namespace="two"), "hi")
    assert "no difference to be seen" in shown
    assert '+  "seed": 1' in await missed(replaying(store, namespace="one"), "hi", seed=1)


async def test_an_entry_that_holds_no_request_is_no_neighbour():
    store = memory()
    await recording(store).complete("hi")
    (name,) = [name for name in store._values if not name.endswith("recorded")]
    await store.set(name, b"unreadable")
    assert "Nothing is recorded" in await missed(replaying(store), "ho")


async def test_the_list_of_what_was_recorded_is_bounded():
    store, clock = memory(), ManualClock()
    sealer = envelope(None, None)
    recordings = Recordings(Shelf(store, sealer, ttl=None, strict=True), "list")
    for number in range(MOST + 5):
        recordings.note(f"{number:05}", clock)
        recordings.note(f"{number:05}", clock)
    kept = json.loads(await store.get("list"))
    assert len(kept) == MOST
    assert kept[-1] == f"{MOST + 4:05}"
