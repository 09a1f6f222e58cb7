"""The cassette: recordings in a file that people read, compare and commit."""

import asyncio
import json
import pickle
import sys
import time
from pathlib import Path

import pytest

from scallion import Response, build_pipeline
from scallion import exceptions as e
from scallion._accumulate import chunks_of
from scallion.middlewares._cache import cache
from scallion.stores import Lease, StoreError, cassette
from support.chunks import Source, answer


async def provider(request):
    whole = answer(f"To {request.messages[-1]['content']}")
    if request.stream:
        return Response.streaming(Source(*([chunk] for chunk in chunks_of(whole))), request)
    return Response.completed(whole, request)


async def offline(request):
    raise AssertionError("replay asked the provider")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tapes" / "tape.json"


def recording(path):
    layer = cache(cassette(path), mode="record")
    return build_pipeline([layer], provider=provider, model="m")


def replaying(path):
    layer = cache(cassette(path), mode="replay")
    return build_pipeline([layer], provider=offline, model="m")


async def test_a_recording_is_replayed_and_can_be_read(path):
    await recording(path).complete("one", temperature=0, extra_headers={"X-Key": "canary"})
    await recording(path).complete("two")

    assert (await replaying(path).complete("two")).text == "To two"
    with pytest.raises(e.CacheMissError, match="temperature"):
        await replaying(path).complete("one", temperature=1)

    text = path.read_text()
    entries = json.loads(text)["entries"]
    kept = [entry["value"] for entry in entries.values() if isinstance(entry["value"], dict)]
    assert {k["answer"]["choices"][0]["message"]["content"] for k in kept} == {"To one", "To two"}
    assert {k["request"]["messages"][0]["content"] for k in kept} == {"one", "two"}
    assert list(entries) == sorted(entries)
    assert '\n  "entries": {\n' in text
    assert "canary" not in text


async def test_another_order_or_time_of_recording_gives_the_same_file(tmp_path):
    for name, order in (("a", "123"), ("b", "321"), ("a", "21")):
        for question in order:
            await recording(tmp_path / name).complete(question)
            await recording(tmp_path / name).stream(f"{question}, bit by bit").collect()
            time.sleep(0.002)  # noqa: ASYNC251 - what is written down is not the loop's time
        if name == "a":
            first = (tmp_path / "a").read_bytes()

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == first


@pytest.mark.parametrize(
    "value", [b"", b"\x00\xff", b"sc\x01\x01\x01\x00", b"sc\x01\x02\x00{}", b"[1]"]
)
async def test_any_bytes_are_kept(path, value):
    await cassette(path).set("key", value, ttl=1)
    assert await cassette(path).get("key") == value


async def test_a_change_of_the_file_is_seen(path):
    one, other = cassette(path), cassette(path)
    assert await one.get("key") is None
    await other.set("key", b"1")
    assert await one.get("key") == b"1"
    await one.delete("key")
    assert await other.get("key") is None
    assert isinstance(await other.get_or_lease("key", ttl=1), Lease)


async def test_a_file_that_an_editor_has_saved_in_its_own_way_is_read(path):
    await cassette(path).set("key", b'"value"')
    text = json.dumps(json.loads(path.read_text()), indent="\t").replace("\n", "\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert await cassette(path).get("key") == b'"value"'


async def test_it_pickles_as_its_path(path):
    store = cassette(path)
    await store.set("key", b"1")
    again = pickle.loads(pickle.dumps(store))
    assert again.url == store.url
    assert await again.get("key") == b"1"


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"format": 2, "entries": {}}', '{"entries": {"a": 1}}']
)
async def test_a_file_that_is_no_recording_is_an_error_and_stays_as_it_is(path, text):
    path.parent.mkdir()
    path.write_text(text)
    for attempt in (cassette(path).get("key"), cassette(path).set("key", b"1")):
        with pytest.raises(StoreError, match="tape"):
            await attempt
    assert path.read_text() == text
    assert [p.name for p in path.parent.iterdir()] == [path.name]


async def test_its_keys_are_listed_and_its_path_is_known(path, monkeypatch):
    monkeypatch.chdir(path.parent.parent)
    store = cassette("tapes/tape.json")
    monkeypatch.chdir("/")
    assert store.path == path
    assert store.keys() == []
    await store.set("b", b"1")
    await store.set("a", b"1")
    assert store.keys() == ["a", "b"]


async def test_a_write_that_fails_is_a_typed_error_and_the_file_stays(path, monkeypatch):
    await cassette(path).set("key", b"1")
    before = path.read_bytes()

    def fail(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(StoreError, match=r"tape.json cannot be written: disk full"):
        await cassette(path).set("key", b"2")
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


async def test_where_files_cannot_be_locked_it_still_records(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)  # as on Windows
    await cassette(path).set("key", b"1")
    assert await cassette(path).get("key") == b"1"


async def test_a_value_that_somebody_has_broken_is_none(path):
    path.parent.mkdir()
    path.write_text('{"format": 1, "entries": {"key": {"base64": "?"}}}')
    assert await cassette(path).get("key") is None


WORKER = """
import asyncio, sys
from scallion.stores import cassette
store = cassette(sys.argv[1])
for number in range(20):
    asyncio.run(store.set(f"{sys.argv[2]} {number}", b"1"))
"""


async def test_processes_that_record_at_once_lose_nothing(path):
    workers = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, str(path), name)
        for name in "abc"
    ]
    assert [await worker.wait() for worker in workers] == [0, 0, 0]
    assert len(json.loads(path.read_text())["entries"]) == 60
    assert [p.name for p in path.parent.iterdir()] == [path.name]
