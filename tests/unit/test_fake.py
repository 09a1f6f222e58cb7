"""The fake provider: a script of answers, alike whether complete or streamed."""

import asyncio
import pickle
import warnings

import pytest

from scallion import Request, _tokens_text, build_pipeline, tokens
from scallion._accumulate import accumulate
from scallion.exceptions import (
    RateLimitError,
    ServerError,
    StreamInterruptedError,
    StreamTruncatedError,
)
from scallion.middlewares import budget
from scallion.providers import fake
from scallion.testing import ManualClock
from scallion.types import (
    Choice,
    FunctionCall,
    Message,
    ModelResponse,
    ToolCall,
    Usage,
)

WHOLE = ModelResponse(
    id="chatcmpl-7",
    object="chat.completion",
    created=7,
    model="gpt-4o-2024-08-06",
    choices=[
        Choice(
            message=Message(
                content="Hello there, world",
                reasoning="hm",
                tool_calls=[
                    ToolCall(
                        id="call_1",
                        type="function",
                        function=FunctionCall(name="f", arguments='{"a": 1}'),
                    )
                ],
            ),
            finish_reason="tool_calls",
        ),
        Choice(index=1, message=Message(content="Another one"), finish_reason="stop"),
    ],
    usage=Usage(prompt_tokens=3, completion_tokens=9, total_tokens=12),
    model_extra={"x": 1},
)


def pipeline(script=None, **settings):
    return build_pipeline(provider=fake(script, **settings), model="m")


async def texts(stream):
    return [chunk.content async for chunk in stream if chunk.content]


# ------------------------------------------------------------------------------ the script


async def test_without_a_script_it_says_what_it_was_asked():
    llm = pipeline()

    assert "You asked: Why? " in (await llm.complete("Why?")).text
    assert "You asked: nothing " in (await llm.complete([{"role": "user", "content": ""}])).text
    parts = [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": "u"}}]
    assert "You asked: See " in (await llm.complete([{"role": "user", "content": parts}])).text


async def test_steps_are_taken_in_order_and_then_it_speaks_for_itself():
    llm = pipeline(["one", RateLimitError("slow down"), "two"])

    assert (await llm.complete("hi")).text == "one"
    with pytest.raises(RateLimitError, match="slow down"):
        await llm.complete("hi")
    assert (await llm.stream("hi").collect()).text == "two"
    assert (await llm.complete("hi")).text.startswith("You asked: hi")


async def test_a_step_may_be_a_function_of_the_request():
    async def later(request):
        await asyncio.sleep(0)
        return "later"

    script = [
        lambda request: request.messages[-1]["content"].upper(),
        lambda request: ServerError("boom"),
        lambda request: ("Hel", ServerError("cut")),
        later,
    ]
    llm = pipeline(script)

    assert (await llm.complete("hi")).text == "HI"
    with pytest.raises(ServerError, match="boom"):
        await llm.complete("hi")
    with pytest.raises(ServerError, match="cut"):
        await llm.complete("hi")
    assert (await llm.complete("hi")).text == "later"


async def test_a_text_with_an_error_breaks_a_stream_after_the_text():
    llm = pipeline([("Hel lo", ServerError("cut"))])
    seen = []

    with pytest.raises(StreamInterruptedError, match="cut") as caught:
        async for chunk in llm.stream("hi"):
            seen += [chunk.content] if chunk.content else []

    assert seen == ["Hel ", "lo"]
    assert caught.value.partial.text == "Hel lo"
    assert caught.value.partial.finish_reason is None


@pytest.mark.parametrize("mode", ["complete", "stream"])
async def test_an_error_of_the_script_fails_before_any_content(mode):
    error = RateLimitError("slow down", retry_after=3.0)
    llm = pipeline([error])

    with pytest.raises(RateLimitError) as caught:
        await (llm.complete("hi") if mode == "complete" else llm.stream("hi").collect())

    assert caught.value is error


@pytest.mark.parametrize("step", [7, None, {"text": "Hi"}, (7, ServerError("x")), lambda _: 7])
async def test_a_step_of_no_kind_is_named(step):
    with pytest.raises(TypeError, match="step of the fake provider"):
        await pipeline([step]).complete("hi")


@pytest.mark.parametrize("script", ["Hi", b"Hi"])
def test_one_text_in_place_of_a_list_is_refused(script):
    with pytest.raises(TypeError, match="must be a list"):
        fake(script)


async def test_a_text_may_be_empty():
    llm = pipeline(["", ""])

    whole, streamed = await llm.complete("hi"), await llm.stream("hi").collect()

    assert (whole.text, whole.finish_reason) == ("", "stop")
    assert streamed == whole


# ------------------------------------------------------------------------------ streams


async def test_a_stream_comes_word_by_word_and_keeps_every_blank():
    text = "  Hello there,\n\n world "

    words = await texts(pipeline([text]).stream("hi"))

    assert words == ["  ", "Hello ", "there,\n\n ", "world "]
    assert "".join(words) == text


@pytest.mark.parametrize("answer", ["Hello there", WHOLE], ids=["text", "whole"])
async def test_complete_and_streamed_answers_are_the_same(answer):
    llm = pipeline([answer, answer])

    whole = await llm.complete("hi")
    streamed = await llm.stream("hi").collect()

    assert streamed == whole
    assert whole.provider == "fake"
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens


async def test_content_in_parts_is_streamed_in_one_piece():
    parts = [{"type": "text", "text": "See "}, {"type": "image_url", "image_url": {"url": "u"}}]
    answer = ModelResponse(
        object="chat.completion", choices=[Choice(message=Message(content=parts))]
    )
    answer.choices[0].finish_reason = "stop"

    streamed = await pipeline([answer]).stream("hi").collect()

    assert streamed.message.content == parts


async def test_an_answer_without_choices_is_no_answer_when_streamed():
    with pytest.raises(StreamTruncatedError):
        await pipeline([ModelResponse()]).stream("hi").collect()


async def test_the_first_chunk_has_the_role():
    chunks = [chunk async for chunk in pipeline(["Hi"]).stream("hi")]

    assert chunks[0].choices[0].delta.role == "assistant"
    assert {chunk.id for chunk in chunks} == {"fake-1"}
    assert {chunk.model for chunk in chunks} == {"m"}


async def test_thinking_comes_before_the_words_and_tools_after_them():
    chunks = [chunk async for chunk in pipeline([WHOLE]).stream("hi")]

    order = ["reasoning" for chunk in chunks if chunk.reasoning]
    kinds = [
        kind
        for chunk in chunks
        for kind in ("reasoning", "content", "tool_calls")
        if getattr(chunk, kind)
    ]
    assert order == ["reasoning"]
    assert kinds == ["reasoning", "content", "content", "content", "tool_calls"]
    assert accumulate(chunks).tool_calls == WHOLE.tool_calls


async def test_a_delay_is_waited_between_words_on_the_pipelines_clock():
    clock = ManualClock(auto=True)
    llm = build_pipeline(provider=fake(["a b c"], delay=0.5), model="m", clock=clock)

    await llm.stream("hi").collect()

    assert clock.slept == [0.5, 0.5, 0.5]


async def test_a_stream_that_is_left_early_settles_as_closed():
    llm = pipeline(["a b c"])

    async with llm.stream("hi") as stream:
        async for _ in stream:
            break

    assert stream.response.outcome.status == "closed"


# ------------------------------------------------------------------------------ what it keeps


async def test_an_answer_of_the_script_is_not_changed_by_who_gets_it():
    answer = ModelResponse(choices=[Choice(message=Message(content="Hi"), finish_reason="stop")])
    llm = pipeline([lambda _: answer] * 2)

    first = await llm.complete("hi")
    first.cost = 42

    assert first.provider == "fake"
    assert (answer.provider, answer.cost) == (None, None)


async def test_a_script_may_be_any_sequence_and_is_not_changed():
    script = ["a", "b"]
    llm = pipeline(script)

    await llm.complete("hi")

    assert script == ["a", "b"]


async def test_a_copy_in_another_process_begins_the_script_anew():
    provider = fake(["a", "b"], delay=0.25)
    await provider.complete("hi", model="m")

    copy = pickle.loads(pickle.dumps(provider))

    assert (await copy.complete("hi", model="m")).text == "a"
    assert copy._delay == 0.25


async def test_token_counts_grow_with_the_texts():
    llm = pipeline(["a" * 40, "a"])

    long = (await llm.complete("b" * 80)).usage
    short = (await llm.complete("b")).usage

    assert (long.prompt_tokens, long.completion_tokens) == (21, 11)
    assert (short.prompt_tokens, short.completion_tokens) == (1, 1)


async def test_it_can_be_closed_and_warmed_up_like_any_provider():
    async with fake(["Hi"]) as provider:
        await provider.warm_up()
        assert (await provider.stream("hi", model="m").collect()).text == "Hi"
    assert provider.supports_streaming("m")
    assert provider.supports_tools("m")


def test_its_repr_counts_its_steps():
    assert repr(fake()) == "fake()"
    assert repr(fake(["a", "b"])) == "fake(2 steps)"


async def test_counting_for_it_loads_no_ranks(monkeypatch):
    def load(*_args, **_settings):
        raise AssertionError("ranks are being loaded")

    monkeypatch.setattr(_tokens_text, "Loading", load)
    monkeypatch.setattr(_tokens_text, "encoder", load)
    tokens._counter.cache_clear()
    request = Request("fake/m", [{"role": "user", "content": "one two three"}], {"tools": []})

    found = tokens.estimate(request)
    await tokens.warm_up("fake/m")

    assert not found.exact
    assert 3 <= found.tokens <= found.upper
    assert fake().count_tokens("one two three", "fake/m") == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        llm = build_pipeline(
            [budget(tokens=1000, max_output_tokens=50)], provider=fake(["Hi"]), model="fake/m"
        )
        assert (await llm.complete("Hello")).text == "Hi"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_step_may_be_a_message_with_tool_calls(stream):
    call = ToolCall(id="call_1", function=FunctionCall(name="weather", arguments='{"city":"Oslo"}'))
    said = Message(tool_calls=[call])
    llm = build_pipeline(provider=fake([said]), model="fake/agent")
    if stream:
        async with llm.stream("Weather?") as chunks:
            answer = await chunks.collect()
    else:
        answer = await llm.complete("Weather?")
    assert answer.finish_reason == "tool_calls"
    assert [made.function.arguments for made in answer.tool_calls] == ['{"city":"Oslo"}']
    assert answer.usage.completion_tokens == len('weather{"city":"Oslo"}') // 4 + 1
    assert said == Message(tool_calls=[call])
