"""Ask the next model when one cannot answer."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import force_setattr

from scallion._compose import check_handler
from scallion._layer import layer
from scallion._request import plain_name
from scallion._secrets import hide_params
from scallion.exceptions import (
    AllModelsFailedError,
    AuthenticationError,
    ContextWindowExceededError,
    InvalidRequestError,
    MalformedResponseError,
    ModelNotFoundError,
    ProviderError,
    RateLimitError,
    StreamInterruptedError,
)

from ._conditions import as_condition

if TYPE_CHECKING:
    from scallion._pipeline import Handler, Middleware
    from scallion._request import Request
    from scallion._response import Response
    from scallion.types import ModelResponse

    FallbackOn = (
        type[Exception] | tuple[type[Exception], ...] | Callable[[Exception | ModelResponse], bool]
    )


class Target(Struct, frozen=True, eq=False):
    """One model to fall back to.

    Attributes:
        model: Its name; `None` keeps the request's own (for another provider of the same model).
        provider: The handler to ask, or a provider's name (`"openrouter"`). By default the
            pipeline's own provider.
        params: Changes to the parameters of the original request. `None` removes one.
        on: Exception types, or a predicate of the error or the finished answer: this target is
            tried for these only, whatever `fallback(on=)` says.
    """

    model: str | None = None
    provider: Any = None
    params: dict[str, Any] | None = None
    on: Any = None

    def __post_init__(self) -> None:
        if self.model is not None and (not isinstance(self.model, str) or not self.model):
            raise TypeError(f"model must be a name, not {self.model!r}")
        if self.params is not None:
            if not isinstance(self.params, Mapping):
                raise TypeError(f"params must be a mapping, not {self.params!r}")
            params = dict(self.params)
            hide_params(params)
            force_setattr(self, "params", params)

    def __repr__(self) -> str:
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        shown = ", ".join(f"{name}={value!r}" for name, value in fields.items() if value)
        return f"Target({shown})"


_OWN = Target()
"""The request as it came."""


@layer
def fallback(
    targets: Sequence[str | Target | Handler],
    *,
    on: FallbackOn | None = None,
    stream: Literal["before_content", "restart"] = "before_content",
) -> Middleware:
    """Try the request's own model first, and then the targets, until one answers.

    By default it goes on after any failure that another model may not have: everything retryable,
    rate limits and used-up quotas, authentication, models that do not exist, streams that broke
    before any content. Requests that are invalid are invalid elsewhere too and end the chain, but
    for two kinds: a prompt that is too long goes to targets that are known to have a larger context
    window, and both that and a content policy's refusal go to targets that ask for it by their own
    `on`.

    If nothing answers, the error is the only target's own, or an `AllModelsFailedError` with each
    target's in order.

    Args:
        targets: Names of models, `Target`s, or handlers (a nested pipeline). Without a model on the
            request the first one is the first to be tried.
        on: What to go on after instead: exception types, or a predicate. A predicate also sees the
            finished answer (a `ModelResponse`), and rejects it by returning true; a stream's only
            with `stream="restart"`, because its content is out otherwise. A stream that breaks
            after content is a `StreamInterruptedError` whose `__cause__` is the error that broke
            it: types match either of the two, and a predicate gets the former.
        stream: What to do when a stream breaks after content: `"before_content"` raises,
            `"restart"` begins anew with the next target, on a chunk whose `restarted` is true.

    Raises:
        ValueError: no targets, or an unknown `stream`.
        TypeError: a target is none of the three kinds.
    """
    if isinstance(targets, (str, Target)) or not isinstance(targets, Sequence):
        raise TypeError(f"fallback() takes a list of targets, not {targets!r}")
    if not targets:
        raise ValueError("fallback() needs at least one target")
    if stream not in ("before_content", "restart"):
        raise ValueError(f'stream must be "before_content" or "restart", not {stream!r}')
    on = as_condition(on, "on", "result")
    clients: dict[str, Any] = {}
    chain = _without_duplicates([_as_target(entry, n, clients) for n, entry in enumerate(targets)])
    judges = any(map(_is_predicate, (on, *[target.on for target in chain])))

    settings = _Settings(chain, on, judges, stream == "restart")

    async def middleware(request: Request, call_next: Handler) -> Response:
        return await _Search(settings, request, call_next).ask_next(None)

    return middleware


class _Settings(NamedTuple):
    """What `fallback()` was told.

    Attributes:
        judges: Whether anybody looks at finished answers.
        restarts: Whether a stream that breaks is begun anew.
    """

    chain: list[Target]
    on: FallbackOn | None
    judges: bool
    restarts: bool


class _Search:
    """One call's way along the targets.

    A class, because functions that call each other would be a cycle, and keep the request until the
    garbage collector comes.
    """

    __slots__ = ("_asked", "_call_next", "_errors", "_left", "_request", "_settings")

    def __init__(self, settings: _Settings, request: Request, call_next: Handler) -> None:
        self._settings = settings
        self._request = self._asked = request
        self._call_next = call_next
        self._left = _plan(settings.chain, request)
        self._errors: list[Exception] = []

    async def ask_next(self, reason: Exception | ModelResponse | None) -> Response:
        """Ask the targets that are left, until one answers.

        Args:
            reason: Why the target before did not.
        """
        _, on, judges, restarts = self._settings
        left, errors = self._left, self._errors
        while left:
            target = left.pop(0)
            if reason is not None and not goes_on(reason, self._asked.model, target, on):
                continue
            asked = self._request if target is _OWN else request_for(target, self._request)
            self._asked = asked
            response = await _try(self._call_next, asked)
            if isinstance(response, Exception):
                errors.append(response)
                reason = response
                continue
            if judges and response.outcome is not None:
                answer = await response.collect()
                if is_rejected(answer, left, on):
                    errors.append(_rejected(answer))
                    reason = answer
                    continue
            return response.on_break(self.take_over) if restarts else response
        raise _failure(errors)

    async def take_over(self, reason: Exception | ModelResponse) -> Response | None:
        """Ask on, for a stream that broke or whose whole answer is rejected."""
        if isinstance(reason, Exception):
            self._errors.append(reason)
        elif self._settings.judges and is_rejected(reason, self._left, self._settings.on):
            self._errors.append(_rejected(reason))
        else:
            return None
        return await self.ask_next(reason)


async def _try(call_next: Handler, request: Request) -> Response | Exception:
    # In a frame of its own: an error's traceback keeps its frames alive, and a later target's
    # Response must not be found in one of them.
    try:
        return await call_next(request)
    except Exception as error:  # noqa: BLE001 - raised in the end, unless another target answers
        return error


def goes_on(
    reason: Exception | ModelResponse, failed: str | None, target: Target, on: FallbackOn | None
) -> bool:
    """Whether to try `target` after `reason`, which is an error or an answer that was rejected.

    Args:
        failed: The model that `reason` came from.
        on: What `fallback(on=)` says; the target's own `on` comes first.
    """
    wanted = on if target.on is None else target.on
    if isinstance(wanted, (type, tuple)):
        # A stream that broke off has its type from that. What broke it is what people name.
        broken = isinstance(reason, StreamInterruptedError)
        return isinstance(reason, wanted) or (broken and isinstance(reason.__cause__, wanted))
    if wanted is not None:
        return bool(wanted(reason))
    if isinstance(reason, ContextWindowExceededError):
        return _is_larger(target.model, failed)
    if isinstance(reason, InvalidRequestError) or not isinstance(reason, ProviderError):
        return False
    elsewhere = (AuthenticationError, ModelNotFoundError, RateLimitError)
    return reason.retryable or isinstance(reason, elsewhere)


def is_rejected(answer: ModelResponse, left: Sequence[Target], on: FallbackOn | None) -> bool:
    """Whether a predicate is against `answer`: that of `fallback(on=)`, or of a target to come."""
    predicates = filter(_is_predicate, (on, *[target.on for target in left]))
    return any(predicate(answer) for predicate in predicates)


def request_for(target: Target, request: Request) -> Request:
    """The original request, changed as a target says."""
    changes: dict[str, Any] = {}
    if target.provider is not None:
        changes["provider"] = target.provider
        # A pipeline that has a model of its own was built to be asked for that one.
        if getattr(target.provider, "model", None) is not None:
            changes["model"] = None
    if target.model is not None:
        changes["model"] = target.model
    if target.params is not None:
        patched = {**request.params, **target.params}
        changes["params"] = {name: v for name, v in patched.items() if v is not None}
    return request.replace(**changes) if changes else request


def _plan(chain: Sequence[Target], request: Request) -> list[Target]:
    """The request's own model, if it names one, and the targets that are not that again."""
    if request.model is None:
        return list(chain)
    return [_OWN, *[target for target in chain if not _is_own(target, request.model)]]


def _is_own(target: Target, model: str) -> bool:
    changes = target.provider is not None or target.params or target.on is not None
    return (target.model is None or plain_name(target.model) == plain_name(model)) and not changes


def _as_target(entry: object, position: int, clients: dict[str, Any]) -> Target:
    """What an entry means; `clients` are those of the providers that were named so far."""
    if isinstance(entry, str):
        return Target(entry)
    if not isinstance(entry, Target):
        if not callable(entry):
            raise TypeError(
                f"targets[{position}] must be a model's name, a Target or a handler, not {entry!r}"
            )
        check_handler(entry, f"targets[{position}]")
        return Target(provider=entry)
    provider = entry.provider
    if isinstance(provider, str):
        from scallion.providers import get_client

        if provider not in clients:
            clients[provider] = get_client(provider)
        provider = clients[provider]
    elif provider is not None:
        check_handler(provider, f"targets[{position}].provider")
    condition = as_condition(entry.on, f"targets[{position}].on", "result")
    return Target(entry.model, provider, entry.params, condition)


def _without_duplicates(targets: list[Target]) -> list[Target]:
    kept: list[Target] = []
    for target in targets:
        if any(_key(target) == _key(other) for other in kept):
            warnings.warn(f"fallback() has {target!r} twice: it is asked once", stacklevel=4)
        else:
            kept.append(target)
    return kept


def _key(target: Target) -> tuple[Any, ...]:
    # A handler that was handed in may know both names, and mean two models.
    model = target.model if target.provider is not None else plain_name(target.model)
    return (model, target.provider, target.params or None, target.on)


def _is_predicate(on: FallbackOn | None) -> bool:
    return on is not None and not isinstance(on, (type, tuple))


def _is_larger(model: str | None, than: str | None) -> bool:
    if model is None or than is None:
        return False
    from scallion._models import model_info

    mine, other = model_info(model), model_info(than)
    if mine is None or other is None:
        return False
    return (mine.context_window or 0) > (other.context_window or float("inf"))


def _rejected(answer: ModelResponse) -> MalformedResponseError:
    return MalformedResponseError(
        "the answer was rejected by fallback(on=)",
        provider=answer.provider,
        model=answer.model,
        request_id=answer.request_id,
        partial=answer,
    )


def _failure(errors: list[Exception]) -> Exception:
    if len(errors) == 1:
        return errors[0]
    lines = [
        # What has lines of its own, as a fallback further in has, stays below its number.
        f"  {number}. {type(e).__name__}: {e}".replace("\n", "\n     ")
        for number, e in enumerate(errors, 1)
    ]
    failures = [error for error in errors if isinstance(error, ProviderError)]
    waits = [error.retry_after for error in failures if error.retry_after is not None]
    failure = AllModelsFailedError(
        "\n".join([f"none of {len(errors)} models answered:", *lines]),
        errors=errors,
        retryable=any(error.retryable for error in failures),
        retry_after=max(waits, default=None),
    )
    failure.__cause__ = errors[-1]
    return failure
