"""`litellm.Router`: deployments of a model, tried in turn, each by way of `litellm.acompletion`."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections import defaultdict
from typing import Any

from .._pool import Pool
from ._routing import Routing, first
from ._state import setting, unsupported
from .caching import DualCache
from .exceptions import RateLimitError
from .types.router import (
    Deployment as Deployment,
)
from .types.router import (
    LiteLLM_Params as LiteLLM_Params,
)
from .types.router import (
    ModelInfo as ModelInfo,
)
from .types.router import RetryPolicy as RetryPolicy
from .types.router import RouterGeneralSettings

_DEFAULT_RETRIES = 2
_SETTINGS = [
    "routing_strategy",
    "allowed_fails",
    "cooldown_time",
    "num_retries",
    "timeout",
    "retry_after",
    "fallbacks",
    "context_window_fallbacks",
]
_GENERAL = RouterGeneralSettings()
# Options that change nothing here: they concern logs, or what is done anyway.
_OF_NO_EFFECT = frozenset(
    {
        "self", "set_verbose", "debug_level", "client_ttl", "default_priority",
        "router_general_settings", "cache_kwargs", "routing_strategy_args",
        "ignore_invalid_deployments", "deployment_affinity_ttl_seconds",
        "tag_filtering_match_any",
    }
)  # fmt: skip
_SUPPORTED = frozenset(
    {
        "model_list", "num_retries", "max_fallbacks", "timeout", "stream_timeout",
        "default_litellm_params", "default_fallbacks", "fallbacks", "context_window_fallbacks",
        "content_policy_fallbacks", "model_group_alias", "retry_after", "retry_policy",
        "model_group_retry_policy", "allowed_fails", "cooldown_time", "disable_cooldowns",
        "routing_strategy",
    }
)  # fmt: skip


class Router(Routing):
    """Chooses among deployments, tries again, and falls back to other groups.

    The parameters are litellm's. What is not supported is refused when it is given a value of its
    own; `scallion.compat.Router` documents those that are.

    Raises:
        NotImplementedError: an option that is not supported.
        ValueError: an entry of `model_list` is not one.
    """

    model_names: set[str]

    def __init__(
        self,
        model_list: Any = None,
        assistants_config: Any = None,
        search_tools: Any = None,
        guardrail_list: Any = None,
        redis_url: Any = None,
        redis_host: Any = None,
        redis_port: Any = None,
        redis_password: Any = None,
        redis_db: Any = None,
        cache_responses: Any = False,
        cache_kwargs: Any = {},  # noqa: B006
        caching_groups: Any = None,
        client_ttl: Any = 3600,
        polling_interval: Any = None,
        default_priority: Any = None,
        num_retries: Any = None,
        max_fallbacks: Any = None,
        timeout: Any = None,
        stream_timeout: Any = None,
        default_litellm_params: Any = None,
        default_max_parallel_requests: Any = None,
        set_verbose: Any = False,
        debug_level: Any = "INFO",
        default_fallbacks: Any = None,
        fallbacks: Any = [],  # noqa: B006
        context_window_fallbacks: Any = [],  # noqa: B006
        content_policy_fallbacks: Any = [],  # noqa: B006
        model_group_alias: Any = {},  # noqa: B006
        enable_pre_call_checks: Any = False,
        enable_tag_filtering: Any = False,
        tag_filtering_match_any: Any = True,
        tag_routing_prefix: Any = "",
        plugins: Any = None,
        retry_after: Any = 0,
        retry_policy: Any = None,
        model_group_retry_policy: Any = {},  # noqa: B006
        allowed_fails: Any = None,
        allowed_fails_policy: Any = None,
        cooldown_time: Any = None,
        disable_cooldowns: Any = None,
        routing_strategy: Any = "simple-shuffle",
        optional_pre_call_checks: Any = None,
        routing_strategy_args: Any = {},  # noqa: B006
        routing_groups: Any = None,
        provider_budget_config: Any = None,
        alerting_config: Any = None,
        router_general_settings: Any = _GENERAL,
        deployment_affinity_ttl_seconds: Any = 3600,
        model_group_affinity_config: Any = None,
        ignore_invalid_deployments: Any = False,
        enable_health_check_routing: Any = False,
        health_check_staleness_threshold: Any = None,
        health_check_ignore_transient_errors: Any = False,
        background_health_check_model_groups: Any = None,
        enable_weighted_failover: Any = False,
        fallback_access_check: Any = None,
        fallback_budget_check: Any = None,
        auto_router_capability_limit: Any = None,
    ) -> None:
        _refuse(dict(locals()))
        self.set_verbose = set_verbose
        self.routing_strategy = routing_strategy
        self.num_retries = first(num_retries, setting("num_retries"), _DEFAULT_RETRIES)
        self.max_fallbacks = first(max_fallbacks, 5)
        self.timeout = timeout
        self.stream_timeout = stream_timeout
        self.retry_after = retry_after
        self.retry_policy = _policy(retry_policy)
        self.model_group_retry_policy = {
            name: _policy(each) for name, each in model_group_retry_policy.items()
        }
        self.fallbacks = fallbacks or setting("fallbacks")
        self.context_window_fallbacks = context_window_fallbacks or setting(
            "context_window_fallbacks"
        )
        self.content_policy_fallbacks = content_policy_fallbacks or setting(
            "content_policy_fallbacks"
        )
        self.default_fallbacks = default_fallbacks or setting("default_fallbacks")
        self.model_group_alias = dict(model_group_alias or {})
        self.default_litellm_params = dict(default_litellm_params or {})
        self.allowed_fails = first(allowed_fails, 3)
        self.cooldown_time = first(cooldown_time, 5)
        self.disable_cooldowns = disable_cooldowns
        self.cache = DualCache()
        self.total_calls: dict[str, int] = defaultdict(int)
        self.success_calls: dict[str, int] = defaultdict(int)
        self.fail_calls: dict[str, int] = defaultdict(int)
        self.set_model_list(list(model_list or ()))

    # ----------------------------------------------------------------------------------- the calls

    async def acompletion(
        self,
        model: str,
        messages: list[Any],
        stream: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Ask a group of deployments.

        Returns:
            A `ModelResponse`, or with `stream=True` a `CustomStreamWrapper`.

        Raises:
            openai.APIError: the last failure, when neither the group nor its fallbacks answered.
        """
        steps = self._steps(model, {"messages": messages, "stream": stream, **kwargs})
        step = next(steps)
        while True:
            kind, value = step
            try:
                if kind == "wait":
                    await asyncio.sleep(value)
                    step = next(steps)
                    continue
                try:
                    answer = await setting("acompletion")(**value)
                except Exception as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
            except StopIteration as end:
                return end.value

    def completion(self, model: str, messages: list[Any], **kwargs: Any) -> Any:
        """As `acompletion`, for callers without an event loop."""
        steps = self._steps(model, {"messages": messages, **kwargs})
        step = next(steps)
        while True:
            kind, value = step
            try:
                if kind == "wait":
                    time.sleep(value)
                    step = next(steps)
                    continue
                try:
                    answer = setting("completion")(**value)
                except Exception as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
            except StopIteration as end:
                return end.value

    async def abatch_completion(
        self, models: list[str], messages: list[Any], **kwargs: Any
    ) -> list[Any]:
        """Ask several groups with each of the conversations (or the one) at once."""
        many = bool(messages) and isinstance(messages[0], list)
        batches = messages if many else [messages]

        async def ask(model: str, each: Any) -> Any:
            try:
                return await self.acompletion(model=model, messages=each, **kwargs)
            except Exception as error:
                return error

        answers = [
            await asyncio.gather(*(ask(model, each) for model in models)) for each in batches
        ]
        return answers if many else answers[0]

    # ------------------------------------------------------------------------------ the deployments

    def set_model_list(self, model_list: list[Any]) -> None:
        """Have these deployments from now on."""
        self.pool = Pool(
            model_list,
            fallbacks=self.fallbacks,
            context_window_fallbacks=self.context_window_fallbacks,
            content_policy_fallbacks=self.content_policy_fallbacks,
            default_fallbacks=self.default_fallbacks,
            cooldown_time=0 if self.disable_cooldowns else self.cooldown_time,
            allowed_fails=self.allowed_fails,
            aliases=self.model_group_alias,
        )
        self.model_names = {each.model_name for each in self.pool.deployments}

    def add_deployment(self, deployment: Any) -> Any:
        """Have one more."""
        self.set_model_list([*self.model_list, deployment])
        return deployment

    def upsert_deployment(self, deployment: Any) -> Any:
        """Have one more, or in place of the one with its id."""
        self.delete_deployment(str(deployment.model_info.id))
        return self.add_deployment(deployment)

    def delete_deployment(self, id: str) -> Any:
        """Have one less."""
        gone = self.get_deployment(id)
        self.set_model_list([e for e in self.model_list if e["model_info"]["id"] != id])
        return gone

    @property
    def model_list(self) -> list[dict[str, Any]]:
        """The entries, each with an id."""
        return [each.entry for each in self.pool.deployments]

    @property
    def healthy_deployments(self) -> list[dict[str, Any]]:
        """Those that do not rest."""
        now = time.monotonic()
        return [each.entry for each in self.pool.deployments if each.resting_until <= now]

    @property
    def deployment_names(self) -> list[str]:
        """The models of the deployments."""
        return [each.params["model"] for each in self.pool.deployments]

    def get_model_list(
        self, model_name: str | None = None, team_id: str | None = None
    ) -> list[dict[str, Any]] | None:
        """The entries, of all groups or of one."""
        del team_id
        if model_name is None:
            return self.model_list
        return [each.entry for each in self.pool.group(model_name)]

    def get_model_names(self, team_id: str | None = None) -> list[str]:
        """The names of the groups, and their other names."""
        del team_id
        return [
            *dict.fromkeys(e.model_name for e in self.pool.deployments),
            *self.model_group_alias,
        ]

    def get_model_ids(
        self,
        model_name: str | None = None,
        exclude_team_models: bool = False,
    ) -> list[str]:
        """The ids of the deployments."""
        del exclude_team_models
        return [entry["model_info"]["id"] for entry in self.get_model_list(model_name) or ()]

    def get_deployment(self, model_id: str) -> Deployment | None:
        """The deployment with an id."""
        for entry in self.model_list:
            if entry["model_info"]["id"] == model_id:
                return Deployment(
                    model_name=entry["model_name"],
                    litellm_params=LiteLLM_Params(**entry["litellm_params"]),
                    model_info=entry["model_info"],
                )
        return None

    def get_model_info(self, id: str) -> dict[str, Any] | None:
        """The entry with an id."""
        return next((e for e in self.model_list if e["model_info"]["id"] == id), None)

    def get_available_deployment(
        self,
        model: str,
        messages: list[Any] | None = None,
        input: Any = None,
        specific_deployment: bool | None = False,
        request_kwargs: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The entry that would be asked.

        Raises:
            BadRequestError: there is no such group.
            RouterRateLimitError: all of its deployments rest.
        """
        del messages, input, specific_deployment, request_kwargs
        entry: dict[str, Any] = self._pick(model).entry
        return entry

    async def async_get_available_deployment(
        self,
        model: str,
        request_kwargs: dict[str, Any],
        messages: list[Any] | None = None,
        input: Any = None,
        specific_deployment: bool | None = False,
    ) -> dict[str, Any]:
        """See `get_available_deployment`."""
        del messages, input, specific_deployment, request_kwargs
        return self.get_available_deployment(model)

    def get_settings(self) -> dict[str, Any]:
        """The settings that can be changed."""
        return {name: getattr(self, name) for name in _SETTINGS}

    def update_settings(self, **kwargs: Any) -> None:
        """Change settings."""
        unknown = kwargs.keys() - self.get_settings().keys()
        if unknown:
            raise unsupported(f"Router.update_settings({min(unknown)}=)", "make a new Router")
        for name, value in kwargs.items():
            setattr(self, name, value)
        self.set_model_list(self.model_list)

    def flush_cache(self) -> None:
        """Forget which deployments rest."""
        self.cache.flush_cache()
        for each in self.pool.deployments:
            each.resting_until = float("-inf")

    def reset(self) -> None:
        """The same."""
        self.flush_cache()

    def discard(self) -> None:
        """Nothing is registered anywhere."""

    # ------------------------------------------------------- litellm's own hooks, for subclasses

    def deployment_callback_on_failure(
        self, kwargs: Any, completion_response: Any, start_time: Any, end_time: Any
    ) -> bool:
        """Called by nothing: failures are noted where they happen."""
        del kwargs, completion_response, start_time, end_time
        return False

    async def async_deployment_callback_on_failure(
        self, kwargs: Any, completion_response: Any, start_time: Any, end_time: Any
    ) -> None:
        """Called by nothing."""

    async def deployment_callback_on_success(
        self, kwargs: Any, completion_response: Any, start_time: Any, end_time: Any
    ) -> None:
        """Called by nothing."""

    def sync_deployment_callback_on_success(
        self, kwargs: Any, completion_response: Any, start_time: Any, end_time: Any
    ) -> str | None:
        """Called by nothing."""

    def __getattr__(self, name: str) -> Any:
        # Only for what is not there: litellm's router has a method for each of its endpoints.
        if name.startswith("_") or name not in _ENDPOINTS:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        raise unsupported(f"Router.{name}", "Scallion routes chat completions")


_ENDPOINTS = frozenset(
    [
        "aembedding",
        "embedding",
        "aimage_generation",
        "image_generation",
        "atranscription",
        "aspeech",
        "amoderation",
        "atext_completion",
        "arerank",
        "aresponses",
        "responses",
        "acreate_batch",
        "acreate_file",
        "abatch_completion_fastest_response",
        "schedule_acompletion",
    ]
)


def _refuse(given: dict[str, Any]) -> None:
    if given["routing_strategy"] != "simple-shuffle":
        raise unsupported(
            f"routing_strategy={given['routing_strategy']!r}",
            "only simple-shuffle is; for any other, write a middleware that chooses",
        )
    defaults = inspect.signature(Router.__init__).parameters
    for name, value in given.items():
        if name in _SUPPORTED or name in _OF_NO_EFFECT:
            continue
        default = defaults[name].default
        if value is not default and value != default and value:
            raise unsupported(
                f"Router({name}=)",
                "policies are middlewares: build_pipeline([cache(), budget(usd=…), log(), …])",
            )


def _policy(given: Any) -> RetryPolicy | None:
    return RetryPolicy(**given) if isinstance(given, dict) else given


__all__ = ["Deployment", "LiteLLM_Params", "ModelInfo", "RateLimitError", "RetryPolicy", "Router"]
