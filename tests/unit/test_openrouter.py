"""The OpenRouter adapter: OpenAI's shape, with reasoning, routing, the bill and errors in it."""

import json

import pytest

from scallion import Request, build_pipeline
from scallion.exceptions import (
    AuthenticationError,
    ContentPolicyError,
    ContextWindowExceededError,
    InvalidRequestError,
    OverloadedError,
    PermissionDeniedError,
    ProviderError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
    StreamTruncatedError,
)
from scallion.providers import openrouter
from support.upstream import (
    CUT,
    completion,
    completion_stream,
    error,
    json_reply,
    sse,
)

DETAILS = [
    {
        "type": "reasoning.text",
        "text": "hm",
        "signature": "c2ln",
        "format": "anthropic-claude-v1",
        "index": 0,
    },
    {"type": "reasoning.encrypted", "data": "ZW5j", "id": "rs_1", "index": 1},
]
BILL = {
    "prompt_tokens": 10,
    "completion_tokens": 4,
    "total_tokens": 14,
    "cost": 0.00123,
    "is_byok": False,
    "cost_details": {"upstream_inference_cost": None},
    "prompt_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 1, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 2},
}


@pytest.fixture
async def llm(upstream):
    provider = openrouter(api_key="sk-or-test", base_url=f"{upstream.url}/api/v1")
    async with build_pipeline(provider=provider, model="openai/gpt-4o") as pipeline:
        yield pipeline


async def read(stream):
    async with stream:
        return [chunk async for chunk in stream]


async def ask(llm, mode):
    """The answer, asked for whole or streamed."""
    return await (llm.complete("hi") if mode == "complete" else llm.stream("hi").collect())


both_modes = pytest.mark.parametrize("mode", ["complete", "stream"])

# ------------------------------------------------------------------------------ where and as whom


async def test_the_request_goes_to_the_chat_endpoint_with_the_key(upstream, llm):
    upstream.enqueue(completion("Hi"))

    answer = await llm.complete("hello", temperature=0.5)

    (received,) = upstream.requests
    assert received.path == "/api/v1/chat/completions"
    assert received.headers["authorization"] == "Bearer sk-or-test"
    assert received.json == {
        "model": "openai/gpt-4o",
        "messages": [{"role": "user", "content": "hello"}],
        "temperature": 0.5,
    }
    assert (answer.text, answer.provider) == ("Hi", "openrouter")


async def test_without_a_base_url_it_is_openrouters(monkeypatch):
    monkeypatch.delenv("OPENROUTER_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://openai.invalid/v1")
    provider = openrouter(api_key="k")

    client = provider.make_client()

    assert str(client.base_url) == "https://openrouter.ai/api/v1/"
    await client.close()


async def test_key_and_address_may_come_from_the_environment(monkeypatch, upstream):
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-env")
    monkeypatch.setenv("OPENROUTER_BASE_URL", f"{upstream.url}/env")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    upstream.enqueue(completion())
    async with build_pipeline(provider=openrouter(), model="openrouter/auto") as llm:
        await llm.complete("hi")

    (received,) = upstream.requests
    assert received.path == "/env/chat/completions"
    assert received.headers["authorization"] == "Bearer sk-or-env"


async def test_a_missing_key_names_the_variable_and_the_argument(monkeypatch):
    monkeypatch.delenv("OPENROUTER_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")

    with pytest.raises(AuthenticationError, match=r"OPENROUTER_API_KEY.*openrouter\(api_key="):
        await build_pipeline(provider=openrouter(), model="openrouter/auto").complete("hi")


async def test_what_is_meant_for_openai_is_not_told_to_openrouter(monkeypatch, upstream):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-admin")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-secret")
    monkeypatch.setenv(
        "OPENAI_CUSTOM_HEADERS", "X-Gateway-Key: gw-secret\nauthorization: Bearer gw-secret"
    )
    upstream.enqueue(completion())
    provider = openrouter(
        api_key="sk-or", base_url=upstream.url, default_headers={"X-Mine": "mine"}
    )
    async with build_pipeline(provider=provider, model="openrouter/auto") as llm:
        await llm.complete("hi")

    headers = upstream.requests[0].headers
    assert headers["authorization"] == "Bearer sk-or"
    assert headers["x-mine"] == "mine"
    assert not [name for name, value in headers.items() if "secret" in value or "openai" in value]
    assert "openai-organization" not in headers
    assert "openai-project" not in headers


async def test_an_organization_that_is_given_is_sent(upstream):
    upstream.enqueue(completion())
    provider = openrouter(api_key="k", base_url=upstream.url, organization="org-mine")
    async with build_pipeline(provider=provider, model="m") as llm:
        await llm.complete("hi")

    assert upstream.requests[0].headers["openai-organization"] == "org-mine"


async def test_the_application_is_named_in_the_headers(upstream):
    upstream.enqueue(completion(), completion())
    provider = openrouter(
        api_key="k", base_url=upstream.url, app_url="https://app.example", app_title="Grüße"[:2]
    )
    async with build_pipeline(provider=provider, model="openrouter/auto") as llm:
        await llm.complete("hi")
        await llm.complete("hi", extra_headers={"X-Title": "Other"})

    first, second = upstream.requests
    assert (first.headers["http-referer"], first.headers["x-title"]) == (
        "https://app.example",
        "Gr",
    )
    assert second.headers["x-title"] == "Other"


async def test_headers_that_are_given_win_over_the_attribution(upstream):
    upstream.enqueue(completion(), completion())
    for headers in ({"X-Title": "Mine"}, None):
        provider = openrouter(
            api_key="k", base_url=upstream.url, app_title="App", default_headers=headers
        )
        async with build_pipeline(provider=provider, model="m") as llm:
            await llm.complete("hi")

    assert [request.headers["x-title"] for request in upstream.requests] == ["Mine", "App"]
    assert "http-referer" not in upstream.requests[0].headers


# ------------------------------------------------------------------------------ what is asked


@pytest.mark.parametrize(
    ("model", "sent"),
    [
        ("openrouter/auto", "openrouter/auto"),
        ("openrouter/bodybuilder", "openrouter/bodybuilder"),
        ("openrouter/openai/gpt-4o", "openai/gpt-4o"),
        ("openrouter/openrouter/auto", "openrouter/auto"),
        ("openai/gpt-4o", "openai/gpt-4o"),
        ("anthropic/claude-sonnet-4.5:beta", "anthropic/claude-sonnet-4.5:beta"),
        ("gpt-4o", "gpt-4o"),
        ("@preset/mine", "@preset/mine"),
    ],
)
async def test_models_have_openrouters_names(upstream, llm, model, sent):
    upstream.enqueue(completion())

    await llm.complete("hi", model=model)

    assert upstream.requests[0].json["model"] == sent


async def test_routing_options_go_through_extra_body(upstream, llm):
    routing = {
        "provider": {"order": ["DeepInfra"], "allow_fallbacks": False},
        "models": ["openai/gpt-4o", "anthropic/claude-sonnet-4.5"],
        "transforms": ["middle-out"],
        "reasoning": {"effort": "low"},
        "usage": {"include": True},
    }
    upstream.enqueue(completion())

    await llm.complete("hi", extra_body=routing)

    body = upstream.requests[0].json
    assert {name: body[name] for name in routing} == routing
    assert "extra_body" not in body


async def test_max_tokens_is_left_to_openrouter_to_translate():
    provider = openrouter(api_key="k")
    body = provider.make_body(Request("openai/gpt-5", "hi", {"max_tokens": 9}))

    assert body["max_tokens"] == 9
    assert "max_completion_tokens" not in body


@both_modes
async def test_reasoning_that_came_in_goes_out_again_as_it_was(upstream, llm, mode):
    said = {"reasoning": "hm", "reasoning_details": DETAILS}
    call = ("call_1", "f", "{}")
    if mode == "complete":
        upstream.enqueue(completion(None, tool_calls=[call], message=said), completion())
    else:
        pieces = [{"content": "", **said}]
        upstream.enqueue(completion_stream(*pieces, tool_calls=[call]), completion())
    first = await ask(llm, mode)
    assert first.reasoning == "hm"
    assert first.message.reasoning_details == DETAILS

    result = {"role": "tool", "tool_call_id": "call_1", "content": "4"}
    await llm.complete([{"role": "user", "content": "hi"}, first.message, result])

    _, answer, tool = upstream.requests[1].json["messages"]
    assert answer["reasoning_details"] == DETAILS
    assert answer["reasoning"] == "hm"
    assert answer["tool_calls"][0]["id"] == "call_1"
    assert tool == result


async def test_reasoning_details_that_come_in_fragments_go_out_whole(upstream, llm):
    fragments = [
        {"reasoning": "h", "reasoning_details": [DETAILS[0] | {"text": "h", "signature": None}]},
        {"reasoning": "m", "reasoning_details": [DETAILS[0] | {"text": "m", "signature": None}]},
        {"reasoning_details": [{"type": "reasoning.text", "signature": "c2ln", "index": 0}]},
        {"reasoning_details": [DETAILS[1]]},
    ]
    upstream.enqueue(completion_stream(*fragments, "Hi", chunk_bytes=7), completion())

    first = await llm.stream("hi").collect()
    await llm.complete([{"role": "user", "content": "hi"}, first.message.to_dict()] * 2)

    assert upstream.requests[1].json["messages"][1]["reasoning_details"] == DETAILS


async def test_cache_markers_are_handed_on(upstream, llm):
    marked = {"type": "text", "text": "long", "cache_control": {"type": "ephemeral"}}
    upstream.enqueue(completion())

    await llm.complete([{"role": "user", "content": [marked]}])

    assert upstream.requests[0].json["messages"][0]["content"] == [marked]


# ------------------------------------------------------------------------------ what comes back


@both_modes
async def test_the_bill_and_the_host_are_kept(upstream, llm, mode):
    if mode == "complete":
        upstream.enqueue(completion("Hi", usage=BILL, provider="DeepInfra"))
    else:
        upstream.enqueue(completion_stream("Hi", usage=BILL, provider="DeepInfra"))

    answer = await ask(llm, mode)

    assert answer.usage.cost == 0.00123
    assert answer.usage.cost_details == {"upstream_inference_cost": None}
    assert answer.usage.prompt_tokens_details.cached_tokens == 8
    assert answer.usage.prompt_tokens_details.cache_write_tokens == 1
    assert answer.usage.completion_tokens_details.reasoning_tokens == 2
    assert (answer.upstream_provider, answer.provider) == ("DeepInfra", "openrouter")
    assert answer.to_dict()["provider"] == "DeepInfra"


async def test_usage_in_a_chunk_that_has_choices_is_usage(upstream, llm):
    choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
    upstream.enqueue(
        completion_stream("Hi", usage=None, done=False, finish="stop"),
    )
    reply = completion_stream("Hi", sse({"choices": [choice], "usage": BILL}), usage=False)
    upstream.enqueue(reply)

    assert (await llm.stream("hi").collect()).usage is None
    assert (await llm.stream("hi").collect()).usage.cost == 0.00123


@pytest.mark.parametrize("size", [None, 1, 7])
async def test_keep_alive_comments_are_no_events(upstream, llm, size):
    comment = b": OPENROUTER PROCESSING\n\n"
    upstream.enqueue(
        completion_stream(comment, "Hel", comment, comment, "lo", comment, chunk_bytes=size)
    )

    stream = llm.stream("hi")
    chunks = await read(stream)

    assert stream.result.text == "Hello"
    assert [chunk.content for chunk in chunks if chunk.content] == ["Hel", "lo"]


async def test_a_finish_that_is_said_twice_is_one(upstream, llm):
    def ending(**more):
        choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}
        return sse({"id": "gen-1", "choices": [choice | more]})

    upstream.enqueue(
        completion_stream(
            "Hi", ending(native_finish_reason="STOP"), ending(native_finish_reason="again")
        )
    )

    answer = await llm.stream("hi").collect()

    assert answer.finish_reason == "stop"
    assert answer.choices[0].native_finish_reason == "STOP"
    assert answer.text == "Hi"


async def test_a_leading_padding_of_a_whole_body_is_read(upstream, llm):
    reply = completion("Hi")
    upstream.enqueue(json_reply({}))
    padded = json_reply(json.loads(reply.body))
    padded = type(padded)(headers=padded.headers, chunks=[b"\n         \n" * 50, *padded.chunks])
    upstream.enqueue(padded)

    with pytest.raises(ProviderError, match="no choices"):
        await llm.complete("hi")
    assert (await llm.complete("hi")).text == "Hi"


# ------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("status", "fields", "expected"),
    [
        (401, {}, AuthenticationError),
        (402, {}, PermissionDeniedError),
        (403, {"metadata": {"reasons": ["violence"], "flagged_input": "…"}}, ContentPolicyError),
        (408, {}, ProviderError),
        (429, {}, RateLimitError),
        (502, {}, ServerError),
        (503, {}, ServerError),
        (400, {"message": "This endpoint's maximum context length is 10 tokens."},
         ContextWindowExceededError),
        (400, {"metadata": {"raw": '{"error": {"code": "context_length_exceeded"}}'}},
         ContextWindowExceededError),
        (502, {"metadata": {"raw": '{"error": {"type": "overloaded_error"}}'}}, OverloadedError),
    ],
)  # fmt: skip
@pytest.mark.parametrize("where", ["status", "200 complete", "200 stream", "choice", "delta"])
async def test_an_error_is_the_same_wherever_it_stands(
    upstream, llm, status, fields, expected, where
):
    body = {"code": status, "message": "Scripted"} | fields
    choice = {"index": 0, "finish_reason": "error", "error": body}
    if where == "status":
        upstream.enqueue(error(status, style="openrouter", **fields))
    elif where == "200 complete":
        upstream.enqueue(json_reply({"error": body, "user_id": "u"}))
    elif where == "200 stream":
        upstream.enqueue(completion_stream(sse({"id": "gen-1", "error": body, "choices": []})))
    elif where == "choice":
        message = {"role": "assistant", "content": ""}
        upstream.enqueue(completion(choices=[choice | {"message": message}]))
    else:
        delta = {"role": "assistant", "content": ""}
        upstream.enqueue(
            completion_stream(sse({"id": "gen-1", "choices": [choice | {"delta": delta}]}))
        )
    streamed = where in ("200 stream", "delta")

    with pytest.raises(expected) as caught:
        await ask(llm, "stream" if streamed else "complete")

    failure = caught.value
    assert expected is ProviderError or type(failure) is expected
    assert failure.status_code == status
    assert (failure.provider, failure.model) == ("openrouter", "openai/gpt-4o")
    assert failure.message == body["message"] or where == "status"


@pytest.mark.parametrize("where", ["top", "choice"])
async def test_an_error_after_content_breaks_the_stream_with_what_came(upstream, llm, where):
    failure = {"code": 502, "message": "Provider returned error"}
    if where == "top":
        event = {"error": failure, "choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]}
    else:
        event = {"choices": [{"index": 0, "delta": {}, "finish_reason": "error", "error": failure}]}
    upstream.enqueue(completion_stream("Hel", sse(event), usage=None))

    stream = llm.stream("hi")
    with pytest.raises(StreamInterruptedError, match="Provider returned error") as caught:
        await read(stream)

    assert caught.value.partial.text == "Hel"
    assert caught.value.status_code == 502
    assert isinstance(caught.value.__cause__, ServerError)
    assert stream.response.outcome.status == "failed"
    assert stream.result.finish_reason == "error"


@pytest.mark.parametrize("content", ["Hel", None], ids=["after content", "before content"])
async def test_an_error_that_brings_its_bill_is_billed(upstream, llm, content):
    event = {
        "id": "gen-1",
        "error": {"code": 502, "message": "upstream"},
        "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
        "usage": BILL,
    }
    pieces = [content] if content else []
    upstream.enqueue(completion_stream(*pieces, sse(event), usage=None))
    request = Request("openai/gpt-4o", "hi", stream=True)

    with pytest.raises(ProviderError, match="upstream"):
        await (await llm.send(request)).collect()

    (attempt,) = request.context.attempts
    assert attempt.status == "failed"
    assert attempt.usage.cost == 0.00123


async def test_an_error_in_a_whole_answer_that_brings_its_bill_is_billed(upstream, llm):
    body = {"error": {"code": 502, "message": "upstream"}, "choices": [], "usage": BILL}
    upstream.enqueue(json_reply(body))
    request = Request("openai/gpt-4o", "hi")

    with pytest.raises(ServerError, match="upstream"):
        await llm.send(request)

    (attempt,) = request.context.attempts
    assert attempt.usage.cost == 0.00123


async def test_a_finish_reason_of_error_without_more_is_not_a_whole_answer(upstream, llm):
    upstream.enqueue(completion_stream("Hel", finish="error"))

    with pytest.raises((StreamTruncatedError, StreamInterruptedError)):
        await llm.stream("hi").collect()


async def test_a_cut_stream_carries_what_came_and_who_served_it(upstream, llm):
    upstream.enqueue(completion_stream("Hel", CUT, provider="DeepInfra"))

    with pytest.raises(StreamInterruptedError) as caught:
        await read(llm.stream("hi"))

    assert caught.value.partial.text == "Hel"
    assert caught.value.partial.upstream_provider == "DeepInfra"


async def test_bad_parameters_never_leave_the_machine(upstream, llm):
    with pytest.raises(InvalidRequestError, match="temperature must be a finite number"):
        await llm.complete("hi", temperature=float("nan"))

    assert upstream.count == 0


def test_it_pickles_by_its_settings_and_shows_no_key():
    import pickle

    provider = openrouter(api_key="sk-or-secret", app_title="App", base_url="http://h/v1")

    copy = pickle.loads(pickle.dumps(provider))

    assert type(copy) is type(provider)
    assert copy.config.default_headers == provider.config.default_headers
    assert "sk-or-secret" not in repr(provider) + repr(provider.config)
    assert repr(provider) == "openrouter(base_url='http://h/v1')"
