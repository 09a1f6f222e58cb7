"""What a worker of a cluster does in the distributed tests."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from scallion.exceptions import BudgetExceededError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scallion import Pipeline

REFUSED = "refused"


def ask_all(llm: Pipeline, questions: Sequence[str]) -> tuple[int, list[str]]:
    """The worker's process, and the answer to each question."""

    async def ask(question: str) -> str:
        try:
            return (await llm.complete(question, max_tokens=16)).text
        except BudgetExceededError:
            return REFUSED

    async def run() -> list[str]:
        async with llm:
            await llm.provider.warm_up()  # importing an SDK holds up the event loop for seconds
            return await asyncio.gather(*map(ask, questions))

    return os.getpid(), asyncio.run(run())
