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
_OPENAI_LIKE = "stream temperature top_p max_tokens max_completion_tokens"
_SAMPLING = f"{_OPENAI_LIKE} frequency_penalty presence_penalty n stop"
_LEGACY = "function_call functions logit_bias"
# Providers that take far from all of OpenAI's parameters.
_FEW = {
    "azure": f"{_SAMPLING} {_LEGACY} stream_options tools tool_choice user logprobs top_logprobs "
    "response_format seed extra_headers parallel_tool_calls prediction modalities audio "
    "web_search_options prompt_cache_key store",
    "bedrock": f"{_OPENAI_LIKE} stream_options stop extra_headers response_format "
    "requestMetadata service_tier parallel_tool_calls tools tool_choice context_management",
    "cerebras": f"{_OPENAI_LIKE} response_format seed stop tools tool_choice user max_retries "
    "extra_headers",
    "cohere_chat": f"{_SAMPLING} tools tool_choice seed extra_headers",
    "deepinfra": f"{_SAMPLING} {_LEGACY} response_format tools tool_choice",
    "featherless_ai": f"{_SAMPLING} {_LEGACY}",
    "fireworks_ai": f"{_SAMPLING} top_k response_format user logprobs top_logprobs seed min_p "
    "logit_bias prompt_cache_key service_tier prediction stream_options tools parallel_tool_calls",
    "gemini": f"{_SAMPLING} tools tool_choice functions response_format logprobs seed modalities "
    "parallel_tool_calls web_search_options include_server_side_tool_invocations service_tier",
    "hyperbolic": "messages model stream temperature top_p max_tokens frequency_penalty "
    "presence_penalty stop n tools tool_choice response_format seed user",
    "mistral": f"{_OPENAI_LIKE} tools tool_choice seed stop response_format parallel_tool_calls",
    "nvidia_nim": f"{_OPENAI_LIKE} frequency_penalty presence_penalty stop seed tools "
    "tool_choice parallel_tool_calls response_format",
    "ollama": f"{_OPENAI_LIKE} seed frequency_penalty stop response_format reasoning_effort",
    "ollama_chat": f"{_OPENAI_LIKE} seed frequency_penalty stop tools tool_choice functions "
    "response_format reasoning_effort",
    "perplexity": f"{_OPENAI_LIKE} frequency_penalty presence_penalty response_format "
    "max_retries extra_headers web_search_options",
    "sambanova": f"{_OPENAI_LIKE} response_format stop stream_options top_k",
    "vertex_ai": f"{_SAMPLING} top_k tools functions tool_choice response_format extra_headers "
    "seed logprobs top_logprobs modalities audio parallel_tool_calls web_search_options "
    "include_server_side_tool_invocations service_tier",
    "volcengine": f"{_SAMPLING} {_LEGACY} logprobs top_logprobs seed stream_options tools "
    "tool_choice max_retries extra_headers thinking",
    "xai": f"{_SAMPLING} logit_bias logprobs top_logprobs parallel_tool_calls response_format "
    "seed stream_options tools tool_choice user web_search_options",
    "zai": "max_tokens stream stream_options temperature top_p stop tools tool_choice",
}
_FEW |= {"codestral": _FEW["mistral"], "cohere": _FEW["cohere_chat"]}
# Those that take nearly all: what they lack, and what they take besides.
_NEARLY: dict[str, tuple[set[str], list[str]]] = {
    "groq": ({"max_retries", "web_search_options"}, []),
    "moonshot": ({"functions"}, []),
    "deepseek": (set(), ["thinking", "reasoning_effort"]),
    "dashscope": (set(), ["reasoning_effort"]),
    "openrouter": (set(), ["reasoning_effort", "thinking"]),
    "hosted_vllm": (set(), ["reasoning_effort", "thinking"]),
    "litellm_proxy": (set(), ["user", "reasoning_effort", "thinking", "verbosity"]),
}
# Those that think only with some of their models, and then take these.
_THINKERS = {
    "anthropic": ["thinking", "reasoning_effort"],
    "bedrock": ["thinking", "reasoning_effort"],
    "gemini": ["reasoning_effort", "thinking"],
    "vertex_ai": ["reasoning_effort", "thinking"],
    "mistral": ["reasoning_effort"],
    "moonshot": ["reasoning_effort"],
    "perplexity": ["reasoning_effort"],
    "zai": ["thinking"],
}


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
    provider = custom_llm_provider
    further = _THINKERS.get(provider, [])
    if further and not supports_reasoning(model, provider):
        further = []
    like_openai = provider == "azure" and (is_o_series(name) or is_gpt_5(name))
    if provider == "anthropic" or (provider in _FEW and not like_openai):
        taken = _ANTHROPIC if provider == "anthropic" else _FEW[provider].split()
        return [*taken, *further]
    if provider in _NEARLY:
        lacking, always = _NEARLY[provider]
        return [*(each for each in _OPENAI if each not in lacking), *always, *further]
    if provider not in OPENAI_COMPATIBLE and provider != "fake" and not like_openai:
        return None
    if is_o_series(name):
        kept = [each for each in _OPENAI if each not in _NOT_O_SERIES]
        return [*kept, "user", "reasoning_effort"]
    if is_gpt_5(name):
        kept = [each for each in _OPENAI if each not in _NOT_GPT_5]
        return [*kept, "user", "reasoning_effort", "verbosity"]
    if provider != "openai":
        return [*_OPENAI]
    # Of names that nobody knows litellm says that they take an effort, and no user.
    return [*_OPENAI, "user"] if _is_known(name) else [*_OPENAI, "reasoning_effort"]


def is_o_series(name: str) -> bool:
    """Whether this is o1, o3, o4-mini, …."""
    return len(name) > 1 and name[0] == "o" and name[1].isdigit()


def is_gpt_5(name: str) -> bool:
    """Whether this is a reasoning model of the gpt-5 family."""
    return name.startswith("gpt-5") and not name.startswith("gpt-5-chat")


def _is_known(name: str) -> bool:
    from scallion._models import model_info

    return model_info(name, "openai") is not None
