"""OpenRouter: OpenAI's shape with reasoning, routing and the bill in it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar

from scallion._secrets import Secret, plain

from ._openai import OpenAIClient
from ._openai_history import to_openai_messages

if TYPE_CHECKING:
    from scallion._request import Request

BASE_URL = "https://openrouter.ai/api/v1"


class OpenRouterClient(OpenAIClient):
    """The adapter for OpenRouter. Made by `scallion.providers.openrouter`."""

    name: ClassVar[str] = "openrouter"
    key_variable: ClassVar[str] = "OPENROUTER_API_KEY"
    account_variables: ClassVar[tuple[str, ...]] = ()
    address_variable: ClassVar[str] = "OPENROUTER_BASE_URL"

    def client_settings(self, http_client: Any) -> dict[str, Any]:
        """OpenAI's, with OpenRouter's address and key instead of OpenAI's own variables."""
        settings = super().client_settings(http_client)
        settings.setdefault("base_url", os.environ.get(self.address_variable) or BASE_URL)
        if not settings.get("api_key"):
            key = Secret(os.environ.get(self.key_variable) or "")
            if not key:
                raise self.missing_key()
            settings["api_key"] = key
        settings["default_headers"] = _unsaid(settings) | settings.get("default_headers", {})
        return settings

    def wire_messages(self, request: Request, learned: frozenset[str]) -> Any:  # noqa: ARG002
        """The history with reasoning details and cache markers, which OpenRouter hands on."""
        return to_openai_messages(request.messages, keep_reasoning=True)

    def wire_tools(self, tools: Any) -> Any:
        """The tools with their cache markers."""
        return tools

    def wire_model(self, model: str) -> str:
        """Without `openrouter/`, but OpenRouter's own models (`openrouter/auto`) are called so."""
        name = model.removeprefix("openrouter/")
        return name if "/" in name else model

    def _renames_max_tokens(self, model: str) -> bool:  # noqa: ARG002
        return False  # OpenRouter translates it for each model


def _unsaid(settings: dict[str, Any]) -> dict[str, Any]:
    """What the SDK would tell OpenRouter out of OpenAI's variables, taken back."""
    from openai import Omit

    own = {"organization": "OpenAI-Organization", "project": "OpenAI-Project"}
    unsaid: dict[str, Any] = {own[name]: Omit() for name in own if name not in settings}
    lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n")
    custom = [line.partition(":")[0].strip() for line in lines if ":" in line]
    unsaid |= {name: Omit() for name in custom}
    if "authorization" in map(str.lower, custom):
        unsaid["Authorization"] = Secret(f"Bearer {plain(settings['api_key'])}")
    return unsaid
