"""What the scenarios share: both ways to ask, three providers at one server, and a clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scallion.testing import ManualClock
from support.upstream import Upstream
from support.world import MODELS, Mode, World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture(params=["complete", "stream"])
def mode(request: pytest.FixtureRequest) -> Mode:
    """Both ways to ask."""
    return Mode(request.param)


@pytest.fixture(params=list(MODELS))
def provider(request: pytest.FixtureRequest) -> str:
    """Each provider."""
    return request.param


@pytest.fixture
def clock() -> ManualClock:
    """A clock whose waits pass by themselves. Modules about time have one that is moved."""
    return ManualClock(auto=True)


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch, clock: ManualClock) -> AsyncIterator[World]:
    """Three providers at one server."""
    async with Upstream() as upstream:
        for name, path in (("openai", "/v1"), ("anthropic", ""), ("openrouter", "/api/v1")):
            monkeypatch.setenv(f"{name.upper()}_API_KEY", "sk-test")
            monkeypatch.setenv(f"{name.upper()}_BASE_URL", f"{upstream.url}/{name}{path}")
        world = World(upstream, clock)
        yield world
        await world.aclose()
