"""One pipeline on the workers of a real Dask cluster, with the cache and the budget on one server."""

from __future__ import annotations

import asyncio
import pickle
import random
from collections import Counter
from decimal import Decimal
from functools import partial

import pytest
from distributed import Client, LocalCluster

from scallion import build_pipeline, stores
from scallion.middlewares import budget, cache, cost
from scallion.providers import openai
from support.distributed_work import REFUSED, ask_all
from support.upstream import Upstream, completion
from support.valkey import Valkey

pytestmark = pytest.mark.integration

REQUESTS, DISTINCT, BATCH = 2_000, 400, 50
PRICE = Decimal("0.0000325")
"""What an answer costs: 5 tokens in and 2 out, by gpt-4o's price."""


def reply(request):
    question = request.json["messages"][-1]["content"]
    return completion(f"To {question}", model="gpt-4o", usage=(5, 2))


@pytest.fixture
def upstream():
    with Upstream(default=reply) as upstream:
        yield upstream


@pytest.fixture
def server(monkeypatch):
    with Valkey() as server:
        monkeypatch.setenv("REDIS_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "canary-key")
        yield server


@pytest.fixture
def cluster(server):
    """Two processes. They have the environment of this one, as machines of a fleet have theirs."""
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def pipeline(upstream, usd):
    return build_pipeline(
        [
            cost(),
            cache(stores.redis(), ttl=3600),
            budget(usd=usd, store=stores.redis(), max_output_tokens=16),
        ],
        provider=openai(base_url=f"{upstream.url}/v1"),
        model="gpt-4o",
    )


async def watched(client, llm, batches):
    """The answers of all batches, and every balance of the budget on the way to them."""
    futures = client.map(partial(ask_all, llm), batches, pure=False)
    gathering = asyncio.create_task(asyncio.to_thread(client.gather, futures))
    balances = []
    async with stores.redis() as store:
        while not gathering.done():
            balances.append(await store.balance("budget:usd:pipeline"))
            await asyncio.sleep(0.005)
        balances.append(await store.balance("budget:usd:pipeline"))
    return await gathering, balances


def nano(usd):
    return int(Decimal(usd) * 10**9)


async def test_two_workers_answer_2000_requests_with_each_distinct_one_sent_once(cluster, upstream):
    questions = [f"Question {number % DISTINCT}" for number in range(REQUESTS)]
    random.Random(4).shuffle(questions)
    batches = [questions[at : at + BATCH] for at in range(0, REQUESTS, BATCH)]
    usd = PRICE * DISTINCT + Decimal("0.05")  # and what is held for those under way

    found, balances = await watched(cluster, pipeline(upstream, usd), batches)

    answers = [answer for _, batch in found for answer in batch]
    assert answers == [f"To {question}" for question in questions]
    assert len({process for process, _ in found}) == 2
    sent = Counter(request.json["messages"][-1]["content"] for request in upstream.requests)
    assert sent == dict.fromkeys(set(questions), 1)
    assert {r.headers["authorization"] for r in upstream.requests} == {"Bearer canary-key"}
    assert max(b.spent + b.reserved for b in balances) <= nano(usd)
    assert (balances[-1].spent, balances[-1].reserved) == (nano(PRICE) * DISTINCT, 0)


async def test_two_workers_together_never_exceed_the_budget(cluster, upstream):
    questions = [f"Question {number}" for number in range(REQUESTS // 2)]
    batches = [questions[at : at + BATCH] for at in range(0, len(questions), BATCH)]
    usd = PRICE * 150

    found, balances = await watched(cluster, pipeline(upstream, usd), batches)

    answers = [answer for _, batch in found for answer in batch]
    admitted = [answer for answer in answers if answer != REFUSED]
    assert 0 < len(admitted) <= 150
    assert upstream.count == len(admitted)
    assert set(admitted) <= {f"To {question}" for question in questions}
    assert max(b.spent + b.reserved for b in balances) <= nano(usd)
    assert (balances[-1].spent, balances[-1].reserved) == (nano(PRICE) * len(admitted), 0)


async def test_what_goes_to_the_workers_holds_no_key_and_no_socket(server, upstream):
    llm = pipeline(upstream, 1)
    assert (await llm.complete("Hi", max_tokens=16)).text == "To Hi"  # with connections open
    sent = pickle.dumps(llm)
    for secret in ("canary-key", server.url):
        assert secret.encode() not in sent
    again = pickle.loads(sent)
    assert repr(again) == repr(llm)
    assert (await again.complete("Hi", max_tokens=16)).cached
    await again.aclose()
    await llm.aclose()
    assert upstream.count == 1
