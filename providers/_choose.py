"""Which adapter: the factories that users call, and the choice by a model's name."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

from scallion._secrets import Secret, hidden, hide, plain
from scallion.exceptions import InvalidRequestError

from ._config import ClientConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scallion._request import Request
    from scallion._response import Response

    from ._anthropic import AnthropicClient
    from ._base import BaseLLMClient
    from ._fake import FakeClient, Step
    from ._openai import OpenAIClient
    from ._openrouter import OpenRouterClient


class Provider(StrEnum):
    """The providers that have an adapter. The values are the prefixes of model names."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    OPENROUTER = "openrouter"
    FAKE = "fake"


def openai(
    *,
    api_key: Any = None,
    base_url: str | None = None,
    timeout: float | None = None,
    default_headers: dict[str, str] | None = None,
    client: Any = None,
    **settings: Any,
) -> OpenAIClient:
    """OpenAI, or any server that speaks its Chat Completions API.

    Args:
        api_key: By default `OPENAI_API_KEY`. Servers that want none take any text.
        base_url: By default `OPENAI_BASE_URL`, or OpenAI itself.
        timeout: Seconds for each read on the socket (the SDK's default is 600).
        default_headers: Sent with every request.
        client: An `AsyncOpenAI`, `AsyncAzureOpenAI`, … of your own, instead of all the above.
        **settings: `max_event_bytes` (see `ClientConfig`), and whatever else `AsyncOpenAI` takes
            (`organization`, `project`, `http_client`, …).
    """
    api_key, base_url, default_headers = _hidden(api_key, base_url, default_headers)
    hide(settings)
    from ._openai import OpenAIClient

    return OpenAIClient(
        _config(api_key, base_url, timeout, default_headers), client=client, **settings
    )


def anthropic(
    *,
    api_key: str | None = None,
    base_url: str | None = None,
    timeout: float | None = None,
    default_headers: dict[str, str] | None = None,
    client: Any = None,
    **settings: Any,
) -> AnthropicClient:
    """Anthropic's Messages API.

    Args:
        api_key: By default `ANTHROPIC_API_KEY`, or what else the SDK finds.
        base_url: By default `ANTHROPIC_BASE_URL`, or Anthropic itself.
        timeout: Seconds for each read on the socket (the SDK's default is 600).
        default_headers: Sent with every request (`anthropic-beta`, `anthropic-version`, …).
        client: An `AsyncAnthropic`, `AsyncAnthropicBedrock`, … of your own, instead of all the
            above.
        **settings: `max_event_bytes` (see `ClientConfig`), and whatever else `AsyncAnthropic` takes
            (`auth_token`, `http_client`, …).
    """
    api_key, base_url, default_headers = _hidden(api_key, base_url, default_headers)
    hide(settings)
    from ._anthropic import AnthropicClient

    return AnthropicClient(
        _config(api_key, base_url, timeout, default_headers), client=client, **settings
    )


def openrouter(
    *,
    api_key: str | None = None,
    base_url: str | None = None,
    timeout: float | None = None,
    default_headers: dict[str, str] | None = None,
    app_url: str | None = None,
    app_title: str | None = None,
    client: Any = None,
    **settings: Any,
) -> OpenRouterClient:
    """OpenRouter. Its routing options (`provider`, `models`, …) go into `extra_body`.

    Args:
        api_key: By default `OPENROUTER_API_KEY`.
        base_url: By default `OPENROUTER_BASE_URL`, or OpenRouter itself.
        timeout: Seconds for each read on the socket (the SDK's default is 600).
        default_headers: Sent with every request.
        app_url: Your application's address, for OpenRouter's rankings (`HTTP-Referer`).
        app_title: Its name there (`X-Title`).
        client: An `AsyncOpenAI` of your own, instead of all the above.
        **settings: `max_event_bytes` (see `ClientConfig`), and whatever else `AsyncOpenAI` takes.
    """
    api_key, base_url, default_headers = _hidden(api_key, base_url, default_headers)
    hide(settings)
    from ._openrouter import OpenRouterClient

    attribution = {"HTTP-Referer": app_url, "X-Title": app_title}
    headers = {name: value for name, value in attribution.items() if value is not None}
    headers |= default_headers or {}
    return OpenRouterClient(
        _config(api_key, base_url, timeout, headers or None), client=client, **settings
    )


def fake(script: Sequence[Step] | None = None, *, delay: float = 0.0) -> FakeClient:
    """A provider that needs no key and no network: see `FakeClient`."""
    from ._fake import FakeClient

    return FakeClient(script, delay=delay)


def auto() -> AutoProvider:
    """The adapter that each request's model name asks for: see `detect_provider`."""
    return AutoProvider()


def detect_provider(model: str) -> Provider:
    """Which adapter serves `model`.

    A prefix decides (`openai/…`, `anthropic/…`, `openrouter/…`, `fake/…`); without one, names that
    begin with `claude-` are Anthropic's, and all others OpenAI's or an OpenAI-compatible server's.

    Raises:
        InvalidRequestError: the prefix is none of these.
    """
    if not isinstance(model, str):
        raise InvalidRequestError(f"model must be a name, not {model!r}")
    prefix, slash, _ = model.partition("/")
    if not slash:
        return Provider.ANTHROPIC if model.startswith("claude-") else Provider.OPENAI
    try:
        return Provider(prefix)
    except ValueError:
        known = ", ".join(f"{provider}/" for provider in Provider)
        raise InvalidRequestError(
            f"unknown provider prefix {prefix!r} in model {model!r}: known are {known}. "
            f"Write openrouter/{model} for OpenRouter, or openai/{model} for an "
            "OpenAI-compatible server at OPENAI_BASE_URL",
            model=model,
        ) from None


def get_client(provider: Provider | str, **kwargs: Any) -> BaseLLMClient:
    """The adapter of a provider, by its name; `kwargs` are those of its factory.

    Raises:
        ValueError: there is no such provider.
    """
    hide(kwargs)
    try:
        chosen = Provider(provider)
    except ValueError:
        known = ", ".join(Provider)
        raise ValueError(f"unknown provider {provider!r}: known are {known}") from None
    factories: dict[Provider, Any] = {
        Provider.OPENAI: openai,
        Provider.ANTHROPIC: anthropic,
        Provider.OPENROUTER: openrouter,
        Provider.FAKE: fake,
    }
    client: BaseLLMClient = factories[chosen](**kwargs)
    return client


class AutoProvider:
    """A handler that hands each request to the adapter its model's name asks for.

    Args:
        **settings: Those of the adapters, each of which gets them all.
    """

    name = "auto"

    def __init__(self, **settings: Any) -> None:
        self._settings = hide(settings)
        self._clients: dict[Provider, BaseLLMClient] = {}

    async def __call__(self, request: Request) -> Response:
        """Send the request to its provider."""
        assert request.model is not None
        return await self.client_for(request.model)(request)

    def client_for(self, model: str) -> BaseLLMClient:
        """The adapter for `model`; one per provider is kept."""
        provider = detect_provider(model)
        client = self._clients.get(provider)
        if client is None:
            client = self._clients.setdefault(provider, get_client(provider, **self._settings))
        return client

    async def count_tokens_exact(self, request: Request) -> int:
        """See `BaseLLMClient`; the adapter that serves the request's model counts."""
        assert request.model is not None
        return await self.client_for(request.model).count_tokens_exact(request)

    def name_for(self, model: str) -> str:
        """The name of the adapter that serves `model`."""
        return self.client_for(model).name

    def identity(self, model: str) -> str:
        """The identity of the adapter that serves `model`."""
        return self.client_for(model).identity(model)

    async def aclose(self) -> None:
        """Close the adapters that were used."""
        for client in list(self._clients.values()):
            await client.aclose()

    def __reduce__(self) -> tuple[partial[AutoProvider], tuple[()]]:
        return partial(AutoProvider, **self._settings), ()

    def __repr__(self) -> str:
        return "auto()"


def _hidden(
    api_key: Any, base_url: str | None, default_headers: dict[str, str] | None
) -> tuple[Any, str | None, dict[str, str] | None]:
    """The same, to be put in their places at once: a traceback may show them."""
    if isinstance(api_key, str):
        # Keys are read from files that end in a line break.
        api_key = Secret(plain(api_key).strip())
    return api_key, hidden("base_url", base_url), hidden("default_headers", default_headers)


def _config(
    api_key: Any,
    base_url: str | None,
    timeout: float | None,
    default_headers: dict[str, str] | None,
) -> ClientConfig:
    return ClientConfig(
        api_key=api_key, base_url=base_url, timeout=timeout, default_headers=default_headers
    )
