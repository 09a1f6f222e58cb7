"""The servers of this folder's tests: started once, ended with the session, quoted by failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scallion import build_pipeline
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


@pytest.fixture
async def llm(llama: LlamaServer, style: str) -> AsyncIterator[Pipeline]:
    """A pipeline to llama.cpp's server, by each of its APIs."""
    async with build_pipeline(provider=llama.provider(style), model=MODEL) as pipeline:
        yield pipeline


@pytest.fixture
async def anthropic_llm(llama: LlamaServer) -> AsyncIterator[Pipeline]:
    """A pipeline to llama.cpp's server, by Anthropic's API."""
    async with build_pipeline(provider=llama.provider("anthropic"), model=MODEL) as pipeline:
        yield pipeline


@pytest.fixture
async def openai_llm(llama: LlamaServer) -> AsyncIterator[Pipeline]:
    """A pipeline to llama.cpp's server, by OpenAI's API."""
    async with build_pipeline(provider=llama.provider("openai"), model=MODEL) as pipeline:
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
