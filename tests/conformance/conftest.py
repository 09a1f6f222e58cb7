"""Chooses what is replayed: the fixtures of this folder and, with `--corpus`, a recorded corpus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conformance.exchanges import corpus, fixtures

if TYPE_CHECKING:
    from conformance.exchanges import Exchange

FIXTURES = Path(__file__).parent / "fixtures"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--corpus", metavar="FOLDER", help="also replay the exchanges recorded there")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "exchanges(wanted): replay only those that `wanted` accepts")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "exchange" in metafunc.fixturenames:
        chosen = _exchanges(metafunc.config)
        if wanted := metafunc.definition.get_closest_marker("exchanges"):
            chosen = [exchange for exchange in chosen if wanted.args[0](exchange)]
        metafunc.parametrize("exchange", chosen, ids=str)


_loaded: dict[str | None, list[Exchange]] = {}


def _exchanges(config: pytest.Config) -> list[Exchange]:
    folder = config.getoption("--corpus", default=None)
    if folder not in _loaded:
        found = list(fixtures(FIXTURES))
        if folder is not None:
            path = config.invocation_params.dir / folder
            recorded = list(corpus(path))
            if not recorded:
                raise pytest.UsageError(f"--corpus: no recorded exchange below {path}")
            found += recorded
        _loaded[folder] = found
    return _loaded[folder]
