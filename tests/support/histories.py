"""Messages in OpenAI's shape, and blocks of Anthropic's, for tests of conversions."""

from __future__ import annotations

import json
from typing import Any

from scallion.providers._anthropic_response import from_anthropic

EPHEMERAL = {"type": "ephemeral"}
THINKING = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
REDACTED = {"type": "redacted_thinking", "data": "ZW5j"}
USE = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"b": 1, "a": [2.0]}}
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"q": "x"}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}


def user(content: Any, **fields: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **fields}


def assistant(content: Any = None, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **fields}


def called(*ids: str, name: str = "weather", arguments: Any = "{}", **fields: Any) -> Any:
    function = {"name": name, "arguments": arguments}
    calls = [{"id": i, "type": "function", "function": function} for i in ids]
    return assistant(tool_calls=calls, **fields)


def result(of: str, content: Any = "ok", **fields: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": of, "content": content, **fields}


def text(words: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **fields}


def returned(*blocks: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The message of an answer, after a stay in somebody's database."""
    message = from_anthropic({"type": "message", "content": list(blocks)}).message
    return json.loads(json.dumps(message.to_dict())) | changes
