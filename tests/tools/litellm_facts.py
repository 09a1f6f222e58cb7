"""What `import litellm` does, as facts: signatures, classes, dumps, numbers and errors, as JSON.

Run with the real litellm, in a venv of its own, to make the file that tests/compat compares with:

    LITELLM_LOCAL_MODEL_COST_MAP=True python tests/tools/litellm_facts.py > tests/compat/litellm_facts.json
"""

from __future__ import annotations

import inspect
import json
import os
import re
import sys
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def words(text):
    return text.split()


FUNCTIONS = words(
    """completion acompletion completion_cost cost_per_token token_counter get_model_info
get_llm_provider get_supported_openai_params register_model stream_chunk_builder
supports_function_calling supports_parallel_function_calling supports_vision
supports_response_schema supports_reasoning supports_audio_input supports_audio_output
supports_web_search supports_url_context supports_system_messages validate_environment
mock_completion _turn_on_debug encode decode create_pretrained_tokenizer create_tokenizer
get_max_tokens get_valid_models text_completion embedding moderation"""
)

UTILS = words(
    """supports_prompt_caching supports_pdf_input supports_tool_choice supports_computer_use
supports_native_streaming supports_reasoning token_counter get_model_info"""
)

CLASSES = words(
    """ModelResponse ModelResponseStream Choices StreamingChoices Message Delta Usage Function
FunctionCall ChatCompletionMessageToolCall ChatCompletionDeltaToolCall
PromptTokensDetailsWrapper CompletionTokensDetailsWrapper ServerToolUse ChoiceLogprobs
TextCompletionResponse EmbeddingResponse"""
)

LOGGER = words(
    """log_pre_api_call log_post_api_call log_stream_event log_success_event log_failure_event
async_log_pre_api_call async_log_stream_event async_log_success_event async_log_failure_event
async_pre_call_hook async_post_call_success_hook async_moderation_hook log_event
async_log_event log_input_event async_log_input_event __init__"""
)

ROUTER = words(
    """__init__ acompletion completion get_model_list get_model_names get_model_ids
get_available_deployment set_model_list add_deployment delete_deployment
deployment_callback_on_failure async_deployment_callback_on_failure
deployment_callback_on_success sync_deployment_callback_on_success"""
)

CALLBACK_MANAGER = words(
    """add_litellm_input_callback add_litellm_callback add_litellm_success_callback
add_litellm_failure_callback add_litellm_async_success_callback
add_litellm_async_failure_callback remove_callback_from_list_by_object
remove_callbacks_by_type get_custom_loggers_for_type"""
)

MODULES = words(
    """router utils exceptions cost_calculator types.utils types.completion types.llms.openai
types.router integrations.custom_logger litellm_core_utils.streaming_handler
litellm_core_utils.logging_worker litellm_core_utils.get_llm_provider_logic
llms.custom_httpx.async_client_cleanup files.main caching caching.caching _logging main
litellm_core_utils.logging_callback_manager"""
)

MESSAGES = [
    {"role": "system", "content": "You are helpful."},
    {"role": "user", "content": "Hello, how are you?"},
]
HI = [{"role": "user", "content": "Hi"}]
CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


def tool(parameters, **more):
    return {"type": "function", "function": {"name": "f", "parameters": parameters, **more}}


WEATHER = tool(
    {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "The city"},
            "unit": {"type": "string", "enum": ["c", "f"]},
        },
        "required": ["city"],
    },
    description="Get the weather",
)

# ------------------------------------------------------------------------------- what is asked for


def facts():
    import importlib

    import litellm
    import litellm.types.utils as t

    litellm.suppress_debug_info = True
    for name in MODULES:
        importlib.import_module(f"litellm.{name}")
    return {
        "signatures": signatures(litellm),
        "exceptions": exceptions(litellm),
        "objects": {name: observed(make) for name, make in objects(t).items()},
        "providers": {
            name: observed(partial(litellm.get_llm_provider, name)) for name in PROVIDERS
        },
        "resolved": {name: observed(make) for name, make in resolved(litellm).items()},
        "models": {name: model(litellm, name) for name in MODELS},
        "supported": {name: observed(partial(supported, litellm, name)) for name in SUPPORTED},
        "tokens": {name: observed(make) for name, make in tokens(litellm).items()},
        "costs": {name: observed(make) for name, make in costs(litellm, t).items()},
        "mocks": {name: observed(make) for name, make in mocks(litellm, t).items()},
        "built": {name: observed(make) for name, make in built(litellm, t).items()},
        "environment": {name: observed(make) for name, make in environment(litellm).items()},
        "parameters": {
            f"{name} {given}": observed(partial(taken, litellm, name, given))
            for name, given in PARAMETERS
        },
        "answers": answers(litellm),
    }


def signatures(litellm):
    import litellm.utils
    from litellm.integrations.custom_logger import CustomLogger
    from litellm.litellm_core_utils.logging_callback_manager import LoggingCallbackManager
    from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper

    found = {name: signature(getattr(litellm, name)) for name in FUNCTIONS}
    found |= {f"utils.{name}": signature(getattr(litellm.utils, name)) for name in UTILS}
    owners = [(litellm.Router, ROUTER), (CustomLogger, LOGGER)]
    owners += [(LoggingCallbackManager, CALLBACK_MANAGER), (CustomStreamWrapper, ["__init__"])]
    for owner, names in owners:
        for name in names:
            found[f"{owner.__name__}.{name}"] = signature(getattr(owner, name))
    import litellm.types.utils as t

    for name in CLASSES:
        found[name] = signature(getattr(t, name).__init__)
    return found


def signature(function):
    """Names, kinds and defaults, and whether it is to be awaited; types are each one's own."""
    parameters = [
        [p.name, p.kind.name, None if p.default is p.empty else plain(p.default)]
        for p in inspect.signature(function).parameters.values()
    ]
    return {"async": inspect.iscoroutinefunction(function), "parameters": parameters}


def exceptions(litellm):
    found = {}
    for name, kind in sorted(vars(litellm.exceptions).items()):
        if not inspect.isclass(kind) or not issubclass(kind, BaseException):
            continue
        if "litellm" not in kind.__module__:
            continue
        parents = [
            base.__name__ for base in kind.__mro__[1:-1] if not base.__name__.startswith("_")
        ]
        found[name] = {
            "parents": parents,
            "signature": signature(kind.__init__)["parameters"],
            "example": observed(partial(example, kind)),
            "top": getattr(litellm, name, None) is kind,
        }
    return found


ARGUMENTS = {
    "message": "m",
    "model": "gpt-4o",
    "llm_provider": "openai",
    "status_code": 500,
    "request_data": {},
    "current_cost": 1.0,
    "max_budget": 2.0,
    "raw_response": "raw",
    "schema": "{}",
    "entity_type": "PHONE",
    "response": None,
    "route_to_model": "gpt-4o",
    "session_id": "s",
    "failures": [{"vector_store_id": "v", "error": "e"}],
}


def example(kind):
    required = {
        p.name: ARGUMENTS[p.name]
        for p in inspect.signature(kind.__init__).parameters.values()
        if p.name in ARGUMENTS and p.default is p.empty
    }
    try:
        error = kind(**required)
    except AttributeError:  # those that insist on a response
        return None
    attributes = {
        name: plain(value)
        for name, value in vars(error).items()
        if name not in ("request", "response")
    }
    return {"text": str(error), "attributes": attributes}


def objects(t):
    answer = {
        "id": "x",
        "created": 1,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "hi", "tool_calls": [CALL]},
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
        "model": "m",
        "extra": 5,
    }
    thinking = [{"type": "thinking", "thinking": "q", "signature": "s"}]
    return {
        "response": lambda: t.ModelResponse(id="x", created=1),
        "response from dict": lambda: t.ModelResponse(**answer),
        "response json": lambda: t.ModelResponse(id="x", created=1).json(),
        "response text": lambda: t.ModelResponse(id="x", created=1).model_dump_json(),
        "response usage": lambda: t.ModelResponse(id="x", created=1).usage,
        "response item": lambda: t.ModelResponse(**answer)["usage"]["total_tokens"],
        "response get": lambda: [t.ModelResponse().get("nope", 3), "usage" in t.ModelResponse()],
        "response validated": lambda: t.ModelResponse.model_validate(
            t.ModelResponse(**answer).model_dump()
        ),
        "hidden": lambda: t.ModelResponse()._hidden_params,
        "choices": t.Choices,
        "choices finish": lambda: [
            t.Choices(finish_reason=each).finish_reason
            for each in ("end_turn", "max_tokens", "tool_use", "eos", "stop", None, "stop_sequence")
        ],
        "choices of message": lambda: t.Choices(message=t.Message(content="x"), index=2),
        "message": lambda: t.Message(content="x"),
        "message repr": lambda: repr(t.Message(content="x")),
        "message thinking": lambda: t.Message(reasoning_content="r", thinking_blocks=thinking),
        "message extra": lambda: t.Message(content="x", foo=1),
        "message specific": lambda: t.Message(content="x", provider_specific_fields={"a": 1}),
        "message calls": lambda: t.Message(tool_calls=[CALL]),
        "message function": lambda: t.Message(function_call={"name": "f", "arguments": "{}"}),
        "message lacks": lambda: [
            hasattr(t.Message(), name)
            for name in ("reasoning_content", "thinking_blocks", "audio", "images", "annotations")
        ],
        "message role": lambda: t.Message(role="bogus"),
        "delta": t.Delta,
        "delta content": lambda: t.Delta(content="x", role="assistant"),
        "delta calls": lambda: t.Delta(tool_calls=[{**CALL, "index": 1}]),
        "delta fragment": lambda: t.Delta(tool_calls=[{"function": {"arguments": "x"}}]),
        "delta reasoning": lambda: t.Delta(reasoning_content="r"),
        "delta lacks": lambda: hasattr(t.Delta(), "reasoning_content"),
        "streaming": t.StreamingChoices,
        "streaming dict": lambda: t.StreamingChoices(delta={"content": "x"}, finish_reason="stop"),
        "chunk": lambda: t.ModelResponseStream(id="x", created=1),
        "chunk content": lambda: t.ModelResponseStream(
            id="x", created=1, choices=[t.StreamingChoices(delta=t.Delta(content="x"))]
        ),
        "chunk usage": lambda: t.ModelResponseStream(
            id="x", created=1, usage=t.Usage(prompt_tokens=1)
        ),
        "usage": t.Usage,
        "usage counts": lambda: t.Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3),
        "usage item": lambda: [t.Usage(prompt_tokens=4)["prompt_tokens"], t.Usage().get("nope")],
        "usage reasoning": lambda: t.Usage(
            completion_tokens=5, reasoning_tokens=2
        ).completion_tokens_details.model_dump(exclude_none=True),
        "usage cached": lambda: (
            t.Usage(
                prompt_tokens=10, prompt_tokens_details={"cached_tokens": 4}
            ).prompt_tokens_details.cached_tokens
        ),
        "usage anthropic": lambda: t.Usage(
            prompt_tokens=10, cache_creation_input_tokens=3, cache_read_input_tokens=4
        ).model_dump(exclude_none=True),
        "usage cost": lambda: t.Usage(prompt_tokens=10, cost=0.5),
        "function": lambda: t.Function(name="f", arguments={"a": 1}),
        "function none": lambda: t.Function(name="f", arguments=None),
        "call": lambda: t.ChatCompletionMessageToolCall(**CALL),
        "call without id": lambda: t.ChatCompletionMessageToolCall(function=CALL["function"]).type,
        "embedding": lambda: t.EmbeddingResponse(
            model="m", data=[{"embedding": [1.0], "index": 0, "object": "embedding"}]
        ),
        "text": lambda: t.TextCompletionResponse(id="x", created=1),
        "provider": lambda: [t.LlmProviders.OPENAI.value, t.LlmProviders("groq").name],
        "providers": lambda: sorted(each.value for each in t.LlmProviders),
    }


PROVIDERS = words(
    """gpt-4o openai/gpt-4o claude-sonnet-4-5 anthropic/claude-sonnet-4-5-20250929
openrouter/openai/gpt-4o openrouter/auto groq/llama deepseek/deepseek-chat mistral/mistral-large
xai/grok-4 together_ai/x/y fireworks_ai/accounts/x perplexity/sonar hosted_vllm/foo lm_studio/foo
ollama/llama3 ollama_chat/llama3 gemini/gemini-2.5-flash vertex_ai/gemini-2.5-pro
bedrock/anthropic.claude-3 azure/foo azure_ai/foo foo foo/bar litellm_proxy/x huggingface/x/y
gpt-5 o3-mini openai/foo/bar custom_openai/x cerebras/x nvidia_nim/x sambanova/x moonshot/x
dashscope/x zai/x deepinfra/x novita/x nebius/x llamafile/x github/x meta_llama/x
vercel_ai_gateway/x lambda_ai/x hyperbolic/x featherless_ai/x codestral/x volcengine/x
ft:gpt-4o-2024-08-06:x::y databricks/x replicate/x snowflake/x watsonx/x gemini-2.5-flash
us.anthropic.claude-3-sonnet-20240229-v1:0 amazon.nova-pro-v1:0 meta.llama3-1-8b-instruct-v1:0
claude-3-5-sonnet@20240620"""
)


def resolved(litellm):
    find = litellm.get_llm_provider
    base = "http://localhost:1/v1"
    return {
        "named": lambda: find("foo", custom_llm_provider="openai"),
        "named twice": lambda: find("openai/foo", "openai", base, "k"),
        "unknown with address": lambda: find("foo", api_base=base),
        "known address": lambda: find("foo", api_base="https://api.groq.com/openai/v1"),
        "address and key": lambda: find("openai/foo", api_base=base, api_key="sk"),
    }


MODELS = ["gpt-4o", "gpt-4o-mini", "gpt-4.1", "o3-mini", "gpt-5", "claude-sonnet-4-5", "nope/x"]
MODELS += ["gemini/gemini-2.5-flash"]
SUPPORTED = [*MODELS, "openrouter/openai/gpt-4o", "hosted_vllm/foo", "openai/foo", "foo"]
SUPPORTED += words(
    """azure/gpt-4o cerebras/x cohere_chat/x dashscope/x deepinfra/x deepseek/deepseek-chat
featherless_ai/x gemini/gemini-2.0-flash-001 groq/x hyperbolic/x lm_studio/x mistral/x moonshot/x
moonshot/kimi-k3 nvidia_nim/x ollama/x ollama_chat/x sambanova/x together_ai/x volcengine/x xai/x
zai/x"""
)
FACTS = words(
    """max_tokens max_input_tokens max_output_tokens input_cost_per_token output_cost_per_token
cache_read_input_token_cost cache_creation_input_token_cost litellm_provider mode
supports_function_calling supports_vision supports_response_schema supports_reasoning
supports_prompt_caching supports_pdf_input supports_tool_choice"""
)


def supported(litellm, name):
    found = litellm.get_supported_openai_params(name)
    return None if found is None else sorted(set(found))


def model(litellm, name):
    def info():
        found = litellm.get_model_info(name)
        facts = {each: found[each] for each in FACTS}
        return {"keys": sorted(found), **facts} if name == "gpt-4o" else facts

    return observed(info)


def tokens(litellm):
    count = litellm.token_counter
    japanese = "日本語のテキストです。これは長い文章になります。"
    schemas = {
        "none": {},
        "empty": {"type": "object", "properties": {}},
        "described": {
            "type": "object",
            "properties": {"a": {"type": "integer", "description": "d d"}},
            "required": ["a"],
        },
        "array": {
            "type": "object",
            "properties": {"a": {"type": "array", "items": {"type": "number"}}},
        },
        "nested": {
            "type": "object",
            "properties": {"a": {"type": "object", "properties": {"b": {"type": "boolean"}}}},
        },
        "any": {"type": "object", "properties": {"a": {"anyOf": [{"type": "string"}]}}},
        "enum": {"type": "object", "properties": {"a": {"enum": ["x", "y"]}}},
    }
    histories = {
        "tool call": [{"role": "assistant", "content": None, "tool_calls": [CALL]}],
        "tool result": [{"role": "tool", "content": "y", "tool_call_id": "call_abc"}],
        "parts": [{"role": "user", "content": [{"type": "text", "text": "x"}, "y"]}],
        "name": [{"role": "user", "content": "x", "name": "bob"}],
        "function": [
            {"role": "assistant", "content": "x", "function_call": {"name": "f", "arguments": "{}"}}
        ],
        "reasoning": [{"role": "assistant", "content": "x", "reasoning_content": "hello world"}],
        "tool use": [
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {"a": 1}}],
            }
        ],
        "tool result part": [
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "a", "content": "yy"}],
            }
        ],
        "unknown part": [{"role": "user", "content": [{"type": "zzz"}]}],
        "cache mark": [{"role": "user", "content": "x", "cache_control": {"type": "ephemeral"}}],
    }
    image = {"type": "image_url", "image_url": {"url": "http://x/y.png"}}
    found = {
        "both": lambda: count("gpt-4o", text="x", messages=HI),
        "neither": lambda: count("gpt-4o"),
        "list": lambda: count("gpt-4o", text=["a", "b"]),
        "answer": lambda: count("gpt-4o", messages=MESSAGES, count_response_tokens=True),
        "tools": lambda: count("gpt-4o", messages=MESSAGES, tools=[WEATHER]),
        "two tools": lambda: count("gpt-4o", messages=HI, tools=[WEATHER, WEATHER]),
        "none chosen": lambda: count("gpt-4o", messages=HI, tools=[WEATHER], tool_choice="none"),
        "chosen": lambda: count("gpt-4o", messages=HI, tools=[WEATHER], tool_choice=CALL),
        "image": lambda: count("gpt-4o", messages=[{"role": "user", "content": [image]}]),
        "default image": lambda: count(
            "gpt-4o",
            messages=[{"role": "user", "content": [image]}],
            use_default_image_token_count=True,
        ),
        "encode": lambda: litellm.encode("gpt-4o", "hello world"),
        "decode": lambda: litellm.decode("gpt-4o", litellm.encode("gpt-4o", "hello world")),
    }
    for name in ("gpt-4o", "gpt-4", "gpt-5", "o3", "whatever", "openai/gpt-4o", "gpt-4.1"):
        found[f"text {name}"] = lambda name=name: count(name, text=japanese)
        found[f"messages {name}"] = lambda name=name: count(name, messages=MESSAGES)
    for name, schema in schemas.items():
        found[f"schema {name}"] = lambda s=schema: count("gpt-4o", messages=HI, tools=[tool(s)])
    for name, history in histories.items():
        found[f"history {name}"] = lambda h=history: count("gpt-4o", messages=h)
    return found


def costs(litellm, t):
    response = t.ModelResponse(
        model="gpt-4o-2024-08-06",
        choices=[t.Choices(message=t.Message(content="hi"))],
        usage=t.Usage(
            prompt_tokens=1000,
            completion_tokens=100,
            total_tokens=1100,
            prompt_tokens_details={"cached_tokens": 500},
        ),
    )
    custom = {"input_cost_per_token": 1.0, "output_cost_per_token": 2.0}
    cost, per = litellm.completion_cost, litellm.cost_per_token
    row = {"max_tokens": 10, "input_cost_per_token": 0.1, "output_cost_per_token": 0.2}
    row |= {"litellm_provider": "openai", "mode": "chat"}

    def registered():
        litellm.register_model({"my-model": row})
        info = litellm.get_model_info("my-model")
        return [info["max_tokens"], cost(model="my-model", prompt="a", completion="b")]

    return {
        "texts": lambda: cost(model="gpt-4o", prompt="Hello", completion="Hi there"),
        "messages": lambda: cost(model="gpt-4o", messages=MESSAGES, completion="Hi there"),
        "per token": lambda: per("gpt-4o", 1000, 500),
        "claude": lambda: per("claude-sonnet-4-5", 1000, 500),
        "cached": lambda: per("gpt-4o", 1000, 500, cache_read_input_tokens=400),
        "unknown": lambda: per("nope", 1000, 500),
        "unknown texts": lambda: cost(model="openai/nope", prompt="a", completion="b"),
        "custom": lambda: cost(
            model="nope", prompt="a", completion="b", custom_cost_per_token=custom
        ),
        "response": lambda: cost(response),
        "response dict": lambda: cost(response.model_dump()),
        "other model": lambda: cost(completion_response=response, model="gpt-4o-mini"),
        "nothing": cost,
        "registered": registered,
    }


def mocks(litellm, t):
    call = litellm.completion

    def streamed(**more):
        chunks = list(call("gpt-4o", HI, mock_response="Hello there", stream=True, **more))
        return [[type(chunk).__name__, chunk] for chunk in chunks]

    def named(name):
        return lambda: call("gpt-4o", HI, mock_response=f"litellm.{name}")

    response = t.ModelResponse(id="x", created=1, choices=[t.Choices(message=t.Message("zz"))])
    return {
        "text": lambda: call("gpt-4o", HI, mock_response="Hello"),
        "hidden": lambda: sorted(
            set(call("gpt-4o", HI, mock_response="Hello")._hidden_params) & HIDDEN
        ),
        "cost": lambda: call("gpt-4o", HI, mock_response="x")._hidden_params["response_cost"],
        "error": lambda: call("gpt-4o", HI, mock_response=ValueError("boom")),
        "own error": lambda: call(
            "gpt-4o", HI, mock_response=litellm.RateLimitError("m", "openai", "gpt-4o")
        ),
        **{name: named(name) for name in ("RateLimitError", "InternalServerError")},
        "ContextWindowExceededError": named("ContextWindowExceededError"),
        "another name": named("ContentPolicyViolationError"),
        "response": lambda: call("gpt-4o", HI, mock_response=response),
        "dict": lambda: call(
            "gpt-4o", HI, mock_response={"id": "x", "created": 1, "choices": [{"message": HI[0]}]}
        ),
        "several": lambda: call("gpt-4o", HI, mock_response="q", n=3),
        "timeout": lambda: call("gpt-4o", HI, mock_timeout=True, timeout=0.01),
        "tool calls": lambda: call("gpt-4o", HI, mock_response="q", mock_tool_calls=[CALL]),
        "mock_completion": lambda: litellm.mock_completion("gpt-4o", HI),
        "stream": streamed,
        "stream with usage": lambda: streamed(stream_options={"include_usage": True}),
        "stream error": lambda: call(
            "gpt-4o", HI, mock_response="litellm.RateLimitError", stream=True
        ),
        "no provider": lambda: call("foo", HI),
        "no model": lambda: call(None, HI, mock_response="x"),
        "unsupported": lambda: call("claude-sonnet-4-5", HI, frequency_penalty=1.0, api_key="x"),
    }


PARAMETERS = [
    ("gpt-4o", {"reasoning_effort": "low"}),
    ("gpt-4o", {"verbosity": "low"}),
    ("gpt-4o", {"thinking": {"type": "enabled"}}),
    ("gpt-4o", {"user": "ann", "seed": 1, "temperature": 0.2, "own": 1}),
    ("openai/foo", {"reasoning_effort": "low", "user": "ann"}),
    ("openai/foo", {"verbosity": "low"}),
    ("openai/foo", {"thinking": {"type": "enabled"}}),
    ("hosted_vllm/foo", {"user": "ann", "thinking": {"type": "enabled"}}),
    ("claude-sonnet-4-5", {"seed": 1}),
    ("claude-sonnet-4-5", {"n": 1}),
    ("claude-sonnet-4-5", {"n": 2}),
    ("claude-sonnet-4-5", {"logprobs": False}),
    ("claude-sonnet-4-5", {"presence_penalty": 0}),
    ("claude-sonnet-4-5", {"verbosity": "low"}),
    ("claude-sonnet-4-5", {"reasoning_effort": "low", "user": "ann", "stop": ["x"]}),
    ("gpt-5", {"temperature": 1, "verbosity": "low"}),
    ("gpt-5", {"temperature": 0.2}),
    ("gpt-5", {"top_p": 0.2}),
    ("gpt-5", {"stop": ["x"]}),
    ("o3-mini", {"temperature": 0.2}),
    ("o3-mini", {"temperature": 1}),
    ("o3-mini", {"parallel_tool_calls": True}),
]


def taken(litellm, model, given):
    """Whether a provider takes parameters, and whether it does if they may be dropped."""
    litellm.completion(model, HI, mock_response="x", drop_params=True, **given)
    try:
        litellm.completion(model, HI, mock_response="x", **given)
    except litellm.UnsupportedParamsError:
        return "only if dropped"
    return "taken"


HIDDEN = {
    "custom_llm_provider", "_response_ms", "litellm_call_id", "api_base", "model_id",
    "response_cost", "additional_headers", "litellm_model_name",
}  # fmt: skip


def built(litellm, t):
    def chunk(delta, finish=None, **more):
        choice = t.StreamingChoices(finish_reason=finish, delta=t.Delta(**delta))
        return t.ModelResponseStream(id="c", created=5, model="m", choices=[choice], **more)

    second = [
        {"index": 0, "function": {"arguments": '":1}'}},
        {"index": 1, "id": "t2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]
    first = {"index": 0, "id": "t1", "type": "function"}
    first |= {"function": {"name": "f", "arguments": '{"a'}}
    usage = t.Usage(
        prompt_tokens=5,
        completion_tokens=6,
        total_tokens=11,
        prompt_tokens_details={"cached_tokens": 2},
    )
    text = [
        chunk({"role": "assistant", "content": "Hello"}),
        chunk({"content": " there"}),
        chunk({}, "stop"),
    ]
    calls = [
        chunk({"role": "assistant", "content": "a", "reasoning_content": "r1"}),
        chunk({"tool_calls": [first]}),
        chunk({"content": "b", "tool_calls": second}),
        chunk({}, "tool_calls", usage=usage),
    ]
    build = litellm.stream_chunk_builder
    return {
        "text": lambda: build(text, messages=HI),
        "calls": lambda: build(calls, messages=HI),
        "calls only": lambda: build([calls[1], chunk({}, "tool_calls")]).choices[0],
        "empty": lambda: build([]),
    }


def environment(litellm):
    for variable in [name for name in os.environ if name.endswith(("_API_KEY", "_API_BASE"))]:
        del os.environ[variable]
    check = litellm.validate_environment
    names = ("gpt-4o", "claude-sonnet-4-5", "openrouter/x", "foo", "groq/x", "azure/x", "ollama/x")
    found = {name: lambda name=name: check(name) for name in names}
    return {
        **found,
        "nothing": check,
        "key": lambda: check("gpt-4o", api_key="x"),
        "address": lambda: check("gpt-4o", api_base="http://x"),
    }


# --------------------------------------------------------------------------- over a local server

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 123,
    "model": "gpt-4o-2024-08-06",
    "system_fingerprint": "fp",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Hi!"}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
}


def event(delta, finish=None, **more):
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    head = {"id": "chatcmpl-2", "object": "chat.completion.chunk", "created": 123}
    return {
        **head,
        "model": "gpt-4o-2024-08-06",
        "system_fingerprint": "fp",
        "choices": [choice],
    } | more


COUNTED = event(
    {}, choices=[], usage={**ANSWER["usage"], "prompt_tokens_details": {"cached_tokens": 3}}
)
STREAMS = {
    "text": [
        event({"role": "assistant", "content": ""}),
        event({"content": "Hel"}),
        event({"content": "lo"}),
        event({}, "stop"),
        COUNTED,
    ],
    "tools": [
        event({"role": "assistant", "content": None, "tool_calls": [{**CALL, "index": 0}]}),
        event({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}),
        event({}, "tool_calls"),
    ],
    "reasoning": [
        event({"role": "assistant", "content": "", "reasoning_content": "think"}),
        event({"content": "x"}),
        event({}, "length"),
    ],
}
ERRORS = {
    "400": {"message": "bad", "type": "invalid_request_error", "code": None, "param": "x"},
    "400 context": {
        "message": "This model's maximum context length is 8192 tokens",
        "code": "context_length_exceeded",
    },
    "401": {"message": "key", "code": "invalid_api_key"},
    "404": {"message": "model", "code": "model_not_found"},
    **{
        str(status): {"message": "m"}
        for status in (402, 403, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529)
    },
}


class Handler(BaseHTTPRequestHandler):
    """Answers as the model's name says."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        kind, _, name = asked["model"].partition(":")
        status, content_type = 200, "application/json"
        if kind == "error":
            status = int(name.split()[0])
            body = json.dumps({"error": ERRORS[name]}).encode()
        elif kind == "stream":
            content_type = "text/event-stream"
            lines = [*(json.dumps(each) for each in STREAMS[name]), "[DONE]"]
            body = "".join(f"data: {line}\n\n" for line in lines).encode()
        else:
            body = json.dumps(ANSWER).encode()
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def answers(litellm):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}/v1"

    def call(model, **more):
        return litellm.completion(
            f"openai/{model}", HI, api_base=base, api_key="sk-test", max_retries=0, **more
        )

    def streamed(name, **more):
        return [
            [c, sorted(set(c._hidden_params) & HIDDEN)]
            for c in call(f"stream:{name}", stream=True, **more)
        ]

    usage = {"include_usage": True}
    found = {"complete": observed(lambda: call("gpt-4o"))}
    found["hidden"] = observed(
        lambda: {
            name: call("gpt-4o")._hidden_params[name]
            for name in ("custom_llm_provider", "response_cost", "litellm_model_name")
        }
    )
    for name in STREAMS:
        found[f"stream {name}"] = observed(partial(streamed, name))
    found["stream usage"] = observed(lambda: streamed("text", stream_options=usage))
    for name in ERRORS:
        found[f"error {name}"] = observed(partial(call, f"error:{name}"))
    server.shutdown()
    server.server_close()
    return found


# ----------------------------------------------------------------------------------- as plain JSON


def observed(make):
    """What comes of a call: its value, or the error that it raises."""
    try:
        return {"value": plain(make())}
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the fact
        raised = {"raised": type(error).__name__, "text": scrub(str(error).partition("\n")[0])}
        status = getattr(error, "status_code", None)
        return raised if status is None else {**raised, "status": status}


def plain(value):
    """JSON for a value, without what is new in each run."""
    if hasattr(value, "model_dump"):
        return {"class": type(value).__name__, "dump": plain(value.model_dump())}
    if isinstance(value, dict):
        return {
            str(key): 0 if key == "created" and each and each > 1000 else plain(each)
            for key, each in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, float):
        return float(f"{value:.10g}")
    if isinstance(value, (str, int, bool)) or value is None:
        return scrub(value) if type(value) is str else getattr(value, "value", value)
    return type(value).__name__


def scrub(text):
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}", "UUID", text)
    return re.sub(r"127\.0\.0\.1:\d+", "HOST", text)


def written(found):
    """One line for each fact, so that a change can be read in a diff."""
    sections = []
    for section, entries in sorted(found.items()):
        lines = [
            f" {json.dumps(name)}: {json.dumps(entry, sort_keys=True, ensure_ascii=False)}"
            for name, entry in sorted(entries.items())
        ]
        sections.append(f"{json.dumps(section)}: {{\n" + ",\n".join(lines) + "\n}")
    return "{\n" + ",\n".join(sections) + "\n}\n"


if __name__ == "__main__":
    sys.stdout.write(written(facts()))
