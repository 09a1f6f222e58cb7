"""The processes behind this folder's tests: they never outlive them, and never go missing quietly."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from support.llmock import LLMock
from support.server_process import installed, until

pytestmark = pytest.mark.integration

STARTS_ONE = """
import sys
from pathlib import Path
from support.llmock import LLMock

server = LLMock(Path(sys.argv[1]))
server.start(Path(sys.argv[2]))
print(server.port, flush=True)
sys.stdin.read()
"""


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def packages(request):
    """Where the mock is installed."""
    return installed(Path(request.config.cache.mkdir("servers")), LLMock.packages)


def run_python(*arguments):
    return subprocess.Popen(
        [sys.executable, "-c", *map(str, arguments)],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


async def test_a_server_ends_with_the_process_that_started_it(packages, tmp_path):
    with run_python(STARTS_ONE, tmp_path / "log", packages) as parent:
        port = int(parent.stdout.readline())
        assert answers(port)
        parent.kill()
    await until(lambda: not answers(port), "the server is gone")


def test_a_server_that_does_not_start_fails_with_its_log(packages, tmp_path):
    class Unknown(LLMock):
        name = "unheard-of"

    with pytest.raises(RuntimeError, match=r"unheard-of did not start(?s:.*)KeyError"):
        Unknown(tmp_path / "log").start(packages)


def test_packages_that_cannot_be_installed_fail_with_pips_words(tmp_path):
    with pytest.raises(RuntimeError, match=r"nowhere\.whl"):
        installed(tmp_path, ("./nowhere.whl",))
    assert list(tmp_path.iterdir()) == []
