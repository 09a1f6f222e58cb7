"""The chain of an audit: each record carries the digest of the one before it, and its own.

A record is one line of JSON. Its last field is the digest of all that stands before it in the line,
which includes the digest of the record before: whoever changes or removes one breaks the chain from
there on. `hash` is plain SHA-256, which anybody can make anew for a whole file; with a key in
`SCALLION_AUDIT_KEY` the field is `hmac`, which nobody can make without that key.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from typing import Any, Final, NamedTuple

import msgspec

KEY_VARIABLE: Final = "SCALLION_AUDIT_KEY"

DIGEST: Final = re.compile(rb',"(hash|hmac)":"([0-9a-f]{64})"\}\Z')


class Link(NamedTuple):
    """The end of a chain so far: how many records it has, and the digest of the last one."""

    seq: int = 0
    digest: str = "0" * 64

    @classmethod
    def of_line(cls, line: bytes) -> Link | None:
        """What a record says of itself; `None` for one that belongs to no chain."""
        found = DIGEST.search(line)
        if found is None:
            return None
        place = _place_of(line)
        return None if place is None else cls(place.seq, found[2].decode())

    def next(self, record: dict[str, Any]) -> tuple[bytes, Link]:
        """The line of the record that follows, and the end of the chain with it."""
        placed = {"seq": self.seq + 1, "prev": self.digest, **record}
        body = encode(placed)
        key = chain_key()
        name = b"hash" if key is None else b"hmac"
        digest = digest_of(body, key)
        line = b'%b,"%b":"%b"}' % (body[:-1], name, digest.encode())
        return line, Link(self.seq + 1, digest)


class _Place(msgspec.Struct):
    seq: int
    prev: str


def _place_of(line: bytes) -> _Place | None:
    try:
        return msgspec.json.decode(line, type=_Place)
    except (ValueError, RecursionError):
        return None


def chain_key() -> bytes | None:
    """The key, if there is one in the environment: its bytes, whatever they are."""
    return os.fsencode(os.environ.get(KEY_VARIABLE, "")) or None


def digest_of(body: bytes, key: bytes | None) -> str:
    """The digest of a record, written as JSON without it."""
    if key is None:
        return hashlib.sha256(body).hexdigest()
    return hmac.new(key, body, "sha256").hexdigest()


def encode(record: dict[str, Any]) -> bytes:
    """A record as JSON, on one line; what JSON cannot say as its text."""
    return msgspec.json.encode(record, enc_hook=str)


class Check:
    """Reads records one after the other, and finds where their chain is broken.

    Attributes:
        first: The number of the first record.
        last: The end of the chain.
        records: How many records were read.
        problems: What is wrong, one sentence each.
        notes: What is odd, but not wrong.
    """

    def __init__(self, *, partial: bool = False) -> None:
        self.first: int | None = None
        self.last = Link()
        self.records = 0
        self.problems: list[str] = []
        self.notes: list[str] = []
        self._key = chain_key()
        self._begins_anywhere = partial
        self._digests = dict([self.last])

    def read(self, line: bytes, where: str) -> None:
        """Check one record."""
        found = DIGEST.search(line)
        if found is None:
            self._unlinked(line, where)
            return
        self.records += 1
        body = line[: found.start()] + b"}"
        place = _place_of(body)
        if place is None:
            self.problems.append(f"{where} was changed")
            return
        link = Link(place.seq, found[2].decode())
        keyed = found[1] == b"hmac"
        if keyed and self._key is None:
            raise ValueError(f"{where} is signed: put the key into {KEY_VARIABLE}")
        if not keyed and self._key is not None:
            self.problems.append(f"{where} (record {link.seq}) is not signed with the key")
        elif not hmac.compare_digest(digest_of(body, self._key), link.digest):
            self.problems.append(f"{where} (record {link.seq}) was changed")
        self._follow(place, where)
        self.first = link.seq if self.first is None else self.first
        self.last = link
        self._digests[link.seq] = link.digest

    def has(self, link: Link) -> bool:
        """Whether a record of this number and digest was read."""
        return self._digests.get(link.seq) == link.digest

    def _follow(self, link: _Place, where: str) -> None:
        expected = self.last.seq + 1
        if self._begins_anywhere and self.first is None:
            if link.seq != 1:
                self.notes.append(f"the records before {link.seq} are not here")
        elif link.seq > expected:
            missing = f"records {expected} to {link.seq - 1} are"
            if link.seq == expected + 1:
                missing = f"record {expected} is"
            self.problems.append(f"{missing} missing before {where}")
        elif link.seq < expected:
            self.problems.append(f"{where} (record {link.seq}) is out of order")
        elif link.prev != self.last.digest:
            self.problems.append(f"{where} (record {link.seq}) does not follow the one before it")

    def _unlinked(self, line: bytes, where: str) -> None:
        try:
            msgspec.json.decode(line)
        except ValueError:
            # What a process was writing when it died. If it was a whole record once, the next one
            # does not follow.
            self.notes.append(f"{where} is not a record: writing it was cut short")
            return
        except RecursionError:
            pass  # deeper than anything that a record is written from
        self.problems.append(f"{where} belongs to no chain")
