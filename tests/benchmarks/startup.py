"""What starting costs: the import, building a pipeline, and the first call of a fresh process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from measure import Row, Starts, difference, process_starts, ratio

if TYPE_CHECKING:
    from server import Server

IMPORT, FIRST = "import", "first call of a process"

_BUILD = """
from scallion import build_pipeline
from scallion.providers import openai
async def layer(request, call_next):
    return await call_next(request)
llm = build_pipeline([layer] * 6, provider=openai(api_key="sk-local"), model="gpt-4o")
"""

_OURS = """
import asyncio
from scallion import build_pipeline
from scallion.providers import {provider}
async def main():
    provider = {provider}(api_key="sk-local", base_url="{url}")
    async with build_pipeline([], provider=provider, model="{model}") as llm:
        assert (await llm.complete("Why is the sky blue?")).text
asyncio.run(main())
"""

_OPENAI = """
import asyncio
import openai
async def main():
    async with openai.AsyncOpenAI(api_key="sk-local", base_url="{url}") as client:
        answer = await client.chat.completions.create(
            model="{model}", messages=[{{"role": "user", "content": "Why is the sky blue?"}}]
        )
        assert answer.choices[0].message.content
asyncio.run(main())
"""

_ANTHROPIC = """
import asyncio
import anthropic
async def main():
    async with anthropic.AsyncAnthropic(api_key="sk-local", base_url="{url}") as client:
        answer = await client.messages.create(
            model="{model}",
            max_tokens=1000,
            messages=[{{"role": "user", "content": "Why is the sky blue?"}}],
        )
        assert answer.content[0].text
asyncio.run(main())
"""


_PROVIDERS = (("openai", "gpt-4o", _OPENAI), ("anthropic", "claude-haiku-4-5", _ANTHROPIC))


def rows(server: Server, *, quick: bool) -> list[Row]:
    """The rows of this file."""
    return _imports(rounds=10 if quick else 60) + _first_calls(server, rounds=3 if quick else 12)


def _imports(*, rounds: int) -> list[Row]:
    programs = {
        "bare": "pass",
        "scallion": "import scallion",
        "asyncio, msgspec": "import asyncio, msgspec",
        "build": _BUILD,
    }
    took = process_starts({name: _program(code) for name, code in programs.items()}, rounds=rounds)
    return [
        *_compare("import scallion, over a bare interpreter", took["scallion"], took["bare"], 5.0),
        *_compare(
            "build six layers, over import asyncio, msgspec",
            took["build"],
            took["asyncio, msgspec"],
            15.0,
        ),
    ]


def _compare(label: str, ours: Starts, bare: Starts, goal: float) -> list[Row]:
    return [
        difference(IMPORT, f"{label}: {kind}", "ms", mine * 1e3, theirs * 1e3, wanted)
        for kind, mine, theirs, wanted in (
            ("wall, best", ours.best, bare.best, goal),
            ("wall, median", ours.median, bare.median, None),
            ("CPU, best", ours.cpu, bare.cpu, goal),
        )
    ]


def _first_calls(server: Server, *, rounds: int) -> list[Row]:
    found = []
    for provider, model, sdk in _PROVIDERS:
        settings = {"provider": provider, "model": model, "url": server.url(provider)}
        programs = {
            "ours": _program(_OURS.format(**settings)),
            "SDK": _program(sdk.format(**settings)),
        }
        took = process_starts(programs, rounds=rounds)
        ours, bare = took["ours"], took["SDK"]
        found += [
            ratio(FIRST, f"{provider}: {kind}", "ms", mine * 1e3, theirs * 1e3, goal)
            for kind, mine, theirs, goal in (
                ("wall, best", ours.best, bare.best, 1.0),
                ("wall, median", ours.median, bare.median, None),
                ("CPU, best", ours.cpu, bare.cpu, 1.0),
            )
        ]
    return found


def _program(code: str) -> list[str]:
    # Isolated, so that neither the working directory nor PYTHONPATH takes part.
    return ["-I", "-c", code]
