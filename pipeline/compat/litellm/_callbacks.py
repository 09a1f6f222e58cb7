"""Who is told of a call: `litellm.callbacks`, and the lists for input, success and failure.

A callback is a `CustomLogger`, or a function: of `kwargs`, the answer, and two times. An
asynchronous call tells a logger by its `async_` methods, and a synchronous one by the others. What
a callback raises is logged and goes no further.
"""

from __future__ import annotations

import inspect
import traceback
import uuid
from typing import TYPE_CHECKING, Any

from scallion._sync import _background

from .._hooks import now
from ._logging import verbose_logger
from ._state import setting, unsupported

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from datetime import datetime

# Arguments of the call that callbacks read from `kwargs["litellm_params"]`.
_TOLD = (
    "proxy_server_request", "preset_cache_key", "no-log", "litellm_trace_id",
    "litellm_session_id", "base_model", "drop_params", "max_retries", "timeout",
    "input_cost_per_token", "output_cost_per_token",
)  # fmt: skip
_EMPTY = (
    "cache_key", "cost_breakdown", "requester_ip_address", "user_agent", "model_map_information",
    "response_cost_failure_debug_info", "guardrail_information", "standard_built_in_tools_params",
)  # fmt: skip


class Call:
    """One call, and what its callbacks get to know of it.

    Attributes:
        details: litellm's `kwargs` of a callback.
    """

    def __init__(
        self,
        *,
        model: str,
        messages: Any,
        provider: str,
        kwargs: dict[str, Any],
        optional_params: dict[str, Any],
        api_base: str | None,
        is_async: bool,
    ) -> None:
        self.is_async = is_async
        self.started = now()
        self.id = kwargs.get("litellm_call_id") or str(uuid.uuid4())
        stream = bool(kwargs.get("stream"))
        self.details: dict[str, Any] = {
            "litellm_call_id": self.id,
            "litellm_trace_id": kwargs.get("litellm_trace_id") or str(uuid.uuid4()),
            "model": model,
            "messages": messages,
            "input": messages,
            "optional_params": optional_params,
            "litellm_params": {
                "metadata": kwargs.get("metadata") or {},
                "litellm_metadata": kwargs.get("litellm_metadata"),
                "api_base": api_base,
                "custom_llm_provider": provider,
                "litellm_call_id": self.id,
                "acompletion": is_async,
                "model_info": kwargs.get("model_info"),
                **{name: kwargs.get(name) for name in _TOLD},
            },
            "stream": stream,
            "user": optional_params.get("user"),
            "call_type": "acompletion" if is_async else "completion",
            "custom_llm_provider": provider,
            "start_time": self.started,
            "api_call_start_time": self.started,
            "first_api_call_start_time": self.started,
            "completion_start_time": None,
            "standard_callback_dynamic_params": {},
            "additional_args": {"complete_input_dict": {"model": model, **optional_params}},
            "cache_hit": None,
            "response_cost": None,
            **optional_params,
        }
        self.details["messages"] = messages
        self._of_sending = _loggers("input_callback")
        self._of_chunks = _loggers("success_callback", "_async_success_callback")

    async def begin(self) -> None:
        """It is about to be sent."""
        self.details["log_event_type"] = "pre_api_call"
        asked = {
            "model": self.details["model"],
            "messages": self.details["messages"],
            "kwargs": self.details,
        }
        for callback in _everyone("input_callback", "_async_input_callback"):
            if _is_logger(callback):
                await self._tell(callback, "log_pre_api_call", **asked)
            else:
                await self._run(callback, self.details)

    async def sent(self) -> None:
        """The provider has answered something."""
        self.details["log_event_type"] = "post_api_call"
        for callback in self._of_sending:
            await self._tell(
                callback,
                "log_post_api_call",
                kwargs=self.details,
                response_obj=None,
                start_time=self.started,
                end_time=None,
            )

    async def streamed(self, chunk: Any) -> None:
        """A chunk has come."""
        for callback in self._of_chunks:
            await self._event(callback, "log_stream_event", chunk, now())

    async def succeeded(self, response: Any, cost: float | None) -> None:
        """The whole answer is there."""
        ended = now()
        self._ended(ended, "successful_api_call")
        self.details["response_cost"] = cost
        self.details["completion_start_time"] = ended
        if self.details["stream"]:
            self.details["complete_streaming_response"] = response
            self.details["async_complete_streaming_response"] = response
        self.details["standard_logging_object"] = self._summary(response, ended, "success")
        for callback in _everyone("success_callback", "_async_success_callback"):
            if _is_logger(callback):
                await self._event(callback, "log_success_event", response, ended)
            else:
                await self._run(callback, self.details, response, self.started, ended)

    async def failed(self, error: BaseException) -> None:
        """There will be no answer."""
        ended = now()
        self._ended(ended, "failed_api_call")
        self.details["exception"] = error
        self.details["response_cost"] = 0
        self.details["traceback_exception"] = "".join(traceback.format_exception(error))
        self.details["standard_logging_object"] = self._summary(None, ended, "failure", error)
        for callback in _everyone("failure_callback", "_async_failure_callback"):
            if _is_logger(callback):
                await self._event(callback, "log_failure_event", None, ended)
            else:
                await self._run(callback, self.details, None, self.started, ended)

    def _ended(self, ended: datetime, kind: str) -> None:
        self.details["end_time"] = ended
        self.details["log_event_type"] = kind
        self.details["llm_api_duration_ms"] = (ended - self.started).total_seconds() * 1000

    def _summary(
        self, response: Any, ended: datetime, status: str, error: BaseException | None = None
    ) -> dict[str, Any]:
        usage = getattr(response, "usage", None)
        details = self.details
        return {
            "id": getattr(response, "id", None) or self.id,
            "litellm_call_id": self.id,
            "trace_id": details["litellm_trace_id"],
            "call_type": details["call_type"],
            "cache_hit": False,
            "stream": details["stream"] or None,
            "status": status,
            "custom_llm_provider": details["custom_llm_provider"],
            "startTime": self.started.timestamp(),
            "endTime": ended.timestamp(),
            "completionStartTime": ended.timestamp(),
            "response_time": (ended - self.started).total_seconds(),
            "model": details["model"],
            "metadata": dict(details["litellm_params"]["metadata"]),
            "response_cost": details["response_cost"] or 0.0,
            "prompt_tokens": getattr(usage, "prompt_tokens", 0),
            "completion_tokens": getattr(usage, "completion_tokens", 0),
            "total_tokens": getattr(usage, "total_tokens", 0),
            "api_base": details["litellm_params"]["api_base"] or "",
            "messages": details["messages"],
            "response": response.model_dump() if hasattr(response, "model_dump") else {},
            "model_parameters": details["optional_params"],
            "hidden_params": dict(getattr(response, "_hidden_params", None) or {}),
            "error_str": None if error is None else str(error),
            "error_information": {
                "error_code": str(getattr(error, "status_code", "") or ""),
                "error_class": "" if error is None else type(error).__name__,
                "llm_provider": "" if error is None else details["custom_llm_provider"],
                "traceback": details.get("traceback_exception", ""),
                "error_message": "" if error is None else str(error),
            },
            "end_user": details["user"],
            "model_group": details["litellm_params"]["metadata"].get("model_group", ""),
            "model_id": (details["litellm_params"]["model_info"] or {}).get("id", ""),
            "request_tags": list(details["litellm_params"]["metadata"].get("tags") or ()),
            # What is litellm's proxy's, or its cache's, is there and empty.
            "session_id": "",
            "saved_cache_cost": 0.0,
            **dict.fromkeys(_EMPTY),
        }

    async def _event(self, callback: Any, name: str, response: Any, ended: datetime) -> None:
        event = {
            "kwargs": self.details,
            "response_obj": response,
            "start_time": self.started,
            "end_time": ended,
        }
        await self._tell(callback, f"async_{name}" if self.is_async else name, **event)

    async def _tell(self, callback: Any, name: str, **arguments: Any) -> None:
        method = getattr(callback, name, None)
        if method is not None:
            await self._run(method, **arguments)

    async def _run(self, method: Any, *args: Any, **kwargs: Any) -> None:
        try:
            told = method(*args, **kwargs)
            if inspect.isawaitable(told):
                if self.is_async:
                    await told
                else:  # nobody in the caller's thread could wait for it
                    _background.run(_awaited(told))
        except Exception:
            verbose_logger.exception("a callback failed")


async def _awaited(told: Any) -> None:
    await told


def at_once(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run what never really waits: the callbacks of a synchronous call, in its own thread."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    raise RuntimeError("a callback of a synchronous call waited")


def _everyone(*lists: str) -> list[Any]:
    """The callbacks of these lists and of `litellm.callbacks`, each once."""
    found: list[Any] = []
    for name in ("callbacks", *lists):
        for callback in setting(name) or ():
            if isinstance(callback, str):
                raise unsupported(
                    f"callback {callback!r}",
                    "register a CustomLogger or a function, or use scallion's log() and audit()",
                )
            if not any(callback is each for each in found):
                found.append(callback)
    return found


def _loggers(*lists: str) -> list[Any]:
    return [callback for callback in _everyone(*lists) if _is_logger(callback)]


def _is_logger(callback: Any) -> bool:
    if inspect.isclass(callback):
        return False
    named = ("log_success_event", "async_log_success_event", "log_pre_api_call")
    return any(hasattr(callback, name) for name in named)
