"""The onion: layers composed once around a provider, and the calls that go through them."""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal

from ._clock import Clock
from ._compose import as_layers, bind, check_handler, drawn, name_of
from ._layer import Layer
from ._limits import call_limit, what_ended
from ._opened import keep_one, note
from ._order import OrderWarning, asked_twice, complaints
from ._request import NOT_GIVEN, Attempt, Context, Request, as_messages
from ._response import Response
from ._response_stream import ResponseStream
from ._secrets import hide_params
from .exceptions import InvalidRequestError, LLMClientError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from ._sync import SyncPipeline
    from .types import Message, ModelResponse

Handler = Callable[[Request], Awaitable[Response]]
"""Answers a request: a provider, the rest of the onion, or a whole pipeline."""

Middleware = Callable[[Request, Handler], Awaitable[Response]]
"""`async def name(request, call_next)`: returns the Response that `call_next` returned."""


def build_pipeline(
    middlewares: Iterable[Middleware] = (),
    *,
    provider: Handler | None = None,
    model: str | None = None,
    order: Literal["warn", "error", "off"] = "warn",
    clock: Clock | None = None,
) -> Pipeline:
    """Compose layers around a provider.

    Args:
        middlewares: The layers, the first one outermost.
        provider: What answers: an adapter from `scallion.providers`, another pipeline, or any
            async function from Request to Response. By default the model's name decides
            (`scallion.providers.auto()`).
        model: The model for calls that do not name one.
        order: What to do about layers in an order that certainly defeats itself: an
            `OrderWarning`, a `ValueError`, or nothing.
        clock: Where time comes from; tests pass a `scallion.testing.ManualClock`.

    Raises:
        TypeError: an entry is not a middleware; the message names it.
    """
    if order not in ("warn", "error", "off"):
        raise ValueError(f'order must be "warn", "error" or "off", not {order!r}')
    middlewares = as_layers(middlewares)
    if order != "off":
        for complaint in complaints(middlewares):
            if order == "error":
                raise ValueError(complaint)
            warnings.warn(complaint, OrderWarning, stacklevel=2)
        for complaint in asked_twice(middlewares, model):
            warnings.warn(complaint, stacklevel=2)
    made = Pipeline(middlewares, provider=provider, model=model, clock=clock)
    made._order = order
    return made


# What callers of other libraries pass with each call. Sent on, a key would go out in the body.
_ELSEWHERE = {
    "stream": "call pipeline.stream(…) for a stream",
    **dict.fromkeys(
        ("api_key", "api_base", "base_url", "api_version", "organization", "default_headers"),
        "give it to the provider, as in build_pipeline(provider=openai(base_url=…, api_key=…))",
    ),
    **dict.fromkeys(
        ("num_retries", "max_retries"), "put retry(attempts=…) into the pipeline's layers"
    ),
    **dict.fromkeys(
        ("fallbacks", "context_window_fallbacks"), "put fallback([…]) into the pipeline's layers"
    ),
    "custom_llm_provider": "the model's prefix or build_pipeline(provider=…) says it",
    "caching": "put cache() into the pipeline's layers",
}


class _Asking:
    """A handler that is being asked, and whether it has asked a further pipeline for this call."""

    __slots__ = ("context", "further")

    def __init__(self, context: Context) -> None:
        self.context: Context | None = context
        self.further = False


_asking: ContextVar[_Asking | None] = ContextVar("scallion_asking", default=None)


class Pipeline:
    """An onion, ready to be called. Immutable, and safe to share between tasks and event loops.

    Made by `build_pipeline`. It is itself a handler, so pipelines nest.
    """

    def __init__(
        self,
        middlewares: Iterable[Middleware] = (),
        *,
        provider: Handler | None = None,
        model: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.middlewares = as_layers(middlewares)
        if provider is None:
            from .providers import auto

            provider = auto()
        check_handler(provider)
        if model is not None and (not isinstance(model, str) or not model):
            raise TypeError(f"model must be a name, not {model!r}")
        self._order: Literal["warn", "error", "off"] = "warn"
        self.provider: Handler = provider
        self.model = model
        self._clock = clock or Clock()
        chain: Handler = self._ask_provider
        for middleware in reversed(self.middlewares):
            chain = bind(middleware, chain)
        for entry in self.middlewares[1:]:
            if isinstance(entry, Layer) and entry.edge is not None:
                chain = bind(entry.edge, chain)
        self._chain = chain
        self._observers = tuple(
            entry.observe
            for entry in self.middlewares
            if isinstance(entry, Layer) and entry.observe is not None
        )

    async def complete(
        self,
        messages: str | Iterable[Mapping[str, Any] | Message],
        *,
        model: str | None = None,
        tenant: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        deadline: float | None = None,
        **params: Any,
    ) -> ModelResponse:
        """Ask, and wait for the whole answer.

        Args:
            messages: A string (one user message), or OpenAI-style dicts or `Message`s.
            model: The model's name, if not the pipeline's own.
            tenant: On whose behalf; budgets and caches keep tenants apart.
            metadata: Your labels for logs and audits. Never sent to the provider.
            deadline: Seconds from now after which the call must be over, retries included.
            **params: OpenAI's chat parameters (`temperature`, `tools`, `response_format`, …), and
                `extra_body` and `extra_headers` for what only one provider knows.

        Raises:
            LLMClientError: whatever went wrong; see `scallion.exceptions`.
        """
        hide_params(params)  # first: tracebacks show locals
        request = self._request(messages, model, tenant, metadata, deadline, params, stream=False)
        response = await self.send(request)
        try:
            return await response.collect()
        except BaseException:
            await response.aclose()
            raise

    def stream(
        self,
        messages: str | Iterable[Mapping[str, Any] | Message],
        *,
        model: str | None = None,
        tenant: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        deadline: float | None = None,
        **params: Any,
    ) -> ResponseStream:
        """Ask, and iterate over the answer as it comes. The arguments are those of `complete`.

        Nothing is sent before the first `async with` or `async for`.
        """
        hide_params(params)
        return ResponseStream(
            self,
            self._request(messages, model, tenant, metadata, deadline, params, stream=True),
        )

    async def send(self, request: Request) -> Response:
        """Send a Request through the layers. The Response must be read or closed.

        Raises:
            LLMClientError: it failed before any content.
        """
        _check_request(request)
        if request.provider is None or (request.model is None and self.model is not None):
            request = request.replace(
                model=request.model or self.model, provider=request.provider or self.provider
            )
        try:
            response = await keep_one(request.context, self._send(request))
        except LLMClientError as error:
            error.attempts = tuple(request.context.attempts)
            raise
        note(response)
        for observe in self._observers:
            observe(response)
        return response.rewind()

    async def __call__(self, request: Request) -> Response:
        """The handler form: this pipeline's own provider answers, whoever calls."""
        _check_request(request)
        return await self.send(request.replace(provider=self.provider))

    @property
    def sync(self) -> SyncPipeline:
        """`complete` and `stream` for callers without an event loop; also inside of a running one.

        They run on a background loop that the whole process shares.
        """
        from ._sync import SyncPipeline

        return SyncPipeline(self)

    def with_middlewares(self, *extra: Middleware) -> Pipeline:
        """A pipeline with more layers, inside the present ones, around the same provider."""
        return build_pipeline(
            (*self.middlewares, *extra),
            provider=self.provider,
            model=self.model,
            order=self._order,
            clock=self._clock,
        )

    async def aclose(self) -> None:
        """Close the provider's connections, and layers that have something to close."""
        for part in (*self.middlewares, self.provider):
            close = getattr(part, "aclose", None)
            if close is not None:
                await close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        # By what it was built from; another process opens connections, and tells time, of its own.
        return _rebuild, (self.middlewares, self.provider, self.model)

    def __repr__(self) -> str:
        lines = [drawn(part) for part in (*self.middlewares, self.provider)]
        onion = [f"{'│ ' * depth}{name}" for depth, name in enumerate(lines)]
        return "\n".join([f"Pipeline(model={self.model!r})", *onion])

    def _request(
        self,
        messages: str | Iterable[Mapping[str, Any] | Message],
        model: str | None,
        tenant: str | None,
        metadata: Mapping[str, Any] | None,
        deadline: float | None,
        params: dict[str, Any],
        *,
        stream: bool,
    ) -> Request:
        for name in _ELSEWHERE.keys() & params.keys():
            raise TypeError(f"{name}= is not a parameter of a call: {_ELSEWHERE[name]}")
        if metadata is not None and not isinstance(metadata, Mapping):
            raise InvalidRequestError(f"metadata must be a mapping, not {metadata!r}")
        for what, given in (("model", model), ("tenant", tenant)):
            if given is not None and (not isinstance(given, str) or not given):
                raise InvalidRequestError(f"{what} must be a name, not {given!r}")
        context = Context(metadata=metadata, tenant=tenant, clock=self._clock)
        if deadline is not None:
            # The comparison is also false of NaN.
            if not isinstance(deadline, (int, float)) or not deadline > 0:
                raise InvalidRequestError(
                    f"deadline is {deadline!r}: pass seconds from now, above 0"
                )
            context.deadline = context.started + deadline
        # None means "not given", and so do the SDKs' own marks for that.
        said = {
            name: value
            for name, value in params.items()
            if value is not None and type(value).__name__ not in NOT_GIVEN
        }
        return Request(
            model or self.model, as_messages(messages), said, stream, context, self.provider
        )

    async def _send(self, request: Request) -> Response:
        deadline = request.context.deadline
        if deadline is None:
            return await self._chain(request)
        with call_limit(request, deadline, "deadline"):
            return await self._chain(request)

    async def _ask_provider(self, request: Request) -> Response:
        """The innermost handler: one attempt, recorded, and read up to its first content."""
        handler = request.provider
        assert handler is not None
        if isinstance(handler, Pipeline):  # it records its own attempts
            return await handler(request)
        if request.model is None:
            model = getattr(handler, "model", None)  # a handler may have a model of its own
            if isinstance(model, str):
                request = request.replace(model=model)
        if request.model is None:
            raise InvalidRequestError(
                "no model: pass model= to the call or to build_pipeline, or use fallback([...])"
            )
        context = request.context
        watchers = await request.admit() if request.guards else ()
        attempt = Attempt(
            model=request.model,
            provider=getattr(handler, "name", None) or name_of(handler),
            stream=request.stream,
            started_at=context.clock.time(),
            began=context.clock.now(),
            watchers=watchers,
        )
        context.attempts.append(attempt)
        outer = _asking.get()
        if outer is not None and outer.context is context:
            outer.further = True
        asking = _Asking(context)
        token = _asking.set(asking)
        try:
            name_for = getattr(handler, "name_for", None)
            if name_for is not None:  # now, so that a call that gets no answer has a provider too
                attempt.provider = name_for(request.model)
            response = await handler(request)
            if not isinstance(response, Response):
                raise TypeError(f"{name_of(handler)} returned {response!r}, not a Response")
            note(response)
            if response.record(attempt):
                pass
            elif response.request.context is context:
                # The handler asked another pipeline, which has recorded its own attempts.
                context.attempts.remove(attempt)
                attempt.void()
                if response.outcome is not None:
                    response.outcome.attempts = tuple(context.attempts)
            else:  # as a call of its own, in whose books it stands: it belongs into ours as well
                response.on_settle(lambda outcome: attempt.end(outcome, context.clock.now()))
            await response.commit()
            if not request.stream and response.outcome is None:
                await response.collect()  # nobody sees a part of it: all of it may be tried again
            return response
        except BaseException as error:
            if attempt.status == "pending":
                if asking.further:  # what went wrong there is recorded there
                    context.attempts.remove(attempt)
                    attempt.void()
                else:
                    attempt.fail(what_ended(error, context), context.clock.now())
            raise
        finally:
            _asking.reset(token)
            asking.context = None  # tasks that the handler has started may outlive the call


def _rebuild(middlewares: tuple[Middleware, ...], provider: Handler, model: str | None) -> Pipeline:
    return Pipeline(middlewares, provider=provider, model=model)


def _check_request(request: object) -> None:
    if not isinstance(request, Request):
        name = type(request).__name__
        raise TypeError(f"a pipeline sends a Request, not {name}: complete() takes messages")
