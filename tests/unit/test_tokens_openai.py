"""OpenAI's counts: the published formula, and how tools and schemas are written into a prompt."""

from __future__ import annotations

import pytest

from scallion._request import Request
from scallion._tokens_parts import tools_of
from scallion._tokens_schema import answer_schema, functions
from scallion._tokens_text import encoder
from scallion.tokens import TokenEstimate, count_message_tokens, count_tokens, estimate
from scallion.types import Message

HELLO = [{"role": "user", "content": "Say hello"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "description": "Which city"}},
            "required": ["city"],
        },
    },
}


def tokens(model, messages, **params):
    return estimate(Request(model, messages, params))


@pytest.mark.parametrize(
    ("model", "count"),
    [
        # 3 around the message, 1 for its role, 2 for its text, and 3 that begin the answer
        ("gpt-4o", 9),
        ("gpt-4o-mini-2024-07-18", 9),
        ("gpt-4.1", 9),
        ("chatgpt-4o-latest", 9),
        ("gpt-4", 9),
        ("gpt-3.5-turbo", 9),
        ("openai/gpt-4o", 9),
        ("openrouter/openai/gpt-4o", 9),
        ("ft:gpt-4o-mini-2024-07-18:acme::x", 9),
        # the reasoning models begin the answer with 2
        ("o1", 8),
        ("o3-mini", 8),
        ("gpt-5", 8),
        ("gpt-5.4-2026-03-05", 8),
        ("gpt-5-chat-latest", 9),
        # the oldest snapshot framed messages with 4
        ("gpt-3.5-turbo-0301", 10),
        # the first reasoning models framed them with 8, and nothing else
        ("o1-mini-2024-09-12", 11),
        ("o1-preview", 11),
    ],
)
def test_a_plain_chat_is_counted_exactly(model, count):
    found = tokens(model, HELLO)
    assert found == TokenEstimate(count, exact=True, upper=found.upper)
    assert count <= found.upper <= count + 4


def test_old_and_new_models_have_their_own_encodings():
    text = "今天天气很好我们去公园散步吧"
    assert count_tokens(text, "gpt-4") == encoder("cl100k_base").count(text)
    assert count_tokens(text, "gpt-4o") == encoder("o200k_base").count(text)
    assert count_tokens(text, "gpt-4") != count_tokens(text, "gpt-4o")
    assert count_tokens(text, "ft:gpt-4.1-2025-04-14:a::b") == count_tokens(text, "gpt-4o")


@pytest.mark.parametrize("model", ["gpt-6-sol", "gpt-99-nova", "my-own-model", ""])
def test_a_model_that_no_encoding_is_published_for_is_not_exact(model):
    found = tokens(model, HELLO)
    assert not found.exact
    assert found.tokens == pytest.approx(8, abs=3)


def test_a_name_takes_its_tokens_and_one_more():
    named = [{"role": "user", "content": "Say hello", "name": "alice"}]
    name = count_tokens("alice", "gpt-4o")
    assert tokens("gpt-4o", named).tokens == tokens("gpt-4o", HELLO).tokens + 1 + name


def test_an_earlier_answer_of_gpt5_names_its_channel():
    again = [*HELLO, {"role": "assistant", "content": "Hello"}, *HELLO]
    assert tokens("gpt-4o", again).tokens == 3 + 6 + 5 + 6
    assert tokens("o3-mini", again).tokens == 2 + 6 + 5 + 6
    assert tokens("gpt-5", again).tokens == 2 + 6 + 7 + 6


def test_text_parts_count_like_their_text():
    parts = [{"type": "text", "text": "Say"}, {"type": "input_text", "text": " hello"}]
    assert tokens("gpt-4o", [{"role": "user", "content": parts}]).tokens == 9


def test_messages_can_be_a_string_dicts_or_messages():
    assert count_message_tokens("Say hello", "gpt-4o") == 9
    assert count_message_tokens(HELLO, "gpt-4o") == 9
    assert count_message_tokens([Message(role="user", content="Say hello")], "gpt-4o") == 9


def test_a_message_that_was_changed_in_place_is_counted_anew():
    message = {"role": "user", "content": "Say hello"}
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    calling = {"role": "assistant", "content": None, "tool_calls": [call]}
    before = count_message_tokens([message, calling], "gpt-4o")
    message["content"] = "Say hello to everybody in the room"
    call["function"]["arguments"] = '{"a":1,"b":2,"c":3}'
    after = count_message_tokens([message, calling], "gpt-4o")
    fresh = [dict(message), {**calling, "tool_calls": [{**call}]}]
    assert after > before + 8
    assert after == count_message_tokens(fresh, "gpt-4o")


# ------------------------------------------------------------------------------------- tools


def test_tools_are_written_as_typescript():
    declared = functions(
        [
            {
                "name": "find",
                "description": "Finds things.\n\n  Indented.",
                "parameters": {
                    "title": "FindArgs",
                    "properties": {
                        "text": {"type": "string", "title": "Text"},
                        "most": {"type": "integer", "minimum": 1, "default": 10},
                        "order": {"enum": ["up", "down"], "description": "Which way"},
                        "tags": {"type": "array", "items": {"type": "string"}},
                        "near": {"$ref": "#/$defs/Point"},
                        "maybe": {"anyOf": [{"type": "number"}, {"type": "null"}]},
                    },
                    "required": ["text"],
                    "$defs": {
                        "Point": {
                            "type": "object",
                            "properties": {"x": {"type": "number"}, "y": {"type": "number"}},
                            "required": ["x", "y"],
                        }
                    },
                },
            },
            {"name": "ping", "parameters": {"type": "object", "properties": {}}},
            {
                "name": "add",
                "parameters": {
                    "properties": {"a": {"type": "integer"}, "b": {"type": ["integer", "null"]}},
                    "required": ["a"],
                },
            },
        ]
    )
    assert declared == (
        "namespace functions {\n\n"
        "// Finds things.\n// Indented.\n"
        "type find = (_:\n// FindArgs\n{\n"
        "// Text\ntext: string,\n"
        "// minimum: 1.0\nmost?: number, // default: 10\n"
        '// Which way\norder?: "up" | "down",\n'
        "tags?: string[],\n"
        "near?: { x: number, y: number },\n"
        "maybe?: number | null,\n"
        "}) => any;\n\n"
        "type ping = () => any;\n\n"
        "type add = (_: { a: number, b?: number | null }) => any;\n\n"
        "} // namespace functions"
    )


def test_a_schema_that_contains_itself_comes_to_an_end():
    node = {"properties": {"next": {"$ref": "#/$defs/Node"}}, "required": ["next"]}
    declared = functions([{"name": "f", "parameters": {**node, "$defs": {"Node": node}}}])
    assert "any" in declared
    assert len(declared) < 1000


def test_schemas_of_any_shape_are_written_somehow():
    odd = {
        "properties": {
            "one": {"const": 1},
            "any": 5,
            "lost": {"$ref": "#/$defs/Nowhere"},
            "open": {"type": "object", "description": "  "},
        }
    }
    written = functions([{"name": "f", "description": None, "parameters": odd}])
    assert "one?: 1" in written
    assert "any?: any" in written
    assert "lost?: any" in written
    assert "open?: object" in written
    assert answer_schema({"name": "x", "schema": [True, {"type": "null"}]}) == (
        '## x\n\n[true,{"type":"null"}]'
    )


def test_an_answer_schema_is_written_without_what_strictness_implies():
    written = answer_schema(
        {
            "name": "person",
            "description": "A person.",
            "schema": {
                "type": "object",
                "properties": {"required": {"type": "string"}, "age": {"type": "integer"}},
                "required": ["required", "age"],
                "additionalProperties": False,
            },
        }
    )
    assert written == (
        '## person\n\n// A person.\n{"type":"object","properties":'
        '{"required":{"type":"string"},"age":{"type":"integer"}}}'
    )


def test_tools_add_their_declaration_and_a_frame():
    declared = encoder("o200k_base").count(functions([WEATHER["function"]]))
    assert tokens("gpt-4o", HELLO, tools=[WEATHER]).tokens == 9 + declared + 9
    system = [{"role": "system", "content": "Be brief."}, *HELLO]
    plain = tokens("gpt-4o", system).tokens
    assert tokens("gpt-4o", system, tools=[WEATHER]).tokens == plain + declared + 5
    assert not tokens("gpt-4o", HELLO, tools=[WEATHER]).exact


def test_the_older_form_of_functions_counts_alike():
    functions_ = [WEATHER["function"]]
    assert tokens("gpt-4o", HELLO, functions=functions_) == tokens("gpt-4o", HELLO, tools=[WEATHER])


def test_the_chat_endpoint_tells_reasoning_models_more_about_tools():
    direct = tokens("gpt-5", HELLO, tools=[WEATHER]).tokens
    routed = tokens("openrouter/openai/gpt-5", HELLO, tools=[WEATHER]).tokens
    assert direct - routed == 81


def test_the_responses_form_of_tools_has_its_own_frame():
    flat = {"type": "function", **WEATHER["function"]}
    declared = encoder("o200k_base").count(functions([WEATHER["function"]]))
    assert tokens("gpt-4o", HELLO, tools=[flat]).tokens == 9 + declared + 3
    assert tokens("o3", HELLO, tools=[flat]).tokens == 8 + declared + 6
    # A name at the top makes it this form, whatever else there is: only the name is read then.
    mixed = {**WEATHER, "name": "get_weather"}
    bare = {"type": "function", "name": "get_weather", "parameters": {}}
    assert tokens("gpt-4o", HELLO, tools=[mixed]) == tokens("gpt-4o", HELLO, tools=[bare])


def test_a_named_choice_costs_its_name():
    chosen = {"type": "function", "function": {"name": "get_weather"}}
    free = tokens("gpt-4o", HELLO, tools=[WEATHER]).tokens
    named = tokens("gpt-4o", HELLO, tools=[WEATHER], tool_choice=chosen).tokens
    assert named == free + 7 + count_tokens("get_weather", "gpt-4o")
    assert tokens("gpt-4o", HELLO, tools=[WEATHER], tool_choice="required").tokens == free


def test_tools_that_are_loaded_later_are_not_in_the_prompt():
    later = {**WEATHER, "defer_loading": True}
    assert tools_of({"tools": [later]}) == []
    assert tokens("gpt-4o", HELLO, tools=[later]) == tokens("gpt-4o", HELLO)


def call(number, arguments):
    function = {"name": "get_weather", "arguments": arguments}
    return {"id": f"call_{number}", "type": "function", "function": function}


def result(number, content):
    return {"role": "tool", "tool_call_id": f"call_{number}", "content": content}


def test_a_call_and_its_result_count_together():
    history = [
        *HELLO,
        {"role": "assistant", "content": None, "tool_calls": [call(1, '{"city": "Rome"}')]},
        result(1, "Sunny"),
    ]
    count = encoder("o200k_base").count
    # The arguments are sent without blanks, the name with the call and with its result.
    expected = 9 + 13 + 2 * count("get_weather") + count('{"city":"Rome"}') + count("Sunny")
    assert tokens("gpt-4o", history).tokens == expected


def test_parallel_calls_cost_more_than_one_and_less_than_apart():
    rome, oslo = call(1, '{"city":"Rome"}'), call(2, '{"city":"Oslo"}')
    answers = [result(1, "Sunny"), result(2, "Rainy")]
    one = tokens("gpt-4o", [{"role": "assistant", "tool_calls": [rome]}, answers[0]]).tokens
    both = tokens("gpt-4o", [{"role": "assistant", "tool_calls": [rome, oslo]}, *answers]).tokens
    assert one + 10 < both < one * 3


def test_an_answer_schema_counts():
    schema = {"type": "object", "properties": {"answer": {"type": "string"}}}
    given = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    written = encoder("o200k_base").count(answer_schema(given["json_schema"]))
    assert tokens("gpt-4o", HELLO, response_format=given).tokens == 9 + 12 + written
    assert tokens("gpt-4o", HELLO, response_format={"type": "json_object"}).tokens == 9


def test_the_responses_form_of_an_answer_schema_has_its_own_frame():
    schema = {"type": "object", "properties": {"answer": {"type": "string"}}}
    given = {"type": "json_schema", "name": "answer", "schema": schema}
    written = encoder("o200k_base").count(answer_schema(given))
    assert tokens("gpt-4o", HELLO, response_format=given).tokens == 9 + 5 + written
    assert tokens("gpt-5", HELLO, response_format=given).tokens == 8 + 4 + written
    system = [{"role": "system", "content": "Be brief."}, *HELLO]
    plain = tokens("gpt-4o", system).tokens
    assert tokens("gpt-4o", system, response_format=given).tokens == plain + 8 + written
