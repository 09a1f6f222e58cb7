"""Which of OpenAI's parameters a model takes, by litellm's lists."""

from __future__ import annotations

from typing import Literal

from ..._connect import OPENAI_COMPATIBLE

_OPENAI = [
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "max_tokens",
    "max_completion_tokens",
    "modalities",
    "prediction",
    "n",
    "presence_penalty",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "temperature",
    "top_p",
    "tools",
    "tool_choice",
    "function_call",
    "functions",
    "max_retries",
    "extra_headers",
    "parallel_tool_calls",
    "audio",
    "web_search_options",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "store",
    "response_format",
]
# o1, o3, …: no sampling, and no log probabilities.
_NOT_O_SERIES = frozenset(
    [
        "frequency_penalty",
        "logprobs",
        "top_logprobs",
        "presence_penalty",
        "top_p",
        "parallel_tool_calls",
    ]
)
_NOT_GPT_5 = frozenset(
    [
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "modalities",
        "prediction",
        "presence_penalty",
        "stop",
        "top_p",
        "audio",
        "web_search_options",
    ]
)
_ANTHROPIC = [
    "stream",
    "stop",
    "temperature",
    "top_p",
    "max_tokens",
    "max_completion_tokens",
    "tools",
    "tool_choice",
    "extra_headers",
    "parallel_tool_calls",
    "response_format",
    "user",
    "web_search_options",
    "speed",
    "context_management",
    "cache_control",
]


def get_supported_openai_params(
    model: str,
    custom_llm_provider: str | None = None,
    request_type: Literal["chat_completion", "embeddings", "transcription"] = "chat_completion",
    base_model: str | None = None,
) -> list[str] | None:
    """OpenAI's parameters that the model takes, or `None` for a provider that is not known."""
    from ..exceptions import BadRequestError
    from ..utils import supports_reasoning
    from .get_llm_provider_logic import get_llm_provider

    if custom_llm_provider is None:
        try:
            model, custom_llm_provider, _, _ = get_llm_provider(model)
        except BadRequestError:
            return None
    name = (base_model or model).rpartition("/")[2]
    if request_type != "chat_completion":
        return ["dimensions", "encoding_format", "user"] if request_type == "embeddings" else None
    if custom_llm_provider == "anthropic":
        thinks = supports_reasoning(name, "anthropic")
        return [*_ANTHROPIC, *(["thinking", "reasoning_effort"] if thinks else [])]
    if custom_llm_provider in ("openrouter", "hosted_vllm"):
        return [*_OPENAI, "reasoning_effort", "thinking"]
    if custom_llm_provider not in OPENAI_COMPATIBLE and custom_llm_provider not in (
        "azure",
        "ollama",
        "ollama_chat",
        "fake",
    ):
        return None
    if is_o_series(name):
        kept = [each for each in _OPENAI if each not in _NOT_O_SERIES]
        return [*kept, "user", "reasoning_effort"]
    if is_gpt_5(name):
        kept = [each for each in _OPENAI if each not in _NOT_GPT_5]
        return [*kept, "user", "reasoning_effort", "verbosity"]
    # Of names that nobody knows litellm says that they take an effort, and no user.
    known = custom_llm_provider == "openai" and _is_known(name)
    return [*_OPENAI, "user"] if known else [*_OPENAI, "reasoning_effort"]


def is_o_series(name: str) -> bool:
    """Whether this is o1, o3, o4-mini, …."""
    return len(name) > 1 and name[0] == "o" and name[1].isdigit()


def is_gpt_5(name: str) -> bool:
    """Whether this is a reasoning model of the gpt-5 family."""
    return name.startswith("gpt-5") and not name.startswith("gpt-5-chat")


def _is_known(name: str) -> bool:
    from scallion._models import model_info

    return model_info(name, "openai") is not None
