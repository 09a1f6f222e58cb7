"""Fuzzing that watches which branches an input takes, with atheris: `pip install atheris` first.

    python tests/tools/fuzz.py                          # all targets, a minute each
    python tests/tools/fuzz.py sse audit --seconds 600  # some of them, longer
    python tests/tools/fuzz.py sse --input crash-…      # one input again

The fuzzers in `tests/hostile` know what is true of an input; these know only what must never happen,
and find inputs that nobody thought of. Each target runs in a process of its own. What it finds is
written to `--findings`, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    Target = Callable[[bytes], None]

TESTS = Path(__file__).parents[1]
KEYS = {f"{name}_API_KEY": "sk-test" for name in ("OPENAI", "ANTHROPIC", "OPENROUTER")}
MODELS = {"openai": "gpt-4o", "anthropic": "claude-sonnet-4-5", "openrouter": "x-ai/grok-4"}
PARAMS = {
    "temperature", "top_p", "max_tokens", "max_completion_tokens", "stop", "tools", "tool_choice",
    "response_format", "reasoning_effort", "user", "seed", "n", "extra_body", "extra_headers",
    "functions", "function_call", "logit_bias", "metadata_", "modalities", "audio", "prediction",
    "thinking", "system", "stream_options", "parallel_tool_calls", "web_search_options", "timeout",
}  # fmt: skip


# ------------------------------------------------------------------------------------- targets


def sse() -> Target:
    """Pieces of a body: the same events as those of the whole, read by the rules."""
    from hostile.test_fuzz_sse import fed, whole

    def run(data: bytes) -> None:
        size, limit, body = data[:1], data[1:2], data[2:]
        step = (size or b"\0")[0] + 1
        pieces = [body[at : at + step] for at in range(0, len(body), step)]
        assert fed(pieces) == fed([body]) == whole(body, 10**6)
        fed(pieces, (limit or b"\0")[0] + 1)

    return run


def _answers(name: str, *, stream: bool) -> Target:
    """A provider's body: an answer that can be used, or one of our errors."""
    import httpx2

    from scallion import build_pipeline, providers
    from scallion.exceptions import LLMClientError

    adapter = getattr(providers, name)(api_key="sk-test", base_url="http://127.0.0.1:9")
    llm = build_pipeline(provider=adapter, model=MODELS[name])
    others = [build_pipeline(provider=_unsent(each), model=MODELS[each]) for each in MODELS]
    kinds = ["text/event-stream", "application/json", "text/html", ""]
    said: list[Any] = [b"", 1, ""]

    async def pieces() -> AsyncIterator[bytes]:
        body, step, _ = said
        for at in range(0, len(body), step):
            yield body[at : at + step]

    async def answer(*_: Any, **__: Any) -> Any:
        return httpx2.Response(200, headers={"content-type": said[2]}, content=pieces())

    adapter.send = answer

    async def ask() -> None:
        try:
            if not stream:
                got = await llm.complete("Hi")
            else:
                async with llm.stream("Hi") as chunks:
                    async for chunk in chunks:
                        chunk.to_dict()
                got = chunks.result
        except LLMClientError as error:
            str(error)
            return
        got.model_dump_json()
        assert got.choices
        for other in others:
            with suppress(LLMClientError):
                await other.complete([{"role": "user", "content": "Hi"}, got.message])

    loop = asyncio.new_event_loop()

    def run(data: bytes) -> None:
        head, body = (data[:1] or b"\0")[0], data[1:]
        kind = kinds[head % 4] if head % 8 == 7 else kinds[0 if stream else 1]
        said[:] = [body, head * 4 + 1, kind]
        loop.run_until_complete(ask())

    return run


def _unsent(name: str) -> Any:
    """An adapter that makes the body of a request, and sends nothing."""
    from scallion import providers
    from scallion.exceptions import ServerError

    adapter = getattr(providers, name)(api_key="sk-test", base_url="http://127.0.0.1:9")

    async def send(request: Any, path: str, body: dict[str, Any], content: bytes, **_: Any) -> Any:
        adapter.made = json.loads(content)
        raise ServerError("nothing is sent")

    adapter.send = send
    adapter.made = None
    return adapter


def messages() -> Target:
    """Any JSON as a conversation: a body for each provider that each takes again, or a refusal."""
    from scallion import build_pipeline
    from scallion.exceptions import LLMClientError

    pipelines = [build_pipeline(provider=_unsent(name), model=MODELS[name]) for name in MODELS]

    async def ask(said: Any, params: dict[str, Any]) -> None:
        for llm in pipelines:
            llm.provider.made = None  # type: ignore[attr-defined]
            with suppress(LLMClientError):
                await llm.complete(said, **params)
            made = llm.provider.made  # type: ignore[attr-defined]
            if made is None or said is made.get("messages"):
                continue
            again = {name: made[name] for name in ("tools", "tool_choice") if name in made}
            for other in pipelines:
                with suppress(LLMClientError):
                    await other.complete(made.get("messages"), **again)

    loop = asyncio.new_event_loop()

    def run(data: bytes) -> None:
        given = _json(data)
        if isinstance(given, dict):
            params = {name: value for name, value in given.items() if name in PARAMS}
            loop.run_until_complete(ask(given.get("messages"), params))
        else:
            loop.run_until_complete(ask(given, {}))

    return run


def key() -> Target:
    """The key of any request that has one: whatever the order, and another one for another."""
    from scallion import Request
    from scallion.exceptions import LLMClientError
    from scallion.middlewares._cache import UNKEYED
    from scallion.middlewares._cache_key import canonical, request_key
    from scallion.providers import openai

    provider = openai(api_key="sk-test")

    def keyed(given: dict[str, Any]) -> str | None:
        params = {name: value for name, value in given.items() if name in PARAMS}
        try:
            request = Request("m", given.get("messages") or "Hi", params, provider=provider)
            canonical(request)
            return request_key(request)
        except (LLMClientError, *UNKEYED):
            return None

    def run(data: bytes) -> None:
        given = _json(data)
        if not isinstance(given, dict):
            return
        name = keyed(given)
        assert name == keyed(_turned(given))
        longer = {**given, "messages": [*_list(given.get("messages")), {"role": "user"}]}
        assert name is None or name != keyed(longer)
        assert name is None or name != keyed({**given, "seed": [given.get("seed")]})

    return run


def _turned(value: Any) -> Any:
    """The same with the keys of each object in the other order."""
    if isinstance(value, dict):
        return {name: _turned(inner) for name, inner in reversed(value.items())}
    return [_turned(inner) for inner in value] if isinstance(value, list) else value


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [{"role": "user", "content": "Hi"}]


def cassette() -> Target:
    """Any file as a recording: it replays, or says that it cannot. It is never written over."""
    from scallion import build_pipeline
    from scallion.exceptions import LLMClientError
    from scallion.middlewares import cache
    from scallion.stores import cassette as store

    path = Path(tempfile.mkdtemp()) / "tape.json"

    async def offline(request: Any) -> Any:
        raise AssertionError("replay asked the provider")

    async def ask() -> None:
        kept = store(path)
        llm = build_pipeline([cache(kept, mode="replay")], provider=offline, model="m")
        for stream in (False, True):
            with suppress(LLMClientError):
                if stream:
                    await llm.stream("one").collect()
                else:
                    (await llm.complete("one")).model_dump_json()
        await llm.aclose()

    loop = asyncio.new_event_loop()

    def run(data: bytes) -> None:
        path.write_bytes(data)
        loop.run_until_complete(ask())
        assert path.read_bytes() == data

    return run


def audit() -> Target:
    """Any file as an audit: a verdict. And whole only if it is as it was written."""
    from scallion.middlewares import JsonlSink
    from scallion.middlewares._audit_verify import verify

    folder = Path(tempfile.mkdtemp())
    path = folder / "audit.jsonl"
    sink = JsonlSink(path, chain=True, fsync="never")
    for number in range(3):
        sink.write({"n": number})
    sink.close()
    lines = path.read_bytes().splitlines()
    assert verify(path).ok

    def run(data: bytes) -> None:
        path.write_bytes(data)
        try:
            verdict = verify(path)
        except ValueError as error:
            assert "is no audit" in str(error)  # noqa: PT017 - or there is a verdict
            return
        if verdict.ok:
            assert [line for line in data.splitlines() if line in lines] == lines

    run.seeds = [b"\n".join(lines) + b"\n"]  # type: ignore[attr-defined]
    return run


def cli() -> Target:
    """Any words after the command: an exit code and a sentence."""
    from hostile.test_fuzz_cli import run as call

    def run(data: bytes) -> None:
        line, _, said = data.partition(b"\0\0")
        words = [os.fsdecode(word) for word in line.split(b"\0")]
        if words[0] in ("demo", "doctor"):
            return
        if words[0] == "chat":  # not with a provider that has to be called
            words = ["chat", "--model=fake/echo", *words[1:]]
            if any(word.startswith("--m") for word in words[2:]):
                return
        code, out, err = call(words, said)
        assert code in (0, 1, 2)
        assert "Traceback" not in out + err

    return run


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


TARGETS: dict[str, Callable[[], Target]] = {
    "sse": sse,
    **{name: lambda name=name: _answers(name, stream=False) for name in MODELS},  # type: ignore[misc]
    **{
        f"{name}-stream": lambda name=name: _answers(name, stream=True)  # type: ignore[misc]
        for name in MODELS
    },
    "messages": messages,
    "key": key,
    "cassette": cassette,
    "audit": audit,
    "cli": cli,
}


# --------------------------------------------------------------------------------------- seeds


def seeds(name: str) -> Iterable[bytes]:
    """What to begin with: an input of each kind that is as it should be."""
    from support.answers import completion, completion_stream, message, message_stream
    from support.histories import REDACTED, SEARCH, THINKING

    call = [("call_1", "f", '{"a": 1}')]
    anthropic = name.startswith("anthropic")
    if name.endswith("-stream") or name == "sse":
        say: Any = message_stream if anthropic else completion_stream
        for reply in (say("Hi ", "you"), say(tool_calls=call) if not anthropic else say("x")):
            yield b"\xff" + reply.body
        yield b"\xffdata: {}\r\n\r\n: x\r\revent: y\ndata\n\n"
    elif name in MODELS:
        yield b"\0" + (message("Hi") if anthropic else completion("Hi", tool_calls=call)).body
    elif name in ("messages", "key"):
        said = [
            {"role": "system", "content": "S"},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
            {"role": "assistant", "content": [THINKING, REDACTED, SEARCH]},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "ok"},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "x"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
        ]  # fmt: skip
        tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
        yield json.dumps({"messages": said, "tools": [tool], "tool_choice": "auto"}).encode()
        for one in said:
            yield json.dumps({"messages": [one], "stop": ["x"], "n": 1, "seed": 2}).encode()
    elif name == "cassette":
        yield _tape()
    elif name == "cli":
        for line in (
            "price gpt-4o --input 5 --json", "models --search gpt --can tools", "tokens -m x Hi",
            "tokens - --messages --model gpt-4o", "audit verify x.jsonl --last 3", "chat --system x",
        ):  # fmt: skip
            yield line.replace(" ", "\0").encode() + b'\0\0[{"role":"user","content":"Hi"}]'


def _tape() -> bytes:
    from scallion import build_pipeline
    from scallion.middlewares import cache
    from scallion.providers import fake
    from scallion.stores import cassette as store

    path = Path(tempfile.mkdtemp()) / "tape.json"

    async def record() -> None:
        layer = cache(store(path), mode="record")
        async with build_pipeline([layer], provider=fake(), model="m") as llm:
            await llm.stream("one").collect()

    asyncio.run(record())
    return path.read_bytes()


WORDS = [
    "data: ", "event: ", "[DONE]", "\n\n", "\r\n", "null", "true", "1e999", "-1", "\\ud800", "type", "role",
    "content", "error", "choices", "delta", "message", "finish_reason", "stop", "tool_calls", "function",
    "arguments", "usage", "prompt_tokens", "completion_tokens", "index", "content_block_start",
    "content_block_delta", "content_block_stop", "message_start", "message_delta", "message_stop",
    "text_delta", "input_json_delta", "partial_json", "thinking", "signature", "redacted_thinking", "text",
    "tool_use", "tool_result", "tool_use_id", "input", "id", "name", "image_url", "url", "source", "base64",
    "media_type", "document", "file", "file_data", "input_audio", "user", "assistant", "system", "tool",
    "format", "entries", "value", "answer", "tape", "said", "request", "seq", "prev", "hash", "hmac", "--json",
    "--messages", "--model", "--prices", "--provider", "--at", "reasoning", "refusal", "citations", "cache_control",
]  # fmt: skip


# ----------------------------------------------------------------------------------------- runs


def fuzz(name: str, arguments: argparse.Namespace) -> None:
    """Run one target in this process. Does not return."""
    import atheris

    sys.path.insert(0, str(TESTS))
    os.environ.update(KEYS)
    with atheris.instrument_imports(include=["scallion"]):
        target = TARGETS[name]()
        first = [*seeds(name), *getattr(target, "seeds", ())]
        for seed in first:
            target(seed)  # imports the rest
    work = Path(tempfile.mkdtemp())
    corpus = work / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(first):
        (corpus / str(number)).write_bytes(seed)
    words = ["".join(f"\\x{byte:02x}" for byte in word.encode()) for word in WORDS]
    (work / "words").write_text("".join(f'"{word}"\n' for word in words))
    options = [
        f"-max_total_time={arguments.seconds}", f"-dict={work / 'words'}", "-timeout=20",
        "-rss_limit_mb=3000", "-print_final_stats=1", "-max_len=6000", "-verbosity=0",
        f"-artifact_prefix={arguments.findings / name}-", str(corpus),
    ]  # fmt: skip
    if arguments.input is not None:
        options = [str(arguments.input)]
    atheris.Setup([sys.argv[0], *options], target)
    atheris.Fuzz()


def main() -> int:
    """Run the targets that were named, one after the other. Returns 1 if any found anything."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], metavar="TARGET")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--findings", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--input", type=Path, help="run one input, and nothing else")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        fuzz(arguments.targets[0], arguments)
    found = 0
    for name in arguments.targets or TARGETS:
        options = ["--here", f"--seconds={arguments.seconds}", f"--findings={arguments.findings}"]
        if arguments.input is not None:
            options.append(f"--input={arguments.input}")
        done = subprocess.run([sys.executable, __file__, name, *options], check=False)
        print(f"{name}: {'something was found' if done.returncode else 'nothing'}", flush=True)
        found = max(found, min(done.returncode, 1))
    return found


if __name__ == "__main__":
    sys.exit(main())
