"""The store in one JSON file that people can read, compare and commit: recordings for tests.

Entries are sorted by key and the file is indented, so a change of one entry is a change of its
lines. What is not JSON (compressed or encrypted entries) is kept as Base64. What looks like a
secret is never written.
"""

from __future__ import annotations

import os
import tempfile
from base64 import b64decode, b64encode
from codecs import BOM_UTF8
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from scallion.exceptions import StoreError

from ._cassette_secrets import cleansed, without_secrets
from ._envelope import MAGIC, PLAIN
from ._memory import MemoryStore
from ._protocol import check_key, check_value

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMAT: Final = 1


class Kept(Struct, omit_defaults=True):
    """One value: JSON, with the version it was sealed with if it was, or bytes."""

    value: Any = None
    version: int | None = None
    base64: str | None = None


class Tape(Struct):
    """The file."""

    format: int = FORMAT
    entries: dict[str, Kept] = {}


class CassetteStore(MemoryStore):
    """Values in a JSON file. Times to live do not count: what was recorded stays.

    Several processes may record to one file at once (on Windows, one at a time). Leases and budgets
    are this process's own. Secrets are replaced before anything is written, wherever they stand:
    the values of environment variables that are named like secrets, and what has a known key's
    form.

    Args:
        path: The file. It and its folder are made when something is recorded.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__()
        self._path = Path(path).absolute()  # the working directory may change
        self._arguments = {"path": self._path}
        self._read_at: tuple[int, int, int] | None = None
        self._tape = Tape()

    @property
    def url(self) -> str:
        """See `Store.url`."""
        return f"cassette:{self._path}"

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def keys(self) -> list[str]:
        """The key of everything that is kept, in order."""
        with self._lock:
            return sorted(self._entries())

    async def set(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        """See `Store.set`."""
        check_value(key, value, ttl)
        with self._lock, self._changing() as entries:
            entries[without_secrets(key)] = _kept(value)

    async def delete(self, key: str) -> None:
        """See `Store.delete`."""
        check_key(key)
        key = without_secrets(key)
        with self._lock:
            if key in self._entries():
                with self._changing() as entries:
                    entries.pop(key, None)

    def _value(self, key: str) -> bytes | None:
        kept = self._entries().get(without_secrets(key))
        return None if kept is None else _bytes(kept)

    def _entries(self) -> dict[str, Kept]:
        """What is in the file, read again if it was changed."""
        try:
            status = self._path.stat()
            read_at = (status.st_mtime_ns, status.st_size, status.st_ino)
            if read_at != self._read_at:
                text = self._path.read_bytes().removeprefix(BOM_UTF8)  # some editors add it
                self._tape = msgspec.json.decode(text, type=Tape)
                self._read_at = read_at
        except FileNotFoundError:
            self._tape, self._read_at = Tape(), None
        except (OSError, ValueError, RecursionError) as error:
            raise StoreError(f"{self._path} cannot be read as a recording: {error}") from error
        if self._tape.format != FORMAT:
            raise StoreError(
                f"{self._path} has format {self._tape.format}, this one knows {FORMAT}"
            )
        return self._tape.entries

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Kept]]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with _locked(self._path):
                entries = dict(self._entries())
                yield entries
                _write(self._path, Tape(entries=entries))
        except OSError as error:
            raise StoreError(f"{self._path} cannot be written: {error}") from error


def _kept(data: bytes) -> Kept:
    plain = data.startswith(MAGIC) and data[len(MAGIC) + 1 :][:1] == bytes([PLAIN])
    payload = data[len(MAGIC) + 2 :] if plain else data
    try:
        value = cleansed(msgspec.json.decode(payload))
    except ValueError:
        return Kept(base64=b64encode(data).decode())
    except RecursionError as error:
        raise StoreError("a value is nested too deep to take the secrets out of it") from error
    return Kept(value=value, version=data[len(MAGIC)] if plain else None)


def _bytes(kept: Kept) -> bytes | None:
    """The value, or `None` if somebody has broken it."""
    try:
        if kept.base64 is not None:
            return b64decode(kept.base64, validate=True)
        header = b"" if kept.version is None else MAGIC + bytes([kept.version, PLAIN])
        return header + msgspec.json.encode(kept.value)
    except (ValueError, RecursionError):
        return None


def _write(path: Path, tape: Tape) -> None:
    """In one step: whoever reads finds the old file or the new one."""
    encoded = msgspec.json.encode(tape, order="sorted")
    text = msgspec.json.format(encoded, indent=2) + b"\n"
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(text)
        Path(name).chmod(0o644)  # it is there to be committed
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time, where the system can say so."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    descriptor: Any = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
