"""What is imported, and when: nothing before it is needed."""

from __future__ import annotations

import pytest

from scallion import stores
from support.imports import modules_after

HEAVY = {"asyncio", "cachetools", "dataclasses", "redis", "sqlite3", "zstandard"}


@pytest.mark.parametrize(
    ("code", "needed"),
    [
        ("import scallion.stores", set()),
        ("from scallion.stores import Claim, Window, StoreError, Store", set()),
        ("from scallion import stores; stores.memory()", {"asyncio", "cachetools"}),
        ("from scallion import stores; stores.sqlite('x.db')", {"asyncio", "sqlite3"}),
        ("from scallion import stores; stores.Envelope", set()),
    ],
)
def test_only_what_is_used_is_imported(code, needed):
    assert HEAVY & modules_after(code) == needed


def test_every_public_name_is_there():
    assert set(stores.__all__) <= set(dir(stores))
    for name in stores.__all__:
        assert getattr(stores, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'mongo'"):
        stores.mongo  # noqa: B018
