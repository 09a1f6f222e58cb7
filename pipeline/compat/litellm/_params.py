"""From the arguments of `completion()` to Scallion's parameters."""

from __future__ import annotations

import inspect
import re
from typing import Any

from pydantic import BaseModel

from ._state import setting, unsupported
from .exceptions import UnsupportedParamsError
from .litellm_core_utils.get_supported_openai_params import (
    get_supported_openai_params,
    is_gpt_5,
    is_o_series,
)

# OpenAI's parameters, as litellm lists them.
OPENAI = frozenset(
    [
        "temperature",
        "top_p",
        "n",
        "stream_options",
        "stop",
        "max_completion_tokens",
        "max_tokens",
        "modalities",
        "prediction",
        "audio",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
        "user",
        "reasoning_effort",
        "verbosity",
        "response_format",
        "seed",
        "tools",
        "tool_choice",
        "logprobs",
        "top_logprobs",
        "parallel_tool_calls",
        "web_search_options",
        "safety_identifier",
        "service_tier",
        "store",
        "prompt_cache_key",
        "functions",
        "function_call",
        "thinking",
    ]
)
# What is for litellm itself, or for nobody: never sent.
OWN = frozenset(
    [
        "force_timeout",
        "text_completion",
        "order",
        "async_call",
        "cache_key",
        "preset_cache_key",
        "completion_call_id",
        "stream_response",
        "model_alias_map",
        "model_config",
        "router_model_id",
        "region_name",
        "max_parallel_requests",
        "max_fallbacks",
        "caching_groups",
        "fastest_response",
        "provider_specific_header",
        "tag_regex",
        "use_client",
        "stream_timeout_by_service_tier",
        "timeout_by_service_tier",
        "secret_fields",
        "complete_response",
        "model",
        "messages",
        "stream",
        "timeout",
        "request_timeout",
        "stream_timeout",
        "deployment_id",
        "extra_headers",
        "headers",
        "extra_body",
        "extra_query",
        "base_url",
        "api_base",
        "api_version",
        "api_key",
        "organization",
        "custom_llm_provider",
        "model_list",
        "metadata",
        "litellm_metadata",
        "tags",
        "max_retries",
        "num_retries",
        "fallbacks",
        "context_window_fallback_dict",
        "client",
        "mock_response",
        "mock_tool_calls",
        "mock_timeout",
        "mock_delay",
        "caching",
        "cache",
        "no-log",
        "no_log",
        "litellm_call_id",
        "litellm_logging_obj",
        "litellm_trace_id",
        "litellm_session_id",
        "logger_fn",
        "verbose",
        "id",
        "acompletion",
        "model_info",
        "proxy_server_request",
        "drop_params",
        "additional_drop_params",
        "allowed_openai_params",
        "input_cost_per_token",
        "output_cost_per_token",
        "input_cost_per_second",
        "output_cost_per_second",
        "base_model",
        "ttl",
        "hf_model_name",
        "custom_prompt_dict",
        "roles",
        "supports_system_message",
        "merge_reasoning_content_in_choices",
        "disable_fallbacks",
        "specific_deployment",
        "model_group",
        "shared_session",
        "enable_json_schema_validation",
        "include_server_side_tool_invocations",
        "retry_policy",
        "retry_strategy",
        "rpm",
        "tpm",
        "weight",
        "max_budget",
        "budget_duration",
        "cooldown_time",
        "prompt_id",
        "prompt_variables",
        "ssl_verify",
    ]
)
# More of the same, by the beginnings and endings of litellm's own names.
_OWN_PATTERN = re.compile(
    r"_|litellm_|langfuse_|langsmith_|arize_|dd_|gcs_|s3_|posthog_|newrelic_|signoz_|humanloop_"
    r"|wandb_|aws_|azure_|vertex_|auto_router|mock_testing_|.*_cost_per_|.*_token_cost"
)
# What would change the answer, and is not supported: better an error than another answer.
_REFUSED = {
    "model_list": "use litellm.Router(model_list=…), or scallion.compat.Router",
    "prompt_id": "render the prompt yourself",
    "custom_prompt_dict": "render the prompt yourself: build_pipeline takes messages",
    "roles": "write the messages' roles yourself",
    "hf_model_name": "count tokens with scallion.tokens",
    "enable_json_schema_validation": "check the answer with pydantic",
    "guardrails": "check prompts and answers with a middleware of your own",
    "ensure_alternating_roles": "Scallion's adapters send what each provider takes",
    "user_continue_message": "add the message yourself",
    "assistant_continue_message": "add the message yourself",
    "litellm_system_prompt": "add the message yourself",
    "litellm_credential_name": "pass api_key= and api_base=",
    "use_litellm_proxy": 'pass model="litellm_proxy/…" with api_base=',
    "azure_ad_token": "pass client=openai.AsyncAzureOpenAI(azure_ad_token=…)",
    "azure_ad_token_provider": "pass client=openai.AsyncAzureOpenAI(azure_ad_token_provider=…)",
    "turn_off_message_logging": "leave messages out in your own callback",
}
# Parameters that ask for nothing in particular, so that no provider's lack of them matters.
_OF_NO_EFFECT: dict[str, Any] = {"n": 1}


# Settings that change what is sent or told, their first values, and the way to have the same.
_OWN_CLIENT = "pass client=openai.AsyncOpenAI(http_client=…) to the call"
_SETTINGS: dict[str, tuple[Any, str]] = {
    "client_session": (None, _OWN_CLIENT),
    "aclient_session": (None, _OWN_CLIENT),
    "ssl_verify": (True, _OWN_CLIENT),
    "ssl_certificate": (None, _OWN_CLIENT),
    "custom_provider_map": ([], "pass client=, or build_pipeline([…], provider=an_async_function)"),
    "custom_prompt_dict": ({}, _REFUSED["custom_prompt_dict"]),
    "credential_list": ([], _REFUSED["litellm_credential_name"]),
    "use_litellm_proxy": (False, _REFUSED["use_litellm_proxy"]),
    "enable_json_schema_validation": (False, _REFUSED["enable_json_schema_validation"]),
    "model_fallbacks": (None, "pass fallbacks= to the call"),
    "pre_call_rules": ([], _REFUSED["guardrails"]),
    "post_call_rules": ([], _REFUSED["guardrails"]),
    "add_function_to_prompt": (False, "write the functions into the prompt yourself"),
    "turn_off_message_logging": (False, "leave messages out in your own callback"),
    "max_budget": (0.0, "use scallion's budget() middleware"),
    "cache": (None, "use scallion's cache() middleware"),
}


def parameters(
    kwargs: dict[str, Any], model: str, provider: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """OpenAI's parameters of a call, and those that only the provider knows.

    Raises:
        UnsupportedParamsError: the provider does not take one, and it may not be dropped.
        NotImplementedError: litellm would do something that this module cannot.
    """
    for name, way in _REFUSED.items():
        if kwargs.get(name):
            raise unsupported(f"{name}=", way)
    given = {
        name: value
        for name, value in kwargs.items()
        if name in OPENAI and value is not None and not inspect.isclass(value)
    }
    if inspect.isclass(kwargs.get("response_format")):
        given["response_format"] = kwargs["response_format"]
    for name in kwargs.get("additional_drop_params") or ():
        given.pop(name, None)
    drop = kwargs.get("drop_params")
    drop = setting("drop_params") if drop is None else drop
    allowed = set(kwargs.get("allowed_openai_params") or ())
    _refuse_unsupported(given, model, provider, drop=bool(drop), allowed=allowed)
    if "response_format" in given:
        given["response_format"] = response_format(given["response_format"])
    if "tools" in given and not given["tools"]:
        del given["tools"]
        given.pop("tool_choice", None)
    extra = {
        name: value
        for name, value in kwargs.items()
        if value is not None
        and name not in OPENAI
        and name not in OWN
        and not _OWN_PATTERN.match(name)
    }
    return given, extra


def refuse_settings() -> None:
    """Refuse settings of the module that litellm would obey and this cannot.

    Raises:
        NotImplementedError: one of them has another value than at first.
    """
    for name, (first, way) in _SETTINGS.items():
        if setting(name) != first:
            raise unsupported(f"litellm.{name}", way)


def _refuse_unsupported(
    given: dict[str, Any], model: str, provider: str, *, drop: bool, allowed: set[str]
) -> None:
    supported = get_supported_openai_params(model, provider)
    if supported is None:
        return
    known = {*supported, *allowed, "user", "stream_options"}
    lacking = [
        name
        for name, value in given.items()
        if name not in known and _OF_NO_EFFECT.get(name, _OF_NO_EFFECT) != value
    ]
    for name in [each for each in given if each not in known and each not in lacking]:
        del given[name]
    if lacking and not drop:
        raise UnsupportedParamsError(
            f"{provider} does not support parameters: {lacking}, for model={model}. To drop these, "
            "set `litellm.drop_params=True` or for proxy:\n\n`litellm_settings:\n"
            " drop_params: true`\n. \n If you want to use these params dynamically send "
            f"allowed_openai_params={lacking} in your request."
        )
    for name in lacking:
        del given[name]
    if (
        provider == "openai"
        and given.get("temperature") not in (None, 1)
        and (is_o_series(model) or is_gpt_5(model))
        and "temperature" not in allowed
    ):
        if not drop:
            kind = "O-series" if is_o_series(model) else "gpt-5"
            raise UnsupportedParamsError(
                f"{kind} models don't support temperature={given['temperature']}. Only "
                "temperature=1 is supported. To drop unsupported openai params from the call, set "
                "`litellm.drop_params = True`"
            )
        del given["temperature"]


def response_format(wanted: Any) -> Any:
    """A pydantic class as the schema that OpenAI takes; anything else as it is."""
    if inspect.isclass(wanted) and issubclass(wanted, BaseModel):
        from openai.lib._parsing import type_to_response_format_param

        return type_to_response_format_param(wanted)
    return wanted


def messages_of(messages: Any) -> list[dict[str, Any]]:
    """The history as dicts, with what this module hid in `provider_specific_fields` put back."""
    made = []
    for message in messages:
        given = message.model_dump() if hasattr(message, "model_dump") else dict(message)
        specific = given.pop("provider_specific_fields", None)
        if isinstance(specific, dict):
            for name in ("provider_content", "reasoning_details"):
                if specific.get(name) is not None:
                    given.setdefault(name, specific[name])
        calls = given.get("tool_calls")
        if calls:
            given["tool_calls"] = [
                call.model_dump(exclude_none=True) if hasattr(call, "model_dump") else call
                for call in calls
            ]
        made.append(
            {name: value for name, value in given.items() if value is not None or name == "content"}
        )
    return made
