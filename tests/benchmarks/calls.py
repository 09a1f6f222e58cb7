"""What a complete call costs, against the SDKs' typed methods: one at a time, and many at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from clients import Clients, completing, creating, creating_message, settling, working
from measure import Row, calls_per_second, cpu_per_call, ratio
from replies import agent_messages, agent_tools, anthropic_agent

if TYPE_CHECKING:
    from server import Server

ONE, MANY = "complete call, CPU", "many calls at once"


def rows(server: Server, *, quick: bool) -> list[Row]:
    """The rows of this file."""
    return asyncio.run(_one_at_a_time(server, quick=quick)) + asyncio.run(
        _many_at_once(server, quick=quick)
    )


async def _one_at_a_time(server: Server, *, quick: bool) -> list[Row]:
    rounds, few, many = (3, 3, 25) if quick else (9, 8, 100)
    messages, tools = agent_messages(), agent_tools()
    async with Clients(server.url) as clients:
        openai_sdk, anthropic_sdk = clients.openai_sdk(), clients.anthropic_sdk()
        ours, theirs = clients.pipeline("openai"), clients.pipeline("anthropic")
        contestants = {
            "short": completing(ours),
            "short, settling": completing(clients.pipeline("openai", settling)),
            "short, working": completing(clients.pipeline("openai", working)),
            "short, SDK": creating(openai_sdk),
            "agent": completing(ours, messages, tools=tools),
            "agent, SDK": creating(openai_sdk, messages, tools=tools),
            "claude": completing(theirs),
            "claude, SDK": creating_message(anthropic_sdk),
            "claude agent": completing(theirs, messages, tools=tools),
            "claude agent, SDK": creating_message(anthropic_sdk, **anthropic_agent()),
        }
        calls = {name: few if "agent, SDK" in name else many for name in contestants}
        took = await cpu_per_call(contestants, calls=calls, rounds=rounds)
    ms = {name: seconds * 1e3 for name, seconds in took.items()}
    return [
        ratio(ONE, "openai, agent payload", "ms", ms["agent"], ms["agent, SDK"], 1 / 25),
        ratio(ONE, "openai, short", "ms", ms["short"], ms["short, SDK"], 0.75),
        ratio(
            ONE, "openai, short, layers with on_settle", "ms",
            ms["short, settling"], ms["short, SDK"],
        ),
        ratio(
            ONE, "openai, short, layers with map and on_settle", "ms",
            ms["short, working"], ms["short, SDK"],
        ),
        ratio(
            ONE, "anthropic, agent payload (converted)", "ms",
            ms["claude agent"], ms["claude agent, SDK"],
        ),
        ratio(ONE, "anthropic, short", "ms", ms["claude"], ms["claude, SDK"]),
    ]  # fmt: skip


async def _many_at_once(server: Server, *, quick: bool) -> list[Row]:
    rows = []
    for at_once in (64, 256):
        # Clients of their own: a pool keeps the connections that it once needed.
        async with Clients(server.url) as clients:
            contestants = {
                "ours": completing(clients.pipeline("openai")),
                "SDK": creating(clients.openai_sdk()),
            }
            done = await calls_per_second(
                contestants,
                at_once=at_once,
                calls=512 if quick else 1_536,
                rounds=2 if quick else 5,
            )
        ours, bare = done["ours"], done["SDK"]
        name = f"openai, short, {at_once} at once, per second"
        rows.append(_rate(name, ours.wall, bare.wall))
        # Steadier on a busy machine, and the same thing if client and server have a core each.
        rows.append(_rate(f"{name} of CPU", ours.cpu, bare.cpu))
    return rows


def _rate(name: str, ours: float, bare: float) -> Row:
    return Row(
        group=MANY,
        name=name,
        unit="/s",
        ours=ours,
        bare=bare,
        measured=ours / bare,
        goal=3.0,
        at_least=True,
    )
