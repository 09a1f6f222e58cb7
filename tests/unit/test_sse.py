"""Server-sent events: split right however the bytes are cut, and in linear time."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scallion.providers._sse import ErrorEvent, EventTooLargeError, SSEParser


def parse(body, size=None):
    parser = SSEParser(max_event_bytes=1_000_000)
    pieces = [body] if size is None else [body[i : i + size] for i in range(0, len(body), size)]
    events = [event for piece in pieces for event in parser.feed(piece)]
    return events + parser.close()


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b"data: one\n\ndata: two\n\n", [b"one", b"two"]),
        (b"data: one\r\n\r\ndata: two\r\n\r\n", [b"one", b"two"]),
        (b"data: one\r\rdata: two\r\r", [b"one", b"two"]),
        (b"data: one\n\r\ndata: two\r\n\n", [b"one", b"two"]),
        (b": OPENROUTER PROCESSING\n\ndata: one\n\n", [b"one"]),
        (b": keep-alive\ndata: one\n\n", [b"one"]),
        (b"event: ping\ndata: one\nid: 7\nretry: 10\n\n", [b"one"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        # Some hosts leave the blank lines out; no JSON goes on with a bracket after a brace.
        (
            b'data: {"a": 1}\ndata: {"b": 2}\ndata: [DONE]\n\n',
            [b'{"a": 1}', b'{"b": 2}', b"[DONE]"],
        ),
        (b'event: x\ndata:{"a": 1}\nevent: y\ndata:{"b": 2}', [b'{"a": 1}', b'{"b": 2}']),
        (b'data: [{"a": 1},\ndata: {"b":\ndata: {}}\ndata: ]\n\n', [b'[{"a": 1},\n{"b":\n{}}\n]']),
        (b"data:one\n\n", [b"one"]),
        (b"data:  two spaces\n\n", [b" two spaces"]),
        (b"data:\n\n", [b""]),
        (b"\n\n\n\ndata: one\n\n\n\n", [b"one"]),
        (b"\xef\xbb\xbfdata: one\n\n", [b"one"]),
        (b"data: one", [b"one"]),
        (b"data: one\n", [b"one"]),
        (b"event: ping\n\n", []),
        (b"", []),
        ("data: 日本語\n\n".encode(), ["日本語".encode()]),
    ],
)
@pytest.mark.parametrize("size", [None, 1, 2, 3, 7, 64])
def test_events_are_found_however_the_body_is_cut(body, events, size):
    assert parse(body, size) == events


@pytest.mark.parametrize("name", [b"event: error", b"event:error", b"event: errors", b"event: x"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [None, 1, 3])
def test_an_event_that_calls_itself_an_error_is_marked(name, end, size):
    body = end.join([b"data: one", b"", name, b": hm", b"data: two", b"", b"data: three", b"", b""])

    events = parse(body, size)

    assert events == [b"one", b"two", b"three"]
    marked = [isinstance(event, ErrorEvent) for event in events]
    assert marked == [False, name in (b"event: error", b"event:error"), False]


lines = st.lists(
    st.sampled_from(
        [b"data: x", b"data:y", b"data: \xf0\x9f\x98\x80", b": comment", b"event: e", b"", b"junk"]
    ),
    max_size=12,
)
ends = st.sampled_from([b"\n", b"\r\n", b"\r"])


@given(lines=lines, end=ends, cuts=st.lists(st.integers(1, 5), max_size=60))
def test_cutting_the_body_anywhere_changes_nothing(lines, end, cuts):
    body = end.join([*lines, b"", b""])
    parser = SSEParser(max_event_bytes=1_000)
    events, rest = [], body
    for cut in cuts:
        events += parser.feed(rest[:cut])
        rest = rest[cut:]
    events += parser.feed(rest)
    events += parser.close()

    expected = []
    data: list[bytes] = []
    for line in [*lines, b""]:
        if not line and data:
            expected.append(b"\n".join(data))
            data = []
        elif line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
    assert events == expected


def test_an_event_larger_than_the_limit_is_an_error_that_names_the_setting():
    parser = SSEParser(max_event_bytes=1_000)

    with pytest.raises(EventTooLargeError, match="1,000 bytes: raise max_event_bytes"):
        for _ in range(20):
            parser.feed(b"data: " + b"x" * 100)


def test_an_event_over_the_limit_is_found_in_one_piece_too():
    parser = SSEParser(max_event_bytes=1_000)

    with pytest.raises(EventTooLargeError):
        parser.feed(b"data: small\n\ndata: " + b"x" * 2_000 + b"\n\n")


def test_many_small_events_never_add_up_to_the_limit():
    parser = SSEParser(max_event_bytes=100)

    for _ in range(100):
        assert parser.feed(b"data: " + b"x" * 50 + b"\n\n") == [b"x" * 50]
        assert parser.feed(b"data: " + b"x" * 50) == []
        assert parser.feed(b"\n\n") == [b"x" * 50]


def test_one_large_event_costs_time_in_proportion_to_its_size():
    def cost(megabytes):
        parser = SSEParser(max_event_bytes=100 * 2**20)
        piece = b"x" * 2**14
        began = time.process_time()
        parser.feed(b"data: ")
        for _ in range(megabytes * 64):
            parser.feed(piece)
        assert len(parser.feed(b"\n\n")[0]) == megabytes * 2**20
        return time.process_time() - began

    # Were it quadratic, sixteen times the size would take 256 times as long.
    assert cost(32) < 100 * max(cost(2), 0.0005)
