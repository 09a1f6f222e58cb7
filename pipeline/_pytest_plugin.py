"""The pytest plugin: a cassette for each test that asks for one, and `--scallion-record`.

pytest imports this in every run where Scallion is installed, so it imports nothing but pytest.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from .middlewares._cache import Mode
    from .middlewares._cache_layer import CacheLayer

MODES: Final[dict[str, Mode]] = {"none": "replay", "new": "record_new", "all": "record"}

LONGEST_NAME: Final = 100
"""In characters; file systems allow 255 bytes."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--scallion-record`, and the setting `scallion_cassette_per`."""
    parser.getgroup("scallion").addoption(
        "--scallion-record",
        choices=list(MODES),
        default="none",
        help="what the scallion_cassette fixture records: none (a request that was not recorded "
        "fails; the default), new (only what was not recorded yet), or all (everything anew)",
    )
    parser.addini(
        "scallion_cassette_per",
        "a file for each `test`, in the folder cassettes/ beside its module (the default), or "
        "one cassette.json for all tests of a `folder`",
        default="test",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Check the setting, and make the marker known."""
    config.addinivalue_line(
        "markers",
        "scallion_cassette(**settings): settings of the fixture's cache(), such as "
        "ignore=['user'] or timing=True",
    )
    per = config.getini("scallion_cassette_per")
    if per not in ("test", "folder"):
        raise pytest.UsageError(f'scallion_cassette_per is "test" or "folder", not "{per}"')


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> None:
    """Where a recording is missing, the test's line and the difference say all: hide our own lines."""
    for entry in call.excinfo.traceback if call.excinfo is not None else ():
        names = entry.frame.f_globals
        if names.get("__name__", "").startswith("scallion."):
            names["__tracebackhide__"] = _is_miss


def _is_miss(failure: pytest.ExceptionInfo[BaseException]) -> bool:
    return failure.typename == "CacheMissError"


@pytest.fixture
def scallion_cassette(request: pytest.FixtureRequest) -> CacheLayer:
    """A layer that answers from what was recorded for this test: `cache(cassette(…))`.

    Put it where the provider is to be replaced: `build_pipeline([..., scallion_cassette])`, or
    `llm.with_middlewares(scallion_cassette)`. With `--scallion-record` it records.
    """
    from .middlewares import cache
    from .stores import cassette

    marker = request.node.get_closest_marker("scallion_cassette")
    settings = dict(marker.kwargs) if marker is not None else {}
    record = request.config.getoption("--scallion-record")
    if request.config.getini("scallion_cassette_per") == "folder":
        path = request.path.parent / "cassette.json"
    else:
        # Not the node's id, to which pytest-xdist adds the name of a group.
        names = [node.name for node in request.node.listchain() if isinstance(node, pytest.Class)]
        path = cassette_path(request.path, "::".join([*names, request.node.name]))
        if record == "all":
            path.unlink(missing_ok=True)
    return cache(cassette(path), mode=MODES[record], **settings)


def cassette_path(module: Path, test: str) -> Path:
    """The file of one test; see `file_name`."""
    return module.parent / "cassettes" / module.stem / f"{file_name(test)}.json"


def file_name(test: str) -> str:
    """A name that every file system takes, and that no other test of its module has.

    Args:
        test: Its class, if it has one, its name and its parameters: `TestA::test_b[c]`.
    """
    name, bracket, parameters = test.partition("[")
    *classes, function = name.split("::")
    readable = ".".join([*classes, function]) + bracket + parameters
    safe = re.sub(r"[^\w.,=\[\]-]+", "-", readable, flags=re.ASCII)[:LONGEST_NAME]
    # Some file systems take upper case for lower case. Classes are hardly ever told apart by that.
    if safe == readable and function + parameters == (function + parameters).lower():
        return safe
    own = sha256(test.encode("utf-8", "replace")).hexdigest()[:8]
    return f"{safe.rstrip('-]')}-{own}{']' if '[' in safe else ''}"
