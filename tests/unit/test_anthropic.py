"""The Anthropic adapter, over the real SDK, against a scripted upstream."""

import asyncio
import json
import pickle

import anthropic as sdk
import pytest
from openai import AsyncOpenAI

from scallion import Request, build_pipeline
from scallion.exceptions import (
    AuthenticationError,
    ConnectionError,
    ContextWindowExceededError,
    InvalidRequestError,
    MalformedResponseError,
    ModelNotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProviderError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
    StreamTruncatedError,
)
from scallion.providers import anthropic
from support.upstream import (
    CLOSE,
    CUT,
    HANG,
    Reply,
    error,
    html,
    json_reply,
    message,
    message_stream,
    sse,
)

SIZES = [1, 2, 3, 7, 64]
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
RATE_LIMITED = {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down"}}
BLOCKS = [
    {"type": "thinking", "thinking": "The sum is 4.", "signature": "c2lnbmVk"},
    {"type": "redacted_thinking", "data": "cmVkYWN0ZWQ="},
    {"type": "text", "text": "Let me check. "},
    {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": 2, "b": [2, "ü"]}},
    {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
]
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("add", "now")
]


@pytest.fixture
async def llm(upstream):
    provider = anthropic(api_key="sk-ant-test", base_url=upstream.url)
    async with build_pipeline(provider=provider, model="claude-sonnet-4-5") as pipeline:
        yield pipeline


@pytest.fixture
def no_credentials(monkeypatch, tmp_path):
    """A machine on which the SDK finds no key: no variables, and a home without a profile."""
    import os

    for name in list(os.environ):
        if name.startswith("ANTHROPIC_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


async def read(stream):
    async with stream:
        return [chunk async for chunk in stream]


def key_of(received):
    """The key that came, in whichever header this SDK puts it."""
    bearer = received.headers.get("authorization", "").removeprefix("Bearer ")
    return received.headers.get("x-api-key") or bearer


def event(name, **fields):
    """One event of the Messages API."""
    return sse({"type": name} | fields, name)


ENDING = event(
    "message_delta",
    delta={"stop_reason": "end_turn", "stop_sequence": None},
    usage={"output_tokens": 2},
)

# ------------------------------------------------------------------------------ what is sent


async def test_the_request_is_anthropics_and_carries_the_sdks_headers(upstream, llm):
    upstream.enqueue(message("Hi", headers={"request-id": "req_1"}))

    answer = await llm.complete("hello", max_tokens=50)

    (received,) = upstream.requests
    assert received.path == "/v1/messages"
    (turn,) = received.json["messages"]
    assert turn["role"] == "user"
    assert turn["content"] in ("hello", [{"type": "text", "text": "hello"}])
    assert received.json.keys() == {"model", "max_tokens", "messages"}
    assert received.json["max_tokens"] == 50
    assert received.json["model"] == "claude-sonnet-4-5"
    assert key_of(received) == "sk-ant-test"
    assert received.headers["anthropic-version"] == "2023-06-01"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["user-agent"].startswith("AsyncAnthropic/")
    assert (answer.text, answer.provider, answer.request_id) == ("Hi", "anthropic", "req_1")
    assert (answer.finish_reason, answer.usage.total_tokens) == ("stop", 7)
    assert answer.raw["content"] == [{"type": "text", "text": "Hi"}]


@pytest.mark.parametrize(
    ("model", "limit"),
    [("claude-sonnet-4-5", 64_000), ("claude-3-haiku-20240307", 4_096), ("claude-99", 4_096)],
)
async def test_max_tokens_is_the_models_own_limit_or_4096(upstream, llm, model, limit):
    upstream.enqueue(message())

    await llm.complete("hi", model=f"anthropic/{model}")

    assert upstream.requests[0].json["model"] == model
    assert upstream.requests[0].json["max_tokens"] == limit


@pytest.mark.parametrize("name", ["anthropic-version", "Anthropic-Version"])
@pytest.mark.parametrize("where", ["default_headers", "extra_headers"])
async def test_the_pinned_version_can_be_overridden(upstream, name, where):
    header = {name: "2026-10-21"}
    upstream.enqueue(message())
    settings = {"default_headers": header} if where == "default_headers" else {}
    params = {"extra_headers": header} if where == "extra_headers" else {}
    provider = anthropic(api_key="k", base_url=upstream.url, **settings)
    async with build_pipeline(provider=provider, model="claude-sonnet-4-5") as llm:
        await llm.complete("hi", **params)

    assert upstream.requests[0].headers["anthropic-version"] == "2026-10-21"


async def test_the_environments_version_does_not_change_the_pinned_one(
    upstream, no_credentials, monkeypatch
):
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "anthropic-version: 1999-01-01\nX-Env: yes")
    upstream.enqueue(message())
    provider = anthropic(api_key="k", base_url=upstream.url)
    async with build_pipeline(provider=provider, model="claude-sonnet-4-5") as llm:
        await llm.complete("hi")

    assert upstream.requests[0].headers["anthropic-version"] == "2023-06-01"


async def test_extra_body_headers_and_query_go_where_they_belong(upstream, llm):
    upstream.enqueue(message())

    await llm.complete(
        "hello",
        extra_body={"container": "c_1", "max_tokens": 7},
        extra_headers={"anthropic-beta": "files-api-2025-04-14", "X-Trace": "t1"},
        extra_query={"beta": "true"},
        max_tokens=5,
    )

    (received,) = upstream.requests
    assert (received.json["container"], received.json["max_tokens"]) == ("c_1", 7)
    assert "extra_body" not in received.json
    assert received.headers["anthropic-beta"] == "files-api-2025-04-14"
    assert received.headers["x-trace"] == "t1"
    assert received.target == "/v1/messages?beta=true"


async def test_a_stream_is_asked_for_as_one(upstream, llm):
    upstream.enqueue(message_stream("Hi"))

    await read(llm.stream("hello"))

    body = upstream.requests[0].json
    assert body["stream"] is True
    assert "stream_options" not in body


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"temperature": float("nan")}, "temperature"),
        ({"n": 2}, "n: Anthropic has no such parameter"),
        ({"tools": [object()]}, "tool"),
        ({"metadata_": object()}, "JSON"),
        ({"system": "\ud800"}, "JSON"),
    ],
)
async def test_what_cannot_be_sent_is_refused_before_sending(upstream, llm, params, says):
    with pytest.raises(InvalidRequestError, match=says) as caught:
        await llm.complete("hello", **params)

    assert (caught.value.provider, caught.value.model) == ("anthropic", "claude-sonnet-4-5")
    assert upstream.count == 0


# ------------------------------------------------------------------------------ round trips


@pytest.mark.parametrize("form", ["message", "dict", "JSON"])
@pytest.mark.parametrize("mode", ["complete", "stream"])
async def test_an_answer_goes_back_as_the_very_blocks_that_came(upstream, llm, mode, form):
    upstream.enqueue(
        message(content=BLOCKS, stop_reason="tool_use")
        if mode == "complete"
        else message_stream(*BLOCKS, stop_reason="tool_use"),
        message("4"),
    )
    call = llm.complete if mode == "complete" else lambda *a, **k: llm.stream(*a, **k).collect()
    params = {"tools": TOOLS, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    asked = {"role": "user", "content": "2 + 2?"}
    first = await call([asked], **params)

    assert first.finish_reason == "tool_calls"
    assert first.text == "Let me check. "
    assert first.reasoning == "The sum is 4."
    assert [tool.id for tool in first.tool_calls] == ["toolu_1", "toolu_2"]
    said = {
        "message": first.message,
        "dict": first.message.to_dict(),
        "JSON": type(first.message).model_validate_json(first.message.model_dump_json()),
    }[form]
    results = [
        {"role": "tool", "tool_call_id": tool.id, "content": "4"} for tool in first.tool_calls
    ]
    await llm.complete([asked, said, *results], **params)

    _, answer, told = upstream.requests[1].json["messages"]
    assert answer == {"role": "assistant", "content": BLOCKS}
    assert [block["tool_use_id"] for block in told["content"]] == ["toolu_1", "toolu_2"]
    assert upstream.requests[1].json["thinking"]["type"] == "enabled"


async def test_complete_and_streamed_messages_are_the_same(upstream, llm):
    upstream.enqueue(
        message(content=BLOCKS, stop_reason="tool_use"),
        message_stream(*BLOCKS, stop_reason="tool_use"),
    )

    whole = await llm.complete("hello", tools=TOOLS)
    streamed = await llm.stream("hello", tools=TOOLS).collect()

    for answer in (whole, streamed):
        for call in answer.tool_calls:  # a stream has them in Anthropic's own spacing
            call.function.arguments = json.loads(call.function.arguments)
    assert streamed.to_dict() == whole.to_dict()


# ------------------------------------------------------------------------------ streams


@pytest.mark.parametrize("size", [None, *SIZES])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
async def test_a_stream_is_the_same_however_its_bytes_are_cut(upstream, llm, size, line_end):
    text = "Grüße, 世界 😀!"
    tool = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": "ü"}}
    upstream.enqueue(
        message_stream(*text, tool, stop_reason="tool_use", chunk_bytes=size, line_end=line_end)
    )

    stream = llm.stream("hello")
    chunks = await read(stream)

    assert "".join(chunk.content or "" for chunk in chunks) == text
    assert stream.result.text == text
    assert json.loads(stream.result.tool_calls[0].function.arguments) == {"a": "ü"}
    assert (stream.result.finish_reason, stream.result.usage.total_tokens) == ("tool_calls", 7)


async def test_a_stream_knows_its_request_and_keeps_the_raw_events(upstream, llm):
    upstream.enqueue(message_stream("Hi", headers={"request-id": "req_7"}))

    stream = llm.stream("hello")
    chunks = await read(stream)

    assert stream.result.request_id == "req_7"
    assert (stream.result.provider, stream.result.model) == ("anthropic", "claude-sonnet-4-5")
    assert [c.raw["type"] for c in chunks if c.content] == ["content_block_delta"]


async def test_a_connection_is_used_again_after_message_stop(upstream, llm):
    upstream.default = message_stream("Hi")

    for _ in range(5):
        await read(llm.stream("hello"))

    assert upstream.connections == 1


async def test_a_connection_is_used_again_after_whole_answers(upstream, llm):
    upstream.default = message("Hi")

    for _ in range(5):
        await llm.complete("hello")

    assert upstream.connections == 1


async def test_nothing_after_message_stop_is_waited_for(upstream, llm):
    steps = [*message_stream("Hi").chunks, HANG]
    upstream.enqueue(Reply(headers={"content-type": "text/event-stream"}, chunks=steps))

    chunks = await asyncio.wait_for(read(llm.stream("hello")), 5)

    assert chunks[-1].finish_reason == "stop"
    await upstream.all_closed()


async def test_a_text_that_says_message_stop_does_not_end_the_stream(upstream, llm):
    tool = {"type": "server_tool_use", "id": "s_1", "name": "message_stop", "input": {}}
    upstream.enqueue(message_stream("message_stop", tool, '"message_stop"'))

    answer = await llm.stream("hello").collect()

    assert answer.text == 'message_stop"message_stop"'


@pytest.mark.parametrize("ending", ["closed", "cut", "error event"])
async def test_what_was_broken_off_after_content_still_knows_its_input(upstream, llm, ending):
    usage = {"input_tokens": 5, "cache_read_input_tokens": 90, "output_tokens": 7}
    step = {"closed": HANG, "cut": CUT, "error event": event("error", **OVERLOADED)}[ending]
    upstream.enqueue(message_stream("Hel", step, usage=usage))
    request = Request("claude-sonnet-4-5", "hi", stream=True)

    response = await llm.send(request)
    if ending == "closed":
        await response.aclose()
    else:
        with pytest.raises(StreamInterruptedError):
            await response.collect()

    (attempt,) = request.context.attempts
    assert attempt.usage.prompt_tokens == 95
    assert attempt.usage.prompt_tokens_details.cached_tokens == 90
    assert not attempt.exact


# ------------------------------------------------------------------------------ what goes wrong


@pytest.mark.parametrize(
    ("reply", "expected", "partial"),
    [
        (message_stream("Hel", CUT), StreamInterruptedError, "Hel"),
        (message_stream("Hel", CLOSE), StreamInterruptedError, "Hel"),
        (message_stream("Hel", stop_reason=None), StreamTruncatedError, "Hel"),
        (message_stream("Hel", event("message_stop"), stop_reason=None), StreamTruncatedError, "Hel"),
        (message_stream("Hel", b"data: {broken\n\n"), StreamInterruptedError, "Hel"),
        (message_stream("Hel", b"data: \xff\xfe\n\n"), StreamInterruptedError, "Hel"),
        (message_stream("Hel", b"data: [1]\n\n"), StreamInterruptedError, "Hel"),
        (message_stream("Hel", b"data: null\n\n"), StreamInterruptedError, "Hel"),
        (message_stream("Hel", event("content_block_delta", index=9, delta={"type": "text_delta",
            "text": "x"})), StreamInterruptedError, "Hel"),
        (message_stream("Hel", b'event: content_block_delta\ndata: {"ty', CUT),
         StreamInterruptedError, "Hel"),
        (message_stream("Hel", event("error", **OVERLOADED)), StreamInterruptedError, "Hel"),
        (message_stream(CUT), ConnectionError, None),
        (message_stream(b"data: {broken\n\n"), MalformedResponseError, None),
        (message_stream(event("error", **OVERLOADED)), OverloadedError, None),
        (message_stream(event("error", **RATE_LIMITED)), RateLimitError, None),
        (Reply(headers={"content-type": "text/event-stream"},
               chunks=[event("error", **OVERLOADED)]), OverloadedError, None),
        (message_stream(stop_reason=None), StreamTruncatedError, ""),
        (message("Hi"), MalformedResponseError, "Hi"),
        (json_reply(OVERLOADED), OverloadedError, None),
        (html(200), MalformedResponseError, None),
        (Reply(headers={"content-type": "text/event-stream"}, chunks=[]), StreamTruncatedError, ""),
        (Reply(headers={"content-type": "application/json"}, chunks=[]), MalformedResponseError, None),
    ],
    ids=[
        "reset", "closed", "no stop reason", "no stop reason but a message_stop", "malformed event",
        "not UTF-8", "not an object", "null", "a block that was never opened",
        "cut inside an event", "overloaded after content", "cut before content",
        "malformed before content", "overloaded before content", "rate limit before content",
        "an error as the only event", "no content and no stop reason", "JSON instead of a stream",
        "JSON error instead of a stream", "HTML instead of a stream", "empty stream", "empty JSON",
    ],
)  # fmt: skip
async def test_a_broken_stream_is_a_typed_error_with_what_came(
    upstream, llm, reply, expected, partial
):
    upstream.enqueue(reply)
    stream = llm.stream("hello")

    with pytest.raises(ProviderError) as caught:
        await read(stream)

    assert type(caught.value) is expected
    assert (caught.value.provider, caught.value.model) == ("anthropic", "claude-sonnet-4-5")
    if partial is not None:
        assert caught.value.partial.text == partial
    if stream.response is not None:
        assert stream.response.outcome.status == "failed"
        assert stream.result.finish_reason is None


@pytest.mark.parametrize("where", ["before content", "after content"])
async def test_an_error_event_says_what_it_is_and_which_request_it_was(upstream, llm, where):
    pieces = ["Hel"] if where == "after content" else []
    upstream.enqueue(
        message_stream(*pieces, event("error", **OVERLOADED), headers={"request-id": "req_9"})
    )

    with pytest.raises(ProviderError, match="Overloaded") as caught:
        await read(llm.stream("hello"))

    failure = caught.value
    assert (failure.code, failure.request_id) == ("overloaded_error", "req_9")
    assert failure.body == OVERLOADED
    assert failure.retryable
    assert isinstance(failure if not pieces else failure.__cause__, OverloadedError)


async def test_an_answer_whose_stream_ends_after_its_stop_reason_is_whole(upstream, llm):
    stop = event("content_block_stop", index=0)
    upstream.enqueue(message_stream("Hi", stop, ENDING, stop_reason=None))

    answer = await llm.stream("hello").collect()

    assert (answer.text, answer.finish_reason, answer.usage.total_tokens) == ("Hi", "stop", 7)


@pytest.mark.parametrize(
    ("reply", "expected", "says"),
    [
        (error(400, style="anthropic"), InvalidRequestError, "400"),
        (error(400, style="anthropic", message="prompt is too long: 9 tokens > 8 maximum"),
         ContextWindowExceededError, "too long"),
        (error(401, style="anthropic"), AuthenticationError, "401"),
        (error(403, style="anthropic"), PermissionDeniedError, "403"),
        (error(404, style="anthropic"), ModelNotFoundError, "404"),
        (error(413, style="anthropic"), InvalidRequestError, "413"),
        (error(429, style="anthropic", headers={"retry-after": "7"}), RateLimitError, "429"),
        (error(500, style="anthropic"), ServerError, "500"),
        (error(529, style="anthropic"), OverloadedError, "529"),
        (html(502), ServerError, "502"),
        (html(404), InvalidRequestError, r"at http://127\.0\.0\.1:\d+/(v1/)?\w+.*is base_url right"),
        (html(200), MalformedResponseError, "HTML page"),
        (json_reply({}), MalformedResponseError, "content"),
        (json_reply({"type": "message", "content": None}), MalformedResponseError, "content"),
        (json_reply({"type": "message", "content": {"a": 1}}), MalformedResponseError, "content"),
        (json_reply([1, 2]), MalformedResponseError, "object"),
        (json_reply(RATE_LIMITED), RateLimitError, "Slow down"),
        (json_reply(OVERLOADED), OverloadedError, "Overloaded"),
        (Reply(chunks=[]), MalformedResponseError, "empty body"),
        (Reply(chunks=[b"\xff\xfe\x00"]), MalformedResponseError, "JSON"),
        (Reply(chunks=[b"[" * 10_000 + b"]" * 10_000]), MalformedResponseError, "JSON"),
        (message_stream("Hi"), MalformedResponseError, "event stream"),
        (Reply(status=407, chunks=[b"proxy"]), ConnectionError, "407"),
        (Reply(status=304, chunks=[]), MalformedResponseError, "304"),
        (Reply(chunks=[b'{"content": [', CUT]), ConnectionError, "connection failed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
async def test_a_bad_answer_is_a_typed_error_that_says_what_came(
    upstream, llm, reply, expected, says
):
    upstream.enqueue(reply)

    with pytest.raises(ProviderError, match=says) as caught:
        await llm.complete("hello")

    assert type(caught.value) is expected
    assert (caught.value.provider, caught.value.model) == ("anthropic", "claude-sonnet-4-5")
    if expected is RateLimitError and "7" in str(reply.headers):
        assert caught.value.retry_after == 7.0


async def test_an_error_names_the_request(upstream, llm):
    upstream.enqueue(
        error(500, style="anthropic", headers={"request-id": "req_h"}),
        json_reply(OVERLOADED | {"request_id": "req_b"}, 529),
        json_reply(OVERLOADED, headers={"request-id": "req_200"}),
    )
    ids = []
    for _ in range(3):
        with pytest.raises(ServerError) as caught:
            await llm.complete("hello")
        ids.append(caught.value.request_id)

    assert ids == ["req_h", "req_b", "req_200"]


async def test_retry_after_on_an_answer_is_no_failure(upstream, llm):
    upstream.enqueue(message("Hi", headers={"retry-after": "30"}))

    assert (await llm.complete("hello")).text == "Hi"


async def test_a_missing_key_names_the_variable_and_the_argument(no_credentials):
    with pytest.raises(AuthenticationError, match=r"ANTHROPIC_API_KEY.*anthropic\(api_key="):
        await build_pipeline(provider=anthropic(), model="claude-x").complete("hi")


# ------------------------------------------------------------------------------ SDK clients


@pytest.mark.parametrize("setting", ["auth_token", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY"])
async def test_credentials_may_be_what_the_sdk_knows(
    upstream, no_credentials, monkeypatch, setting
):
    settings = {}
    if setting.isupper():
        monkeypatch.setenv(setting, "secret-1")
    else:
        settings[setting] = "secret-1"
    upstream.enqueue(message())
    provider = anthropic(base_url=upstream.url, **settings)
    async with build_pipeline(provider=provider, model="claude-x") as llm:
        await llm.complete("hi")

    assert key_of(upstream.requests[0]) == "secret-1"


async def test_a_token_provider_of_the_sdk_is_a_credential(upstream, no_credentials):
    from anthropic.lib.credentials import AccessToken

    upstream.enqueue(message(), message_stream("Hi"))
    provider = anthropic(
        base_url=upstream.url, credentials=lambda **_: AccessToken(token="minted", expires_at=None)
    )
    async with build_pipeline(provider=provider, model="claude-x") as llm:
        await llm.complete("hi")
        await read(llm.stream("hi"))

    assert [key_of(request) for request in upstream.requests] == ["minted", "minted"]


async def test_your_own_client_is_used_and_left_open(upstream):
    client = sdk.AsyncAnthropic(api_key="mine", base_url=upstream.url, max_retries=5)
    upstream.enqueue(message("Hi"), message_stream("Hi"), error(500, style="anthropic"))
    llm = build_pipeline(provider=anthropic(client=client), model="claude-x")

    await llm.complete("hello")
    await read(llm.stream("hello"))
    with pytest.raises(ServerError):
        await llm.complete("hello")
    await llm.aclose()

    assert upstream.count == 3
    assert key_of(upstream.requests[0]) == "mine"
    assert not client.is_closed()
    await client.close()


async def test_an_http_client_of_yours_is_used(upstream):
    transport = sdk.DefaultAsyncHttpxClient(headers={"X-Mine": "yes"})
    upstream.enqueue(message())
    provider = anthropic(api_key="k", base_url=upstream.url, http_client=transport)
    async with build_pipeline(provider=provider, model="claude-x") as llm:
        await llm.complete("hi")

    assert upstream.requests[0].headers["x-mine"] == "yes"
    await transport.aclose()


@pytest.mark.parametrize(
    ("params", "version"),
    [
        ({"temperature": 0.5}, "2023-06-01"),
        ({}, "2026-10-21"),
        ({"temperature": 0.5, "extra_headers": {"anthropic-version": "2025-01-01"}}, "2025-01-01"),
    ],
)
async def test_a_client_of_yours_keeps_its_version_unless_that_refuses_the_request(
    upstream, params, version
):
    client = sdk.AsyncAnthropic(
        api_key="k", base_url=upstream.url, default_headers={"anthropic-version": "2026-10-21"}
    )
    upstream.enqueue(message())
    llm = build_pipeline(provider=anthropic(client=client), model="claude-sonnet-4-5")

    await llm.complete("hi", **params)

    assert upstream.requests[0].headers["anthropic-version"] == version
    await client.close()


@pytest.mark.parametrize(
    "client",
    [sdk.Anthropic(api_key="k"), object(), sdk.AsyncAnthropic, AsyncOpenAI(api_key="k")],
)
def test_a_client_of_the_wrong_kind_is_refused(client):
    with pytest.raises(TypeError, match="asynchronous client"):
        anthropic(client=client)


def test_one_with_a_client_of_yours_says_that_it_cannot_be_pickled():
    provider = anthropic(client=sdk.AsyncAnthropic(api_key="k"))

    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(provider)
