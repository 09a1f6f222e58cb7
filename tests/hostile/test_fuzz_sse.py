"""Any bytes, cut anywhere: the events are those of the whole body, in bounded memory and linear time.

The reader that the parser is compared with knows nothing of pieces: it has the whole body, and takes
the WHATWG's rules one after the other.
"""

import re
import time
import tracemalloc

import pytest
from hostile.effort import examples
from hypothesis import given
from hypothesis import strategies as st

from scallion.providers._sse import EventTooLargeError, SSEParser

BOM = b"\xef\xbb\xbf"
tokens = st.sampled_from(
    [
        b"data", b"data:", b"data: ", b"data:  ", b":", b": ", b"event: x", b"id", b" ", b"\n",
        b"\r", b"\r\n", b"\n\n", b"\r\r", b"\n\r", b"\r\n\r\n", b"\n\r\n", BOM, BOM[:1], BOM[1:],
        b"\x00", b"\xff", b"\xf0\x9f", b"\x98\x80", b"\x0b", b"\x85", b"\xe2\x80\xa8", b"{}", b"xyz",
        b"[DONE]", b'data: {"a":1}\n\n',
        b"data: x\n", b"data: {}\n", b"data: [", b"event: error\n",
    ]
)  # fmt: skip
bodies = st.lists(tokens | st.binary(max_size=6), max_size=40).map(b"".join)


def whole(body, limit):
    """The events of a body, and whether one of its blocks is larger than `limit`."""
    lines = re.split(rb"\r\n|\n|\r", body.removeprefix(BOM))
    events, block = [], []
    for line in [*lines, b""]:
        if line:
            block.append(line)
            continue
        if len(b"\n".join(block)) > limit:
            return events, True
        said = [line.removeprefix(b"data:") for line in block if line.startswith(b"data:")]
        if said:
            joined = b"\n".join(data.removeprefix(b" ") for data in said)
            events += re.split(rb"(?<=\})\n(?=[{\[])", joined)
        block = []
    return events, False


def in_pieces(body, cuts):
    places = sorted({min(cut, len(body)) for cut in cuts})
    return [body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True)]


def fed(pieces, limit=10**6):
    parser, events = SSEParser(limit), []
    try:
        for piece in pieces:
            events += parser.feed(piece)
    except EventTooLargeError:
        return events, True
    return events + parser.close(), False


@examples(800)
@given(bodies, st.lists(st.integers(0, 120), max_size=30))
def test_any_bytes_cut_anywhere_are_the_events_of_the_whole(body, cuts):
    expected = whole(body, 10**6)
    assert fed([body]) == expected
    assert fed(in_pieces(body, cuts)) == expected
    assert fed([body[i : i + 1] for i in range(len(body))]) == expected


@examples(500)
@given(bodies, st.lists(st.integers(0, 120), max_size=30), st.integers(1, 30))
def test_a_limit_stops_the_same_bodies_however_they_are_cut(body, cuts, limit):
    events, too_large = whole(body, limit)
    _, nearly = whole(body, limit - 1)  # half of a blank line before it may count as its own
    for pieces in ([body], in_pieces(body, cuts), [body[i : i + 1] for i in range(len(body))]):
        got, stopped = fed(pieces, limit)
        assert too_large <= stopped <= nearly
        assert got == events[: len(got)]  # of the last piece there may be fewer


@examples(300)
@given(bodies, st.integers(1, 8), st.integers(8, 60))
def test_what_is_held_between_two_pieces_is_never_more_than_the_limit(body, size, limit):
    parser = SSEParser(limit)
    try:
        for at in range(0, len(body), size):
            parser.feed(body[at : at + size])
            assert sum(map(len, parser._tail)) <= limit
            assert len(parser._carry) <= 2
    except EventTooLargeError:
        pass


ENDLESS = {
    "events": b"data: xxxxxxxx\n\n",
    "blank lines": b"\n",
    "returns": b"\r",
    "both": b"\r\n",
    "comments": b": keep-alive\n\n",
    "names": b"event: ping\r\n\r\n",
}


@pytest.mark.parametrize("what", ENDLESS)
def test_an_endless_stream_of_small_things_takes_no_memory(what):
    parser, piece = SSEParser(1_000), ENDLESS[what] * 50
    for _ in range(20):
        parser.feed(piece)
    tracemalloc.start()
    try:
        for _ in range(500):
            parser.feed(piece)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 10_000


LARGE = {
    "one line": b"x" * 64,
    "many data lines": b"data: xxxxxxxxxx\n",
    "many comments": b": xx\n",
    "returns between": b"data: x\r",
}


@pytest.mark.parametrize("size", [1, 3, 1_000])
@pytest.mark.parametrize("what", LARGE)
def test_one_event_that_never_ends_costs_time_in_proportion(what, size):
    def cost(count):
        body = b"data: " + LARGE[what] * count
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        best = 9.0
        for _ in range(3):
            parser = SSEParser(10**9)
            began = time.process_time()
            for piece in pieces:
                parser.feed(piece)
            parser.close()
            best = min(best, time.process_time() - began)
        return best

    count = 10_000 if size == 1_000 else 150
    # Were it quadratic, sixteen times the size would take 256 times as long.
    assert cost(16 * count) < 90 * max(cost(count), 0.0005)
