"""What is imported, and when: nothing before it is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from scallion import stores

HEAVY = {"asyncio", "cachetools", "dataclasses", "redis", "sqlite3", "zstandard"}


def imported_after(code):
    output = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return HEAVY & set(output.split())


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
    assert imported_after(code) == needed


def test_every_public_name_is_there():
    assert set(stores.__all__) <= set(dir(stores))
    for name in stores.__all__:
        assert getattr(stores, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'mongo'"):
        stores.mongo  # noqa: B018
