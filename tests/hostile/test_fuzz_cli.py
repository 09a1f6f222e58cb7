"""Any words after `scallion`: an exit code and a sentence, never a traceback.

The command is called as the console script calls it, in this process: an exception is a traceback.
`demo` and `doctor` take their time and hardly any arguments; `chat` is given nothing to say.
"""

import io
import json
import sys

import pytest
from hostile.effort import examples
from hypothesis import example, given
from hypothesis import strategies as st

from scallion.__main__ import COMMANDS, main

KEYS = ["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENROUTER_API_KEY"]

models = st.sampled_from(
    [
        "gpt-4o", "claude-sonnet-4-5", "openrouter/z-ai/glm-4.6", "openai/gpt-4o", "o1", "fake/echo",
        "fake/", "/", "//", "qwen/qwen3", "", " ", "gpt-4o-", "GPT-4O", "openrouter/", "*",
    ]
)  # fmt: skip
numbers = st.sampled_from(
    ["0", "1", "-1", "1,000", "1_0", "1e3", "9" * 25, "9" * 5_000, "٣", "", "nan", "1.5", "0x10"]
)
files = st.sampled_from(
    [".", "/", "/dev/null", "no/such/file", "no.json", "\x00", "x" * 5_000, "-", "--", "genai-prices", "~"]
)  # fmt: skip
texts = st.text(max_size=8) | st.sampled_from(
    ["\udcff", "\ud800", "\x1b[2J", "%s", "{}", "\n", "日" * 50]
)
words = st.one_of(models, numbers, files, texts)

OPTIONS = {
    "price": [
        "--input", "--output", "--cached", "--cache-write", "--cache-write-1h", "--audio-input",
        "--image-input", "--reasoning", "--audio-output", "--image-output", "--searches", "--provider",
        "--tier", "--batch", "--at", "--prices", "--json",
    ],
    "models": ["--provider", "--search", "--can", "--prices", "--json"],
    "tokens": ["--model", "--messages", "--json"],
    "audit": ["verify", "--json", "--last", "--partial"],
    "chat": ["--model=fake/echo", "--system", "--max-tokens", "--temperature", "--json"],
}  # fmt: skip


@st.composite
def command_lines(draw):
    command = draw(st.sampled_from(sorted(OPTIONS)))
    first = {
        "price": [draw(models | words)],
        "tokens": [draw(words)],
        "audit": ["verify", draw(words)],
    }
    rest = draw(
        st.lists(
            st.one_of(
                st.tuples(st.sampled_from(OPTIONS[command])),
                st.tuples(st.sampled_from(OPTIONS[command]), words),
                st.tuples(st.sampled_from(OPTIONS[command]), numbers),
                st.tuples(words),
            ),
            max_size=4,
        )
    )
    return [command, *first.get(command, []), *[word for pair in rest for word in pair]]


@pytest.fixture(scope="module")
def _alone(tmp_path_factory):
    """No keys, and a folder with nothing in it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in KEYS:
            patch.delenv(name, raising=False)
        patch.chdir(tmp_path_factory.mktemp("empty"))
        yield


def run(line, said=b""):
    """The exit code, and what was written to the two outputs."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(said), "utf-8", "surrogateescape"))
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        try:
            code = main(line)
        except SystemExit as stopped:
            code = stopped.code
        for stream in (out, err):
            stream.flush()
            stream.seek(0)
        return code, out.read(), err.read()


@pytest.mark.usefixtures("_alone")
@examples(300)
@given(command_lines(), st.binary(max_size=12) | st.sampled_from([b"Hi", b"[]", b"{}", b"\xff"]))
@example(["tokens", "\udcff"], b"")
@example(["price", "gpt-4o", "--input", "9" * 25], b"")
@example(["price", "gpt-4o", "--input", "9" * 4_000], b"")
@example(["price", "gpt-4o", "--at", "0001-01-01", "--input", "1"], b"")
@example(["chat", "--system", "\udcff"], b"Hi")
@example(["chat", "--temperature", "nan"], b"Hi")
def test_no_words_after_the_command_end_in_a_traceback(line, said):
    code, out, err = run(line, said)

    assert code in (0, 1, 2)
    assert "Traceback" not in out + err
    assert out or err
    if code == 2:
        assert err.strip()
    if code == 0 and "--json" in line and line[0] != "chat" and "--help" not in line:
        json.loads(out)


@pytest.mark.usefixtures("_alone")
@examples(150)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | texts,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["role", "content", "messages", "type", "text", "image_url", "url", "tools", "x",
                     "tool_calls", "function", "file", "model", "name", "arguments", "input_audio"]
                ),
                inner | st.sampled_from(["user", "text", "image_url", "assistant", "tool", "file"]),
                max_size=4,
            )
        ),
        max_leaves=8,
    ),
    st.sampled_from(["gpt-4o", "claude-sonnet-4-5", "llama"]),
)  # fmt: skip
@example([{"role": "user", "content": "\ud800"}], "gpt-4o")
@example([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": 5}}]}], "gpt-4o")
@example({"messages": [{"role": "user", "content": "Hi"}], "tools": [5]}, "claude-sonnet-4-5")
def test_any_json_is_counted_or_refused_in_a_sentence(said, model):
    line = ["tokens", "-", "--messages", "--model", model]
    code, out, err = run(line, json.dumps(said).encode())

    assert code in (0, 2)
    assert (code == 0) == bool(out)
    assert code == 0 or err.startswith("scallion tokens: ")


@pytest.mark.usefixtures("_alone")
@examples(60)
@given(st.binary(max_size=80))
@example(b"[" * 100_000)
@example(b'{"models": ' + b"[" * 100_000)
@example(b'{"gpt-4o": {"input": -1}}')
@example(b'{"gpt-4o": {"input": 1e400, "output": "NaN"}}')
@example(b'[{"model": "gpt-4o"}]')
def test_any_file_of_prices_is_read_or_refused_in_a_sentence(tmp_path, content):
    path = tmp_path / "prices.json"
    path.write_bytes(content)
    for line in (["price", "gpt-4o", "--input", "1"], ["models", "--search", "gpt-4o"]):
        code, out, err = run([*line, "--prices", str(path)])
        assert code in (0, 1, 2)
        assert out or err


@pytest.mark.usefixtures("_alone")
@pytest.mark.parametrize("command", sorted(COMMANDS))
@pytest.mark.parametrize(
    "word", ["\udcff", "--", "-", "--no-such", "\x00", "", "--json=5", "-h\udcff"]
)
def test_every_command_takes_odd_words_for_what_they_are(command, word):
    if (command, word) in {("demo", "--"), ("doctor", "--")}:
        return  # these run, and that takes time: see test_demo and test_cli_figures
    code, out, err = run([command, word], b"Hi")
    assert code in (0, 1, 2)
    assert out or err
