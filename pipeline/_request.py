"""What goes in: the immutable Request, and the Context that all its copies share."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct, field

from ._clock import Clock
from ._secrets import HOLDERS, hide_params
from .exceptions import InvalidRequestError
from .types import Message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from ._limits import _Limit
    from ._outcome import Outcome
    from ._pipeline import Handler
    from .types import ModelResponse, Usage

    AttemptWatcher = Callable[["Attempt | None"], object]
    """Called when an attempt has ended; with `None` if it was refused by somebody else."""

    AttemptGuard = Callable[["Request"], Awaitable[AttemptWatcher | None]]


class Attempt(Struct, kw_only=True, eq=False, repr_omit_defaults=True):
    """One call of a provider. The core appends one to `context.attempts` each time.

    Attributes:
        status: `pending`, then as `Outcome.status`.
        usage: What the provider reported, or `None` if it did not come to that.
        exact: Whether `usage` is the provider's own and final count.
        started_at: Seconds since the epoch.
        began: The same moment in `clock.now()` seconds.
        latency: Seconds until the answer or the stream had ended.
        first_token_after: Seconds until the first content of a stream.
        response: The answer, also where it is only a part of one.
        waited_after: Seconds that `retry()` waited after this attempt, before it tried again.
    """

    model: str
    provider: str
    stream: bool = False
    status: str = "pending"
    usage: Usage | None = None
    exact: bool = False
    error: BaseException | None = None
    request_id: str | None = None
    started_at: float = 0.0
    began: float = 0.0
    latency: float | None = None
    first_token_after: float | None = None
    response: ModelResponse | None = None
    waited_after: float | None = None
    watchers: tuple[AttemptWatcher, ...] = ()

    def end(self, outcome: Outcome, now: float, first_content_at: float | None = None) -> None:
        """Note how it went. The core calls this, before the layers hear of it."""
        answer = outcome.response
        self.status = outcome.status
        self.error = outcome.error
        self.latency = now - self.began
        self.response = answer
        if first_content_at is not None:
            self.first_token_after = first_content_at - self.began
        if answer is not None:
            self.provider = answer.provider or self.provider
            self.usage = answer.usage
            self.request_id = answer.request_id
            self.exact = outcome.status == "completed" and answer.usage is not None
        self._tell_watchers(self)

    def fail(self, error: BaseException, now: float) -> None:
        """Note that no answer came. The core calls this."""
        self.status = "failed" if isinstance(error, Exception) else "cancelled"
        self.error = error
        self.latency = now - self.began
        self.provider = getattr(error, "provider", None) or self.provider
        self.request_id = getattr(error, "request_id", None)
        self.response = getattr(error, "partial", None)
        if self.response is not None:
            self.usage = self.response.usage
        self._tell_watchers(self)

    def void(self) -> None:
        """Note that this was no call of a provider after all, but a way to one that is recorded."""
        self._tell_watchers(None)

    def _tell_watchers(self, attempt: Attempt | None) -> None:
        watchers, self.watchers = self.watchers, ()
        problems: list[Exception] = []
        for watch in watchers:
            try:
                watch(attempt)
            except Exception as problem:  # noqa: BLE001 - the others must still be told
                problems.append(problem)
        raise_problems(problems)


class Context:
    """What belongs to one call of the pipeline, shared by all copies of its request.

    Attributes:
        metadata: The caller's own labels. Logged and audited, never sent to a provider.
        tenant: On whose behalf the call is made; budgets and caches keep tenants apart.
        deadline: The moment, in `clock.now()` seconds, at which the call must be over.
        state: A place for middlewares to keep what belongs to this call.
        attempts: Every call of a provider so far, in order.
        clock: The pipeline's clock.
        started: When the call began, in `clock.now()` seconds.
        expired: The limit of time that has run out, while what it ended is still unwinding.
    """

    __slots__ = (
        "_id", "attempts", "clock", "deadline", "expired", "metadata", "started", "state", "tenant",
    )  # fmt: skip

    def __init__(
        self,
        *,
        id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        tenant: str | None = None,
        deadline: float | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._id = id
        self.metadata: dict[str, Any] = dict(metadata) if metadata else {}
        self.tenant = tenant
        self.deadline = deadline
        self.state: dict[Any, Any] = {}
        self.attempts: list[Attempt] = []
        self.clock = clock or Clock()
        self.started = self.clock.now()
        self.expired: _Limit | None = None

    @property
    def id(self) -> str:
        """A unique id of this call, made when it is first asked for."""
        if self._id is None:
            self._id = os.urandom(16).hex()
        return self._id

    def __repr__(self) -> str:
        return f"Context(id={self.id!r}, tenant={self.tenant!r}, attempts={len(self.attempts)})"


class Request(Struct, frozen=True, eq=False):
    """One call, as the layers see it. Immutable: derive with `replace`.

    Attributes:
        model: The model's name, or `None` if a layer further in decides (`fallback([...])`).
        messages: OpenAI-style dicts. Pass a string, dicts or `Message`s; they become this.
        params: OpenAI's chat parameters, with `extra_body` and `extra_headers`. Not to be changed
            in place: other copies of the request share it.
        stream: Whether the caller iterates over chunks. Layers need not look at it.
        context: Shared by all copies.
        provider: The handler that will be asked at the innermost. The pipeline puts its own here,
            unless the request brings one.
        guards: Whoever is asked before each attempt; see `guard_attempts`.
    """

    model: str | None
    messages: Messages
    params: dict[str, Any] = field(default_factory=dict)
    stream: bool = False
    context: Context = field(default_factory=Context)
    provider: Handler | None = None
    guards: tuple[tuple[object, AttemptGuard], ...] = ()

    if TYPE_CHECKING:  # what goes in is wider than what comes out

        def __init__(
            self,
            model: str | None,
            messages: str | Iterable[Mapping[str, Any] | Message],
            params: dict[str, Any] = ...,
            stream: bool = False,  # noqa: FBT001, FBT002
            context: Context = ...,
            provider: Handler | None = None,
            guards: tuple[tuple[object, AttemptGuard], ...] = (),
        ) -> None: ...

    def __post_init__(self) -> None:
        if type(self.messages) is not Messages:
            msgspec.structs.force_setattr(self, "messages", as_messages(self.messages))
        if not HOLDERS.isdisjoint(self.params):
            params = dict(self.params)
            hide_params(params)
            msgspec.structs.force_setattr(self, "params", params)

    def __repr__(self) -> str:
        # Texts are shown where they are asked for, and not by every traceback.
        return (
            f"Request(model={self.model!r}, messages=<{len(self.messages)}>, "
            f"params={self.params!r}, stream={self.stream!r}, context={self.context!r})"
        )

    def replace(self, **changes: Any) -> Request:
        """A copy with other values; the context stays the same object.

        Raises:
            TypeError: `Request` has no such field.
        """
        return msgspec.structs.replace(self, **changes)

    def guard_attempts(self, key: object, guard: AttemptGuard) -> Request:
        """A copy for whose attempts, and no others, `guard` is asked: once per `key`.

        `guard` is awaited before each call of a provider, with the request as it would be sent, and
        may raise to refuse it. What it returns is called with the `Attempt` when that has ended,
        whichever way. So a budget or a ledger sees every attempt further in.
        """
        if any(known is key for known, _ in self.guards):
            return self
        return self.replace(guards=(*self.guards, (key, guard)))

    async def admit(self) -> tuple[AttemptWatcher, ...]:
        """Ask all guards. The core calls this before each attempt."""
        watchers: list[AttemptWatcher] = []
        try:
            for _, guard in self.guards:
                watcher = await guard(self)
                if watcher is not None:
                    watchers.append(watcher)
        except BaseException:
            for watcher in watchers:
                watcher(None)
            raise
        return tuple(watchers)


class Messages(tuple[dict[str, Any], ...]):
    """A conversation that has been checked: dicts with a role, in a tuple."""

    __slots__ = ()


def as_messages(messages: str | Iterable[Mapping[str, Any] | Message]) -> Messages:
    """Check and normalise what a caller may pass as `messages`.

    Raises:
        InvalidRequestError: nothing in it, or an entry that is not a message.
    """
    if isinstance(messages, str):
        return Messages(({"role": "user", "content": messages},))
    if isinstance(messages, (bytes, dict, Message)) or not hasattr(messages, "__iter__"):
        raise InvalidRequestError(
            f"messages must be a string or a list of messages, not {_a(messages)}"
        )
    checked = Messages(
        [
            # The common case first, and without a call: a history has hundreds of these.
            message
            if type(message) is dict and type(message.get("role")) is str
            else _as_dict(message, position)
            for position, message in enumerate(messages)
        ]
    )
    if not checked:
        raise InvalidRequestError("messages is empty: pass at least one message")
    return checked


def _as_dict(message: object, position: int) -> dict[str, Any]:
    if isinstance(message, Message):
        return message.to_dict()
    if hasattr(message, "model_dump"):  # the SDKs' own message objects
        message = message.model_dump(exclude_none=True)
    if not isinstance(message, Mapping):
        raise InvalidRequestError(
            f"messages[{position}] must be a dict or a Message, not {_a(message)}"
        )
    if not isinstance(message.get("role"), str):
        raise InvalidRequestError(
            f"messages[{position}] has no role: write {{'role': 'user', 'content': …}}"
        )
    return dict(message)


NOT_GIVEN = frozenset({"NotGiven", "Omit"})
"""The types by which the SDKs mark what is not given; by name, because neither is imported here."""


def plain_name(model: str | None) -> str | None:
    """A model's name without a prefix that says no more than the name: `openai/gpt-4o` is `gpt-4o`."""
    prefix, _, rest = (model or "").partition("/")
    says_anthropic = rest.startswith("claude-")
    plain = rest and "/" not in rest
    if plain and prefix == ("anthropic" if says_anthropic else "openai"):
        return rest
    return model


def raise_problems(problems: list[Exception]) -> None:
    """Raise what several callbacks have raised, if they have."""
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise ExceptionGroup("several layers failed when the call had ended", problems)


def _a(value: object) -> str:
    return "None" if value is None else type(value).__name__
