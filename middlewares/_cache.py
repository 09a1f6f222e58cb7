"""Ask once, and answer equal requests from what was answered before."""

from __future__ import annotations

import asyncio
import logging
import math
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final, Literal

from scallion._layer import not_default
from scallion._opened import ask_apart
from scallion._request import Context
from scallion.exceptions import InvalidRequestError, LLMClientError
from scallion.stores._protocol import as_store

from ._cache_entry import Entry, answer_of, entry_for, envelope, replay
from ._cache_flight import PATIENCE, Flight
from ._cache_key import answerers, canonical, chooses_model, own_name, request_key
from ._cache_layer import CacheLayer, CacheStats
from ._cache_memory import Digests
from ._cache_recording import Recordings
from ._cache_refresh import Refreshes
from ._cache_shelf import Shelf, lists_itself
from ._cache_tape import Recorder
from ._cache_wishes import NO_WISHES, wishes_of
from ._seldom import Seldom

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from scallion._clock import Clock
    from scallion._outcome import Outcome
    from scallion._pipeline import Handler
    from scallion._request import Request
    from scallion._response import Response
    from scallion.stores import Cipher, Lease, Store
    from scallion.types import ModelResponse

    from ._cache_key import Answerer
    from ._cache_tape import Tape

Mode = Literal["read_write", "read_only", "write_only", "record", "record_new", "replay", "off"]

READS: Final = frozenset({"read_write", "read_only", "record_new", "replay"})
WRITES: Final = frozenset({"read_write", "write_only", "record", "record_new"})
RECORDINGS: Final = frozenset({"record", "record_new", "replay"})
FLIES: Final = READS & WRITES
GIVEN_UP: Final = ("cancelled", "closed", "abandoned")
NOBODY: Final[list[Answerer]] = []
UNKEYED: Final = (LLMClientError, TypeError, ValueError, OverflowError, RecursionError)
"""What a key cannot be made of. The provider says better what is wrong with such a request."""


def cache(
    store: Store | None = None,
    *,
    ttl: float | None = None,
    stale_while_revalidate: float = 0.0,
    mode: Mode = "read_write",
    namespace: str = "",
    single_flight: bool = True,
    sampled: bool = True,
    ignore: Collection[str] = (),
    key: Callable[..., str | None] | None = None,
    max_bytes: int = 2**20,
    wait: float = 60.0,
    on_error: Literal["pass", "raise"] = "pass",
    compress: Literal["zlib", "zstd"] | None = None,
    cipher: Cipher | None = None,
    timing: bool = False,
) -> CacheLayer:
    """Answer equal requests from a store. Such an answer has `cached` set, and costs nothing.

    What is equal, `request_key` says: the whole request, the account and the tenant. Complete and
    streamed calls share their answers. Only whole answers are stored: no errors, nothing that
    was cut off or closed half-way, nothing that a filter stopped. One call can say
    `cache={"no_cache": True, "no_store": True, "max_age": 60}` for itself.

    Equal calls at the same time are one call: the others wait for its end, in this process and in
    all that share the store. If it fails or is cancelled, its error is its own, and one of those
    who waited tries next; whoever has sat through two failures asks for itself.

    Calls that sample (no `temperature=0`, no `seed`) are cached like all others: they get the same
    answer again, where the model might have given another one. Most calls are of that kind, and
    many models take no temperature at all; whoever puts a cache there wants to pay once. The first
    one that is answered so is logged (level info), and `stats.sampled` counts them. Pass
    `sampled=False` where every call is to be a new draw, or `cache={"no_cache": True}` to one call.

    A call without a model is answered by the targets of a `fallback()` further in, and they are
    part of its key, as they are of any other call's. If nobody further in is known to choose, it is
    not cached.

    Args:
        store: `memory()` (by default one of its own), `sqlite(path)` or `redis(url)`.
        ttl: Seconds for which an answer is kept; `None`: as long as there is room.
        stale_while_revalidate: Seconds after `ttl` in which an answer is still given, at once,
            while one call in the background asks anew (RFC 5861).
        mode: `"read_write"`; `"read_only"`; `"write_only"`; `"record"`, which always asks and
            stores; `"replay"`, which never asks: a miss is a `CacheMissError` that shows how the
            nearest recorded request differs; `"record_new"`, which replays what is recorded, and
            records what is not; `"off"`. What was recorded is replayed with any key and address:
            the account is not looked at in these three, nor is any limit of size.
        namespace: Keeps apart what shares a store.
        single_flight: Whether equal calls at the same time are one.
        sampled: Whether calls that sample are cached.
        ignore: Parameters that do not matter; see `request_key`.
        key: What to use instead of `request_key`: called as `key(request, namespace=…, ignore=…)`.
            Calls for which it returns `None` are left alone. Tenants are kept apart in any case.
        max_bytes: Answers that take more are not stored.
        wait: Seconds to wait for an equal call before asking as well.
        on_error: What to do if the store fails or is slow: `"pass"` goes on without it, with a
            warning (logger `scallion`) once a minute, `"raise"` raises. Replay always raises.
        compress: How to compress stored answers. A cassette is there to be read, and does not.
        cipher: Encrypts them; a `cryptography.fernet.Fernet` will do.
        timing: Whether the chunks of a recorded stream are replayed when they came, and not at
            once.

    Raises:
        TypeError: `store` is no store, or `key` no function.
        ValueError: there is no such mode, or a limit makes no sense.
    """
    given = not_default(cache, locals())
    if mode not in READS | WRITES | {"off"}:
        modes = ", ".join(sorted(READS | WRITES | {"off"}))
        raise ValueError(f"unknown mode {mode!r}: there are {modes}")
    if on_error not in ("pass", "raise"):
        raise ValueError(f'on_error must be "pass" or "raise", not {on_error!r}')
    if (ttl is not None and not ttl > 0) or max_bytes < 1 or not wait >= 0:
        raise ValueError("ttl and max_bytes must be above 0, and wait not below")
    if not 0 <= stale_while_revalidate < math.inf or (stale_while_revalidate and ttl is None):
        raise ValueError("stale_while_revalidate is a number of seconds after a ttl")
    if key is not None and (not callable(key) or iscoroutinefunction(key)):
        raise TypeError(f"key must be a plain function that returns a text, not {key!r}")
    if isinstance(ignore, str):
        raise TypeError(f"ignore is a list of parameters, not {ignore!r}")
    recording = mode in RECORDINGS
    shelf = Shelf(
        as_store(store),
        envelope(None if lists_itself(store) else compress, cipher),
        ttl=None if ttl is None else ttl + stale_while_revalidate,
        strict=on_error == "raise" or recording,
    )
    stats = CacheStats()
    recordings = Recordings(shelf, f"cache:{namespace}:recorded")
    refreshes = Refreshes()
    left_out = {*ignore, "identity"} if recording else frozenset(ignore)
    fresh_for = ttl if ttl is not None and stale_while_revalidate else math.inf
    usable_for = fresh_for + stale_while_revalidate
    flights: dict[tuple[asyncio.AbstractEventLoop, str], Flight] = {}
    known = Digests()
    log = logging.getLogger("scallion")
    warn_unkeyed = Seldom(
        "cache() leaves calls alone that name no model, with no fallback() behind it to choose "
        "one: pass model= to build_pipeline, or cache(key=…)"
    )
    # What a call leads, by store, so that a second cache() further in does not wait for itself.
    leading = f"scallion cache leads {shelf.store.url}"

    def name_of(request: Request, call_next: Handler) -> tuple[str | None, list[Answerer]]:
        """The entry's name, if it has one, and who else may answer."""
        stack: list[Answerer] = []
        try:
            if key is not None:
                made = key(request, namespace=namespace, ignore=left_out)
                return own_name(made, request.context.tenant, left_out), stack
            layers = getattr(call_next, "further_in", ())
            if layers:
                stack = answerers(layers, request.provider)
            if request.model is None and not stack and not chooses_model(request.provider):
                warn_unkeyed(request.context.clock)
                raise ValueError("no model is named, and no fallback() further in chooses one")
            made = request_key(
                request, namespace=namespace, ignore=left_out, stack=stack, memory=known
            )
        except UNKEYED as error:
            if recording:
                raise InvalidRequestError(f"this request cannot be recorded: {error}") from error
            return None, stack
        return f"cache:{made}", stack

    def give(answer: ModelResponse, request: Request, tape: Tape | None = None) -> Response:
        if not recording and not _settled(request):
            if not stats.sampled:
                log.info("cache() answers calls that sample: with sampled=False it asks anew")
            stats.sampled += 1
        return replay(answer, request, tape, timing=timing)

    async def middleware(request: Request, call_next: Handler) -> Response:
        wishes = NO_WISHES
        if "cache" in request.params:
            wishes, request = wishes_of(request)
        name, stack = None, NOBODY
        if mode != "off" and (sampled or _settled(request)):
            name, stack = name_of(request, call_next)
        if name is None:
            stats.bypassed += 1
            return await call_next(request)
        clock = request.context.clock
        anew = wishes.no_cache and not recording
        oldest = usable_for if wishes.max_age is None else min(usable_for, wishes.max_age)
        if mode in READS and not anew:
            entry = await shelf.find(name, clock)
            answer = None if entry is None else answer_of(entry)
            if entry is not None and answer is not None:
                age = age_of(entry, clock.time())
                if age <= oldest:
                    stats.hits += 1
                    if age > fresh_for:
                        stats.stale += 1
                        if mode in WRITES and not wishes.no_store:
                            refresh(name, request, call_next)
                    return give(answer, request, entry.tape)
        if mode == "replay":
            raise await recordings.miss(shown_of(request, stack), clock)
        shown = shown_of(request, stack) if recording else None
        alone = anew or wishes.no_store or not single_flight or mode not in FLIES
        if not alone and name not in request.context.state.get(leading, ()):
            return await fly(name, request, call_next, shown, oldest)
        stats.misses += 1
        response = await call_next(request)
        if mode not in WRITES or wishes.no_store:
            return response
        return keep(name, request, response, shown)

    def shown_of(request: Request, stack: list[Answerer]) -> dict[str, Any]:
        """The request as a recording shows it."""
        try:
            return canonical(request, ignore=left_out, stack=stack)
        except UNKEYED as error:
            raise InvalidRequestError(f"this request cannot be recorded: {error}") from error

    def keep(
        name: str, request: Request, response: Response, shown: dict[str, Any] | None
    ) -> Response:
        make, clock = maker(response, shown), request.context.clock
        return response.on_settle(lambda outcome: put(name, make(outcome), None, clock))

    def maker(
        response: Response, shown: dict[str, Any] | None
    ) -> Callable[[Outcome], Entry | None]:
        """What makes the entry of a response, once it has ended."""
        if shown is None:
            return entry_for
        timed = not lists_itself(shelf.store)  # or a file would be another one each time
        recorder = Recorder(response, timing=timing or timed)
        return lambda outcome: entry_for(outcome, shown, recorder.tape(), timed=timed)

    def put(
        name: str, entry: Entry | None, lease: Lease | None, clock: Clock, *, failed: bool = False
    ) -> bool:
        """Store what a call left, give back its lease, and say whether it left anything."""
        data = None if entry is None else shelf.seal(entry)
        if data is not None and len(data) > max_bytes and not recording:
            data = None
        if data is not None:
            stats.stored += 1
        shelf.finish(name, data, lease, clock, failed=failed)
        if data is not None and recording:
            recordings.note(name, clock)
        return data is not None

    def age_of(entry: Entry, now: float) -> float:
        return 0.0 if recording else now - entry.at

    async def fly(
        name: str,
        request: Request,
        call_next: Handler,
        shown: dict[str, Any] | None,
        oldest: float,
    ) -> Response:
        clock = request.context.clock
        place = (asyncio.get_running_loop(), name)
        deadline = clock.now() + wait
        began = clock.time()  # what was made since then is new enough for anybody
        failures, alone = 0, False
        while not alone and (other := flights.get(place)) is not None:
            entry = await other.landed(clock, deadline)
            answer = None if entry is None else answer_of(entry)
            if entry is not None and answer is not None and age_of(entry, began) <= oldest:
                stats.joined += 1
                return give(answer, request, entry.tape)
            failures += other.failed
            alone = failures >= PATIENCE or clock.now() >= deadline
        if alone:
            stats.misses += 1
            return keep(name, request, await call_next(request), shown)
        flight, end = lead(place, request)
        try:
            found = await shelf.find_or_lease(name, clock, max(0.0, deadline - clock.now()))
            if isinstance(found, Entry):
                answer = answer_of(found)
                flight.replaces = age_of(found, began) > oldest
                if answer is not None and not flight.replaces:
                    stats.hits += 1
                    end(found)
                    return give(answer, request, found.tape)
                found = await shelf.lease(name, clock)
            if found is not None:
                flight.hold(found, shelf, clock)
            stats.misses += 1
            response = await call_next(request)
            make = maker(response, shown)
        except BaseException as error:
            end(None, failed=isinstance(error, Exception))
            raise

        def settled(outcome: Outcome) -> None:
            entry = make(outcome)
            end(entry, store=True, failed=entry is None and outcome.status not in GIVEN_UP)

        return response.on_settle(settled)

    def lead(
        place: tuple[asyncio.AbstractEventLoop, str], request: Request
    ) -> tuple[Flight, Callable[..., bool]]:
        """Begin a flight that others can join; and what ends it, and says if it left anything."""
        _, name = place
        flight = flights[place] = Flight()
        led: set[str] = request.context.state.setdefault(leading, set())
        led.add(name)

        def end(entry: Entry | None, *, store: bool = False, failed: bool = False) -> bool:
            if not flight.end(entry, failed=failed):
                return False
            led.discard(name)
            if flights.get(place) is flight:
                del flights[place]
            if not store and flight.lease is None:
                return False
            clock = request.context.clock
            left = entry if store else None
            return put(name, left, flight.lease, clock, failed=failed and not flight.replaces)

        return flight, end

    def refresh(name: str, request: Request, call_next: Handler) -> None:
        """Ask anew in the background, unless somebody does already."""
        clock, place = request.context.clock, (asyncio.get_running_loop(), name)
        if place in flights or refreshes.is_resting(name, clock):
            return
        context = request.context
        # Of its own: the call that causes it has ended by then, and so may its deadline have.
        apart = Context(metadata=context.metadata, tenant=context.tenant, clock=clock)
        request = request.replace(context=apart)
        flight, end = lead(place, request)
        refreshed = False

        async def work() -> None:
            lease = await shelf.lease(name, clock)
            if lease is None:
                return  # another process is at it
            flight.hold(lease, shelf, clock)
            # Whoever had the lease before may have been first.
            entry = await shelf.find(name, clock)
            if entry is None or clock.time() - entry.at > fresh_for:
                await ask_apart(request, watched)
                if not refreshed:
                    raise LLMClientError("the new answer is not one that is kept")

        async def watched(asked: Request) -> Response:
            return (await call_next(asked)).on_settle(settled)

        def settled(outcome: Outcome) -> None:
            nonlocal refreshed
            refreshed = end(entry_for(outcome), store=True)
            stats.refreshed += refreshed

        refreshes.start(name, work, lambda: end(None), clock)

    return CacheLayer(given, middleware, stats, shelf, refreshes)


def _settled(request: Request) -> bool:
    """Whether the same request is meant to give the same answer each time."""
    params = request.params
    return params.get("temperature") == 0 or params.get("seed") is not None
