"""Envelopes: what was sealed opens, and nothing else does."""

from __future__ import annotations

import json
import zlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scallion.stores import Envelope

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


class Answer(msgspec.Struct):
    text: str
    tokens: int = 0


class Rot:
    """A cipher of the form that `Fernet` has, if not of its strength."""

    def __init__(self, key: int) -> None:
        self._key = key

    def encrypt(self, data: bytes) -> bytes:
        return bytes([self._key]) + bytes(byte ^ self._key for byte in data)

    def decrypt(self, token: bytes) -> bytes:
        if token[0] != self._key:
            raise RuntimeError("not mine")
        return bytes(byte ^ self._key for byte in token[1:])


ways = [
    {},
    {"compress": "zlib"},
    {"compress": "zstd"},
    {"cipher": Rot(7)},
    {"compress": "zlib", "cipher": Rot(7)},
    {"compress": "zstd", "cipher": Rot(7)},
]


@pytest.mark.parametrize("way", ways)
@given(value=values)
def test_what_is_sealed_opens(way, value):
    envelope = Envelope(Any, version=1, **way)
    assert envelope.open(envelope.seal(value)) == value


@pytest.mark.parametrize("way", ways)
def test_large_values_open_too_and_are_smaller_if_compressed(way):
    envelope = Envelope(Answer, version=1, **way)
    answer = Answer("Why is the sky blue? " * 10_000, 3)
    sealed = envelope.seal(answer)
    assert envelope.open(sealed) == answer
    assert (len(sealed) < 10_000) == ("compress" in way)


def test_without_options_the_payload_is_json_to_the_eye():
    sealed = Envelope(Answer, version=1).seal(Answer("hi", 3))
    assert json.loads(sealed[5:]) == {"text": "hi", "tokens": 3}


@pytest.mark.parametrize("way", ways)
@given(cut=st.integers(0, 400), junk=st.binary(max_size=3))
def test_what_is_cut_or_continued_is_not_read_or_is_the_same(way, cut, junk):
    envelope = Envelope(Answer, version=1, **way)
    answer = Answer("Why is the sky blue? " * 100)
    sealed = envelope.seal(answer)
    assert envelope.open(sealed[: min(cut, len(sealed) - 1)]) is None
    assert envelope.open(sealed + junk) in (None, answer)


@given(data=st.binary() | st.binary().map(b"sc\x01\x01".__add__))
def test_any_bytes_are_a_value_or_a_miss(data):
    for way in ways:
        found = Envelope(Answer, version=1, **way).open(data)
        assert found is None or isinstance(found, Answer)


def test_another_version_or_shape_is_a_miss():
    sealed = Envelope(Answer, version=1).seal(Answer("hi"))
    assert Envelope(Answer, version=2).open(sealed) is None
    older = Envelope(dict, version=1).seal({"content": "hi"})
    assert Envelope(Answer, version=1).open(older) is None


def test_what_is_not_encrypted_is_not_read_by_one_who_encrypts_nor_with_another_key():
    plain = Envelope(Answer, version=1)
    secret = Envelope(Answer, version=1, cipher=Rot(7))
    other = Envelope(Answer, version=1, cipher=Rot(8))
    answer = Answer("hi")
    assert secret.open(plain.seal(answer)) is None
    assert plain.open(secret.seal(answer)) is None
    assert other.open(secret.seal(answer)) is None


@pytest.mark.parametrize("compress", ["zlib", "zstd"])
def test_what_is_compressed_is_read_whatever_one_writes(compress):
    sealed = Envelope(Answer, version=1, compress=compress).seal(Answer("hi" * 1000))
    assert Envelope(Answer, version=1).open(sealed) == Answer("hi" * 1000)


@pytest.mark.parametrize("compress", ["zlib", "zstd"])
def test_what_would_not_fit_in_memory_is_a_miss(compress):
    bomb = Envelope(Answer, version=1, compress=compress).seal(Answer("x" * 10_000_000))
    assert len(bomb) < 20_000
    assert Envelope(Answer, version=1, max_size=1_000_000).open(bomb) is None


def test_json_too_deep_to_read_is_a_miss():
    deep = b"[" * 100_000 + b"]" * 100_000
    envelope = Envelope(Any, version=1)
    assert envelope.open(b"sc\x01\x01\x00" + deep) is None
    assert envelope.open(b"sc\x01\x01\x01" + zlib.compress(deep)) is None


def test_a_version_is_a_byte():
    with pytest.raises(ValueError, match="256"):
        Envelope(Answer, version=256)


def test_without_zstandard_its_values_are_misses_and_it_cannot_be_chosen(monkeypatch):
    from scallion.stores import _envelope

    sealed = Envelope(Answer, version=1, compress="zstd").seal(Answer("hi" * 1000))
    monkeypatch.setattr(_envelope, "_zstd", lambda: None)
    assert Envelope(Answer, version=1).open(sealed) is None
    with pytest.raises(ImportError, match=r"scallion\[zstd\]"):
        Envelope(Answer, version=1, compress="zstd")
