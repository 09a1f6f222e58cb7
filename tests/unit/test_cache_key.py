"""request_key(): what is the same request, and what is another."""

import asyncio
import copy
import json
import os
import pickle
from collections.abc import Mapping
from enum import StrEnum
from functools import partial
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import AsyncOpenAI
from pydantic import BaseModel

from scallion import Context, Request, build_pipeline
from scallion._layer import Layer
from scallion.exceptions import RateLimitError, ServerError
from scallion.middlewares import Target, fallback
from scallion.middlewares._cache_key import (
    Answerer,
    answerers,
    canonical,
    chooses_model,
    identity_of,
    request_key,
)
from scallion.middlewares._cache_memory import Digests
from scallion.providers import anthropic, auto, openai
from scallion.types import FunctionCall, Message, ToolCall

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "minLength": 1}},
        },
    },
}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}


def request(messages="hi", model="m", tenant=None, provider=None, **params):
    provider = provider or openai(api_key="key-1", base_url="http://one/v1")
    return Request(model, messages, params, context=Context(tenant=tenant), provider=provider)


FULL = {
    "messages": [{"role": "user", "content": [{"type": "text", "text": "Look"}, IMAGE]}],
    "tools": [TOOL],
    "temperature": 0,
    "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}},
    "extra_body": {"top_k": 5},
    "extra_headers": {"X-Team": "red"},
}

CHANGES = {
    "model": {"model": "m2"},
    "tenant": {"tenant": "t"},
    "key": {"provider": openai(api_key="key-2", base_url="http://one/v1")},
    "address": {"provider": openai(api_key="key-1", base_url="http://two/v1")},
    "parameter": {"temperature": 1},
    "number's kind": {"temperature": False},
    "new parameter": {"top_p": 1},
    "extra_body": {"extra_body": {"top_k": 6}},
    "extra_body's depth": {"extra_body": {"top_k": {"top_k": 5}}},
    "header's value": {"extra_headers": {"X-Team": "blue"}},
    "header's name": {"extra_headers": {"X-Teams": "red"}},
    "no tools": {"tools": None},
    "a tool more": {"tools": [TOOL, TOOL]},
    "a tool for a list of tools": {"tools": TOOL},
    "a schema's number": {
        "tools": [json.loads(json.dumps(TOOL).replace('"minLength": 1', '"minLength": 2'))]
    },
    "a schema's true for 1": {
        "tools": [json.loads(json.dumps(TOOL).replace('"minLength": 1', '"minLength": true'))]
    },
    "schema": {"response_format": {"type": "json_schema", "json_schema": {"name": "b"}}},
    "image": {"messages": json.loads(json.dumps(FULL["messages"]).replace("AAAA", "AAAB"))},
    "image's detail": {"messages": json.loads(json.dumps(FULL["messages"]).replace("low", "high"))},
    "role": {"messages": [{**FULL["messages"][0], "role": "system"}]},
    "name": {"messages": [{**FULL["messages"][0], "name": "Ann"}]},
    "a message more": {"messages": [*FULL["messages"], {"role": "user", "content": "?"}]},
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_gives_another_key(change):
    assert request_key(request(**FULL)) != request_key(request(**{**FULL, **CHANGES[change]}))


def test_all_changes_give_different_keys():
    keys = {request_key(request(**{**FULL, **changes})) for changes in CHANGES.values()}
    assert len(keys) == len(CHANGES)


def test_a_namespace_gives_another_key():
    assert request_key(request()) != request_key(request(), namespace="n")


@pytest.mark.parametrize(
    "same",
    [
        {"stream_options": {"include_usage": True}},
        {"stream_options": {"include_obfuscation": False}},
        {"stream_options": None},
        {"timeout": 5},
        {"cache": {"no_store": True}},
        {"extra_headers": {"x-team": "red"}},
        {"top_p": None},
    ],
    ids=str,
)
def test_what_does_not_change_the_answer_gives_the_same_key(same):
    assert request_key(request(**FULL)) == request_key(request(**{**FULL, **same}))


def test_a_call_that_wants_no_usage_does_not_take_it_from_others():
    one, other = request(**FULL), request(**FULL, stream_options={"include_usage": False})
    assert request_key(one) != request_key(other)
    assert canonical(other)["stream_options"] == {"include_usage": False}
    assert "stream_options" not in canonical(one)


def test_a_streamed_call_has_the_same_key():
    assert request_key(request()) == request_key(request().replace(stream=True))


def test_a_dict_and_a_message_have_the_same_key():
    call = ToolCall(id="c", type="function", function=FunctionCall(name="f", arguments="{}"))
    message = Message(content=None, tool_calls=[call])
    dumped = {
        "tool_calls": [
            {"function": {"arguments": "{}", "name": "f"}, "type": "function", "id": "c"}
        ],
        "role": "assistant",
    }
    alike = [message, dumped, message.model_dump(), {**dumped, "tool_calls": [call]}]
    assert len({request_key(request([m, {"role": "user", "content": "x"}])) for m in alike}) == 1


def test_a_null_inside_a_schema_is_not_dropped():
    assert request_key(request(tools=[{"default": None}])) != request_key(request(tools=[{}]))


def test_what_is_ignored_does_not_matter():
    one, other = request(user="a", tenant="x"), request("hi", "m2", user="b")
    ignore = ("user", "tenant", "model")
    assert request_key(one, ignore=ignore) == request_key(other, ignore=ignore)
    assert request_key(one, ignore=ignore[1:]) != request_key(other, ignore=ignore[1:])


def test_the_account_of_an_adapter_chosen_by_the_models_name_counts(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "one")
    key = request_key(request(model="gpt-4o", provider=auto()))
    monkeypatch.setenv("OPENAI_API_KEY", "two")
    assert request_key(request(model="gpt-4o", provider=auto())) != key


@pytest.mark.parametrize(
    ("make", "variable"),
    [
        (openai, "OPENAI_CUSTOM_HEADERS"),
        (anthropic, "ANTHROPIC_CUSTOM_HEADERS"),
        (anthropic, "ANTHROPIC_PROFILE"),
        (anthropic, "ANTHROPIC_WORKSPACE_ID"),
    ],
)
def test_headers_and_accounts_that_the_environment_gives_count(monkeypatch, make, variable):
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    keys = {request_key(request(provider=make()))}
    for value in ("X-Team: red", "X-Team: blue"):
        monkeypatch.setenv(variable, value)
        keys.add(request_key(request(provider=make())))
    assert len(keys) == 3
    assert request_key(request(provider=make())) in keys


def test_with_a_key_the_profiles_of_the_environment_do_not_matter(monkeypatch):
    key = request_key(request(provider=anthropic(api_key="k")))
    monkeypatch.setenv("ANTHROPIC_PROFILE", "other")
    assert request_key(request(provider=anthropic(api_key="k"))) == key


async def key_of_the_module():
    return "k"


def keys_by(key, *, client=False):
    """The same request by two adapters that take their key from one function."""
    for _ in range(2):
        given = {"client": AsyncOpenAI(api_key=key)} if client else {"api_key": key}
        adapter = openai(**given)
        yield request_key(request(provider=adapter))
        assert request_key(request(provider=adapter)) == request_key(request(provider=adapter))


@pytest.mark.parametrize("client", [False, True])
def test_whose_key_a_function_gives_is_known_by_its_name_if_that_leads_to_it(client):
    class Vault:
        async def key(self): ...

        async def __call__(self): ...

    def made():
        async def key(): ...

        return key

    (shared,) = set(keys_by(key_of_the_module, client=client))
    others = (made(), made(), Vault().key, Vault(), partial(key_of_the_module))
    own = [found for key in others for found in keys_by(key, client=client)]
    assert len({shared, *own}) == 1 + 2 * len(others)


def test_a_copy_of_an_adapter_is_one_of_its_own_if_its_account_is_not_known():
    adapter = openai(base_url="http://one/v1", api_key=key_of_the_module)
    copied = pickle.loads(pickle.dumps(adapter))
    assert request_key(request(provider=copied)) == request_key(request(provider=adapter))

    adapter = openai(base_url="http://one/v1", api_key=partial(key_of_the_module))
    copied = pickle.loads(pickle.dumps(adapter))
    assert request_key(request(provider=copied)) != request_key(request(provider=adapter))


def test_a_pipeline_as_the_provider_is_known_by_its_own_provider():
    def nested(key, model=None):
        inner = build_pipeline(provider=openai(api_key=key), model=model)
        return request_key(request(provider=inner))

    assert nested("a") == nested("a") != nested("b")
    assert nested("a") != nested("a", "m3")


def test_handlers_without_an_identity_are_known_by_their_name():
    async def one(request): ...

    async def two(request): ...

    assert request_key(request(provider=one)) == request_key(request(provider=one))
    assert request_key(request(provider=one)) != request_key(request(provider=two))


ODD_NUMBERS = [float("nan"), float("inf"), -float("inf")]


@pytest.mark.parametrize(
    "value",
    [*ODD_NUMBERS, *[{"a": [{"b": n}]} for n in ODD_NUMBERS], [1, float("nan")], object(),
     {"a": object()}, iter([1]), (n for n in "ab"), {}.keys(), "\ud800", {"\ud800": 1}],
)  # fmt: skip
def test_what_is_no_json_has_no_key(value):
    with pytest.raises((TypeError, ValueError)):
        request_key(request(odd=value))


@pytest.mark.parametrize("number", ODD_NUMBERS)
def test_a_number_that_json_does_not_have_is_no_null(number):
    for messages, tools in (
        ([{"role": "user", "content": [{"type": "x", "y": number}]}], None),
        ("hi", [{"function": {"name": "f", "parameters": {"minimum": number}}}]),
    ):
        with pytest.raises(ValueError, match="no JSON value"):
            request_key(request(messages, tools=tools))


def test_a_generator_is_left_for_the_provider_to_read():
    words = (word for word in "ab")
    with pytest.raises(TypeError):
        request_key(request(stop=words))
    assert list(words) == ["a", "b"]
    assert request_key(request(iter([{"role": "user", "content": "hi"}]))) == request_key(request())


class Colour(StrEnum):
    RED = "red"


class Number(float):
    pass


class Ratio(BaseModel):
    top: int
    bottom: int | None = None


@pytest.mark.parametrize(
    ("one", "same"),
    [
        (0, 0.0), (0, -0.0), (1, 1.0), (0.5, Number(0.5)), (["a"], ("a",)), (["a", "b"], {"b", "a"}),
        ("red", Colour.RED), ({"top": 1}, Ratio(top=1)), ({"a": [1]}, MappingProxyType({"a": (1,)})),
        (Ratio, Ratio.model_json_schema()), ({"5": 1}, {5: 1}),
    ],
)  # fmt: skip
def test_what_is_sent_alike_has_the_same_key(one, same):
    assert request_key(request(value=one)) == request_key(request(value=same))
    assert canonical(request(value=one)) == canonical(request(value=same))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (0, False), (1, True), (1, "1"), (0.1, 0.10000000000000002), ("", None), ([], None), ({}, []),
        ([1], [1.0]), ("\u00e9", "e\u0301"), ("a", ["a"]), ([["a"], "b"], ["a", ["b"]]), ({"a": None}, {}),
        (Ratio(top=1), Ratio(top=2)), (2**63, 2**63 + 1), (2**53, 2**53 + 1),
    ],
)  # fmt: skip
def test_what_is_not_has_another_one(one, other):
    assert request_key(request(value=one)) != request_key(request(value=other))


# ------------------------------------------------------------------------------- for all requests

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from([0.0, -0.0, 1.0, 1.5]),
    st.text(max_size=3),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=6,
)
MESSAGES = st.lists(
    st.builds(
        lambda role, content, extra: {**extra, "role": role, "content": content},
        st.sampled_from(["user", "assistant"]),
        JSON,
        st.dictionaries(st.sampled_from(["name", "tool_calls", "x"]), JSON, max_size=2),
    ),
    min_size=1,
    max_size=4,
)
PARAMS = st.dictionaries(st.sampled_from(["a", "tools", "stop"]), JSON, max_size=3)


def shuffled(value):
    """The same JSON with the keys of all objects the other way round."""
    if isinstance(value, dict):
        return {name: shuffled(value[name]) for name in reversed(value)}
    return [shuffled(inner) for inner in value] if isinstance(value, list) else value


def without_nulls(value):
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


def meaning(messages, params):
    """Two requests are equal if these texts are."""
    given = {name: value for name, value in params.items() if value is not None}
    for name, value in given.items():
        if isinstance(value, float):  # 1.0 is 1, for a whole parameter
            given[name] = int(value) if value.is_integer() else value
    return json.dumps([without_nulls(messages), given], sort_keys=True)


@given(MESSAGES, PARAMS, MESSAGES, PARAMS)
def test_keys_are_equal_exactly_if_the_requests_are(messages, params, others, other_params):
    key = request_key(request(messages, **params))
    assert request_key(request(shuffled(messages), **shuffled(params))) == key
    equal = meaning(messages, params) == meaning(others, other_params)
    assert (request_key(request(others, **other_params)) == key) is equal


def places(value):
    """Every dict and list inside of a value, the value included."""
    found = [value] if isinstance(value, (dict, list)) else []
    for inner in (value.values() if isinstance(value, dict) else value) if found else ():
        found += places(inner)
    return found


@given(MESSAGES, MESSAGES, JSON, st.data())
def test_what_was_changed_in_place_never_has_the_old_key(messages, before, new, data):
    long = {"role": "user", "content": "word " * 400}
    memory = Digests()
    history = [long, *messages, *before]
    tools = [copy.deepcopy(m) for m in before] + [{"long": "word " * 400}]
    asked = request(history, tools=tools)
    request_key(asked, memory=memory)

    place = data.draw(st.sampled_from(places([*messages, *tools])[1:] or [long]))
    if isinstance(place, dict):
        place[data.draw(st.sampled_from([*place, "new"]))] = new
    elif place:
        place[data.draw(st.integers(0, len(place) - 1))] = new
    else:
        place.append(new)
    if any(not isinstance(m.get("role"), str) for m in history):
        return

    assert request_key(asked, memory=memory) == request_key(copied(asked))


@pytest.mark.parametrize("number", [True, 1.0, 2, "1", None])
def test_a_number_that_was_changed_in_place_is_seen_though_it_may_be_equal(number):
    memory = Digests()
    inner = {"minLength": 1}
    asked = request(tools=[{"text": "word " * 400, "deep": [inner]}])
    before = request_key(asked, memory=memory)
    inner["minLength"] = number
    assert request_key(asked, memory=memory) == request_key(asked) != before


@given(MESSAGES, MESSAGES)
def test_a_history_that_has_grown_has_the_key_of_one_that_is_new(messages, more):
    memory = Digests()
    long = {"role": "user", "content": "word " * 400}
    history = [long, *messages]
    request_key(request(history), memory=memory)
    history += more
    assert request_key(request(history), memory=memory) == request_key(request(history))
    assert request_key(request(history), memory=memory) == request_key(request(history))


def copied(asked):
    return request([copy.deepcopy(m) for m in asked.messages], **copy.deepcopy(asked.params))


def test_a_known_history_is_not_encoded_again():
    memory = Digests()
    encoded = []

    def encode(item):
        encoded.append(item)
        return json.dumps(item).encode()

    history = [{"role": "user", "content": f"{n} " * 100} for n in range(20)]
    memory.state("", history, encode)
    memory.state("", json.loads(json.dumps(history)), encode)
    assert encoded == history
    memory.state("", [*history, {"content": "new"}, {"content": "newer"}], encode)
    assert encoded[20:] == [{"content": "new"}, {"content": "newer"}]


def test_the_memory_is_bounded_in_entries_and_bytes():
    def fill(memory, count, size):
        for number in range(count):
            memory.state(
                "", [{"content": f"{number} {'x' * size}"}], lambda m: m["content"].encode()
            )
        return len(memory._known)

    assert fill(Digests(entries=10), 100, 2000) <= 10
    assert fill(Digests(max_bytes=10_000), 100, 2000) <= 5
    assert fill(Digests(max_bytes=10_000), 1, 20_000) == 0


def test_a_partial_function_is_known_by_its_arguments():
    async def ask(region, request, *, tier="a"): ...

    keys = [
        request_key(request(provider=handler))
        for handler in (partial(ask, "eu"), partial(ask, "us"), partial(ask, "us", tier="b"), ask)
    ]
    assert len(set(keys)) == len(keys)
    assert request_key(request(provider=partial(ask, "eu"))) == keys[0]


def test_functions_that_one_function_made_are_known_by_the_texts_and_handlers_they_hold():
    def made(region, client=None, *, tier="a"):
        calls, log = 0, []

        async def ask(request, tier=tier):
            nonlocal calls
            calls += 1
            log.append((region, tier, client, ask))

        return ask

    class Own:
        def identity(self, model):
            return self.account

        async def ask(self, request): ...

    def key(handler):
        return request_key(request(provider=handler))

    one, other = Own(), Own()
    one.account, other.account = "1", "2"
    handlers = [
        made("eu"), made("us"), made("us", tier="b"), made("us", openai(api_key="a")),
        made("us", openai(api_key="b")), made("us", partial(made("eu"), 1)), one.ask, other.ask,
        partial(made, openai(api_key="a")), partial(made, openai(api_key="b")),
    ]  # fmt: skip
    keys = [key(handler) for handler in handlers]
    assert len(set(keys)) == len(keys)
    assert key(made("eu")) == keys[0]
    assert key(made("us", openai(api_key="a"))) == keys[3]
    asyncio.run(handlers[0](None))  # its counts and logs are not looked at
    assert key(handlers[0]) == keys[0]


# ---------------------------------------------------------------------------- what people may read


def test_the_canonical_request_shows_no_secret():
    shown = canonical(
        request(
            extra_headers={"Authorization": "Bearer canary"},
            extra_body={"api_key": "canary", "nested": [{"access_token": "canary"}], "top_k": 5},
        )
    )
    assert "canary" not in json.dumps(shown)
    assert shown["messages"] == [{"role": "user", "content": "hi"}]
    assert shown["extra_body"]["top_k"] == 5
    assert "key-1" not in json.dumps(shown)


def test_nor_does_it_where_tools_and_queries_have_one():
    server = {"type": "mcp", "authorization": "canary", "headers": {"X-Api-Key": "canary"}}
    shown = canonical(request(tools=[server], extra_query={"key": "canary", "page": "2"}))
    assert "canary" not in json.dumps(shown)
    assert (shown["tools"][0]["type"], shown["extra_query"]["page"]) == ("mcp", "2")


# -------------------------------------------------------------------------------- odd requests


def test_nulls_deep_inside_a_message_do_not_matter_nor_do_our_own_types_there():
    call = ToolCall(id="c1", function=FunctionCall(name="f", arguments="{}"))
    spelled = {"id": "c1", "index": None, "function": {"name": "f", "arguments": "{}", "x": None}}
    plain = {"id": "c1", "function": {"name": "f", "arguments": "{}"}}
    keys = {
        request_key(request([{"role": "assistant", "content": None, "tool_calls": calls}]))
        for calls in ([call], [spelled], (plain,), [plain])
    }
    assert len(keys) == 1


@pytest.mark.parametrize("name", ["input", "arguments"])
def test_a_null_that_a_tool_was_called_with_matters(name):
    def key(value):
        called = {"type": "tool_use", "id": "t", "name": "f", name: value}
        return request_key(request([{"role": "assistant", "content": [called]}]))

    assert key({"a": None}) != key({})


def test_numbers_as_names_count_as_the_texts_that_are_sent():
    keys = {request_key(request(logit_bias=b)) for b in ({50256: -100}, {"50256": -100})}
    assert len(keys) == 1
    assert canonical(request(logit_bias={50256: -100}))["logit_bias"] == {"50256": -100}
    assert request_key(request(logit_bias={50256: -99})) not in keys


def test_objects_of_other_libraries_count_as_what_they_dump():
    class Schema:
        kind = "object"

        @classmethod
        def model_json_schema(cls):
            return {"type": cls.kind}

    before = request_key(request(response_format=Schema))
    assert request_key(request(response_format=Schema)) == before
    Schema.kind = "array"
    assert request_key(request(response_format=Schema)) != before

    class Dumps:
        def model_dump(self, *, exclude_none):
            assert exclude_none
            return {"a": 1}

    class Frozen(Mapping):
        def __getitem__(self, key):
            return {"a": 1}[key]

        def __iter__(self):
            return iter(["a"])

        def __len__(self):
            return 1

    for value in (Dumps(), Frozen()):
        key = request_key(request(metadata={"x": value}))
        assert key == request_key(request(metadata={"x": {"a": 1}}))


@pytest.mark.parametrize("headers", ["x", 5, [("a", "b")]])
def test_headers_that_are_no_mapping_have_no_key(headers):
    with pytest.raises(TypeError, match="extra_headers must be a dict"):
        request_key(request(extra_headers=headers))


def test_a_history_that_cannot_be_compared_is_hashed_each_time():
    class Name(str):
        __slots__ = ()

    memory, long = Digests(), "word " * 400
    for odd in ({"content": (long,)}, {"content": long, Name("name"): "n"}):
        asked = request([{"role": "user", **odd}])
        assert request_key(asked, memory=memory) == request_key(asked)
    assert not memory._known


def test_what_is_too_deep_to_remember_still_has_a_key():
    deep = {}
    for _ in range(600):
        deep = {"a": deep}
    asked = request(extra_body=deep)
    assert request_key(asked, memory=Digests()) == request_key(asked)


def test_tools_are_told_apart_by_their_names():
    memory = Digests()
    tools = [
        {"type": "function", "function": {"name": name, "description": "word " * 400}}
        for name in ("one", "two")
    ]
    asked = request(tools=tools)
    assert request_key(asked, memory=memory) == request_key(asked, memory=memory)
    assert {label for _, _, label in memory._known} >= {"two"}


STACK = [Answerer("m2", None, "whose", None)]
PIPELINE = build_pipeline(provider=openai(api_key="a"), model="m2")


@pytest.mark.parametrize(
    ("asked", "stack", "key"),
    [
        (request(), (), "5e72c0896d9809d490653ddcc3660709fc13e5a1337b631a32b39bb403d939bc"),
        (
            request(**FULL, seed=1.0, user="ada", tenant="t"),
            (),
            "6cbeae0c05dfa73a992981982ad84e1eda8ff07f1efeaafff118f9531d784561",
        ),
        (
            request(provider=PIPELINE),
            (),
            "4643666df854ffa3e46929ac9124af24bd9cab63cb5042920e3ab7ab546ad115",
        ),
        (request(), STACK, "a4bac6493f23a3aa81f1a3107f8600339a4fc8f2cf858990446149ab335802a6"),
    ],
    ids=["short", "parameters of all kinds", "a pipeline as provider", "a stack"],
)
def test_keys_stay_as_they_are_or_recordings_would_not_be_found_any_more(
    asked, stack, key, monkeypatch
):
    for name in [name for name in os.environ if name.startswith("OPENAI_")]:
        monkeypatch.delenv(name)
    # If they have to change: raise VERSION, and say so in the changelog.
    assert request_key(asked, stack=stack) == key


def test_the_first_providers_account_counts_with_a_stack_behind_it():
    one, other = request(), request(provider=openai(api_key="key-2"))
    assert request_key(one, stack=STACK) != request_key(other, stack=STACK)


def test_without_a_model_a_provider_counts_only_by_what_its_stack_says():
    one, other = request(model=None), request(model=None, provider=openai(api_key="key-2"))
    assert request_key(one, stack=STACK) == request_key(other, stack=STACK)
    assert request_key(one) != request_key(other)  # such as a pipeline that chooses one


def test_accounts_that_are_ignored_do_not_matter():
    one, other = request(), request(provider=openai(api_key="key-2"))
    ignore = {"identity"}
    assert request_key(one, ignore=ignore) == request_key(other, ignore=ignore)
    moved = [STACK[0]._replace(identity="another's")]
    assert request_key(one, ignore=ignore, stack=STACK) == request_key(
        one, ignore=ignore, stack=moved
    )


def test_with_models_ignored_those_of_a_stack_do_not_matter():
    ignore = {"model"}
    assert request_key(request(), ignore=ignore, stack=STACK) == request_key(
        request(), ignore=ignore
    )


def test_a_stack_with_what_is_no_json_has_no_key():
    with pytest.raises(ValueError, match="no JSON value"):
        request_key(request(), stack=[STACK[0]._replace(params={"top_p": float("nan")})])


def test_a_providers_identity_is_asked_with_the_model_or_an_empty_text():
    class Ours:
        def identity(self, model):
            return f"ours for {model!r}"

    assert identity_of(Ours(), "m") == "ours for 'm'"
    assert identity_of(Ours(), None) == "ours for ''"


def test_the_fallbacks_inside_a_pipeline_that_is_the_provider_count():
    def nested(*targets):
        provider = openai(api_key="a")
        inner = build_pipeline([fallback(list(targets))] if targets else [], provider=provider)
        return request_key(request(provider=inner))

    assert len({nested(), nested("gpt-4o"), nested("gpt-4o", "gpt-4.1")}) == 3


def test_what_functions_hold_counts_down_to_the_fourth_within_each_other():
    def within(depth, text):
        held = text if depth == 0 else within(depth - 1, text)

        async def handler(request):
            return held

        return handler

    def told(depth, text):
        return identity_of(within(depth, text), None)

    assert told(2, "a") != told(2, "b")
    assert told(3, "a") == told(3, "b")


def test_only_a_fallback_has_others_that_answer():
    async def run(request, call_next):
        return await call_next(request)

    other = Layer("spread", __name__, {"targets": ["gpt-4o"]}, run)
    here = openai(api_key="a")
    assert answerers([run, other], here) == []
    found = answerers([run, fallback(["gpt-4o"])], here)
    assert found == [("gpt-4o", None, here.identity("gpt-4o"), None)]


def test_a_handler_to_fall_back_to_is_known_by_itself_and_a_target_by_what_it_says():
    class Handler:
        params, on = {"top_p": 1}, KeyError  # of its own, and nothing to do with a target's
        model = "m2"

        def identity(self, model):
            return f"a handler for {model}"

        async def __call__(self, request): ...

    target = Target("m3", provider=Handler(), params={"seed": 1}, on=RateLimitError)
    layers = [fallback(["m1", Handler(), target], on=ServerError)]
    here = openai(api_key="a")
    assert answerers(layers, here) == [
        ("m1", None, here.identity("m1"), "scallion.exceptions.ServerError"),
        ("m2", None, "a handler for m2", "scallion.exceptions.ServerError"),
        ("m3", {"seed": 1}, "a handler for m3", "scallion.exceptions.RateLimitError"),
    ]


def test_our_own_types_inside_a_message_count_with_their_unknown_fields():
    function = FunctionCall(name="f", arguments="{}")
    plain = {"id": "c1", "function": {"name": "f", "arguments": "{}"}}

    def key(call):
        return request_key(request([{"role": "assistant", "tool_calls": [call]}]))

    def ours(extra):
        return key(ToolCall(id="c1", function=function, model_extra=extra))

    assert ours({"x": 2}) == key({**plain, "x": 2}) != ours({"x": 3})
    assert ours({"x": {"y": None}}) == key({**plain, "x": {}}) != key(plain)


def test_texts_that_look_like_nulls_or_like_our_fields_count():
    texts = ['{"a":null}', '{"b":null}', '"@a":null', '"@b', '"@c']
    assert len({request_key(request([{"role": "user", "content": text}])) for text in texts}) == 5


def test_a_pipeline_chooses_a_model_if_it_or_one_inside_of_it_names_any():
    plain = build_pipeline(provider=openai(api_key="a"))
    choosing = [
        build_pipeline(provider=openai(api_key="a"), model="m"),
        build_pipeline([fallback(["gpt-4o"])], provider=openai(api_key="a")),
    ]
    assert chooses_model(openai(api_key="a")) is False
    assert chooses_model(plain) is False
    assert chooses_model(build_pipeline(provider=plain)) is False
    for inner in choosing:
        assert chooses_model(inner)
        assert chooses_model(build_pipeline(provider=inner))
