"""One call, made ready: whom it asks with what, and how its answer becomes litellm's."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from scallion._pipeline import Pipeline, build_pipeline
from scallion.middlewares import retry

from .._connect import Clients, Endpoint
from . import _mock
from ._builder import finished_usage, stream_chunk_builder
from ._callbacks import Call
from ._convert import ChunkConverter, response_from_scallion
from ._errors import translated
from ._params import messages_of, parameters, refuse_settings
from ._state import setting, unsupported
from .exceptions import BadRequestError
from .litellm_core_utils.get_llm_provider_logic import get_llm_provider
from .litellm_core_utils.streaming_handler import CustomStreamWrapper
from .types.utils import ModelResponse, ModelResponseStream, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scallion._pipeline import Handler
    from scallion.types import ModelResponse as Answer

DEFAULT_TIMEOUT = 6000.0
"""litellm's first `request_timeout`, by which it means the SDKs' own."""

_OF_THE_CALL = frozenset({"tenant", "deadline"})
"""What `Pipeline.complete` would take for its own."""

_DEFAULT_RETRIES = 2
"""How often the SDKs try again if nobody says otherwise; litellm leaves it to them."""

# As litellm itself, the stand-in shares connections between all calls of the process.
clients = Clients()


class Prepared:
    """One call, ready to be sent.

    Attributes:
        model: The model's name at its provider.
        asked: The name as the caller wrote it.
    """

    def __init__(self, kwargs: dict[str, Any], *, is_async: bool) -> None:
        self.kwargs = kwargs
        asked = kwargs.get("model")
        if asked is None:
            raise ValueError("model param not passed in.")
        refuse_settings()
        asked = setting("model_alias_map").get(asked, asked)
        base = kwargs.get("base_url") or kwargs.get("api_base") or setting("api_base")
        model, provider, key, base = get_llm_provider(
            kwargs.get("deployment_id") or asked,
            kwargs.get("custom_llm_provider"),
            base,
            kwargs.get("api_key") or setting("api_key"),
        )
        self.asked, self.model, self.provider, self.api_base = asked, model, provider, base
        self.api_key = key or setting(f"{provider}_key")
        self.messages = messages_of(kwargs.get("messages") or ())
        self.params, self.extra = parameters(kwargs, model, provider)
        self.stream = bool(kwargs.get("stream"))
        self.retries = _retries(kwargs)
        self.began = time.monotonic()
        self.call = Call(
            model=model,
            messages=kwargs.get("messages"),
            provider=provider,
            kwargs=kwargs,
            optional_params={**self.params, **self.extra},
            api_base=base,
            is_async=is_async,
        )
        if kwargs.get("caching"):
            raise unsupported("caching=True", "use scallion's cache() middleware")

    @property
    def include_usage(self) -> bool:
        """Whether the caller wants a last chunk with the usage."""
        options = self.kwargs.get("stream_options") or {}
        return bool(options.get("include_usage"))

    def pipeline(self) -> Pipeline:
        """Who answers, with the retries that the caller wants."""
        return _pipeline(self._handler(), self.retries)

    def arguments(self) -> dict[str, Any]:
        """What `Pipeline.complete` and `stream` get."""
        params = dict(self.params)
        body = {**(self.kwargs.get("extra_body") or {})}
        for name, value in self.extra.items():
            # The adapter for Anthropic knows its own parameters; others go by as they are.
            if self.provider == "anthropic" and name not in _OF_THE_CALL:
                params[name] = value
            else:
                body[name] = value
        if self.provider != "anthropic" and "thinking" in params:
            body["thinking"] = params.pop("thinking")
        headers = {
            **(setting("headers") or {}),
            **(self.kwargs.get("headers") or {}),
            **(self.kwargs.get("extra_headers") or {}),
        }
        seconds = _seconds(self.kwargs.get("timeout") or self.kwargs.get("request_timeout"))
        if seconds is None and setting("request_timeout") != DEFAULT_TIMEOUT:
            seconds = _seconds(setting("request_timeout"))
        return {
            "messages": self.messages,
            "model": self.model,
            **params,
            "extra_body": body or None,
            "extra_headers": headers or None,
            "timeout": seconds,
        }

    def _handler(self) -> Handler:
        given = self.kwargs.get("client")
        if given is not None:
            from scallion.providers import anthropic, openai

            try:
                return (anthropic if self.provider == "anthropic" else openai)(client=given)
            except TypeError as error:
                raise unsupported("client= of this kind", str(error)) from error
        endpoint = Endpoint(
            self.provider,
            self.api_key,
            self.api_base,
            self.kwargs.get("organization") or setting("organization"),
        )
        try:
            return clients.for_endpoint(endpoint)
        except ValueError as error:
            raise BadRequestError(str(error), self.model, self.provider) from error

    def finish(self, response: ModelResponse) -> float | None:
        """Put into the answer what litellm keeps beside it; returns the cost."""
        from .cost_calculator import response_cost_calculator

        cost = None
        if getattr(response, "usage", None) is not None:
            name = self.asked if self.provider == "openrouter" else self.model
            cost = response_cost_calculator(response, name)
            custom = _custom_prices(self.kwargs)
            if custom is not None:
                from .cost_calculator import completion_cost

                cost = completion_cost(response, self.model, custom_cost_per_token=custom)
        elapsed = (time.monotonic() - self.began) * 1000
        response._hidden_params.update(
            {
                "custom_llm_provider": self.provider,
                "_response_ms": elapsed,
                "litellm_call_id": self.call.id,
                "api_base": self.api_base,
                "model_id": (self.kwargs.get("model_info") or {}).get("id"),
                "response_cost": cost,
                "additional_headers": response._hidden_params.get("additional_headers", {}),
                "litellm_model_name": self.asked,
                "provider_response_model": response.model,
            }
        )
        response._response_ms = elapsed
        return cost

    def convert(self, answer: Answer) -> ModelResponse:
        """The answer in litellm's form."""
        response = response_from_scallion(answer, self.model)
        if answer.request_id is not None:
            response._hidden_params["additional_headers"] = {
                "llm_provider-x-request-id": answer.request_id
            }
        return response

    def translated(self, error: BaseException) -> BaseException:
        """The error in litellm's form."""
        return translated(error, self.model, self.provider, max_retries=None)

    def wrapper(self, chunks: Any) -> CustomStreamWrapper:
        """The stream in litellm's form."""
        made = CustomStreamWrapper(
            completion_stream=chunks,
            model=self.model,
            logging_obj=self.call,
            custom_llm_provider=self.provider,
            stream_options=self.kwargs.get("stream_options"),
        )
        made.messages = self.kwargs.get("messages")
        made._hidden_params = {
            "model_id": (self.kwargs.get("model_info") or {}).get("id"),
            "api_base": self.api_base,
            "custom_llm_provider": self.provider,
            "additional_headers": {},
            "litellm_call_id": self.call.id,
            "litellm_model_name": self.asked,
            "response_cost": None,
        }
        return made

    def streamed_usage(self, converter: ChunkConverter, text: str, reasoning: str) -> Usage | None:
        """The usage of the last chunk, with its cost."""
        if converter.usage is None:
            return None
        counted = finished_usage(converter.usage, model=self.model, text=text, reasoning=reasoning)
        return self._with_cost(counted, converter.answered)

    def _with_cost(self, usage: Usage, answered: str | None = None) -> Usage:
        from .cost_calculator import response_cost_calculator

        cost = response_cost_calculator({"model": answered, "usage": usage}, self.model)
        if cost is not None:
            usage.cost = cost
        return usage

    # ------------------------------------------------------------------------------- mocked answers

    def mocked(self) -> ModelResponse:
        """The made-up answer."""
        return _mock.answer(self.model, self.provider, self.kwargs)

    def mocked_chunks(self) -> Iterator[ModelResponseStream]:
        """The made-up stream."""
        _mock.raise_if_named(self.kwargs.get("mock_response"), self.model, self.provider)
        usage = None
        if self.include_usage:
            from .utils import token_counter

            text = str(self.kwargs.get("mock_response") or "")
            asked = token_counter(self.model, messages=self.messages)
            said = token_counter(self.model, text=text)
            counted = Usage(prompt_tokens=asked, completion_tokens=said, total_tokens=asked + said)
            usage = self._with_cost(
                finished_usage(counted, model=self.model, text=text, reasoning=None)
            )
        return _mock.chunks(self.model, self.provider, self.kwargs, usage)

    def built(self, chunks: list[ModelResponseStream]) -> ModelResponse:
        """What the made-up stream adds up to, with its tokens counted."""
        whole = stream_chunk_builder(chunks, self.messages)
        assert whole is not None
        return whole


def _retries(kwargs: dict[str, Any]) -> int:
    for name in ("num_retries", "max_retries"):
        if kwargs.get(name) is not None:
            return int(kwargs[name])
    default = setting("num_retries")
    return _DEFAULT_RETRIES if default is None else int(default)


@lru_cache(maxsize=128)
def _pipeline(handler: Handler, retries: int) -> Pipeline:
    return build_pipeline([retry(attempts=retries + 1)] if retries else [], provider=handler)


def _seconds(timeout: Any) -> float | None:
    """Seconds from a number, its text, or an HTTP client's timeout object."""
    if timeout is None or isinstance(timeout, (int, float)):
        return timeout
    if isinstance(timeout, str):
        return float(timeout)
    read: float | None = getattr(timeout, "read", None)
    return read


def _custom_prices(kwargs: dict[str, Any]) -> dict[str, float] | None:
    prompt, answer = kwargs.get("input_cost_per_token"), kwargs.get("output_cost_per_token")
    if prompt is None and answer is None:
        return None
    return {"input_cost_per_token": prompt or 0.0, "output_cost_per_token": answer or 0.0}
