"""The calls: `litellm.main`."""

from __future__ import annotations

import asyncio
from typing import Any

from scallion._secrets import Secret

from . import _mock, _run
from ._builder import stream_chunk_builder as stream_chunk_builder
from ._state import of_package as __getattr__  # noqa: F401
from ._state import unsupported
from .litellm_core_utils.streaming_handler import CustomStreamWrapper
from .types.utils import ModelResponse
from .utils import get_llm_provider as get_llm_provider


def completion(
    model: str,
    messages: Any = [],  # noqa: B006 - litellm's signature; never changed
    timeout: Any = None,
    temperature: Any = None,
    top_p: Any = None,
    n: Any = None,
    stream: Any = None,
    stream_options: Any = None,
    stop: Any = None,
    max_completion_tokens: Any = None,
    max_tokens: Any = None,
    modalities: Any = None,
    prediction: Any = None,
    audio: Any = None,
    presence_penalty: Any = None,
    frequency_penalty: Any = None,
    logit_bias: Any = None,
    user: Any = None,
    reasoning_effort: Any = None,
    verbosity: Any = None,
    response_format: Any = None,
    seed: Any = None,
    tools: Any = None,
    tool_choice: Any = None,
    logprobs: Any = None,
    top_logprobs: Any = None,
    parallel_tool_calls: Any = None,
    web_search_options: Any = None,
    include_server_side_tool_invocations: Any = None,
    deployment_id: Any = None,
    extra_headers: Any = None,
    safety_identifier: Any = None,
    service_tier: Any = None,
    store: Any = None,
    prompt_cache_key: Any = None,
    functions: Any = None,
    function_call: Any = None,
    base_url: Any = None,
    api_version: Any = None,
    api_key: Any = None,
    model_list: Any = None,
    thinking: Any = None,
    shared_session: Any = None,
    enable_json_schema_validation: Any = None,
    **kwargs: Any,
) -> ModelResponse | CustomStreamWrapper:
    """Ask a model.

    Returns:
        The answer, or with `stream=True` an iterator of its chunks.

    Raises:
        openai.APIError: a subclass of it from `litellm.exceptions`: the call failed.
        NotImplementedError: something was asked for that is not supported.
    """
    given = _given(locals())
    api_key = None  # who shows the variables of this frame is not to show it
    return _run.completion(given)


async def acompletion(
    model: str,
    messages: Any = [],  # noqa: B006 - litellm's signature; never changed
    functions: Any = None,
    function_call: Any = None,
    timeout: Any = None,
    temperature: Any = None,
    top_p: Any = None,
    n: Any = None,
    stream: Any = None,
    stream_options: Any = None,
    stop: Any = None,
    max_tokens: Any = None,
    max_completion_tokens: Any = None,
    modalities: Any = None,
    prediction: Any = None,
    audio: Any = None,
    presence_penalty: Any = None,
    frequency_penalty: Any = None,
    logit_bias: Any = None,
    user: Any = None,
    response_format: Any = None,
    seed: Any = None,
    tools: Any = None,
    tool_choice: Any = None,
    parallel_tool_calls: Any = None,
    logprobs: Any = None,
    top_logprobs: Any = None,
    deployment_id: Any = None,
    reasoning_effort: Any = None,
    verbosity: Any = None,
    safety_identifier: Any = None,
    service_tier: Any = None,
    store: Any = None,
    prompt_cache_key: Any = None,
    base_url: Any = None,
    api_version: Any = None,
    api_key: Any = None,
    model_list: Any = None,
    extra_headers: Any = None,
    thinking: Any = None,
    web_search_options: Any = None,
    include_server_side_tool_invocations: Any = None,
    shared_session: Any = None,
    enable_json_schema_validation: Any = None,
    **kwargs: Any,
) -> ModelResponse | CustomStreamWrapper:
    """Ask a model. As `completion`; a stream is an asynchronous iterator."""
    given = _given(locals())
    api_key = None  # who shows the variables of this frame is not to show it
    return await _run.acompletion(given)


def _given(arguments: dict[str, Any]) -> dict[str, Any]:
    """All arguments of a call as one dict, with its key as a text that shows itself as `***`."""
    given = {name: value for name, value in arguments.items() if name != "kwargs"}
    given |= arguments["kwargs"]
    if isinstance(given["api_key"], str):
        given["api_key"] = Secret(given["api_key"])
    return given


def completion_with_retries(*args: Any, **kwargs: Any) -> Any:
    """`completion` that tries again `num_retries` times (3 if none are given)."""
    kwargs.setdefault("num_retries", 3)
    kwargs.pop("original_function", None)
    return completion(*args, **kwargs)


async def acompletion_with_retries(*args: Any, **kwargs: Any) -> Any:
    """The same for `acompletion`."""
    kwargs.setdefault("num_retries", 3)
    kwargs.pop("original_function", None)
    return await acompletion(*args, **kwargs)


def mock_completion(
    model: str,
    messages: list[Any],
    stream: bool | None = False,
    n: int | None = None,
    mock_response: Any = "This is a mock request",
    mock_tool_calls: list[Any] | None = None,
    mock_timeout: bool | None = False,
    logging: Any = None,
    custom_llm_provider: str | None = None,
    timeout: Any = None,
    prompt_tokens: int | None = None,
    **kwargs: Any,
) -> Any:
    """An answer without asking anybody."""
    del logging, timeout
    given = {
        "model": model,
        "messages": messages,
        "n": n,
        "mock_response": mock_response,
        "mock_tool_calls": mock_tool_calls,
        "mock_timeout": mock_timeout,
        **kwargs,
    }
    if stream:
        return completion(**{**given, "stream": True})
    bare, provider = model, custom_llm_provider
    if provider is None:
        bare, provider, _, _ = get_llm_provider(model)
    answer = _mock.answer(bare, provider, given, prompt_tokens=prompt_tokens)
    answer._hidden_params["custom_llm_provider"] = provider
    return answer


def batch_completion(
    model: str,
    messages: list[Any] = [],  # noqa: B006 - litellm's signature; never changed
    max_workers: int = 100,
    **kwargs: Any,
) -> list[Any]:
    """Ask the same model with several conversations at once.

    Returns:
        For each an answer, or the exception that it failed with.
    """
    from scallion._sync import _background

    async def all_of_them() -> list[Any]:
        places = asyncio.Semaphore(max_workers)

        async def one(each: Any) -> Any:
            async with places:
                return await acompletion(model, each, **kwargs)

        return await asyncio.gather(*map(one, messages), return_exceptions=True)

    return _background.run(all_of_them())


def batch_completion_models(*args: Any, **kwargs: Any) -> Any:
    """Not supported."""
    del args, kwargs
    raise unsupported("batch_completion_models", "race them with asyncio.wait(FIRST_COMPLETED)")
