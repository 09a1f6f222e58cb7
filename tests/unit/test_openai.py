"""The OpenAI adapter, over the real SDK, against a scripted upstream."""

import asyncio
import pickle

import openai as sdk
import pytest
from anthropic import AsyncAnthropic

from scallion import Request, build_pipeline
from scallion.exceptions import (
    AuthenticationError,
    ConnectionError,
    InvalidRequestError,
    MalformedResponseError,
    ProviderError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
    StreamTruncatedError,
)
from scallion.providers import anthropic, openai, openrouter
from support.upstream import (
    CLOSE,
    CUT,
    Reply,
    completion,
    completion_stream,
    error,
    html,
    json_reply,
    sse,
)

SIZES = [1, 2, 3, 7, 64]


@pytest.fixture
async def llm(upstream):
    provider = openai(api_key="sk-test", base_url=f"{upstream.url}/v1")
    async with build_pipeline(provider=provider, model="gpt-4o") as pipeline:
        yield pipeline


async def read(stream):
    async with stream:
        return [chunk async for chunk in stream]


# ------------------------------------------------------------------------------ what is sent


async def test_the_request_is_openais_and_carries_the_sdks_headers(upstream, llm):
    upstream.enqueue(completion("Hi"))

    answer = await llm.complete("hello", temperature=0.5, user="u1")

    (received,) = upstream.requests
    assert received.path == "/v1/chat/completions"
    assert received.json == {
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "hello"}],
        "temperature": 0.5,
        "user": "u1",
    }
    assert received.headers["authorization"] == "Bearer sk-test"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["user-agent"].startswith("AsyncOpenAI/")
    assert answer.text == "Hi"
    assert answer.provider == "openai"
    assert answer.raw["choices"][0]["message"]["content"] == "Hi"


async def test_extra_body_headers_and_query_go_where_they_belong(upstream, llm):
    upstream.enqueue(completion("Hi"))

    await llm.complete(
        "hello",
        extra_body={"top_k": 5, "temperature": 1},
        extra_headers={"X-Trace": "t1", "Authorization": "Bearer other"},
        extra_query={"api-version": "1"},
        temperature=0,
    )

    (received,) = upstream.requests
    assert received.json["top_k"] == 5
    assert received.json["temperature"] == 1
    assert "extra_body" not in received.json
    assert received.headers["x-trace"] == "t1"
    assert received.headers["authorization"] == "Bearer other"
    assert received.target == "/v1/chat/completions?api-version=1"


async def test_a_stream_asks_for_its_usage(upstream, llm):
    upstream.enqueue(completion_stream("Hi"))

    chunks = await read(llm.stream("hello"))

    assert upstream.requests[0].json["stream_options"] == {"include_usage": True}
    assert chunks[-1].usage.total_tokens > 0


async def test_the_callers_own_stream_options_stand(upstream, llm):
    upstream.enqueue(completion_stream("Hi"))

    await read(llm.stream("hello", stream_options={"include_usage": False}))

    assert upstream.requests[0].json["stream_options"] == {"include_usage": False}


async def test_a_server_that_does_not_know_stream_options_is_asked_again_without_and_remembered(
    upstream, llm
):
    refusal = error(400, message="Unrecognized request argument supplied: stream_options")
    upstream.enqueue(refusal, completion_stream("Hi"), completion_stream("Hi"))

    await read(llm.stream("hello"))
    await read(llm.stream("hello"))

    assert ["stream_options" in request.json for request in upstream.requests] == [
        True,
        False,
        False,
    ]


async def test_options_for_streams_are_left_out_of_a_complete_call(upstream, llm):
    upstream.enqueue(completion("Hi"))

    await llm.complete("hello", stream_options={"include_usage": True})

    assert "stream_options" not in upstream.requests[0].json


THOUGHT = [
    {"role": "user", "content": "Weather?"},
    {
        "role": "assistant",
        "content": "",
        "reasoning_content": "I need the tool.",
        "reasoning": "somebody else's",
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        ],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "rain"},
]


def thinking_sent(upstream):
    return ["reasoning_content" in str(request.json["messages"]) for request in upstream.requests]


async def ask(llm, how, messages, **arguments):
    if how == "stream":
        return await llm.stream(messages, **arguments).collect()
    return await llm.complete(messages, **arguments)


INSISTS = error(400, message="Missing `reasoning_content` field in the assistant message at 1.")
REFUSES = error(400, message="'messages.1' : property 'reasoning_content' is unsupported")


@pytest.mark.parametrize("how", ["complete", "stream"])
async def test_a_server_that_insists_on_its_thinking_gets_it_back_and_is_remembered(
    upstream, llm, how
):
    answer = completion_stream("Rain.") if how == "stream" else completion("Rain.")
    upstream.enqueue(INSISTS, answer, answer)

    for _ in range(2):
        assert (await ask(llm, how, THOUGHT)).text == "Rain."

    assert thinking_sent(upstream) == [False, True, True]
    _, called, _ = upstream.requests[-1].json["messages"]
    assert called["reasoning_content"] == "I need the tool."
    assert "reasoning" not in called


async def test_behind_one_address_may_be_servers_that_insist_and_that_refuse(upstream, llm):
    good = completion("Hi")
    upstream.enqueue(INSISTS, good, REFUSES, good, good)

    for _ in range(3):
        await llm.complete(THOUGHT)

    assert thinking_sent(upstream) == [False, True, True, False, False]


async def test_calls_at_the_same_time_learn_the_same(upstream, llm):
    together = asyncio.Barrier(2)

    async def insist(request):
        if "reasoning_content" in str(request.json["messages"]):
            return completion("Hi")
        await together.wait()
        return INSISTS

    upstream.default = insist

    answers = await asyncio.gather(*[llm.complete(THOUGHT) for _ in range(2)])

    assert [answer.text for answer in answers] == ["Hi", "Hi"]


@pytest.mark.parametrize(
    ("history", "more"),
    [(THOUGHT[:1], {}), (THOUGHT, {"extra_body": {"messages": THOUGHT[:1]}})],
    ids=["no thinking", "messages of the caller's own"],
)
async def test_there_is_nothing_to_send_otherwise(upstream, llm, history, more):
    upstream.enqueue(INSISTS)

    with pytest.raises(InvalidRequestError, match="Missing"):
        await llm.complete(history, **more)

    assert upstream.count == 1


async def test_another_bad_request_is_not_sent_again(upstream, llm):
    upstream.enqueue(error(400, message="no such tool"))

    with pytest.raises(InvalidRequestError, match="no such tool"):
        await read(llm.stream("hello"))

    assert upstream.count == 1


# ------------------------------------------------------------------------------ streams


@pytest.mark.parametrize(
    "reason", ["error", "abort", "insufficient_system_resource", "network_error"]
)
@pytest.mark.parametrize("how", ["complete", "stream"])
async def test_an_answer_that_the_server_broke_off_is_a_failure_to_be_tried_again(
    upstream, llm, how, reason
):
    if how == "stream":
        upstream.enqueue(completion_stream("Hel", finish=reason))
        call = llm.stream("hello").collect()
    else:
        upstream.enqueue(completion("Hel", finish=reason))
        call = llm.complete("hello")

    with pytest.raises((ServerError, StreamTruncatedError)) as caught:
        await call

    assert caught.value.retryable
    assert caught.value.partial.text == "Hel"
    assert caught.value.model == "gpt-4o"


@pytest.mark.parametrize("size", [None, *SIZES])
async def test_a_stream_is_the_same_however_its_bytes_are_cut(upstream, llm, size):
    text = "Grüße, 世界 😀!"
    upstream.enqueue(
        completion_stream(*text, tool_calls=[("call_1", "f", '{"a": "ü"}')], chunk_bytes=size)
    )

    stream = llm.stream("hello")
    chunks = await read(stream)

    assert "".join(chunk.content or "" for chunk in chunks) == text
    assert stream.result.text == text
    assert stream.result.tool_calls[0].function.arguments == '{"a": "ü"}'


async def test_chunks_keep_what_is_unknown(upstream, llm):
    upstream.enqueue(completion_stream("Hi", mystery={"deep": [1]}))

    stream = llm.stream("hello")
    chunks = await read(stream)

    assert chunks[0].mystery == {"deep": [1]}
    assert chunks[0].raw["mystery"] == {"deep": [1]}
    assert stream.result.mystery == {"deep": [1]}


# ------------------------------------------------------------------------------ what goes wrong


@pytest.mark.parametrize(
    ("reply", "expected", "partial"),
    [
        (completion_stream("Hel", CUT), StreamInterruptedError, "Hel"),
        (completion_stream("Hel", CLOSE), StreamInterruptedError, "Hel"),
        (completion_stream("Hel", finish=None), StreamTruncatedError, "Hel"),
        (completion_stream("Hel", b"data: {broken\n\n"), StreamInterruptedError, "Hel"),
        (completion_stream("Hel", b"data: \xff\xfe\n\n"), StreamInterruptedError, "Hel"),
        (completion_stream("Hel", b"data: [1]\n\n"), StreamInterruptedError, "Hel"),
        (completion_stream("Hel", b'data: {"cho', CUT), StreamInterruptedError, "Hel"),
        (completion_stream("Hel", sse({"error": {"code": 502}})), StreamInterruptedError, "Hel"),
        (completion_stream(CUT), ConnectionError, None),
        (completion_stream(b"data: {broken\n\n"), MalformedResponseError, None),
        (completion_stream(sse({"error": {"code": 429}})), RateLimitError, None),
        (completion_stream(finish=None), StreamTruncatedError, ""),
        (completion("Hi"), MalformedResponseError, "Hi"),
        (json_reply({"error": {"type": "server_error"}}), ServerError, None),
        (html(200), MalformedResponseError, None),
        (Reply(headers={"content-type": "text/event-stream"}, chunks=[]), StreamTruncatedError, ""),
        (Reply(headers={"content-type": "application/json"}, chunks=[]), MalformedResponseError, None),
    ],
    ids=[
        "reset", "closed", "no finish", "malformed event", "not UTF-8", "not an object",
        "cut inside an event", "error after content", "cut before content",
        "malformed before content", "error before content", "no content and no finish",
        "JSON instead of a stream", "JSON error instead of a stream", "HTML instead of a stream",
        "empty stream", "empty JSON",
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
    assert (caught.value.provider, caught.value.model) == ("openai", "gpt-4o")
    if partial is not None:
        assert caught.value.partial.text == partial
    if stream.response is not None:
        assert stream.response.outcome.status == "failed"
        assert stream.result.finish_reason is None


@pytest.mark.parametrize(
    ("reply", "expected", "says"),
    [
        (error(401), AuthenticationError, "401"),
        (error(429, headers={"retry-after": "7"}), RateLimitError, "429"),
        (error(500), ServerError, "500"),
        (html(502), ServerError, "502"),
        (
            html(404),
            InvalidRequestError,
            r"at http://127\.0\.0\.1:\d+/(v1/)?\w+.*is base_url right",
        ),
        (html(200), MalformedResponseError, "HTML page"),
        (json_reply({}), MalformedResponseError, "no choices"),
        (json_reply({"choices": []}), MalformedResponseError, "no choices"),
        (json_reply({"choices": None}), MalformedResponseError, "no choices"),
        (json_reply({"choices": {"a": 1}}), MalformedResponseError, "JSON array"),
        (json_reply([1, 2]), MalformedResponseError, "JSON object"),
        (json_reply({"error": {"code": 429, "message": "slow"}}), RateLimitError, "slow"),
        (
            json_reply({"choices": [{"error": {"code": 502, "message": "upstream"}}]}),
            ServerError,
            "upstream",
        ),
        (Reply(chunks=[]), MalformedResponseError, "empty body"),
        (Reply(chunks=[b"\xff\xfe\x00"]), MalformedResponseError, "JSON"),
        (Reply(chunks=[b"[" * 10_000 + b"]" * 10_000]), MalformedResponseError, "JSON"),
        (completion_stream("Hi"), MalformedResponseError, "event stream"),
        (Reply(status=407, chunks=[b"proxy"]), ConnectionError, "407"),
        (Reply(status=304, chunks=[]), MalformedResponseError, "304"),
        (Reply(chunks=[b'{"choices": [', CUT]), ConnectionError, "connection failed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_bad_answer_is_a_typed_error_that_says_what_came(
    upstream, llm, reply, expected, says
):
    upstream.enqueue(reply)

    with pytest.raises(ProviderError, match=says) as caught:
        await llm.complete("hello")

    assert type(caught.value) is expected
    if expected is RateLimitError and "7" in str(reply.headers):
        assert caught.value.retry_after == 7.0


async def test_a_missing_key_names_the_variable_and_the_argument(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_ADMIN_KEY", raising=False)

    with pytest.raises(AuthenticationError, match=r"OPENAI_API_KEY.*openai\(api_key=") as caught:
        await build_pipeline(provider=openai(), model="gpt-4o").complete("hi")
    assert "any text" not in str(caught.value)
    assert caught.value.model == "gpt-4o"  # a misspelt claude-… is OpenAI's, too


async def test_a_server_of_ones_own_may_want_no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    with pytest.raises(AuthenticationError, match=r"api_key=…\) \(any text, if your server wants"):
        await openai(base_url="http://localhost:1/v1").complete("hi", "m")


async def test_a_10000_deep_parameter_is_refused_before_sending(upstream, llm):
    deep: list = []
    for _ in range(10_000):
        deep = [deep]

    with pytest.raises(InvalidRequestError, match="JSON"):
        await llm.complete("hello", extra_body={"deep": deep})

    assert upstream.count == 0


# ------------------------------------------------------------------------------ SDK clients


async def test_your_own_client_is_used_and_left_open(upstream):
    client = sdk.AsyncOpenAI(api_key="mine", base_url=f"{upstream.url}/v1", max_retries=5)
    upstream.enqueue(completion("Hi"), error(500))
    llm = build_pipeline(provider=openai(client=client), model="m")

    await llm.complete("hello")
    with pytest.raises(ServerError):
        await llm.complete("hello")
    await llm.aclose()

    assert upstream.count == 2
    assert upstream.requests[0].headers["authorization"] == "Bearer mine"
    assert not client.is_closed()
    await client.close()


async def test_an_azure_client_finds_its_deployment(upstream):
    client = sdk.AsyncAzureOpenAI(
        api_key="mine", azure_endpoint=upstream.url, api_version="2024-10-21"
    )
    upstream.enqueue(completion("Hi"), completion_stream("Hi"))
    llm = build_pipeline(provider=openai(client=client), model="my-deployment")

    await llm.complete("hello")
    await read(llm.stream("hello"))

    path = "/openai/deployments/my-deployment/chat/completions?api-version=2024-10-21"
    assert [request.target for request in upstream.requests] == [path, path]
    assert upstream.requests[0].json["messages"] == [{"role": "user", "content": "hello"}]
    await client.close()


@pytest.mark.parametrize(
    "client",
    [sdk.OpenAI(api_key="k"), object(), sdk.AsyncOpenAI, AsyncAnthropic(api_key="k")],
)
def test_a_client_of_the_wrong_kind_is_refused(client):
    with pytest.raises(TypeError, match="asynchronous client"):
        openai(client=client)


def test_one_with_a_client_of_yours_says_that_it_cannot_be_pickled():
    provider = openai(client=sdk.AsyncOpenAI(api_key="k"))

    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(provider)


async def test_the_official_host_gets_max_completion_tokens_for_reasoning_models():
    official = openai(api_key="k")
    other = openai(api_key="k", base_url="http://localhost/v1")
    request = Request("gpt-5", "hi", {"max_tokens": 10})

    assert official.make_body(request)["max_completion_tokens"] == 10
    assert "max_tokens" not in official.make_body(request)
    assert other.make_body(request)["max_tokens"] == 10
    assert official.make_body(request.replace(model="gpt-4o"))["max_tokens"] == 10


async def test_the_prefix_is_taken_off_for_openai_and_kept_for_other_servers():
    request = Request("openai/gpt-oss-20b", "hi")

    assert openai(api_key="k").make_body(request)["model"] == "gpt-oss-20b"
    vllm = openai(api_key="k", base_url="http://localhost/v1")
    assert vllm.make_body(request)["model"] == "openai/gpt-oss-20b"


def azure(**settings):
    return sdk.AsyncAzureOpenAI(api_key="k", api_version="2024-10-21", **settings)


OPENAI_S_OWN = [
    {},
    {"base_url": "https://eu.api.openai.com/v1"},
    {"client": sdk.AsyncOpenAI(api_key="k")},
    {"client": azure(azure_endpoint="https://example.openai.azure.com")},
    {"client": azure(base_url="https://gateway.example.org/openai")},
    {"client": sdk.AsyncOpenAI(api_key="k", base_url="https://x.openai.azure.com/openai/v1/")},
]
OTHERS = [
    {"base_url": "http://localhost/v1"},
    {"base_url": "https://api.openai.com.example.org/v1"},
    {"client": sdk.AsyncOpenAI(api_key="k", base_url="http://localhost/v1")},
]


@pytest.mark.parametrize(
    ("settings", "own"), [*((s, True) for s in OPENAI_S_OWN), *((s, False) for s in OTHERS)]
)
def test_the_address_that_is_asked_decides_what_is_known_of_the_server(settings, own):
    history = [{"role": "user", "content": "Hi", "mood": "good"}]
    request = Request("openai/gpt-5", history, {"max_tokens": 10})
    body = openai(api_key="k", **settings).make_body(request)

    assert body["model"] == ("gpt-5" if own else "openai/gpt-5")
    assert ("max_completion_tokens" in body, "max_tokens" in body) == (own, not own)
    assert ("mood" in body["messages"][0]) is not own


def test_a_server_that_the_environment_names_is_another_but_the_prefix_chose_it(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost/v1")
    body = openai(api_key="k").make_body(Request("openai/gpt-5", "hi", {"max_tokens": 10}))

    assert (body["model"], body["max_tokens"]) == ("gpt-5", 10)


async def test_the_key_and_the_password_of_a_client_of_yours_are_scrubbed(upstream):
    address = upstream.url.replace("http://", "http://me:s3cret@")
    client = sdk.AsyncOpenAI(api_key="sk-canary", base_url=address)
    upstream.enqueue(error(401, message="Incorrect key sk-canary of s3cret"))
    with pytest.raises(AuthenticationError, match=r"Incorrect key \*\*\* of \*\*\*") as caught:
        await openai(client=client).complete("hello", "m")

    assert "canary" not in str(caught.value.body)
    await client.close()


async def test_a_stream_cut_before_its_second_choice_is_truncated(upstream, llm):
    upstream.enqueue(completion_stream("a", done=False, usage=False), completion_stream("a"))

    with pytest.raises(StreamTruncatedError):
        await llm.stream("hello", n=2).collect()
    # A server that knows no `n` says itself that one choice is all there is.
    assert len((await llm.stream("hello", n=2).collect()).choices) == 1


async def test_what_a_frame_says_beside_its_error_is_kept(upstream, llm):
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    last = {"error": {"code": 502, "message": "gone"}, "choices": [], "usage": usage}
    upstream.enqueue(completion_stream("Hel", sse(last)))

    with pytest.raises(StreamInterruptedError) as caught:
        await llm.stream("hello").collect()

    assert caught.value.partial.usage.total_tokens == 10
    assert caught.value.partial.text == "Hel"


async def test_errors_inside_a_stream_quote_the_request_id(upstream, llm):
    upstream.enqueue(
        completion_stream(sse({"error": {"code": 429}}), headers={"x-request-id": "req_7"})
    )

    with pytest.raises(RateLimitError) as caught:
        await llm.stream("hello").collect()

    assert (caught.value.request_id, caught.value.model) == ("req_7", "gpt-4o")


async def test_openai_itself_gets_no_message_fields_that_it_does_not_know():
    history = [
        {"role": "user", "content": "draw"},
        {"role": "assistant", "content": "here", "images": ["…"], "mood": "good"},
        {"role": "user", "content": "thanks"},
    ]
    request = Request("gpt-4o", history)

    official = openai(api_key="k").make_body(request)["messages"]
    assert official[1] == {"role": "assistant", "content": "here"}
    other = openai(api_key="k", base_url="http://localhost/v1").make_body(request)["messages"]
    assert other[1]["mood"] == "good"


def test_answers_belong_to_an_address_and_an_account_and_show_no_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-env")

    def identity(**settings):
        return openai(**settings).identity("m")

    same = identity(api_key="sk-1", base_url="http://a")
    assert same == identity(api_key="sk-1", base_url="http://a")
    assert identity(api_key="sk-env") == identity()
    others = [
        identity(api_key="sk-2", base_url="http://a"),
        identity(api_key="sk-1", base_url="http://b"),
        identity(api_key="sk-1", base_url="http://a", organization="o"),
        identity(api_key="sk-1", base_url="http://a", default_headers={"x": "y"}),
        identity(client=sdk.AsyncOpenAI(api_key="sk-1", base_url="http://a", project="p")),
        *(
            identity(client=sdk.AsyncOpenAI(api_key="sk-1", base_url="http://a", **more))
            for more in ({}, {"default_headers": {"x": "y"}}, {"default_query": {"x": "y"}})
        ),
        *(
            identity(api_key="sk-1", base_url="http://a", default_query={"x": value})
            for value in ("1", "2")
        ),
        *(
            identity(
                client=sdk.AsyncAzureOpenAI(
                    azure_endpoint="http://a", api_version=version, azure_ad_token=token
                )
            )
            for version, token in [("1", "sk-1"), ("2", "sk-1"), ("1", "sk-2")]
        ),
    ]
    assert len({same, *others}) == len(others) + 1
    assert not any("sk-" in text for text in [same, *others])


async def test_a_stream_of_one_whole_message_is_its_answer(upstream, llm):
    whole = completion("Hello")
    upstream.enqueue(
        Reply(
            headers={"content-type": "text/event-stream"},
            chunks=[b"data: ", *whole.chunks, b"\n\ndata: [DONE]\n\n"],
        )
    )

    answer = await llm.stream("hello").collect()
    assert (answer.text, answer.finish_reason) == ("Hello", "stop")
    assert answer.usage.total_tokens > 0


async def test_a_message_that_is_repeated_at_the_end_of_a_stream_is_not_said_twice(upstream, llm):
    said = {"role": "assistant", "content": "Hello"}
    last = {"choices": [{"index": 0, "message": said, "finish_reason": "stop"}]}
    upstream.enqueue(completion_stream("Hel", "lo", sse(last)))

    assert (await llm.stream("hello").collect()).text == "Hello"


@pytest.mark.parametrize("known", [True, False])
async def test_fields_of_another_server_s_calls_go_to_no_openai(known):
    call = {
        "id": "a",
        "type": "function",
        "function": {"name": "f", "arguments": "{}"},
        "extra_content": {"google": {"thought_signature": "c2ln"}},
    }
    history = [{"role": "user", "content": "hi"}, {"role": "assistant", "tool_calls": [call]}]
    address = {} if known else {"base_url": "http://localhost/v1"}
    body = openai(api_key="k", **address).make_body(Request("m", history))

    (sent,) = body["messages"][1]["tool_calls"]
    assert ("extra_content" in sent) is not known


async def test_cache_markers_on_tools_go_to_no_openai():
    tool = {"type": "function", "function": {"name": "f"}, "cache_control": {"type": "ephemeral"}}
    request = Request("gpt-4o", [{"role": "user", "content": "Hi"}], {"tools": [tool]})

    assert openai(api_key="k").make_body(request)["tools"] == [
        {"type": "function", "function": {"name": "f"}}
    ]
    assert openrouter(api_key="k").make_body(request)["tools"] == [tool]


@pytest.mark.parametrize(
    ("make", "variable"),
    [
        (openai, "OPENAI_ORG_ID"),
        (openai, "OPENAI_PROJECT_ID"),
        (anthropic, "ANTHROPIC_AUTH_TOKEN"),
    ],
)
def test_an_account_that_the_environment_names_is_another(monkeypatch, make, variable):
    monkeypatch.delenv(variable, raising=False)
    unnamed = make().identity("m")
    monkeypatch.setenv(variable, "one")
    one = make().identity("m")
    monkeypatch.setenv(variable, "two")

    assert len({unnamed, one, make().identity("m")}) == 3
    assert openrouter().identity("m") == openrouter().identity("m")
