"""What litellm's exceptions have in common: attributes, texts, and three orders of arguments."""

from __future__ import annotations

from typing import Any

from httpx2 import Request, Response

from scallion.exceptions import bare


def _request_of() -> Request:
    return Request("POST", "https://api.openai.com/v1")


def _response_of(given: Any, status: int, headers: dict[str, str] | None = None) -> Any:
    """A response for the SDK's constructor: the one that was given, if it can be used."""
    if given is not None and getattr(given, "headers", None) is not None:
        try:
            given.request  # noqa: B018 - the SDK reads it, and a response without one raises
        except RuntimeError:
            given.request = _request_of()
        return given
    return Response(status_code=status, request=_request_of(), headers=headers)


class _Failure:
    """The attributes of all, and a text that says how often was tried."""

    _name: str
    """The class's name in its texts: its own one, also for subclasses that users make."""
    _status: int
    message: str
    num_retries: int | None = None
    max_retries: int | None = None

    def _text(self, message: Any) -> str:
        return f"litellm.{self._name}: {message}"

    def _label(
        self,
        message: str,
        model: Any,
        llm_provider: Any,
        litellm_debug_info: str | None,
        max_retries: int | None,
        num_retries: int | None,
        *,
        status_code: int | None = None,
    ) -> None:
        self.status_code = self._status if status_code is None else status_code
        self.message = message
        self.model = model
        self.llm_provider = llm_provider
        self.litellm_debug_info = litellm_debug_info
        self.max_retries = max_retries
        self.num_retries = num_retries

    def _answer(
        self, message: str, labels: tuple[Any, ...], response: Any, body: object = None
    ) -> None:
        """Construct one that has a response."""
        answered = _response_of(response, self._status)
        super().__init__(message, response=answered, body=body)  # type: ignore[call-arg]
        self._label(message, *labels)

    def __str__(self) -> str:
        text = str(self.message)
        if self.num_retries:
            text += f" LiteLLM Retried: {self.num_retries} times"
        if self.max_retries:
            text += f", LiteLLM Max Retries: {self.max_retries}"
        return text

    def __repr__(self) -> str:
        return str(self)

    def __reduce__(self) -> Any:
        # The constructors have required arguments, so the common way of copying fails.
        return bare, (type(self), self.args), _picklable(self.__dict__)  # type: ignore[attr-defined]


def _picklable(attributes: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value for name, value in attributes.items() if name not in ("request", "response")
    }


class _ProviderFirst(_Failure):
    """Whose constructor takes the provider, then the model."""

    def __init__(
        self,
        message: Any,
        llm_provider: Any,
        model: Any,
        response: Any = None,
        litellm_debug_info: str | None = None,
        max_retries: int | None = None,
        num_retries: int | None = None,
    ) -> None:
        labels = (model, llm_provider, litellm_debug_info, max_retries, num_retries)
        self._answer(self._text(message), labels, response)


class _ModelFirst(_Failure):
    """Whose constructor takes the model, then the provider."""

    def __init__(
        self,
        message: Any,
        model: Any,
        llm_provider: Any,
        response: Any = None,
        litellm_debug_info: str | None = None,
        max_retries: int | None = None,
        num_retries: int | None = None,
    ) -> None:
        labels = (model, llm_provider, litellm_debug_info, max_retries, num_retries)
        self._answer(self._text(message), labels, response)


class _StatusFirst(_Failure):
    """Whose constructor takes a status before everything else."""

    def __init__(
        self,
        status_code: int,
        message: Any,
        llm_provider: Any,
        model: Any,
        request: Any = None,
        litellm_debug_info: str | None = None,
        max_retries: int | None = None,
        num_retries: int | None = None,
        body: object | None = None,
    ) -> None:
        text = self._text(message)
        super().__init__(text, request=request or _request_of(), body=body)  # type: ignore[call-arg]
        labels = (model, llm_provider, litellm_debug_info, max_retries, num_retries)
        self._label(text, *labels, status_code=status_code)
