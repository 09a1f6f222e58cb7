"""Ask once, and answer equal requests from what was answered before."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from scallion._layer import Layer, not_default
from scallion.exceptions import InvalidRequestError, LLMClientError
from scallion.stores import memory

from ._cache_entry import Entry, answer_of, entry_for, envelope, replay
from ._cache_flight import Flight
from ._cache_key import canonical, request_key
from ._cache_memory import Digests
from ._cache_recording import Recordings
from ._cache_shelf import LEASE, Shelf

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Annotated

    from scallion._clock import Clock
    from scallion._pipeline import Handler
    from scallion._request import Request
    from scallion._response import Outcome, Response
    from scallion.stores import Cipher, Lease, Store
else:
    from typing import Annotated

Mode = Literal["read_write", "read_only", "write_only", "record", "replay", "off"]

READS: Final = frozenset({"read_write", "read_only", "replay"})
WRITES: Final = frozenset({"read_write", "write_only", "record"})
RECORDINGS: Final = frozenset({"record", "replay"})
UNKEYED: Final = (LLMClientError, TypeError, ValueError, OverflowError, RecursionError)
"""What a key cannot be made of. The provider says better what is wrong with such a request."""


class CacheStats(Struct):
    """What a cache has done so far.

    Attributes:
        hits: Calls answered from the store.
        joined: Calls answered by an equal call that was under way in this process.
        misses: Calls that were sent on because there was no answer, or none was wanted.
        bypassed: Calls that it left alone (`mode="off"`, `sampled=False`, no key).
        stored: Answers that were stored.
    """

    hits: int = 0
    joined: int = 0
    misses: int = 0
    bypassed: int = 0
    stored: int = 0


class CacheLayer(Layer):
    """What `cache()` returns: the layer, and what it has done.

    Attributes:
        stats: Its counts.
    """

    __slots__ = ("_shelf", "stats")

    def __init__(
        self, arguments: dict[str, Any], run: Any, stats: CacheStats, shelf: Shelf
    ) -> None:
        super().__init__("cache", __name__, arguments, run)
        self.stats = stats
        self._shelf = shelf

    @property
    def store_failures(self) -> int:
        """How often the store failed."""
        return self._shelf.failures

    async def aclose(self) -> None:
        """Finish what is still to be stored, and close the store's connections."""
        await self._shelf.store.aclose()


class Wishes(Struct, frozen=True, forbid_unknown_fields=True):
    """What one call wants of the cache: its `cache={…}`.

    Attributes:
        no_cache: Ask anew, and store the answer.
        no_store: Do not store the answer.
        max_age: Take no answer that is older, in seconds.
    """

    no_cache: bool = False
    no_store: bool = False
    max_age: Annotated[float, Meta(ge=0)] | None = None


def cache(
    store: Store | None = None,
    *,
    ttl: float | None = None,
    mode: Mode = "read_write",
    namespace: str = "",
    single_flight: bool = True,
    sampled: bool = True,
    ignore: Collection[str] = (),
    key: Callable[..., str] | None = None,
    max_bytes: int = 2**20,
    wait: float = 60.0,
    on_error: Literal["pass", "raise"] = "pass",
    compress: Literal["zlib", "zstd"] | None = None,
    cipher: Cipher | None = None,
) -> CacheLayer:
    """Answer equal requests from a store. Such an answer has `cached` set, and costs nothing.

    What is equal, `request_key` says: the whole request, the account and the tenant. Complete and
    streamed calls share their answers. Only whole answers are stored: no errors, nothing that
    was cut off or closed half-way, nothing that a filter stopped. One call can say
    `cache={"no_cache": True, "no_store": True, "max_age": 60}` for itself.

    Equal calls at the same time are one call: the others wait for its end, in this process and in
    all that share the store. If it fails or is cancelled, its error is its own, and one of those
    who waited tries next.

    Calls that sample (no `temperature=0`, no `seed`) are cached like all others: they get the same
    answer again, where the model might have given another one. Most calls are of that kind, and
    many models take no temperature at all; whoever puts a cache there wants to pay once. Pass
    `sampled=False` where every call is to be a new draw, or `cache={"no_cache": True}` to one call.

    Args:
        store: `memory()` (by default one of its own), `sqlite(path)` or `redis(url)`.
        ttl: Seconds for which an answer is kept; `None`: as long as there is room.
        mode: `"read_write"`; `"read_only"`; `"write_only"`; `"record"`, which always asks and
            stores; `"replay"`, which never asks: a miss is a `CacheMissError` that shows how the
            nearest recorded request differs; `"off"`. What was recorded is replayed with any key
            and address: the account is not looked at in these two.
        namespace: Keeps apart what shares a store.
        single_flight: Whether equal calls at the same time are one.
        sampled: Whether calls that sample are cached.
        ignore: Parameters that do not matter; see `request_key`.
        key: What to use instead of `request_key`: called as `key(request, namespace=…, ignore=…)`.
        max_bytes: Answers that take more are not stored.
        wait: Seconds to wait for an equal call before asking as well.
        on_error: What to do if the store fails or is slow: `"pass"` goes on without it, with a
            warning (logger `scallion`) once a minute, `"raise"` raises. Replay always raises.
        compress: How to compress stored answers.
        cipher: Encrypts them; a `cryptography.fernet.Fernet` will do.

    Raises:
        ValueError: there is no such mode, or a limit makes no sense.
    """
    given = not_default(cache, locals())
    if mode not in READS | WRITES | {"off"}:
        raise ValueError(f"unknown mode {mode!r}")
    if on_error not in ("pass", "raise"):
        raise ValueError(f'on_error must be "pass" or "raise", not {on_error!r}')
    if (ttl is not None and not ttl > 0) or max_bytes < 1 or not wait >= 0:
        raise ValueError("ttl and max_bytes must be above 0, and wait not below")
    shelf = Shelf(
        memory() if store is None else store,
        envelope(compress, cipher),
        ttl=ttl,
        strict=on_error == "raise" or mode in RECORDINGS,
    )
    stats = CacheStats()
    recordings = Recordings(shelf, f"cache:{namespace}:recorded")
    left_out = {*ignore, "identity"} if mode in RECORDINGS else frozenset(ignore)
    flights: dict[tuple[asyncio.AbstractEventLoop, str], Flight] = {}
    known = Digests()
    # Calls that lead a flight, so that a second cache() further in does not wait for its own call.
    leading = "scallion cache leads"

    def name_of(request: Request) -> str | None:
        try:
            if key is not None:
                return f"cache:{key(request, namespace=namespace, ignore=left_out)}"
            made = request_key(request, namespace=namespace, ignore=left_out, memory=known)
        except UNKEYED as error:
            if mode in RECORDINGS:
                raise InvalidRequestError(f"this request cannot be recorded: {error}") from error
            return None
        return f"cache:{made}"

    async def middleware(request: Request, call_next: Handler) -> Response:
        wishes = NO_WISHES
        if "cache" in request.params:
            wishes, request = _wishes(request)
        name = name_of(request) if mode != "off" and (sampled or _settled(request)) else None
        if name is None:
            stats.bypassed += 1
            return await call_next(request)
        clock = request.context.clock
        stale = wishes.no_cache
        if mode == "replay" or (mode in READS and not wishes.no_cache):
            entry = await shelf.find(name, clock)
            answer = None if entry is None else answer_of(entry)
            if entry is not None and answer is not None:
                if mode == "replay" or _is_young(entry, wishes, clock):
                    stats.hits += 1
                    return replay(answer, request)
                stale = True
        if mode == "replay":
            raise await recordings.miss(canonical(request, ignore=left_out), clock)
        alone = stale or wishes.no_store or not single_flight or mode != "read_write"
        if not alone and name not in request.context.state.get(leading, ()):
            return await fly(name, request, call_next)
        return await ask(name, request, call_next, store=mode in WRITES and not wishes.no_store)

    async def ask(name: str, request: Request, call_next: Handler, *, store: bool) -> Response:
        stats.misses += 1
        if not store:
            return await call_next(request)
        recorded = canonical(request, ignore=left_out) if mode == "record" else None

        def keep(outcome: Outcome) -> None:
            put(name, entry_for(outcome, recorded), None, outcome.request.context.clock)

        return (await call_next(request)).on_settle(keep)

    def put(name: str, entry: Entry | None, lease: Lease | None, clock: Clock) -> None:
        data = None if entry is None else shelf.seal(entry)
        if data is not None and len(data) > max_bytes:
            data = None
        if data is not None:
            stats.stored += 1
        shelf.finish(name, data, lease, clock)
        if data is not None and mode == "record":
            recordings.note(name, clock)

    async def fly(name: str, request: Request, call_next: Handler) -> Response:
        clock, context = request.context.clock, request.context
        place = (asyncio.get_running_loop(), name)
        deadline = clock.now() + wait
        while (other := flights.get(place)) is not None:
            try:
                entry = await other.landed(clock, deadline)
            except builtins.TimeoutError:
                return await ask(name, request, call_next, store=True)
            answer = None if entry is None else answer_of(entry)
            if answer is not None:
                stats.joined += 1
                return replay(answer, request)
        flight = flights[place] = Flight()
        led: set[str] = context.state.setdefault(leading, set())
        led.add(name)

        def end(entry: Entry | None, *, store: bool) -> None:
            if flight.end(entry):
                led.discard(name)
                if flights.get(place) is flight:
                    del flights[place]
                if store or flight.lease is not None:
                    put(name, entry if store else None, flight.lease, clock)

        def settled(outcome: Outcome) -> None:
            end(entry_for(outcome, None), store=True)

        def renew() -> None:
            if not flight.ended and flight.lease is not None:
                flight.timer = clock.call_at(clock.now() + LEASE / 3, renew)
                shelf.renew(flight.lease, clock)

        try:
            found = await shelf.find_or_lease(name, clock, max(0.0, deadline - clock.now()))
            if isinstance(found, Entry):
                answer = answer_of(found)
                if answer is not None:
                    stats.hits += 1
                    end(found, store=False)
                    return replay(answer, request)
            elif found is not None:
                flight.lease = found
                flight.timer = clock.call_at(clock.now() + LEASE / 3, renew)
            stats.misses += 1
            response = await call_next(request)
        except BaseException:
            end(None, store=False)
            raise
        return response.on_settle(settled)

    return CacheLayer(given, middleware, stats, shelf)


NO_WISHES: Final = Wishes()


def _wishes(request: Request) -> tuple[Wishes, Request]:
    """What a call wants of the cache, and the call without that."""
    params = dict(request.params)
    asked = params.pop("cache")
    if not isinstance(asked, Mapping):
        raise InvalidRequestError(
            f'cache= takes a dict like {{"no_cache": True}}, not {type(asked).__name__}'
        )
    try:
        wishes = msgspec.convert(dict(asked), Wishes)
    except msgspec.ValidationError as error:
        known = ", ".join(Wishes.__struct_fields__)
        raise InvalidRequestError(f"cache={asked!r}: {error}. It knows {known}") from None
    return wishes, request.replace(params=params)


def _is_young(entry: Entry, wishes: Wishes, clock: Clock) -> bool:
    return wishes.max_age is None or clock.time() - entry.at <= wishes.max_age


def _settled(request: Request) -> bool:
    """Whether the same request is meant to give the same answer each time."""
    params = request.params
    return params.get("temperature") == 0 or params.get("seed") is not None
