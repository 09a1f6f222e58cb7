"""Routers that are called as litellm's are, and answer with Scallion's own types.

    router = Router(model_list=[
        {"model_name": "fast", "litellm_params": {"model": "openai/gpt-4o-mini"}},
        {"model_name": "fast", "litellm_params": {"model": "groq/llama-3.3-70b-versatile"}},
    ], num_retries=2)
    answer = await router.acompletion("fast", [{"role": "user", "content": "Hello"}])

Nothing here is global: a router's deployments, clients and callbacks are its own.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from scallion._pipeline import Pipeline, build_pipeline
from scallion._sync import SyncStream
from scallion.exceptions import (
    ContentPolicyError,
    ContextWindowExceededError,
    InvalidRequestError,
    LLMClientError,
    ModelNotFoundError,
    ProviderError,
    RateLimitError,
)
from scallion.middlewares import Target, fallback, retry, timeout

from ._connect import Clients, Endpoint
from ._hooks import Hooks
from ._pool import Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Self

    from scallion._clock import Clock
    from scallion._pipeline import Handler, Middleware
    from scallion._request import Request
    from scallion._response import Response
    from scallion._response_stream import ResponseStream
    from scallion.types import Message, ModelResponse, StreamChunk

    from ._pool import Deployment

# What a deployment's `litellm_params` say of the server and of routing; all else is for the model.
_NOT_FOR_THE_MODEL = frozenset(
    {
        "model", "api_key", "api_base", "base_url", "api_version", "custom_llm_provider",
        "organization", "weight", "rpm", "tpm", "max_retries", "num_retries", "extra_headers",
        "input_cost_per_token", "output_cost_per_token", "max_parallel_requests", "model_info",
        "timeout", "stream_timeout",
    }
)  # fmt: skip
_DEFAULT_RETRIES = 2
_ALL_RESTING = "no_deployments_available"


class Router:
    """Spreads calls over deployments, tries others when one fails, and falls back to other models.

    It is made in either of two forms: litellm's (`model_list=`), or that of
    `scallion.router.ModelRouter` (`Router("gpt-4o", ["claude-sonnet-4-5"])`).

    Args:
        model_list: Entries of `model_name` and `litellm_params` (`model`, `api_base`, `api_key`,
            `timeout`, `weight`, and parameters for the model); or the name of the primary model.
        fallback_models: The second form's fallbacks.
        fallbacks: `[{"group": ["other group", …]}, …]`: whatever has failed.
        context_window_fallbacks: The same, for prompts that are too long.
        content_policy_fallbacks: The same, for prompts that a filter refused.
        default_fallbacks: Groups to try when a group without fallbacks of its own has failed.
        num_retries: How often a group is asked again after a failure that may pass; each time
            another deployment may be chosen.
        timeout: Seconds that one attempt may take; of a stream, any wait for content.
        stream_timeout: The same for the first content of a stream.
        cooldown_time: Seconds that a failing deployment rests, if its group has another.
        allowed_fails: Failures within a minute that are forgiven before it rests. 401, 403, 404,
            408 and 429 never are.
        retry_after: Seconds to wait before each retry at least.
        routing_strategy: `"simple-shuffle"`: at random, by `weight`, `rpm` or `tpm`.
        model_group_alias: Other names of groups.
        callbacks: Told of each call of this router; see `scallion.compat._hooks`.
        default_litellm_params: Parameters for every call that does not set them.
        set_verbose: Accepted for the sake of old code: logging is the `log()` middleware's.
        clock: Where time comes from.
        rng: Returns numbers in [0, 1): the choice among deployments.
        **more: `primary_model`, `max_retries_per_model`, `retry_delay` and clients' settings, for
            the second form.

    Raises:
        NotImplementedError: an option of litellm's that is not supported; the message says what to
            use instead.
        ValueError: an entry of `model_list` is not one.
    """

    def __init__(
        self,
        model_list: Sequence[Mapping[str, Any]] | str | None = None,
        fallback_models: Sequence[str] | None = None,
        *,
        fallbacks: Sequence[Any] | None = None,
        context_window_fallbacks: Sequence[Any] | None = None,
        content_policy_fallbacks: Sequence[Any] | None = None,
        default_fallbacks: Sequence[str] | None = None,
        num_retries: int | None = None,
        timeout: float | None = None,
        stream_timeout: float | None = None,
        cooldown_time: float | None = None,
        allowed_fails: int | None = None,
        retry_after: float = 0,
        routing_strategy: str = "simple-shuffle",
        model_group_alias: Mapping[str, Any] | None = None,
        callbacks: Iterable[Any] = (),
        default_litellm_params: Mapping[str, Any] | None = None,
        set_verbose: bool = False,
        clock: Clock | None = None,
        rng: Callable[[], float] = random.random,
        **more: Any,
    ) -> None:
        del set_verbose
        if routing_strategy != "simple-shuffle":
            raise NotImplementedError(
                f"routing_strategy={routing_strategy!r}: only simple-shuffle is supported. For any "
                "other, write a middleware that chooses: "
                "call_next(request.replace(provider=…, model=…))"
            )
        primary = more.pop("primary_model", None)
        if isinstance(model_list, str):
            primary, model_list = model_list, None
        retry_delay = more.pop("retry_delay", None)
        num_retries = more.pop("max_retries_per_model", num_retries)
        if primary is not None:
            models = [primary, *(fallback_models or ())]
            model_list = [_entry(model, more) for model in models]
            fallbacks = [*(fallbacks or ()), {primary: models[1:]}]
            more = {}
        elif fallback_models:
            raise TypeError(
                "fallback_models= goes with a primary model; model_list with fallbacks="
            )
        if more:
            raise NotImplementedError(
                f"Router({next(iter(more))}=…) is not supported. Caching, budgets, logging and other "
                "policies are middlewares: build_pipeline([cache(), budget(usd=…), log(), …])"
            )
        self.pool = Pool(
            model_list or (),
            fallbacks=fallbacks,
            context_window_fallbacks=context_window_fallbacks,
            content_policy_fallbacks=content_policy_fallbacks,
            default_fallbacks=default_fallbacks,
            cooldown_time=cooldown_time,
            allowed_fails=allowed_fails,
            aliases=model_group_alias,
            rng=rng,
        )
        self.num_retries = _DEFAULT_RETRIES if num_retries is None else num_retries
        self.timeout = timeout
        self.stream_timeout = stream_timeout
        self.retry_after = retry_after
        self.callbacks = list(callbacks)
        self.default_litellm_params = dict(default_litellm_params or {})
        self._retry_delay = retry_delay
        self._clock = clock
        self._clients = Clients()
        self._pipelines: dict[str, Pipeline] = {}

    @property
    def model_list(self) -> list[dict[str, Any]]:
        """The entries, each with an id."""
        return [each.entry for each in self.pool.deployments]

    def get_model_names(self) -> list[str]:
        """The names of the groups."""
        return list(dict.fromkeys(each.model_name for each in self.pool.deployments))

    async def acompletion(
        self,
        model: str,
        messages: str | Iterable[Mapping[str, Any] | Message],
        stream: bool = False,  # noqa: FBT001, FBT002 - litellm's signature
        **params: Any,
    ) -> Any:
        """Ask a group.

        Returns:
            A `ModelResponse`; with `stream=True` an async iterator of `StreamChunk`, of which
            something has come already.

        Raises:
            AllModelsFailedError: neither the group nor its fallbacks answered.
            ModelNotFoundError: there is no such group.
        """
        if not self.pool.group(model):
            known = ", ".join(self.get_model_names()) or "none"
            raise ModelNotFoundError(f"no deployment has this model_name; known are: {known}")
        params = {**self.default_litellm_params, **params}
        metadata = params.pop("metadata", None)
        hooks = Hooks(
            self.callbacks,
            {
                "model": model,
                "messages": messages,
                "stream": stream,
                "metadata": metadata,
                **params,
            },
        )
        await hooks.begin()
        pipeline = self._pipeline_of(model)
        call: dict[str, Any] = {"model": model, "metadata": metadata, **params}
        try:
            if not stream:
                answer = await pipeline.complete(messages, **call)
            else:
                opened = pipeline.stream(messages, **call)
                await opened.__aenter__()
                return RoutedStream(opened, hooks)
        except Exception as error:
            await hooks.failed(error)
            raise
        await hooks.succeeded(answer)
        return answer

    def completion(
        self,
        model: str,
        messages: str | Iterable[Mapping[str, Any] | Message],
        stream: bool = False,  # noqa: FBT001, FBT002 - litellm's signature
        **params: Any,
    ) -> Any:
        """As `acompletion`, for callers without an event loop; a stream is a plain iterator."""
        from scallion._sync import _background

        answered = _background.run(self.acompletion(model, messages, stream, **params))
        # The same two methods, so the same way to run them on the background loop.
        return SyncStream(answered) if stream else answered

    async def aclose(self) -> None:
        """Close the connections that the running loop has."""
        await self._clients.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self.get_model_names())})"

    def _pipeline_of(self, group: str) -> Pipeline:
        pipeline = self._pipelines.get(group)
        if pipeline is None:
            layers: list[Middleware] = [
                retry(attempts=self.num_retries + 1, on=self._wait),
                self._ask_deployment,
            ]
            targets = self._targets(group)
            pipeline = build_pipeline(
                [fallback(targets), *layers] if targets else layers, clock=self._clock
            )
            self._pipelines[group] = pipeline
        return pipeline

    def _targets(self, group: str) -> list[str | Target | Handler]:
        """What to try after a group. A special kind of failure goes to its own targets, if any."""
        special: list[tuple[type[Exception], list[str]]] = [
            (ContextWindowExceededError, self.pool.context_window_fallbacks_of(group)),
            (ContentPolicyError, self.pool.content_policy_fallbacks_of(group)),
        ]
        taken = tuple(kind for kind, targets in special if targets)

        def other(reason: object) -> bool:
            return isinstance(reason, LLMClientError) and not isinstance(reason, taken)

        targets: list[str | Target | Handler] = [
            Target(each, on=kind) for kind, found in special for each in found
        ]
        return [*targets, *(Target(each, on=other) for each in self.pool.fallbacks_of(group))]

    def _wait(self, error: Exception, attempt: int) -> bool | float:
        if not isinstance(error, ProviderError) or not error.retryable:
            return False
        if error.retry_after is not None:
            return error.retry_after if error.retry_after <= 60 else False
        if self._retry_delay is not None:
            delay: float = self._retry_delay * 2.0 ** min(attempt - 1, 60)
            return delay
        return max(self.retry_after, random.random() * min(8.0, 0.5 * 2.0 ** min(attempt - 1, 60)))  # noqa: S311

    async def _ask_deployment(self, request: Request, call_next: Handler) -> Response:
        """The innermost layer: choose a deployment, and ask that."""
        assert request.model is not None
        clock = request.context.clock
        chosen = self.pool.pick(request.model, clock.now())
        if chosen is None:
            if not self.pool.group(request.model):
                raise ModelNotFoundError("a fallback names a group without deployments")
            raise RateLimitError(
                "every deployment of this model_name has failed and rests",
                model=request.model,
                code=_ALL_RESTING,
                retry_after=self.pool.wakes_in(request.model, clock.now()),
                retryable=False,
            )
        asked = self._request_for(chosen, request)
        seconds = chosen.params.get("timeout", self.timeout)
        first = chosen.params.get("stream_timeout", self.stream_timeout) or seconds
        limits: dict[str, float | None] = (
            {"first_token": first, "inter_chunk": seconds} if request.stream else {"total": seconds}
        )
        try:
            if any(limits.values()):
                return await timeout(**limits)(asked, call_next)
            return await call_next(asked)
        except ProviderError as error:
            self.pool.note_failure(chosen, error.status_code, clock.now())
            raise

    def _request_for(self, chosen: Deployment, request: Request) -> Request:
        params = chosen.params
        model, endpoint = endpoint_of(params)
        own = {name: value for name, value in params.items() if name not in _NOT_FOR_THE_MODEL}
        try:
            handler = self._clients.for_endpoint(endpoint)
        except ValueError as error:
            raise InvalidRequestError(str(error), model=chosen.params["model"]) from error
        return request.replace(model=model, provider=handler, params={**own, **request.params})


class ManagedRouter(Router):
    """A `Router` whose callbacks can be changed while it is in use.

    Args:
        managed_callbacks: The same as `callbacks`.
    """

    def __init__(
        self,
        model_list: Sequence[Mapping[str, Any]] | str | None = None,
        fallback_models: Sequence[str] | None = None,
        *,
        managed_callbacks: Iterable[Any] | None = None,
        **settings: Any,
    ) -> None:
        settings["callbacks"] = [*settings.get("callbacks", ()), *(managed_callbacks or ())]
        super().__init__(model_list, fallback_models, **settings)

    def add_callback(self, callback: Any) -> None:
        """Tell `callback` of the calls from now on."""
        if callback not in self.callbacks:
            self.callbacks.append(callback)

    def remove_callback(self, callback: Any) -> None:
        """Tell it no more. Does nothing if it was not told."""
        if callback in self.callbacks:
            self.callbacks.remove(callback)

    def clear_callbacks(self) -> None:
        """Tell nobody any more."""
        self.callbacks.clear()

    def get_available_models(self) -> list[str]:
        """The names of the groups."""
        return self.get_model_names()


class RoutedStream:
    """The chunks of a streamed answer. At its end the callbacks get the whole of it."""

    def __init__(self, stream: ResponseStream, hooks: Hooks) -> None:
        self._stream = stream
        self._hooks = hooks
        self._told = False
        self._ready: Iterator[StreamChunk] = iter(())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamChunk:
        for chunk in self._ready:
            return chunk
        self._ready = iter(await self.next_chunks())
        for chunk in self._ready:
            return chunk
        raise StopAsyncIteration

    async def next_chunks(self) -> list[StreamChunk]:
        """The next chunks, as many as are there without waiting again; none at the end."""
        try:
            chunks = await self._stream.next_chunks()
        except Exception as error:
            await self._end(error)
            raise
        for chunk in chunks:
            await self._hooks.streamed(chunk)
        if not chunks:
            await self._end(None)
        return chunks

    async def collect(self) -> ModelResponse:
        """Read to the end, and return the whole answer."""
        async for _ in self:
            pass
        return self.result

    async def aclose(self) -> None:
        """Stop here, and release the connection."""
        await self._stream.aclose()

    @property
    def result(self) -> ModelResponse:
        """The accumulated answer once the stream has ended."""
        return self._stream.result

    async def _end(self, error: Exception | None) -> None:
        if not self._told:
            self._told = True
            if error is None:
                await self._hooks.succeeded(self.result)
            else:
                await self._hooks.failed(error)


def endpoint_of(params: Mapping[str, Any]) -> tuple[str, Endpoint]:
    """The model's name at its server, and the server, from `litellm_params`."""
    model: str = params["model"]
    provider = params.get("custom_llm_provider")
    prefix, _, rest = model.partition("/")
    if provider is None:
        if not rest:
            provider = "anthropic" if model.startswith("claude-") else "openai"
        else:
            provider, model = prefix, rest
    elif prefix == provider and rest:
        model = rest
    headers = params.get("extra_headers") or {}
    endpoint = Endpoint(
        provider=provider,
        api_key=params.get("api_key"),
        api_base=params.get("api_base") or params.get("base_url"),
        organization=params.get("organization"),
        headers=tuple(sorted(headers.items())),
    )
    return model, endpoint


def _entry(model: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    given = dict(settings)
    if "base_url" in given:
        given["api_base"] = given.pop("base_url")
    return {"model_name": model, "litellm_params": {"model": model, **given}}
