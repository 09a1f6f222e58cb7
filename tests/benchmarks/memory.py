"""Whether memory and sockets stay flat: many calls and streams in a process of their own.

The streams end in all the ways they can: read to the end, left early inside `async with`, and
dropped without a word. What the child says about unclosed things is counted, and must be nothing.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import subprocess
import sys
import tracemalloc
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from clients import Clients, completing, settling
from measure import Row, absolute
from replies import SHORT
from server import Server, url_of

if TYPE_CHECKING:
    from measure import Call

    from scallion import Pipeline

GROUP = "memory and sockets"
_AT_ONCE = 20
_WARM_UP = 0.2
_PROC = Path("/proc/self")


@dataclass(frozen=True)
class Report:
    """What the child found, once it was warmed up.

    Attributes:
        grown: Bytes by which the resident set has grown.
        held: Bytes by which what Python has allocated has grown; 0 if it was not traced.
        sockets: More sockets that are open after everything was closed.
    """

    grown: int
    held: int
    sockets: int


def rows(server: Server, *, quick: bool) -> list[Row]:
    """The rows of this file."""
    calls, streams = (1_000, 200) if quick else (10_000, 1_000)
    # Tracing every allocation takes time and memory of its own, so it gets a run of its own.
    plain, warned = _run(server, calls, streams, traced=False)
    traced, warned_too = _run(server, calls // 4, streams // 4, traced=True)
    work = f"{calls:,} calls, {streams:,} streams"
    return [
        absolute(GROUP, f"{work}: resident set, grown", "MB", plain.grown / 2**20, 2.0),
        absolute(GROUP, "a quarter of them: allocated, grown by", "KB", traced.held / 2**10, 64.0),
        absolute(GROUP, "sockets left open", "", plain.sockets + traced.sockets, 0.0),
        absolute(GROUP, "lines of warnings", "", warned + warned_too, 0.0),
    ]


def _run(server: Server, calls: int, streams: int, *, traced: bool) -> tuple[Report, int]:
    work = json.dumps({"root": server.root, "calls": calls, "streams": streams, "traced": traced})
    command = [sys.executable, "-W", "error::ResourceWarning", __file__, work]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    if child.returncode != 0:
        raise RuntimeError(child.stderr)
    sys.stderr.write(child.stderr)
    return Report(**json.loads(child.stdout)), len(child.stderr.splitlines())


# --------------------------------------------------------------------------- in the child


async def soak(root: str, calls: int, streams: int, *, traced: bool) -> Report:
    """Do a part of the work, then the rest of it, and see what the rest has left behind."""
    if traced:
        tracemalloc.start()
    await _work(root, int(calls * _WARM_UP), int(streams * _WARM_UP))
    before = _resident(), tracemalloc.get_traced_memory()[0], _sockets()
    await _work(root, calls, streams)
    after = _resident(), tracemalloc.get_traced_memory()[0], _sockets()
    return Report(*(late - early for early, late in zip(before, after, strict=True)))


async def _work(root: str, calls: int, streams: int) -> None:
    """Calls and streams of both providers, mixed. All clients are closed at the end."""
    async with Clients(lambda reply: url_of(root, reply)) as clients:
        jobs: list[Call] = []
        for provider in ("openai", "anthropic"):
            jobs += [completing(clients.pipeline(provider, settling))] * (calls // 2)
            llm = clients.pipeline(f"{provider}-200", settling)
            kinds = (_read, _read, _left, _dropped)
            jobs += [partial(kinds[number % 4], llm) for number in range(streams // 2)]
        queue = iter([job for place in range(97) for job in jobs[place::97]])

        async def worker() -> None:
            for job in queue:
                await job()

        await asyncio.gather(*(worker() for _ in range(_AT_ONCE)))
        gc.collect()
        # Dropped streams are closed by tasks of their own.
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))
    await asyncio.sleep(0.2)  # for the transports to close
    gc.collect()


async def _read(llm: Pipeline) -> None:
    async for _ in llm.stream(SHORT):
        pass


async def _left(llm: Pipeline) -> None:
    async with llm.stream(SHORT) as stream:
        async for _ in stream:
            return


async def _dropped(llm: Pipeline) -> None:
    async for _ in llm.stream(SHORT):
        return


def _resident() -> int:
    if _PROC.exists():
        return int((_PROC / "statm").read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # its peak, in bytes on macOS


def _sockets() -> int:
    if not _PROC.exists():
        return 0
    targets = []
    for descriptor in (_PROC / "fd").iterdir():
        try:
            targets.append(str(descriptor.readlink()))
        except OSError:  # the one that the listing itself needs
            continue
    return sum(target.startswith("socket:") for target in targets)


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(soak(**json.loads(sys.argv[1]))))))
