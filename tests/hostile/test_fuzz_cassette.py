"""Damaged recordings: the answer that the file says, or a clear error; never anything else."""

import asyncio
import json
from contextlib import suppress
from copy import deepcopy

import pytest
from hostile.effort import examples
from hypothesis import example, given
from hypothesis import strategies as st

from scallion import Response, build_pipeline
from scallion.exceptions import CacheMissError, LLMClientError, StoreError
from scallion.middlewares import cache
from scallion.stores import cassette
from scallion.types import ChunkChoice, ModelResponse, StreamChunk
from support.chunks import answer

ASKED = ["one", "two", "three"]


async def provider(request):
    said = answer(f"To {request.messages[-1]['content']}, gladly")
    if not request.stream:
        return Response.completed(said, request)

    async def chunks():
        yield StreamChunk.of("To ")
        yield StreamChunk.of(f"{request.messages[-1]['content']}, gladly")
        yield StreamChunk(choices=[ChunkChoice(finish_reason="stop")])

    return Response.streaming(chunks(), request)


async def offline(request):
    raise AssertionError("replay asked the provider")


@pytest.fixture(scope="module")
def tape(tmp_path_factory):
    """A recording of whole and streamed answers, and which key is whose."""
    path = tmp_path_factory.mktemp("tapes") / "tape.json"

    async def record():
        llm = build_pipeline([cache(cassette(path), mode="record")], provider=provider, model="m")
        for question in ASKED[:2]:
            await llm.complete(question)
        await llm.stream(ASKED[2]).collect()
        await llm.aclose()

    asyncio.run(record())
    entries = json.loads(path.read_text())["entries"]
    keys = {
        entry["value"]["request"]["messages"][0]["content"]: key for key, entry in entries.items()
    }
    return path, path.read_bytes(), keys


def said_in(content, key):
    """The texts of an entry as the file has it now: people may edit it."""
    said = set()
    for read in (_whole, _streamed):
        with suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError, IndexError):
            said.add(read(json.loads(content)["entries"][key]["value"]))
    return said


def _whole(entry):
    return ModelResponse.model_validate(entry["answer"]).text


def _streamed(entry):
    return "".join(
        each if isinstance(each, str) else StreamChunk.model_validate(each).content or ""
        for each in (entry.get("tape") or {}).get("said", [])
    )


def replayed(path, question, *, streams):
    async def ask():
        layer = cache(cassette(path), mode="replay")
        async with build_pipeline([layer], provider=offline, model="m") as llm:
            if streams:
                return (await llm.stream(question).collect()).text
            return (await llm.complete(question)).text

    try:
        return asyncio.run(ask())
    except LLMClientError as error:  # a tape without its end is a stream that was truncated
        return error


def check(tape, content, damaged):
    path, original, keys = tape
    damaged.write_bytes(content)
    for question in ASKED:
        unchanged = said_in(original, keys[question])
        for streams in (False, True):
            got = replayed(damaged, question, streams=streams)
            if isinstance(got, StoreError):
                assert damaged.name in str(got)
            elif isinstance(got, str):
                assert got in (said_in(content, keys[question]) or unchanged)
    # And nobody writes over what they could not read.
    assert damaged.read_bytes() == content


@examples(60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["cut", "flip", "insert", "drop"]),
            st.integers(0, 10_000),
            st.binary(min_size=1, max_size=4)
            | st.sampled_from([b'"', b"{", b"]", b"\x00", b"\xff", b",", b"null", b"[" * 50_000]),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_bytes_that_were_damaged_are_an_error_or_the_answer_that_is_written(tape, tmp_path, what):
    content = tape[1]
    for kind, place, data in what:
        at = place % (len(content) + 1)
        end = {"cut": len(content), "flip": at + len(data), "insert": at, "drop": at + 7}[kind]
        content = content[:at] + (b"" if kind in ("cut", "drop") else data) + content[end:]
    check(tape, content, tmp_path / "damaged.json")


def places(value):
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, held in list(inner):
        yield value, key
        if isinstance(held, (dict, list)):
            yield from places(held)


ODD = [None, True, 0, -1, 300, 1.5, 10**40, "", "x", [], [None], [[]], {}, {"x": 1}, ["x"] * 3]


@examples(80)
@given(st.lists(st.tuples(st.integers(0, 1_000), st.sampled_from(ODD)), min_size=1, max_size=2))
@example([(1, 2)])
def test_values_of_the_wrong_kind_are_an_error_or_the_answer_that_is_written(tape, tmp_path, what):
    content = json.loads(tape[1])
    for at, value in what:
        found = list(places(content))
        holder, key = found[at % len(found)]
        holder[key] = deepcopy(value)  # the next one may be put into it
    check(tape, json.dumps(content).encode(), tmp_path / "damaged.json")


def kept(**fields):
    return {"format": 1, "entries": {"KEY": fields}}


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\x00" * 100, b"[" * 200_000, b'{"format":1,"entries":{"KEY":' + b"[" * 200_000,
        b'{"format":1,"entries":{"KEY":{"value":' + b"[" * 900 + b"]" * 900 + b',"version":1}}}',
        json.dumps(kept(value={}, version=300)).encode(), json.dumps(kept(value=1, version=-1)).encode(),
        json.dumps(kept(value=10**40, version=1)).encode(), json.dumps(kept(base64="ÿ")).encode(),
        json.dumps(kept(base64="////", value=1)).encode(), json.dumps(kept(base64="c2MBAQE=")).encode(),
    ],
    ids=range(11),
)  # fmt: skip
async def test_an_odd_file_is_an_error_of_the_store_or_a_miss(tape, tmp_path, content):
    _, _, keys = tape
    path = tmp_path / "damaged.json"
    path.write_bytes(content.replace(b"KEY", keys["one"].encode()))
    layer = cache(cassette(path), mode="replay")
    async with build_pipeline([layer], provider=offline, model="m") as llm:
        with pytest.raises((StoreError, CacheMissError)):
            await llm.complete("one")
    if content:
        store = cassette(path)
        try:
            await store.get(keys["one"])
            await store.set("another", b"1")
        except StoreError:
            assert path.read_bytes() == content.replace(b"KEY", keys["one"].encode())
