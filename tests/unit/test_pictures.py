"""The documentation's picture of the onion is what `repr(pipeline)` says today."""

from __future__ import annotations

import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_onion_is_drawn_as_its_representation_says(monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader = SourceFileLoader("pictures", str(ROOT / ".ci/pictures"))
    pictures = module_from_spec(spec_from_loader("pictures", loader))
    loader.exec_module(pictures)
    drawn = pictures.onion(repr(pictures.example()))
    assert drawn == (ROOT / "docs/pictures/onion.svg").read_text("utf-8"), "run .ci/pictures again"
