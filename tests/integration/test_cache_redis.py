"""cache() over a Redis server that is restarted, or out of reach, in the midst of traffic."""

from __future__ import annotations

import asyncio
import logging

import pytest
from redis import Redis

from scallion import build_pipeline, stores
from scallion.middlewares import cache
from scallion.providers import openai
from support.proxy import Proxy
from support.upstream import Upstream, completion
from support.valkey import Valkey

pytestmark = pytest.mark.integration

QUESTIONS = 10


def reply(request):
    return completion(f"To {request.json['messages'][-1]['content']}", model="gpt-4o")


@pytest.fixture
async def upstream():
    async with Upstream(default=reply) as upstream:
        yield upstream


@pytest.fixture
def server():
    with Valkey() as server:
        yield server


def pipeline(upstream, port):
    store = stores.redis(f"redis://127.0.0.1:{port}/0", timeout=0.25)
    provider = openai(api_key="key", base_url=f"{upstream.url}/v1")
    return build_pipeline([cache(store, ttl=60)], provider=provider, model="gpt-4o")


class Traffic:
    """Callers who ask one thing after the other, and note whatever is not the answer."""

    def __init__(self, llm):
        self._llm = llm
        self._ends = False
        self._tasks = []
        self.asked = 0
        self.wrong = []

    async def _call(self, number):
        while not self._ends:
            number = (number * 7 + 3) % QUESTIONS
            try:
                said = (await self._llm.complete(f"question {number}")).text
            except Exception as error:  # noqa: BLE001 - whatever it is, it is wrong
                said = error
            self.asked += 1
            await asyncio.sleep(0)  # a hit may not wait for anything
            if said != f"To question {number}":
                self.wrong.append(said)

    async def more(self, calls):
        """Wait until so many more calls were answered."""
        goal = self.asked + calls
        async with asyncio.timeout(30):
            while self.asked < goal:  # noqa: ASYNC110
                await asyncio.sleep(0.002)

    async def __aenter__(self):
        await self._llm.provider.warm_up()
        self._tasks = [asyncio.create_task(self._call(number)) for number in range(20)]
        return self

    async def __aexit__(self, *exc_info):
        self._ends = True
        await asyncio.gather(*self._tasks)


async def hits(llm):
    """Whether the cache works."""
    await llm.complete("after all")
    await llm.middlewares[0].store.get("x")
    async with asyncio.timeout(10):
        while not (await llm.complete("after all")).cached:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return True


async def test_no_call_fails_when_the_server_is_restarted(upstream, server, caplog):
    async with pipeline(upstream, server.port) as llm:
        async with Traffic(llm) as traffic:
            await traffic.more(100)
            before = upstream.count
            assert before <= QUESTIONS
            server.kill()
            await traffic.more(100)
            assert upstream.count > before  # each was asked upstream
            server.start()
            await traffic.more(200)
        assert traffic.wrong == []
        assert await hits(llm)
        assert llm.middlewares[0].store_failures
    warnings = [r for r in caplog.records if r.name == "scallion" and r.levelno >= logging.WARNING]
    assert len(warnings) == 1  # it all took less than a minute


async def test_no_call_fails_when_the_network_stands_still(upstream, server):
    async with Proxy(server.port).running() as proxy, pipeline(upstream, proxy.port) as llm:
        async with Traffic(llm) as traffic:
            await traffic.more(100)
            proxy.block()
            await traffic.more(40)
            proxy.unblock()
            await traffic.more(200)
            proxy.cut()
            await traffic.more(200)
        assert traffic.wrong == []
        assert await hits(llm)


async def test_closing_does_not_wait_for_a_network_that_stands_still(upstream, server):
    async with Proxy(server.port).running() as proxy:
        llm = pipeline(upstream, proxy.port)
        await llm.complete("one")
        proxy.block()
        await llm.complete("two")
        async with asyncio.timeout(5):
            await llm.aclose()


async def test_a_user_who_may_not_run_scripts_has_a_cache_and_no_single_flight(
    upstream, server, caplog
):
    with Redis.from_url(server.url) as admin:
        admin.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "-@scripting")
    store = stores.redis(f"redis://app:pw@127.0.0.1:{server.port}/0")
    provider = openai(api_key="key", base_url=f"{upstream.url}/v1")
    async with build_pipeline([cache(store)], provider=provider, model="gpt-4o") as llm:
        with caplog.at_level(logging.WARNING, "scallion"):
            assert await hits(llm)
        assert "no permissions to run the 'evalsha' command" in caplog.text
        assert llm.middlewares[0].store_failures >= 1
        with pytest.raises(stores.StoreError, match="evalsha"):
            await store.reserve(stores.Claim("team", 1, 1), ttl=60)
