"""The servers of this folder's tests: started once, ended with the session, quoted by failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scallion import build_pipeline
from scallion.exceptions import ConnectionError
from scallion.middlewares import retry
from support.llama_server import MODEL, LlamaServer
from support.llmock import LLMock
from support.server_process import ServerProcess, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterator

    from scallion import Pipeline

STYLES = ("openai", "anthropic")


@pytest.fixture(scope="session")
def llama(request: pytest.FixtureRequest) -> Iterator[LlamaServer]:
    """llama.cpp's server, for all tests that leave it as it is."""
    yield from running(LlamaServer, request)


@pytest.fixture
def mortal_llama(request: pytest.FixtureRequest) -> Iterator[LlamaServer]:
    """Another one, to be killed."""
    yield from running(LlamaServer, request)


@pytest.fixture(scope="session")
def llmock_server(request: pytest.FixtureRequest) -> Iterator[LLMock]:
    yield from running(LLMock, request)


@pytest.fixture
def llmock(llmock_server: LLMock) -> LLMock:
    """The mock, with nothing left over from another test."""
    llmock_server.forget()
    return llmock_server


@pytest.fixture(params=STYLES)
def style(request: pytest.FixtureRequest) -> str:
    """Each of the APIs that the servers speak."""
    return request.param


def asking(llama: LlamaServer, style: str) -> Pipeline:
    """A pipeline that forgives the server for closing what it promised to keep alive.

    It does so after some streams, and on a busy machine the next request is written by then.
    """
    return build_pipeline(
        [retry(on=ConnectionError, wait_initial=0.01)], provider=llama.provider(style), model=MODEL
    )


@pytest.fixture
async def llm(llama: LlamaServer, style: str) -> AsyncIterator[Pipeline]:
    """A pipeline to llama.cpp's server, by each of its APIs."""
    async with asking(llama, style) as pipeline:
        yield pipeline


@pytest.fixture
async def anthropic_llm(llama: LlamaServer) -> AsyncIterator[Pipeline]:
    """A pipeline to llama.cpp's server, by Anthropic's API."""
    async with asking(llama, "anthropic") as pipeline:
        yield pipeline


@pytest.fixture
async def openai_llm(llama: LlamaServer) -> AsyncIterator[Pipeline]:
    """A pipeline to llama.cpp's server, by OpenAI's API."""
    async with asking(llama, "openai") as pipeline:
        yield pipeline


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        values = getattr(item, "funcargs", {}).values()
        for server in {value for value in values if isinstance(value, ServerProcess)}:
            report.sections.append((f"{server.name}'s log", server.log_tail()))
    return report
