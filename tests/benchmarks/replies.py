"""What the benchmark's server says, and what is asked of it, in the shapes the providers really use.

The chunks carry what OpenAI's and Anthropic's carry today (ids, fingerprints, nulls, padding), so
that decoding them costs what it costs in life.
"""

from __future__ import annotations

import json
from typing import Any

CHUNKS = (200, 2_000)
"""The lengths of the streams. Their difference is what a chunk costs, without the call around it."""

_ANSWER = "Light from the sun is scattered by the air, and blue light more than red. " * 4


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _words(count: int) -> list[str]:
    words = _ANSWER.split(" ")
    return [" " + words[position % len(words)] for position in range(count)]


# ------------------------------------------------------------------------------------ answers


def openai_answer() -> bytes:
    """A `chat.completion`."""
    message: dict[str, Any] = {"role": "assistant", "content": _ANSWER, "refusal": None}
    message["annotations"] = []
    return _json(
        {
            "id": "chatcmpl-CfPMwhpwBTFNuxIaWLbZYrUY8AIsb",
            "object": "chat.completion",
            "created": 1_763_800_000,
            "model": "gpt-4o-2024-08-06",
            "choices": [
                {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
            ],
            "usage": _openai_usage(60),
            "service_tier": "default",
            "system_fingerprint": "fp_b1442291a8",
        }
    )


def openai_events(count: int) -> list[bytes]:
    """The events of a streamed chat completion with `count` pieces of text."""
    head = {
        "id": "chatcmpl-CfPMwhpwBTFNuxIaWLbZYrUY8AIsb",
        "object": "chat.completion.chunk",
        "created": 1_763_800_000,
        "model": "gpt-4o-2024-08-06",
        "service_tier": "default",
        "system_fingerprint": "fp_b1442291a8",
    }

    def event(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        body = head | {"choices": [choice], "usage": None, "obfuscation": "aB3dE5fG"}
        return b"data: " + _json(body) + b"\n\n"

    usage = head | {"choices": [], "usage": _openai_usage(count), "obfuscation": "aB3"}
    return [
        event({"role": "assistant", "content": "", "refusal": None}),
        *(event({"content": word}) for word in _words(count)),
        event({}, "stop"),
        b"data: " + _json(usage) + b"\n\n",
        b"data: [DONE]\n\n",
    ]


def compatible_events(count: int) -> list[bytes]:
    """The same from a server that adds a field of its own to each choice, as vLLM does."""
    own = b'"logprobs":null,"stop_reason":null'
    return [event.replace(b'"logprobs":null', own) for event in openai_events(count)]


def _openai_usage(completion: int) -> dict[str, Any]:
    return {
        "prompt_tokens": 14,
        "completion_tokens": completion,
        "total_tokens": 14 + completion,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def anthropic_answer() -> bytes:
    """A message of Anthropic's API."""
    content = [{"type": "text", "text": _ANSWER}]
    return _json(_message() | {"content": content, "stop_reason": "end_turn"})


def anthropic_events(count: int) -> list[bytes]:
    """The events of a streamed message with `count` pieces of text."""

    def event(kind: str, **fields: Any) -> bytes:
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), _json({"type": kind} | fields))

    ending = {"stop_reason": "end_turn", "stop_sequence": None}
    deltas = ({"type": "text_delta", "text": word} for word in _words(count))
    return [
        event("message_start", message=_message()),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        event("ping"),
        *(event("content_block_delta", index=0, delta=delta) for delta in deltas),
        event("content_block_stop", index=0),
        event("message_delta", delta=ending, usage={"output_tokens": count}),
        event("message_stop"),
    ]


def _message() -> dict[str, Any]:
    return {
        "model": "claude-haiku-4-5-20251001",
        "id": "msg_01Pbuz2o3EhmZSoxm8CENJ8e",
        "type": "message",
        "role": "assistant",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 14,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 60,
            "service_tier": "standard",
        },
    }


# ----------------------------------------------------------------------------------- requests

SHORT: list[Any] = [{"role": "user", "content": "Why is the sky blue?"}]


_SYSTEM = "You are a careful engineer who works on one file at a time. " * 10
_TASK = "Find every handler in the project that forgets to close its body, and repair it. " * 3
_STEPS = 104


def agent_messages() -> list[dict[str, Any]]:
    """An agent's history of 210 messages: 104 tool calls and their results, about 80 KB."""
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": _SYSTEM},
        {"role": "user", "content": _TASK},
    ]
    for step in range(_STEPS):
        function = {"name": f"tool_{step % 20}", "arguments": json.dumps(_arguments(step))}
        call = {"id": f"call_{step:024}", "type": "function", "function": function}
        messages += [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call["id"], "content": _found(step)},
        ]
    return messages


def anthropic_agent() -> dict[str, Any]:
    """The same request, with its tools, as those who call Anthropic's SDK write it."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": _TASK}]
    for step in range(_STEPS):
        used, name = f"call_{step:024}", f"tool_{step % 20}"
        call = {"type": "tool_use", "id": used, "name": name, "input": _arguments(step)}
        result = {"type": "tool_result", "tool_use_id": used, "content": _found(step)}
        messages += [
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": [result]},
        ]
    tools = []
    for tool in agent_tools():
        function = tool["function"]
        schema = function.pop("parameters")
        tools.append({**function, "input_schema": schema})
    return {"messages": messages, "system": _SYSTEM, "tools": tools}


def agent_tools() -> list[dict[str, Any]]:
    """An agent's 20 tools, with six parameters each."""
    text = {"type": "string", "description": "What it is and how it is to be written."}
    names = ("path", "pattern", "start", "end", "replacement", "reason")
    parameters = {
        "type": "object",
        "properties": dict.fromkeys(names, text),
        "required": ["path"],
        "additionalProperties": False,
    }
    return [
        {
            "type": "function",
            "function": {
                "name": f"tool_{position}",
                "description": "Reads, searches or edits one file of the project. " * 3,
                "parameters": parameters,
            },
        }
        for position in range(20)
    ]


def _arguments(step: int) -> dict[str, Any]:
    return {"path": f"src/module_{step}.py", "pattern": "handler", "start": step}


def _found(step: int) -> str:
    return f"{step}: def handler(request): return respond(request.body)\n" * 9
