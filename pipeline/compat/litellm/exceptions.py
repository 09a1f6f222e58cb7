"""litellm's exceptions: subclasses of the OpenAI SDK's, with its constructors and its texts.

The arguments differ in order from class to class; that is litellm's, and people pass them by place.
"""

from __future__ import annotations

import enum
from typing import Any

import openai

from ._failure import _Failure, _ModelFirst, _ProviderFirst, _request_of, _response_of, _StatusFirst
from ._own_errors import BlockedPiiEntityError as BlockedPiiEntityError
from ._own_errors import BudgetExceededError as BudgetExceededError
from ._own_errors import GuardrailRaisedException as GuardrailRaisedException
from ._own_errors import ModelNotMappedError as ModelNotMappedError
from ._own_errors import ModifyResponseException as ModifyResponseException
from ._own_errors import RateLimitErrorCategory as RateLimitErrorCategory
from ._own_errors import RateLimitType as RateLimitType
from ._own_errors import SensitiveDataRouteException as SensitiveDataRouteException

# ------------------------------------------------------------------------------------ by status


class AuthenticationError(_ProviderFirst, openai.AuthenticationError):  # type: ignore[misc]
    """401."""

    _name, _status = "AuthenticationError", 401


class PermissionDeniedError(_ProviderFirst, openai.PermissionDeniedError):  # type: ignore[misc]
    """403."""

    _name, _status = "PermissionDeniedError", 403


class NotFoundError(_ModelFirst, openai.NotFoundError):  # type: ignore[misc]
    """404."""

    _name, _status = "NotFoundError", 404


class UnprocessableEntityError(_ModelFirst, openai.UnprocessableEntityError):  # type: ignore[misc]
    """422."""

    _name, _status = "UnprocessableEntityError", 422


class RateLimitError(_Failure, openai.RateLimitError):  # type: ignore[misc]
    """429."""

    _name, _status = "RateLimitError", 429

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
        labels = (model, llm_provider, litellm_debug_info, max_retries, num_retries)
        self._answer(self._text(message), labels, _response_of(response, 429, headers), body)
        self.code = "429"
        self.type = "throttling_error"
        self.category = _value(category)
        self.rate_limit_type = _value(rate_limit_type)
        self.headers = {name: str(value) for name, value in headers.items()} if headers else None
        self.detail = self.message if detail is None else detail


def _value(given: Any) -> Any:
    return given.value if isinstance(given, enum.Enum) else given


class InternalServerError(_Failure, openai.InternalServerError):
    """500."""

    _name, _status = "InternalServerError", 500

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
        labels = (model, llm_provider, litellm_debug_info, max_retries, num_retries)
        self._answer(self._text(message), labels, response, body)
        self.type = "internal_server_error"


class BadGatewayError(_ProviderFirst, openai.APIStatusError):
    """502."""

    _name, _status = "BadGatewayError", 502


class ServiceUnavailableError(_ProviderFirst, openai.APIStatusError):
    """503."""

    _name, _status = "ServiceUnavailableError", 503


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
        self.status_code = getattr(original_exception, "status_code", None) or 503

    def __str__(self) -> str:
        cause = self.original_exception
        if not cause:
            return super().__str__()
        return f"{super().__str__()} Original exception: {type(cause).__name__}: {cause}"


# ------------------------------------------------------------------------------- 400 and its kinds


class BadRequestError(_Failure, openai.BadRequestError):  # type: ignore[misc]
    """400."""

    _name, _status = "BadRequestError", 400

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
        labels = (model, llm_provider, litellm_debug_info, max_retries, num_retries)
        self._answer(self._text(message), labels, response, body)
        self.status_code = getattr(response, "status_code", None) or 400


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
        labels = (litellm_debug_info, max_retries, num_retries)
        super().__init__(message, model, llm_provider, response, *labels, body)


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
        text = f"litellm.RejectedRequestError: {message}"
        super().__init__(text, model, llm_provider, None, litellm_debug_info)


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
        text = f"litellm.ContentPolicyViolationError: {message}"
        super().__init__(text, model, llm_provider, response, litellm_debug_info, body=body)
        self.provider_specific_fields = provider_specific_fields


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
        labels = (litellm_debug_info, max_retries, num_retries)
        super().__init__(message, model, llm_provider, response, *labels)
        self.status_code = status_code
        self.message = f"litellm.UnsupportedParamsError: {message}"


class VectorStoreSearchError(BadRequestError):
    """Documents could not be searched."""

    def __init__(
        self, failures: Any, model: str | None = None, llm_provider: str | None = None
    ) -> None:
        self.failures = tuple(failures)
        told = "; ".join(f"{each['vector_store_id']}: {each['error']}" for each in self.failures)
        super().__init__(
            "The request could not be grounded in every configured vector store. "
            f"{len(self.failures)} vector store search(es) failed: {told}",
            model,
            llm_provider,
            body={"type": "invalid_request_error", "code": "vector_store_search_failed"},
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


class InvalidRequestError(openai.BadRequestError):
    """400, under the name of the SDK's first version."""

    def __init__(self, message: Any, model: Any, llm_provider: Any) -> None:
        super().__init__(message, response=_response_of(None, 400), body=None)
        self.status_code = 400
        self.message = message
        self.model = model
        self.llm_provider = llm_provider


# ------------------------------------------------------------------------------ without a response


class Timeout(_Failure, openai.APITimeoutError):
    """The answer did not come in time."""

    _name, _status = "Timeout", 408

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
        openai.APITimeoutError.__init__(self, request=_request_of())
        labels = (model, llm_provider, litellm_debug_info, max_retries, num_retries)
        self._label(self._text(message), *labels, status_code=exception_status_code or 408)
        self.headers = headers
        if response is not None:
            self.response = response


class APIConnectionError(_Failure, openai.APIConnectionError):
    """The provider could not be reached."""

    _name, _status = "APIConnectionError", 500

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
        text = self._text(message)
        openai.APIConnectionError.__init__(self, message=text, request=request or _request_of())
        self._label(text, model, llm_provider, litellm_debug_info, max_retries, num_retries)


class APIError(_StatusFirst, openai.APIError):
    """Any other failure."""

    _name = "APIError"


class MockException(_StatusFirst, openai.APIError):
    """What `mock_response=` raises."""

    _name = "MockException"


class APIResponseValidationError(_Failure, openai.APIResponseValidationError):
    """The answer is not what it should be."""

    _status = 500

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
            self, response=_response_of(None, 500), body=None, message=message
        )
        self._label(message, model, llm_provider, litellm_debug_info, max_retries, num_retries)


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
    PaymentRequiredError,
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
