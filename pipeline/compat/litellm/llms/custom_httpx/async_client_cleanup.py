"""Closing the connections that calls have opened."""

from __future__ import annotations

from ..._prepared import clients


async def close_litellm_async_clients() -> None:
    """Close the running loop's connections. The next call opens new ones."""
    await clients.aclose()


def register_async_client_cleanup() -> None:
    """Nothing to do: each loop's connections are closed with it."""
