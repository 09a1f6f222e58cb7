"""Bodies of errors are anybody's: taking secrets out of them costs time in proportion, and no more."""

import json
import pickle
import time

import httpx2
import pytest
from hostile.effort import examples
from hypothesis import given
from hypothesis import strategies as st

from scallion import build_pipeline
from scallion._scrub import Scrubber
from scallion._secrets import MASK
from scallion.exceptions import ProviderError
from scallion.providers import anthropic, openai
from support.upstream import Reply, Upstream

KEY = "canary-key-0123456789"
scrubber = Scrubber([KEY])


@pytest.mark.parametrize(
    "piece",
    ["x", "sk-", "a...", "...", "*", "x" * 310 + "…", "Bearer ", "Bearer sk-x ", "eyJ-", "?a", "<", "<!--",
     "<script", "\n"],
)  # fmt: skip
def test_a_long_text_is_cleansed_in_time_in_proportion_to_its_length(piece):
    def cost(characters):
        text = piece * (characters // len(piece))
        began = time.process_time()
        scrubber.text(text)
        return time.process_time() - began

    # Were it quadratic, sixteen times the length would take 256 times as long.
    assert cost(320_000) < 90 * max(cost(20_000), 0.002)


@examples(300)
@given(st.lists(st.sampled_from(["sk-", "x", "1", " ", "...", "…", "**", "Bearer ", "-", "é"]), max_size=12), st.integers(4, 20), st.sampled_from(["...", "…", "***"]), st.booleans())  # fmt: skip
def test_a_key_is_found_whole_and_abridged_whatever_stands_around_it(around, length, dots, ends):
    quoted = f"{dots}{KEY[-length:]}" if ends else f"{KEY[:length]}{dots}"
    before = "".join(around)
    for text in (f"{before} {quoted} {before}", f"{before}{KEY}{before}", f"'{KEY}'"):
        assert MASK in scrubber.text(text)
        assert KEY not in scrubber.text(text)
    assert quoted not in scrubber.text(f"{before} {quoted} {before}")


HUGE = {
    "one word": b"x" * 100_000,
    "dashes": b"sk-" * 100_000,
    "dots": b"a..." * 20_000,
    "open tags": b"<" * 150_000,
    "open scripts": b"<script" * 100_000,
    "open comments": b"<!--" * 60_000,
    "deep": b"[" * 400 + b"]" * 400,
    "deeper": b'{"error":' * 900 + b"1" + b"}" * 900,
    "deepest": b"[" * 100_000,
    "json": json.dumps({"error": {"message": "x" * 100_000, "type": "y" * 9_000}}).encode(),
    "many": json.dumps({"error": [{"message": f"m{n}"} for n in range(4_000)]}).encode(),
}


@pytest.mark.parametrize("what", HUGE)
@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("make", [openai, anthropic])
async def test_a_hostile_body_is_a_typed_error_and_does_not_hold_up_the_loop(what, status, make):
    reply = Reply.whole(HUGE[what], status, headers={"content-type": "application/json"})
    async with Upstream(default=reply) as server:
        async with build_pipeline(
            provider=make(api_key=KEY, base_url=server.url), model="m"
        ) as llm:
            for call in (llm.complete("hi"), llm.stream("hi").collect()):
                began = time.process_time()
                with pytest.raises(ProviderError) as raised:
                    await call
                assert time.process_time() - began < 5
                pickle.dumps(raised.value)
        await server.all_closed()


def test_a_prompt_is_not_looked_through_however_long_it_is(monkeypatch):
    read = []
    monkeypatch.setattr(Scrubber, "text", lambda self, text: read.append(text) or text)
    request = httpx2.Request(
        "POST", "http://host", content=b"x" * 100_000, headers={"authorization": f"Bearer {KEY}"}
    )
    failure = httpx2.ReadError("cut", request=request)
    Scrubber([KEY]).texts(failure)

    assert failure.request.content is request.content
    assert failure.request.headers["authorization"] == MASK
    assert max(map(len, read)) < 1_000
