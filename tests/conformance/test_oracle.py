"""The oracle itself, against what each fixture says about itself by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from conformance.oracle import expect, sse

if TYPE_CHECKING:
    from conformance.exchanges import Exchange


@pytest.mark.exchanges(wanted=lambda exchange: exchange.expect is not None)
def test_the_oracle_reads_a_fixture_as_its_author_does(exchange: Exchange):
    by_hand = dict(exchange.expect or {})
    by_hand.pop("retryable", None)  # about the error alone, and checked where it is raised
    expected = expect(exchange)
    assert expected.error == by_hand.pop("error", None)
    if "request_id" in by_hand:
        assert expected.request_id == by_hand.pop("request_id")
    if by_hand:
        answer = expected.answer or {}
        first = (answer.get("choices") or [{}])[0]
        _assert_within(by_hand, first | answer)


def _assert_within(part: Any, whole: Any) -> None:
    if isinstance(part, dict):
        assert isinstance(whole, dict)
        for name, value in part.items():
            assert name in whole
            _assert_within(value, whole[name])
    elif isinstance(part, list):
        assert isinstance(whole, list)
        assert len(part) == len(whole)
        for one, other in zip(part, whole, strict=True):
            _assert_within(one, other)
    else:
        assert part == whole


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_events_are_split_as_the_standard_says(end: str):
    lines = [
        ": c",
        "data: a",
        "",
        "data:b",
        "data:  c",
        "id: 1",
        "",
        "event: e",
        "",
        "",
        "data: {}",
    ]
    assert sse(("\ufeff" + end.join(lines)).encode()) == ["a", "b\n c", "{}"]


def test_an_event_that_breaks_off_is_dropped():
    assert sse(b'data: {"a": 1}\n\ndata: {"b"') == ['{"a": 1}']
