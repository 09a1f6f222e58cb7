"""Which exception an error that a provider sent has to become: the oracle's own tables."""

from __future__ import annotations

import json
from typing import Any

from conformance.forms import is_json

_BY_STATUS = {
    401: "AuthenticationError",
    402: "PermissionDeniedError",
    403: "PermissionDeniedError",
    404: "ModelNotFoundError",
    408: "TimeoutError",
    429: "RateLimitError",
    529: "OverloadedError",
}
_STATUS_BY_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "tokens": 429,
    "requests": 429,
    "overloaded_error": 529,
}
_TOO_LONG = {"context_length_exceeded", "exceed_context_size_error"}
_FILTERED = {"content_filter", "content_policy_violation"}


# Without a code for it, an overlong prompt can be told only by how the message begins.
_TOO_LONG_MESSAGES = (
    "prompt is too long:",
    "This endpoint's maximum context length is",
    "This model's maximum context length is",
    "litellm.ContextWindowExceededError:",
)


def error_of(body: Any) -> dict[str, Any]:
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {"message": error} if error else {}


def error_class(status: int | None, error: dict[str, Any]) -> str:
    names = {str(error.get("code")), str(error.get("type"))}
    # OpenRouter hands on what the provider behind it said, as text.
    raw = (error.get("metadata") or {}).get("raw")
    if isinstance(raw, str) and is_json(raw):
        inner = json.loads(raw)
        inner = error_of(inner) or inner if isinstance(inner, dict) else {}
        names |= {str(inner.get("code")), str(inner.get("type"))}
    if status is None:
        code = str(error.get("code"))
        status = int(code) if code.isdigit() else None
    if status is None:
        refused = 400 if names & (_TOO_LONG | _FILTERED) else 500
        status = next((_STATUS_BY_TYPE[name] for name in names if name in _STATUS_BY_TYPE), refused)
    if names & {"overloaded_error"}:
        return "OverloadedError"
    too_long = str(error.get("message")).startswith(_TOO_LONG_MESSAGES)
    if status in (400, 413, 422) and (names & _TOO_LONG or too_long):
        return "ContextWindowExceededError"
    if status in (400, 403, 422) and names & _FILTERED:
        return "ContentPolicyError"
    fallback = "ServerError" if status >= 500 else "InvalidRequestError"
    return _BY_STATUS.get(status, fallback)
