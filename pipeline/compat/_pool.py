"""Which deployment of a model to ask, and what to ask when all of them have failed.

A deployment is one way to a model: a server, an account, a region. Those that share a `model_name`
make up a group, and one of them is chosen at random for each attempt, by weight (litellm's
"simple-shuffle"). One that failed rests for a while, if there is another to take its place.
"""

from __future__ import annotations

import hashlib
import json
import random
from typing import TYPE_CHECKING, Any

from scallion._secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

DEFAULT_COOLDOWN = 5.0
"""Seconds that a deployment rests: litellm's default."""

_MOST_FALLBACKS = 5
_WINDOW = 60.0
# What says that this deployment, and not the request, is the trouble: it rests at once.
_AT_ONCE = frozenset({401, 403, 404, 408, 429})


class Deployment:
    """One entry of a `model_list`.

    Attributes:
        model_name: The group's name, which callers use.
        params: Its `litellm_params`.
        entry: The whole entry, as litellm hands it out again, with an id.
        weight: How likely it is to be chosen, next to the others of its group.
    """

    def __init__(self, entry: Mapping[str, Any]) -> None:
        given = _as_dict(entry)
        name, params = given.get("model_name"), given.get("litellm_params")
        params = _as_dict(params) if params is not None else None
        if not isinstance(name, str) or params is None or not isinstance(params.get("model"), str):
            raise ValueError(
                "an entry of model_list needs model_name and litellm_params with a model: "
                f"it has {sorted(given)}"
            )
        self.model_name = name
        self.params: dict[str, Any] = {k: v for k, v in params.items() if v is not None}
        if isinstance(self.params.get("api_key"), str):
            self.params["api_key"] = Secret(self.params["api_key"])
        info = _as_dict(given.get("model_info") or {})
        info.setdefault("id", _id_of(name, self.params))
        info.setdefault("db_model", False)
        self.entry = {**given, "litellm_params": self.params, "model_info": info}
        self.resting_until = float("-inf")
        self.failures: list[float] = []
        weights = (self.params.get(name) for name in ("weight", "rpm", "tpm"))
        self.weight = float(next((weight for weight in weights if weight is not None), 1))

    @property
    def id(self) -> str:
        """What tells it from all others."""
        return str(self.entry["model_info"]["id"])

    def __repr__(self) -> str:
        return f"Deployment({self.model_name!r}, model={self.params['model']!r})"


class Pool:
    """The deployments of a router, and its fallbacks.

    Args:
        model_list: litellm's list of entries.
        fallbacks: `[{"group": ["other", …]}, …]`; `"*"` stands for every group.
        context_window_fallbacks: The same, for prompts that are too long.
        content_policy_fallbacks: The same, for prompts that a filter refused.
        default_fallbacks: Groups to try whatever has failed.
        cooldown_time: Seconds that a deployment rests after a failure.
        allowed_fails: Failures within a minute that are forgiven, where the failure itself does
            not say that the deployment is the trouble.
        aliases: Other names of groups.
        rng: Returns numbers in [0, 1).
    """

    def __init__(
        self,
        model_list: Iterable[Mapping[str, Any]],
        *,
        fallbacks: Sequence[Any] | None = None,
        context_window_fallbacks: Sequence[Any] | None = None,
        content_policy_fallbacks: Sequence[Any] | None = None,
        default_fallbacks: Sequence[str] | None = None,
        cooldown_time: float | None = None,
        allowed_fails: int | None = None,
        aliases: Mapping[str, Any] | None = None,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self.deployments = [Deployment(entry) for entry in model_list]
        self.fallbacks = _by_group(fallbacks)
        if default_fallbacks:
            self.fallbacks.setdefault("*", list(default_fallbacks))
        self.context_window_fallbacks = _by_group(context_window_fallbacks)
        self.content_policy_fallbacks = _by_group(content_policy_fallbacks)
        self.cooldown_time = DEFAULT_COOLDOWN if cooldown_time is None else cooldown_time
        self.allowed_fails = 3 if allowed_fails is None else allowed_fails
        self.aliases = dict(aliases or {})
        self._rng = rng

    def group(self, name: str) -> list[Deployment]:
        """The deployments that answer to `name`: a group's name, its alias, or an id."""
        alias = self.aliases.get(name)
        if alias is not None:
            name = alias if isinstance(alias, str) else alias["model"]
        found = [each for each in self.deployments if each.model_name == name]
        return found or [each for each in self.deployments if each.id == name]

    def pick(self, name: str, now: float) -> Deployment | None:
        """A deployment of the group that is not resting; `None` if all are, or there is none."""
        awake = [each for each in self.group(name) if each.resting_until <= now]
        total = sum(each.weight for each in awake)
        if not total > 0:
            return awake[int(self._rng() * len(awake))] if awake else None
        point = self._rng() * total
        for each in awake:
            point -= each.weight
            if point < 0:
                return each
        return awake[-1]

    def wakes_in(self, name: str, now: float) -> float:
        """Seconds until a deployment of the group can be asked again."""
        return max(0.0, min((e.resting_until - now for e in self.group(name)), default=0.0))

    def note_failure(self, deployment: Deployment, status: int | None, now: float) -> None:
        """Let a deployment rest if it is the trouble, and is not the only one of its group."""
        if len(self.group(deployment.model_name)) < 2 or not self.cooldown_time:
            return
        if status is not None and 400 <= status < 500 and status not in _AT_ONCE:
            return  # the request's own fault
        deployment.failures = [at for at in deployment.failures if now - at < _WINDOW] + [now]
        if status in _AT_ONCE or len(deployment.failures) > self.allowed_fails:
            deployment.resting_until = now + self.cooldown_time
            deployment.failures.clear()

    def fallbacks_of(self, name: str) -> list[str]:
        """The groups to try after `name`, and after those in turn, each once."""
        return _all_after(name, self.fallbacks)

    def context_window_fallbacks_of(self, name: str) -> list[str]:
        """The groups to try with a prompt that is too long for `name`."""
        return _all_after(name, self.context_window_fallbacks)

    def content_policy_fallbacks_of(self, name: str) -> list[str]:
        """The groups to try with a prompt that a filter refused."""
        return _all_after(name, self.content_policy_fallbacks)


def _all_after(name: str, table: Mapping[str, list[str]]) -> list[str]:
    found: list[str] = []
    waiting = [name]
    while waiting and len(found) < _MOST_FALLBACKS:
        current = waiting.pop(0)
        for target in table.get(current, table.get("*", [])):
            if target != name and target not in found:
                found.append(target)
                waiting.append(target)
    return found[:_MOST_FALLBACKS]


def _by_group(fallbacks: Sequence[Any] | None) -> dict[str, list[str]]:
    table: dict[str, list[str]] = {}
    for entry in fallbacks or ():
        if isinstance(entry, str):
            table.setdefault("*", []).append(entry)
            continue
        for name, targets in entry.items():
            table[name] = [targets] if isinstance(targets, str) else list(targets)
    return table


def _as_dict(value: Any) -> dict[str, Any]:
    """A dict from a dict, or from one of litellm's pydantic models."""
    if hasattr(value, "model_dump"):
        dumped: dict[str, Any] = value.model_dump(exclude_none=True)
        return dumped
    return dict(value)


def _id_of(name: str, params: Mapping[str, Any]) -> str:
    text = json.dumps([name, params], sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()
