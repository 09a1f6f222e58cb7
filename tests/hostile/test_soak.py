"""Half an hour of everything at once, in seconds: nothing leaks, nothing is lost, the books agree.

With `SCALLION_HOSTILE=N` it lasts N times as long. `tests/integration/test_llmock_soak.py` does the
same to a server that is not our own.
"""

import asyncio
from functools import partial

import pytest
from hostile.effort import EFFORT
from hostile.soak import ENDINGS, Soak, Traced, descriptors, quiet, timers
from hostile.weather import FastClock, Weather

from support.upstream import Upstream

MINUTES = 30
SECONDS = 14 * EFFORT
ENOUGH = 25 * SECONDS  # requests
# Each is frequent while its weather lasts; rarer ones may be missing on a slow machine.
NAMED = {"429", "503", "slow", "cut", "stall", "malformed", "in-band", "loris", "huge"}


@pytest.fixture
def addresses(monkeypatch):
    """Set when the port is known."""

    def point(url):
        for name, path in (("openai", "/v1"), ("anthropic", ""), ("openrouter", "/api/v1")):
            monkeypatch.setenv(f"{name.upper()}_API_KEY", "sk-test")
            monkeypatch.setenv(f"{name.upper()}_BASE_URL", f"{url}/{name}{path}")

    return point


def check_books(soak, weather):
    """Every request that the server heard ended as one attempt, and was counted as it counted."""
    ended, told = soak.books.ended, weather.books
    assert all(len(said) == 1 for said in told.values()), "a request was sent twice"
    for tag, facts in ended.items():
        if facts is not None and facts.exact:
            (said,) = told[tag]
            seen = facts.status, facts.request_id, facts.usage, said.whole
            assert seen == ("completed", tag, said.usage, True), said
    # Whatever the server answered in full, and the client did not leave, is among them: but for a
    # few whose time was up between the end of the text and the usage behind it.
    completed = [(said, ended[tag]) for tag, (said,) in told.items() if is_completed(ended[tag])]
    assert all(said.whole for said, _ in completed)
    vague = [(said, facts) for said, facts in completed if not facts.exact]
    assert all(facts.usage is None for _, facts in vague), vague
    assert len(vague) <= len(completed) / 50, vague
    return soak.check_ledger({tag: said.usage for tag, (said,) in told.items()})


def is_completed(facts):
    assert facts is not None
    return facts.status == "completed"


def is_enough(outcomes, weather):
    seen = outcomes.keys() >= ENDINGS and weather.kinds.keys() >= NAMED
    return seen and len(weather.books) > ENOUGH


async def test_half_an_hour_of_bad_weather_leaves_nothing_behind(tmp_path, addresses):
    clock, began = FastClock(MINUTES * 60 / SECONDS), None
    weather = Weather(1, lambda: 0 if began is None else (clock.now() - began) / 60)
    tasks, files = asyncio.all_tasks(), descriptors()
    async with Upstream(default=weather) as server:
        addresses(server.url)
        soak = Soak(tmp_path, clock)
        await soak.warm_up()
        began = clock.now()
        await soak.run(SECONDS / 8)  # fills pools, caches and free lists
        server.requests.clear()
        with Traced() as memory:
            await soak.run(SECONDS * 7 / 8, partial(is_enough, soak.outcomes, weather))
            requests = len(weather.books)
            await server.all_answered(within=10)  # nobody keeps what nobody reads
            entries = check_books(soak, weather)
            assert soak.outcomes.keys() >= ENDINGS
            assert weather.kinds.keys() >= NAMED
            print(f"{requests} requests, {dict(soak.outcomes)}, {weather.kinds}")
            await soak.end(entries)
            await server.all_closed(within=10)
            await quiet()
            assert asyncio.all_tasks() == tasks
            assert timers() == []
            del soak, entries
            weather.books.clear()
            server.requests.clear()
            await quiet()
        print(memory.held, memory.peak)
        assert memory.held < 2 * 2**20  # two of the huge texts may be remembered
        assert memory.peak < 200 * 2**20
    await quiet()
    assert asyncio.all_tasks() == tasks
    assert descriptors() <= files
    assert requests > ENOUGH
