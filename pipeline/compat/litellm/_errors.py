"""Scallion's errors as litellm's: by kind and status, with litellm's way to say it."""

from __future__ import annotations

from typing import Any

from httpx2 import Request, Response

from scallion import exceptions as ours

from . import exceptions as theirs


def translated(
    error: BaseException, model: str | None, provider: str, *, max_retries: int | None = None
) -> BaseException:
    """The error that litellm would raise; whatever is no failure of a call stays as it is."""
    if not isinstance(error, ours.LLMClientError):
        return error
    made = _made(error, model, provider)
    made.max_retries = max_retries
    made.__cause__ = error
    failure: BaseException = made
    return failure


def _made(error: ours.LLMClientError, model: str | None, provider: str) -> Any:
    name = f"{shown(provider)}Exception"
    message = f"{name} - {error.message}"
    if not isinstance(error, ours.ProviderError):
        return theirs.BadRequestError(error.message, model, provider)
    status, body, headers = error.status_code, error.body, _headers(error)
    response = _response(status, headers)
    raw = body.get("error", body) if isinstance(body, dict) else None
    if isinstance(error, ours.TimeoutError):
        return theirs.Timeout(
            f"Timeout Error: {message}", model, provider, exception_status_code=status or 408
        )
    if isinstance(error, ours.ContextWindowExceededError):
        return theirs.ContextWindowExceededError(
            f"ContextWindowExceededError: {message}", model, provider, response
        )
    if isinstance(error, ours.ContentPolicyError):
        return theirs.ContentPolicyViolationError(
            f"ContentPolicyViolationError: {message}", model, provider, response, body=raw
        )
    if isinstance(error, ours.PermissionDeniedError) and status == 403:
        return theirs.PermissionDeniedError(
            f"PermissionDeniedError: {message}", provider, model, response
        )
    if isinstance(error, ours.AuthenticationError) and status in (None, 401):
        return theirs.AuthenticationError(
            f"AuthenticationError: {message}", provider, model, response
        )
    if isinstance(error, ours.RateLimitError):
        return theirs.RateLimitError(
            f"RateLimitError: {message}", provider, model, response, body=raw
        )
    if isinstance(error, ours.ModelNotFoundError):
        return theirs.NotFoundError(f"NotFoundError: {message}", model, provider, response)
    if status in (408, 504):
        return theirs.Timeout(
            f"Timeout Error: {message}", model, provider, exception_status_code=status
        )
    if isinstance(error, ours.InvalidRequestError) and status in (None, 400, 422):
        failure = theirs.BadRequestError(message, model, provider, response, body=raw)
        failure.status_code = status or 400
        return failure
    if status == 502:
        return theirs.BadGatewayError(f"BadGatewayError: {message}", provider, model, response)
    if status == 503:
        return theirs.ServiceUnavailableError(
            f"ServiceUnavailableError: {message}", provider, model, response
        )
    if status == 500:
        return theirs.InternalServerError(
            f"InternalServerError: {message}", provider, model, response, body=raw
        )
    if isinstance(error, (ours.ConnectionError, ours.StreamError)):
        return theirs.APIConnectionError(f"APIConnectionError: {message}", provider, model)
    return theirs.APIError(status or 500, f"APIError: {message}", provider, model)


def _headers(error: ours.ProviderError) -> dict[str, str]:
    headers = {}
    if error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    if error.request_id is not None:
        headers["x-request-id"] = error.request_id
    return headers


def _response(status: int | None, headers: dict[str, str]) -> Response | None:
    if status is None:
        return None
    request = Request("POST", "https://api.openai.com/v1")
    return Response(status_code=status, headers=headers, request=request)


def shown(provider: str) -> str:
    """A provider's name as litellm's messages have it."""
    return {"openai": "OpenAI", "anthropic": "Anthropic"}.get(provider, provider.capitalize())
