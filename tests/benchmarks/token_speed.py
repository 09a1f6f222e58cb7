"""Prints how long counting takes: python tests/benchmarks/token_speed.py."""

from __future__ import annotations

import json
import random
import time
import timeit
from typing import Any

from scallion._request import Request
from scallion._tokens_text import encoder
from scallion.tokens import count_tokens, estimate

WORDS = [
    "the",
    "a",
    "of",
    "to",
    "and",
    "in",
    "is",
    "it",
    "you",
    "that",
    "he",
    "was",
    "for",
    "on",
    "are",
    "with",
    "as",
    "his",
    "they",
    "be",
    "at",
    "one",
    "have",
    "this",
    "from",
    "by",
    "hot",
    "word",
    "but",
    "what",
    "some",
    "we",
    "can",
    "out",
    "other",
    "were",
    "all",
    "there",
    "when",
    "up",
    "use",
    "your",
    "how",
    "said",
    "an",
    "each",
    "she",
    "which",
    "do",
    "their",
    "time",
    "if",
    "will",
    "way",
    "about",
    "many",
    "then",
    "them",
    "write",
    "would",
    "like",
    "so",
    "these",
    "her",
    "long",
    "request",
    "pipeline",
    "middleware",
    "provider",
    "response",
    "streaming",
    "tokens",
    "budget",
    "measured",
    "compatibility",
]


def prose(chance: random.Random, words: int) -> str:
    return " ".join(chance.choice(WORDS) for _ in range(words))


def history(chance: random.Random, messages: int) -> list[dict[str, Any]]:
    """An agent's: a question, then calls and their results in turn."""
    made: list[dict[str, Any]] = [{"role": "system", "content": prose(chance, 200)}]
    while len(made) < messages:
        number = len(made)
        made.append({"role": "user", "content": prose(chance, 40)})
        function = {"name": "search", "arguments": json.dumps({"query": prose(chance, 6)})}
        call = {"id": f"call_{number}", "type": "function", "function": function}
        made.append({"role": "assistant", "content": None, "tool_calls": [call]})
        result = prose(chance, 80)
        made.append({"role": "tool", "tool_call_id": f"call_{number}", "content": result})
        made.append({"role": "assistant", "content": prose(chance, 60)})
    return made[:messages]


def tools(number: int) -> list[dict[str, Any]]:
    schema = {"type": "object", "properties": {"query": {"type": "string", "description": "What."}}}
    return [
        {
            "type": "function",
            "function": {"name": f"tool_{i}", "description": "Does it.", "parameters": schema},
        }
        for i in range(number)
    ]


def grown(model: str, params: dict[str, Any]) -> float:
    """Seconds for a history of 210 messages of which one is new."""
    chance = random.Random(7)
    messages = history(chance, 209)
    request = Request(model, messages, params)
    estimate(request)
    times = []
    for _ in range(200):
        newest = {"role": "user", "content": prose(chance, 30)}
        request = Request(model, [*messages, newest], params)
        start = time.perf_counter()
        estimate(request)
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 10]  # the machine may be busy with other things


def main() -> None:
    start = time.perf_counter()
    exact = encoder("o200k_base").exact
    print(f"o200k loaded: {exact}, in {time.perf_counter() - start:.2f} s")
    for model in ("gpt-4o", "claude-sonnet-4-5", "deepseek/deepseek-chat"):
        plain, armed = grown(model, {}), grown(model, {"tools": tools(20)})
        print(
            f"{model}: 210 messages with one new one: {plain * 1e6:.0f} µs (goal: 100),"
            f" with 20 tools: {armed * 1e6:.0f} µs"
        )
    first = history(random.Random(8), 210)
    start = time.perf_counter()
    estimate(Request("gpt-4o", first))
    print(f"210 messages, all new: {(time.perf_counter() - start) * 1e3:.1f} ms")

    text = prose(random.Random(9), 200_000)[:1_000_000]
    start = time.perf_counter()
    count_tokens(text, "gpt-4o")
    ours = time.perf_counter() - start
    import tiktoken

    encode = tiktoken.get_encoding("o200k_base").encode_ordinary
    theirs = min(timeit.repeat(lambda: encode(text), number=1, repeat=3))
    print(f"1 MB of text: {ours * 1e3:.0f} ms, tiktoken alone {theirs * 1e3:.0f} ms")
    for name, run in (("a", "a"), ("blank", " "), ("é", "é"), ("=-", "=-")):
        start = time.perf_counter()
        count_tokens(run * (1_000_000 // len(run)), "gpt-4o")
        print(f"a million of {name!r}: {(time.perf_counter() - start) * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
