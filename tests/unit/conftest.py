"""What many unit tests share."""

import pytest

from support.upstream import Upstream


@pytest.fixture
async def upstream():
    """A server that says what the test has put into its queue."""
    async with Upstream() as server:
        yield server
