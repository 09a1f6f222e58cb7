"""What answers at the innermost: adapters for OpenAI, Anthropic and OpenRouter, and a fake one.

    openai(base_url="http://localhost:8000/v1", api_key="-")     any OpenAI-compatible server
    openai(client=AsyncAzureOpenAI(...))                         bring your own SDK client
    auto()                                                       by the model's name

No SDK is imported before the first call (or `await provider.warm_up()`).
"""

from scallion._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._anthropic import AnthropicClient as AnthropicClient
    from ._base import BaseLLMClient as BaseLLMClient
    from ._choose import Provider as Provider
    from ._choose import anthropic as anthropic
    from ._choose import auto as auto
    from ._choose import detect_provider as detect_provider
    from ._choose import fake as fake
    from ._choose import get_client as get_client
    from ._choose import openai as openai
    from ._choose import openrouter as openrouter
    from ._config import ClientConfig as ClientConfig
    from ._openai import OpenAIClient as OpenAIClient
    from ._openrouter import OpenRouterClient as OpenRouterClient

_HOME = {
    "AnthropicClient": "_anthropic",
    "BaseLLMClient": "_base",
    "ClientConfig": "_config",
    "OpenAIClient": "_openai",
    "OpenRouterClient": "_openrouter",
    "Provider": "_choose",
    "anthropic": "_choose",
    "auto": "_choose",
    "detect_provider": "_choose",
    "fake": "_choose",
    "get_client": "_choose",
    "openai": "_choose",
    "openrouter": "_choose",
}

__all__ = [
    "AnthropicClient",
    "BaseLLMClient",
    "ClientConfig",
    "OpenAIClient",
    "OpenRouterClient",
    "Provider",
    "anthropic",
    "auto",
    "detect_provider",
    "fake",
    "get_client",
    "openai",
    "openrouter",
]


if not TYPE_CHECKING:  # or checkers would believe that every name is there
    __getattr__ = lazy(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted(__all__)
