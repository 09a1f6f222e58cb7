"""The SDKs' own clients for Azure, Bedrock and Vertex, handed in as `client=`."""

import base64
import json
import struct
import zlib
from decimal import Decimal

import anthropic as sdk
import openai as openai_sdk
import pytest

from scallion import build_pipeline
from scallion.exceptions import InvalidRequestError, OverloadedError, RateLimitError
from scallion.middlewares import cost
from scallion.providers import anthropic, openai, openrouter
from support.upstream import Reply, message, message_stream


def frame(payload, **headers):
    """One message of Amazon's event stream encoding."""
    packed = b"".join(
        bytes([len(name)])
        + name.encode()
        + b"\x07"
        + struct.pack(">H", len(value))
        + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(packed) + len(payload), len(packed))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + packed + payload
    return body + struct.pack(">I", zlib.crc32(body))


def event(data):
    payload = json.dumps({"bytes": base64.b64encode(data).decode()}).encode()
    return frame(payload, **{":event-type": "chunk", ":message-type": "event"})


def exception(kind, text):
    payload = json.dumps({"message": text}).encode()
    return frame(payload, **{":exception-type": kind, ":message-type": "exception"})


def events_of(reply):
    body = b"".join(chunk for chunk in reply.chunks if isinstance(chunk, bytes))
    for block in body.split(b"\n\n"):
        lines = [line for line in block.split(b"\n") if line.startswith(b"data: ")]
        yield from (line[6:] for line in lines)


def bedrock_stream(*frames):
    return Reply(headers={"content-type": "application/vnd.amazon.eventstream"}, chunks=frames)


@pytest.fixture
async def bedrock(upstream):
    client = sdk.AsyncAnthropicBedrock(
        aws_access_key="a", aws_secret_key="s", aws_region="us-east-1", base_url=upstream.url
    )
    yield build_pipeline(
        provider=anthropic(client=client), model="anthropic.claude-3-5-sonnet-20240620-v1:0"
    )
    await client.close()


async def test_bedrock_is_asked_by_its_own_path_and_answers_whole(upstream, bedrock):
    upstream.enqueue(message("Hi"))

    answer = await bedrock.complete("hello", max_tokens=10)

    (received,) = upstream.requests
    assert received.path == "/model/anthropic.claude-3-5-sonnet-20240620-v1:0/invoke"
    assert received.headers["authorization"].startswith("AWS4-HMAC-SHA256")
    assert "model" not in received.json
    assert received.json["messages"][0]["role"] == "user"
    assert answer.text == "Hi"


async def test_what_claude_takes_is_known_by_amazons_names_too(upstream, bedrock):
    upstream.enqueue(message("Hi"))

    model = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
    await bedrock.complete("hello", model=model, temperature=0.2)

    sent = upstream.requests[0].json
    assert (sent["temperature"], sent["max_tokens"]) == (0.2, 64000)


async def test_what_amazon_bills_is_known_but_for_its_regions(upstream, bedrock):
    upstream.enqueue(message("Hi", model="claude-sonnet-4-5-20250929", usage=(1_000, 0)))
    books = cost()
    llm = build_pipeline([books], provider=bedrock.provider)

    await llm.complete("hello", model="eu.anthropic.claude-sonnet-4-5-20250929-v1:0")

    (entry,) = books.entries
    assert (entry.cost, entry.exact) == (Decimal("0.003"), False)


async def test_bedrocks_binary_stream_is_read(upstream, bedrock):
    upstream.enqueue(bedrock_stream(*[event(e) for e in events_of(message_stream("Hel", "lo"))]))

    stream = bedrock.stream("hello", max_tokens=10)
    chunks = [chunk.content async for chunk in stream if chunk.content]

    assert chunks == ["Hel", "lo"]
    assert stream.result.usage.completion_tokens > 0
    assert upstream.requests[0].path.endswith("/invoke-with-response-stream")


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}', OverloadedError),
        (b'{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}', RateLimitError),
    ],
)
async def test_an_error_event_in_bedrocks_stream_is_a_typed_error(
    upstream, bedrock, failure, expected
):
    start = next(events_of(message_stream("Hi")))
    upstream.enqueue(bedrock_stream(event(start), event(failure)))

    with pytest.raises(expected):
        await bedrock.stream("hello", max_tokens=10).collect()


async def test_vertex_is_asked_by_its_own_path_for_both_modes(upstream):
    client = sdk.AsyncAnthropicVertex(
        region="us-east5", project_id="p", access_token="t", base_url=upstream.url
    )
    upstream.enqueue(message("Hi"), message_stream("Hel", "lo"))
    llm = build_pipeline(provider=anthropic(client=client), model="claude-sonnet-4-5")

    assert (await llm.complete("hello", max_tokens=10)).text == "Hi"
    assert (await llm.stream("hello", max_tokens=10).collect()).text == "Hello"

    paths = [request.path for request in upstream.requests]
    assert [path.rpartition("claude-sonnet-4-5:")[2] for path in paths] == [
        "rawPredict",
        "streamRawPredict",
    ]
    await client.close()


@pytest.mark.parametrize(("params", "version"), [({"temperature": 0.5}, "2023-06-01"), ({}, None)])
async def test_sampling_parameters_ask_a_client_of_yours_for_the_version_that_takes_them(
    upstream, params, version
):
    client = sdk.AsyncAnthropic(api_key="k", base_url=upstream.url)
    upstream.enqueue(message("Hi"))
    llm = build_pipeline(provider=anthropic(client=client), model="claude-haiku-4-5")

    await llm.complete("hello", max_tokens=10, **params)

    sent = upstream.requests[0].headers["anthropic-version"]
    assert sent == (version or client.default_headers["anthropic-version"])
    await client.close()


@pytest.mark.parametrize(
    "provider",
    [
        lambda client: anthropic(client=client(sdk.AsyncAnthropic)),
        lambda client: openai(client=client(openai_sdk.AsyncOpenAI)),
        lambda client: openrouter(client=client(openai_sdk.AsyncOpenAI)),
    ],
    ids=["anthropic", "openai", "openrouter"],
)
async def test_a_client_that_is_closed_is_said_to_be(provider):
    made = []

    def client(sdk_class):
        made.append(sdk_class(api_key="k", base_url="http://127.0.0.1:1"))
        return made[0]

    adapter = provider(client)
    await made[0].close()

    for call in (adapter.complete("hi", "m"), adapter.stream("hi", "m").collect()):
        with pytest.raises(InvalidRequestError, match=f"handed to {adapter.name}.* is closed"):
            await call
