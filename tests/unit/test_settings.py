"""Settings of the wrong kind: refused where they are given, by name, with what is wanted."""

import pytest

from scallion import build_pipeline
from scallion.exceptions import InvalidRequestError
from scallion.middlewares import (
    RetryBudget,
    Target,
    audit,
    budget,
    cache,
    cost,
    fallback,
    log,
    retry,
    timeout,
)
from scallion.providers import detect_provider, fake
from scallion.testing import ScriptedProvider


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: cache(ttl="3600"), r"cache\(\): ttl must be a number or None, not '3600'"),
        (lambda: cache(max_bytes=1.5), r"cache\(\): max_bytes must be a whole number, not 1.5"),
        (lambda: cache(ignore="user"), "ignore is a list of parameters, not 'user'"),
        (lambda: retry(attempts=True), r"retry\(\): attempts must be a whole number, not True"),
        (lambda: timeout(total="5"), r"timeout\(\): total must be a number or None, not '5'"),
        (lambda: budget(usd=1, hold=None), r"budget\(\): hold must be a number, not None"),
        (lambda: log(prompts="yes"), r"log\(\): prompts must be True or False, not 'yes'"),
        (lambda: log("app"), "logger must be a logger of structlog or logging, not 'app'"),
        (lambda: audit(print, strict=1), r"audit\(\): strict must be True or False, not 1"),
        (lambda: cost(5), "ledger must be a Ledger, not 5"),
        (lambda: RetryBudget(ratio="x"), r"RetryBudget\(\): ratio must be a number, not 'x'"),
        (lambda: fallback(["gpt-4o", Target("")]), "model must be a name, not ''"),
        (lambda: fallback([""]), "model must be a name, not ''"),
        (lambda: Target("m", params=5), "params must be a mapping, not 5"),
        (lambda: fake([3]), "a step of the fake provider is a text.*not 3"),
        (lambda: ScriptedProvider(["a", "b"]), "a step of the fake provider is a text.*'a'"),
        (lambda: build_pipeline(5), "middlewares must be a list of middlewares, not 5"),
    ],
)
def test_a_setting_of_the_wrong_kind_is_refused_with_what_is_wanted(make, complaint):
    with pytest.raises(TypeError, match=complaint):
        make()


def test_whatever_counts_as_a_number_is_one():
    cache(ttl=3, wait=0)
    timeout(total=5)
    RetryBudget(ratio=1)


@pytest.mark.parametrize("model", [5, None])
def test_what_is_no_model_has_no_provider(model):
    with pytest.raises(InvalidRequestError, match="model must be a name"):
        detect_provider(model)
