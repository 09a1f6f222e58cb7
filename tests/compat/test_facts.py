"""The stand-in against the real litellm: every fact that tests/tools/litellm_facts.py wrote down.

The file of facts was made with litellm 1.106.2. Where the stand-in differs, it is on purpose, and
the reason stands below.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

HERE = Path(__file__).parent
THEIRS = json.loads((HERE / "litellm_facts.json").read_text())

# Fields that the OpenAI SDK below litellm adds as nulls when the server does not send them.
NULLS = {"refusal", "moderation", "service_tier", "provider_specific_fields"}

ON_PURPOSE = {
    # Documented so by litellm; its OpenAI handler forgets 403.
    ("answers", "error 403"),
    # More attributes than litellm sets, for code that reads those of the SDK's class.
    ("exceptions", "UnsupportedParamsError"),
    # litellm's cannot be made without a response; these can.
    ("exceptions", "PermissionDeniedError"),
    ("exceptions", "UnprocessableEntityError"),
    # Takes a `body`, as APIError does.
    ("exceptions", "MockException"),
}


@pytest.fixture
def ours(litellm, monkeypatch):
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENROUTER_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    path = HERE.parent / "tools" / "litellm_facts.py"
    spec = importlib.util.spec_from_file_location("litellm_facts", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return json.loads(module.written(module.facts()))


def differences(theirs, ours, path=()):
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for name in sorted({*theirs, *ours}):
            if name in NULLS and not theirs.get(name) and not ours.get(name):
                continue
            if name in NULLS and theirs.get(name) == {"refusal": None}:
                continue
            yield from differences(theirs.get(name, "-"), ours.get(name, "-"), (*path, name))
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for place, (each, other) in enumerate(zip(theirs, ours, strict=True)):
            yield from differences(each, other, (*path, place))
    elif theirs != ours and not is_more(path, theirs, ours):
        yield path, theirs, ours


def is_more(path, theirs, ours):
    """Names that litellm has only in `litellm.exceptions`; and the end of a long message."""
    if path[-1] == "top":
        return ours is True
    return path[:2] == ("tokens", "history unknown part") and path[-1] == "text"


def test_every_fact_of_litellm_holds_or_differs_on_purpose(ours):
    found = [
        difference
        for difference in differences(THEIRS, ours)
        if difference[0][:2] not in ON_PURPOSE
    ]
    assert not found, "\n".join(f"{path}: {theirs!r} != {ours!r}" for path, theirs, ours in found)


def test_what_differs_on_purpose_still_does(ours):
    differing = {path[:2] for path, _, _ in differences(THEIRS, ours)}
    assert differing >= ON_PURPOSE


def test_the_facts_are_of_everything_that_was_promised():
    assert set(THEIRS) == {
        "answers", "built", "costs", "environment", "exceptions", "mocks", "models", "objects",
        "parameters", "providers", "resolved", "signatures", "supported", "tokens",
    }  # fmt: skip
    assert sum(map(len, THEIRS.values())) > 350
