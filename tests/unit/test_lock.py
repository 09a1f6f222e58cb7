"""What development installs is pinned, by hash, to versions that pyproject.toml admits."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PINNED = re.compile(r"^([\w.\[\],-]+)==(\S+)(?: ;.*)? \\$", re.MULTILINE)
LOCK = ROOT / ".ci/dev.txt"


def wanted():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    for line in [*project["dependencies"], *(one for extra in extras.values() for one in extra)]:
        requirement = Requirement(line)
        if requirement.name != "scallion":
            yield requirement


def pinned():
    found = PINNED.findall(LOCK.read_text("utf-8"))
    return {canonicalize_name(name.partition("[")[0]): version for name, version in found}


@pytest.mark.parametrize("requirement", list(wanted()), ids=str)
def test_the_lock_has_what_pyproject_asks_for(requirement):
    version = pinned()[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version, prereleases=True)


@pytest.mark.parametrize("lock", ["dev", "build", "docs", "sbom"])
def test_everything_pinned_has_hashes_and_nothing_else_is_there(lock):
    entry = r"[\w.\[\],-]+==\S+(?: ; [^\\]+)? (?:\\\n    --hash=sha256:[0-9a-f]{64} ?)+"
    text = (ROOT / f".ci/{lock}.txt").read_text("utf-8")
    comment, _, entries = text.partition("\n")
    assert comment.startswith("# ")
    assert re.fullmatch(rf"(?:{entry}\n)+", entries)
