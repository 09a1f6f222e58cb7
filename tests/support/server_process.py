"""A server in a process of its own: installed when it is first wanted, on a loopback port, and gone
when the tests are.

The packages live in a folder beside pytest's cache, not in the environment under test: they bring
plugins and pins of their own, and serve the tests of every SDK version alike.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
from hashlib import sha256
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

_CHILD = Path(__file__).with_name("server_child.py")
_INSTALLING = 300  # seconds; the first time downloads some 130 MB
_STARTING = 60


class ServerProcess:
    """A child process that says on a pipe where it listens, and lives until its stdin closes.

    So it cannot outlive the tests, however those end; and as the child binds port 0 itself, no
    other process can take the port in between.
    """

    name: ClassVar[str]
    """What `server_child.py` is told to become."""

    packages: ClassVar[tuple[str, ...]]
    """All it needs, pinned, because pip is to resolve nothing."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, without a slash."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process, while it runs."""
        assert self._process is not None
        return self._process.pid

    def arguments(self, packages: Path) -> list[str]:
        """What the child is to know besides its name."""
        return []

    def log_tail(self, size: int = 4000) -> str:
        """The end of what the server wrote."""
        return self._log.read_text(errors="replace")[-size:]

    def kill(self) -> None:
        """End it without a chance to say goodbye to its clients."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Ask the server something beside the tests' own traffic; the answer is JSON, or text."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(
                method, path, content, {"content-type": "application/json"} | headers
            )
            response = connection.getresponse()
            answer = response.read().decode()
        finally:
            connection.close()
        assert response.status < 400, f"{method} {path}: {response.status} {answer}"
        is_json = "json" in (response.getheader("content-type") or "")
        return json.loads(answer) if is_json else answer

    def connections(self) -> int:
        """How many connections clients hold open to it, as the system counts them."""
        held = {"01", "08"}  # established, and closed by the server alone
        rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        there = f":{self.port:04X}"
        return sum(row[2].endswith(there) and row[3] in held for row in rows)

    def start(self, packages: Path) -> None:
        """Start it, and wait until it answers.

        Raises:
            RuntimeError: it does not, with its log.
        """
        reader, writer = os.pipe()
        # Neither the environment under test (-S) nor this folder (-P) is for the child to import.
        command = [sys.executable, "-S", "-P", str(_CHILD), str(writer), self.name]
        try:
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    [*command, *self.arguments(packages)],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=[writer],
                    env={**os.environ, "PYTHONPATH": str(packages)},
                    start_new_session=True,  # ctrl-C is for the tests to handle
                )
            os.close(writer)
            self.port = self._said(reader)
        except BaseException:
            self.stop()
            raise
        finally:
            os.close(reader)

    def stop(self) -> None:
        """End it, if it runs."""
        process = self._process
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _said(self, reader: int) -> int:
        ready, _, _ = select.select([reader], [], [], _STARTING)
        said = os.read(reader, 100) if ready else b""
        if not said:
            log = self.log_tail()
            hint = ": apt-get install libgomp1" if "libgomp" in log else ""
            raise RuntimeError(f"{self.name} did not start{hint}\n{log}")
        return int(said)


def installed(folder: Path, packages: tuple[str, ...]) -> Path:
    """Where `packages` are, below `folder`; they are installed if they are not there yet.

    Raises:
        RuntimeError: pip could not. That fails the tests; it never skips them.
    """
    version = f"{sys.implementation.cache_tag}-{sys.platform}"
    target = folder / f"{version}-{sha256(' '.join(packages).encode()).hexdigest()[:12]}"
    if target.exists():
        return target
    unfinished = Path(tempfile.mkdtemp(dir=folder))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--no-compile", "--target", str(unfinished), *packages]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALLING, check=False)
    if done.returncode:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise RuntimeError(f"{' '.join(command)}\nfailed:\n{done.stderr}")
    try:
        unfinished.rename(target)
    except OSError:  # another test run was faster
        shutil.rmtree(unfinished, ignore_errors=True)
    return target


S = TypeVar("S", bound=ServerProcess)


def running(server: type[S], request: pytest.FixtureRequest) -> Iterator[S]:
    """What a fixture yields from: a server of this kind, as long as the fixture lives."""
    packages = installed(Path(request.config.cache.mkdir("servers")), server.packages)
    logs: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
    process = server(logs.mktemp(server.name) / "log")
    process.start(packages)
    try:
        yield process
    finally:
        process.stop()


async def until(holds: Callable[[], bool], what: str, within: float = 10.0) -> None:
    """Wait for something that another process does. Fails after `within` seconds."""
    try:
        async with asyncio.timeout(within):
            while not holds():  # noqa: ASYNC110 - another process sets no event of ours
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"still not after {within} seconds: {what}") from None
