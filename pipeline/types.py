"""The values that travel through the onion: answers, chunks, messages and usage, in OpenAI's shape.

Nothing a provider said is lost. Fields that this file does not know are kept in `model_extra`, are
readable as attributes, and come back out of `to_dict()`; `raw` is the provider's own JSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from msgspec import field

from ._model import Model, Own

if TYPE_CHECKING:
    from .costs import Cost
else:
    Cost = Any  # it is set by the `cost()` middleware, and never decoded

__all__ = [
    "Choice",
    "ChunkChoice",
    "CompletionTokensDetails",
    "Delta",
    "FunctionCall",
    "Message",
    "ModelResponse",
    "PromptTokensDetails",
    "StreamChunk",
    "ToolCall",
    "Usage",
]


class FunctionCall(Model):
    """The function a model wants called. `arguments` is JSON text as the model wrote it."""

    name: str | None = None
    arguments: str | None = None


class ToolCall(Model):
    """One tool call of an answer; in a `Delta`, one fragment of it, placed by `index`."""

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: FunctionCall | None = None


class Message(Model):
    """A chat message in OpenAI's shape.

    Attributes:
        content: Text, or content parts (`{"type": "text", …}`, `{"type": "image_url", …}`, …).
        reasoning: The model's thinking as text (OpenRouter's name; filled for Anthropic too).
        reasoning_content: The same under the name DeepSeek, vLLM and llama.cpp use.
        provider_content: The answer in the provider's own blocks, so that sending this message
            back gives that provider exactly what it sent (signatures, redacted thinking, server
            tools). Other providers never see it.
    """

    _written_if_none: ClassVar[frozenset[str]] = frozenset({"content"})

    role: str = "assistant"
    content: str | list[Any] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    reasoning_details: list[Any] | None = None
    annotations: list[Any] | None = None
    audio: dict[str, Any] | None = None
    function_call: FunctionCall | None = None
    provider_content: dict[str, Any] | None = None

    @property
    def text(self) -> str:
        """The content as text; parts that are not text are left out."""
        return text_of(self.content)


class Choice(Model):
    """One of the answers. `finish_reason` is OpenAI's, `native_finish_reason` the provider's own."""

    _written_if_none: ClassVar[frozenset[str]] = frozenset({"finish_reason"})

    index: int = 0
    message: Message = field(default_factory=Message)
    finish_reason: str | None = None
    native_finish_reason: str | None = None
    logprobs: Any = None
    content_filter_results: Any = None


class PromptTokensDetails(Model):
    """What the prompt's tokens were. All are parts of `Usage.prompt_tokens`.

    Attributes:
        cached_tokens: Read from the provider's prompt cache.
        cache_write_tokens: Written to it, whatever the time to live.
        cache_write_1h_tokens: The part of `cache_write_tokens` kept for an hour (Anthropic).
    """

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    text_tokens: int | None = None
    video_tokens: int | None = None


class CompletionTokensDetails(Model):
    """What the completion's tokens were. All are parts of `Usage.completion_tokens`."""

    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    text_tokens: int | None = None
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None


class Usage(Model):
    """Tokens of one call, counted as OpenAI does: cached tokens are inside `prompt_tokens`.

    Attributes:
        cost: US dollars as the provider itself billed them (OpenRouter). Not computed here.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_tokens_details: PromptTokensDetails | None = None
    completion_tokens_details: CompletionTokensDetails | None = None
    cost: float | None = None


class ModelResponse(Model):
    """A whole answer.

    Attributes:
        model: The model that answered, as the provider names it.
        provider: The adapter that was asked: `openai`, `anthropic`, `openrouter`, …
        upstream_provider: The host that OpenRouter chose (its JSON calls this `provider`).
        request_id: The provider's id for the request, to quote to its support.
        cost: Set by the `cost()` middleware; `None` while unknown.
        cached: True if a `cache()` answered and nothing was sent.
    """

    id: str | None = None
    object: str | None = None
    created: int | None = None
    model: str | None = None
    choices: list[Choice] = field(default_factory=list)
    usage: Usage | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    prompt_filter_results: Any = None
    upstream_provider: str | None = field(default=None, name="provider")

    provider: Own[str | None] = field(default=None, name="@provider")
    request_id: Own[str | None] = field(default=None, name="@request_id")
    cost: Own[Cost | None] = field(default=None, name="@cost")
    cached: Own[bool] = field(default=False, name="@cached")
    body: Own[bytes | None] = field(default=None, name="@body")

    @property
    def message(self) -> Message:
        """The first choice's message (an empty one if there is no choice)."""
        return self.choices[0].message if self.choices else Message()

    @property
    def text(self) -> str:
        """The first choice's text."""
        return self.message.text

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The first choice's tool calls."""
        return self.message.tool_calls or []

    @property
    def finish_reason(self) -> str | None:
        """The first choice's finish reason."""
        return self.choices[0].finish_reason if self.choices else None

    @property
    def reasoning(self) -> str | None:
        """The first choice's thinking, if the provider shows it."""
        message = self.message
        said = message.reasoning or message.reasoning_content
        return said or _thinking_in(message.content)

    @property
    def raw(self) -> Any:
        """The provider's JSON, decoded anew at each access; `None` for an accumulated stream."""
        return None if self.body is None else msgspec.json.decode(self.body)


class Delta(Model, gc=False):
    """What one chunk adds to a choice's message. The fields are `Message`'s, all optional."""

    role: str | None = None
    content: str | list[Any] | None = None
    tool_calls: list[ToolCall] | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    reasoning_details: list[Any] | None = None
    annotations: list[Any] | None = None
    audio: dict[str, Any] | None = None
    function_call: FunctionCall | None = None
    provider_content: dict[str, Any] | None = None


class ChunkChoice(Model, gc=False):
    """One choice's part of a chunk."""

    _written_if_none: ClassVar[frozenset[str]] = frozenset({"finish_reason"})

    index: int = 0
    delta: Delta = field(default_factory=Delta)
    finish_reason: str | None = None
    native_finish_reason: str | None = None
    logprobs: Any = None
    content_filter_results: Any = None


class StreamChunk(Model, gc=False):
    """One event of a streamed answer.

    Attributes:
        restarted: True on the chunk at which `fallback(stream="restart")` began the answer anew:
            what came before it is void.
    """

    id: str | None = None
    object: str | None = None
    created: int | None = None
    model: str | None = None
    choices: list[ChunkChoice] = field(default_factory=list)
    usage: Usage | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    obfuscation: str | None = None
    prompt_filter_results: Any = None
    upstream_provider: str | None = field(default=None, name="provider")

    restarted: Own[bool] = field(default=False, name="@restarted")
    body: Own[bytes | None] = field(default=None, name="@body")

    @classmethod
    def of(cls, content: str | None = None, **delta: Any) -> StreamChunk:
        """A chunk with one choice that adds `content` (and other `Delta` fields)."""
        return cls(choices=[ChunkChoice(delta=Delta(content=content, **delta))])

    @property
    def content(self) -> str | None:
        """The text that the first choice gains, or `None`."""
        if not self.choices:
            return None
        content = self.choices[0].delta.content
        return text_of(content) if isinstance(content, list) else content

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended, on the chunk that ends it."""
        return self.choices[0].finish_reason if self.choices else None

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The first choice's tool call fragments."""
        return (self.choices[0].delta.tool_calls or []) if self.choices else []

    @property
    def reasoning(self) -> str | None:
        """The thinking that the first choice gains."""
        if not self.choices:
            return None
        delta = self.choices[0].delta
        return delta.reasoning or delta.reasoning_content or _thinking_in(delta.content)

    @property
    def raw(self) -> Any:
        """The event's JSON as the provider sent it, decoded anew at each access."""
        return None if self.body is None else msgspec.json.decode(self.body)


def _thinking_in(content: object) -> str | None:
    """Mistral's, among the parts of the content."""
    if not isinstance(content, list):
        return None
    parts = [part for part in content if isinstance(part, dict) and part.get("type") == "thinking"]
    return "".join(text_of(part.get("thinking")) for part in parts) or None


def text_of(content: object) -> str:
    """The text of a message's `content`, whichever of its forms it has."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = (part.get("text") for part in content if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))
