"""Log every call: one event when it starts, and one when it has ended."""

from __future__ import annotations

import inspect
import logging
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from scallion._layer import layer
from scallion.types import text_of

from ._observe import observe

if TYPE_CHECKING:
    from collections.abc import Callable

    from scallion._outcome import Outcome
    from scallion._pipeline import Handler, Middleware
    from scallion._request import Request
    from scallion._response import Response


@layer
def log(
    logger: Any = None,
    *,
    prompts: bool = False,
    level: str = "info",
    max_length: int = 2_000,
    redact: Callable[[str], str] | None = None,
) -> Middleware:
    """Log calls with structlog or the standard library.

    `call started` is logged at debug level, `call settled` at `level`: at warning if it was retried,
    failed over, cut short or cancelled, at error if it failed. The fields are those that are known
    of `id`, `model`, `answered_by`, `provider`, `status`, `latency`, `first_token_after`,
    `prompt_tokens`, `completion_tokens`, `cost` (if a `cost()` stands further in), `cached`,
    `attempts`, `error`, `tenant` and `metadata`. Times are in seconds.

    Nothing is configured globally: the events go where your structlog or logging sends them, with
    the context variables that you have bound.

    Args:
        logger: A structlog logger or a `logging.Logger`. By default structlog's `scallion`.
        prompts: Also log the last message and the answer, as `prompt` and `answer`.
        level: The level of calls without incident.
        max_length: Characters of a text to log at most.
        redact: Applied to each text before it is logged.

    Raises:
        ValueError: there is no such level.
        TypeError: `logger` is none.
    """
    level = {"warn": "warning"}.get(level.lower(), level.lower())
    if level not in ("debug", "info", "warning", "error", "critical"):
        known = "debug, info, warning, error and critical"
        raise ValueError(f"unknown level {level!r}: there are {known}")
    emit = _emitter(logger)

    def shown(text: str) -> str:
        text = redact(text) if redact is not None else text
        return text if len(text) <= max_length else f"{text[:max_length]}…"

    async def middleware(request: Request, call_next: Handler) -> Response:
        callers = copy_context()

        def starting() -> dict[str, Any]:
            text = text_of(request.messages[-1].get("content")) if prompts else None
            return _asked(request) | ({} if text is None else {"prompt": shown(text)})

        def settled(outcome: Outcome) -> None:
            def ended() -> dict[str, Any]:
                fields = {**_asked(request), **_ended(outcome)}
                if prompts and outcome.response is not None:
                    fields["answer"] = shown(outcome.response.text)
                return fields

            loudness = level_of(outcome, level)
            if outcome.status == "abandoned":  # found by the garbage collector, in any context
                callers.run(_carefully, emit, loudness, "call settled", ended)
            else:
                _carefully(emit, loudness, "call settled", ended)

        _carefully(emit, "debug", "call started", starting)
        return await observe(request, call_next, settled)

    return middleware


def _carefully(
    emit: Callable[[str, str, dict[str, Any]], object],
    level: str,
    event: str,
    make: Callable[[], dict[str, Any]],
) -> None:
    """Log, and never let a call fail because its event cannot be logged."""
    try:
        emit(level, event, make())
    except Exception as error:  # noqa: BLE001 - a processor or redactor of one's own
        logging.getLogger("scallion").warning(
            "log(): %r was lost (%s)", event, type(error).__name__
        )


def level_of(outcome: Outcome, normal: str) -> str:
    """How loud the end of a call is."""
    if outcome.status == "failed":
        return "error"
    if outcome.status != "completed" or len(outcome.attempts) > 1:
        return "warning"
    return normal


def _asked(request: Request) -> dict[str, Any]:
    context = request.context
    known = {"id": context.id, "model": request.model, "tenant": context.tenant}
    fields: dict[str, Any] = {name: value for name, value in known.items() if value is not None}
    if context.metadata:
        fields["metadata"] = dict(context.metadata)
    return fields


def _ended(outcome: Outcome) -> dict[str, Any]:
    first = outcome.first_token_after
    fields: dict[str, Any] = {
        "status": outcome.status,
        "latency": round(outcome.duration, 6),
        "attempts": len(outcome.attempts),
        "first_token_after": None if first is None else round(first, 6),
    }
    answer = outcome.response
    if answer is not None:
        fields |= {"answered_by": answer.model, "provider": answer.provider}
        if answer.cached:
            fields["cached"] = True
        if answer.cost is not None:
            fields["cost"] = str(answer.cost.total)
    if outcome.usage is not None:
        fields["prompt_tokens"] = outcome.usage.prompt_tokens
        fields["completion_tokens"] = outcome.usage.completion_tokens
    if outcome.error is not None:
        # The type alone: a provider's wording may quote the prompt, or a key.
        fields["error"] = type(outcome.error).__name__
        fields["provider"] = getattr(outcome.error, "provider", None) or fields.get("provider")
    return {name: value for name, value in fields.items() if value is not None}


def _emitter(logger: Any) -> Callable[[str, str, dict[str, Any]], object]:
    if logger is not None and not callable(getattr(logger, "info", None)):
        raise TypeError(f"logger must be a logger of structlog or logging, not {logger!r}")
    if isinstance(logger, (logging.Logger, logging.LoggerAdapter)):

        def emit_standard(level: str, event: str, fields: dict[str, Any]) -> None:
            number = logging.getLevelName(level.upper())
            if logger.isEnabledFor(number):
                pairs = " ".join(f"{name}={value!r}" for name, value in fields.items())
                logger.log(number, "%s %s", event, pairs, extra={"scallion": fields})

        return emit_standard

    def emit_structured(level: str, event: str, fields: dict[str, Any]) -> None:
        import structlog

        target = structlog.get_logger("scallion") if logger is None else logger
        logged = getattr(target, level)(event, **fields)
        if inspect.iscoroutine(logged):  # structlog's AsyncBoundLogger, and nobody can wait here
            logged.close()
            getattr(target.bind().sync_bl, level)(event, **fields)

    return emit_structured
