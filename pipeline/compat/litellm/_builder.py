"""A whole answer out of the chunks of a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scallion._accumulate import accumulate
from scallion.types import StreamChunk

from ._convert import response_from_scallion
from .exceptions import APIError
from .types.utils import (
    CompletionTokensDetailsWrapper,
    ModelResponse,
    PromptTokensDetailsWrapper,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


def stream_chunk_builder(
    chunks: list[Any],
    messages: Sequence[Any] | None = None,
    start_time: Any = None,
    end_time: Any = None,
    logging_obj: Any = None,
    count_prompt_tokens: Any = None,
) -> ModelResponse | None:
    """The answer that `chunks` add up to; `None` if there are none.

    Tokens that the provider did not count are counted by litellm's formula.

    Args:
        chunks: `ModelResponseStream`s, or the same as dicts.
        messages: The prompt, to count it.
        start_time: Accepted for the sake of the signature, as what follows.
        end_time: See above.
        logging_obj: See above.
        count_prompt_tokens: A function that counts the prompt instead.

    Raises:
        APIError: the chunks are none.
    """
    del start_time, end_time, logging_obj
    if chunks is None:
        raise APIError(500, "Error building chunks for logging/streaming usage calculation", "", "")
    if not chunks:
        return None
    dicts = [_as_dict(chunk) for chunk in chunks]
    whole = accumulate(StreamChunk.model_validate(_plain(chunk)) for chunk in dicts)
    first = dicts[0]
    built = response_from_scallion(whole, first.get("model"))
    if not built.choices:
        built = ModelResponse(id=built.id, created=built.created, model=built.model)
    built.created = first.get("created") or built.created
    message = built.choices[0].message
    message.content = message.content if message.content is not None else ""
    if message.tool_calls and not message.content:
        message.content = None
    usage = finished_usage(
        getattr(built, "usage", None),
        model=str(built.model or ""),
        text=message.content,
        reasoning=message.get("reasoning_content"),
        messages=messages,
        count_prompt_tokens=count_prompt_tokens,
    )
    built.__setattr__("usage", usage)
    hidden = getattr(chunks[0], "_hidden_params", None)
    built._hidden_params = dict(hidden) if isinstance(hidden, dict) else {}
    return built


def finished_usage(
    usage: Usage | None,
    *,
    model: str,
    text: str | None,
    reasoning: str | None,
    messages: Sequence[Any] | None = None,
    count_prompt_tokens: Any = None,
) -> Usage:
    """The provider's count of a stream, with what it left out counted here."""
    from .utils import token_counter

    if usage is None or not usage.total_tokens:
        asked = 0
        if count_prompt_tokens is not None:
            asked = count_prompt_tokens()
        elif messages:
            asked = token_counter(model, messages=messages)
        said = token_counter(model, text=text, count_response_tokens=True) if text else 0
        usage = Usage(prompt_tokens=asked, completion_tokens=said, total_tokens=asked + said)
    details = usage.completion_tokens_details or CompletionTokensDetailsWrapper()
    if details.reasoning_tokens is None:
        details.reasoning_tokens = token_counter(model, text=reasoning) if reasoning else 0
    if details.text_tokens is None:
        details.text_tokens = max(0, usage.completion_tokens - details.reasoning_tokens)
    # Whole, as litellm has them: a dump of what was set names every kind of token then.
    usage.completion_tokens_details = CompletionTokensDetailsWrapper(**details.model_dump())
    prompt = usage.prompt_tokens_details
    if prompt is not None:
        usage.prompt_tokens_details = PromptTokensDetailsWrapper(**prompt.model_dump())
    return usage


def _as_dict(chunk: Any) -> dict[str, Any]:
    if hasattr(chunk, "model_dump"):
        dumped: dict[str, Any] = chunk.model_dump(exclude_unset=False)
        return dumped
    return dict(chunk)


def _plain(chunk: dict[str, Any]) -> dict[str, Any]:
    """Without the fields that litellm's chunks have and Scallion's do not."""
    kept = {
        name: value
        for name, value in chunk.items()
        if value is not None and name not in ("provider_specific_fields", "citations")
    }
    choices = []
    for choice in kept.get("choices") or ():
        delta = dict(choice.get("delta") or choice.get("message") or {})
        specific = delta.pop("provider_specific_fields", None) or {}
        if (content := specific.get("provider_content")) is not None:
            delta["provider_content"] = content
        blocks = delta.pop("thinking_blocks", None)
        if blocks and "provider_content" not in delta:
            delta["provider_content"] = {"format": "anthropic", "content": blocks}
        delta = {name: value for name, value in delta.items() if value is not None}
        choices.append(
            {name: v for name, v in choice.items() if v is not None and name != "message"}
            | {"delta": delta}
        )
    if "usage" in kept and hasattr(kept["usage"], "model_dump"):
        kept["usage"] = kept["usage"].model_dump(exclude_none=True)
    return {**kept, "choices": choices}
