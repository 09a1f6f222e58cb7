"""Chunks into answers and back: two forms of one thing, however the stream is cut."""

import base64
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scallion._accumulate import Accumulator, accumulate, chunks_of, has_content
from scallion.types import (
    Choice,
    ChunkChoice,
    Delta,
    FunctionCall,
    Message,
    ModelResponse,
    StreamChunk,
    ToolCall,
    Usage,
)

few = settings(max_examples=60)  # each example is a whole answer


def chunk(finish_reason=None, index=0, **delta):
    """A chunk that says something about one choice."""
    choice = ChunkChoice(index=index, delta=Delta(**delta), finish_reason=finish_reason)
    return StreamChunk(choices=[choice])


def fragment(index=None, id=None, name=None, arguments=None, **more):
    """A fragment of a tool call."""
    function = None
    if name is not None or arguments is not None:
        function = FunctionCall(name=name, arguments=arguments)
    return ToolCall(index=index, id=id, function=function, **more)


def called(*deltas):
    """The calls that deltas of tool call fragments add up to: (id, name, arguments)."""
    answer = accumulate([chunk(tool_calls=list(fragments)) for fragments in deltas])
    return [
        (call.id, call.function and call.function.name, call.function and call.function.arguments)
        for call in answer.tool_calls
    ]


def details(*batches):
    """The reasoning details that batches of them add up to."""
    return accumulate(
        [chunk(reasoning_details=batch) for batch in batches]
    ).message.reasoning_details


# ------------------------------------------------------------------------------ there and back

texts = st.text(max_size=12)
labels = st.text("abc_", min_size=1, max_size=5)
json_values = st.recursive(
    st.booleans() | st.integers(-1000, 1000) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(labels, inner, max_size=2),
    max_leaves=4,
)
extras = st.none() | st.dictionaries(labels.map("x_{}".format), json_values, min_size=1, max_size=2)
parts = st.lists(
    st.fixed_dictionaries({"type": st.just("text"), "text": texts})
    | st.fixed_dictionaries({"type": st.just("image_url"), "image_url": json_values}),
    min_size=1,
    max_size=3,
)
functions = st.builds(
    FunctionCall, name=st.none() | labels, arguments=st.none() | texts, model_extra=extras
)
tool_calls = st.builds(
    ToolCall,
    id=labels,
    type=st.just("function"),
    function=functions.filter(lambda function: function != FunctionCall()),
    model_extra=extras,
)
custom_calls = st.builds(
    ToolCall,
    id=labels,
    type=st.just("custom"),
    model_extra=st.fixed_dictionaries(
        {"custom": st.fixed_dictionaries({"name": labels, "input": texts})}
    ),
)
reasoning_details = st.lists(
    st.fixed_dictionaries(
        {"type": labels, "index": st.integers(0, 9)},
        optional={"text": texts, "signature": st.none() | texts, "id": labels, "data": texts},
    ),
    max_size=3,
    unique_by=lambda detail: (detail["type"], detail["index"]),
)
messages = st.builds(
    Message,
    role=st.sampled_from(["assistant", "model"]),
    content=st.none() | texts | parts,
    name=st.none() | labels,
    tool_call_id=st.none() | labels,
    tool_calls=st.none()
    | st.lists(tool_calls | custom_calls, max_size=3, unique_by=lambda call: call.id),
    refusal=st.none() | texts,
    reasoning=st.none() | texts,
    reasoning_content=st.none() | texts,
    reasoning_details=st.none() | reasoning_details,
    annotations=st.none() | st.lists(json_values, max_size=2),
    audio=st.none() | st.fixed_dictionaries({"id": labels, "data": texts, "transcript": texts}),
    function_call=st.none() | functions,
    provider_content=st.none()
    | st.fixed_dictionaries({"format": labels, "content": st.lists(json_values, max_size=2)}),
    model_extra=extras,
)
logprobs = st.none() | st.fixed_dictionaries(
    {"content": st.none() | st.lists(json_values, max_size=2), "refusal": st.none()}
)
choices = st.builds(
    Choice,
    message=messages,
    finish_reason=st.none() | st.sampled_from(["stop", "length", "tool_calls"]),
    native_finish_reason=st.none() | labels,
    logprobs=logprobs,
    content_filter_results=st.none() | st.dictionaries(labels, json_values, max_size=2),
    model_extra=extras,
)
usages = st.builds(
    Usage, prompt_tokens=st.integers(0, 99), cost=st.none() | st.just(0.25), model_extra=extras
)


def numbered(some):
    for index, choice in enumerate(some):
        choice.index = index
    return some


answers = st.builds(
    ModelResponse,
    id=st.none() | texts,
    object=st.just("chat.completion"),
    created=st.none() | st.integers(0, 2**31),
    model=st.none() | texts,
    choices=st.lists(choices, max_size=3).map(numbered),
    usage=st.none() | usages,
    service_tier=st.none() | texts,
    system_fingerprint=st.none() | texts,
    prompt_filter_results=st.none() | st.lists(json_values, max_size=1),
    upstream_provider=st.none() | texts,
    model_extra=extras,
)


@few
@given(answers)
def test_an_answer_cut_into_chunks_adds_up_to_itself(answer):
    assert accumulate(chunks_of(answer)) == answer


@few
@given(answers)
def test_cutting_an_answer_into_chunks_leaves_it_as_it_was(answer):
    before = answer.to_dict()

    accumulate(chunks_of(answer)).choices.clear()

    assert answer.to_dict() == before


def test_choices_that_a_server_did_not_number_stay_apart():
    both = [Choice(message=Message(content="a")), Choice(message=Message(content="b"))]

    answer = accumulate(chunks_of(ModelResponse(choices=both)))

    assert [choice.message.content for choice in answer.choices] == ["a", "b"]


# ------------------------------------------------------------------------------ any way of cutting


def cut(draw, text):
    """`text` in pieces, empty ones included."""
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


def interleaved(draw, sequences):
    """One sequence with the items of each in their order."""
    rest = [list(sequence) for sequence in sequences if sequence]
    merged = []
    while rest:
        place = draw(st.integers(0, len(rest) - 1))
        merged.append(rest[place].pop(0))
        rest = [sequence for sequence in rest if sequence]
    return merged


@st.composite
def cut_streams(draw):
    """An answer, and a stream of it: every text and argument in pieces, choices interleaved."""
    answer = ModelResponse(object="chat.completion", id="1", model="m")
    streams = []
    for index in range(draw(st.integers(1, 2))):
        deltas = [[Delta(role="assistant")]]
        message = Message()
        for name in ("content", "reasoning", "refusal"):
            text = draw(st.none() | texts)
            if text is not None:
                setattr(message, name, text)
                deltas.append([Delta(**{name: piece}) for piece in cut(draw, text)])
        fragments = []
        for place in range(draw(st.integers(0, 3))):
            name, arguments = draw(labels), draw(texts)
            function = FunctionCall(name=name, arguments=arguments)
            call = ToolCall(id=f"call_{place}", type="function", function=function)
            message.tool_calls = [*(message.tool_calls or []), call]
            opening = fragment(place, call.id, name, "", type="function")
            rest = [fragment(place, None, None, piece) for piece in cut(draw, arguments)]
            fragments.append([Delta(tool_calls=[part]) for part in [opening, *rest]])
        deltas.append(interleaved(draw, fragments))
        if draw(st.booleans()):
            tokens = draw(st.lists(st.fixed_dictionaries({"token": texts}), max_size=4))
            probabilities = {"content": tokens, "refusal": None}
        else:
            probabilities = None
        answer.choices.append(
            Choice(index=index, message=message, finish_reason="stop", logprobs=probabilities)
        )
        stream = [ChunkChoice(index=index, delta=delta) for delta in interleaved(draw, deltas)]
        if probabilities is not None:
            for choice in stream:
                choice.logprobs = {"content": [], "refusal": None}
            stream[-1].logprobs = probabilities
        streams.append([*stream, ChunkChoice(index=index, finish_reason="stop")])
    chunks = [
        StreamChunk(id="1", model="m", choices=[choice]) for choice in interleaved(draw, streams)
    ]
    return answer, chunks


@few
@given(cut_streams())
def test_any_way_of_cutting_and_interleaving_adds_up_to_the_same_answer(case):
    answer, chunks = case

    assert accumulate(chunks) == answer


@few
@given(cut_streams(), st.data())
def test_chunks_may_be_merged_into_one(case, data):
    answer, chunks = case
    size = data.draw(st.integers(1, 4))
    merged = [
        StreamChunk(
            id="1", model="m", choices=[c for part in chunks[at : at + size] for c in part.choices]
        )
        for at in range(0, len(chunks), size)
    ]

    assert accumulate(merged) == answer


@few
@given(cut_streams())
def test_every_beginning_of_a_stream_adds_up_to_something_unfinished(case):
    answer, chunks = case
    accumulator = Accumulator()
    for part in chunks:
        assert not accumulator.finished or len(accumulator.build().choices) < len(answer.choices)
        accumulator.add(part)
    assert accumulator.finished


# ------------------------------------------------------------------------------ tool calls


def test_interleaved_calls_are_told_apart_by_their_index():
    assert called(
        [fragment(0, "a", "f", ""), fragment(1, "b", "g", "")],
        [fragment(1, arguments="[2")],
        [fragment(0, arguments="[1"), fragment(1, arguments="]")],
        [fragment(0, arguments="]")],
    ) == [("a", "f", "[1]"), ("b", "g", "[2]")]


def test_calls_are_in_the_order_of_their_index():
    assert called([fragment(1, "b", "g", "2")], [fragment(0, "a", "f", "1")]) == [
        ("a", "f", "1"),
        ("b", "g", "2"),
    ]


def test_a_new_id_under_the_same_index_is_another_call():
    assert called(
        [fragment(0, "a", "f", "[1")],
        [fragment(0, arguments="]")],
        [fragment(0, "b", "f", "[2")],
        [fragment(0, arguments="]")],
    ) == [("a", "f", "[1]"), ("b", "f", "[2]")]


def test_the_id_decides_if_calls_under_one_index_are_interleaved():
    assert called(
        [fragment(0, "a", "f", "[1")],
        [fragment(0, "b", "g", "[2")],
        [fragment(0, "a", arguments="]")],
        [fragment(0, "b", arguments="]")],
    ) == [("a", "f", "[1]"), ("b", "g", "[2]")]


def test_equal_ids_under_different_indices_are_different_calls():
    assert called([fragment(0, "x", "f", "1")], [fragment(1, "x", "g", "2")]) == [
        ("x", "f", "1"),
        ("x", "g", "2"),
    ]


def test_an_id_that_is_repeated_or_empty_changes_nothing():
    assert called(
        [fragment(0, "a", "f", "[")],
        [fragment(0, "a", "f", "1")],
        [fragment(0, "", "", "]")],
    ) == [("a", "f", "[1]")]


def test_an_id_may_come_later():
    assert called([fragment(0, None, "f", "[1")], [fragment(0, "a", None, "]")]) == [
        ("a", "f", "[1]")
    ]


def test_a_call_without_an_id_is_kept():
    assert called([fragment(0, None, "f", "{}")]) == [(None, "f", "{}")]


def test_a_new_name_after_arguments_is_another_call_if_nothing_else_tells():
    assert called([fragment(0, None, "f", "[1]")], [fragment(0, None, "g", "[2]")]) == [
        (None, "f", "[1]"),
        (None, "g", "[2]"),
    ]


@pytest.mark.parametrize("id", [None, ""])
@pytest.mark.parametrize("index", [None, 0])
@pytest.mark.parametrize("together", [False, True])
def test_arguments_that_come_whole_end_a_call_if_nothing_else_tells(id, index, together):
    fragments = [fragment(index, id, "f", f'{{"n": {n}}}') for n in range(3)]
    deltas = [fragments] if together else [[each] for each in fragments]

    assert called(*deltas) == [(id, "f", f'{{"n": {n}}}') for n in range(3)]


@pytest.mark.parametrize(
    "pieces", [('{"a": ', "{}", "}"), ("{", '"a": {}', "}"), ("[1]", "", ""), ("{}", "", ""), ("1", "2", "3")]
)  # fmt: skip
def test_a_name_that_is_repeated_with_each_piece_of_the_arguments_is_one_call(pieces):
    deltas = [[fragment(0, None, "f", piece)] for piece in pieces]

    assert called(*deltas) == [(None, "f", "".join(pieces))]


def test_without_an_index_the_last_call_goes_on():
    assert called(
        [fragment(None, "a", "f", "[1")],
        [fragment(None, None, None, "]")],
        [fragment(None, "b", "g", "[2")],
        [fragment(None, None, None, "]")],
    ) == [("a", "f", "[1]"), ("b", "g", "[2]")]


def test_an_index_that_is_only_in_the_first_fragment_is_enough():
    assert called(
        [fragment(0, "a", "f", "[1")],
        [fragment(None, None, None, "]")],
        [fragment(1, "b", "g", "[2")],
        [fragment(None, None, None, "]")],
    ) == [("a", "f", "[1]"), ("b", "g", "[2]")]


def test_without_an_index_the_id_finds_its_call():
    assert called(
        [fragment(None, "a", "f", "[1"), fragment(None, "b", "g", "[2")],
        [fragment(None, "a", None, "]"), fragment(None, "b", None, "]")],
    ) == [("a", "f", "[1]"), ("b", "g", "[2]")]


def test_several_calls_of_one_delta_without_index_and_id_are_different_calls():
    assert called([fragment(None, None, "f", "1"), fragment(None, None, "f", "2")]) == [
        (None, "f", "1"),
        (None, "f", "2"),
    ]


def test_what_is_no_function_is_kept_whole():
    custom = {"name": "shell", "input": "ec"}
    answer = accumulate(
        [
            chunk(tool_calls=[fragment(0, "a", type="custom", model_extra={"custom": custom})]),
            chunk(tool_calls=[fragment(0, model_extra={"custom": {"input": "ho"}})]),
        ]
    )

    assert answer.tool_calls == [
        ToolCall(id="a", type="custom", model_extra={"custom": {"name": "shell", "input": "echo"}})
    ]


def test_unknown_fields_of_a_call_and_its_function_are_kept():
    opening = ToolCall(
        index=0,
        id="a",
        function=FunctionCall(name="f", arguments="", model_extra={"x": 1}),
        model_extra={"signature": "s1", "note": "no"},
    )
    rest = ToolCall(index=0, model_extra={"signature": "s2", "note": "te"})

    (call,) = accumulate([chunk(tool_calls=[opening]), chunk(tool_calls=[rest])]).tool_calls

    assert (call.signature, call.note) == ("s2", "note")
    assert call.function.x == 1


def test_a_call_that_names_no_type_is_a_function():
    (call,) = accumulate([chunk(tool_calls=[fragment(0, "a", "f", "{}")])]).tool_calls

    assert call.type == "function"
    assert call.index is None


def test_an_empty_list_of_calls_is_not_none():
    assert accumulate([chunk(tool_calls=[], content="Hi")]).message.tool_calls == []
    assert accumulate([chunk(content="Hi")]).message.tool_calls is None


# ------------------------------------------------------------------------------ the end


@pytest.mark.parametrize(
    ("reasons", "stands"),
    [
        ([None, "stop"], "stop"),
        (["stop", "stop"], "stop"),
        (["tool_calls", "stop"], "tool_calls"),
        (["", "stop"], "stop"),
        (["", ""], ""),
        ([None, None], None),
    ],
)
def test_the_first_finish_reason_stands(reasons, stands):
    answer = accumulate([chunk(finish_reason=reason) for reason in reasons])

    assert answer.finish_reason == stands


@pytest.mark.parametrize("reason", [None, "", "error"])
def test_without_a_finish_reason_it_is_not_finished(reason):
    accumulator = Accumulator()
    assert not accumulator.finished
    accumulator.add(chunk(content="Hi", finish_reason=reason))
    assert not accumulator.finished


def test_every_choice_has_to_finish():
    accumulator = Accumulator()
    accumulator.add(chunk(index=1, content="b"))
    accumulator.add(chunk(index=0, content="a", finish_reason="stop"))
    assert not accumulator.finished
    accumulator.add(chunk(index=1, finish_reason="length"))
    assert accumulator.finished
    assert [choice.finish_reason for choice in accumulator.build().choices] == ["stop", "length"]


def test_usage_may_come_before_or_after_the_end_and_the_last_count_stands():
    early, late = Usage(total_tokens=1), Usage(total_tokens=9)

    answer = accumulate(
        [
            StreamChunk(usage=early),
            chunk(content="Hi", finish_reason="stop"),
            StreamChunk(usage=late),
        ]
    )

    assert answer.usage.total_tokens == 9
    assert accumulate([StreamChunk(usage=late), chunk(finish_reason="stop")]).usage == late


def test_a_usage_within_a_choice_counts_if_there_is_no_other():
    said = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11, "cached_tokens": 4}
    end = chunk(content="Hi", finish_reason="stop")
    end.choices[0].model_extra = {"usage": said}
    odd = chunk(content="Hi")
    odd.choices[0].model_extra = {"usage": "none"}

    assert accumulate([end]).usage.to_dict() == said
    assert accumulate([end, StreamChunk(usage=Usage(total_tokens=9))]).usage.total_tokens == 9
    assert accumulate([odd]).usage is None


def test_a_delta_after_the_end_still_counts():
    answer = accumulate([chunk(content="Hel", finish_reason="stop"), chunk(content="lo")])

    assert (answer.text, answer.finish_reason) == ("Hello", "stop")


def test_a_native_reason_is_kept_whenever_it_comes():
    native = ChunkChoice(native_finish_reason="end_turn")

    answer = accumulate([chunk(finish_reason="stop"), StreamChunk(choices=[native])])

    assert answer.choices[0].native_finish_reason == "end_turn"


# ------------------------------------------------------------------------------ content


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        ([None], None),
        ([""], ""),
        ([None, ""], ""),
        (["", None], ""),
        (["", "Hi", ""], "Hi"),
        ([[]], []),
        ([[], "Hi"], "Hi"),
        ([[{"type": "text", "text": "Hi"}]], [{"type": "text", "text": "Hi"}]),
        (
            ["", [{"type": "thinking", "thinking": "hm"}], "Hel", "lo"],
            [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Hello"}],
        ),
        (
            ["See ", [{"type": "image_url"}], "!"],
            [{"type": "text", "text": "See "}, {"type": "image_url"}, {"type": "text", "text": "!"}],
        ),
    ],
)  # fmt: skip
def test_empty_null_text_and_parts_are_told_apart(contents, expected):
    answer = accumulate([chunk(content=content) for content in contents])

    assert answer.message.content == expected


def test_the_first_role_that_says_something_stands():
    roles = [chunk(role=""), chunk(role="assistant"), chunk(role="user", content="Hi")]

    assert accumulate(roles).message.role == "assistant"
    assert accumulate([chunk(content="Hi")]).message.role == "assistant"


def test_texts_beside_the_content_grow():
    answer = accumulate(
        [
            chunk(reasoning="h", reasoning_content="x", refusal="n"),
            chunk(reasoning="m", reasoning_content="y", refusal="o"),
        ]
    )

    message = answer.message
    assert (message.reasoning, message.reasoning_content, message.refusal) == ("hm", "xy", "no")


def test_the_old_function_call_grows():
    answer = accumulate(
        [
            chunk(function_call=FunctionCall(name="f", arguments="")),
            chunk(function_call=FunctionCall(arguments="{", model_extra={"x": 1})),
            chunk(function_call=FunctionCall(arguments="}")),
        ]
    )

    call = answer.message.function_call
    assert (call.name, call.arguments, call.x) == ("f", "{}", 1)


def test_audio_grows_and_its_labels_are_replaced():
    answer = accumulate(
        [
            chunk(audio={"id": "audio_1", "transcript": "Hel", "data": "QU"}),
            chunk(audio={"id": "audio_1", "transcript": "lo", "data": "JD"}),
            chunk(audio={"expires_at": 1}),
            chunk(audio={"expires_at": 2, "data": None}),
        ]
    )

    assert answer.message.audio == {
        "id": "audio_1",
        "transcript": "Hello",
        "data": "QUJD",
        "expires_at": 2,
    }


def test_annotations_are_collected():
    assert accumulate([chunk(annotations=[1]), chunk(annotations=[2, 3])]).message.annotations == [
        1,
        2,
        3,
    ]


def test_the_providers_own_blocks_are_those_that_came_last():
    answer = accumulate([chunk(provider_content={"a": 1}), chunk(provider_content={"b": 2})])

    assert answer.message.provider_content == {"b": 2}


def test_log_probabilities_are_joined_token_by_token():
    def with_logprobs(value):
        return StreamChunk(choices=[ChunkChoice(logprobs=value)])

    answer = accumulate(
        [
            with_logprobs({"content": [1], "refusal": None}),
            with_logprobs({"content": None, "refusal": None}),
            with_logprobs({"content": [2], "refusal": None}),
        ]
    )

    assert answer.choices[0].logprobs == {"content": [1, 2], "refusal": None}


# ------------------------------------------------------------------------------ reasoning details


def test_fragments_of_one_block_are_joined():
    assert details(
        [{"type": "reasoning.text", "text": "h", "index": 0, "format": "anthropic-claude-v1"}],
        [{"type": "reasoning.text", "text": "m", "index": 0, "format": "anthropic-claude-v1"}],
        [{"type": "reasoning.text", "signature": "c2ln", "index": 0}],
    ) == [
        {
            "type": "reasoning.text",
            "text": "hm",
            "index": 0,
            "format": "anthropic-claude-v1",
            "signature": "c2ln",
        }
    ]


def test_blocks_differ_by_type_index_and_id():
    blocks = [
        {"type": "reasoning.text", "text": "a", "index": 0},
        {"type": "reasoning.text", "text": "b", "index": 1},
        {"type": "reasoning.encrypted", "data": "c", "index": 1},
        {"type": "reasoning.encrypted", "data": "d", "index": 1, "id": "rs_1"},
        {"type": "reasoning.encrypted", "data": "e", "index": 1, "id": "rs_2"},
    ]

    assert details(*[[block] for block in blocks]) == blocks


def test_interleaved_blocks_find_their_own():
    assert details(
        [{"type": "t", "text": "a", "index": 0}, {"type": "t", "text": "x", "index": 1}],
        [{"type": "t", "text": "b", "index": 0}, {"type": "t", "text": "y", "index": 1}],
    ) == [{"type": "t", "text": "ab", "index": 0}, {"type": "t", "text": "xy", "index": 1}]


def test_blocks_without_an_index_are_one_only_if_they_came_one_by_one():
    a, b = {"type": "s", "summary": "a"}, {"type": "s", "summary": "b"}

    assert details([a], [b]) == [{"type": "s", "summary": "ab"}]
    assert details([a, b]) == [a, b]


def test_details_that_are_no_objects_are_kept_in_their_place():
    assert details(["odd", {"type": "t", "text": "a", "index": 0}, None], [{}]) == [
        "odd",
        {"type": "t", "text": "a", "index": 0},
        None,
        {},
    ]


# ------------------------------------------------------------------------------ the head


def test_the_head_is_that_of_the_first_chunk_that_says_something():
    azure = StreamChunk(id="", model="", prompt_filter_results=[{"prompt_index": 0}])
    first = StreamChunk(id="1", model="m", created=5, choices=[ChunkChoice()])
    last = StreamChunk(
        id="1", service_tier="flex", upstream_provider="X",
        choices=[ChunkChoice(finish_reason="stop")],
    )  # fmt: skip

    answer = accumulate([azure, first, chunk(content="Hi"), last])

    assert (answer.id, answer.model, answer.created) == ("1", "m", 5)
    assert (answer.service_tier, answer.upstream_provider) == ("flex", "X")
    assert answer.prompt_filter_results == [{"prompt_index": 0}]


def test_unknown_fields_of_chunks_and_choices_are_kept_and_the_last_value_stands():
    def extra(**fields):
        choice = ChunkChoice(model_extra={f"choice_{name}": v for name, v in fields.items()})
        return StreamChunk(choices=[choice], model_extra=fields)

    answer = accumulate([extra(citations=["a"]), extra(citations=["a", "b"], more=1)])

    assert answer.model_extra == {"citations": ["a", "b"], "more": 1}
    assert answer.choices[0].model_extra == {"choice_citations": ["a", "b"], "choice_more": 1}


def test_unknown_fields_of_deltas_grow_as_the_content_does():
    def extra(**fields):
        return chunk(model_extra=fields)

    answer = accumulate(
        [
            extra(thoughts="h", tokens=[1], channel="analysis", box={"a": "x", "n": 1}, n=1),
            extra(thoughts="m", tokens=[2], channel="analysis", box={"a": "y", "n": 2}, n=2),
            extra(thoughts=None, n="odd"),
        ]
    )

    assert answer.message.model_extra == {
        "thoughts": "hm",
        "tokens": [1, 2],
        "channel": "analysis",
        "box": {"a": "xy", "n": 2},
        "n": "odd",
    }


def test_nothing_adds_up_to_an_empty_answer():
    assert accumulate([]) == ModelResponse(object="chat.completion")


# ------------------------------------------------------------------------------ starting anew


def test_a_restarted_chunk_voids_what_came_before():
    again = chunk(content="Ho")
    again.restarted = True
    before = StreamChunk(
        id="1",
        model="first",
        choices=[
            ChunkChoice(delta=Delta(content="Hel", reasoning="hm", tool_calls=[fragment(0, "a")])),
            ChunkChoice(index=1, delta=Delta(content="x"), finish_reason="stop"),
        ],
        usage=Usage(total_tokens=9),
        model_extra={"x": 1},
    )

    answer = accumulate([before, again, chunk(content="la", finish_reason="stop")])

    assert answer == ModelResponse(
        object="chat.completion",
        choices=[Choice(message=Message(content="Hola"), finish_reason="stop")],
    )


# ------------------------------------------------------------------------------ linear time

MANY = 4_000


def long_stream(count):
    """A stream in which everything that can grow grows in every chunk."""
    for number in range(count):
        yield StreamChunk(
            choices=[
                ChunkChoice(
                    delta=Delta(
                        role="assistant",
                        content="text " * 20,
                        reasoning="text " * 20,
                        refusal="text",
                        reasoning_details=[{"type": "t", "index": 0, "text": "text " * 20}],
                        annotations=[{"type": "url_citation"}],
                        audio={"data": "QUJD" * 100, "transcript": "text"},
                        tool_calls=[
                            fragment(0, None, "f", "argument" * 10),
                            fragment(number, f"call_{number}", "g", "{}"),
                        ],
                        function_call=FunctionCall(name="f", arguments="argument"),
                        model_extra={"thoughts": "text " * 20, "tokens": [number]},
                    ),
                    logprobs={"content": [{"token": "t"}], "refusal": None},
                )
            ],
            model_extra={"x": number},
        )


def test_the_time_to_add_up_grows_as_the_stream_does():
    def seconds(chunks):
        times = []
        for _ in range(3):
            began = time.process_time()
            accumulate(chunks)
            times.append(time.process_time() - began)
        return min(times)

    short, long = list(long_stream(MANY // 8)), list(long_stream(MANY))

    # Eight times as long takes eight times as long; quadratic growth would take 64.
    assert seconds(long) < 24 * seconds(short)


def test_an_image_that_comes_in_a_stream_is_content():
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}

    assert has_content(StreamChunk.of("", model_extra={"images": [image]}))
    assert not has_content(StreamChunk.of("", model_extra={"images": []}))
    assert not has_content(StreamChunk.of("", model_extra={"channel": "x"}))


@pytest.mark.parametrize("sizes", [(3, 6, 5), (1, 2, 4), (5,), (1, 1)])
def test_sound_in_pieces_that_are_encoded_one_by_one_is_whole(sizes):
    sounds = [bytes(range(size)) for size in sizes]
    pieces = [{"data": base64.b64encode(sound).decode()} for sound in sounds]
    chunks = [StreamChunk.of(None, audio=piece) for piece in [{"id": "a"}, *pieces]]

    audio = accumulate([*chunks, StreamChunk.of(None, audio={"transcript": "Hi"})]).message.audio

    assert base64.b64decode(audio["data"]) == b"".join(sounds)
    assert (audio["id"], audio["transcript"]) == ("a", "Hi")


def test_sound_that_is_no_base64_is_left_as_it_came():
    chunks = [StreamChunk.of(None, audio={"data": data}) for data in ("=", "x")]

    assert accumulate(chunks).message.audio == {"data": "=x"}
