"""Prints how well tokens are estimated: python tests/benchmarks/token_accuracy.py FOLDER [--worst].

FOLDER holds recorded requests, one a line, in `openai_chat.jsonl`, `openai_responses.jsonl`,
`anthropic_messages.jsonl`, `openrouter.jsonl` and the same with `.multimodal` and `.hidden_context`
(whose count has parts that the request does not show). The coefficients for Claude and for other
models were fitted; what they do on requests that they were not fitted to is printed by
`tests/tools/fit_tokens.py`.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from scallion.tokens import TokenEstimate, estimate


@dataclass
class Asked:
    """A request as `estimate` takes it."""

    model: str
    messages: tuple[dict[str, Any], ...]
    params: dict[str, Any]


@dataclass
class Estimated:
    """A recorded request and what we say of it."""

    row: dict[str, Any]
    said: TokenEstimate

    @property
    def truth(self) -> int:
        return int(self.row["reported_input_tokens"])

    @property
    def error(self) -> float:
        return self.said.tokens / self.truth - 1


# Goals of the issue, by group: the share that must be right (to within so many tokens), or the
# median and the 95th percentile of the relative error.
GOALS = {
    "OpenAI, text": "exact on 99 %",
    "OpenAI, text, reasoning": "within 1 on 95 %",
    "OpenAI, tools": "median 2 %, p95 8 %",
    "Claude, text": "median 4 %, p95 12 %",
    "Claude, tools": "median 5 %, p95 15 %",
}


def request_of(row: dict[str, Any]) -> Asked:
    """A recorded request in OpenAI's shape."""
    prefix = "openrouter/" if row["provider"] == "openrouter" else ""
    params = {**row["params"], "tools": row["tools"]}
    if row.get("functions"):
        params["functions"] = row["functions"]
    messages: list[dict[str, Any]]
    if "input" in row:
        messages = responses_messages(row["input"])
        if row.get("instructions"):
            messages.insert(0, {"role": "system", "content": row.get("instructions")})
        text = params.get("text")
        if isinstance(text, dict) and isinstance(text.get("format"), dict):
            params["response_format"] = text["format"]
    elif row["provider"] == "anthropic":
        messages = list(anthropic_messages(row))
        if row.get("anthropic_beta"):
            params["extra_headers"] = {"anthropic-beta": row["anthropic_beta"]}
    else:
        messages = row["messages"]
    return Asked(prefix + row["model"], tuple(messages), params)


def anthropic_messages(row: dict[str, Any]) -> Any:
    """Anthropic's blocks as OpenAI-style messages."""
    if row["system"]:
        yield {"role": "system", "content": row["system"]}
    for message in row["messages"]:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        results = [block for block in blocks if block["type"] == "tool_result"]
        for result in results:
            yield {"role": "tool", "tool_call_id": "", "content": result.get("content") or ""}
        uses = [block for block in blocks if block["type"] == "tool_use"]
        rest = [block for block in blocks if block["type"] not in ("tool_result", "tool_use")]
        calls = [
            {
                "id": use["id"],
                "type": "function",
                "function": {"name": use["name"], "arguments": json.dumps(use["input"])},
            }
            for use in uses
        ]
        if rest or calls:
            made = {"role": message["role"], "content": rest}
            yield made | ({"tool_calls": calls} if calls else {})


def responses_messages(given: Any) -> list[dict[str, Any]]:
    """The input of OpenAI's Responses as OpenAI-style messages."""
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    messages: list[dict[str, Any]] = []
    for item in given:
        kind = item.get("type", "message")
        if kind == "message":
            messages.append(item)
        elif kind == "function_call":
            function = {"name": item["name"], "arguments": item["arguments"]}
            call = {"id": item["call_id"], "type": "function", "function": function}
            if messages and messages[-1].get("tool_calls"):
                messages[-1]["tool_calls"].append(call)
            else:
                messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        elif kind == "function_call_output":
            messages.append({"role": "tool", "content": item["output"]})
    return messages


def group_of(row: dict[str, Any], kind: str) -> str:
    model = row["model"].rpartition("/")[2]
    if "claude" in model:
        owner = "Claude"
    elif row["provider"] == "openai" or (row["model"].startswith("openai/") and "oss" not in model):
        owner = "OpenAI"
    else:
        return f"other models{kind}"
    if row["provider"] == "openrouter":
        owner += " over OpenRouter"
    elif row["endpoint"] == "responses":
        owner += " Responses"
    if kind:
        return owner + kind
    tools = row["tools"] or row.get("functions") or uses_tools(row)
    schema = row["params"].get("response_format") or row["params"].get("text")
    schema = schema or row["params"].get("output_format") or row["params"].get("output_config")
    what = "tools" if tools else "answer schema" if schema else "text"
    reasoning = model.startswith(("o1", "o3", "o4", "gpt-5", "codex")) and "-chat" not in model
    return f"{owner}, {what}{', reasoning' if reasoning and what == 'text' else ''}"


def uses_tools(row: dict[str, Any]) -> bool:
    written = json.dumps(row.get("messages") or row.get("input"))
    return any(f'"{name}"' in written for name in ("tool_calls", "tool_use", "function_call"))


def main() -> None:
    folder = Path(sys.argv[1])
    groups: dict[str, list[Estimated]] = defaultdict(list)
    for path in sorted(folder.glob("*.jsonl")):
        kind = path.name.partition(".")[2].removesuffix("jsonl").strip(".")
        for line in path.read_text().splitlines():
            row = json.loads(line)
            group = group_of(row, f", {kind.replace('_', ' ')}" if kind else "")
            groups[group].append(Estimated(row, estimate(request_of(row))))

    for group, found in sorted(groups.items()):
        errors = sorted(abs(each.error) for each in found)
        p95 = errors[min(len(errors) - 1, int(len(errors) * 0.95))]
        exact = sum(each.said.tokens == each.truth for each in found) / len(found)
        near = sum(abs(each.said.tokens - each.truth) <= 1 for each in found) / len(found)
        held = sum(each.said.upper >= each.truth for each in found) / len(found)
        above = median(each.said.upper / each.truth for each in found) - 1
        goal = f"   (goal: {GOALS[group]})" if group in GOALS else ""
        print(f"{group}: {len(found)} requests{goal}")
        print(
            f"    exact {exact:.1%}, within 1 {near:.1%}, median {median(errors):.1%}, p95 {p95:.1%}"
        )
        print(f"    upper holds on {held:.1%}, {above:.0%} above at the median")
        if "--worst" in sys.argv:
            for each in sorted(found, key=lambda each: -abs(each.error))[:8]:
                source = each.row["source"]["path"][-60:]
                print(f"      {each.said} of {each.truth}: {each.row['model']} {source}")


if __name__ == "__main__":
    main()
