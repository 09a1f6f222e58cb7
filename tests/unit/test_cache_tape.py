"""Recorded streams: replayed in their own chunks, in their own time if asked, and good to read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scallion import Response, build_pipeline
from scallion import exceptions as e
from scallion._accumulate import accumulate
from scallion.middlewares import fallback
from scallion.middlewares._cache import cache
from scallion.middlewares._cache_tape import Recorder, Tape
from scallion.stores import cassette, memory
from scallion.testing import ManualClock
from scallion.types import ChunkChoice, Delta, FunctionCall, StreamChunk, ToolCall, Usage
from support.chunks import Source, answer

WORDS = ["Be", "cause ", "air", " scatters"]


def chunk(choice=None, **fields):
    choices = [] if choice is None else [choice]
    return StreamChunk(id="x", object="c", created=5, model="m-1", choices=choices, **fields)


def chunks():
    calls = [ToolCall(index=0, id="c1", function=FunctionCall(name="f", arguments="{}"))]
    deltas = [Delta(role="assistant"), *[Delta(content=word) for word in WORDS]]
    deltas += [Delta(reasoning="hm"), Delta(tool_calls=calls), Delta(model_extra={"odd": [1]})]
    return [
        *[chunk(ChunkChoice(delta=delta)) for delta in deltas],
        chunk(ChunkChoice(finish_reason="stop")),
        chunk(usage=Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3)),
    ]


class Slow(Source):
    """Takes a second before each chunk."""

    def __init__(self, steps, clock):
        super().__init__(*[[step] for step in steps])
        self._clock = clock

    async def read(self):
        await self._clock.sleep(1)
        return await super().read()


def provider(clock, steps=chunks):
    async def answers(request):
        return Response.streaming(Slow(steps(), clock), request, provider="p")

    return answers


async def offline(request):
    raise AssertionError("replay asked the provider")


async def read(llm):
    async with llm.stream("hi") as stream:
        return [each async for each in stream], stream.result


async def test_a_recorded_stream_replays_in_its_own_chunks_and_at_once(tmp_path):
    clock, store = ManualClock(auto=True), cassette(tmp_path / "tape.json")
    recording = cache(store, mode="record")
    first, whole = await read(
        build_pipeline([recording], provider=provider(clock), model="m", clock=clock)
    )
    clock.slept.clear()
    replaying = build_pipeline(
        [cache(store, mode="replay")], provider=offline, model="m", clock=clock
    )
    again, replayed = await read(replaying)

    assert [c.to_dict() for c in again] == [c.to_dict() for c in first]
    assert replayed.cached
    assert replayed.to_dict() == whole.to_dict()
    assert (await replaying.complete("hi")).to_dict() == whole.to_dict()
    assert clock.slept == []


async def test_in_the_file_most_chunks_are_their_text(tmp_path):
    clock, path = ManualClock(auto=True), tmp_path / "tape.json"
    recording = cache(cassette(path), mode="record")
    await read(build_pipeline([recording], provider=provider(clock), model="m", clock=clock))
    (entry,) = json.loads(path.read_text())["entries"].values()
    said = entry["value"]["tape"]["said"]
    assert said[1:5] == WORDS
    assert said[0]["id"] == "x"
    assert all("id" not in each for each in said[1:] if isinstance(each, dict))


@pytest.mark.parametrize("where", ["memory", "cassette"])
async def test_its_timing_is_replayed_if_asked(tmp_path, where):
    clock = ManualClock(auto=True)
    store = memory() if where == "memory" else cassette(tmp_path / "tape.json")
    recording = cache(store, mode="record", timing=where == "cassette")
    await read(build_pipeline([recording], provider=provider(clock), model="m", clock=clock))
    began = clock.now()
    replaying = cache(store, mode="replay", timing=True)
    again, _ = await read(build_pipeline([replaying], provider=offline, model="m", clock=clock))
    assert len(again) == len(chunks())
    # The first content is waited for before a layer sees the stream.
    assert clock.now() - began == pytest.approx(len(chunks()) - 2, abs=0.1)


async def test_a_whole_answer_has_no_tape_and_replays_word_by_word():
    async def answers(request):
        return Response.completed(answer("one two three"), request)

    store = memory()
    await build_pipeline([cache(store, mode="record")], provider=answers, model="m").complete("hi")
    llm = build_pipeline([cache(store, mode="replay", timing=True)], provider=offline, model="m")
    again, _ = await read(llm)
    assert [c.content for c in again if c.content] == ["one", " two", " three"]


async def test_what_layers_further_out_write_on_chunks_is_not_recorded():
    clock, store = ManualClock(auto=True), memory()

    async def shouts(request, call_next):
        def louder(each):
            for choice in each.choices:
                if choice.delta.content:
                    choice.delta.content = "LOUD"
            return each

        return (await call_next(request)).map(louder)

    layers = [shouts, cache(store, mode="record")]
    await read(build_pipeline(layers, provider=provider(clock), model="m", clock=clock))
    llm = build_pipeline([cache(store, mode="replay")], provider=offline, model="m")
    again, _ = await read(llm)
    assert [c.content for c in again if c.content] == WORDS


async def test_of_a_stream_that_began_anew_the_second_beginning_is_recorded():
    clock, store = ManualClock(auto=True), memory()
    broken = [*chunks()[:3], e.ServerError("cut")]

    async def breaks(request):
        return Response.streaming(
            Source(*[[s] if isinstance(s, StreamChunk) else s for s in broken]), request
        )

    layers = [cache(store, mode="record"), fallback([provider(clock)], stream="restart")]
    await read(build_pipeline(layers, provider=breaks, model="m", clock=clock))
    llm = build_pipeline(
        [cache(store, mode="replay"), fallback([provider(clock)])], provider=offline, model="m"
    )
    again, whole = await read(llm)
    assert [c.content for c in again if c.content] == WORDS
    assert whole.text == "".join(WORDS)


async def test_recordings_have_no_limit_of_size(tmp_path):
    async def answers(request):
        return Response.completed(answer("x" * 2**21), request)

    store = memory()
    await build_pipeline([cache(store, mode="record")], provider=answers, model="m").complete("hi")
    llm = build_pipeline([cache(store, mode="replay")], provider=offline, model="m")
    assert len((await llm.complete("hi")).text) == 2**21


async def test_record_new_replays_what_is_there_and_records_the_rest():
    asked = []

    async def answers(request):
        asked.append(request.messages[-1]["content"])
        return Response.completed(answer(f"answer {len(asked)}"), request)

    llm = build_pipeline([cache(memory(), mode="record_new")], provider=answers, model="m")
    said = [(await llm.complete(question, cache={"no_cache": True})).text for question in "aba"]
    assert said == ["answer 1", "answer 2", "answer 1"]
    assert asked == ["a", "b"]


@given(
    st.lists(
        st.builds(
            Delta,
            content=st.none() | st.text(),
            role=st.none() | st.just("assistant"),
            reasoning=st.none() | st.text(),
        )
    )
)
def test_any_chunks_come_back_as_they_were(deltas):
    passed = [chunk(ChunkChoice(delta=delta)) for delta in deltas]
    recorder = Recorder.__new__(Recorder)
    recorder._streams, recorder._clock, recorder._began = True, ManualClock(), 0.0
    recorder._passed, recorder._at, recorder._timing = [], [], True
    for each in passed:
        recorder._take(each)
    tape = recorder.tape()
    if not passed:
        assert tape is None
        return
    back = tape.chunks()
    assert [c.to_dict() for c in back] == [c.to_dict() for c in passed]
    assert accumulate(back).to_dict() == accumulate(passed).to_dict()


@pytest.mark.parametrize("odd", ['{"choices": 5}', "5", "null"])
async def test_a_tape_that_cannot_be_read_is_replayed_from_the_answer(tmp_path, odd):
    clock, path = ManualClock(auto=True), tmp_path / "tape.json"
    recording = cache(cassette(path), mode="record")
    await read(build_pipeline([recording], provider=provider(clock), model="m", clock=clock))
    path.write_text(path.read_text().replace('"Be",', f"{odd},"))
    llm = build_pipeline([cache(cassette(path), mode="replay")], provider=offline, model="m")
    assert (await read(llm))[1].text == "".join(WORDS)


def test_a_tape_that_people_wrote_may_be_odd():
    assert Tape([], []).chunks() == []
    with pytest.raises(ValueError, match="5 is no chunk"):
        Tape(["a", 5, "b"], []).chunks()
