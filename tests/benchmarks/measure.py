"""How things are measured: contestants take turns, the best turn of each counts, and a row says so.

The machine's speed drifts, and other programs share it. So everything that is compared is measured
in one run, in rounds that take turns. Noise only ever adds: the best of several rounds is the
steadiest figure there is.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median

Call = Callable[[], Awaitable[object]]

GROSS = 2.0
"""How many times off its goal a figure may be before `--check` fails: CI machines are noisy."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table.

    Attributes:
        ours: What Scallion took, in `unit`.
        bare: What it is compared with, in `unit`; `None` for a figure that stands alone.
        measured: The figure that the goal is about: `ours`, or what lies between `ours` and `bare`.
        measured_unit: "" for a ratio.
        goal: What `measured` may be at most (with `at_least`: at least); `None` if it only informs.
    """

    group: str
    name: str
    unit: str
    ours: float
    bare: float | None = None
    measured: float
    measured_unit: str = ""
    goal: float | None = None
    at_least: bool = False

    @property
    def verdict(self) -> str:
        """`ok` or `missed`; empty where there is no goal."""
        return "" if self.goal is None else "missed" if self._excess() > 1 else "ok"

    @property
    def gross(self) -> bool:
        """Whether the goal is missed by more than noise explains."""
        return self._excess() > GROSS

    def _excess(self) -> float:
        if self.goal is None:
            return 0.0
        if self.at_least:
            return self.goal / self.measured
        if self.goal == 0:  # nothing of it may be there at all
            return float("inf") if self.measured > 0 else 0.0
        return self.measured / self.goal


def ratio(
    group: str, name: str, unit: str, ours: float, bare: float, goal: float | None = None
) -> Row:
    """A row about what part of the bare cost ours is."""
    return Row(
        group=group, name=name, unit=unit, ours=ours, bare=bare, measured=ours / bare, goal=goal
    )


def difference(
    group: str, name: str, unit: str, ours: float, bare: float, goal: float | None = None
) -> Row:
    """A row about what ours costs more than the bare thing."""
    return Row(
        group=group,
        name=name,
        unit=unit,
        ours=ours,
        bare=bare,
        measured=ours - bare,
        measured_unit=unit,
        goal=goal,
    )


def absolute(group: str, name: str, unit: str, ours: float, goal: float | None = None) -> Row:
    """A row about ours alone."""
    return Row(
        group=group, name=name, unit=unit, ours=ours, measured=ours, measured_unit=unit, goal=goal
    )


def turns(names: Mapping[str, object], rounds: int) -> Iterator[str]:
    """Whose turn it is: everybody once in each round, and nobody always right behind another."""
    order = list(names)
    for number in range(rounds):
        yield from order if number % 2 else reversed(order)


async def cpu_per_call(
    contestants: Mapping[str, Call], *, calls: Mapping[str, int] | int, rounds: int
) -> dict[str, float]:
    """The CPU seconds of this process that one call of each contestant takes, at best.

    Args:
        contestants: By name, what to call.
        calls: How many calls make one turn; enough to take some milliseconds.
        rounds: How many turns each gets.
    """
    for call in contestants.values():
        await call()
    best = dict.fromkeys(contestants, float("inf"))
    for name in turns(contestants, rounds):
        call = contestants[name]
        count = calls if isinstance(calls, int) else calls[name]
        gc.collect()
        began = time.process_time()
        for _ in range(count):
            await call()
        best[name] = min(best[name], (time.process_time() - began) / count)
    return best


@dataclass(frozen=True)
class Rate:
    """Calls done per second: of wall time, and of this process's CPU time."""

    wall: float
    cpu: float


async def calls_per_second(
    contestants: Mapping[str, Call], *, at_once: int, calls: int, rounds: int
) -> dict[str, Rate]:
    """How many calls each contestant gets done per second, `at_once` at a time, at best."""
    each = calls // at_once

    async def worker(call: Call) -> None:
        for _ in range(each):
            await call()

    wall, cpu = dict.fromkeys(contestants, 0.0), dict.fromkeys(contestants, 0.0)
    for call in contestants.values():  # opens the connections
        await asyncio.gather(*(call() for _ in range(at_once)))
    for name in turns(contestants, rounds):
        gc.collect()
        began, began_cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(worker(contestants[name]) for _ in range(at_once)))
        took, took_cpu = time.perf_counter() - began, time.process_time() - began_cpu
        wall[name] = max(wall[name], each * at_once / took)
        cpu[name] = max(cpu[name], each * at_once / took_cpu)
    return {name: Rate(wall[name], cpu[name]) for name in contestants}


@dataclass(frozen=True)
class Starts:
    """The seconds that many starts of one program took: the best and the median, and of CPU."""

    best: float
    median: float
    cpu: float


def process_starts(programs: Mapping[str, list[str]], *, rounds: int) -> dict[str, Starts]:
    """How long each Python program (its command line arguments) takes from start to exit."""
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    cpu = dict.fromkeys(programs, float("inf"))
    for name in turns(programs, rounds):
        command = [sys.executable, *programs[name]]
        began = time.perf_counter()
        child = os.posix_spawn(sys.executable, command, os.environ)
        _, status, used = os.wait4(child, 0)
        seconds[name].append(time.perf_counter() - began)
        cpu[name] = min(cpu[name], used.ru_utime + used.ru_stime)
        if status != 0:
            raise RuntimeError(f"{name} failed: {command}")
    return {name: Starts(min(took), median(took), cpu[name]) for name, took in seconds.items()}
