"""Parameters of the wrong kind: refused by name before anything is sent, complete and streamed."""

import math

import anthropic as anthropic_sdk
import httpx2
import openai as openai_sdk
import pytest

from scallion.exceptions import InvalidRequestError
from scallion.providers import anthropic, openai, openrouter
from support.upstream import Upstream, completion, message

SOMEWHERE = "http://127.0.0.1:1"  # nobody listens: a request that is sent is a ConnectionError
PROVIDERS = [openai, anthropic, openrouter]
each_provider = pytest.mark.parametrize("make", PROVIDERS, ids=lambda make: make.__name__)

WRONG = [
    ({"extra_headers": {"X": None}}, r"extra_headers\['X'\] must be a text, not None"),
    ({"extra_headers": {"X": 5}}, r"extra_headers\['X'\] must be a text, not int"),
    ({"extra_headers": {"X": "a\nb"}}, r"extra_headers\['X'\] must be ASCII text without line"),
    ({"extra_headers": {5: "x"}}, "extra_headers has the key 5, which is no name"),
    ({"extra_headers": {"a b": "x"}}, "extra_headers has the key 'a b', which is no name"),
    ({"extra_headers": 5}, "extra_headers must be a mapping of header names to texts, not int"),
    ({"timeout": "x"}, "timeout must be a number of seconds above 0, not 'x'"),
    ({"timeout": -1}, "timeout must be a number of seconds above 0, not -1"),
    ({"timeout": math.inf}, "timeout must be a number of seconds above 0, not inf"),
    ({"extra_body": 5}, r"extra_body must be an object \(a dict\), not int"),
    ({"extra_query": "a=b"}, r"extra_query must be an object \(a dict\), not str"),
    ({"tools": 5}, r"tools must be a list of objects \(dicts\), not 5"),
    ({"tools": iter([])}, "tools must be a list of objects"),
    ({"tools": [None]}, r"tools\[0\] must be an object \(a dict\), not None"),
    ({"functions": [{}, 5]}, r"functions\[1\] must be an object \(a dict\), not 5"),
    ({"tool_choice": 5}, "tool_choice must be a text or an object"),
    ({"stop": 5}, "stop must be a text or a list of texts, not 5"),
    ({"stop": ["a", 5]}, r"stop must be a text or a list of texts, not \['a', 5\]"),
    ({"temperature": math.nan}, "temperature must be a finite number, not nan"),
    ({"temperature": "hot"}, "temperature must be a finite number, not 'hot'"),
    ({"top_p": True}, "top_p must be a finite number, not True"),
    ({"my_number": math.nan}, "my_number must be a finite number, not nan"),
    ({"max_tokens": "many"}, "max_tokens must be a whole number, not 'many'"),
    ({"max_completion_tokens": 1.5}, "max_completion_tokens must be a whole number, not 1.5"),
    ({"max_tokens": True}, "max_tokens must be a whole number, not True"),
    ({"response_format": 5}, r"response_format must be an object like .*json_schema.*, not 5"),
    ({"response_format": dict}, "response_format must be an object like .*<class 'dict'>"),
    ({"logit_bias": [1]}, "logit_bias must be an object"),
    ({"user": b"me"}, "user must be a text, not b'me'"),
    ({"my_own": b"x"}, "my_own must be a JSON value, not b'x'"),
    ({"my_own": b"x" * 90}, "my_own must be a JSON value, not bytes"),
    ({"my_own": object()}, "my_own cannot be written as JSON"),
    ({"extra_body": {"mine": object()}}, "mine cannot be written as JSON"),
]


@each_provider
@pytest.mark.parametrize(("wrong", "said"), WRONG)
async def test_what_is_wrong_is_refused_by_name(make, wrong, said):
    async with make(api_key="sk-canary", base_url=SOMEWHERE) as provider:
        with pytest.raises(InvalidRequestError, match=said) as whole:
            await provider.complete("Hi", "m", **wrong)
        with pytest.raises(InvalidRequestError, match=said):
            await provider.stream("Hi", "m", **wrong).collect()
    assert whole.value.provider == provider.name


@each_provider
async def test_a_header_s_value_is_not_shown(make):
    for headers in ("Authorization: sk-canary", {"Authorization": b"sk-canary"}):
        async with make(api_key="k", base_url=SOMEWHERE) as provider:
            with pytest.raises(InvalidRequestError) as raised:
                await provider.complete("Hi", "m", extra_headers=headers)
        assert "canary" not in str(raised.value)


@each_provider
async def test_the_message_that_cannot_be_written_is_named(make):
    image = {"type": "image", "source": {"type": "base64", "data": object()}}
    part = image if make is anthropic else {"type": "thing", "thing": object()}
    async with make(api_key="k", base_url=SOMEWHERE) as provider:
        with pytest.raises(InvalidRequestError, match=r"messages\[0\] cannot be written as JSON"):
            await provider.complete([{"role": "user", "content": [part]}], "m")


@each_provider
async def test_what_is_only_unknown_passes(make):
    reply = message("Hi") if make is anthropic else completion("Hi")
    sdk = anthropic_sdk if make is anthropic else openai_sdk
    known = {
        "extra_headers": {"x-own": "a b", "user-agent": sdk.Omit()},
        "timeout": httpx2.Timeout(5, connect=1),
        "extra_query": {"v": 1},
        "stop": ("a", "b"),
        "temperature": 1,
        "max_tokens": 10,
    }
    async with Upstream(reply) as server, make(api_key="k", base_url=server.url) as provider:
        answer = await provider.complete("Hi", "m", my_own={"a": [1]}, **known)

    assert answer.text == "Hi"
    assert server.requests[0].json["my_own"] == {"a": [1]}
    assert server.requests[0].headers["x-own"] == "a b"


ONLY_ANTHROPIC = [
    ({"tool_choice": {"type": "allowed_tools", "allowed_tools": 5}}, "allowed_tools must hold"),
    ({"tool_choice": {"type": "allowed_tools", "tools": [5]}}, "allowed_tools must hold a list"),
    ({"reasoning_effort": ["low"]}, r"reasoning_effort: \['low'\] is not one of"),
    ({"reasoning_effort": "low", "output_config": 5, "model": "claude-opus-4-6"}, "output_config"),
    ({"stop_sequences": 5, "stop": "x"}, "stop_sequences must be a list of texts, not 5"),
    ({"system": 5}, "system: content must be text"),
    ({"max_tokens": -1}, "max_tokens must be a whole number from 0 on, not -1"),
    ({"temperature": 3}, "temperature must be a number from 0 to 2, not 3"),
]


@pytest.mark.parametrize(("wrong", "said"), ONLY_ANTHROPIC)
async def test_anthropic_s_adapter_refuses_what_it_cannot_translate(wrong, said):
    wrong = {"model": "m"} | wrong
    async with anthropic(api_key="k", base_url=SOMEWHERE) as provider:
        with pytest.raises(InvalidRequestError, match=said):
            await provider.complete("Hi", **wrong)


@pytest.mark.parametrize("call", [{"function": 5}, {"custom": 5, "function": [1]}])
async def test_a_tool_call_of_the_history_without_its_function_is_named(call):
    history = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "tool_calls": [{"id": "a", **call}]},
    ]
    async with anthropic(api_key="k", base_url=SOMEWHERE) as provider:
        with pytest.raises(InvalidRequestError, match=r"messages\[1\]: the function of a tool"):
            await provider.complete(history, "m")


@each_provider
@pytest.mark.parametrize("address", ["http://[", "localhost:8000/v1", "api.openai.com/v1", ""])
def test_an_address_that_is_no_url_is_refused_where_it_is_given(make, address):
    with pytest.raises(ValueError, match="base_url is no URL"):
        make(api_key="k", base_url=address)


@each_provider
async def test_an_address_without_its_scheme_in_the_environment_is_refused_by_its_name(
    make, monkeypatch
):
    provider = make(api_key="k")
    monkeypatch.setenv(provider.address_variable, "localhost:8000/v1")

    with pytest.raises(
        InvalidRequestError,
        match=f"{provider.address_variable} is no URL of a server: write it like",
    ):
        await provider.complete("Hi", "m")


@each_provider
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"timeout": "x"}, "timeout must be a number of seconds"),
        ({"base_url": 5}, "base_url must be a text, not 5"),
        ({"max_event_bytes": 0}, "max_event_bytes must be a whole number above 0, not 0"),
        ({"max_body_bytes": "2 MB"}, "max_body_bytes must be a whole number above 0, not '2 MB'"),
        ({"default_headers": {"X": 5}}, r"default_headers\['X'\] must be a text, not int"),
    ],
)
def test_a_setting_of_the_wrong_kind_is_refused_where_it_is_made(make, wrong, said):
    with pytest.raises(TypeError, match=said):
        make(api_key="k", **wrong)
