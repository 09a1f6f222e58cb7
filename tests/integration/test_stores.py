"""What every store promises, asked of each backend."""

from __future__ import annotations

import asyncio
import pickle
import threading

import pytest

from scallion.stores import Balance, Claim, Lease, Refusal, Reservation, Store, Window
from support.stores import backend, valkey

__all__ = ["backend", "valkey"]

pytestmark = pytest.mark.integration

DAY = Window(86_400)
HOUR = Window(3_600, sliding=True)


@pytest.fixture
async def store(backend):
    async with backend.store() as opened:
        yield opened


def test_it_is_a_store(backend):
    assert isinstance(backend.store(), Store)


# ------------------------------------------------------------------------------------------ values


@pytest.mark.parametrize("value", [b"", b"\0", b'{"a": 1}', bytes(range(256)) * 4096])
async def test_a_value_comes_back_until_it_is_deleted(store, value):
    assert await store.get("key") is None
    await store.set("key", value)
    assert await store.get("key") == value
    await store.delete("key")
    assert await store.get("key") is None
    await store.delete("key")


async def test_the_newest_value_counts(store):
    await store.set("key", b"old")
    await store.set("key", b"new")
    assert await store.get("key") == b"new"


async def test_a_value_lives_as_long_as_it_was_told(backend, store):
    await store.set("short", b"value", ttl=10)
    await store.set("long", b"value", ttl=1000)
    await store.set("for ever", b"value")
    backend.pass_time(9.5)
    assert await store.get("short") == b"value"
    backend.pass_time(1)
    assert await store.get("short") is None
    assert await store.get("long") == await store.get("for ever") == b"value"
    await store.set("short", b"again")
    assert await store.get("short") == b"again"


async def test_a_new_value_brings_its_own_time(backend, store):
    await store.set("longer", b"old", ttl=10)
    await store.set("longer", b"new")
    await store.set("shorter", b"old")
    await store.set("shorter", b"new", ttl=10)
    backend.pass_time(11)
    assert await store.get("longer") == b"new"
    assert await store.get("shorter") is None


@pytest.mark.parametrize("key", ["a b", "é✓", "{tag}", "}{", "a:b:c", "'; --", "k" * 1000, "%s*?"])
async def test_any_text_is_a_key(store, key):
    await store.set(key, b"value", ttl=60)
    assert await store.get(key) == b"value"
    assert await store.get(key + "x") is None
    lease = await store.lease(key, ttl=60)
    assert await store.release(lease)
    assert isinstance(await store.reserve(Claim(key, 1, 1), ttl=60), Reservation)
    assert await store.balance(key) == Balance(0, 1, None)


@pytest.mark.parametrize(
    ("wrong", "arguments"),
    [
        (TypeError, ("key", "text", None)),
        (TypeError, ("key", None, None)),
        (TypeError, (1, b"", None)),
        (ValueError, ("", b"", None)),
        (ValueError, ("a\0b", b"", None)),
        (ValueError, ("\ud800", b"", None)),
        (ValueError, ("key", b"", 0)),
        (ValueError, ("key", b"", -1)),
        (ValueError, ("key", b"", float("nan"))),
        (ValueError, ("key", b"", float("inf"))),
    ],
)
async def test_what_cannot_be_stored_is_said_so(store, wrong, arguments):
    key, value, ttl = arguments
    with pytest.raises(wrong):
        await store.set(key, value, ttl=ttl)


# ------------------------------------------------------------------------------------------ leases


async def test_a_lease_has_one_owner(store):
    mine = await store.lease("key", ttl=10)
    assert mine is not None
    assert await store.lease("key", ttl=10) is None
    assert await store.lease("other", ttl=10) is not None
    assert await store.get("key") is None


async def test_only_its_owner_releases_a_lease_and_only_once(store):
    mine = await store.lease("key", ttl=10)
    assert not await store.release(Lease("key", "somebody else's"))
    assert await store.lease("key", ttl=10) is None
    assert await store.release(mine)
    assert not await store.release(mine)
    assert await store.lease("key", ttl=10) is not None


async def test_a_lease_ends_when_its_owner_died(backend, store):
    mine = await store.lease("key", ttl=10)
    backend.pass_time(10.5)
    assert not await store.renew(mine, ttl=10)
    yours = await store.lease("key", ttl=10)
    assert yours is not None
    assert not await store.release(mine)
    assert await store.release(yours)


async def test_a_renewed_lease_lives_on(backend, store):
    mine = await store.lease("key", ttl=10)
    backend.pass_time(9)
    assert await store.renew(mine, ttl=10)
    backend.pass_time(9)
    assert await store.lease("key", ttl=10) is None
    assert not await store.renew(Lease("key", "somebody else's"), ttl=10)


async def test_get_or_lease_gives_the_value_or_the_work_or_neither(store):
    mine = await store.get_or_lease("key", ttl=10)
    assert isinstance(mine, Lease)
    assert await store.get_or_lease("key", ttl=10) is None
    await store.set("key", b"value")
    assert await store.get_or_lease("key", ttl=10) == b"value"
    assert await store.release(mine)
    assert await store.get_or_lease("key", ttl=10) == b"value"


async def test_of_fifty_who_ask_at_once_one_gets_the_work(store):
    found = await asyncio.gather(*(store.get_or_lease("key", ttl=10) for _ in range(50)))
    assert sum(isinstance(one, Lease) for one in found) == 1
    assert found.count(None) == 49


# ----------------------------------------------------------------------------------------- budgets


async def test_a_hold_counts_until_it_is_settled(store):
    held = await store.reserve(Claim("team", 600, 1000), ttl=60)
    assert await store.balance("team") == Balance(0, 600, None)
    assert await store.settle(held, 250)
    assert await store.balance("team") == Balance(250, 0, None)


async def test_what_does_not_fit_is_refused_with_the_figures(backend, store):
    held = await store.reserve(Claim("team", 300, 1000, DAY), ttl=60)
    await store.settle(held, 300)
    await store.reserve(Claim("team", 400, 1000, DAY), ttl=60)
    too_much = Claim("team", 301, 1000, DAY)
    midnight = backend.clock.at - 1_000 + 86_400
    assert await store.reserve(too_much, ttl=60) == Refusal(too_much, 300, 400, midnight)
    assert isinstance(await store.reserve(Claim("team", 300, 1000, DAY), ttl=60), Reservation)
    assert await store.balance("team", window=DAY) == Balance(300, 700, midnight)


async def test_a_reservation_says_when_it_expires(backend, store):
    held = await store.reserve(Claim("team", 1, 1), ttl=60)
    assert held.expires_at == backend.clock.at + 60


async def test_a_settlement_counts_once(store):
    held = await store.reserve(Claim("team", 600, 1000), ttl=60)
    first, *others = await asyncio.gather(*(store.settle(held, 100) for _ in range(10)))
    assert [first, *others].count(True) == 1
    assert not await store.release(held)
    assert await store.balance("team") == Balance(100, 0, None)


async def test_a_released_hold_costs_nothing(store):
    held = await store.reserve(Claim("team", 1000, 1000), ttl=60)
    assert await store.release(held)
    assert not await store.settle(held, 1000)
    assert await store.balance("team") == Balance(0, 0, None)


async def test_more_may_be_spent_than_was_held_and_then_nothing_fits(store):
    held = await store.reserve(Claim("team", 10, 1000), ttl=60)
    await store.settle(held, 2000)
    assert await store.balance("team") == Balance(2000, 0, None)
    refusal = await store.reserve(Claim("team", 0, 1000), ttl=60)
    assert isinstance(refusal, Refusal)


async def test_the_hold_of_an_owner_that_died_no_longer_counts(backend, store):
    await store.reserve(Claim("team", 600, 1000), ttl=60)
    backend.pass_time(30)
    await store.reserve(Claim("team", 300, 1000), ttl=60)
    assert isinstance(await store.reserve(Claim("team", 600, 1000), ttl=60), Refusal)
    backend.pass_time(31)
    assert await store.balance("team") == Balance(0, 300, None)
    assert isinstance(await store.reserve(Claim("team", 600, 1000), ttl=60), Reservation)


async def test_an_owner_that_was_only_slow_still_pays_once(backend, store):
    held = await store.reserve(Claim("team", 600, 1000), ttl=60)
    backend.pass_time(3600)
    assert await store.balance("team") == Balance(0, 0, None)
    assert await store.settle(held, 500)
    assert not await store.settle(held, 500)
    assert await store.balance("team") == Balance(500, 0, None)


async def test_after_a_day_a_lost_reservation_is_forgotten(backend, store):
    held = await store.reserve(Claim("team", 600, 1000), ttl=60)
    backend.pass_time(60 + 86_400 + 1)
    assert not await store.settle(held, 500)
    assert await store.balance("team") == Balance(0, 0, None)


async def test_a_settlement_does_not_shorten_the_memory_of_longer_holds(backend, store):
    long = await store.reserve(Claim("team", 5, 10, Window(100)), ttl=700)
    short = await store.reserve(Claim("team", 5, 10, Window(100)), ttl=10)
    await store.settle(short, 5)
    backend.pass_time(86_400 + 600)
    assert await store.settle(long, 3)
    assert (await store.balance("team", window=Window(100))).spent == 3


async def test_a_fixed_window_begins_anew(backend, store):
    claim = Claim("team", 900, 1000, DAY)
    await store.settle(await store.reserve(claim, ttl=60), 900)
    backend.pass_time(86_400 - 1_001)
    assert isinstance(await store.reserve(claim, ttl=60), Refusal)
    backend.pass_time(2)
    held = await store.reserve(claim, ttl=60)
    assert isinstance(held, Reservation)
    assert (await store.balance("team", window=DAY)).spent == 0


async def test_a_hold_over_midnight_counts_in_both_days(backend, store):
    claim = Claim("team", 900, 1000, DAY)
    backend.pass_time(86_400 - 1_001)
    held = await store.reserve(claim, ttl=60)
    backend.pass_time(2)
    assert isinstance(await store.reserve(claim, ttl=60), Refusal)
    await store.settle(held, 800)
    assert (await store.balance("team", window=DAY)).spent == 800


async def test_a_sliding_window_gives_back_what_is_older_than_it(backend, store):
    for _ in range(10):
        await store.settle(await store.reserve(Claim("team", 100, 1000, HOUR), ttl=60), 100)
        backend.pass_time(360)
    one_more = Claim("team", 100, 1000, HOUR)
    refusal = await store.reserve(one_more, ttl=60)
    assert isinstance(refusal, Refusal)
    assert refusal.spent == 1000
    # The first was an hour ago. It is let go as soon as all of its minute is.
    assert 0 < refusal.resets_at - backend.clock.at <= 60
    backend.pass_time(refusal.resets_at - backend.clock.at)
    assert isinstance(await store.reserve(one_more, ttl=60), Reservation)
    assert (await store.balance("team", window=HOUR)).spent == 900


async def test_an_untouched_sliding_window_has_nothing_to_reset(store):
    assert await store.balance("team", window=HOUR) == Balance(0, 0, None)


async def test_windows_of_one_key_do_not_mix(store):
    held = await store.reserve(
        Claim("team", 1, 10), Claim("team", 2, 10, DAY), Claim("team", 3, 10, HOUR), ttl=60
    )
    await store.settle(held, 4, 5, 6)
    balances = [await store.balance("team", window=window) for window in (None, DAY, HOUR)]
    assert [balance.spent for balance in balances] == [4, 5, 6]


async def test_several_claims_hold_all_or_nothing(store):
    tight = Claim("tenant", 11, 10)
    refusal = await store.reserve(Claim("pipeline", 11, 100), tight, ttl=60)
    assert refusal == Refusal(tight, 0, 0, None)
    assert await store.balance("pipeline") == Balance(0, 0, None)
    held = await store.reserve(Claim("pipeline", 11, 100), Claim("tenant", 11, 11), ttl=60)
    assert await store.settle(held, 5, 6)
    assert await store.balance("pipeline") == Balance(5, 0, None)
    assert await store.balance("tenant") == Balance(6, 0, None)


async def test_amounts_are_exact_up_to_2_to_the_53rd(store):
    most = 2**53 - 1
    held = await store.reserve(Claim("team", most - 1, most), ttl=60)
    assert isinstance(await store.reserve(Claim("team", 2, most), ttl=60), Refusal)
    one = await store.reserve(Claim("team", 1, most), ttl=60)
    assert await store.balance("team") == Balance(0, most, None)
    await store.settle(held, most - 1)
    await store.settle(one, 1)
    assert await store.balance("team") == Balance(most, 0, None)


async def test_wrong_budgets_are_said_so(store):
    with pytest.raises(TypeError, match="whole numbers"):
        Claim("team", 0.5, 1)
    with pytest.raises(ValueError, match="amount"):
        Claim("team", -1, 1)
    with pytest.raises(ValueError, match="amount"):
        Claim("team", 1, 2**53)
    with pytest.raises(ValueError, match="window"):
        Window(0)
    with pytest.raises(ValueError, match="one claim or more"):
        await store.reserve(ttl=60)
    with pytest.raises(ValueError, match="another key"):
        await store.reserve(Claim("team", 1, 1), Claim("team", 2, 2), ttl=60)
    held = await store.reserve(Claim("team", 1, 1), ttl=60)
    with pytest.raises(ValueError, match="2 amounts for 1"):
        await store.settle(held, 1, 2)
    with pytest.raises(ValueError, match="amount"):
        await store.settle(held, -1)


# ------------------------------------------------------------------------------------------- races


async def test_of_fifty_at_once_exactly_those_that_fit_are_admitted(store):
    # Scenario 6: a cap of $0.001 and a worst case of $0.00039, in billionths of a dollar.
    claim = Claim("team", 390_000, 1_000_000)
    found = await asyncio.gather(*(store.reserve(claim, ttl=60) for _ in range(50)))
    held = [one for one in found if isinstance(one, Reservation)]
    assert len(held) == 2
    assert all(one.reserved == 780_000 for one in found if isinstance(one, Refusal))
    await asyncio.gather(*(store.settle(one, 90_000) for one in held))
    assert await store.balance("team") == Balance(180_000, 0, None)
    again = await asyncio.gather(*(store.reserve(claim, ttl=60) for _ in range(50)))
    assert sum(isinstance(one, Reservation) for one in again) == 2


async def test_the_cap_holds_in_a_thousand_way_race(store):
    limit, spent, most = 5_000, 0, 0

    async def call(number: int) -> None:
        nonlocal spent, most
        held = await store.reserve(Claim("team", 100, limit), ttl=60)
        if isinstance(held, Refusal):
            assert held.spent + held.reserved + 100 > limit
            return
        balance = await store.balance("team")
        most = max(most, balance.spent + balance.reserved)
        actual = number % 100
        if number % 7 == 0:
            await store.release(held)
        else:
            await store.settle(held, actual)
            spent += actual

    await asyncio.gather(*(call(number) for number in range(1000)))
    assert most <= limit
    assert await store.balance("team") == Balance(spent, 0, None)


def test_one_store_serves_the_loops_of_many_threads(backend):
    store = backend.store()
    counts = []

    async def spend() -> None:
        found = await asyncio.gather(
            *(store.reserve(Claim("team", 1, 100), ttl=60) for _ in range(50))
        )
        held = [one for one in found if isinstance(one, Reservation)]
        await asyncio.gather(*(store.settle(one, 1) for one in held))
        await store.set(str(len(counts)), b"value")
        counts.append(len(held))

    threads = [threading.Thread(target=asyncio.run, args=(spend(),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 100

    async def look() -> Balance:
        async with store:
            return await store.balance("team")

    assert asyncio.run(look()) == Balance(100, 0, None)


def test_one_store_serves_one_loop_after_the_other(backend):
    store = backend.store()

    async def add() -> int:
        held = await store.reserve(Claim("team", 1, 100), ttl=60)
        await store.settle(held, 1)
        return (await store.balance("team")).spent

    assert [asyncio.run(add()) for _ in range(20)] == list(range(1, 21))
    asyncio.run(store.aclose())


async def test_a_closed_store_opens_again(store):
    await store.set("key", b"value")
    await store.aclose()
    await store.aclose()
    assert await store.get("key") == b"value"


async def test_two_stores_share_what_they_keep(backend):
    async with backend.store() as mine, backend.store() as yours:
        await mine.set("key", b"value")
        assert await yours.get("key") == b"value"
        lease = await mine.lease("key", ttl=60)
        assert await yours.lease("key", ttl=60) is None
        assert await yours.release(lease)
        held = await mine.reserve(Claim("team", 7, 10), ttl=60)
        assert await yours.balance("team") == Balance(0, 7, None)
        assert await yours.settle(held, 6)
        assert await mine.balance("team") == Balance(6, 0, None)


# ------------------------------------------------------------- callbacks, cancellation and pickles


def test_what_a_callback_starts_is_done_even_if_the_loop_ends_at_once(backend):
    store = backend.store()

    async def call() -> None:
        held = await store.reserve(Claim("team", 600, 1000), ttl=60)
        store.soon(store.settle, held, 100)
        store.soon(store.set, "key", b"value")

    asyncio.run(call())

    async def look() -> tuple[Balance, bytes | None]:
        async with store:
            return await store.balance("team"), await store.get("key")

    assert asyncio.run(look()) == (Balance(100, 0, None), b"value")


async def test_a_thread_without_an_event_loop_may_start_it_too(store):
    held = await store.reserve(Claim("team", 10, 10), ttl=60)
    store.soon(store.set, "key", b"value")
    await asyncio.to_thread(store.soon, store.settle, held, 4)
    assert await store.balance("team") == Balance(4, 0, None)


def test_without_any_event_loop_only_memory_can_start_it(backend):
    store = backend.store()
    held = asyncio.run(store.reserve(Claim("team", 10, 10), ttl=60))
    if backend.name == "memory":
        store.soon(store.settle, held, 4)
        assert asyncio.run(store.balance("team")) == Balance(4, 0, None)
    else:
        with pytest.raises(RuntimeError, match="no running event loop"):
            store.soon(store.settle, held, 4)
        asyncio.run(store.aclose())


async def test_what_callbacks_give_back_is_there_for_the_next_reservation(store):
    for _ in range(20):
        held = await store.reserve(Claim("team", 1000, 1000), ttl=60)
        assert isinstance(held, Reservation)
        store.soon(store.settle, held, 0)
    assert await store.balance("team") == Balance(0, 0, None)


async def test_closing_waits_for_what_callbacks_started(backend):
    store = backend.store()
    held = await store.reserve(Claim("team", 1000, 1000), ttl=60)
    store.soon(store.settle, held, 1)
    await store.aclose()
    async with backend.store() as other:
        assert await other.balance("team") == Balance(1, 0, None)


@pytest.mark.parametrize("turns", range(12))
async def test_a_cancelled_call_leaves_nothing_behind(store, turns):
    await store.get("key")  # opened, or the first turns would all be spent on that

    async def cancel_after(turns: int, call: asyncio.Task[object]) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
        if not call.cancelled() and call.result() is not None:
            await store.release(call.result())

    for ask in (
        lambda: store.reserve(Claim("team", 600, 1000), Claim("tenant", 1, 1), ttl=60),
        lambda: store.lease("key", ttl=60),
        lambda: store.get_or_lease("other", ttl=60),
    ):
        await cancel_after(turns, asyncio.ensure_future(ask()))
    await store.aclose()
    assert await store.balance("team") == Balance(0, 0, None)
    assert await store.balance("tenant") == Balance(0, 0, None)
    assert await store.lease("key", ttl=60) is not None
    assert await store.lease("other", ttl=60) is not None


async def test_a_store_pickles_as_its_arguments(backend):
    async with backend.store() as store:
        await store.set("key", b"value")
        async with pickle.loads(pickle.dumps(store)) as other:
            assert repr(other) == repr(store)
            # Memory is not shared: what is rebuilt is empty.
            assert await other.get("key") == (None if backend.name == "memory" else b"value")
