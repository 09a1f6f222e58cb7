"""The stand-in's calls over a server: what is sent, what comes back, who is told, what is refused."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
import traceback

import anthropic
import openai
import pytest
from pydantic import BaseModel

from support.upstream import Upstream, completion, completion_stream, error, message, message_stream

HI = [{"role": "user", "content": "Hi"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def words(text):
    return text.split()


def to(upstream, model="openai/gpt-4o", **more):
    return {
        "model": model,
        "messages": HI,
        "api_base": f"{upstream.url}/v1",
        "api_key": "sk-test",
        **more,
    }


# ------------------------------------------------------------------------------------ what is sent


async def test_parameters_reach_the_server_and_litellms_own_do_not(litellm):
    async with Upstream(completion("Hi")) as upstream:
        await litellm.acompletion(
            **to(upstream),
            temperature=0.5,
            tools=[TOOL],
            user="ann",
            metadata={"a": 1},
            tags=["x"],
            num_retries=0,
            langfuse_public_key="x",
            output_cost_per_second=1.0,
            mock_testing_fallbacks=False,
            force_timeout=5,
            top_k=5,
            extra_body={"more": 1},
            extra_headers={"x-mine": "1"},
            headers={"x-other": "2"},
            timeout=30,
        )
        request = upstream.requests[0]
        assert request.json == {
            "model": "gpt-4o",
            "messages": HI,
            "temperature": 0.5,
            "tools": [TOOL],
            "user": "ann",
            "top_k": 5,
            "more": 1,
        }
        assert (request.headers["x-mine"], request.headers["x-other"]) == ("1", "2")


async def test_a_pydantic_class_becomes_a_strict_schema(litellm):
    class User(BaseModel):
        name: str

    async with Upstream(completion("{}")) as upstream:
        await litellm.acompletion(
            **to(upstream), response_format=User, tools=[], tool_choice="auto"
        )
        body = upstream.requests[0].json
        assert body["response_format"]["type"] == "json_schema"
        assert body["response_format"]["json_schema"]["strict"] is True
        assert "tools" not in body
        assert "tool_choice" not in body


async def test_an_answers_message_can_be_sent_back(litellm):
    call = ("call_1", "f", "{}")
    async with Upstream(completion(None, tool_calls=[call]), completion("done")) as upstream:
        first = await litellm.acompletion(**to(upstream))
        said = first.choices[0].message
        result = {"role": "tool", "tool_call_id": said.tool_calls[0].id, "content": "42"}
        await litellm.acompletion(**{**to(upstream), "messages": [*HI, said, result]})
        sent = upstream.requests[1].json["messages"]
        assert sent[1]["tool_calls"][0] == {
            "id": "call_1",
            "type": "function",
            "function": {"name": "f", "arguments": "{}"},
        }


async def test_claude_gets_its_own_thinking_back(litellm):
    thinking = {"type": "thinking", "thinking": "hm", "signature": "sig"}
    blocks = [thinking, {"type": "text", "text": "Hi"}]
    async with Upstream(message(content=blocks), message("x")) as upstream:
        where = {**to(upstream, "anthropic/claude-sonnet-4-5"), "api_base": upstream.url}
        where["max_tokens"] = 100
        first = await litellm.acompletion(**where, reasoning_effort="low")
        said = first.choices[0].message
        assert said.reasoning_content == "hm"
        assert said.thinking_blocks == [thinking]
        history = [*HI, said.model_dump(), *HI]
        where["deadline"] = "tomorrow"
        await litellm.acompletion(**{**where, "messages": history}, thinking=None, top_k=5)
        sent = upstream.requests[1].json
        assert sent["messages"][1]["content"] == blocks
        assert (sent["top_k"], sent["deadline"]) == (5, "tomorrow")


async def test_claude_streams(litellm):
    async with Upstream(message_stream("Hel", "lo")) as upstream:
        where = {**to(upstream, "claude-sonnet-4-5"), "api_base": f"{upstream.url}/v1/messages"}
        stream = await litellm.acompletion(**where, stream=True, max_tokens=10)
        chunks = [chunk async for chunk in stream]
        assert "".join(c.choices[0].delta.content or "" for c in chunks) == "Hello"
        assert chunks[0].choices[0].delta.role == "assistant"
        assert chunks[-1].choices[0].finish_reason == "stop"
        assert upstream.requests[0].path == "/v1/messages"


async def test_parameters_that_a_provider_lacks_are_dropped_only_if_that_was_asked(litellm):
    async with Upstream(default=message("x")) as upstream:
        where = {**to(upstream, "claude-sonnet-4-5"), "api_base": upstream.url, "max_tokens": 9}
        with pytest.raises(litellm.UnsupportedParamsError, match="frequency_penalty"):
            await litellm.acompletion(**where, frequency_penalty=1.0)
        await litellm.acompletion(**where, frequency_penalty=1.0, drop_params=True)
        await litellm.acompletion(**where, seed=1, additional_drop_params=["seed"])
        await litellm.acompletion(**where, n=1)
        litellm.drop_params = True
        await litellm.acompletion(**where, frequency_penalty=1.0)
        assert all("frequency_penalty" not in request.json for request in upstream.requests)


@pytest.mark.parametrize("model", ["openai/o3-mini", "openai/gpt-5"])
async def test_models_that_take_no_temperature_say_so(litellm, model):
    async with Upstream(default=completion("x")) as upstream:
        with pytest.raises(litellm.UnsupportedParamsError, match="temperature=1"):
            await litellm.acompletion(**to(upstream, model), temperature=0.5)
        await litellm.acompletion(**to(upstream, model), temperature=0.5, drop_params=True)
        await litellm.acompletion(
            **to(upstream, model), temperature=0.5, allowed_openai_params=["temperature"]
        )
        assert "temperature" not in upstream.requests[0].json
        assert upstream.requests[1].json["temperature"] == 0.5


async def test_keys_and_addresses_can_be_set_for_all_calls(litellm):
    async with Upstream(default=completion("x")) as upstream:
        litellm.api_base = f"{upstream.url}/v1"
        litellm.api_key = "sk-all"
        litellm.headers = {"x-all": "1"}
        await litellm.acompletion("gpt-4o", HI)
        litellm.api_key = None
        litellm.openai_key = "sk-openai"
        await litellm.acompletion("gpt-4o", HI)
        keys = [request.headers["authorization"] for request in upstream.requests]
        assert keys == ["Bearer sk-all", "Bearer sk-openai"]
        assert upstream.requests[0].headers["x-all"] == "1"


def test_a_model_may_have_another_name(litellm, monkeypatch):
    monkeypatch.setattr(litellm, "model_alias_map", {"good": "anthropic/claude-sonnet-4-5"})
    assert litellm.completion("good", HI, mock_response="x").model == "claude-sonnet-4-5"


async def test_a_client_of_ones_own_is_used(litellm):
    async with Upstream(completion("x")) as upstream:
        async with openai.AsyncOpenAI(api_key="sk-own", base_url=f"{upstream.url}/v1") as client:
            await litellm.acompletion("openai/gpt-4o", HI, client=client)
        assert upstream.requests[0].headers["authorization"] == "Bearer sk-own"
    async with Upstream(message("x")) as upstream:
        async with anthropic.AsyncAnthropic(api_key="sk-own", base_url=upstream.url) as client:
            await litellm.acompletion("claude-sonnet-4-5", HI, client=client, max_tokens=9)
        assert "sk-own" in str(dict(upstream.requests[0].headers))
    with pytest.raises(NotImplementedError, match="client="):
        await litellm.acompletion("openai/gpt-4o", HI, client=object())


# ------------------------------------------------------------------------------------- what comes back


async def test_an_answer_has_its_cost_beside_it(litellm):
    async with Upstream(completion("x", usage=(1000, 100))) as upstream:
        answer = await litellm.acompletion(**to(upstream, model_info={"id": "mine"}))
        hidden = answer._hidden_params
        assert hidden["response_cost"] == pytest.approx(1000 * 0.15e-6 + 100 * 0.6e-6)
        assert hidden["model_id"] == "mine"
        assert hidden["custom_llm_provider"] == "openai"
        assert answer._response_ms > 0


async def test_prices_of_ones_own_are_used(litellm):
    async with Upstream(completion("x", usage=(10, 1))) as upstream:
        answer = await litellm.acompletion(
            **to(upstream, "openai/mine"), input_cost_per_token=1.0, output_cost_per_token=2.0
        )
        assert answer._hidden_params["response_cost"] == 12.0


async def test_an_unknown_price_is_no_cost_and_no_failure(litellm):
    async with Upstream(completion("x", model="nobody-knows")) as upstream:
        answer = await litellm.acompletion(**to(upstream, "openai/nobody-knows"))
        assert answer._hidden_params["response_cost"] is None


async def test_a_stream_has_its_cost_at_the_end_and_can_be_closed_before(litellm):
    script = [completion_stream("a", "b", usage=(1000, 100)), completion_stream("a", "b")]
    async with Upstream(*script) as upstream:
        stream = await litellm.acompletion(**to(upstream), stream=True)
        async for _ in stream:
            assert stream._hidden_params["response_cost"] is None
        assert stream._hidden_params["response_cost"] > 0
        assert (stream.received_finish_reason, stream.response_uptil_now) == ("stop", "ab")
        stream = await litellm.acompletion(**to(upstream), stream=True)
        async for _ in stream:
            break
        await stream.aclose()
        await litellm.shutdown_background_tasks()
        await upstream.all_closed()


def test_synchronous_calls_work_in_threads_and_inside_a_running_loop(litellm):
    with Upstream(default=completion("x")) as upstream:
        answers = []
        threads = [
            threading.Thread(target=lambda: answers.append(litellm.completion(**to(upstream))))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(answers) == 8

        async def inside():
            return litellm.completion(**to(upstream))

        assert asyncio.run(inside()).choices[0].message.content == "x"


def test_a_synchronous_stream_that_is_dropped_releases_its_connection(litellm):
    with Upstream(completion_stream("a", "b", usage=None)) as upstream:
        stream = litellm.completion(
            **to(upstream), stream=True, stream_options={"include_usage": True}
        )
        next(stream)
        stream.completion_stream.close()
        assert list(stream) == []


async def test_streams_whose_server_counts_nothing_have_no_usage_chunk(litellm):
    async with Upstream(completion_stream("a", usage=None)) as upstream:
        asked = to(upstream, stream=True, stream_options={"include_usage": True})
        chunks = [chunk async for chunk in await litellm.acompletion(**asked)]
        assert all(not hasattr(chunk, "usage") for chunk in chunks)


async def test_thinking_audio_refusals_and_several_choices_are_converted(litellm):
    choice = {"index": 0, "finish_reason": "stop"}
    said = {
        "role": "assistant",
        "content": [{"type": "text", "text": "parts"}],
        "refusal": "no",
        "reasoning_details": [{"type": "x"}],
        "function_call": {"name": "f", "arguments": "{}"},
        "audio": {"id": "a", "data": "", "expires_at": 1, "transcript": ""},
        "mine": 1,
    }
    answer = completion(choices=[choice | {"message": said}], provider="Host", service_tier="flex")
    async with Upstream(answer) as upstream:
        found = await litellm.acompletion(**to(upstream))
        told = found.choices[0].message
        assert told.content == "parts"
        assert told.provider_specific_fields["refusal"] == "no"
        assert told.function_call.name == "f"
        assert told.audio.id == "a"
        assert told.mine == 1
        assert (found.provider, found.service_tier) == ("Host", "flex")


# ------------------------------------------------------------------------------- retries and errors


async def test_calls_are_tried_again_as_the_sdk_would_have(litellm, monkeypatch):
    monkeypatch.setattr("random.random", lambda: 0.0)
    async with Upstream(default=error(500)) as upstream:
        for settings, tries in (({}, 3), ({"max_retries": 0}, 1), ({"num_retries": 1}, 2)):
            before = upstream.count
            with pytest.raises(openai.InternalServerError):
                await litellm.acompletion(**to(upstream), **settings)
            assert upstream.count - before == tries
        litellm.num_retries = 0
        with pytest.raises(litellm.InternalServerError):
            await litellm.acompletion(**to(upstream))
        assert upstream.count == 7


async def test_errors_are_the_sdks_as_well_with_their_headers(litellm):
    async with Upstream(error(429, headers={"retry-after": "3"})) as upstream:
        with pytest.raises(openai.RateLimitError) as failure:
            await litellm.acompletion(**to(upstream), max_retries=0)
    raised = failure.value
    assert isinstance(raised, litellm.RateLimitError)
    assert raised.response.headers["retry-after"] == "3.0"
    assert (raised.llm_provider, raised.model, raised.status_code) == ("openai", "gpt-4o", 429)
    assert str(copy.copy(raised)) == str(pickle.loads(pickle.dumps(raised))) == str(raised)
    assert repr(raised) == str(raised)


async def test_a_server_that_is_not_there_is_a_connection_error(litellm):
    with pytest.raises(litellm.APIConnectionError):
        await litellm.acompletion(
            "openai/x", HI, api_base="http://127.0.0.1:9/v1", api_key="x", max_retries=0
        )


async def test_a_broken_stream_raises_where_it_breaks(litellm):
    with Upstream(default=completion_stream("Hel", finish=None)) as upstream:
        stream = await litellm.acompletion(**to(upstream), stream=True)
        with pytest.raises(litellm.APIConnectionError, match="finish reason"):
            async for _ in stream:
                pass
        with pytest.raises(litellm.APIConnectionError, match="finish reason"):
            list(litellm.completion(**to(upstream), stream=True))


async def test_a_missing_key_is_an_authentication_error(litellm, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    for model in ("gpt-4o", "groq/llama"):
        with pytest.raises(litellm.AuthenticationError):
            await litellm.acompletion(model, HI)


async def test_a_timeout_is_a_timeout_in_whatever_form_it_was_given(litellm):
    class HttpTimeout:
        read = 0.05

    from support.upstream import HANG, Reply

    async with Upstream(default=Reply(chunks=[HANG])) as upstream:
        for timeout in (0.05, "0.05", HttpTimeout()):
            with pytest.raises(litellm.Timeout):
                await litellm.acompletion(**to(upstream), timeout=timeout, max_retries=0)
        litellm.request_timeout = 0.05
        with pytest.raises(litellm.Timeout):
            await litellm.acompletion(**to(upstream), max_retries=0)


@pytest.mark.parametrize("kind", ["acompletion", "completion"])
def test_fallbacks_of_a_call_are_tried_in_turn(litellm, kind):
    def ask(**given):
        if kind == "completion":
            return litellm.completion(**given)
        return asyncio.run(litellm.acompletion(**given))

    replies = [error(401), error(401), completion("third")]
    with Upstream(*replies, default=error(401)) as upstream:
        given = to(upstream, fallbacks=["openai/b", {"model": "openai/c"}])
        assert ask(**given).choices[0].message.content == "third"
        assert [request.json["model"] for request in upstream.requests] == ["gpt-4o", "b", "c"]
        with pytest.raises(litellm.AuthenticationError):
            ask(**given)
    with Upstream(error(400, code="context_length_exceeded"), completion("x")) as upstream:
        ask(**to(upstream, context_window_fallback_dict={"openai/gpt-4o": "openai/long"}))
        assert upstream.requests[1].json["model"] == "long"


def test_several_conversations_are_asked_at_once(litellm):
    with Upstream(default=completion("x")) as upstream:
        given = to(upstream, max_retries=0)
        answers = litellm.batch_completion(
            given.pop("model"), [given.pop("messages")] * 3, max_workers=2, **given
        )
        assert [each.choices[0].message.content for each in answers] == ["x"] * 3
    assert isinstance(litellm.batch_completion("foo", [HI])[0], litellm.BadRequestError)


async def test_retries_have_functions_of_their_own(litellm, monkeypatch):
    monkeypatch.setattr("random.random", lambda: 0.0)
    with Upstream(*[error(500)] * 3, completion("x"), completion("y")) as upstream:
        answer = litellm.completion_with_retries(**to(upstream))
        assert answer.choices[0].message.content == "x"
        await litellm.acompletion_with_retries(**to(upstream))


# -------------------------------------------------------------------------------------- who is told


class Listener:
    """A `CustomLogger` that keeps what it is told."""

    def __new__(cls, base):
        told = []

        def keep(name, awaited):
            def method(self, **event):
                told.append((name, event))

            async def later(self, **event):
                told.append((name, event))

            return later if awaited else method

        names = [name for name in dir(base) if name.startswith(("log_", "async_log_"))]
        names = [name for name in names if "fallback" not in name]
        body = {name: keep(name, name.startswith("async")) for name in names}
        listener = type("Kept", (base,), body)()
        listener.told = told
        return listener


def names(listener):
    return [name for name, _ in listener.told]


async def test_an_asynchronous_call_tells_the_asynchronous_methods(litellm):
    script = [completion("x"), completion_stream("a", "b"), error(401)]
    async with Upstream(*script) as upstream:
        listener = Listener(litellm.CustomLogger)
        litellm.callbacks = [listener]
        await litellm.acompletion(**to(upstream), metadata={"who": "ann"})
        assert names(listener) == [
            "log_pre_api_call",
            "log_post_api_call",
            "async_log_success_event",
        ]
        told = listener.told[-1][1]
        details = told["kwargs"]
        assert details["litellm_params"]["metadata"] == {"who": "ann"}
        assert details["model"] == "gpt-4o"
        assert details["response_cost"] > 0
        assert details["standard_logging_object"]["total_tokens"] == 7
        assert told["response_obj"].choices[0].message.content == "x"
        assert told["end_time"] >= told["start_time"]
        assert "sk-test" not in repr(details)

        listener.told.clear()
        async for _ in await litellm.acompletion(**to(upstream), stream=True):
            pass
        assert names(listener).count("async_log_stream_event") == 4
        assert names(listener)[-1] == "async_log_success_event"
        whole = listener.told[-1][1]["kwargs"]["complete_streaming_response"]
        assert whole.choices[0].message.content == "ab"

        listener.told.clear()
        with pytest.raises(litellm.AuthenticationError):
            await litellm.acompletion(**to(upstream))
        assert names(listener)[-1] == "async_log_failure_event"
        assert isinstance(listener.told[-1][1]["kwargs"]["exception"], litellm.AuthenticationError)


def test_each_list_is_for_its_own_events(litellm):
    said, failed = Listener(litellm.CustomLogger), Listener(litellm.CustomLogger)
    litellm.success_callback, litellm.failure_callback = [said], [failed]
    streamed = litellm.completion("gpt-4o", HI, mock_response="Hello", stream=True)
    assert "".join(each.choices[0].delta.content or "" for each in streamed) == "Hello"
    assert set(names(said)) == {"log_stream_event", "log_success_event"}
    usage = said.told[-1][1]["response_obj"].usage
    assert usage.completion_tokens == litellm.token_counter("gpt-4o", text="Hello")
    assert not failed.told
    with pytest.raises(litellm.RateLimitError):
        litellm.completion("gpt-4o", HI, mock_response="litellm.RateLimitError")
    assert names(failed) == ["log_failure_event"]
    summary = failed.told[0][1]["kwargs"]["standard_logging_object"]
    assert summary["error_information"]["error_class"] == "RateLimitError"


def test_a_synchronous_call_tells_the_others(litellm):
    script = [completion("x"), completion_stream("a", "b"), error(401)]
    with Upstream(*script) as upstream:
        listener = Listener(litellm.CustomLogger)
        litellm.success_callback = [listener]
        litellm.failure_callback = [listener]
        litellm.input_callback = [listener]
        litellm.completion(**to(upstream))
        assert names(listener) == ["log_pre_api_call", "log_post_api_call", "log_success_event"]
        listener.told.clear()
        list(litellm.completion(**to(upstream), stream=True))
        assert names(listener)[-1] == "log_success_event"
        assert "log_stream_event" in names(listener)
        with pytest.raises(litellm.AuthenticationError):
            litellm.completion(**to(upstream))
        assert names(listener)[-1] == "log_failure_event"


@pytest.mark.parametrize("stream", [False, True])
async def test_functions_are_told_with_four_arguments(litellm, stream):
    told = []

    async def later(kwargs, response, start, end):
        told.append(("later", response))

    def at_once(kwargs, response, start, end):
        told.append(("at once", response))

    def broken(kwargs, response, start, end):
        raise RuntimeError("broken")

    litellm.input_callback = [lambda details: told.append(("input", details["model"]))]
    litellm.success_callback = [broken, at_once, later]
    litellm.failure_callback = [at_once]
    asked = {"model": "gpt-4o", "messages": HI, "stream": stream}
    answer = await litellm.acompletion(**asked, mock_response="x")
    if stream:
        assert [chunk async for chunk in answer]
    assert [each[0] for each in told] == ["input", "at once", "later"]
    told.clear()
    answer = litellm.completion(**asked, mock_response="x")
    if stream:
        assert list(answer)
    assert [each[0] for each in told] == ["input", "at once", "later"]
    told.clear()
    with pytest.raises(litellm.RateLimitError):
        await litellm.acompletion(**asked, mock_response="litellm.RateLimitError")
    assert told[-1] == ("at once", None)


async def test_a_callback_by_name_is_refused(litellm):
    litellm.success_callback = ["langfuse"]
    with pytest.raises(NotImplementedError, match="langfuse"):
        await litellm.acompletion("gpt-4o", HI, mock_response="x")


async def test_a_synchronous_calls_callback_may_wait(litellm):
    told = []

    async def slow(kwargs, response, start, end):
        await asyncio.sleep(0)
        told.append(response)

    litellm.success_callback = [slow]
    litellm.completion("gpt-4o", HI, mock_response="x")
    assert len(told) == 1


# ---------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"caching": True}, "caching"),
        ({"model_list": [{}]}, "Router"),
        ({"prompt_id": "x"}, "prompt_id"),
        ({"guardrails": ["x"]}, "guardrails"),
        ({"azure_ad_token": "x"}, "AsyncAzureOpenAI"),
        ({"model": "bedrock/x"}, "AsyncAnthropicBedrock"),
        ({"model": "gemini/x", "api_key": "x"}, "generativelanguage"),
    ],
)
def test_what_is_not_supported_is_refused_with_the_way_to_do_it(litellm, given, says):
    with pytest.raises(NotImplementedError, match=says):
        litellm.completion(**{"model": "gpt-4o", "messages": HI, "api_key": "x", **given})


@pytest.mark.parametrize("kind", ["call", "router"])
def test_keys_are_in_no_error_and_no_variable_of_its_frames(litellm, kind):
    key = "sk-canary-0123456789"
    with Upstream(default=error(401, message=f"wrong key {key}")) as upstream:
        where = {"model": "openai/x", "api_base": f"{upstream.url}/v1"}
        router = litellm.Router(
            model_list=[{"model_name": "x", "litellm_params": {**where, "api_key": key}}]
        )
        try:
            if kind == "call":
                litellm.completion(messages=HI, api_key=key, **where)
            else:
                router.completion("x", HI)
        except litellm.AuthenticationError as raised:
            shown = traceback.TracebackException.from_exception(raised, capture_locals=True)
    # The first frame is this test's own, which has to know the key.
    ours = [line for frame in list(shown.stack)[1:] for line in (frame.locals or {}).values()]
    assert len(ours) > 10
    assert key not in "".join(ours)
    assert key not in str(shown)
    assert key not in repr(router.model_list)


def test_a_key_is_tried_out(litellm, monkeypatch):
    with Upstream(completion("x"), error(401)) as upstream:
        litellm.api_base = f"{upstream.url}/v1"
        assert litellm.check_valid_key("gpt-4o", "sk-good") is True
        assert litellm.check_valid_key("gpt-4o", "sk-bad") is False


@pytest.mark.parametrize("name", ["enable_cache", "get_optional_params"])
def test_other_functions_that_are_not_supported_say_so(litellm, name):
    with pytest.raises(NotImplementedError, match=name):
        getattr(litellm, name)()


def test_a_cache_of_litellms_is_refused(litellm):
    litellm.cache = litellm.Cache()
    with pytest.raises(NotImplementedError, match="cache"):
        litellm.completion("gpt-4o", HI, mock_response="x")
    litellm.disable_cache()
    assert litellm.completion("gpt-4o", HI, mock_response="x")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ssl_verify", False),
        ("client_session", object()),
        ("aclient_session", object()),
        ("turn_off_message_logging", True),
        ("add_function_to_prompt", True),
        ("max_budget", 1.0),
        ("custom_provider_map", [{"provider": "own", "custom_handler": None}]),
        ("pre_call_rules", [len]),
        ("model_fallbacks", ["gpt-4o-mini"]),
    ],
)
def test_settings_that_cannot_be_obeyed_are_refused(litellm, monkeypatch, name, value):
    monkeypatch.setattr(litellm, name, value)
    with pytest.raises(NotImplementedError, match=name):
        litellm.completion("gpt-4o", HI, mock_response="x")
    if name == "custom_provider_map":
        with pytest.raises(NotImplementedError, match=name):
            litellm.completion("own/model", HI)


@pytest.mark.parametrize("name", ["reasoning_effort", "verbosity", "thinking"])
def test_parameters_that_a_known_model_lacks_are_refused(litellm, name):
    with pytest.raises(litellm.UnsupportedParamsError, match=name):
        litellm.completion("gpt-4o", HI, mock_response="x", **{name: "low"})


@pytest.mark.parametrize(
    "name",
    words(
        "text_completion embedding image_generation transcription speech moderation rerank "
        "responses batch_completion_models"
    ),
)
def test_calls_that_are_no_chat_are_refused(litellm, name):
    with pytest.raises(NotImplementedError, match=r"not supported by scallion"):
        getattr(litellm, name)("x")


@pytest.mark.parametrize(
    "name",
    words(
        "atext_completion aembedding aimage_generation atranscription aspeech amoderation arerank "
        "ahealth_check aresponses"
    ),
)
async def test_asynchronous_calls_that_are_no_chat_are_refused(litellm, name):
    with pytest.raises(NotImplementedError, match=r"not supported by scallion"):
        await getattr(litellm, name)("x")


async def test_a_provider_without_its_address_is_a_bad_request(litellm, monkeypatch):
    monkeypatch.delenv("HOSTED_VLLM_API_BASE", raising=False)
    with pytest.raises(litellm.BadRequestError, match="HOSTED_VLLM_API_BASE"):
        await litellm.acompletion("hosted_vllm/x", HI)
