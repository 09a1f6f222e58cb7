"""litellm's calls that are no chat: each says so, and what to use instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from ._absent import refusing_class as _refusing_class
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


def moderation(
    input: str, model: str | None = None, api_key: str | None = None, **kwargs: Any
) -> NoReturn:
    """Not supported."""
    raise _only_chat("moderation")


# Each of these has an asynchronous one, with an `a` before its name.
_BOTH = """
image_generation image_edit image_variation transcription speech rerank ocr search
create_file file_retrieve file_delete file_list file_content
create_batch retrieve_batch list_batches cancel_batch
create_fine_tuning_job retrieve_fine_tuning_job list_fine_tuning_jobs cancel_fine_tuning_job
create_assistants get_assistants delete_assistant create_thread get_thread get_messages run_thread
run_thread_stream get_responses delete_responses cancel_responses compact_responses
list_input_items create_container list_containers retrieve_container delete_container
vector_store_file_create vector_store_file_list vector_store_file_retrieve
vector_store_file_content vector_store_file_update vector_store_file_delete
video_generation video_content video_status video_list video_remix video_edit
llm_passthrough_route adapter_completion
"""
_ONE = "add_message anthropic_messages"
_ONE_ASYNC = """
atext_completion aembedding amoderation a_add_message ahealth_check acount_tokens
agenerate_content
"""
_CLASSES = """
AnthropicChatCompletion AnthropicConfig AsyncHTTPHandler AzureChatCompletion AzureOpenAIConfig
BudgetManager HTTPHandler LiteLLM OpenAIChatCompletion OpenAIConfig OpenAIGPTConfig
VertexMultimodalEmbedding
"""


def _refusing(name: str) -> Callable[..., NoReturn]:
    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        """Not supported."""
        del args, kwargs
        raise _only_chat(name)

    refuse.__name__ = refuse.__qualname__ = name
    return refuse


def _refusing_async(name: str) -> Callable[..., Any]:
    async def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        """Not supported."""
        del args, kwargs
        raise _only_chat(name)

    refuse.__name__ = refuse.__qualname__ = name
    return refuse


globals().update({name: _refusing(name) for name in f"{_BOTH} {_ONE}".split()})
globals().update({f"a{name}": _refusing_async(f"a{name}") for name in _BOTH.split()})
globals().update({name: _refusing_async(name) for name in _ONE_ASYNC.split()})
globals().update({name: _refusing_class(name, "litellm") for name in _CLASSES.split()})
