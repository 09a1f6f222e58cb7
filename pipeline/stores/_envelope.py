"""The form in which a value is kept: JSON with a version, compressed or encrypted on request.

    s c  FORMAT  VERSION  METHOD  payload

Whatever cannot be read, because it is older, newer, cut, foreign or made with another key, is read
as `None`: a miss, never an error. Nothing is unpickled.
"""

from __future__ import annotations

import zlib
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

import msgspec

if TYPE_CHECKING:
    from types import ModuleType

T = TypeVar("T")

MAGIC = b"sc\x01"
PLAIN, ZLIB, ZSTD = 0, 1, 2
ENCRYPTED = 0x80

# Shorter than this, compressing saves nothing worth its time.
WORTH_COMPRESSING = 512


class Cipher(Protocol):
    """What encrypts: `cryptography.fernet.Fernet` and `MultiFernet` have this form.

    `decrypt` raises for what it did not encrypt.
    """

    def encrypt(self, data: bytes) -> bytes: ...

    def decrypt(self, token: bytes) -> bytes: ...


class Envelope(Generic[T]):
    """Seals values of one type to bytes, and opens them.

    Args:
        kind: What to decode to, as msgspec understands it.
        version: Of your `kind`, 0 to 255. Values sealed with another are not read.
        compress: How to compress new values. Zstandard needs Python 3.14 or `scallion[zstd]`. All
            are read, whichever is chosen here.
        cipher: Encrypts new values; what is not encrypted is then not read.
        max_size: How large a value may be when decompressed, in bytes. A larger one is not read.

    Raises:
        ImportError: `compress="zstd"` and nothing that can do it.
        ValueError: `version` is not a byte.
    """

    def __init__(
        self,
        kind: type[T],
        *,
        version: int,
        compress: Literal["zlib", "zstd"] | None = None,
        cipher: Cipher | None = None,
        max_size: int = 64 * 2**20,
    ) -> None:
        if compress == "zstd" and _zstd() is None:
            raise ImportError("Zstandard is not installed: pip install 'scallion[zstd]'")
        self._header = MAGIC + bytes([version])
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(kind)
        self._method = {None: PLAIN, "zlib": ZLIB, "zstd": ZSTD}[compress]
        self._cipher = cipher
        self._max_size = max_size

    def seal(self, value: T) -> bytes:
        """The bytes to store."""
        payload = self._encoder.encode(value)
        method = self._method if len(payload) >= WORTH_COMPRESSING else PLAIN
        if method == ZLIB:
            payload = zlib.compress(payload)
        elif method == ZSTD:
            payload = _zstd().compress(payload)  # type: ignore[union-attr]  # asked at the start
        if self._cipher is not None:
            method |= ENCRYPTED
            payload = self._cipher.encrypt(payload)
        return self._header + bytes([method]) + payload

    def open(self, data: bytes) -> T | None:
        """The value, or `None` if these bytes are not one that this envelope reads."""
        start = len(self._header)
        if not data.startswith(self._header) or len(data) == start:
            return None
        method, payload = data[start], data[start + 1 :]
        if bool(method & ENCRYPTED) != (self._cipher is not None):
            return None
        if self._cipher is not None:
            try:
                payload = self._cipher.decrypt(payload)
            except Exception:  # noqa: BLE001  (every library has its own, and all mean the same)
                return None
        unpacked = self._decompress(method & ~ENCRYPTED, payload)
        try:
            return None if unpacked is None else self._decoder.decode(unpacked)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None

    def _decompress(self, method: int, payload: bytes) -> bytes | None:
        if method == PLAIN:
            return payload
        zstd = _zstd()
        try:
            if method == ZLIB:
                inflater = zlib.decompressobj()
                data = inflater.decompress(payload, self._max_size)
                return data if inflater.eof else None
            if method == ZSTD and zstd is not None:
                decompressor = zstd.ZstdDecompressor()
                unpacked: bytes = decompressor.decompress(payload, self._max_size)
                return unpacked if decompressor.eof else None
        except Exception:  # noqa: BLE001  (zlib.error and ZstdError share no base but this)
            return None
        return None


@cache
def _zstd() -> ModuleType | None:
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return import_module(name)
        except ImportError:
            continue
    return None
