"""Chooses what is replayed: the fixtures of this folder and, with `--corpus`, a recorded corpus."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conformance.exchanges import corpus, fixtures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.exchanges import Exchange

FIXTURES = Path(__file__).parent / "fixtures"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--corpus", metavar="FOLDER", help="also replay the exchanges recorded there")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "exchanges(wanted=…): only those that it accepts")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "exchange" in metafunc.fixturenames:
        chosen = _exchanges(metafunc.config)
        if wanted := metafunc.definition.get_closest_marker("exchanges"):
            chosen = [exchange for exchange in chosen if wanted.kwargs["wanted"](exchange)]
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


@pytest.fixture(scope="session", autouse=True)
def _no_certificates() -> Iterator[None]:
    # Every SDK client loads the machine's certificates, which takes 35 ms and is not needed for
    # plain HTTP on loopback; these tests make a thousand clients.
    with pytest.MonkeyPatch.context() as patch:
        for loads in ("load_verify_locations", "load_default_certs"):
            patch.setattr(ssl.SSLContext, loads, lambda *_args, **_kwargs: None)
        yield
