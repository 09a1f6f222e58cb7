"""The books: one entry per attempt, and totals that stay right however many there were."""

from __future__ import annotations

import csv
import json
from collections import defaultdict, deque
from datetime import datetime  # noqa: TC003 - msgspec reads the annotation
from decimal import Decimal
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import msgspec
from msgspec import Struct

from scallion.types import Usage  # noqa: TC001

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scallion._response import Response

ZERO = Decimal(0)

MAX_LABELS = 1_000
"""Values of one metadata key that are summed apart; the cost of further ones is under `OTHERS`."""

OTHERS = "(others)"


class Entry(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One attempt, as it is billed.

    Attributes:
        model: The model that answered, or else the one that was asked.
        status: As `Attempt.status`, or `cached` for an answer that a cache gave.
        cost: US dollars; `None` if the model's price is not known.
        breakdown: `cost` by what was paid for; see `scallion.costs.Cost`.
        exact: False if the tokens or the price had to be estimated.
        saved: What a cached answer would have cost.
        at: When the attempt began, in UTC.
    """

    model: str
    provider: str
    status: str
    at: datetime
    cost: Decimal | None
    exact: bool
    usage: Usage | None = None
    breakdown: dict[str, Decimal] = {}
    saved: Decimal | None = None
    tenant: str | None = None
    metadata: dict[str, Any] = {}
    call_id: str | None = None
    request_id: str | None = None


class Ledger:
    """What was spent, by whom and on what. Safe to share between pipelines, tasks and threads.

    Totals cover everything since the ledger was made; the entries are the latest ones.

    Args:
        max_entries: How many entries to keep.
    """

    def __init__(self, *, max_entries: int = 10_000) -> None:
        self._entries: deque[Entry] = deque(maxlen=max_entries)
        self._total = self._saved = ZERO
        self._by: dict[str, dict[Any, Decimal]] = {
            "model": defaultdict(Decimal),
            "provider": defaultdict(Decimal),
            "tenant": defaultdict(Decimal),
        }
        self._by_metadata: dict[str, dict[Any, Decimal]] = {}
        self._unpriced = 0
        self._lock = Lock()
        # What came while somebody else was entering: another thread, or the same one, where the
        # garbage collector ends an abandoned stream in the middle of an addition.
        self._waiting: deque[Entry] = deque()
        self._followed: WeakSet[Response] = WeakSet()

    @property
    def total(self) -> Decimal:
        """US dollars spent, without the calls whose price is not known (see `unpriced`)."""
        with self._lock:
            self._catch_up()
            return self._total

    @property
    def saved(self) -> Decimal:
        """US dollars that cached answers would have cost."""
        with self._lock:
            self._catch_up()
            return self._saved

    @property
    def unpriced(self) -> int:
        """How many attempts had no known price."""
        with self._lock:
            self._catch_up()
            return self._unpriced

    @property
    def by_model(self) -> dict[str, Decimal]:
        """US dollars by the model that answered."""
        return self._copy(lambda: self._by["model"])

    @property
    def by_provider(self) -> dict[str, Decimal]:
        """US dollars by provider."""
        return self._copy(lambda: self._by["provider"])

    @property
    def by_tenant(self) -> dict[str | None, Decimal]:
        """US dollars by tenant; `None` for calls without one."""
        return self._copy(lambda: self._by["tenant"])

    def by_metadata(self, key: str) -> dict[Any, Decimal]:
        """US dollars by the value that calls had for `key` in their metadata."""
        return self._copy(lambda: self._by_metadata.get(key, {}))

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The latest entries, oldest first."""
        with self._lock:
            self._catch_up()
            return tuple(self._entries)

    def follow(self, response: Response) -> bool:
        """Whether nobody has followed `response` for these books yet.

        Pipelines nest and hand on one Response, which each of them may enter.
        """
        if response in self._followed:
            return False
        self._followed.add(response)
        return True

    def add(self, entry: Entry) -> None:
        """Enter one attempt. Never waits, so it may be called wherever a call ends."""
        self._waiting.append(entry)
        while self._waiting and self._lock.acquire(blocking=False):
            try:
                self._catch_up()
            finally:
                self._lock.release()

    def _catch_up(self) -> None:
        while self._waiting:
            self._enter(self._waiting.popleft())

    def _enter(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._saved += entry.saved or ZERO
        if entry.cost is None:
            self._unpriced += 1
            return
        self._total += entry.cost
        self._by["model"][entry.model] += entry.cost
        self._by["provider"][entry.provider] += entry.cost
        self._by["tenant"][entry.tenant] += entry.cost
        for key, value in entry.metadata.items():
            sums = self._by_metadata.setdefault(key, defaultdict(Decimal))
            # A value that cannot be a key is a document, not a label; and what differs from call
            # to call is none either.
            if isinstance(value, (str, int, float, bool, type(None))):
                known = value in sums or len(sums) < MAX_LABELS
                sums[value if known else OTHERS] += entry.cost

    def to_jsonl(self, path: str | Path) -> None:
        """Write the entries to a file, one JSON object per line."""
        lines = [_json(row) for row in self._rows()]
        Path(path).write_bytes(b"".join(line + b"\n" for line in lines))

    def to_csv(self, path: str | Path) -> None:
        """Write the entries to a CSV file, without breakdowns and metadata.

        A text that a spreadsheet would take for a formula gets a `'` before it.
        """
        columns = [
            "at", "model", "provider", "status", "cost", "exact", "saved", "prompt_tokens",
            "completion_tokens", "tenant", "call_id", "request_id",
        ]  # fmt: skip
        with Path(path).open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            for row in self._rows():
                cells = {**row, **(row.get("usage") or {})}
                writer.writerow({name: _cell(cells.get(name)) for name in columns})

    def __repr__(self) -> str:
        return f"<Ledger ${self.total} in {len(self._entries)} entries>"

    def __reduce__(self) -> tuple[type[Ledger], tuple[()]]:
        # Another process keeps books of its own: what was spent here must not be counted twice.
        return Ledger, ()

    def _copy(self, sums: Callable[[], dict[Any, Decimal]]) -> dict[Any, Decimal]:
        with self._lock:
            self._catch_up()
            return dict(sums())

    def _rows(self) -> Iterator[dict[str, Any]]:
        for entry in self.entries:
            # Labels are the caller's: whatever they are, the books can be written down.
            row: dict[str, Any] = msgspec.to_builtins(entry, enc_hook=str, str_keys=True)
            if entry.usage is not None:
                row["usage"] = entry.usage.to_dict()
            yield row


def _json(row: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(row)
    except UnicodeEncodeError:  # half a surrogate pair
        return json.dumps(row).encode()


def _cell(value: Any) -> Any:
    # Tenants and the names of models and requests come from outside.
    risky = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if risky else value
