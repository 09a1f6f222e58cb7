"""From litellm's way to name a model and its server to the handler that asks it.

litellm writes `provider/model`, and `api_base`, `api_key` and the like beside it. Most of its
providers are servers that speak OpenAI's API at an address of their own; those are listed here,
with the variable that holds the key. Addresses and variables are the ones litellm 1.106 uses.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from scallion.providers import BaseLLMClient

# Provider, address ("-": none of its own), and its variables where they are not NAME_API_KEY and
# NAME_API_BASE.
_TABLE = """
openai - OPENAI_API_KEY OPENAI_BASE_URL
custom_openai - OPENAI_API_KEY OPENAI_BASE_URL
openai_like -
cerebras https://api.cerebras.ai/v1
codestral https://codestral.mistral.ai/v1
dashscope https://dashscope.aliyuncs.com/compatible-mode/v1
deepinfra https://api.deepinfra.com/v1/openai
deepseek https://api.deepseek.com/beta
featherless_ai https://api.featherless.ai/v1
fireworks_ai https://api.fireworks.ai/inference/v1 FIREWORKS_API_KEY FIREWORKS_API_BASE
github https://models.inference.ai.azure.com
groq https://api.groq.com/openai/v1
hosted_vllm -
hyperbolic https://api.hyperbolic.xyz/v1
lambda_ai https://api.lambda.ai/v1 LAMBDA_API_KEY LAMBDA_API_BASE
litellm_proxy -
llamafile http://127.0.0.1:8080/v1
lm_studio -
meta_llama https://api.llama.com/compat/v1 LLAMA_API_KEY LLAMA_API_BASE
mistral https://api.mistral.ai/v1
moonshot https://api.moonshot.ai/v1
nebius https://api.studio.nebius.ai/v1
novita https://api.novita.ai/v3/openai
nvidia_nim https://integrate.api.nvidia.com/v1
perplexity https://api.perplexity.ai PERPLEXITYAI_API_KEY
sambanova https://api.sambanova.ai/v1
together_ai https://api.together.ai/v1 TOGETHERAI_API_KEY
vercel_ai_gateway https://ai-gateway.vercel.sh/v1
volcengine https://ark.cn-beijing.volces.com/api/v3
xai https://api.x.ai/v1
zai https://api.z.ai/api/paas/v4
"""


def _entry(
    provider: str, address: str, key: str = "", base: str = ""
) -> tuple[str | None, str, str]:
    name = provider.upper()
    return (
        None if address == "-" else address,
        key or f"{name}_API_KEY",
        base or f"{name}_API_BASE",
    )


# Provider: (address, variable of the key, variable of the address).
OPENAI_COMPATIBLE = {line.split()[0]: _entry(*line.split()) for line in _TABLE.strip().split("\n")}
# Servers on one's own machine, for which litellm makes up a key.
KEYLESS = frozenset({"hosted_vllm", "lm_studio", "llamafile", "ollama", "ollama_chat"})

# Addresses that tell the provider where the model's name does not, as litellm knows them.
KNOWN_ADDRESSES = {
    address.split("://")[1]: provider
    for provider, (address, _, _) in OPENAI_COMPATIBLE.items()
    if address is not None and provider != "llamafile"
}

_ELSEWHERE = {
    "bedrock": "scallion.providers.anthropic(client=anthropic.AsyncAnthropicBedrock())",
    "bedrock_converse": "scallion.providers.anthropic(client=anthropic.AsyncAnthropicBedrock())",
    "vertex_ai": "scallion.providers.anthropic(client=anthropic.AsyncAnthropicVertex()) for Claude",
    "gemini": (
        "scallion.providers.openai(base_url="
        '"https://generativelanguage.googleapis.com/v1beta/openai/")'
    ),
}

_CLIENTS_KEPT = 64


class Endpoint(NamedTuple):
    """One server as one account sees it. Equal ones share a client."""

    provider: str
    api_key: str | None = None
    api_base: str | None = None
    organization: str | None = None
    headers: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"Endpoint({self.provider!r}, api_base={self.api_base!r})"


class Clients:
    """The adapters that were made so far, the least used ones forgotten first."""

    def __init__(self) -> None:
        self._made: OrderedDict[Endpoint, BaseLLMClient] = OrderedDict()
        self._lock = Lock()

    def for_endpoint(self, endpoint: Endpoint) -> BaseLLMClient:
        """The adapter for `endpoint`, made at the first call.

        Raises:
            NotImplementedError: Scallion has no adapter for the provider.
        """
        with self._lock:
            client = self._made.get(endpoint)
            if client is None:
                client = self._made[endpoint] = make_client(endpoint)
                if len(self._made) > _CLIENTS_KEPT:
                    self._made.popitem(last=False)
            self._made.move_to_end(endpoint)
            return client

    async def aclose(self) -> None:
        """Close the connections that the running loop has."""
        for client in list(self._made.values()):
            await client.aclose()

    def clear(self) -> None:
        """Forget all of them."""
        with self._lock:
            self._made.clear()


def make_client(endpoint: Endpoint) -> BaseLLMClient:
    """A new adapter. See `Clients.for_endpoint`."""
    from scallion import providers

    provider, api_key, api_base, organization, headers = endpoint
    settings: dict[str, Any] = {"api_key": api_key, "base_url": api_base}
    if headers:
        settings["default_headers"] = dict(headers)
    if provider == "fake":
        return providers.fake()
    if provider == "anthropic":
        if api_base is not None:
            settings["base_url"] = _anthropic_root(api_base)
        return providers.anthropic(**settings)
    if provider == "openrouter":
        return providers.openrouter(**settings)
    if provider == "azure":
        return providers.openai(**_azure(settings))
    if provider in ("ollama", "ollama_chat"):
        root = api_base or os.environ.get("OLLAMA_API_BASE") or "http://localhost:11434"
        return providers.openai(base_url=f"{root.rstrip('/')}/v1", api_key=api_key or "none")
    known = OPENAI_COMPATIBLE.get(provider)
    if known is None:
        way = _ELSEWHERE.get(provider) or (
            f'scallion.providers.openai(base_url=…), or model="openai/…" with api_base=, '
            f"if {provider} has an OpenAI-compatible address"
        )
        raise NotImplementedError(f"no adapter for litellm's provider {provider!r}: use {way}")
    address, key_variable, address_variable = known
    if provider not in ("openai", "custom_openai"):
        # The adapter's own fallback is OpenAI's key and address, which are not for others.
        settings["base_url"] = api_base or os.environ.get(address_variable) or address
        settings["api_key"] = api_key or os.environ.get(key_variable)
        if settings["base_url"] is None:
            raise ValueError(f"{provider} needs api_base= or {address_variable}")
        if settings["api_key"] is None:
            if provider not in KEYLESS and provider != "litellm_proxy":
                from scallion.exceptions import AuthenticationError

                raise AuthenticationError(
                    f"no key: pass api_key= or set {key_variable}", provider=provider
                )
            settings["api_key"] = "none"
    elif api_base is None:
        settings["base_url"] = os.environ.get("OPENAI_BASE_URL") or os.environ.get(
            "OPENAI_API_BASE"
        )
    if organization is not None:
        settings["organization"] = organization
    return providers.openai(**settings)


def _anthropic_root(api_base: str) -> str:
    """The address as the SDK wants it: it adds `/v1/messages` by itself."""
    return api_base.rstrip("/").removesuffix("/v1/messages").removesuffix("/v1")


def _azure(settings: dict[str, Any]) -> dict[str, Any]:
    """Azure's own OpenAI-compatible address, where a deployment's name is the model's."""
    address = settings["base_url"] or os.environ.get("AZURE_API_BASE")
    if address is None:
        raise ValueError("azure needs api_base= or AZURE_API_BASE")
    if not address.rstrip("/").endswith("/openai/v1"):
        address = f"{address.rstrip('/')}/openai/v1"
    key = settings["api_key"] or os.environ.get("AZURE_API_KEY")
    return {**settings, "base_url": address, "api_key": key}
