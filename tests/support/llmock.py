"""A mock of the providers that fails on demand: `llmock` from PyPI, over HTTP like the real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from scallion.providers import anthropic, openai
from support.server_process import ServerProcess

if TYPE_CHECKING:
    from scallion.providers import BaseLLMClient


class LLMock(ServerProcess):
    """The mock. What it is told to do, it does to the next request that fits."""

    name: ClassVar[str] = "llmock"
    packages: ClassVar[tuple[str, ...]] = (
        "llmock==0.2.2",
        "annotated-doc==0.0.7",
        "annotated-types==0.8.0",
        "anyio==4.16.0",
        "click==8.5.1",
        "fastapi==0.165.0",
        "h11==0.16.0",
        "idna==3.20",
        "opentelemetry-api==1.45.2",
        "pydantic-core==2.50.4",
        "pydantic==2.14.3",
        "starlette==1.10.0",
        "typing-extensions==4.16.0",
        "typing-inspection==0.4.5",
        "uvicorn==0.54.0",
    )

    def provider(self, style: str, **settings: Any) -> BaseLLMClient:
        """An adapter for this server: `openai` or `anthropic`."""
        settings = {"api_key": "any"} | settings
        if style == "openai":
            return openai(base_url=f"{self.url}/v1", **settings)
        return anthropic(base_url=f"{self.url}/anthropic", **settings)

    def will(self, behavior: str, /, **particulars: Any) -> None:
        """Do this to the next request: to `fail`, a `stream_fault`, a `delay`, a `reply`, and so on."""
        self.call("POST", "/_llmock/scenario", {"behaviors": [{"type": behavior, **particulars}]})

    def requests(self) -> list[dict[str, Any]]:
        """What it was asked since the last `forget`, and how that went."""
        return list(self.call("GET", "/_llmock/requests")["requests"])

    def forget(self) -> None:
        """Drop what was asked, and what is still to be done."""
        self.call("POST", "/_llmock/reset")
