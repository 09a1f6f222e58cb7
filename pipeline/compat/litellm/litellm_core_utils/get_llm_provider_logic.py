"""Whose model a name means."""

from __future__ import annotations

import os
from typing import Any

from ..._connect import KEYLESS, KNOWN_ADDRESSES, OPENAI_COMPATIBLE
from ..exceptions import BadRequestError
from ..types.info import LlmProviders

_PROVIDERS = frozenset(each.value for each in LlmProviders) | {"fake", "text-completion-openai"}
# Families of names that belong to a provider without being listed one by one.
_AT_BEDROCK = ("amazon.", "anthropic.", "cohere.", "meta.", "mistral.", "us.", "eu.", "apac.")
_FINE_TUNED = ("ft:gpt-", "ft:davinci-", "ft:babbage-")


def get_llm_provider(
    model: str,
    custom_llm_provider: str | None = None,
    api_base: str | None = None,
    api_key: str | None = None,
    litellm_params: Any = None,
) -> tuple[str, str, str | None, str | None]:
    """The model's name at its provider, the provider, and the key and address if they are known.

    Raises:
        BadRequestError: the name does not say whose model it is.
    """
    if litellm_params is not None:
        custom_llm_provider = custom_llm_provider or litellm_params.get("custom_llm_provider")
        api_base = api_base or litellm_params.get("api_base")
        api_key = api_key or litellm_params.get("api_key")
    if not isinstance(model, str):
        raise _unknown(model)
    prefix, slash, rest = model.partition("/")
    if custom_llm_provider is not None:
        name = rest if slash and prefix == custom_llm_provider else model
        return name, str(custom_llm_provider), *_account(custom_llm_provider, api_base, api_key)
    if slash and prefix in _PROVIDERS:
        return rest, prefix, *_account(prefix, api_base, api_key)
    if api_base is not None:
        bare = api_base.partition("://")[2].rstrip("/")
        if (provider := KNOWN_ADDRESSES.get(bare)) is not None:
            key = api_key or os.environ.get(OPENAI_COMPATIBLE[provider][1])
            return model, provider, key, api_base
    provider = _owner(model)
    if provider is None:
        raise _unknown(model)
    return model, provider, api_key, api_base


def _account(
    provider: str, api_base: str | None, api_key: str | None
) -> tuple[str | None, str | None]:
    """The key and address of a provider that has an address of its own."""
    known = OPENAI_COMPATIBLE.get(provider)
    if provider == "ollama":
        return api_key, api_base or os.environ.get("OLLAMA_API_BASE") or "http://localhost:11434"
    if known is None or provider in ("openai", "custom_openai", "litellm_proxy"):
        return api_key, api_base
    address, key_variable, address_variable = known
    key = api_key or os.environ.get(key_variable)
    if key is None and provider in KEYLESS:
        key = "fake-api-key"
    return key, api_base or os.environ.get(address_variable) or address


def _owner(model: str) -> str | None:
    """The provider of a bare name, by the table of models, or by the name's own form."""
    from ..model_data import find

    row = find(model)
    if row is not None and row.get("litellm_provider"):
        return str(row["litellm_provider"])
    if model.startswith(_FINE_TUNED):
        return "openai"
    if model.startswith(_AT_BEDROCK):
        return "bedrock"
    from scallion._models import model_info

    for provider in ("openai", "anthropic"):
        if model_info(model, provider) is not None and "@" not in model:
            return provider
    return "anthropic" if model.startswith("claude-") and "@" not in model else None


def _unknown(model: Any) -> BadRequestError:
    return BadRequestError(
        "LLM Provider NOT provided. Pass in the LLM provider you are trying to call. "
        f"You passed model={model}\n Pass model as E.g. For 'Huggingface' inference endpoints pass "
        "in `completion(model='huggingface/starcoder',..)` Learn more: "
        "https://docs.litellm.ai/docs/providers",
        model,
        "",
    )
