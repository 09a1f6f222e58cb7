"""Content parts that hold something else than text where text is due, for either adapter."""

import io

import pytest

from scallion._request import Request
from scallion.exceptions import InvalidRequestError
from scallion.providers import anthropic, openai, openrouter

ADAPTERS = [anthropic(api_key="k"), openai(api_key="k"), openrouter(api_key="k")]
each_adapter = pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.name)


def body(adapter, content, role="user", **fields):
    history = [{"role": "user", "content": "Hi"}, {"role": role, "content": content, **fields}]
    return adapter.make_body(Request("m", history))


@each_adapter
@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"type": "text", "text": io.StringIO("x")}, "text is of type StringIO"),
        ({"type": "text", "text": ["x"]}, "text is of type list"),
        ({"type": "text", "content": "x"}, "without its text"),
        ({"type": "refusal", "refusal": 5}, "refusal is of type int"),
        ({"type": "image_url", "image_url": {"url": b"x"}}, "url is of type bytes"),
        ({"type": "image_url", "image_url": 5}, "url is of type int"),
        ({"type": "image_url", "image_url": {}}, "without its url"),
        ({"type": "file", "file": {"file_data": b"x"}}, "file_data is of type bytes"),
        ({"type": "file", "file": {"file_id": 5}}, "file_id is of type int"),
        (
            {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": 5}]},
            r"content\[0\]: a part of type 'text' whose text is of type int",
        ),
        (5, "must be an object, not int"),
        ({"text": "x"}, "without its type"),
    ],
)
def test_a_part_that_would_be_lost_is_refused_by_its_place(adapter, part, said):
    with pytest.raises(ValueError, match=rf"messages\[1\]: content\[1\]: .*{said}"):
        body(adapter, [{"type": "text", "text": "Sum up:"}, part])


@pytest.mark.parametrize("adapter", ADAPTERS[1:], ids=lambda adapter: adapter.name)
@pytest.mark.parametrize("data", [None, b"x", io.BytesIO(b"x")])
def test_audio_is_base64_text(adapter, data):
    part = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    with pytest.raises(ValueError, match=r"messages\[1\]: content\[0\]: .*input_audio.* data"):
        body(adapter, [part])


@each_adapter
def test_a_part_of_a_kind_that_is_not_known_here_is_the_provider_s_to_judge(adapter):
    part = {"type": "hologram", "hologram": {"data": 5}}
    assert body(adapter, [part])["messages"][-1]["content"][-1] == part


def test_thinking_that_somebody_else_wrote_is_no_thinking_of_claude_s():
    part = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    sent = body(ADAPTERS[0], [part, {"type": "text", "text": "Hi"}], "assistant")
    assert sent["messages"][1]["content"] == [{"type": "text", "text": "Hi"}]


@pytest.mark.parametrize(
    ("arguments", "sent"), [({"a": 1}, '{"a":1}'), (None, "{}"), ("", ""), ("{", "{")]
)
def test_openai_s_servers_get_a_tool_call_s_arguments_as_text(arguments, sent):
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}}
    (_, said) = body(ADAPTERS[1], None, "assistant", tool_calls=[call])["messages"]
    assert said["tool_calls"][0]["function"] == {"name": "f", "arguments": sent}


def test_arguments_that_are_no_json_are_refused():
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": b"{}"}}
    with pytest.raises(ValueError, match=r"messages\[1\]: a tool call whose arguments .* bytes"):
        body(ADAPTERS[1], None, "assistant", tool_calls=[call])


@each_adapter
async def test_the_caller_is_told_by_the_adapter_s_own_error(adapter):
    with pytest.raises(InvalidRequestError, match=r"messages\[0\]: content\[0\]") as raised:
        await adapter.complete([{"role": "user", "content": [{"type": "text"}]}], "m")
    assert raised.value.provider == adapter.name
