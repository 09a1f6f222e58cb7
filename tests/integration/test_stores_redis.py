"""The Redis store when the server or the network misbehaves, and what it tells a server."""

from __future__ import annotations

import asyncio
import logging
import pickle
import subprocess
import sys
import threading
import time
from functools import partial

import pytest
from redis import Redis

from scallion import stores
from scallion.stores import Balance, Claim, Refusal, Reservation, StoreError, Window
from support.proxy import Proxy
from support.valkey import Valkey, valkey

__all__ = ["valkey"]

pytestmark = pytest.mark.integration


@pytest.fixture
async def proxy(valkey):
    async with Proxy(valkey.port).running() as running:
        yield running


@pytest.fixture
async def store(proxy, request):
    url = f"redis://127.0.0.1:{proxy.port}/0"
    async with stores.redis(url, namespace=request.node.name, timeout=0.5) as opened:
        await opened.get("key")
        yield opened


async def test_an_operation_is_one_round_trip(store, proxy):
    held = await store.reserve(Claim("team", 1, 10), ttl=60)
    await store.settle(held, 1)
    lease = await store.lease("key", ttl=60)
    await store.release(lease)
    operations = (
        lambda: store.get("key"),
        lambda: store.set("key", b"value", ttl=60),
        lambda: store.reserve(Claim("team", 1, 10), Claim("tenant", 1, 10), ttl=60),
        lambda: store.settle(held, 1),
        lambda: store.balance("team"),
        lambda: store.lease("key", ttl=60),
        lambda: store.get_or_lease("key", ttl=60),
        lambda: store.renew(lease, ttl=60),
        lambda: store.release(lease),
        lambda: store.delete("key"),
    )
    for operation in operations:
        before = proxy.requests
        await operation()
        assert proxy.requests == before + 1
    assert proxy.connections == 1


async def test_connections_are_pooled_and_bounded(valkey, proxy):
    url = f"redis://127.0.0.1:{proxy.port}/0"
    async with stores.redis(url, namespace="pooled", max_connections=4) as store:
        await asyncio.gather(*(store.set(str(number), b"value") for number in range(200)))
        assert proxy.connections == 4


async def test_a_network_that_stands_still_is_a_typed_error_in_time_and_then_forgotten(
    store, proxy
):
    loop = asyncio.get_running_loop()
    proxy.block()
    began = loop.time()
    found = await asyncio.gather(
        store.get("key"),
        store.set("key", b"value"),
        store.reserve(Claim("team", 1, 10), ttl=60),
        store.lease("key", ttl=60),
        return_exceptions=True,
    )
    assert loop.time() - began < 2
    assert [type(error) for error in found] == [StoreError] * 4
    assert "took longer than 0.5 s" in str(found[0])
    proxy.unblock()
    await store.set("key", b"value")
    assert await store.get("key") == b"value"


async def test_what_a_timed_out_call_took_is_given_back_when_the_network_recovers(store, proxy):
    await store.balance("team")
    proxy.block()
    with pytest.raises(StoreError):
        await store.reserve(Claim("team", 10, 10), ttl=60)
    proxy.unblock()
    assert await store.balance("team") == Balance(0, 0, None)


async def test_cut_connections_are_replaced_without_an_error(store, proxy):
    await asyncio.gather(*(store.get("key") for _ in range(10)))
    for number in range(5):
        proxy.cut()
        await store.set("key", str(number).encode())
        assert await store.get("key") == str(number).encode()
        held = await store.reserve(Claim("team", 1, 5), ttl=60)
        assert isinstance(held, Reservation)
        assert await store.settle(held, 1)
    assert await store.balance("team") == Balance(5, 0, None)


async def test_what_was_done_before_the_answer_was_lost_is_not_done_twice(store, proxy):
    await store.balance("team")
    proxy.lose_one_in = 3  # of every three answers of a script, one never arrives
    spent = 0

    async def call() -> None:
        nonlocal spent
        for _ in range(20):
            held = await until_it_works(lambda: store.reserve(Claim("team", 7, 10**6), ttl=60))
            await until_it_works(partial(store.settle, held, 5))
            spent += 5

    await asyncio.gather(*(call() for _ in range(5)))
    proxy.lose_one_in = 0
    assert proxy.lost > 50
    balance = await store.balance("team")
    assert balance.spent == spent == 500


async def test_a_reservation_whose_answer_was_lost_is_held_once(store, proxy):
    await store.balance("team")
    proxy.lose_next = True
    held = await store.reserve(Claim("team", 7, 10), ttl=60)
    assert proxy.lost == 1
    assert await store.balance("team") == Balance(0, 7, None)
    await store.settle(held, 5)
    assert await store.balance("team") == Balance(5, 0, None)


async def until_it_works(operation):
    for _ in range(50):
        try:
            return await operation()
        except StoreError:
            continue
    raise AssertionError("the store did not recover")


async def test_a_restarted_server_is_found_again():
    with Valkey() as server:
        async with stores.redis(server.url, timeout=0.5) as store:
            await store.set("key", b"value")
            held = await store.reserve(Claim("team", 1, 10), ttl=60)
            server.kill()
            for _ in range(3):
                with pytest.raises(StoreError, match="get failed"):
                    await store.get("key")
            with pytest.raises(StoreError):
                await store.settle(held, 1)
            server.start()
            # The server forgot everything, its scripts included.
            assert await store.get("key") is None
            assert not await store.settle(held, 1)
            assert isinstance(await store.reserve(Claim("team", 10, 10), ttl=60), Reservation)


async def test_traffic_goes_on_after_a_restart_in_its_midst():
    with Valkey() as server:
        async with stores.redis(server.url, timeout=0.5) as store:
            failures = 0

            async def call() -> None:
                nonlocal failures
                for _ in range(40):
                    try:
                        await store.set("key", b"value", ttl=60)
                        await store.get("key")
                    except StoreError:
                        failures += 1
                    await asyncio.sleep(0.002)

            calls = [asyncio.create_task(call()) for _ in range(20)]
            await asyncio.sleep(0.02)
            server.kill()
            await asyncio.sleep(0.02)
            server.start()
            await asyncio.gather(*calls)
            assert failures
            assert await store.get("key") in {b"value", None}
            await store.set("key", b"value")
            assert await store.get("key") == b"value"


async def test_a_cancelled_call_gives_back_what_the_server_gave_it(store, proxy):
    await store.reserve(Claim("other", 1, 1), ttl=60)
    await store.release(await store.lease("key", ttl=60))
    proxy.block()
    calls = [
        asyncio.create_task(store.reserve(Claim("team", 10, 10), ttl=60)),
        asyncio.create_task(store.lease("key", ttl=60)),
    ]
    await asyncio.sleep(0.01)
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    assert all(call.cancelled() for call in calls)
    proxy.unblock()
    await store.aclose()
    assert await store.balance("team") == Balance(0, 0, None)
    assert await store.lease("key", ttl=60) is not None


async def test_nothing_is_given_back_before_the_server_had_given_it(store, proxy):
    await store.balance("team")
    proxy.block_existing()
    call = asyncio.create_task(store.reserve(Claim("team", 10, 10), ttl=60))
    await asyncio.sleep(0.02)
    call.cancel()
    await asyncio.sleep(0.05)  # time enough to be given back too early, over another connection
    proxy.unblock()
    assert await store.balance("team") == Balance(0, 0, None)


async def test_a_loop_ends_that_has_something_to_give_back(proxy):
    """In another loop, at the end of its own, which the call would have had its answer from."""
    here = asyncio.get_running_loop()

    async def main():
        store = stores.redis(f"redis://127.0.0.1:{proxy.port}/0", timeout=0.5)
        await store.balance("team")
        here.call_soon_threadsafe(proxy.block)
        await asyncio.sleep(0.05)
        call = asyncio.create_task(store.reserve(Claim("team", 10, 10), ttl=60))
        await asyncio.sleep(0.05)
        call.cancel()
        await asyncio.wait([call])

    thread = threading.Thread(target=asyncio.run, args=(main(),), daemon=True)
    thread.start()
    await asyncio.to_thread(thread.join, 20)
    assert not thread.is_alive()
    proxy.unblock()


async def test_an_error_of_what_a_callback_started_is_reported(caplog):
    store = stores.redis("redis://127.0.0.1:1/0", timeout=0.2)
    with caplog.at_level(logging.ERROR, "asyncio"):
        store.soon(store.set, "key", b"value")
        await store.aclose()
    assert "could not finish what a callback had started" in caplog.text
    assert "set failed" in caplog.text


# --------------------------------------------------------------------------------- keys and secrets


async def test_keys_stay_in_their_namespace_and_go_when_they_no_longer_matter(valkey):
    with Redis.from_url(valkey.url) as raw:
        raw.flushall()
        async with stores.redis(valkey.url, namespace="mine") as store:
            await store.set("a", b"value", ttl=60)
            await store.lease("a", ttl=60)
            held = await store.reserve(
                Claim("day", 1, 10, Window(86_400)), Claim("ever", 1, 10), ttl=60
            )
            await store.settle(held, 1, 1)
            keys = {key.decode() for key in raw.scan_iter()}
            assert all("mine" in key for key in keys)
            kept = {key for key in keys if raw.ttl(key) == -1}
            assert kept == {"{mine}:budget::ever:sums"}
            async with stores.redis(valkey.url, namespace="yours") as other:
                assert await other.get("a") is None
                assert await other.balance("ever") == Balance(0, 0, None)
        raw.flushall()


async def test_every_operation_keeps_to_one_slot_of_a_cluster(tmp_path):
    # A cluster of one: it owns all slots, and still refuses what crosses them.
    options = ("--cluster-enabled", "yes", "--dir", str(tmp_path))
    with Valkey(*options) as server:
        with Redis.from_url(server.url) as raw:
            raw.execute_command("CLUSTER", "ADDSLOTS", *range(16_384))
            while b"cluster_state:ok" not in raw.execute_command("CLUSTER", "INFO"):
                time.sleep(0.01)  # noqa: ASYNC251  (nothing else runs here)
        async with stores.redis(server.url) as store:
            await store.get_or_lease("key", ttl=60)
            held = await store.reserve(Claim("a", 1, 1), Claim("b", 1, 1, Window(60)), ttl=60)
            assert await store.settle(held, 1, 1)
            assert isinstance(await store.reserve(Claim("a", 1, 1), ttl=60), Refusal)


CANARY = "c4n4ry-s3cr3t"


@pytest.mark.parametrize(
    "url",
    [
        f"redis://user:{CANARY}@127.0.0.1:1/0",
        f"redis://:{CANARY}@127.0.0.1:1",
        f"redis://127.0.0.1:1/0?password={CANARY}",
        f"unix://user@/nowhere/redis.sock?db=0&password={CANARY}",
    ],
)
async def test_credentials_appear_nowhere(url, caplog):
    store = stores.redis(url, timeout=0.2)
    with pytest.raises(StoreError) as caught:
        await store.get("key")
    shown = [repr(store), store.url, str(caught.value), repr(caught.value), caplog.text]
    cause = caught.value.__cause__
    while cause is not None:
        shown.append(repr(cause))
        cause = cause.__cause__ or cause.__context__
    with pytest.raises(pickle.PicklingError, match="REDIS_URL") as refused:
        pickle.dumps(store)
    shown.append(str(refused.value))
    assert not any(CANARY in text for text in shown)
    await store.aclose()


async def test_a_url_from_the_environment_stays_there(valkey, monkeypatch):
    with Valkey("--requirepass", CANARY) as server:
        monkeypatch.setenv("REDIS_URL", server.url.replace("//", f"//:{CANARY}@"))
        async with stores.redis() as store:
            await store.set("key", b"value")
            pickled = pickle.dumps(store)
            assert CANARY.encode() not in pickled
            assert CANARY not in repr(store)
            async with pickle.loads(pickled) as other:
                assert await other.get("key") == b"value"


def test_a_wrong_url_is_said_so_at_once(monkeypatch):
    monkeypatch.delenv("REDIS_URL", raising=False)
    with pytest.raises(ValueError, match="REDIS_URL"):
        stores.redis()
    with pytest.raises(ValueError, match="redis://") as caught:
        stores.redis(f"http://user:{CANARY}@host")
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{CANARY}/x@host:6379/0",
        f"redis://:123/{CANARY}@host:6379/0",
        f"rediss://user:{CANARY}?x@host/0",
        f"redis://user:12#{CANARY}@host/0",
        f"redis://host:{CANARY}/0",
        "redis://host:99999/0",
    ],
)
def test_a_password_that_is_not_encoded_is_said_so_and_not_shown(url):
    with pytest.raises(ValueError, match="percent-encoded") as caught:
        stores.redis(url)
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


async def test_values_are_bytes_whatever_the_url_says(valkey):
    async with stores.redis(f"{valkey.url}?decode_responses=True") as store:
        await store.set("whatever", b"value")
        assert await store.get("whatever") == b"value"
        assert await store.get_or_lease("whatever", ttl=1) == b"value"


def test_without_redis_py_the_advice_is_to_install_it():
    code = (
        "import sys\n"
        "sys.modules['redis'] = None\n"
        "from scallion import stores\n"
        "stores.memory()\n"
        "try:\n    stores.redis\n"
        "except ImportError as error:\n    print(error)\n"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert "pip install 'scallion[redis]'" in output
