"""Which orders of layers are complained of, in which modes, and which are not."""

import itertools

import pytest

from scallion import OrderWarning, build_pipeline
from scallion._order import asked_twice, complaints
from scallion.middlewares import Target, audit, budget, cache, cost, fallback, log, retry, timeout
from scallion.providers import fake
from scallion.stores import cassette

MODES = ["read_write", "read_only", "write_only", "record", "record_new", "replay", "off"]


def made(name, folder):
    return {
        "audit": audit(print), "budget": budget(tokens=1), "cost": cost(), "fallback": fallback(["b"]),
        "log": log(), "retry": retry(), "timeout": timeout(total=1), "cache": cache(),
        **{f"cache {mode}": cache(cassette(folder / "tape.json"), mode=mode) for mode in MODES},
    }[name]  # fmt: skip


NAMES = [
    "audit", "budget", "cost", "fallback", "log", "retry", "timeout", "cache",
    *[f"cache {mode}" for mode in MODES],
]  # fmt: skip

WRONG = {
    ("retry", "retry"): "multiply",
    ("cache replay", "budget"): "nothing is ever sent in replay mode",
    ("cache", "audit"): "hits do not pass it",
    ("cache read_write", "audit"): "hits do not pass it",
    ("cache read_only", "audit"): "hits do not pass it",
    ("cache replay", "audit"): "hits do not pass it",
    ("budget", "audit"): "refused calls do not pass it",
}


@pytest.mark.parametrize(("outer", "inner"), [*itertools.product(NAMES, NAMES)])
def test_two_layers_are_complained_of_where_one_defeats_the_other_and_nowhere_else(
    outer, inner, tmp_path
):
    found = list(complaints([made(outer, tmp_path), made(inner, tmp_path)]))

    if (outer, inner) in WRONG:
        (complaint,) = found
        assert complaint.startswith(f"{inner}() inside {outer.partition(' ')[0]}(): ")
        assert WRONG[outer, inner] in complaint
    else:
        assert found == []


async def between(request, call_next):
    return await call_next(request)


def test_layers_of_ones_own_between_them_change_nothing():
    layers = [between, cache(mode="replay"), between, log(), budget(tokens=1), between]

    assert len(list(complaints(layers))) == 1
    assert list(complaints(layers[::-1])) == []


def test_each_pair_is_told_of():
    assert len(list(complaints([retry(), retry(), budget(tokens=1), retry(), audit(print)]))) == 4


def test_what_to_do_about_it_is_up_to_the_caller():
    layers = [retry(), retry()]
    with pytest.warns(OrderWarning, match="multiply"):
        build_pipeline(layers, provider=fake())
    with pytest.raises(ValueError, match="multiply"):
        build_pipeline(layers, provider=fake(), order="error")
    build_pipeline(layers, provider=fake(), order="off")
    with pytest.raises(ValueError, match="order must be"):
        build_pipeline([], provider=fake(), order="strict")


@pytest.mark.parametrize(
    ("targets", "model", "twice"),
    [
        (["gpt-4o"], "gpt-4o", True),
        (["a", "openai/gpt-4o"], "gpt-4o", True),
        (["gpt-4o"], "openai/gpt-4o", True),
        (["gpt-4o-mini"], "gpt-4o", False),
        (["openrouter/x/gpt-4o"], "gpt-4o", False),
        ([Target("gpt-4o", params={"temperature": 0})], "gpt-4o", False),
        (["gpt-4o"], None, False),
    ],
)
def test_a_fallback_to_the_pipelines_own_model_is_pointed_out(targets, model, twice):
    layers = [between, retry(), fallback(targets)]

    assert len(list(asked_twice(layers, model))) == twice
