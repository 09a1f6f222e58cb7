"""`litellm.logging_callback_manager`: adds to the lists of callbacks, and takes out of them."""

from __future__ import annotations

from typing import Any

from .._state import setting

_LISTS = (
    "callbacks",
    "input_callback",
    "success_callback",
    "failure_callback",
    "_async_success_callback",
    "_async_failure_callback",
    "_async_input_callback",
    "service_callback",
)


class LoggingCallbackManager:
    """Keeps each callback once in each list."""

    MAX_CALLBACKS = 1_000_000

    def add_litellm_input_callback(self, callback: Any) -> None:
        """Tell `callback` before calls."""
        self._safe_add_callback_to_list(callback, setting("input_callback"))

    def add_litellm_service_callback(self, callback: Any) -> None:
        """Add to the list of the proxy's services, of which there are none here."""
        self._safe_add_callback_to_list(callback, setting("service_callback"))

    def add_litellm_callback(self, callback: Any) -> None:
        """Tell `callback` of everything."""
        self._safe_add_callback_to_list(callback, setting("callbacks"))

    def add_litellm_success_callback(self, callback: Any) -> None:
        """Tell `callback` of answers."""
        self._safe_add_callback_to_list(callback, setting("success_callback"))

    def add_litellm_failure_callback(self, callback: Any) -> None:
        """Tell `callback` of failures."""
        self._safe_add_callback_to_list(callback, setting("failure_callback"))

    def add_litellm_async_success_callback(self, callback: Any) -> None:
        """Tell an asynchronous `callback` of answers."""
        self._safe_add_callback_to_list(callback, setting("_async_success_callback"))

    def add_litellm_async_failure_callback(self, callback: Any) -> None:
        """Tell an asynchronous `callback` of failures."""
        self._safe_add_callback_to_list(callback, setting("_async_failure_callback"))

    def remove_callback_from_list_by_object(
        self,
        callback_list: list[Any],
        obj: Any,
        require_self: bool = True,
    ) -> None:
        """Take `obj`, or its methods, out of a list."""
        for callback in list(callback_list):
            owner = getattr(callback, "__self__", None)
            if owner is obj or (not require_self and callback is obj):
                callback_list.remove(callback)

    def remove_callback_from_all_lists(
        self,
        obj: Any,
        require_self: bool = False,
    ) -> None:
        """Take `obj` out of every list."""
        for name in _LISTS:
            self.remove_callback_from_list_by_object(setting(name), obj, require_self)

    def remove_callbacks_by_type(self, callback_list: list[Any], callback_type: Any) -> None:
        """Take all callbacks of a type out of a list."""
        callback_list[:] = [each for each in callback_list if not isinstance(each, callback_type)]

    def get_custom_loggers_for_type(self, callback_type: type) -> list[Any]:
        """The callbacks of a type."""
        return [each for each in self.get_all_callbacks() if isinstance(each, callback_type)]

    def callback_is_active(self, callback_type: type) -> bool:
        """Whether there is a callback of a type."""
        return bool(self.get_custom_loggers_for_type(callback_type))

    def get_all_callbacks(self) -> list[Any]:
        """All callbacks, each once."""
        found: list[Any] = []
        for name in _LISTS:
            found += [each for each in setting(name) if not any(each is known for known in found)]
        return found

    def _get_all_callbacks(self) -> list[Any]:
        return self.get_all_callbacks()

    def _reset_all_callbacks(self) -> None:
        for name in _LISTS:
            setting(name).clear()

    def _safe_add_callback_to_list(self, callback: Any, parent_list: list[Any]) -> None:
        if not any(callback is each or callback == each for each in parent_list):
            parent_list.append(callback)
