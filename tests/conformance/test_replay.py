"""Every exchange, replayed over HTTP through the real SDK clients, against the oracle.

Each is sent as it was recorded, and once more for each size of piece that its body is cut into.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from conformance.allowances import meaning, read_as_text, with_defaults
from conformance.forms import plain
from conformance.oracle import expect
from conformance.replay import as_recorded, cut, describe, replay, scallion

from scallion.exceptions import ProviderError, StreamError
from support.upstream import Upstream

if TYPE_CHECKING:
    from conformance.exchanges import Exchange
    from conformance.oracle import Expected
    from conformance.replay import Replayed


async def test_an_exchange_means_what_its_bytes_say(exchange: Exchange):
    async with Upstream(default=as_recorded(exchange)) as upstream:
        async with scallion(exchange, upstream) as llm:
            seen = await replay(llm, exchange)
        await upstream.all_closed()
    check(seen, exchange)
    if exchange.stream and exchange.status == 400:
        # Perhaps the server refused to be asked for usage, so the adapter asks once without.
        assert upstream.count <= 2
    else:
        assert upstream.count == 1
    if exchange.endpoint == "chat" and exchange.request:
        check_request(upstream.requests[0].json, exchange.request, exchange)


async def test_it_means_the_same_in_small_pieces(exchange: Exchange):
    async with Upstream() as upstream, scallion(exchange, upstream) as llm:
        for size in (1, 2, 3, 7, 64):
            upstream.default = cut(exchange, size)
            seen = await replay(llm, exchange)
            try:
                check(seen, exchange)
            except BaseException as error:
                error.add_note(f"The body came in pieces of {size} bytes.")
                raise


def check(seen: Replayed, exchange: Exchange) -> None:
    """Compare what the caller saw with what the oracle expects."""
    expected = expect(exchange)
    if expected.error is None:
        if seen.error is not None:
            raise seen.error
        assert seen.answer is not None
        assert describe(seen.answer, exchange) == expected.answer
        assert seen.answer.provider == adapter(exchange)
        assert seen.answer.request_id == expected.request_id
        check_nothing_lost(seen, expected, exchange)
    else:
        check_error(seen.error, expected, exchange)


def check_error(error: Exception | None, expected: Expected, exchange: Exchange) -> None:
    """A typed error of the right class, with its particulars."""
    assert isinstance(error, ProviderError), repr(error)
    assert type(error).__name__ == expected.error
    assert error.provider == adapter(exchange)
    assert error.model == exchange.model
    assert error.request_id == expected.request_id
    if exchange.status != 200:
        assert error.status_code == exchange.status
        # What a server quotes of our own key is not passed on.
        quoted = json.dumps(expected.error_body).replace("sk-test", "***")
        assert error.body == json.loads(quoted)
        assert error.retry_after == _seconds(exchange.headers)
    by_hand = exchange.expect or {}
    assert error.retryable == by_hand.get("retryable", error.retryable)
    if isinstance(error, StreamError):
        assert describe(error.partial, exchange) == expected.answer


def _seconds(headers: dict[str, str]) -> float | None:
    short, long = headers.get("retry-after-ms", "0"), headers.get("retry-after")
    if float(short) > 0:
        return float(short) / 1000
    return None if long is None else float(long)  # no recorded one is a date


def check_nothing_lost(seen: Replayed, expected: Expected, exchange: Exchange) -> None:
    """Every field that OpenAI's shape carries comes out again, known or not."""
    assert seen.answer is not None
    if exchange.endpoint == "messages":
        return
    if expected.frames is None:
        body = json.loads(exchange.body)
        assert seen.answer.raw == body
        assert plain(seen.answer.to_dict()) == plain(with_defaults(read_as_text(body)))
    else:
        chunks = [plain(with_defaults(chunk.to_dict())) for chunk in seen.chunks]
        assert chunks == [plain(with_defaults(read_as_text(f))) for f in expected.frames]


def check_request(sent: dict[str, Any], recorded: dict[str, Any], exchange: Exchange) -> None:
    """The provider got what the caller meant; only the stream's own options are the adapter's."""
    own = ("stream", "stream_options", "messages")
    for name in {*sent, *recorded} - {*own}:
        assert sent.get(name) == recorded.get(name), name
    reasoning = adapter(exchange) == "openrouter"
    assert meaning(sent["messages"], reasoning=reasoning) == meaning(
        recorded["messages"], reasoning=reasoning
    )


def adapter(exchange: Exchange) -> str:
    """The adapter that is asked: OpenAI's for every compatible server."""
    return exchange.provider if exchange.provider in ("anthropic", "openrouter") else "openai"
