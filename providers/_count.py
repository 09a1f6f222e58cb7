"""The exact size of a prompt, as the provider itself counts it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec

from scallion.exceptions import InvalidRequestError, MalformedResponseError

from ._encode import encode_json
from ._errors import request_id_of
from ._params import check_params

if TYPE_CHECKING:
    from scallion._request import Request

    from ._anthropic import AnthropicClient
    from ._base import BaseLLMClient

# What Anthropic's endpoint takes of a Messages body; it refuses the rest, which is not the prompt.
_COUNTED = frozenset(
    {
        "model", "messages", "system", "tools", "tool_choice", "thinking", "output_config",
        "output_format", "cache_control", "context_management", "mcp_servers", "speed",
    }
)  # fmt: skip


class _Counted(msgspec.Struct):
    input_tokens: int


async def asked(client: AnthropicClient, request: Request) -> int:
    """Anthropic's count: the body that `complete` would send goes to `/count_tokens` beside it."""
    handled = sys.exception()
    try:
        return await _asked(client, request)
    except BaseException as error:
        client._cleanse(error, request, handled)
        raise


async def _asked(client: AnthropicClient, request: Request) -> int:
    if request.model is None:
        raise client.invalid("a request without a model cannot be counted", request)
    try:
        check_params(request.params)
        whole = client.make_body(request) | dict(request.params.get("extra_body") or {})
        body = {name: value for name, value in whole.items() if name in _COUNTED}
        content = encode_json(body)
    except (ValueError, TypeError, RecursionError) as error:
        raise client.invalid(str(error), request) from error
    http = await client.send(request, f"{client.path}/count_tokens", body, content)
    try:
        return msgspec.json.decode(http.content, type=_Counted).input_tokens
    except ValueError as error:
        raise MalformedResponseError(
            f"no count of tokens came ({error}): does this server serve {client.path}/count_tokens?",
            provider=client.name,
            model=request.model,
            status_code=http.status_code,
            request_id=request_id_of(http.headers),
            body=http.content[:2000].decode("utf-8", "replace"),
        ) from error


async def published(client: BaseLLMClient, request: Request) -> int:
    """The count by published rules, where they are known to be the provider's own.

    Raises:
        InvalidRequestError: they are not.
    """
    from scallion.tokens import estimate, warm_up

    extra: Any = request.params.get("extra_body")
    if isinstance(extra, dict):
        request = request.replace(params={**request.params, **extra})
    await warm_up(request.model or "", provider=client.name)
    found = estimate(request, provider=client.name)
    if found.exact:
        return found.tokens
    raise InvalidRequestError(
        f"{client.name} has no endpoint that counts the prompt of a chat, and of this one only an "
        "estimate is known: see scallion.tokens.estimate(request)",
        provider=client.name,
        model=request.model,
    )
