"""What becomes of the faults of a provider: errors, and streams that break in every way.

The mock counts requests itself, and tells how long a client sat through a stall.
"""

from __future__ import annotations

import json

import pytest

from scallion import build_pipeline
from scallion.exceptions import (
    AuthenticationError,
    ConnectionError,
    ContextWindowExceededError,
    InvalidRequestError,
    MalformedResponseError,
    OverloadedError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
    StreamTruncatedError,
    TimeoutError,
)
from support.histories import result, user
from support.server_process import until

pytestmark = pytest.mark.integration

MODELS = {"openai": "gpt-4o", "anthropic": "claude-sonnet-4-5"}
TEXT = "Every word of this answer is a piece of its own."

# How many events of each API's stream pass before the third word.
BEFORE_THIRD_WORD = {"openai": 3, "anthropic": 5}

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


@pytest.fixture
async def llm(llmock, style):
    async with build_pipeline(provider=llmock.provider(style), model=MODELS[style]) as pipeline:
        await pipeline.provider.warm_up()  # importing an SDK can take longer than a deadline here
        yield pipeline
    assert llmock.connections() == 0


async def ask(llm, *, stream, **params):
    if not stream:
        return await llm.complete("Hi", **params)
    async with llm.stream("Hi", **params) as chunks:
        return await chunks.collect()


async def read(stream, words):
    """Read to the end, and note the words as they come."""
    async for chunk in stream:
        if chunk.content:
            words.append(chunk.content)


both_ways = pytest.mark.parametrize("stream", [False, True], ids=["complete", "stream"])


# ------------------------------------------------------------------------------------ HTTP errors


@both_ways
@pytest.mark.parametrize(
    ("status", "error", "retryable"),
    [
        (400, InvalidRequestError, False),
        (401, AuthenticationError, False),
        (403, PermissionDeniedError, False),
        (404, InvalidRequestError, False),
        (422, InvalidRequestError, False),
        (500, ServerError, True),
        (503, ServerError, True),
        (529, OverloadedError, True),
    ],
)
async def test_a_status_is_one_typed_error_and_one_request(
    llm, llmock, style, status, error, retryable, stream
):
    llmock.will("fail", status=status, times=None)
    with pytest.raises(error) as caught:
        await ask(llm, stream=stream)
    assert caught.value.status_code == status
    assert caught.value.retryable is retryable
    assert caught.value.provider == style
    assert caught.value.model == MODELS[style]
    assert len(llmock.requests()) == 1


@both_ways
async def test_a_rate_limit_says_how_long_to_wait(llm, llmock, stream):
    llmock.will("fail", status=429, retry_after=2.5, times=None)
    with pytest.raises(RateLimitError) as caught:
        await ask(llm, stream=stream)
    [request] = llmock.requests()
    assert request["retry_after"] is not None
    assert caught.value.retry_after == request["retry_after"]
    assert caught.value.retryable


async def test_an_overlong_prompt_is_told_apart_as_each_provider_says_it(llm, llmock, style):
    if style == "openai":
        llmock.will("fail", status=400, code="context_length_exceeded", message="Too long.")
    else:
        llmock.will("fail", status=400, message="prompt is too long: 9 tokens > 8 maximum")
    with pytest.raises(ContextWindowExceededError):
        await ask(llm, stream=False)


async def test_the_next_call_after_a_failure_is_answered(llm, llmock):
    llmock.will("fail", status=500)
    llmock.will("reply", text=TEXT)
    with pytest.raises(ServerError):
        await ask(llm, stream=True)
    assert (await ask(llm, stream=True)).text == TEXT


# -------------------------------------------------------------------------------- broken streams


@pytest.mark.parametrize(
    ("kind", "error"),
    [("disconnect", StreamInterruptedError), ("truncate", StreamTruncatedError)],
)
async def test_a_stream_that_breaks_off_carries_what_had_come(llm, llmock, style, kind, error):
    llmock.will("reply", text=TEXT)
    llmock.will("stream_fault", kind=kind, after_chunks=BEFORE_THIRD_WORD[style])
    words = []
    stream = llm.stream("Hi")
    with pytest.raises(error) as caught:
        await read(stream, words)
    assert words == ["Every ", "word "]
    assert caught.value.partial.text == stream.result.text == "Every word "
    assert caught.value.partial.finish_reason is None
    assert caught.value.retryable
    assert len(llmock.requests()) == 1


async def test_an_event_that_is_no_json_interrupts_the_stream(llm, llmock, style):
    llmock.will("reply", text=TEXT)
    llmock.will("stream_fault", kind="malformed", after_chunks=BEFORE_THIRD_WORD[style])
    words = []
    with pytest.raises(StreamInterruptedError) as caught:
        await read(llm.stream("Hi"), words)
    assert words == ["Every ", "word "]
    assert caught.value.partial.text == "Every word "
    assert isinstance(caught.value.__cause__, MalformedResponseError)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("disconnect", ConnectionError),
        ("truncate", StreamTruncatedError),
        ("malformed", MalformedResponseError),
    ],
)
async def test_a_stream_that_breaks_before_content_fails_when_it_is_opened(
    llm, llmock, kind, error
):
    llmock.will("stream_fault", kind=kind, after_chunks=1)
    with pytest.raises(error) as caught:
        async with llm.stream("Hi"):
            pytest.fail("it was opened")
    assert caught.value.retryable


async def test_a_stalled_stream_is_left_at_its_deadline(llm, llmock, style):
    llmock.will("reply", text=TEXT)
    llmock.will("stream_fault", kind="stall", after_chunks=BEFORE_THIRD_WORD[style])
    words = []
    with pytest.raises(TimeoutError) as caught:
        await read(llm.stream("Hi", deadline=1.0), words)
    assert caught.value.limit == "deadline"
    assert words == ["Every ", "word "]
    assert caught.value.partial.text == "Every word "
    await until(lambda: llmock.connections() == 0, "the connection is closed")
    [request] = llmock.requests()
    assert not request["completed"]
    assert request["stall_waited"] < 5


@both_ways
async def test_an_answer_that_does_not_begin_is_left_at_its_deadline(llm, llmock, stream):
    llmock.will("delay", seconds=30)
    with pytest.raises(TimeoutError) as caught:
        await ask(llm, stream=stream, deadline=0.3)
    assert caught.value.limit == "deadline"
    await until(lambda: llmock.connections() == 0, "the connection is closed")


async def test_the_http_clients_own_timeout_is_told_from_a_deadline(llmock, style):
    llmock.will("delay", seconds=30)
    provider = llmock.provider(style, timeout=0.3)
    async with build_pipeline(provider=provider, model=MODELS[style]) as llm:
        await provider.warm_up()
        with pytest.raises(TimeoutError) as caught:
            await llm.complete("Hi")
    assert caught.value.limit is None
    assert caught.value.retryable


# ---------------------------------------------------------------------------------- broken tools


@both_ways
async def test_a_tool_call_comes_back_whole(llm, llmock, stream):
    llmock.will("reply", tool_calls=[{"name": "weather", "arguments": {"city": "Łódź"}}])
    answer = await ask(llm, stream=stream, tools=[TOOL])
    assert answer.finish_reason == "tool_calls"
    [call] = answer.tool_calls
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments) == {"city": "Łódź"}


@both_ways
async def test_a_call_of_a_tool_that_was_never_offered_is_handed_on(llm, llmock, stream):
    llmock.will("tool_fault", kind="unknown_tool")
    answer = await ask(llm, stream=stream, tools=[TOOL])
    [call] = answer.tool_calls
    assert call.function.name != "weather"


async def test_arguments_that_are_no_json_are_handed_on_and_can_be_sent_back(llm, llmock):
    llmock.will("tool_fault", kind="malformed_arguments")
    answer = await ask(llm, stream=True, tools=[TOOL])
    [call] = answer.tool_calls
    assert call.function.name == "weather"
    with pytest.raises(json.JSONDecodeError):
        json.loads(call.function.arguments)

    history = [user("Hi"), answer.message, result(call.id, "That was no JSON."), user("Again.")]
    again = await llm.complete(history, tools=[TOOL])
    assert again.finish_reason
