"""litellm's calls that are no chat: each says so, and what to use instead."""

from __future__ import annotations

from typing import Any, NoReturn

from ._state import unsupported


def _only_chat(name: str) -> NotImplementedError:
    return unsupported(
        f"{name}()",
        "Scallion speaks chat completions; use the provider's own SDK (openai.AsyncOpenAI, …)",
    )


def text_completion(
    prompt: Any,
    model: str | None = None,
    best_of: Any = None,
    echo: Any = None,
    frequency_penalty: Any = None,
    logit_bias: Any = None,
    logprobs: Any = None,
    max_tokens: Any = None,
    n: Any = None,
    presence_penalty: Any = None,
    stop: Any = None,
    stream: Any = None,
    stream_options: Any = None,
    suffix: Any = None,
    temperature: Any = None,
    top_p: Any = None,
    user: Any = None,
    api_base: Any = None,
    api_version: Any = None,
    api_key: Any = None,
    model_list: Any = None,
    custom_llm_provider: Any = None,
    *args: Any,
    **kwargs: Any,
) -> NoReturn:
    """Not supported."""
    raise _only_chat("text_completion")


async def atext_completion(*args: Any, **kwargs: Any) -> NoReturn:
    """Not supported."""
    raise _only_chat("atext_completion")


def embedding(
    model: Any,
    input: Any = [],  # noqa: B006
    dimensions: Any = None,
    encoding_format: Any = None,
    timeout: Any = 600,
    api_base: Any = None,
    api_version: Any = None,
    api_key: Any = None,
    api_type: Any = None,
    caching: Any = False,
    user: Any = None,
    custom_llm_provider: Any = None,
    litellm_call_id: Any = None,
    logger_fn: Any = None,
    **kwargs: Any,
) -> NoReturn:
    """Not supported."""
    raise _only_chat("embedding")


async def aembedding(*args: Any, **kwargs: Any) -> NoReturn:
    """Not supported."""
    raise _only_chat("aembedding")


def image_generation(*args: Any, **kwargs: Any) -> NoReturn:
    """Not supported."""
    raise _only_chat("image_generation")


async def aimage_generation(*args: Any, **kwargs: Any) -> NoReturn:
    """Not supported."""
    raise _only_chat("aimage_generation")


def transcription(*args: Any, **kwargs: Any) -> NoReturn:
    """Not supported."""
    raise _only_chat("transcription")


async def atranscription(*args: Any, **kwargs: Any) -> NoReturn:
    """Not supported."""
    raise _only_chat("atranscription")


def speech(*args: Any, **kwargs: Any) -> NoReturn:
    """Not supported."""
    raise _only_chat("speech")


async def aspeech(*args: Any, **kwargs: Any) -> NoReturn:
    """Not supported."""
    raise _only_chat("aspeech")


def moderation(
    input: str, model: str | None = None, api_key: str | None = None, **kwargs: Any
) -> NoReturn:
    """Not supported."""
    raise _only_chat("moderation")


async def amoderation(*args: Any, **kwargs: Any) -> NoReturn:
    """Not supported."""
    raise _only_chat("amoderation")


def rerank(*args: Any, **kwargs: Any) -> NoReturn:
    """Not supported."""
    raise _only_chat("rerank")


async def arerank(*args: Any, **kwargs: Any) -> NoReturn:
    """Not supported."""
    raise _only_chat("arerank")


async def ahealth_check(*args: Any, **kwargs: Any) -> NoReturn:
    """Not supported."""
    raise _only_chat("ahealth_check")
