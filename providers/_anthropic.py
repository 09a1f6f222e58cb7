"""Anthropic's Messages API, in OpenAI's chat shape on our side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from scallion._secrets import plain

from ._anthropic_request import to_anthropic
from ._anthropic_response import InBandError, from_anthropic
from ._anthropic_stream import AnthropicEvents
from ._bodies import errors_cut_short
from ._errors import error_from_payload
from ._params import OURS
from ._sdk_client import SDKClient

if TYPE_CHECKING:
    from scallion._request import Request
    from scallion.types import ModelResponse, StreamChunk

API_VERSION = "2023-06-01"
"""The version whose shapes this adapter writes and reads, whichever SDK is installed. The next one,
2026-10-21, refuses temperature, top_p and top_k on every model; pass `default_headers` to use it
(platform.claude.com, "Migrating to API version 2026-10-21")."""

_SAMPLING = frozenset({"temperature", "top_p", "top_k"})

DEFAULT_MAX_TOKENS = 4096
"""Anthropic requires max_tokens; this is for models whose own limit is not known."""


class AnthropicClient(SDKClient):
    """The adapter for Anthropic. Made by `scallion.providers.anthropic`."""

    name: ClassVar[str] = "anthropic"
    _sdk: ClassVar[str] = "anthropic"
    path: ClassVar[str] = "/v1/messages"
    key_variable: ClassVar[str] = "ANTHROPIC_API_KEY"
    account_variables: ClassVar[tuple[str, ...]] = (
        "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_CUSTOM_HEADERS"
    )  # fmt: skip
    keyless_variables: ClassVar[tuple[str, ...]] = (
        "ANTHROPIC_PROFILE", "ANTHROPIC_CONFIG_DIR", "ANTHROPIC_FEDERATION_RULE_ID",
        "ANTHROPIC_ORGANIZATION_ID", "ANTHROPIC_SERVICE_ACCOUNT_ID", "ANTHROPIC_WORKSPACE_ID",
        "ANTHROPIC_SCOPE",
    )  # fmt: skip
    address_variable: ClassVar[str] = "ANTHROPIC_BASE_URL"

    def make_client(self) -> Any:
        """An `AsyncAnthropic` over aiohttp: its default transport slows down under load."""
        import anthropic

        settings = self.settings()
        settings["default_headers"] = {
            "anthropic-version": API_VERSION,
            **(settings.get("default_headers") or {}),
        }
        if "http_client" not in settings:
            settings["http_client"] = anthropic.DefaultAioHttpClient(event_hooks=errors_cut_short())
        client = anthropic.AsyncAnthropic(**plain(settings))
        if not (client.api_key or client.auth_token or client.credentials):
            raise self.missing_key()
        return client

    def make_body(self, request: Request) -> dict[str, Any]:
        """The request as a Messages body."""
        assert request.model is not None
        model = self.wire_model(request.model)
        info = self._model_info(model)
        known = info.max_output_tokens if info is not None else None
        params = {name: value for name, value in request.params.items() if name not in OURS}
        body = to_anthropic(
            request.messages,
            params,
            model=model,
            max_tokens_default=known or DEFAULT_MAX_TOKENS,
            info=info,
        )
        if request.stream:
            body["stream"] = True
        return body

    async def count_tokens_exact(self, request: Request) -> int:
        """See `BaseLLMClient`. The prompt is sent to Anthropic's `count_tokens` endpoint."""
        from ._count import asked

        return await asked(self, request)

    def headers(self, request: Request) -> dict[str, Any]:
        """A client that was handed in may use a version that refuses sampling parameters."""
        headers = super().headers(request)
        if self._given_client is not None and not _SAMPLING.isdisjoint(request.params):
            return {"anthropic-version": API_VERSION, **headers}
        return headers

    def read_answer(self, body: bytes) -> ModelResponse:
        """A `message` object as a `chat.completion`."""
        try:
            return from_anthropic(body)
        except InBandError as error:
            raise error_from_payload(error.body, provider=self.name, model=None) from None

    def event_decoder(self, request: Request) -> _MessageDecoder:
        """Events of the Messages API as chunks."""
        return _MessageDecoder(self.name, request.model)

    def _sdk_class(self) -> type:
        import anthropic

        return anthropic.AsyncAnthropic

    def _stream_class(self) -> type:
        import anthropic

        return anthropic.AsyncStream[object]


class _MessageDecoder:
    """Decodes the events of one Messages stream."""

    __slots__ = ("_events", "_model", "_provider")

    def __init__(self, provider: str, model: str | None) -> None:
        self._provider = provider
        self._model = model
        self._events = AnthropicEvents()

    def decode(self, events: list[bytes], chunks: list[StreamChunk]) -> bool:
        """See `EventDecoder`."""
        feed = self._events.feed
        for data in events:
            try:
                made = feed(data)
            except InBandError as error:
                raise error_from_payload(
                    error.body, provider=self._provider, model=self._model
                ) from None
            chunks += made
            if self._events.stopped:
                return True  # what may follow in the same packet is not read in another one either
        return False
