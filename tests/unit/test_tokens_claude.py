"""Estimates for Claude: generations, turns, tools, and what counts as what."""

from __future__ import annotations

import pytest

from scallion._request import Request
from scallion._tokens_claude import ClaudeCounter
from scallion._tokens_text import encoder
from scallion._tokens_weights import Coefficients, coefficients, generation, kind_of
from scallion.tokens import count_tokens, count_tokens_anthropic, estimate

SONNET = "claude-sonnet-4-5"
HELLO = [{"role": "user", "content": "Say hello in one word."}]
TOOL = {
    "name": "get_weather",
    "description": "Get the weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def tokens(messages, model=SONNET, **params):
    return estimate(Request(model, messages, params))


@pytest.mark.parametrize(
    ("model", "name", "newer"),
    [
        ("claude-3-opus-20240229", "opus-3", False),
        ("claude-3-sonnet-20240229", "sonnet-3", False),
        ("claude-3-haiku-20240307", "haiku-3", False),
        ("claude-3-5-haiku-20241022", "haiku-3", False),
        ("claude-3-5-sonnet-20240620", "sonnet-3", False),
        ("claude-3-5-sonnet-20241022", "4", False),
        ("anthropic/claude-3.7-sonnet:thinking", "4", False),
        ("claude-sonnet-4-20250514", "4", False),
        ("claude-opus-4-1-20250805", "4", False),
        ("anthropic/claude-4.5-haiku-20251001", "4.5", False),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "4.5", False),
        ("claude-opus-4-6", "4.5", False),
        ("claude-opus-4-7", "4.7", True),
        ("anthropic/claude-opus-4.8", "4.7", True),
        ("claude-sonnet-5", "5", True),
        ("claude-fable-5-1", "5", True),
        ("claude-whatever-comes", "5", True),
    ],
)
def test_a_name_tells_the_generation(model, name, newer):
    assert generation(model)[:2] == (name, newer)


def test_a_short_chat_counts_its_words_and_seven():
    # As recorded for all generations of the classic tokenizer.
    for model in ("claude-3-haiku-20240307", "claude-opus-4-1", SONNET, "claude-sonnet-4-6"):
        found = tokens(HELLO, model)
        assert (found.tokens, found.exact) == (13, False)
        assert 13 < found.upper <= 17


def test_each_turn_is_framed_and_messages_of_one_speaker_are_one_turn():
    one = tokens(HELLO).tokens
    answer = {"role": "assistant", "content": "Hello"}
    assert tokens([*HELLO, answer, *HELLO]).tokens == one + 1 + (one - 7) + 6
    assert tokens([*HELLO, *HELLO]).tokens == pytest.approx(2 * one - 7, abs=1)
    # An answer that is begun for the model takes the place of the one it would begin.
    assert tokens([*HELLO, answer]).tokens == one + 1


def test_the_newer_tokenizer_makes_more_of_a_text():
    text = "The quick brown fox jumps over the lazy dog. " * 20
    factor = coefficients().newer
    assert 1.05 < factor < 1.35
    classic, newer = count_tokens(text, SONNET), count_tokens(text, "claude-opus-4-8")
    assert newer == pytest.approx(classic * factor, abs=1)


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        (b" the", "common"),
        (b"123", "digits"),
        (b" ", "blank"),
        (b"\n\n", "blank"),
        (b".", "mark"),
        (b'":{"', "marks"),
        (" мир".encode(), "other"),
        (b"\xf0\x9f", "other"),
    ],
)
def test_a_token_has_a_kind(token, kind):
    assert kind_of(100, token) == kind


def test_words_are_common_or_rare_by_their_rank():
    assert kind_of(19_999, b" word") == "common"
    assert kind_of(20_000, b" word") == "usual"
    assert kind_of(80_000, b" word") == "rare"


def test_a_text_weighs_what_its_kinds_weigh():
    given = coefficients()
    text = "hello " * 2 + "42"
    ids = encoder("o200k_base")
    assert ids.exact
    kinds = [kind_of(number, ids.token(number)) for each in ids.encode(text) for number in each]
    weight = sum(getattr(given, kind) for kind in kinds)
    assert count_tokens_anthropic(text) == round(weight)
    assert count_tokens_anthropic("") == 0
    assert count_tokens_anthropic(" ") >= 1


def test_tools_bring_the_prompt_of_their_generation():
    for model in ("claude-3-haiku-20240307", SONNET, "claude-opus-4-8"):
        free, forced = coefficients().tools[generation(model).name]
        added = tokens(HELLO, model, tools=[TOOL]).tokens - tokens(HELLO, model).tokens
        assert free + 20 < added < free + 80
        required = tokens(HELLO, model, tools=[TOOL], tool_choice="required").tokens
        assert required - tokens(HELLO, model).tokens == pytest.approx(added - free + forced, abs=2)


def test_openais_and_anthropics_shapes_count_alike():
    openai = {
        "type": "function",
        "function": {
            "name": TOOL["name"],
            "description": TOOL["description"],
            "parameters": TOOL["input_schema"],
        },
    }
    function = {"name": "get_weather", "arguments": '{"city": "Rome"}'}
    ours = [
        {"role": "system", "content": "Be brief."},
        *HELLO,
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [{"id": "1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "1", "content": "Sunny"},
    ]
    theirs = [
        *HELLO,
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Let me see."},
                {"type": "tool_use", "id": "1", "name": "get_weather", "input": {"city": "Rome"}},
            ],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "1", "content": "Sunny"}],
        },
    ]
    chosen = {"type": "function", "function": {"name": "get_weather"}}
    assert tokens(ours, tools=[openai], tool_choice=chosen) == tokens(
        theirs,
        tools=[TOOL],
        system="Be brief.",
        tool_choice={"type": "tool", "name": "get_weather"},
    )


def test_tools_that_a_search_loads_later_and_tools_of_anthropics_own_count_nothing():
    later = {**TOOL, "defer_loading": True}
    server = {"type": "web_search_20250305", "name": "web_search"}
    assert tokens(HELLO, tools=[later, server]) == tokens(HELLO)


def test_thinking_with_a_budget_counts_and_between_tool_calls_more():
    budget = {"type": "enabled", "budget_tokens": 2048}
    beta = {"Anthropic-Beta": "interleaved-thinking-2025-05-14"}
    added = tokens(HELLO, thinking=budget).tokens - tokens(HELLO).tokens
    assert added == pytest.approx(coefficients().thinking, abs=1)
    plain = tokens(HELLO, tools=[TOOL], thinking=budget).tokens
    between = tokens(HELLO, tools=[TOOL], thinking=budget, extra_headers=beta).tokens
    assert between - plain == pytest.approx(coefficients().interleaved, abs=1)
    routed = tokens(HELLO, "openrouter/anthropic/claude-3.7-sonnet:thinking").tokens
    assert routed == tokens(HELLO, "claude-3-7-sonnet", thinking=budget).tokens


def test_a_model_that_cannot_think_between_tool_calls_is_not_counted_to():
    given = {"tools": [TOOL], "thinking": {"type": "enabled", "budget_tokens": 2048}}
    beta = {"anthropic-beta": "interleaved-thinking-2025-05-14"}
    asked = tokens(HELLO, "claude-3-7-sonnet-20250219", **given, extra_headers=beta)
    assert asked == tokens(HELLO, "claude-3-7-sonnet-20250219", **given)


def test_only_adaptive_thinking_may_add_to_a_prompt_without_a_budget():
    assert tokens(HELLO, thinking={"type": "disabled"}) == tokens(HELLO)
    assert tokens(HELLO, thinking={"type": "adaptive"}).upper > tokens(HELLO).upper


def test_one_tool_at_a_time_makes_the_prompt_of_later_generations_shorter():
    free = tokens(HELLO, tools=[TOOL]).tokens
    given = {"type": "auto", "disable_parallel_tool_use": True}
    serial = tokens(HELLO, tools=[TOOL], parallel_tool_calls=False)
    assert free - serial.tokens == pytest.approx(coefficients().serial, abs=1)
    assert tokens(HELLO, tools=[TOOL], tool_choice=given) == serial
    older = tokens(HELLO, "claude-opus-4-1", tools=[TOOL])
    assert tokens(HELLO, "claude-opus-4-1", tools=[TOOL], parallel_tool_calls=False) == older
    newer = tokens(HELLO, "claude-opus-5", tools=[TOOL])
    # Nothing is recorded of these: the bound stays where it was.
    assert tokens(HELLO, "claude-opus-5", tools=[TOOL], parallel_tool_calls=False).upper >= (
        newer.tokens
    )


def test_thinking_of_the_unfinished_turn_alone_is_sent_back():
    thought = {
        "type": "thinking",
        "thinking": "I should look that up. " * 10,
        "signature": "x" * 400,
    }
    function = {"name": "get_weather", "arguments": "{}"}
    calling = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "1", "type": "function", "function": function}],
        "provider_content": {"format": "anthropic", "content": [thought]},
    }
    without = {key: value for key, value in calling.items() if key != "provider_content"}
    answer = {"role": "tool", "tool_call_id": "1", "content": "Sunny"}
    during = tokens([*HELLO, calling, answer]).tokens - tokens([*HELLO, without, answer]).tokens
    assert during == pytest.approx(count_tokens(thought["thinking"], SONNET), abs=1)
    over = [answer, {"role": "assistant", "content": "Sunny."}, *HELLO]
    assert tokens([*HELLO, calling, *over]) == tokens([*HELLO, without, *over])


def test_an_answer_schema_counts_in_each_of_its_forms():
    schema = {"type": "object", "properties": {"answer": {"type": "string"}}}
    inner = {"name": "answer", "schema": schema}
    found = tokens(HELLO, response_format={"type": "json_schema", "json_schema": inner})
    assert found.tokens > tokens(HELLO).tokens + 100
    theirs = {"type": "json_schema", "schema": schema}
    assert tokens(HELLO, output_format=theirs) == found
    assert tokens(HELLO, output_config={"format": theirs}) == found
    assert tokens(HELLO, response_format={"type": "json_object"}) == tokens(HELLO)


def test_an_unknown_generations_tools_have_a_wide_upper_bound():
    known = tokens(HELLO, "claude-opus-4-8", tools=[TOOL])
    unknown = tokens(HELLO, "claude-opus-5-5", tools=[TOOL])
    assert unknown.upper > known.tokens
    assert unknown.upper - unknown.tokens > known.upper - known.tokens


def test_the_estimate_is_linear_in_its_coefficients():
    # What the fit relies on.
    given = coefficients()
    messages = [*HELLO, {"role": "assistant", "content": "héllo 42"}, *HELLO]
    params = {"tools": [TOOL], "thinking": {"type": "enabled"}}
    parts = 0.0
    for name in Coefficients.__struct_fields__:
        value = getattr(given, name)
        if name == "newer":
            continue
        alone = dict.fromkeys(Coefficients.__struct_fields__, 0.0) | {
            "newer": 1.0,
            "tools": dict.fromkeys(given.tools, (0.0, 0.0)),
            name: value,
        }
        found = ClaudeCounter(encoder("o200k_base"), SONNET, Coefficients(**alone))
        parts += found.estimate(messages, params).tokens
    nothing = ClaudeCounter(
        encoder("o200k_base"),
        SONNET,
        Coefficients(
            **dict.fromkeys(Coefficients.__struct_fields__, 0.0)
            | {"newer": 1.0, "tools": dict.fromkeys(given.tools, (0.0, 0.0))}
        ),
    ).estimate(messages, params)
    fields = len(Coefficients.__struct_fields__) - 1
    whole = ClaudeCounter(encoder("o200k_base"), SONNET).estimate(messages, params)
    assert whole.tokens == pytest.approx(parts - (fields - 1) * nothing.tokens)


def test_a_document_of_text_is_framed_and_citing_it_takes_a_prompt():
    def added(**document):
        content = [*[{"type": "text", "text": "Say hello in one word."}], document]
        return tokens([{"role": "user", "content": content}]).tokens - tokens(HELLO).tokens

    text = "Ruby was created by Yukihiro Matsumoto."
    source = {"type": "text", "media_type": "text/plain", "data": text}
    plain = added(type="document", source=source)
    assert plain == pytest.approx(45 + count_tokens(text, SONNET), abs=1)
    parts = {"type": "content", "content": [{"type": "text", "text": text}]}
    assert added(type="document", source=parts) == plain
    cited = added(type="document", source=source, citations={"enabled": True})
    assert cited - plain == 550
