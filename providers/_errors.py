"""What a provider said went wrong, as one of our exceptions.

Told apart by HTTP status, error type and error code. One pattern of message openings remains, for
the providers that give an overlong prompt no code of its own (see `_NO_CODE_FOR_CONTEXT`).
"""

from __future__ import annotations

import math
import re
import time
from typing import TYPE_CHECKING, Any

import msgspec

from scallion._secrets import plain
from scallion.exceptions import (
    AuthenticationError,
    ConnectionError,
    ContentPolicyError,
    ContextWindowExceededError,
    InvalidRequestError,
    MalformedResponseError,
    ModelNotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProviderError,
    RateLimitError,
    ServerError,
    TimeoutError,
)

from ._error_body import (
    delay_within,
    innermost,
    labels_within,
    message_of,
    messages_within,
    object_in,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scallion.types import ModelResponse, StreamChunk

# Codes and types that say more than the status does.
_SPECIFIC: dict[str, type[ProviderError]] = {
    "context_length_exceeded": ContextWindowExceededError,
    "context_window_exceeded": ContextWindowExceededError,
    "exceed_context_size_error": ContextWindowExceededError,  # llama.cpp
    "content_filter": ContentPolicyError,
    "content_policy_violation": ContentPolicyError,
    "moderation_blocked": ContentPolicyError,
    "invalid_prompt": ContentPolicyError,  # OpenAI, of reasoning models: flagged by usage policy
    "ResponsibleAIPolicyViolation": ContentPolicyError,  # Azure
    "data_inspection_failed": ContentPolicyError,  # Alibaba
    "refusal": ContentPolicyError,  # OpenRouter
    "API_KEY_INVALID": AuthenticationError,  # Gemini, with status 400
    "model_not_found": ModelNotFoundError,
    "DeploymentNotFound": ModelNotFoundError,  # Azure
    "overloaded_error": OverloadedError,
    "overloaded": OverloadedError,
    "provider_overloaded": OverloadedError,  # OpenRouter
    "capacity_exceeded": OverloadedError,  # Groq, with status 498
    "server_overloaded": OverloadedError,
    "engine_overloaded": OverloadedError,
}

# Waiting does not help: the account has to be topped up.
_USED_UP = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "billing_error",
     "contract_spend_limit_reached", "enforced_spend_limit_reached", "exceeded_current_quota_error"}
)  # fmt: skip

_STATUS: dict[int, type[ProviderError]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    402: PermissionDeniedError,
    403: PermissionDeniedError,
    404: ModelNotFoundError,
    405: InvalidRequestError,
    407: ConnectionError,
    408: TimeoutError,
    413: InvalidRequestError,
    422: InvalidRequestError,
    424: ServerError,  # of what is behind the server: Bedrock's model, TGI's generation
    429: RateLimitError,
    529: OverloadedError,
}

# For errors inside a 200, which have no status.
_TYPE: dict[str, type[ProviderError]] = {
    "invalid_request_error": InvalidRequestError,
    "authentication_error": AuthenticationError,
    "invalid_api_key": AuthenticationError,
    "permission_error": PermissionDeniedError,
    "not_found_error": ModelNotFoundError,
    "request_too_large": InvalidRequestError,
    "rate_limit_error": RateLimitError,
    "rate_limit_exceeded": RateLimitError,
    "insufficient_quota": RateLimitError,
    "timeout_error": TimeoutError,
}

# Most servers answer an overlong prompt with a plain 400 and no code of its own. How their messages
# begin is the only sign; a fallback to a larger model depends on it.
_NO_CODE_FOR_CONTEXT = re.compile(
    r"(the )?prompt is too long:"  # Anthropic, Fireworks
    r"|input length and `max_tokens` exceed context limit:"  # Anthropic
    r"|this (endpoint|model)'s maximum (context|prompt) length is"  # OpenRouter; DeepSeek, vLLM; xAI
    r"|'max_tokens' or 'max_completion_tokens' is too large: \d+\. this model's maximum context"
    r"|you passed \d+ input tokens and requested"  # vLLM
    r"|prompt contains \d+ tokens.* too large"  # Mistral
    r"|the input token count (\(?\d+\)? )?exceeds the maximum number of tokens"  # Gemini
    r"|input is too long for requested model"  # Bedrock
    r"|input validation error: `inputs` (tokens \+|must have less than)"  # TGI
    r"|the input \(\d+ tokens\) is longer than the model's context length"  # SGLang
    r"|requested token count exceeds the model's maximum context length"  # SGLang
    r"|(<400> InternalError.Algo.InvalidParameter: )?range of input length should be"  # Alibaba
    r"|invalid request: your request exceeded model token limit"  # Moonshot
    r"|cannot truncate prompt with n_keep|trying to keep the first \d+ tokens when"  # LM Studio
    r"|the number of tokens to keep from the initial prompt is|context size has been exceeded"
    r"|litellm\.ContextWindowExceededError:",  # LiteLLM's proxy
    re.IGNORECASE,
)

# Whole messages of servers that have nothing at an address: nginx, llama-server, Azure, Go's.
_JUST_NOT_FOUND = frozenset(
    {"not found", "file not found", "page not found", "resource not found", "route not found",
     "method not allowed"}
)  # fmt: skip


def error_from_payload(
    payload: Any,
    *,
    provider: str,
    model: str | None,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    request_id: str | None = None,
    url: str | None = None,
    now: float | None = None,
) -> ProviderError:
    """The exception for an error that a provider sent, as a response or inside a 200.

    Args:
        payload: The decoded body, or its text where it was not JSON.
        status: The HTTP status, if it was one of an error.
        headers: The response's headers, for `retry-after` and `x-should-retry`.
        url: What was asked, as it may be shown.
        now: Seconds since the epoch, for a `retry-after` that is a date.
    """
    said = payload[0] if isinstance(payload, list) and payload else payload  # Gemini's
    error = innermost(said)
    fields: dict[str, Any] = error if isinstance(error, dict) else {}
    code, kind = fields.get("code"), fields.get("type")
    message = message_of(error, said)
    # Nobody's, if it stands inside an answer of the API: then the address is right.
    nobody_home = status in (404, 405) and _nobody_home(said, fields, message, model, url)
    if status is None:
        status = _status_within(code)
    labels = [label for label in (*labels_within(fields), kind) if label and isinstance(label, str)]
    cls = _classify(status, labels, message, fields)
    if nobody_home:
        cls = InvalidRequestError
        message = f"no API answers at {url or 'this address'}, is base_url right? {message}"
    wait = retry_after(headers, now=now) if headers is not None else None
    if wait is None:
        wait = delay_within(fields)
    if request_id is None and isinstance(said, dict) and isinstance(said.get("request_id"), str):
        request_id = said["request_id"]
    retryable = None
    if any(label in _USED_UP for label in labels):
        retryable = False
    elif headers is not None and headers.get("x-should-retry") in ("true", "false"):
        retryable = headers["x-should-retry"] == "true"
    elif status in (407, 409, 425):
        retryable = status != 407
    elif status == 402 and wait is not None:
        retryable = True  # OpenRouter: what is under way must be paid for first
    return cls(
        message,
        provider=provider,
        model=model,
        status_code=status,
        request_id=request_id,
        code=labels[0] if labels else None,
        retry_after=wait,
        retryable=retryable,
        body=payload,
    )


def _nobody_home(
    payload: Any, fields: dict[str, Any], message: str, model: str | None, url: str | None
) -> bool:
    """Whether a 404 or 405 is about the address that was asked, and not about the model.

    It is about the model if the error's code or `param` says so, or if it quotes the name. It is
    about the address if it quotes that, has not the form of this API's errors, or says no more
    than the status does.
    """
    labels = (*labels_within(fields), fields.get("type"))
    if fields.get("param") == "model" or any(
        isinstance(label, str) and label in _SPECIFIC for label in labels
    ):
        return False
    if model and re.search(rf"(?<![\w.-]){re.escape(_bare(model))}(?!\w)", message):
        return False
    if not isinstance(payload, dict) or not (
        "error" in payload or payload.get("object") == "error"
    ):
        return True
    from urllib.parse import urlsplit

    path = urlsplit(url).path if url else ""
    quoted = len(path) > 1 and path in message
    return quoted or fields.get("code") == "unknown_url" or _words(message) in _JUST_NOT_FOUND


def _status_within(code: object) -> int | None:
    """The status that OpenRouter and others write into a body, LiteLLM's proxy as a text."""
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) == 3:
        code = int(code)
    return code if isinstance(code, int) and 400 <= code < 600 else None


def _bare(model: str) -> str:
    return model.partition("/")[2] or model


def _words(message: str) -> str:
    return " ".join(re.findall(r"[a-z]+", message.lower()))


def _classify(
    status: int | None, labels: list[str], message: str, fields: dict[str, Any]
) -> type[ProviderError]:
    for label in labels:
        if label in _SPECIFIC:
            return _SPECIFIC[label]
    told = (message, *messages_within(fields))
    if status in (None, 400, 413, 422) and any(map(_NO_CODE_FOR_CONTEXT.match, told)):
        return ContextWindowExceededError
    if status == 403 and not {"reasons", "patterns"}.isdisjoint(object_in(fields, "metadata")):
        return ContentPolicyError  # OpenRouter's moderation, and its guardrails
    if status is not None:
        generic = ServerError if status >= 500 else ProviderError
        return _STATUS.get(status, generic)
    for label in labels:
        if label in _TYPE:
            return _TYPE[label]
    return ServerError


def retry_after(headers: Mapping[str, str], *, now: float | None = None) -> float | None:
    """Seconds to wait, from `retry-after-ms`, or `retry-after` in seconds or as an HTTP date.

    Azure sends 0 as the former where the latter is a second, so that says nothing.

    Args:
        now: Seconds since the epoch, for the date.
    """
    text = headers.get("retry-after", "")
    for number, unit in ((headers.get("retry-after-ms", ""), 0.001), (text, 1.0)):
        try:
            wait = float(number) * unit
        except ValueError:
            continue
        if unit < 1.0 and wait <= 0:
            continue
        return max(wait, 0.0) if math.isfinite(wait) else None
    if not text:
        return None
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
    return max(moment - (time.time() if now is None else now), 0.0)


def embedded_error(answer: ModelResponse | StreamChunk) -> Any:
    """The error inside an answer with status 200, if there is one."""
    if answer.object == "error" and answer.model_extra is not None:
        return answer.model_extra  # vLLM and its like, without an `error` around it
    if answer.model_extra is not None and answer.model_extra.get("error"):
        return answer.model_extra
    for choice in answer.choices:
        if choice.model_extra is not None and choice.model_extra.get("error"):
            return choice.model_extra
    return None


def error_from_response(
    response: Any, *, provider: str, model: str | None, now: float | None = None
) -> ProviderError:
    """The exception for an HTTP error status, whose body the SDK has read."""
    status: int = response.status_code
    headers = response.headers
    try:
        payload = msgspec.json.decode(response.content)
    except Exception:  # noqa: BLE001 - an error page of any kind is still an error page
        payload = _text(response)
    error = error_from_payload(
        payload,
        provider=provider,
        model=model,
        status=status,
        headers=headers,
        request_id=request_id_of(headers),
        url=_asked_url(response),
        now=now,
    )
    if status < 400:
        return MalformedResponseError(
            f"unexpected status {status} at {_asked_url(response)}, is base_url right?",
            provider=provider,
            model=model,
            status_code=status,
            body=payload,
        )
    return error


def _asked_url(response: Any) -> str | None:
    request = getattr(response, "_request", None)  # `request` itself raises where there is none
    return shown_url(str(request.url)) if request is not None else None


def shown_url(url: str | None) -> str | None:
    """A URL without what may be secret in it: a password, and the query."""
    if not isinstance(url, str):
        return None
    from urllib.parse import urlsplit, urlunsplit

    try:
        parts = urlsplit(plain(url))
        _ = parts.port
    except ValueError:
        return "…"
    shown = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    return "…" if "@" in shown else shown  # a password that is not percent-encoded is anywhere


def _text(response: Any) -> str:
    try:
        return str(response.text)
    except Exception:  # noqa: BLE001 - never read, or not text
        return ""


def request_id_of(headers: Mapping[str, str]) -> str | None:
    """The provider's id of the request, from the headers."""
    return next((headers[name] for name in _REQUEST_IDS if headers.get(name)), None)


# OpenAI's and most; Anthropic's; Amazon's; Azure's; OpenRouter's.
_REQUEST_IDS = (
    "x-request-id", "request-id", "x-amzn-requestid", "apim-request-id", "x-generation-id"
)  # fmt: skip
