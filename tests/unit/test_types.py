"""The value types: nothing a provider said is lost, and nothing it says can pass for ours."""

import copy
import json
import pickle

import fastapi
import msgspec
import pydantic
import pytest
from fastapi.encoders import jsonable_encoder
from hypothesis import given, settings
from hypothesis import strategies as st

from scallion._model import decode, read
from scallion.types import (
    Choice,
    ChunkChoice,
    CompletionTokensDetails,
    Delta,
    FunctionCall,
    Message,
    ModelResponse,
    PromptTokensDetails,
    StreamChunk,
    ToolCall,
    Usage,
    text_of,
)

TYPES = [
    Choice,
    ChunkChoice,
    CompletionTokensDetails,
    Delta,
    FunctionCall,
    Message,
    ModelResponse,
    PromptTokensDetails,
    StreamChunk,
    ToolCall,
    Usage,
]

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": "gpt-4o-2024-08-06",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Hi",
                "refusal": None,
                "annotations": [],
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "f", "arguments": "{}", "x_function": 1},
                        "x_call": [1],
                    }
                ],
                "x_message": {"deep": None},
            },
            "logprobs": None,
            "finish_reason": "tool_calls",
            "x_choice": "c",
        }
    ],
    "usage": {
        "prompt_tokens": 5,
        "completion_tokens": 2,
        "total_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 1, "x_prompt": 2},
        "completion_tokens_details": {"reasoning_tokens": 1, "x_completion": 3},
        "x_usage": 4,
    },
    "x_answer": {"list": [1, {"a": None}]},
}

# ------------------------------------------------------------------------------ JSON as it comes

few = settings(max_examples=40)  # each example is a whole answer

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
texts = st.text(max_size=12)
counts = st.integers(0, 2**40)


def json_object(known, *, unknown=True):
    """Objects with any of the `known` fields, each perhaps null, and some that nobody knows."""
    optional = {name: st.none() | values for name, values in known.items()}
    objects = st.fixed_dictionaries({}, optional=optional)
    if not unknown:
        return objects
    extras = st.dictionaries(st.text(max_size=6).map("x_{}".format), json_values, max_size=2)
    return st.builds(lambda fields, extra: fields | extra, objects, extras)


def answers(*, unknown):
    """JSON of answers in which every field has the type that it should have, or is null."""

    def of(known):
        return json_object(known, unknown=unknown)

    parts = st.lists(of({"type": texts, "text": texts}), max_size=2)
    function = of({"name": texts, "arguments": texts})
    call = of({"index": counts, "id": texts, "type": texts, "function": function})
    message = of(
        {
            "role": texts,
            "content": texts | parts,
            "name": texts,
            "tool_calls": st.lists(call, max_size=2),
            "tool_call_id": texts,
            "refusal": texts,
            "reasoning": texts,
            "reasoning_content": texts,
            "reasoning_details": st.lists(json_values, max_size=2),
            "annotations": st.lists(json_values, max_size=2),
            "audio": of({"id": texts}),
            "function_call": function,
        }
    )
    choice = of(
        {
            "index": counts,
            "message": message,
            "finish_reason": texts,
            "native_finish_reason": texts,
            "logprobs": json_values,
            "content_filter_results": json_values,
        }
    )
    usage = of(
        {
            "prompt_tokens": counts,
            "completion_tokens": counts,
            "total_tokens": counts,
            "prompt_tokens_details": of({"cached_tokens": counts, "audio_tokens": counts}),
            "completion_tokens_details": of({"reasoning_tokens": counts}),
            "cost": counts | st.floats(allow_nan=False, allow_infinity=False),
        }
    )
    return of(
        {
            "id": texts,
            "object": texts,
            "created": counts,
            "model": texts,
            "choices": st.lists(choice, max_size=2),
            "usage": usage,
            "service_tier": texts,
            "system_fingerprint": texts,
            "prompt_filter_results": json_values,
            "provider": texts,
        }
    )


def as_chunk(answer):
    """The same JSON with deltas where an answer has messages."""
    chunk = {name: value for name, value in answer.items() if name != "choices"}
    if isinstance(answer.get("choices"), list):
        chunk["choices"] = [
            {"delta" if name == "message" else name: value for name, value in choice.items()}
            for choice in answer["choices"]
        ]
        for choice in chunk["choices"]:
            for name in ("name", "tool_call_id"):
                (choice.get("delta") or {}).pop(name, None)
    return chunk


def said(value):
    """A JSON value without its nulls and what only says "nothing": the information in it."""
    if isinstance(value, dict):
        kept = {name: said(inner) for name, inner in value.items()}
        return {name: inner for name, inner in kept.items() if inner not in (None, {}, [])}
    if isinstance(value, list):
        return [said(inner) for inner in value]
    return value


def without_defaults(value):
    """Drop what a type adds where the wire was silent: a role, an index, counts of zero."""
    if isinstance(value, dict):
        kept = {name: without_defaults(inner) for name, inner in value.items()}
        return {
            name: inner
            for name, inner in kept.items()
            if not (name == "role" and inner == "assistant")
            and not (name in ("index", "prompt_tokens", "completion_tokens") and inner == 0)
            and not (name == "total_tokens" and inner == 0)
            and inner not in ({}, [])
        }
    if isinstance(value, list):
        return [without_defaults(inner) for inner in value]
    return value


# ------------------------------------------------------------------------------ lossless


def test_unknown_fields_come_back_out_at_every_level():
    answer = decode(ModelResponse, json.dumps(ANSWER).encode())

    dumped = answer.to_dict()

    assert dumped["x_answer"] == {"list": [1, {"a": None}]}
    assert dumped["usage"]["x_usage"] == 4
    assert dumped["usage"]["prompt_tokens_details"]["x_prompt"] == 2
    assert dumped["usage"]["completion_tokens_details"]["x_completion"] == 3
    (choice,) = dumped["choices"]
    assert choice["x_choice"] == "c"
    assert choice["message"]["x_message"] == {"deep": None}
    (call,) = choice["message"]["tool_calls"]
    assert call["x_call"] == [1]
    assert call["function"]["x_function"] == 1


def test_unknown_fields_are_attributes():
    answer = decode(ModelResponse, json.dumps(ANSWER).encode())

    assert answer.x_answer == {"list": [1, {"a": None}]}
    assert answer.usage.x_usage == 4
    assert answer.message.x_message == {"deep": None}
    assert answer.tool_calls[0].function.x_function == 1
    with pytest.raises(AttributeError, match="'ModelResponse' object has no attribute 'x_usage'"):
        _ = answer.x_usage
    assert not hasattr(Message(), "__deepcopy__")


@few
@given(answers(unknown=True))
def test_an_answers_dict_says_all_that_its_json_said(raw):
    answer = decode(ModelResponse, msgspec.json.encode(raw))

    assert said(without_defaults(answer.to_dict())) == said(without_defaults(raw))
    assert decode(ModelResponse, msgspec.json.encode(answer.to_dict())) == answer


@few
@given(answers(unknown=True).map(as_chunk))
def test_a_chunks_dict_says_all_that_its_json_said(raw):
    chunk = decode(StreamChunk, msgspec.json.encode(raw))

    assert said(without_defaults(chunk.to_dict())) == said(without_defaults(raw))
    assert decode(StreamChunk, msgspec.json.encode(chunk.to_dict())) == chunk


@few
@given(answers(unknown=False))
def test_both_paths_read_an_answer_alike(raw):
    data = msgspec.json.encode(raw)
    # The strict decoder takes null only where a field may be null.
    strictly_valid = msgspec.json.encode(without_nulls(raw))

    strict = msgspec.json.decode(strictly_valid, type=ModelResponse)

    assert read(ModelResponse, without_nulls(raw)) == strict
    assert decode(ModelResponse, data) == read(ModelResponse, raw) == strict


@few
@given(answers(unknown=False).map(as_chunk))
def test_both_paths_read_a_chunk_alike(raw):
    strictly_valid = without_nulls(raw)

    strict = msgspec.json.decode(msgspec.json.encode(strictly_valid), type=StreamChunk)

    assert read(StreamChunk, strictly_valid) == strict
    assert decode(StreamChunk, msgspec.json.encode(raw)) == read(StreamChunk, raw) == strict


def without_nulls(value):
    """A JSON object without the fields of ours that are null; what is inside `Any` stays."""
    kept = {name: inner for name, inner in value.items() if inner is not None}
    for name in ("message", "delta", "usage", "function", "function_call"):
        if isinstance(kept.get(name), dict):
            kept[name] = without_nulls(kept[name])
    for name in ("prompt_tokens_details", "completion_tokens_details"):
        if isinstance(kept.get(name), dict):
            kept[name] = without_nulls(kept[name])
    for name in ("choices", "tool_calls"):
        if isinstance(kept.get(name), list):
            kept[name] = [without_nulls(item) for item in kept[name]]
    return kept


def test_raw_is_the_providers_json_whatever_became_of_it():
    chunk = StreamChunk(body=b'{"created": "odd", "x": 1}')
    answer = ModelResponse(body=b'{"a": [1]}')

    assert chunk.raw == {"created": "odd", "x": 1}
    assert answer.raw == {"a": [1]}
    assert answer.raw is not answer.raw  # nobody can spoil it for others
    assert StreamChunk().raw is None
    assert ModelResponse().raw is None


# ------------------------------------------------------------------------------ odd values


@pytest.mark.parametrize(
    ("odd", "meant"),
    [
        ({"choices": None}, ModelResponse()),
        ({"id": 7}, ModelResponse(id="7")),
        ({"created": 3.0}, ModelResponse(created=3)),
        ({"created": "1700000000"}, ModelResponse(created=1_700_000_000)),
        ({"created": 1700000000.5}, ModelResponse(created=1_700_000_000)),
        ({"created": "soon"}, ModelResponse()),
        ({"created": [1]}, ModelResponse()),
        ({"usage": None}, ModelResponse()),
        ({"usage": "none"}, ModelResponse()),
        ({"usage": {"prompt_tokens": None}}, ModelResponse(usage=Usage())),
        ({"usage": {"prompt_tokens": 5.0}}, ModelResponse(usage=Usage(prompt_tokens=5))),
        ({"usage": {"prompt_tokens": "9" * 5000}}, ModelResponse(usage=Usage())),
        ({"usage": {"cost": "0.25"}}, ModelResponse(usage=Usage(cost=0.25))),
        ({"usage": {"cost": "NaN"}}, ModelResponse(usage=Usage())),
        ({"usage": {"cost": "-inf"}}, ModelResponse(usage=Usage())),
        ({"usage": {"prompt_tokens_details": []}}, ModelResponse(usage=Usage())),
        ({"choices": [{"message": None}]}, ModelResponse(choices=[Choice()])),
        ({"choices": [{"index": None}]}, ModelResponse(choices=[Choice()])),
        ({"choices": [{"index": "1"}]}, ModelResponse(choices=[Choice(index=1)])),
        ({"provider": {"name": "x"}}, ModelResponse(upstream_provider='{"name":"x"}')),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else "",
)
def test_odd_values_are_read_as_they_were_meant_or_left_out(odd, meant):
    assert decode(ModelResponse, json.dumps(odd).encode()) == meant


@pytest.mark.parametrize(
    ("odd", "meant"),
    [
        ({"content": 5}, Message(content="5")),
        ({"content": {"a": "ü"}}, Message(content='{"a":"ü"}')),
        ({"content": [{"type": "text", "text": "a"}, "b"]},
         Message(content=[{"type": "text", "text": "a"}, "b"])),
        ({"role": None, "content": ""}, Message(content="")),
        ({"tool_calls": None}, Message()),
        ({"tool_calls": [{"id": 3, "function": {"name": "f", "arguments": {"a": 1}}}]},
         Message(tool_calls=[
             ToolCall(id="3", function=FunctionCall(name="f", arguments='{"a":1}'))
         ])),
        ({"tool_calls": [{"function": "f"}]}, Message(tool_calls=[ToolCall()])),
        ({"annotations": {"a": 1}}, Message()),
        ({"audio": "x"}, Message()),
        ({"refusal": False}, Message(refusal="false")),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else "",
)  # fmt: skip
def test_odd_messages_are_read_as_they_were_meant_or_left_out(odd, meant):
    assert decode(Message, json.dumps(odd).encode()) == meant


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"nonsense", "malformed"),
        (b"\xff\xfe", "malformed"),
        (b'{"id": "\xff"}', "utf-8"),
        (b"[]", "expected a JSON object for ModelResponse, got list"),
        (b"null", "expected a JSON object for ModelResponse, got NoneType"),
        (b'"Hi"', "expected a JSON object for ModelResponse, got str"),
        (b'{"choices": {"0": {}}}', "expected a JSON array of Choice, got dict"),
        (b'{"choices": "Hi"}', "expected a JSON array of Choice, got str"),
        (b'{"choices": ["Hi"]}', "expected a JSON object for Choice, got str"),
        (b'{"choices": [null]}', "expected a JSON object for Choice, got NoneType"),
        (b'{"created": 1e999}', "out of range"),
    ],
)
def test_what_cannot_be_read_is_a_value_error_that_says_what_came(data, says):
    with pytest.raises(ValueError, match=f"(?i){says}"):
        decode(ModelResponse, data)


# ------------------------------------------------------------------------------ Scallion's own

OWN = {
    ModelResponse: ["provider", "request_id", "cost", "cached", "body", "model_extra"],
    StreamChunk: ["restarted", "body", "model_extra"],
}


@pytest.mark.parametrize("value", [True, "x", 7, 1.5, {"a": 1}, ["a"], "YQ=="])
@pytest.mark.parametrize(("cls", "name"), [(cls, name) for cls in OWN for name in OWN[cls]])
@pytest.mark.parametrize("wire", ["{}", "@{}", "@extra"])
def test_no_wire_field_can_pass_for_one_of_scallions_own(cls, name, value, wire):
    raw = {wire.format(name): value, "id": "x"}

    got = decode(cls, json.dumps(raw).encode())

    assert got == decode(cls, json.dumps(raw).replace("@", "\\u0040").encode())
    for own in OWN[cls]:
        if own != "model_extra":
            assert getattr(got, own) == getattr(cls(), own)
    if wire.format(name) != "provider":  # that one is told apart below
        assert got.model_extra == {wire.format(name): value}
        assert got.to_dict()[wire.format(name)] == value


@pytest.mark.parametrize("cls", TYPES)
def test_own_fields_are_never_written(cls):
    for wire in json.loads(msgspec.json.encode(cls().model_dump())):
        assert not wire.startswith("@")


def test_the_wires_provider_is_the_host_behind_and_ours_is_the_adapter():
    answer = decode(ModelResponse, b'{"provider": "DeepInfra"}')
    answer.provider = "openrouter"

    assert answer.upstream_provider == "DeepInfra"
    assert answer.to_dict() == {"choices": [], "provider": "DeepInfra"}
    assert decode(StreamChunk, b'{"provider": "X"}').upstream_provider == "X"


def test_fields_named_like_ours_are_kept_beside_them():
    answer = decode(ModelResponse, b'{"cost": 5, "cached": true, "text": "t"}')

    assert (answer.cost, answer.cached, answer.text) == (None, False, "")
    assert answer.to_dict() == {"choices": [], "cost": 5, "cached": True, "text": "t"}


# ------------------------------------------------------------------------------ pydantic's names

CALL = ToolCall(id="c", type="function", function=FunctionCall(name="f", arguments="{}"))


def test_model_dump_has_every_field_and_to_dict_only_what_is_set():
    assert FunctionCall(name="f").model_dump() == {"name": "f", "arguments": None}
    assert FunctionCall(name="f").to_dict() == {"name": "f"}
    assert CALL.model_dump(exclude_none=True) == CALL.to_dict()
    assert set(Message().model_dump()) == {
        "role", "content", "name", "tool_calls", "tool_call_id", "refusal", "reasoning",
        "reasoning_content", "reasoning_details", "annotations", "audio", "function_call",
        "provider_content",
    }  # fmt: skip


def test_null_is_written_where_receivers_tell_it_from_absent():
    assert Message(tool_calls=[CALL]).to_dict()["content"] is None
    assert Choice().to_dict()["finish_reason"] is None
    assert ChunkChoice().to_dict()["finish_reason"] is None


def test_include_and_exclude_choose_fields():
    message = Message(content="Hi", model_extra={"x": 1})

    assert message.model_dump(include={"content", "x"}) == {"content": "Hi", "x": 1}
    assert message.model_dump(exclude_none=True, exclude={"role"}) == {"content": "Hi", "x": 1}
    assert message.model_dump(include={"role", "content"}, exclude={"role"}) == {"content": "Hi"}
    assert message.model_dump_json(include={"content"}) == '{"content":"Hi"}'


def test_pydantics_other_options_are_taken():
    dumped = CALL.model_dump(mode="json", by_alias=True, exclude_unset=False, warnings=False)

    assert dumped == CALL.model_dump()


@few
@given(answers(unknown=True))
def test_dumped_json_is_that_of_the_standard_library(raw):
    answer = decode(ModelResponse, msgspec.json.encode(raw))
    dumped = answer.model_dump()

    assert json.loads(answer.model_dump_json()) == dumped
    assert json.loads(answer.model_dump_json(indent=2)) == dumped


def test_dumped_json_is_laid_out_as_pydantics():
    assert CALL.function.model_dump_json() == '{"name":"f","arguments":"{}"}'
    assert CALL.model_dump_json(indent=2, exclude_none=True) == json.dumps(CALL.to_dict(), indent=2)


@few
@given(answers(unknown=True))
def test_what_was_dumped_validates_to_the_same(raw):
    answer = decode(ModelResponse, msgspec.json.encode(raw))

    assert ModelResponse.model_validate(answer.model_dump()) == answer
    assert ModelResponse.model_validate(answer.to_dict()) == answer
    assert ModelResponse.model_validate_json(answer.model_dump_json()) == answer
    assert ModelResponse.model_validate_json(answer.model_dump_json().encode()) == answer
    assert ModelResponse.model_validate(answer) is answer


def test_what_is_validated_may_hold_instances():
    answer = ModelResponse.model_validate(
        {
            "choices": [Choice(message=Message(content="Hi")), {"message": Message(content="Ho")}],
            "usage": Usage(prompt_tokens=3),
        }
    )

    assert [choice.message.content for choice in answer.choices] == ["Hi", "Ho"]
    assert answer.usage.prompt_tokens == 3


@pytest.mark.parametrize("value", [None, 7, "Hi", [1], object()])
def test_what_is_no_object_does_not_validate(value):
    with pytest.raises(ValueError, match="expected a JSON object for Message"):
        Message.model_validate(value)


@pytest.mark.parametrize("value", [object(), {"a": object()}])
def test_what_is_no_json_value_does_not_validate(value):
    with pytest.raises(ValueError, match="no JSON value"):
        Message.model_validate({"content": value})


# ------------------------------------------------------------------------------ as Python values


@few
@given(answers(unknown=True))
def test_answers_are_compared_copied_and_pickled_by_value(raw):
    data = msgspec.json.encode(raw)
    answer = decode(ModelResponse, data)
    answer.body = data
    answer.cost, answer.cached, answer.request_id = {"total": 1}, True, "req_1"

    for same in (
        copy.copy(answer),
        copy.deepcopy(answer),
        pickle.loads(pickle.dumps(answer)),
    ):
        assert same == answer
        assert same is not answer
        assert (same.raw, same.cost, same.cached) == (raw, {"total": 1}, True)
    different = copy.copy(answer)
    different.request_id = "req_2"
    assert different != answer


def test_a_deep_copy_shares_nothing():
    answer = decode(ModelResponse, json.dumps(ANSWER).encode())

    other = copy.deepcopy(answer)
    other.message.content = "changed"
    other.x_answer["list"].append(2)

    assert answer.text == "Hi"
    assert answer.x_answer == {"list": [1, {"a": None}]}


@pytest.mark.parametrize("cls", TYPES)
def test_types_are_not_equal_to_others_and_compare_by_value(cls):
    assert cls() == cls()
    assert cls() != cls(model_extra={"x": 1})
    assert cls() != cls().to_dict()


def test_its_repr_shows_what_is_set_but_never_the_body():
    answer = ModelResponse(model="m", body=b'{"secret": 1}', choices=[Choice()])

    assert (
        repr(answer)
        == "ModelResponse(model='m', choices=[Choice(message=Message(role='assistant'))])"
    )
    assert "secret" not in str(answer)
    assert "secret" not in f"{StreamChunk(body=b'secret')!r}"


def test_pretty_printers_do_not_show_the_body_either():
    answer = ModelResponse(model="m", body=b'{"secret": 1}')

    assert dict(answer.__rich_repr__()) == {"model": "m"}


# ------------------------------------------------------------------------------ short cuts


def test_an_answers_short_cuts_are_those_of_its_first_choice():
    first = Message(content="Hi", reasoning="hm", tool_calls=[CALL])
    answer = ModelResponse(
        choices=[
            Choice(message=first, finish_reason="stop"),
            Choice(index=1, message=Message(content="Ho"), finish_reason="length"),
        ]
    )

    assert answer.message is first
    assert answer.text == "Hi"
    assert answer.tool_calls == [CALL]
    assert answer.finish_reason == "stop"
    assert answer.reasoning == "hm"


def test_an_object_where_a_number_belongs_is_kept():
    said = {"cost": {"request_cost": 0.005, "total_cost": 0.006}}
    usage = Usage.model_validate(said)

    assert usage.cost is None
    assert usage.to_dict()["cost"] == said["cost"]
    assert "cost" not in Usage.model_validate({"cost": "free"}).to_dict()


@pytest.mark.parametrize(
    ("content", "thinking"),
    [
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text"}], "hm"),
        ([{"type": "thinking", "thinking": "h"}, {"type": "thinking", "thinking": "m"}], "hm"),
        ([{"type": "thinking"}, {"type": "thinking", "thinking": 5}, "hm"], None),
        ([{"type": "text", "text": "hm"}], None),
        ("hm", None),
        (None, None),
    ],
)  # fmt: skip
def test_thinking_may_stand_among_the_parts_of_the_content(content, thinking):
    answer = ModelResponse(choices=[Choice(message=Message(content=content))])

    assert answer.reasoning == thinking
    assert StreamChunk.of(content).reasoning == thinking
    answer.message.reasoning_content = "another"
    assert answer.reasoning == "another"


def test_an_answer_without_choices_has_empty_short_cuts():
    answer = ModelResponse()

    assert answer.message == Message()
    assert (answer.text, answer.tool_calls) == ("", [])
    assert (answer.finish_reason, answer.reasoning) == (None, None)


def test_a_chunks_short_cuts_are_those_of_its_first_choice():
    chunk = StreamChunk(
        choices=[
            ChunkChoice(
                delta=Delta(content="Hi", reasoning_content="hm", tool_calls=[CALL]),
                finish_reason="stop",
            )
        ]
    )

    assert (chunk.content, chunk.finish_reason, chunk.reasoning) == ("Hi", "stop", "hm")
    assert chunk.tool_calls == [CALL]


def test_a_chunk_without_choices_has_empty_short_cuts():
    chunk = StreamChunk()

    assert (chunk.content, chunk.finish_reason, chunk.reasoning) == (None, None, None)
    assert chunk.tool_calls == []
    assert StreamChunk(choices=[ChunkChoice()]).tool_calls == []
    assert StreamChunk(choices=[ChunkChoice()]).content is None


def test_a_chunk_can_be_made_of_a_text():
    chunk = StreamChunk.of("Hi", reasoning="hm")

    assert (chunk.content, chunk.reasoning) == ("Hi", "hm")
    assert chunk.choices[0].index == 0
    assert not chunk.restarted


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Hi", "Hi"),
        ("", ""),
        (None, ""),
        (7, ""),
        ({"text": "no"}, ""),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
        ([{"type": "image_url", "image_url": {"url": "u"}}, {"type": "text", "text": "b"}], "b"),
        ([{"text": None}, {"text": 5}, "bare", None], ""),
    ],
)
def test_the_text_of_a_content_is_that_of_its_text_parts(content, text):
    assert text_of(content) == text
    if content is None or isinstance(content, (str, list)):
        assert Message(content=content).text == text
        assert (StreamChunk.of(content).content or "") == text


def test_an_answer_may_be_a_field_of_a_pydantic_model():
    class Turn(pydantic.BaseModel):
        question: str
        answer: ModelResponse

    said = {"id": "1", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"},
            "finish_reason": "stop"}], "x": 1}  # fmt: skip

    turn = Turn(question="?", answer=said)
    copy = Turn.model_validate_json(turn.model_dump_json())

    assert copy.answer.text == "Hi"
    assert copy.answer.to_dict() == dict(copy.answer) == said
    assert Turn(question="?", answer=copy.answer).answer is copy.answer
    assert Turn.model_json_schema()["properties"]["answer"]["title"] == "ModelResponse"
    with pytest.raises(pydantic.ValidationError):
        Turn(question="?", answer="Hi")


def test_an_answer_is_what_a_route_of_fastapi_returns():
    app = fastapi.FastAPI()
    answer = ModelResponse.model_validate({"id": "1", "choices": [], "x": 1})

    @app.get("/typed")
    async def typed() -> ModelResponse:
        return answer

    assert jsonable_encoder(answer) == {"id": "1", "choices": [], "x": 1}
    route = next(route for route in app.routes if route.path == "/typed")
    assert route.response_field.serialize(answer) == {"id": "1", "choices": [], "x": 1}
    assert "/typed" in app.openapi()["paths"]
