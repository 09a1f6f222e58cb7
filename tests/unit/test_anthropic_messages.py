"""Histories of OpenAI-style messages as Anthropic's system prompt and turns."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from scallion.providers._anthropic_messages import convert_messages
from support.histories import (
    EPHEMERAL,
    FOUND,
    REDACTED,
    SEARCH,
    THINKING,
    USE,
    assistant,
    called,
    result,
    returned,
    text,
    user,
)


def turns(*messages: dict[str, Any]) -> Any:
    return convert_messages(messages)[1]


def test_system_and_developer_messages_become_the_system_prompt_in_order():
    system, sent = convert_messages(
        [
            {"role": "system", "content": "One."},
            user("Hi"),
            {"role": "developer", "content": [text("Two.", cache_control=EPHEMERAL)]},
            {"role": "system", "content": "Three.", "cache_control": EPHEMERAL},
        ]
    )
    assert system == [
        text("One."),
        text("Two.", cache_control=EPHEMERAL),
        text("Three.", cache_control=EPHEMERAL),
    ]
    assert sent == [user([text("Hi")])]


def test_system_messages_alone_are_what_the_user_says():
    alone = [{"role": "system", "content": "Tell a joke."}]
    assert convert_messages(alone) == ([], [user([text("Tell a joke.")])])


def test_neighbours_of_one_role_become_one_turn():
    assert turns(user("a"), user("b"), assistant("c"), assistant("d"), user("e")) == [
        user([text("a"), text("b")]),
        assistant([text("c"), text("d")]),
        user([text("e")]),
    ]


def test_blank_texts_are_left_out():
    assert turns(user([text(" "), text("a")]), assistant("\n"), user("b")) == [
        user([text("a"), text("b")])
    ]


def test_tool_results_lead_the_user_s_turn():
    sent = turns(called("a", "b"), result("a", "1"), user("Well?"), result("b", [text("2")]))
    assert sent[1]["content"] == [
        {"type": "tool_result", "tool_use_id": "a", "content": "1"},
        {"type": "tool_result", "tool_use_id": "b", "content": [text("2")]},
        text("Well?"),
    ]


def test_tool_results_lead_the_turn_also_where_the_thinking_between_two_is_left_out():
    sent = turns(user("Hi"), returned(THINKING), result("a", "1"), user("Well?"))
    assert [block["type"] for block in sent[0]["content"]] == ["tool_result", "text", "text"]


def test_a_result_may_hold_images_be_empty_or_an_error():
    image = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    sent = turns(
        called("a", "b"), result("a", [image], cache_control=EPHEMERAL), result("b", "", is_error=1)
    )
    source = {"type": "url", "url": "https://example.org/a.png"}
    assert sent[1]["content"] == [
        {
            "type": "tool_result",
            "tool_use_id": "a",
            "content": [{"type": "image", "source": source}],
            "cache_control": EPHEMERAL,
        },
        {"type": "tool_result", "tool_use_id": "b", "is_error": True},
    ]


def test_a_marker_inside_a_result_moves_to_the_result():
    sent = turns(called("a"), result("a", [text("x", cache_control=EPHEMERAL)]))
    (block,) = sent[1]["content"]
    assert block["content"] == [text("x")]
    assert block["cache_control"] == EPHEMERAL


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ('{"city": "Rome"}', {"city": "Rome"}),
        ({"city": "Rome"}, {"city": "Rome"}),
        ("", {}),
        ("  ", {}),
        (None, {}),
        ('{"city": "Ro', {"raw_arguments": '{"city": "Ro'}),
        ("{}{}", {"raw_arguments": "{}{}"}),
        ("[1]", {"raw_arguments": "[1]"}),
        ([1], {"raw_arguments": [1]}),
        ("[" * 10_000, {"raw_arguments": "[" * 10_000}),
    ],
)
def test_arguments_become_an_object_whatever_the_model_wrote(arguments, sent):
    block = turns(called("a", arguments=arguments), result("a"))[0]["content"][0]
    assert block == {"type": "tool_use", "id": "a", "name": "weather", "input": sent}


def test_ids_that_anthropic_refuses_are_replaced_alike_in_call_and_result():
    first, second, other = "functions.weather:0", "functions.weather:1", "functions_weather_0"
    sent = turns(called(first, second, other), *(result(i) for i in (first, second, other)))
    uses = [block["id"] for block in sent[0]["content"]]
    assert uses == [block["tool_use_id"] for block in sent[1]["content"]]
    assert len(set(uses)) == 3
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]+", used) for used in uses)
    assert uses[2] == other
    again = turns(called(first), result(first), user("and now?"))
    assert again[0]["content"][0]["id"] == uses[0]


@pytest.mark.parametrize("used", ["", "call_0"])
def test_ids_used_twice_are_told_apart_and_answered_in_order(used):
    sent = turns(
        called(used, used), result(used, "1"), result(used, "2"), called(used), result(used, "3")
    )
    uses = [block["id"] for turn in sent[::2] for block in turn["content"]]
    answers = [block["tool_use_id"] for turn in sent[1::2] for block in turn["content"]]
    assert uses == answers
    assert len(set(uses)) == 3
    assert [b["content"] for turn in sent[1::2] for b in turn["content"]] == ["1", "2", "3"]


def test_ids_in_blocks_are_as_good_as_those_of_tool_calls():
    def said(used, of):
        block = {"type": "tool_use", "id": used, "name": "weather", "input": {}}
        answer = {"type": "tool_result", "tool_use_id": used, "content": of}
        return [assistant([block]), user([answer])]

    sent = turns(*said("f:0", "1"), *said("call_0", "2"), *said("call_0", "3"))
    uses = [turn["content"][0]["id"] for turn in sent[::2]]
    assert uses == [turn["content"][0]["tool_use_id"] for turn in sent[1::2]]
    assert len(set(uses)) == 3
    assert uses[1] == "call_0"
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]+", used) for used in uses)


def test_a_call_that_was_never_answered_takes_no_other_s_result():
    sent = turns(called("call_0"), user("Never mind."), called("call_0"), result("call_0"))
    assert sent[3]["content"][0]["tool_use_id"] == sent[2]["content"][0]["id"]


def test_function_calls_of_the_old_kind_are_tool_calls():
    call = assistant(function_call={"name": "weather", "arguments": '{"x": 1}'})
    sent = turns(user("?"), call, {"role": "function", "name": "weather", "content": "fine"})
    use, answer = sent[1]["content"][0], sent[2]["content"][0]
    assert (use["name"], use["input"]) == ("weather", {"x": 1})
    assert answer == {"type": "tool_result", "tool_use_id": use["id"], "content": "fine"}


def test_free_form_calls_in_a_history_keep_their_input():
    call = {"id": "a", "type": "custom", "custom": {"name": "run", "input": "ls"}}
    block = turns(assistant(tool_calls=[call]), result("a"))[0]["content"][0]
    assert (block["name"], block["input"]) == ("run", {"input": "ls"})


def test_what_only_another_provider_reads_is_left_out():
    message = assistant(
        "4",
        reasoning="2 + 2",
        reasoning_content="2 + 2",
        reasoning_details=[{"type": "reasoning.text", "text": "2 + 2", "signature": "x"}],
        annotations=[],
        audio={"id": "audio_1"},
        refusal=None,
        name="Bob",
        provider_content={"format": "other", "content": [1]},
    )
    assert turns(user("?", name="Al"), message, user("!"))[1] == assistant([text("4")])


def test_a_refusal_is_what_the_assistant_said():
    said = assistant([text("I can't.")])
    assert turns(user("?"), assistant(None, refusal="I can't."), user("!"))[1] == said
    part = {"type": "refusal", "refusal": "I can't."}
    assert turns(user("?"), assistant([part]), user("!"))[1] == said


def test_a_prefill_does_not_end_in_blanks():
    assert turns(user("?"), assistant("The answer is \n"))[1] == assistant([text("The answer is")])


def test_cache_markers_of_a_message_go_to_its_last_block():
    sent = turns(
        user("a", cache_control=EPHEMERAL), assistant([text("b"), text("c")], cache_control={})
    )
    assert sent[0]["content"] == [text("a", cache_control=EPHEMERAL)]
    sent = turns(user("a"), assistant([text("b"), text("c")], cache_control=EPHEMERAL), user("d"))
    assert sent[1]["content"] == [text("b"), text("c", cache_control=EPHEMERAL)]


def test_anthropic_s_own_blocks_are_sent_as_they_are():
    mine = [
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}},
        {"type": "search_result", "source": "s", "title": "t", "content": [text("x")]},
    ]
    theirs = [
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        {"type": "tool_use", "id": "a", "name": "n", "input": {}},
    ]
    answer = [{"type": "tool_result", "tool_use_id": "a", "content": "x"}]
    assert turns(user(mine), assistant(theirs), user(answer)) == [
        user(mine),
        assistant(theirs),
        user(answer),
    ]


def test_a_call_told_as_a_block_and_as_a_tool_call_is_sent_once():
    block = {"type": "tool_use", "id": "a", "name": "weather", "input": {}}
    sent = turns(called("a", content=[block]) | {"content": [block]}, result("a"))
    assert sent[0]["content"] == [block]


def test_citations_stay_on_the_assistant_s_texts_only():
    cited = text("x", citations=[{"type": "char_location"}])
    sent = turns(user([cited]), assistant([cited]), user("?"))
    assert sent[0]["content"] == [text("x")]
    assert sent[1]["content"] == [cited]


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([], "nothing to send"),
        ([user("")], r"messages\[0\].*empty"),
        ([user("a"), assistant("b"), user([])], r"messages\[2\].*empty"),
        ([{"role": "critic", "content": "x"}], "the role is 'critic'"),
        (["Hi"], r"messages\[0\]: a message must be an object"),
        ([assistant(tool_calls="x")], "list of objects"),
        ([{"role": "system", "content": [{"type": "image"}]}, user("x")], "takes text only"),
    ],
)
def test_what_cannot_be_sent_is_named(messages, said):
    with pytest.raises(ValueError, match=said):
        convert_messages(messages)


# -------------------------------------------------------------------------------- round trip


CITED = text("As found.", citations=[{"type": "page_location", "cited_text": "…"}])


@pytest.mark.parametrize(
    "blocks",
    [
        [text("Plain.")],
        [text("Calling."), USE, USE | {"id": "toolu_2"}],
        [THINKING, text("4"), USE],
        [THINKING, REDACTED, text("a"), THINKING, text("b"), USE],
        [text("Searching."), SEARCH, FOUND, CITED],
        [{"type": "compaction", "content": "before", "signature": "x"}, text("on")],
        [USE | {"caller": {"type": "direct"}}],
        [text("a", citations=None)],
        [{"type": "mcp_tool_use", "id": "m", "name": "n", "server_name": "s", "input": {}}],
        [SEARCH],
    ],
)
def test_an_answer_goes_back_to_anthropic_as_it_came(blocks):
    history = [user("?"), returned(*blocks)]
    uses = [block["id"] for block in blocks if block["type"] == "tool_use"]
    sent = turns(*history, *(result(used) for used in uses), user("and?"))
    assert json.dumps(sent[1]["content"]) == json.dumps(blocks)


@pytest.mark.parametrize(
    "broken", [7, {"format": "anthropic"}, {"format": "anthropic", "content": [7]}]
)
def test_blocks_that_were_damaged_on_the_way_are_not_sent(broken):
    message = returned(THINKING, text("4"), provider_content=broken)
    assert turns(user("?"), message, user("!"))[1] == assistant([text("4")])


def test_a_changed_text_counts_and_the_leading_thinking_stays():
    message = returned(THINKING, SEARCH, FOUND, CITED, content="As [redacted].")
    assert turns(user("?"), message, user("!"))[1]["content"] == [THINKING, text("As [redacted].")]


def test_changed_tool_calls_count():
    message = returned(THINKING, text("Calling."), USE, USE | {"id": "toolu_2"})
    message["tool_calls"][0]["function"]["arguments"] = '{"a": 0}'
    del message["tool_calls"][1]
    assert turns(user("?"), message, result("toolu_1"))[1]["content"] == [
        THINKING,
        text("Calling."),
        USE | {"input": {"a": 0}},
    ]


def test_a_cache_marker_put_on_an_answer_reaches_its_last_block():
    message = returned(THINKING, text("4", citations=[]), cache_control=EPHEMERAL)
    sent = turns(user("?"), message, user("!"))[1]["content"]
    assert sent == [THINKING, text("4", citations=[], cache_control=EPHEMERAL)]
    parts = returned(THINKING, text("4"), content=[text("4", cache_control=EPHEMERAL)])
    sent = turns(user("?"), parts, user("!"))[1]["content"]
    assert sent == [THINKING, text("4", cache_control=EPHEMERAL)]


def test_an_answer_that_was_cut_off_while_thinking_says_nothing():
    assert turns(user("a"), returned(THINKING), user("b")) == [user([text("a"), text("b")])]


def test_blank_texts_of_an_answer_do_not_go_back():
    message = returned(THINKING, text("\n\n"), USE)
    assert turns(user("?"), message, result("toolu_1"))[1]["content"] == [THINKING, USE]


def test_a_history_is_not_changed_by_sending_it():
    history = [user("a"), returned(THINKING, text("b "), cache_control=EPHEMERAL)]
    before = json.dumps(history)
    turns(*history)
    turns(*history)
    assert json.dumps(history) == before


def test_a_result_in_a_block_answers_a_call_whose_id_had_to_be_changed():
    answer = {"type": "tool_result", "tool_use_id": "functions.f:0", "content": "ok"}
    call, told = turns(user("a"), called("functions.f:0"), user([answer]))[1:]
    assert told["content"][0] == answer | {"tool_use_id": call["content"][0]["id"]}
    assert re.fullmatch(r"[\w-]+", told["content"][0]["tool_use_id"])
    assert answer["tool_use_id"] == "functions.f:0"
