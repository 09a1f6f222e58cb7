"""OpenAI's Chat Completions API, and every server that speaks it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from msgspec import DecodeError

from scallion._model import decode, decoder_of, read
from scallion._secrets import plain
from scallion.exceptions import InvalidRequestError
from scallion.types import ModelResponse, StreamChunk

from ._bodies import as_told, decoded, errors_cut_short
from ._encode import encode_json
from ._errors import embedded_error, error_from_payload
from ._openai_history import to_openai_messages
from ._params import OURS
from ._sdk_client import SDKClient
from ._sse import ErrorEvent

if TYPE_CHECKING:
    from scallion._request import Request
    from scallion._response import Response
    from scallion.exceptions import ProviderError

_LEARNABLE = ("stream_options", "reasoning_content")
"""Where servers differ: some do not know `stream_options`. DeepSeek insists on having back the thinking
that led to a tool call (api-docs.deepseek.com, "Thinking Mode"), which Mistral and Groq refuse. By
default the former is sent, and the latter not; what a server's refusal names is done the other way."""

# What OpenAI itself takes in a message; it refuses others, where most compatible servers do not.
_KNOWN = frozenset(
    {"role", "content", "name", "refusal", "audio", "tool_calls", "tool_call_id", "function_call"}
)


_KNOWN_IN_CALLS = frozenset({"id", "type", "function", "custom"})


class OpenAIClient(SDKClient):
    """The adapter for OpenAI and OpenAI-compatible servers. Made by `scallion.providers.openai`."""

    name: ClassVar[str] = "openai"
    _sdk: ClassVar[str] = "openai"
    path: ClassVar[str] = "/chat/completions"
    key_variable: ClassVar[str] = "OPENAI_API_KEY"
    account_variables: ClassVar[tuple[str, ...]] = (
        "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS"
    )  # fmt: skip
    address_variable: ClassVar[str] = "OPENAI_BASE_URL"

    _learned: frozenset[str] = frozenset()
    """Which of `_LEARNABLE` this server turned out to want otherwise than most."""

    def make_client(self) -> Any:
        """An `AsyncOpenAI` over aiohttp: its default transport slows down under load."""
        import openai

        return openai.AsyncOpenAI(**plain(self.client_settings(openai.DefaultAioHttpClient)))

    def client_settings(self, http_client: Any) -> dict[str, Any]:
        """The SDK client's arguments; what is not configured is left to the SDK."""
        settings = self.settings()
        if "http_client" not in settings:
            settings["http_client"] = http_client(event_hooks=errors_cut_short())
        return settings

    def make_body(self, request: Request) -> dict[str, Any]:
        """The request as OpenAI's body."""
        return self._body(request, self._learned)

    def _body(self, request: Request, learned: frozenset[str]) -> dict[str, Any]:
        assert request.model is not None
        body: dict[str, Any] = {
            "model": self.wire_model(request.model),
            "messages": self.wire_messages(request, learned),
        }
        body.update((name, value) for name, value in request.params.items() if name not in OURS)
        if request.stream:
            body["stream"] = True
            if "stream_options" not in learned:
                body.setdefault("stream_options", {"include_usage": True})
        else:
            body.pop("stream_options", None)  # refused where there is no stream
        if body.get("tools"):
            body["tools"] = self.wire_tools(body["tools"])
        if "max_tokens" in body and self._renames_max_tokens(body["model"]):
            body.setdefault("max_completion_tokens", body.pop("max_tokens"))
        return body

    def wire_messages(self, request: Request, learned: frozenset[str]) -> Any:
        """The history without what only another provider understands."""
        thinking = "reasoning_content" in learned and not self._is_openai()
        messages = to_openai_messages(
            request.messages, keep_reasoning=False, keep_reasoning_content=thinking
        )
        if not self._is_openai():
            return messages
        return [_known(message) for message in messages]

    def wire_tools(self, tools: Any) -> Any:
        """The tools without Anthropic's cache markers, which OpenAI refuses."""
        if not any("cache_control" in tool for tool in tools):
            return tools
        return [{k: v for k, v in tool.items() if k != "cache_control"} for tool in tools]

    async def _exchange(self, request: Request, body: dict[str, Any], content: bytes) -> Response:
        sent = self._learned
        try:
            return await super()._exchange(request, body, content)
        except InvalidRequestError as error:
            name = next((name for name in _LEARNABLE if name in str(error.body)), None)
            if name is None:
                raise
            other = self._body(request, sent ^ {name}) | (request.params.get("extra_body") or {})
            if other == body:  # it is not ours to change
                raise
            response = await super()._exchange(request, other, encode_json(other))
            # Only now: an error may merely have quoted the request.
            self._learned = self._learned - {name} if name in sent else self._learned | {name}
            return response

    async def count_tokens_exact(self, request: Request) -> int:
        """See `BaseLLMClient`. Of another server than OpenAI's nobody knows the tokenizer."""
        from ._count import published

        if not self._is_openai():
            raise self.invalid(
                "this server has no endpoint that counts the prompt of a chat, and its tokenizer is "
                "not known: scallion.tokens.estimate(request) is close",
                request,
            )
        return await published(self, request)

    def read_answer(self, body: bytes) -> ModelResponse:
        """A `chat.completion` object."""
        answer = decode(ModelResponse, body)
        answer.body = body
        return answer

    def event_decoder(self, request: Request) -> ChunkDecoder:
        """Chunks are Scallion's own shape already."""
        return ChunkDecoder(self.name, request.model)

    def wire_model(self, model: str) -> str:
        """Without `openai/`, unless another server may have models of that very name.

        Where only the environment says which server it is, the prefix is what chose the adapter.
        """
        chosen = self._given_client is None and self.config.base_url is None
        return super().wire_model(model) if chosen or self._is_openai() else model

    def _renames_max_tokens(self, model: str) -> bool:
        # OpenAI's reasoning models refuse `max_tokens`; other servers may know nothing else.
        if not self._is_openai():
            return False
        info = self._model_info(model)
        return info is not None and info.reasoning is True

    def _is_openai(self) -> bool:
        """Whether OpenAI's own models answer: at OpenAI, in one of its regions, or at Azure."""
        if any(cls.__name__ == "AsyncAzureOpenAI" for cls in type(self._given_client).__mro__):
            return True  # also where a gateway of one's own stands before it
        from urllib.parse import urlsplit

        address = self.address()
        try:
            host = (urlsplit(address).hostname or "") if address else "api.openai.com"
        except ValueError:
            return False  # no URL at all; whoever connects to it says so
        return host == "api.openai.com" or host.endswith((".api.openai.com", ".openai.azure.com"))

    def _sdk_class(self) -> type:
        import openai

        return openai.AsyncOpenAI

    def _stream_class(self) -> type:
        import openai

        return openai.AsyncStream[object]


def _known(message: dict[str, Any]) -> dict[str, Any]:
    """A message with OpenAI's own fields alone; itself, if it has no others."""
    calls = message.get("tool_calls")
    if calls and not all(_KNOWN_IN_CALLS.issuperset(call) for call in calls):
        # Such as Gemini's `extra_content`.
        kept = [{k: v for k, v in call.items() if k in _KNOWN_IN_CALLS} for call in calls]
        message = {**message, "tool_calls": kept}
    elif _KNOWN.issuperset(message):
        return message
    return {name: value for name, value in message.items() if name in _KNOWN}


class ChunkDecoder:
    """Decodes `chat.completion.chunk` events."""

    __slots__ = ("_begun", "_model", "_provider")

    def __init__(self, provider: str, model: str | None) -> None:
        self._provider = provider
        self._model = model
        self._begun = False

    def decode(self, events: list[bytes], chunks: list[StreamChunk]) -> bool:
        """See `EventDecoder`."""
        decode = decoder_of(StreamChunk).decode
        for data in events:
            if data == b"[DONE]":
                return True
            try:
                chunk = decode(data)
            except DecodeError:
                # Something unknown in it: read it with care. Errors are found here too, because
                # `error` is no field of a chunk.
                if isinstance(data, ErrorEvent):
                    told = as_told(data)
                    if not isinstance(told, dict) or not told.get("error"):
                        raise self._failure(told) from None
                if data.strip() == b"[DONE]":
                    return True
                if not data.strip():
                    continue  # a sign of life
                data, event = decoded(data)  # noqa: PLW2901
                if not self._begun and not chunks:
                    event = _as_chunk(event)
                chunk = read(StreamChunk, event)
                failure = embedded_error(chunk)
                if failure is not None:
                    if chunk.choices or chunk.usage is not None:
                        # What it says beside the error was generated, and is billed.
                        chunks.append(chunk)
                    raise self._failure(failure) from None
            chunk.body = data
            chunks.append(chunk)
        self._begun = True
        return False

    def _failure(self, payload: Any) -> ProviderError:
        return error_from_payload(payload, provider=self._provider, model=self._model)


def _as_chunk(event: Any) -> Any:
    """A first event that holds a whole `message` in place of a `delta`, as one that holds a delta.

    Some servers send a short answer so. Others repeat what has come as a `message` beside each
    `delta`, which is left alone.
    """
    choices = event.get("choices") if isinstance(event, dict) else None
    if not isinstance(choices, list):
        return event
    read_as = [
        {**{k: v for k, v in choice.items() if k != "message"}, "delta": choice["message"]}
        if isinstance(choice, dict) and "message" in choice and "delta" not in choice
        else choice
        for choice in choices
    ]
    return {**event, "choices": read_as}
