"""Which deployment a router asks next, how long it waits, and where it falls back to.

The steps are a generator, so that asynchronous and synchronous calls share them.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from .._pool import Pool
from .exceptions import (
    BadRequestError,
    ContentPolicyViolationError,
    ContextWindowExceededError,
    InternalServerError,
)
from .types.router import RouterRateLimitError

if TYPE_CHECKING:
    from collections.abc import Generator

    from .types.router import RetryPolicy

_LONGEST_WAIT = 8.0
_ROUTING_ONLY = frozenset({"weight", "rpm", "tpm", "max_parallel_requests", "max_budget"})

Step = tuple[str, Any]
"""What to do next: `("call", arguments)` or `("wait", seconds)`."""


class Routing:
    """The plan of a call, from the settings that `Router` has."""

    pool: Pool
    num_retries: int
    max_fallbacks: int
    timeout: Any
    stream_timeout: Any
    retry_after: float
    retry_policy: RetryPolicy | None
    model_group_retry_policy: dict[str, RetryPolicy | None]
    default_litellm_params: dict[str, Any]
    total_calls: dict[str, int]
    success_calls: dict[str, int]
    fail_calls: dict[str, int]

    def _steps(self, model: str, kwargs: dict[str, Any]) -> Generator[Step, Any, Any]:
        """Ask the group, and then its fallbacks; returns the answer."""
        try:
            return (yield from self._ask_group(model, kwargs, testing=True))
        except Exception as error:
            if kwargs.get("disable_fallbacks"):
                raise
            failure = error
        for target in self._targets(model, failure, kwargs.get("fallbacks")):
            try:
                return (yield from self._ask_group(target, kwargs))
            except Exception as error:
                failure = error
        raise failure

    def _targets(self, model: str, failure: Exception, own: Any) -> list[str]:
        if isinstance(failure, ContextWindowExceededError):
            special = self.pool.context_window_fallbacks_of(model)
        elif isinstance(failure, ContentPolicyViolationError):
            special = self.pool.content_policy_fallbacks_of(model)
        else:
            special = []
        if special:
            return special[: self.max_fallbacks]
        if own:
            return Pool((), fallbacks=own).fallbacks_of(model)[: self.max_fallbacks]
        return self.pool.fallbacks_of(model)[: self.max_fallbacks]

    def _ask_group(
        self, group: str, kwargs: dict[str, Any], *, testing: bool = False
    ) -> Generator[Step, Any, Any]:
        if testing and kwargs.get("mock_testing_fallbacks"):
            raise InternalServerError(
                f"This is a mock exception for model={group}, to trigger a fallback.", "", group
            )
        tried = 0
        while True:
            chosen = self._pick(group)
            name = chosen.params["model"]
            self.total_calls[name] += 1
            try:
                answer = yield "call", self._arguments(chosen, group, kwargs)
            except Exception as error:
                self.fail_calls[name] += 1
                status = getattr(error, "status_code", None)
                self.pool.note_failure(chosen, status, time.monotonic())
                if tried >= self._retries(error, group, kwargs) or not _may_pass(status):
                    raise
                wait = self._wait(error, group, tried)
                tried += 1
            else:
                self.success_calls[name] += 1
                return answer
            yield "wait", wait

    def _pick(self, group: str) -> Any:
        now = time.monotonic()
        chosen = self.pool.pick(group, now)
        if chosen is not None:
            return chosen
        if self.pool.group(group):
            raise RouterRateLimitError(group, self.pool.wakes_in(group, now))
        raise BadRequestError(
            f"You passed in model={group}. There is no 'model_name' with this string ",
            group,
            "",
        )

    def _arguments(self, chosen: Any, group: str, kwargs: dict[str, Any]) -> dict[str, Any]:
        params = {name: v for name, v in chosen.params.items() if name not in _ROUTING_ONLY}
        given = {
            name: value
            for name, value in kwargs.items()
            if value is not None
            and name not in ("fallbacks", "num_retries", "mock_testing_fallbacks")
        }
        metadata = {
            **(kwargs.get("metadata") or {}),
            "model_group": group,
            "deployment": params["model"],
            "model_info": chosen.entry["model_info"],
            "api_base": params.get("api_base"),
        }
        stream_timeout = params.pop("stream_timeout", self.stream_timeout)
        timeout = params.get("timeout", self.timeout)
        if kwargs.get("stream") and stream_timeout is not None:
            timeout = stream_timeout
        # The call's own parameters are stronger than a deployment's, but for whom to ask.
        merged = {**self.default_litellm_params, **params, **given, "model": params["model"]}
        if "timeout" not in given and timeout is not None:
            merged["timeout"] = timeout
        return {
            **merged,
            "max_retries": 0,
            "metadata": metadata,
            "model_info": chosen.entry["model_info"],
        }

    def _retries(self, error: Exception, group: str, kwargs: dict[str, Any]) -> int:
        policy = self.model_group_retry_policy.get(group) or self.retry_policy
        by_kind = None if policy is None else _allowed_by(policy, error)
        return int(first(by_kind, kwargs.get("num_retries"), self.num_retries))

    def _wait(self, error: Exception, group: str, tried: int) -> float:
        now = time.monotonic()
        awake = [e for e in self.pool.group(group) if e.resting_until <= now]
        if len(self.pool.group(group)) > 1 and awake:
            return 0.0  # another one is there to be asked
        asked_for = _retry_after(error)
        if asked_for is not None and asked_for <= 60:
            return asked_for
        backoff = min(_LONGEST_WAIT, 0.5 * 2.0 ** min(tried, 60))
        return float(max(self.retry_after, backoff * (0.5 + random.random() / 2)))  # noqa: S311


def first(*values: Any) -> Any:
    """The first value that is given."""
    return next((value for value in values if value is not None), None)


def _allowed_by(policy: RetryPolicy, error: Exception) -> int | None:
    """How often a policy lets this kind of failure be tried again."""
    for kind in type(error).__mro__:
        name = f"{kind.__name__}Retries".replace("TimeoutRetries", "TimeoutErrorRetries")
        allowed: int | None = getattr(policy, name, None)
        if allowed is not None:
            return allowed
    return policy.DefaultRetries


def _may_pass(status: int | None) -> bool:
    return status is None or status in (408, 409, 429) or status >= 500


def _retry_after(error: Exception) -> float | None:
    headers = getattr(getattr(error, "response", None), "headers", None)
    try:
        return float(headers["retry-after"]) if headers is not None else None
    except (KeyError, TypeError, ValueError):
        return None
