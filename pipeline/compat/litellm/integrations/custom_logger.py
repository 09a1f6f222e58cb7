"""`CustomLogger`: the base of callbacks. Each method does nothing; override those of interest."""

from __future__ import annotations

from typing import Any


class CustomLogger:
    """Told of each call; see `litellm.callbacks`.

    The first group is called by this module, for whole answers and for streams. The others belong to
    litellm's proxy, router and guardrails, and are here so that subclasses may call `super()`.
    """

    def __init__(
        self,
        turn_off_message_logging: bool = False,
        message_logging: bool = True,
        **kwargs: Any,
    ) -> None:
        self.message_logging = message_logging
        self.turn_off_message_logging = turn_off_message_logging
        self.optional_callback_params = kwargs

    def log_pre_api_call(self, model: Any, messages: Any, kwargs: Any) -> Any:
        """A call is about to be sent."""

    def log_post_api_call(
        self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
    ) -> Any:
        """The provider has answered something."""

    def log_stream_event(
        self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
    ) -> Any:
        """A chunk has come."""

    def log_success_event(
        self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
    ) -> Any:
        """The whole answer has come."""

    def log_failure_event(
        self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
    ) -> Any:
        """There will be no answer; `kwargs["exception"]` says why."""

    async def async_log_stream_event(
        self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
    ) -> Any:
        """See `log_stream_event`."""

    async def async_log_success_event(
        self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
    ) -> Any:
        """See `log_success_event`."""

    async def async_log_failure_event(
        self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
    ) -> Any:
        """See `log_failure_event`."""

    # ------------------------------------------------------------------------- called by nothing here

    async def async_log_pre_api_call(self, model: Any, messages: Any, kwargs: Any) -> Any:
        """Asynchronous calls tell `log_pre_api_call`, as in litellm."""

    async def async_pre_call_hook(
        self, user_api_key_dict: Any, cache: Any, data: dict[str, Any], call_type: Any
    ) -> Any:
        """The proxy's."""

    async def async_post_call_success_hook(
        self, data: dict[str, Any], user_api_key_dict: Any, response: Any
    ) -> Any:
        """The proxy's."""

    async def async_post_call_failure_hook(
        self,
        request_data: dict[str, Any],
        original_exception: Exception,
        user_api_key_dict: Any,
        traceback_str: str | None = None,
    ) -> Any:
        """The proxy's."""

    async def async_moderation_hook(
        self, data: dict[str, Any], user_api_key_dict: Any, call_type: Any
    ) -> Any:
        """The proxy's."""

    async def async_post_call_streaming_hook(self, user_api_key_dict: Any, response: str) -> Any:
        """The proxy's."""

    async def async_pre_call_deployment_hook(
        self, kwargs: dict[str, Any], call_type: Any
    ) -> dict[str, Any] | None:
        """The router's."""

    async def async_filter_deployments(
        self,
        model: str,
        healthy_deployments: list[Any],
        messages: list[Any] | None,
        request_kwargs: dict[str, Any] | None = None,
        parent_otel_span: Any = None,
    ) -> list[Any]:
        """The router's."""
        del model, messages, request_kwargs, parent_otel_span
        return healthy_deployments

    def log_input_event(
        self, model: Any, messages: Any, kwargs: Any, print_verbose: Any, callback_func: Any
    ) -> None:
        """litellm's own, around a function."""

    async def async_log_input_event(
        self, model: Any, messages: Any, kwargs: Any, print_verbose: Any, callback_func: Any
    ) -> None:
        """litellm's own, around a function."""

    def log_event(
        self,
        kwargs: Any,
        response_obj: Any,
        start_time: Any,
        end_time: Any,
        print_verbose: Any,
        callback_func: Any,
    ) -> None:
        """litellm's own, around a function."""

    async def async_log_event(
        self,
        kwargs: Any,
        response_obj: Any,
        start_time: Any,
        end_time: Any,
        print_verbose: Any,
        callback_func: Any,
    ) -> None:
        """litellm's own, around a function."""

    async def log_success_fallback_event(
        self, original_model_group: str, kwargs: dict[str, Any], original_exception: Exception
    ) -> None:
        """The router has fallen back, and another group answered."""

    async def log_failure_fallback_event(
        self, original_model_group: str, kwargs: dict[str, Any], original_exception: Exception
    ) -> None:
        """The router has fallen back, and that failed too."""
