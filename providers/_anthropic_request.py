"""A chat request in OpenAI's shape as the body of Anthropic's Messages API.

Parameters with the value `None` are taken as not given. What happens to the others:

| OpenAI's parameter | in Anthropic's body |
|---|---|
| `max_completion_tokens`, `max_tokens` | `max_tokens` (required there: else the model's limit) |
| `stop` | `stop_sequences`; blank ones are dropped, because Anthropic refuses them |
| `tools`, `functions` | `tools`; Anthropic's own kinds of tools untouched |
| `tool_choice`, `function_call` | `tool_choice`; `allowed_tools` also filters `tools` |
| `parallel_tool_calls` | `tool_choice.disable_parallel_tool_use` |
| `response_format` json_schema | `output_config.format`, which enforces it |
| `response_format` json_object | an instruction in the system prompt: there is no native mode |
| `reasoning_effort` | `output_config.effort` and adaptive `thinking`; on older models a budget |
| `temperature` | itself, capped at 1 as Anthropic's own OpenAI-compatible endpoint does; see below |
| `top_p` | itself, unless it is 1, which means nothing; see below |
| `user`, `safety_identifier` | `metadata.user_id` |
| `service_tier` | `auto` where priority capacity may be used, else `standard_only` |
| `metadata` | `metadata.user_id`, if it has one; OpenAI's labels are dropped |
| `seed`, `store`, `prediction`, `prompt_cache_*`, `stream`, `stream_options` | dropped |
| `n`, `logprobs`, `top_logprobs`, `logit_bias`, `frequency_penalty`, `presence_penalty` | `ValueError`, if they ask for anything |
| `modalities`, `audio`, `verbosity`, `web_search_options`, `moderation` | the same |
| any other (`thinking`, `top_k`, `system`, `mcp_servers`, …) | itself: it is Anthropic's own |

Sampling parameters (`temperature`, `top_p`, `top_k`) are gone from Claude 4.7 on, which refuses
them; for those models they are dropped, as OpenRouter does, so that a request written for another
model can fall back to Claude. For the others they need `anthropic-version: 2023-06-01`: the next
version refuses them from every model. Of `temperature` and `top_p`, Claude 4.1 to 4.6 takes only
one ("cannot both be specified for this model"): `top_p` goes, unless the temperature is 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ._anthropic_content import Block, blocks_of, text_block
from ._anthropic_messages import convert_messages, lacks_thinking
from ._anthropic_schema import enforceable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scallion._models import ModelInfo

_DROPPED = frozenset(
    {
        "seed", "store", "prediction", "stream", "stream_options", "prompt_cache_key",
        "prompt_cache_options", "prompt_cache_retention",
    }
)  # fmt: skip

# The values that ask for nothing, and what to do about any other.
_REFUSED: dict[str, tuple[tuple[Any, ...], str]] = {
    "n": ((1,), "send the request several times"),
    "logprobs": ((False,), "Claude gives none; leave it out"),
    "top_logprobs": ((0,), "Claude gives none; leave it out"),
    "logit_bias": (({},), "leave it out"),
    "frequency_penalty": ((0,), "leave it out"),
    "presence_penalty": ((0,), "leave it out"),
    "modalities": ((["text"],), "Claude answers in text only"),
    "audio": ((), "Claude answers in text only"),
    "verbosity": (("medium",), "ask for it in the system message, or set output_config.effort"),
    "web_search_options": (
        (),
        'add {"type": "web_search_20260209", "name": "web_search"} to the tools instead',
    ),
    "moderation": ((), "leave it out"),
}

_SAMPLING = ("temperature", "top_p", "top_k")
_TIERS = {
    "auto": "auto",
    "priority": "auto",
    "scale": "auto",
    "fast": "auto",
    "default": "standard_only",
    "flex": "standard_only",
}
_EFFORTS = {"none": "low", "minimal": "low"}  # Anthropic's lowest
# The part of max_tokens that may be spent on thinking: OpenRouter's published shares.
_BUDGETS = {"minimal": 0.1, "low": 0.2, "medium": 0.5, "high": 0.8, "xhigh": 0.95, "max": 0.95}
_LEAST_BUDGET = 1024  # Anthropic's
_JSON_ONLY = "Answer with one valid JSON object and nothing else: no Markdown, no text around it."


def to_anthropic(
    messages: Sequence[dict[str, Any]],
    params: dict[str, Any],
    *,
    model: str,
    max_tokens_default: int,
    info: ModelInfo | None = None,
) -> dict[str, Any]:
    """The body of a Messages request (without `stream`).

    Args:
        max_tokens_default: `max_tokens` for a request that sets none.
        info: What is known of the model. Of an unknown Claude the newest ways are assumed, of any
            other unknown model (a compatible server's) the oldest, which all of them know.

    Raises:
        ValueError: something that Anthropic cannot do; the text says what, and what to do.
    """
    system, turns = convert_messages(messages)
    rest = {name: value for name, value in params.items() if value is not None}
    for name, (harmless, advice) in _REFUSED.items():
        if name in rest and rest.pop(name) not in harmless:
            raise ValueError(f"{name}: Anthropic has no such parameter; {advice}")
    for name in _DROPPED:
        rest.pop(name, None)

    completion, older = rest.pop("max_completion_tokens", None), rest.pop("max_tokens", None)
    limit = completion if completion is not None else older
    if limit is None:
        limit = max_tokens_default
    elif limit < 0:
        raise ValueError(f"max_tokens must be a whole number from 0 on, not {limit}")
    body: dict[str, Any] = {"model": model, "max_tokens": limit, "messages": turns}
    system = _own_system(rest) + system
    _stop(rest)
    _user(rest)
    _tools(rest)
    tier = rest.get("service_tier")
    if isinstance(tier, str):
        rest["service_tier"] = _TIERS.get(tier, tier)
    system += _response_format(rest)
    if system:
        body["system"] = system
    adaptive, sampling = _ways(model, info)
    _effort(rest, body, adaptive=adaptive, sampling=sampling, reasoning=_reasons(info))
    _thinking(rest, body)
    _sampling(rest, sampling=sampling, one_only=info is not None or "claude" in model)
    return body | rest


def _ways(model: str, info: ModelInfo | None) -> tuple[bool, bool]:
    """Whether the model knows adaptive thinking, and whether it takes sampling parameters."""
    newest = info is None and "claude" in model
    adaptive = newest if info is None else info.adaptive_thinking is True
    sampling = not newest if info is None else info.sampling_params is not False
    return adaptive, sampling


def _reasons(info: ModelInfo | None) -> bool:
    return info is None or info.reasoning is not False


def _own_system(rest: dict[str, Any]) -> list[Block]:
    try:
        return blocks_of(rest.pop("system", None))
    except ValueError as error:
        raise ValueError(f"system: {error}") from error


def _stop(rest: dict[str, Any]) -> None:
    stop = rest.pop("stop", None)
    if stop is None:
        return
    texts = [stop] if isinstance(stop, str) else stop
    own = rest.get("stop_sequences") or []
    if not isinstance(own, list):
        raise ValueError(f"stop_sequences must be a list of texts, not {own!r}")
    wanted = [*own, *(text for text in texts if text.strip())]
    if wanted:
        rest["stop_sequences"] = wanted


def _user(rest: dict[str, Any]) -> None:
    user = rest.pop("user", None)
    user = rest.pop("safety_identifier", None) or user
    metadata = rest.pop("metadata", None)
    # OpenAI's metadata are labels for its dashboard; Anthropic's is this one field.
    if isinstance(metadata, dict) and metadata.get("user_id"):
        user = metadata["user_id"]
    if user:
        rest["metadata"] = {"user_id": user}


# ------------------------------------------------------------------------------------- tools


def _tools(rest: dict[str, Any]) -> None:
    given = [*(rest.pop("tools", None) or ()), *(rest.pop("functions", None) or ())]
    tools = [_tool(tool) for tool in given]
    choice, allowed = _tool_choice(rest.pop("tool_choice", None), rest.pop("function_call", None))
    if allowed is not None:
        tools = [tool for tool in tools if tool.get("name") in allowed]
    if tools:
        rest["tools"] = tools
    if rest.pop("parallel_tool_calls", None) is False and tools:
        choice = choice or {"type": "auto"}
        if choice["type"] != "none":
            choice = {**choice, "disable_parallel_tool_use": True}
    # With no tools there is nothing to choose, which Anthropic does not let pass as OpenAI does.
    if choice is not None and (tools or choice["type"] not in ("auto", "none")):
        rest["tool_choice"] = choice


def _tool(tool: Any) -> Block:
    if not isinstance(tool, dict):
        raise ValueError(f"a tool must be an object, not {type(tool).__name__}")
    kind = tool.get("type")
    if "custom" in tool:
        raise ValueError(
            f"tool {_name(tool['custom'])!r}: Anthropic has no free-form tools; make it a function "
            "with one string parameter"
        )
    if isinstance(kind, str) and kind.startswith("openrouter:"):
        raise ValueError(f"tool {kind!r}: only OpenRouter runs it; Anthropic has tools of its own")
    function = tool.get("function")
    if not isinstance(function, dict):
        if kind not in (None, "function") or "input_schema" in tool:
            return tool
        function = {}  # the fields stand in the tool itself, as in `functions`
    own = {key: value for key, value in tool.items() if key not in ("type", "function")}
    own |= {key: value for key, value in function.items() if value is not None}
    _name(own)
    schema = own.pop("parameters", None) or {}
    strict = own.pop("strict", None)
    if not isinstance(schema, dict):
        raise ValueError(f"tool {own['name']!r}: its parameters must be a JSON schema object")
    if "type" not in schema:
        schema = {"type": "object", "properties": {}, **schema}
    if strict:
        own["strict"] = True
        schema = enforceable(schema)
    return {**own, "input_schema": schema}


def _tool_choice(choice: Any, function_call: Any) -> tuple[Block | None, set[str] | None]:
    """Anthropic's choice, and the names that OpenAI's `allowed_tools` narrows the tools to."""
    if choice is None and function_call is not None:
        named = isinstance(function_call, dict)
        choice = {"type": "function", "function": function_call} if named else function_call
    if choice is None:
        return None, None
    if isinstance(choice, str):
        kind = {"required": "any"}.get(choice, choice)
        if kind not in ("auto", "any", "none"):
            raise ValueError(f"tool_choice: {choice!r} is not auto, none, required or a tool")
        return {"type": kind}, None
    if not isinstance(choice, dict) or not isinstance(choice.get("type"), str):
        raise ValueError("tool_choice must be auto, none, required or an object that names a tool")
    if choice.get("type") == "function":
        return {"type": "tool", "name": _name(choice.get("function") or choice)}, None
    if choice.get("type") == "allowed_tools":
        group = choice.get("allowed_tools") or choice
        allowed = group.get("tools") or [] if isinstance(group, dict) else None
        if not isinstance(allowed, list) or not all(isinstance(tool, dict) for tool in allowed):
            raise ValueError("tool_choice: allowed_tools must hold a list of tools, by their names")
        names = {_name(tool.get("function") or tool) for tool in allowed}
        return {"type": "any" if group.get("mode") == "required" else "auto"}, names
    if choice.get("type") == "custom":
        raise ValueError("tool_choice: Anthropic has no free-form (custom) tools")
    return choice, None


def _name(function: Any) -> str:
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str) or not name:
        raise ValueError("tools or tool_choice: a tool without its name")
    return name


# ----------------------------------------------------------------- format, thinking, sampling


def _response_format(rest: dict[str, Any]) -> list[Block]:
    """Ask for the format; what cannot be enforced is returned as a block for the system prompt."""
    wanted = rest.pop("response_format", None)
    if wanted is None:
        return []
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind == "text":
        return []
    if kind == "json_object":
        return [text_block(_JSON_ONLY)]
    described = wanted.get("json_schema") if isinstance(wanted, dict) else None
    schema = described.get("schema") if isinstance(described, dict) else None
    if kind != "json_schema" or not isinstance(described, dict) or not isinstance(schema, dict):
        raise ValueError(
            'response_format must be {"type": "json_schema", "json_schema": {"name": …, "schema": '
            '{…}}}, {"type": "json_object"} or {"type": "text"}'
        )
    try:
        enforced = enforceable(schema)
    except ValueError:
        if described.get("strict"):
            raise
        # Without `strict` OpenAI does its best, too.
        text = msgspec.json.encode(schema).decode()
        return [text_block(f"{_JSON_ONLY} It must be valid against this JSON schema:\n{text}")]
    output = {"format": {"type": "json_schema", "schema": enforced}}
    rest["output_config"] = output | _own_output(rest)
    return []


def _own_output(rest: dict[str, Any]) -> dict[str, Any]:
    config = rest.get("output_config") or {}
    if not isinstance(config, dict):
        raise ValueError(f"output_config must be an object (a dict), not {config!r}")
    return config


def _effort(
    rest: dict[str, Any], body: dict[str, Any], *, adaptive: bool, sampling: bool, reasoning: bool
) -> None:
    effort = rest.pop("reasoning_effort", None)
    if effort is None or not reasoning:
        return  # Claude before 3.7 cannot think, so there is nothing to set
    if not isinstance(effort, str) or (effort != "none" and effort not in _BUDGETS):
        raise ValueError(f"reasoning_effort: {effort!r} is not one of none, {', '.join(_BUDGETS)}")
    forced = (rest.get("tool_choice") or {}).get("type") in ("any", "tool")
    if adaptive:
        if effort == "xhigh" and sampling:
            effort = "high"  # Claude 4.6, the last that takes sampling parameters, has no xhigh
        output = {"effort": _EFFORTS.get(effort, effort)}
        rest["output_config"] = output | _own_output(rest)
        if effort == "none" or forced or "thinking" in rest:
            return
        rest["thinking"] = {"type": "adaptive"}
    else:
        limit = body["max_tokens"]
        # max_completion_tokens is a promise about cost: too small for thinking means no thinking.
        if effort == "none" or forced or "thinking" in rest or limit <= _LEAST_BUDGET:
            return
        budget = min(max(int(limit * _BUDGETS[effort]), _LEAST_BUDGET), limit - 1)
        rest["thinking"] = {"type": "enabled", "budget_tokens": budget}
    for name in _SAMPLING:  # not to be combined, with Anthropic as with OpenAI
        rest.pop(name, None)


def _thinking(rest: dict[str, Any], body: dict[str, Any]) -> None:
    thinking = rest.get("thinking")
    if not isinstance(thinking, dict) or thinking.get("type") != "enabled":
        return
    if lacks_thinking(body["messages"]):
        del rest["thinking"]
        return
    budget = thinking.get("budget_tokens")
    if isinstance(budget, int) and budget >= body["max_tokens"]:
        body["max_tokens"] += budget  # the room for the answer stays what was asked for


def _sampling(rest: dict[str, Any], *, sampling: bool, one_only: bool) -> None:
    temperature = rest.get("temperature")
    if temperature is not None:
        if not 0 <= temperature <= 2:
            raise ValueError(f"temperature must be a number from 0 to 2, not {temperature!r}")
        rest["temperature"] = min(temperature, 1)
    if rest.get("top_p") == 1:
        del rest["top_p"]
    if one_only and "temperature" in rest and "top_p" in rest:
        # A temperature of 1 is the default and says nothing.
        del rest["temperature" if rest["temperature"] == 1 else "top_p"]
    if not sampling:
        for name in _SAMPLING:
            rest.pop(name, None)
