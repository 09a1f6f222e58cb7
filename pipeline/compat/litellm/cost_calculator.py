"""What a call costs, from the rows of `litellm.model_cost`: `litellm.cost_calculator`.

Cached tokens are inside the prompt's, as OpenAI counts them. Money is US dollars, as floats.
"""

from __future__ import annotations

from typing import Any

from .exceptions import ModelNotMappedError
from .types.utils import Usage

_STEPS = (512, 272, 200, 128)
"""Thousands of prompt tokens from which a row may have other prices."""


def cost_per_token(
    model: str = "",
    prompt_tokens: int = 0,
    completion_tokens: int = 0,
    response_time_ms: float | None = 0.0,
    custom_llm_provider: str | None = None,
    region_name: Any = None,
    prompt_characters: int | None = None,
    completion_characters: int | None = None,
    cache_creation_input_tokens: int | None = 0,
    cache_read_input_tokens: int | None = 0,
    custom_cost_per_token: Any = None,
    custom_cost_per_second: float | None = None,
    number_of_queries: int | None = None,
    usage_object: Usage | None = None,
    rerank_billed_units: Any = None,
    call_type: str = "completion",
    audio_transcription_file_duration: float = 0.0,
    service_tier: str | None = None,
    data_residency: str | None = None,
    vertex_location: str | None = None,
    response: object | None = None,
    request_model: str | None = None,
    custom_model_info: Any = None,
    bedrock_model_info: Any = None,
) -> tuple[float, float]:
    """Dollars for the prompt, and dollars for the answer.

    Raises:
        ModelNotMappedError: nothing is known of the model.
        BadRequestError: the name does not say whose model it is.
    """
    del region_name, prompt_characters, completion_characters, number_of_queries
    del rerank_billed_units, call_type, audio_transcription_file_duration, data_residency
    del vertex_location, response, request_model, bedrock_model_info
    if usage_object is None:
        counts: dict[str, Any] = {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        }
        if cache_creation_input_tokens:
            counts["cache_creation_input_tokens"] = cache_creation_input_tokens
        if cache_read_input_tokens:
            counts["cache_read_input_tokens"] = cache_read_input_tokens
        usage_object = Usage(**counts)
    if custom_cost_per_token is not None:
        return (
            custom_cost_per_token["input_cost_per_token"] * usage_object.prompt_tokens,
            custom_cost_per_token["output_cost_per_token"] * usage_object.completion_tokens,
        )
    if custom_cost_per_second is not None:
        return 0.0, custom_cost_per_second * (response_time_ms or 0.0) / 1000
    row = custom_model_info or _row(model, custom_llm_provider)
    return _prompt_cost(row, usage_object, service_tier), _answer_cost(
        row, usage_object, service_tier
    )


def _row(model: str, provider: str | None) -> dict[str, Any]:
    from .litellm_core_utils.get_llm_provider_logic import get_llm_provider
    from .utils import find_row

    try:
        row = find_row(model, provider)[1]
    except ModelNotMappedError:
        if provider is None:
            get_llm_provider(model)  # says so, if the name says nothing
        raise
    if row.get("input_cost_per_token", 0) is None and row.get("output_cost_per_token", 0) is None:
        raise ModelNotMappedError(f"No price is known of model={model}.")
    return row


def _rate(row: dict[str, Any], name: str, prompt_tokens: int, tier: str | None) -> float | None:
    """The price per token that applies to a prompt of this length, in this tier."""
    suffix = f"_{tier}" if tier in ("flex", "priority") else ""
    for thousands in _STEPS:
        if prompt_tokens > thousands * 1000:
            step = f"{name}_above_{thousands}k_tokens"
            for key in (f"{step}{suffix}", step):
                if row.get(key) is not None:
                    return float(row[key])
    for key in (f"{name}{suffix}", name):
        if row.get(key) is not None:
            return float(row[key])
    return None


def _prompt_cost(row: dict[str, Any], usage: Usage, tier: str | None) -> float:
    total = usage.prompt_tokens
    details = usage.prompt_tokens_details
    cached = getattr(details, "cached_tokens", None) or 0
    written = getattr(details, "cache_creation_tokens", None) or 0
    audio = getattr(details, "audio_tokens", None) or 0
    plain = _rate(row, "input_cost_per_token", total, tier) or 0.0
    rates = [
        (cached, _rate(row, "cache_read_input_token_cost", total, tier)),
        (written, _rate(row, "cache_creation_input_token_cost", total, tier)),
        (audio, _rate(row, "input_cost_per_audio_token", total, tier)),
    ]
    cost = 0.0
    left = total
    for tokens, rate in rates:
        cost += tokens * (plain if rate is None else rate)
        left -= tokens
    return cost + max(0, left) * plain


def _answer_cost(row: dict[str, Any], usage: Usage, tier: str | None) -> float:
    total = usage.prompt_tokens
    details = usage.completion_tokens_details
    plain = _rate(row, "output_cost_per_token", total, tier) or 0.0
    cost = 0.0
    left = usage.completion_tokens
    for part, name in (
        ("reasoning_tokens", "output_cost_per_reasoning_token"),
        ("audio_tokens", "output_cost_per_audio_token"),
    ):
        rate = _rate(row, name, total, tier)
        tokens = getattr(details, part, None) or 0
        if rate is not None and tokens:
            cost += tokens * rate
            left -= tokens
    return cost + max(0, left) * plain


def completion_cost(
    completion_response: object | None = None,
    model: str | None = None,
    prompt: str = "",
    messages: list[Any] = [],  # noqa: B006 - litellm's signature; never changed
    completion: str = "",
    total_time: float | None = 0.0,
    call_type: str | None = None,
    custom_llm_provider: str | None = None,
    region_name: Any = None,
    size: str | None = None,
    quality: str | None = None,
    n: int | None = None,
    custom_cost_per_token: Any = None,
    custom_cost_per_second: float | None = None,
    optional_params: dict[str, Any] | None = None,
    custom_pricing: bool | None = None,
    base_model: str | None = None,
    standard_built_in_tools_params: Any = None,
    litellm_model_name: str | None = None,
    router_model_id: str | None = None,
    litellm_logging_obj: Any = None,
    service_tier: str | None = None,
    data_residency: str | None = None,
    vertex_location: str | None = None,
) -> float:
    """Dollars for an answer, or for a prompt and an answer given as texts.

    Raises:
        ValueError: there is no model.
        ModelNotMappedError: nothing is known of the model.
        NotImplementedError: a price by image size.
    """
    del call_type, optional_params, custom_pricing, router_model_id, litellm_logging_obj
    del data_residency, vertex_location, region_name, n, standard_built_in_tools_params
    if size is not None or quality is not None:
        from ._state import unsupported

        raise unsupported("completion_cost(size=)", "Scallion prices chat completions")
    answer = _Answer(completion_response)
    usage = answer.usage
    # Of the names that the answer and the caller give, the first that has a price.
    names = [base_model, answer.get("model"), model, litellm_model_name]
    if completion_response is None:
        names = [base_model, model, litellm_model_name]
    known = [name for name in names if isinstance(name, str) and name]
    if not known:
        raise ValueError(
            "Model is None and does not exist in passed completion_response. "
            f"Passed completion_response={completion_response}, model={model}"
        )
    if usage is None:
        usage = _counted(known[0], prompt, messages, completion, answer.text)
    billed = getattr(usage, "cost", None)
    if billed is not None and custom_cost_per_token is None:
        return float(billed)  # what the provider itself says (OpenRouter)
    failure: Exception | None = None
    for name in known:
        provider = custom_llm_provider or answer.provider
        try:
            costs = cost_per_token(
                name,
                custom_llm_provider=provider if "/" not in name else None,
                custom_cost_per_token=custom_cost_per_token,
                custom_cost_per_second=custom_cost_per_second,
                response_time_ms=total_time,
                usage_object=usage,
                service_tier=service_tier or answer.get("service_tier"),
            )
            return costs[0] + costs[1]
        except Exception as error:
            failure = failure or error
    assert failure is not None
    raise failure


def _counted(
    model: str, prompt: str, messages: list[Any], completion: str, answered: str | None
) -> Usage:
    from .utils import token_counter

    asked = (
        token_counter(model, messages=messages) if messages else token_counter(model, text=prompt)
    )
    text = completion or answered or ""
    said = token_counter(model, text=text, count_response_tokens=True)
    return Usage(prompt_tokens=asked, completion_tokens=said, total_tokens=asked + said)


class _Answer:
    """An answer of any kind that people pass: an object, or a dict."""

    def __init__(self, response: Any) -> None:
        self._response = response

    def get(self, name: str) -> Any:
        if isinstance(self._response, dict):
            return self._response.get(name)
        return getattr(self._response, name, None)

    @property
    def usage(self) -> Usage | None:
        usage = self.get("usage")
        if hasattr(usage, "model_dump") and not isinstance(usage, Usage):
            usage = usage.model_dump()
        if isinstance(usage, dict):
            usage = Usage(**usage)
        return usage if isinstance(usage, Usage) else None

    @property
    def provider(self) -> str | None:
        hidden = getattr(self._response, "_hidden_params", None)
        provider = hidden.get("custom_llm_provider") if isinstance(hidden, dict) else None
        return provider if isinstance(provider, str) else None

    @property
    def text(self) -> str | None:
        choices = self.get("choices")
        if not choices:
            return None
        message = choices[0]["message"] if isinstance(choices[0], dict) else choices[0].message
        content = message["content"] if isinstance(message, dict) else message.content
        return content if isinstance(content, str) else None


def response_cost_calculator(response_object: Any, model: str, **settings: Any) -> float | None:
    """The cost of an answer, or `None` if the price is not known."""
    del settings
    try:
        return completion_cost(response_object, model)
    except Exception:
        return None
