"""What holds for every adapter over an SDK: whose connections, what is refused, how it is copied."""

import asyncio
import gc
import pickle
import threading
from typing import NamedTuple

import pytest

from scallion import build_pipeline
from scallion.exceptions import (
    ConnectionError,
    InvalidRequestError,
    MalformedResponseError,
    ProviderError,
    ServerError,
    StreamInterruptedError,
    TimeoutError,
)
from scallion.providers import anthropic, openai, openrouter
from scallion.testing import ManualClock
from support.upstream import (
    CUT,
    DISCONNECT,
    HANG,
    RESET,
    SILENCE,
    Reply,
    Upstream,
    completion,
    completion_stream,
    error,
    message,
    message_stream,
)


class Api(NamedTuple):
    """An adapter, and how a server of its kind answers."""

    make: object
    whole: object
    stream: object


APIS = [
    Api(openai, completion, completion_stream),
    Api(anthropic, message, message_stream),
    Api(openrouter, completion, completion_stream),
]


@pytest.fixture(params=APIS, ids=lambda api: api.make.__name__)
def api(request):
    return request.param


@pytest.fixture
async def llm(api, upstream):
    provider = api.make(api_key="k", base_url=upstream.url)
    async with build_pipeline(provider=provider, model="m") as pipeline:
        yield pipeline


async def read(stream):
    async with stream:
        return [chunk async for chunk in stream]


# ------------------------------------------------------------------------------ what is sent


async def test_what_is_meant_for_layers_is_not_sent(upstream, api, llm):
    upstream.enqueue(api.whole("Hi"))

    here = {"tenant": "acme", "metadata": {"job": 1}, "deadline": 30, "cache": {"no_cache": True}}
    await llm.complete("hello", **here)

    assert set(upstream.requests[0].json) <= {"model", "messages", "max_tokens"}


async def test_the_sdk_never_retries(upstream, llm):
    upstream.default = error(500)

    with pytest.raises(ServerError):
        await llm.complete("hello")
    with pytest.raises(ServerError):
        await read(llm.stream("hello"))

    assert upstream.count == 2


def test_retries_are_not_the_sdks_and_it_is_said_whose(api):
    with pytest.raises(TypeError, match=r"retry\(attempts=…\)"):
        api.make(api_key="k", max_retries=3)
    api.make(api_key="k", max_retries=0)


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"temperature": float("nan")}, "temperature must be a finite number, not nan"),
        ({"temperature": float("inf")}, "temperature must be a finite number, not inf"),
        ({"tools": [{"type": object()}]}, r"tools\[0\] cannot be written as JSON"),
        ({"user": "\ud800"}, "(user|metadata) cannot be written as JSON"),
    ],
)
async def test_what_json_cannot_say_is_refused_before_sending(upstream, llm, params, says):
    with pytest.raises(InvalidRequestError, match=says):
        await llm.complete("hello", **params)

    assert upstream.count == 0


@pytest.mark.parametrize("size", [2**20, 2**22])
async def test_a_large_request_goes_out_whole_and_nobody_is_warned(upstream, api, llm, size):
    moved = Reply(307, {"location": f"{upstream.url}/moved"})
    upstream.enqueue(moved, api.whole("Hi"), api.whole("Hi"))

    for _ in range(2):
        await llm.complete("x" * size)

    assert [received.path for received in upstream.requests][1] == "/moved"
    for received in upstream.requests:
        assert received.json["messages"][0]["content"] in (
            "x" * size,
            [{"type": "text", "text": "x" * size}],
        )
        assert received.headers["content-length"] == str(len(received.body))
        assert "transfer-encoding" not in received.headers


# ------------------------------------------------------------------------------ connections


async def test_a_connection_is_used_again_after_a_whole_stream(upstream, api, llm):
    upstream.default = api.stream("Hi")

    for _ in range(5):
        await read(llm.stream("hello"))

    assert upstream.connections == 1


async def test_a_stream_that_is_left_early_closes_its_connection(upstream, api, llm):
    upstream.enqueue(api.stream("Hel", HANG))

    async with llm.stream("hello") as stream:
        async for chunk in stream:
            if chunk.content:
                break

    await upstream.all_closed()
    assert stream.response.outcome.status == "closed"


async def test_a_stream_that_is_dropped_closes_its_connection(upstream, api, llm):
    upstream.enqueue(api.stream("Hel", HANG))

    async for chunk in llm.stream("hello"):
        if chunk.content:
            break
    gc.collect()

    await upstream.all_closed()


async def test_closing_while_a_read_is_pending_ends_the_read(upstream, api, llm):
    upstream.enqueue(api.stream("Hel", HANG))
    stream = llm.stream("hello")
    await stream.__aenter__()
    reader = asyncio.create_task(read(stream))
    await asyncio.sleep(0.05)

    await stream.aclose()

    with pytest.raises(ProviderError):
        await asyncio.wait_for(reader, 5)
    await upstream.all_closed()


async def test_cancelling_a_call_closes_its_connection(upstream, llm):
    upstream.default = SILENCE
    call = asyncio.create_task(llm.complete("hello"))
    await upstream.received(1)

    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    await upstream.all_closed()


async def test_the_sockets_own_timeout_can_be_set_for_a_call(upstream, llm):
    upstream.default = SILENCE

    with pytest.raises(TimeoutError) as caught:
        await llm.complete("hello", timeout=0.02)

    assert caught.value.limit is None
    assert "timeout" not in upstream.requests[0].json
    await upstream.all_closed()


async def test_a_deadline_closes_the_connection_of_a_stalled_stream(upstream, api):
    clock = ManualClock()
    provider = api.make(api_key="k", base_url=upstream.url)
    upstream.enqueue(api.stream("Hel", HANG))
    async with build_pipeline(provider=provider, model="m", clock=clock) as llm:
        stream = llm.stream("hello", deadline=5)
        reading = asyncio.create_task(read(stream))
        await upstream.received(1)
        await asyncio.sleep(0.05)  # for the first words to arrive over the socket
        await clock.advance(6)

        with pytest.raises(TimeoutError) as caught:
            await reading
        assert caught.value.partial.text == "Hel"
        await upstream.all_closed()


def test_each_event_loop_gets_a_client_of_its_own_that_closes_with_it(api):
    with Upstream(default=api.whole("Hi")) as server:
        provider = api.make(api_key="k", base_url=server.url)
        llm = build_pipeline(provider=provider, model="m")

        async def ask():
            return (await llm.complete("hello")).text

        answers = [asyncio.run(ask()) for _ in range(3)]
        threads = [
            threading.Thread(target=lambda: answers.append(asyncio.run(ask()))) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        gc.collect()

    assert answers == ["Hi"] * 7


async def test_many_calls_share_one_client(upstream, api, llm):
    upstream.default = api.whole("Hi")

    await asyncio.gather(*[llm.complete("hello") for _ in range(50)])

    assert len(llm.provider._clients) == 1


async def test_warming_up_makes_the_client(upstream, llm):
    await llm.provider.warm_up()

    assert len(llm.provider._clients) == 1
    assert upstream.count == 0


async def test_closing_gives_up_the_client_and_the_next_call_makes_another(upstream, api, llm):
    upstream.default = api.whole("Hi")
    await llm.complete("hello")

    await llm.aclose()
    await upstream.all_closed()

    assert (await llm.complete("hello")).text == "Hi"


# ------------------------------------------------------------------------------ what goes wrong


async def test_a_padded_body_is_read(upstream, api, llm):
    body = api.whole("Hi").chunks[0]
    upstream.enqueue(
        Reply(headers={"content-type": "application/json"}, chunks=[b"\n\n \n" + body])
    )

    assert (await llm.complete("hello")).text == "Hi"


@pytest.mark.parametrize("how", ["complete", "stream"])
async def test_an_error_that_never_ends_is_read_as_far_as_anybody_wants_it(upstream, api, llm, how):
    upstream.enqueue(Reply(status=500, chunks=[b"oh " * 2**19, HANG]))

    with pytest.raises(ServerError, match=r"^[a-z/]+m: oh oh") as caught:
        await (llm.stream("hello").collect() if how == "stream" else llm.complete("hello"))

    assert len(caught.value.body) == 2**20
    await upstream.all_closed()


@pytest.mark.parametrize("reply", [DISCONNECT, RESET], ids=["closed", "reset"])
async def test_a_server_that_hangs_up_without_a_word_is_a_connection_error(upstream, llm, reply):
    upstream.enqueue(reply)

    with pytest.raises(ConnectionError) as caught:
        await llm.complete("hello")

    assert caught.value.retryable


async def test_a_stream_that_is_cut_is_told_in_words_that_are_no_status(upstream, api, llm):
    upstream.enqueue(api.stream("Hel", CUT))

    with pytest.raises(StreamInterruptedError) as caught:
        await read(llm.stream("hello"))

    assert caught.value.partial.text == "Hel"
    assert "400" not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_an_unreachable_host_is_a_connection_error(api):
    provider = api.make(api_key="k", base_url="http://127.0.0.1:1")
    async with build_pipeline(provider=provider, model="m") as llm:
        with pytest.raises(ConnectionError, match=r"127\.0\.0\.1"):
            await llm.complete("hello")


@pytest.mark.parametrize("base_url", ["ftp://127.0.0.1", "not a url", "http://"])
def test_a_base_url_that_is_none_is_an_invalid_request(api, base_url):
    for refusal in (InvalidRequestError, ValueError):
        with pytest.raises(refusal, match="base_url"):
            api.make(api_key="k", base_url=base_url)


async def test_an_event_over_the_limit_names_the_setting(upstream, api):
    provider = api.make(api_key="k", base_url=upstream.url, max_event_bytes=1_000)
    upstream.enqueue(api.stream("x" * 2_000))
    async with build_pipeline(provider=provider, model="m") as llm:
        with pytest.raises(MalformedResponseError, match="max_event_bytes") as caught:
            await read(llm.stream("hello"))
    assert not caught.value.retryable  # it would be as large again


async def test_a_10_mb_chunk_arrives_whole(upstream, api, llm):
    upstream.enqueue(api.stream("x" * 10_000_000))

    chunks = await read(llm.stream("hello"))

    assert sum(len(chunk.content or "") for chunk in chunks) == 10_000_000


# ------------------------------------------------------------------------------ by itself


async def test_it_can_be_used_without_a_pipeline(upstream, api):
    upstream.enqueue(api.whole("Hi"), api.stream("Hi"))
    async with api.make(api_key="k", base_url=upstream.url) as provider:
        assert (await provider.complete("hello", model="m")).text == "Hi"
        chunks = await read(provider.stream("hello", model="m"))
        assert [chunk.content for chunk in chunks if chunk.content] == ["Hi"]


def test_it_pickles_by_its_settings_and_shows_no_key(api):
    provider = api.make(api_key="sk-secret", base_url="http://h/v1")

    pickled = pickle.dumps(provider)
    copy = pickle.loads(pickled)

    assert (type(copy), copy.config.base_url) == (type(provider), "http://h/v1")
    assert "sk-secret" not in repr(provider) + repr(provider.config) + repr(pickled)
