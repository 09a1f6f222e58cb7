"""litellm's exceptions: subclasses of the OpenAI SDK's, with its constructors and its texts."""

from __future__ import annotations

import enum
from typing import Any

import openai
from httpx2 import Request, Response


class RateLimitErrorCategory(str, enum.Enum):
    """Whose limit it was."""

    VENDOR_RATE_LIMIT = "vendor_rate_limit"
    LITELLM_RATE_LIMIT = "litellm_rate_limit"


class RateLimitType(str, enum.Enum):
    """What was limited."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    BUDGET = "budget"


def _request() -> Request:
    return Request("POST", "https://api.openai.com/v1")


def _response(given: Any, status: int, headers: dict[str, str] | None = None) -> Any:
    """A response for the SDK's constructor: the one that was given, if it can be used."""
    if given is not None and getattr(given, "headers", None) is not None:
        try:
            given.request  # noqa: B018 - the SDK reads it, and a response without one raises
        except RuntimeError:
            given.request = _request()
        return given
    return Response(status_code=status, request=_request(), headers=headers)


class _Retried:
    """The text of an error that says how often was tried."""

    message: str
    num_retries: int | None
    max_retries: int | None

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
        return _rebuilt, (type(self), self.args, _picklable(self.__dict__))  # type: ignore[attr-defined]


def _picklable(attributes: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value for name, value in attributes.items() if name not in ("request", "response")
    }


def _rebuilt(cls: type[Exception], args: tuple[Any, ...], attributes: dict[str, Any]) -> Exception:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error


class _Labels:
    """The attributes that all of them have."""

    def _label(
        self,
        *,
        status_code: int,
        message: str,
        model: Any,
        llm_provider: Any,
        litellm_debug_info: str | None,
        max_retries: int | None,
        num_retries: int | None,
    ) -> None:
        self.status_code = status_code
        self.message = message
        self.llm_provider = llm_provider
        self.model = model
        self.litellm_debug_info = litellm_debug_info
        self.max_retries = max_retries
        self.num_retries = num_retries


class AuthenticationError(_Retried, _Labels, openai.AuthenticationError):  # type: ignore[misc]
    """401."""

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
        text = f"litellm.AuthenticationError: {message}"
        openai.AuthenticationError.__init__(
            self, text, response=_response(response, 401), body=None
        )
        self._label(
            status_code=401,
            message=text,
            model=model,
            llm_provider=llm_provider,
            litellm_debug_info=litellm_debug_info,
            max_retries=max_retries,
            num_retries=num_retries,
        )


class NotFoundError(_Retried, _Labels, openai.NotFoundError):  # type: ignore[misc]
    """404."""

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
        text = f"litellm.NotFoundError: {message}"
        openai.NotFoundError.__init__(self, text, response=_response(response, 404), body=None)
        self._label(
            status_code=404,
            message=text,
            model=model,
            llm_provider=llm_provider,
            litellm_debug_info=litellm_debug_info,
            max_retries=max_retries,
            num_retries=num_retries,
        )


class BadRequestError(_Retried, _Labels, openai.BadRequestError):  # type: ignore[misc]
    """400."""

    def __init__(
        self,
        message: Any,
        model: Any,
        llm_provider: Any,
        response: Any = None,
        litellm_debug_info: str | None = None,
        max_retries: int | None = None,
        num_retries: int | None = None,
        body: dict[str, Any] | None = None,
    ) -> None:
        text = f"litellm.BadRequestError: {message}"
        answered = _response(response, 400)
        openai.BadRequestError.__init__(self, text, response=answered, body=body)
        self._label(
            status_code=getattr(response, "status_code", None) or 400,
            message=text,
            model=model,
            llm_provider=llm_provider,
            litellm_debug_info=litellm_debug_info,
            max_retries=max_retries,
            num_retries=num_retries,
        )


class ImageFetchError(BadRequestError):
    """An image could not be fetched."""

    def __init__(
        self,
        message: Any,
        model: Any = None,
        llm_provider: Any = None,
        response: Any = None,
        litellm_debug_info: str | None = None,
        max_retries: int | None = None,
        num_retries: int | None = None,
        body: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            message,
            model,
            llm_provider,
            response,
            litellm_debug_info,
            max_retries,
            num_retries,
            body,
        )


class UnprocessableEntityError(_Retried, _Labels, openai.UnprocessableEntityError):  # type: ignore[misc]
    """422."""

    def __init__(
        self,
        message: Any,
        model: Any,
        llm_provider: Any,
        response: Any,
        litellm_debug_info: str | None = None,
        max_retries: int | None = None,
        num_retries: int | None = None,
    ) -> None:
        text = f"litellm.UnprocessableEntityError: {message}"
        openai.UnprocessableEntityError.__init__(
            self, text, response=_response(response, 422), body=None
        )
        self._label(
            status_code=422,
            message=text,
            model=model,
            llm_provider=llm_provider,
            litellm_debug_info=litellm_debug_info,
            max_retries=max_retries,
            num_retries=num_retries,
        )


class Timeout(_Retried, _Labels, openai.APITimeoutError):
    """The answer did not come in time."""

    def __init__(
        self,
        message: Any,
        model: Any,
        llm_provider: Any,
        litellm_debug_info: str | None = None,
        max_retries: int | None = None,
        num_retries: int | None = None,
        headers: dict[str, Any] | None = None,
        exception_status_code: int | None = None,
        response: Any = None,
    ) -> None:
        openai.APITimeoutError.__init__(self, request=_request())
        self._label(
            status_code=exception_status_code or 408,
            message=f"litellm.Timeout: {message}",
            model=model,
            llm_provider=llm_provider,
            litellm_debug_info=litellm_debug_info,
            max_retries=max_retries,
            num_retries=num_retries,
        )
        self.headers = headers
        if response is not None:
            self.response = response


class PermissionDeniedError(_Retried, _Labels, openai.PermissionDeniedError):  # type: ignore[misc]
    """403."""

    def __init__(
        self,
        message: Any,
        llm_provider: Any,
        model: Any,
        response: Any,
        litellm_debug_info: str | None = None,
        max_retries: int | None = None,
        num_retries: int | None = None,
    ) -> None:
        text = f"litellm.PermissionDeniedError: {message}"
        openai.PermissionDeniedError.__init__(
            self, text, response=_response(response, 403), body=None
        )
        self._label(
            status_code=403,
            message=text,
            model=model,
            llm_provider=llm_provider,
            litellm_debug_info=litellm_debug_info,
            max_retries=max_retries,
            num_retries=num_retries,
        )


class RateLimitError(_Retried, _Labels, openai.RateLimitError):  # type: ignore[misc]
    """429."""

    def __init__(
        self,
        message: Any,
        llm_provider: Any,
        model: Any,
        response: Any = None,
        litellm_debug_info: str | None = None,
        max_retries: int | None = None,
        num_retries: int | None = None,
        category: str | RateLimitErrorCategory = RateLimitErrorCategory.VENDOR_RATE_LIMIT,
        rate_limit_type: str | RateLimitType | None = None,
        headers: dict[str, str] | None = None,
        detail: Any = None,
        body: object | None = None,
    ) -> None:
        text = f"litellm.RateLimitError: {message}"
        answered = _response(response, 429, headers)
        openai.RateLimitError.__init__(self, text, response=answered, body=body)
        self._label(
            status_code=429,
            message=text,
            model=model,
            llm_provider=llm_provider,
            litellm_debug_info=litellm_debug_info,
            max_retries=max_retries,
            num_retries=num_retries,
        )
        self.code = "429"
        self.type = "throttling_error"
        self.category = category.value if isinstance(category, enum.Enum) else category
        self.rate_limit_type = rate_limit_type
        self.headers = headers
        self.detail = text if detail is None else detail


class ContextWindowExceededError(BadRequestError):
    """The prompt is too long for the model."""

    def __init__(
        self,
        message: Any,
        model: Any,
        llm_provider: Any,
        response: Any = None,
        litellm_debug_info: str | None = None,
    ) -> None:
        super().__init__(message, model, llm_provider, response, litellm_debug_info)
        self.status_code = 400
        self.message = f"litellm.ContextWindowExceededError: {self.message}"


class PaymentRequiredError(BadRequestError):
    """402."""

    def __init__(
        self,
        message: str,
        model: str,
        llm_provider: str,
        response: Any = None,
        litellm_debug_info: str | None = None,
    ) -> None:
        super().__init__(message, model, llm_provider, response, litellm_debug_info)
        self.status_code = 402
        self.message = f"litellm.PaymentRequiredError: {message}"


class RejectedRequestError(BadRequestError):
    """A guardrail refused the request."""

    def __init__(
        self,
        message: Any,
        model: Any,
        llm_provider: Any,
        request_data: dict[str, Any],
        litellm_debug_info: str | None = None,
    ) -> None:
        self.request_data = request_data
        super().__init__(
            f"litellm.RejectedRequestError: {message}",
            model,
            llm_provider,
            None,
            litellm_debug_info,
        )


class ContentPolicyViolationError(BadRequestError):
    """A filter refused the prompt or the answer."""

    def __init__(
        self,
        message: Any,
        model: Any,
        llm_provider: Any,
        response: Any = None,
        litellm_debug_info: str | None = None,
        provider_specific_fields: dict[str, Any] | None = None,
        body: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            f"litellm.ContentPolicyViolationError: {message}",
            model,
            llm_provider,
            response,
            litellm_debug_info,
            body=body,
        )
        self.provider_specific_fields = provider_specific_fields


class ServiceUnavailableError(_Retried, _Labels, openai.APIStatusError):
    """503."""

    _status = 503
    _name = "ServiceUnavailableError"

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
        text = f"litellm.{self._name}: {message}"
        openai.APIStatusError.__init__(
            self, text, response=_response(response, self._status), body=None
        )
        self._label(
            status_code=self._status,
            message=text,
            model=model,
            llm_provider=llm_provider,
            litellm_debug_info=litellm_debug_info,
            max_retries=max_retries,
            num_retries=num_retries,
        )


class BadGatewayError(_Retried, _Labels, openai.APIStatusError):
    """502."""

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
        text = f"litellm.BadGatewayError: {message}"
        openai.APIStatusError.__init__(self, text, response=_response(response, 502), body=None)
        self._label(
            status_code=502,
            message=text,
            model=model,
            llm_provider=llm_provider,
            litellm_debug_info=litellm_debug_info,
            max_retries=max_retries,
            num_retries=num_retries,
        )


class InternalServerError(_Retried, _Labels, openai.InternalServerError):
    """500."""

    def __init__(
        self,
        message: Any,
        llm_provider: Any,
        model: Any,
        response: Any = None,
        litellm_debug_info: str | None = None,
        max_retries: int | None = None,
        num_retries: int | None = None,
        body: object | None = None,
    ) -> None:
        text = f"litellm.InternalServerError: {message}"
        openai.InternalServerError.__init__(
            self, text, response=_response(response, 500), body=body
        )
        self._label(
            status_code=500,
            message=text,
            model=model,
            llm_provider=llm_provider,
            litellm_debug_info=litellm_debug_info,
            max_retries=max_retries,
            num_retries=num_retries,
        )
        self.type = "internal_server_error"


class APIError(_Retried, _Labels, openai.APIError):
    """Any other failure."""

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
        text = f"litellm.APIError: {message}"
        openai.APIError.__init__(self, text, request=request or _request(), body=body)
        self._label(
            status_code=status_code,
            message=text,
            model=model,
            llm_provider=llm_provider,
            litellm_debug_info=litellm_debug_info,
            max_retries=max_retries,
            num_retries=num_retries,
        )


class APIConnectionError(_Retried, _Labels, openai.APIConnectionError):
    """The provider could not be reached."""

    def __init__(
        self,
        message: Any,
        llm_provider: Any,
        model: Any,
        request: Any = None,
        litellm_debug_info: str | None = None,
        max_retries: int | None = None,
        num_retries: int | None = None,
    ) -> None:
        text = f"litellm.APIConnectionError: {message}"
        openai.APIConnectionError.__init__(self, message=text, request=request or _request())
        self._label(
            status_code=500,
            message=text,
            model=model,
            llm_provider=llm_provider,
            litellm_debug_info=litellm_debug_info,
            max_retries=max_retries,
            num_retries=num_retries,
        )


class APIResponseValidationError(_Retried, _Labels, openai.APIResponseValidationError):
    """The answer is not what it should be."""

    def __init__(
        self,
        message: Any,
        llm_provider: Any,
        model: Any,
        litellm_debug_info: str | None = None,
        max_retries: int | None = None,
        num_retries: int | None = None,
    ) -> None:
        openai.APIResponseValidationError.__init__(
            self, response=_response(None, 500), body=None, message=message
        )
        self._label(
            status_code=500,
            message=message,
            model=model,
            llm_provider=llm_provider,
            litellm_debug_info=litellm_debug_info,
            max_retries=max_retries,
            num_retries=num_retries,
        )


class JSONSchemaValidationError(APIResponseValidationError):
    """The answer does not fit its schema."""

    def __init__(self, model: str, llm_provider: str, raw_response: str, schema: str) -> None:
        self.raw_response = raw_response
        self.schema = schema
        super().__init__(
            f"litellm.JSONSchemaValidationError: model={model}, returned an invalid response="
            f"{raw_response}, for schema={schema}.\nAccess raw response with `e.raw_response`",
            llm_provider,
            model,
        )


class OpenAIError(openai.OpenAIError):
    """The root of the SDK's errors, once more."""

    def __init__(self, original_exception: Any = None) -> None:
        super().__init__()
        self.llm_provider = "openai"
        if original_exception is not None:
            self.original_exception = original_exception


class UnsupportedParamsError(BadRequestError):
    """A parameter that the provider does not take."""

    def __init__(
        self,
        message: Any,
        llm_provider: str | None = None,
        model: str | None = None,
        status_code: int = 400,
        response: Any = None,
        litellm_debug_info: str | None = None,
        max_retries: int | None = None,
        num_retries: int | None = None,
    ) -> None:
        super().__init__(
            message, model, llm_provider, response, litellm_debug_info, max_retries, num_retries
        )
        self.status_code = status_code
        self.message = f"litellm.UnsupportedParamsError: {message}"


class ModelNotMappedError(Exception):
    """Nothing is known of a model."""


class BudgetExceededError(Exception):
    """More would be spent than may be."""

    def __init__(
        self,
        current_cost: float,
        max_budget: float,
        message: str | None = None,
        llm_provider: str | None = None,
        entity_type: str | None = None,
        entity_id: str | None = None,
    ) -> None:
        self.current_cost = current_cost
        self.max_budget = max_budget
        self.status_code = 422
        self.llm_provider = llm_provider or ""
        self.entity_type = entity_type
        self.entity_id = entity_id
        self.category = RateLimitErrorCategory.LITELLM_RATE_LIMIT.value
        self.rate_limit_type = RateLimitType.BUDGET.value
        self.message = message or (
            f"Budget has been exceeded! Current cost: {current_cost}, Max budget: {max_budget}"
        )
        super().__init__(self.message)


class InvalidRequestError(openai.BadRequestError):
    """400, under the name of the SDK's first version."""

    def __init__(self, message: Any, model: Any, llm_provider: Any) -> None:
        super().__init__(message, response=_response(None, 400), body=None)
        self.status_code = 400
        self.message = message
        self.model = model
        self.llm_provider = llm_provider


class MockException(_Retried, _Labels, openai.APIError):
    """What `mock_response=` raises."""

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
    ) -> None:
        text = f"litellm.MockException: {message}"
        openai.APIError.__init__(self, text, request=request or _request(), body=None)
        self._label(
            status_code=status_code,
            message=text,
            model=model,
            llm_provider=llm_provider,
            litellm_debug_info=litellm_debug_info,
            max_retries=max_retries,
            num_retries=num_retries,
        )


class LiteLLMUnknownProvider(BadRequestError):
    """There is no such provider."""

    def __init__(self, model: str, custom_llm_provider: str | None = None) -> None:
        super().__init__(
            f"Unmapped LLM provider for this endpoint. You passed model={model}, "
            f"custom_llm_provider={custom_llm_provider}. Check supported provider and route: "
            "https://docs.litellm.ai/docs/providers",
            model,
            custom_llm_provider,
        )


class GuardrailRaisedException(Exception):
    """A guardrail of the application's refused."""

    def __init__(
        self,
        guardrail_name: str | None = None,
        message: str = "",
        should_wrap_with_default_message: bool = True,
        status_code: int = 400,
        blocked_content: bool = False,
    ) -> None:
        self.guardrail_name = guardrail_name
        self.status_code = status_code
        self.blocked_content = blocked_content
        self.message = (
            f"Guardrail raised an exception, Guardrail: {guardrail_name}, Message: {message}"
            if should_wrap_with_default_message
            else message
        )
        super().__init__(self.message)


class BlockedPiiEntityError(Exception):
    """Something personal was found, and may not be sent."""

    def __init__(
        self, entity_type: str, guardrail_name: str | None = None, status_code: int = 400
    ) -> None:
        self.entity_type = entity_type
        self.guardrail_name = guardrail_name
        self.status_code = status_code
        self.message = (
            f"Blocked entity detected: {entity_type} by Guardrail: {guardrail_name}. "
            "This entity is not allowed to be used in this request."
        )
        super().__init__(self.message)


class MidStreamFallbackError(ServiceUnavailableError):
    """A stream broke."""

    _name = "MidStreamFallbackError"

    def __init__(
        self,
        message: str,
        model: str,
        llm_provider: str,
        original_exception: Exception | None = None,
        response: Any = None,
        litellm_debug_info: str | None = None,
        max_retries: int | None = None,
        num_retries: int | None = None,
        generated_content: str = "",
        is_pre_first_chunk: bool = False,
    ) -> None:
        super().__init__(
            message, llm_provider, model, response, litellm_debug_info, max_retries, num_retries
        )
        self.original_exception = original_exception
        self.generated_content = generated_content
        self.is_pre_first_chunk = is_pre_first_chunk
        if original_exception is not None:
            self.status_code = getattr(original_exception, "status_code", None) or 503


LITELLM_EXCEPTION_TYPES = [
    AuthenticationError,
    NotFoundError,
    BadRequestError,
    UnprocessableEntityError,
    UnsupportedParamsError,
    Timeout,
    PermissionDeniedError,
    RateLimitError,
    ContextWindowExceededError,
    RejectedRequestError,
    ContentPolicyViolationError,
    InternalServerError,
    ServiceUnavailableError,
    BadGatewayError,
    APIError,
    APIConnectionError,
    APIResponseValidationError,
    OpenAIError,
    JSONSchemaValidationError,
]
