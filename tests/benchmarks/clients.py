"""Who is compared: the bare SDKs as their documentation uses them, and pipelines over the adapters."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from replies import SHORT

from scallion import Pipeline, build_pipeline
from scallion import providers as scallion_providers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Self

    import anthropic
    import openai

    from scallion import Handler, Middleware, Request, Response

OPENAI_MODEL = "gpt-4o"
ANTHROPIC_MODEL = "claude-haiku-4-5"
MAX_TOKENS = 1_000
LAYERS = 6


def passing() -> Middleware:
    """A layer that does nothing."""

    async def layer(request: Request, call_next: Handler) -> Response:
        return await call_next(request)

    return layer


def working() -> Middleware:
    """A layer that looks at every chunk, and hears of the end."""

    async def layer(request: Request, call_next: Handler) -> Response:
        response = await call_next(request)
        return response.map(lambda chunk: chunk).on_settle(lambda outcome: None)

    return layer


def settling() -> Middleware:
    """A layer that hears of the end, as cost, log and budget do."""

    async def layer(request: Request, call_next: Handler) -> Response:
        return (await call_next(request)).on_settle(lambda outcome: None)

    return layer


def layers(kind: Callable[[], Middleware] = passing, count: int = LAYERS) -> list[Middleware]:
    """`count` layers of one kind."""
    return [kind() for _ in range(count)]


class Clients:
    """Clients that are all closed at the end: the SDKs' and pipelines, over one server.

    Args:
        url: The base URL of a reply.
    """

    def __init__(self, url: Callable[[str], str]) -> None:
        self._url = url
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    def openai_sdk(self, reply: str = "openai", **settings: Any) -> openai.AsyncOpenAI:
        """The bare SDK, by default with its own default transport."""
        import openai

        client = openai.AsyncOpenAI(
            api_key="sk-local", base_url=self._url(reply), max_retries=0, **settings
        )
        self._stack.push_async_callback(client.close)
        return client

    def anthropic_sdk(self, reply: str = "anthropic") -> anthropic.AsyncAnthropic:
        """The bare SDK."""
        import anthropic

        client = anthropic.AsyncAnthropic(
            api_key="sk-local", base_url=self._url(reply), max_retries=0
        )
        self._stack.push_async_callback(client.close)
        return client

    def pipeline(self, reply: str, kind: Callable[[], Middleware] = passing) -> Pipeline:
        """Six layers around the adapter that the reply is for."""
        provider: Callable[..., Handler] = scallion_providers.openai
        model = OPENAI_MODEL
        if reply.startswith("anthropic"):
            provider, model = scallion_providers.anthropic, ANTHROPIC_MODEL
        made = build_pipeline(
            layers(kind),
            provider=provider(api_key="sk-local", base_url=self._url(reply)),
            model=model,
        )
        self._stack.push_async_callback(made.aclose)
        return made


# --------------------------------------------------------------------------- one call of each


def completing(llm: Pipeline, messages: Any = SHORT, **params: Any) -> Callable[[], Awaitable[Any]]:
    """A complete call of a pipeline."""
    return lambda: llm.complete(messages, **params)


def creating(
    client: openai.AsyncOpenAI, messages: Any = SHORT, **params: Any
) -> Callable[[], Awaitable[Any]]:
    """A complete call of the openai SDK."""
    return lambda: client.chat.completions.create(model=OPENAI_MODEL, messages=messages, **params)


def creating_message(
    client: anthropic.AsyncAnthropic, messages: Any = SHORT, **params: Any
) -> Callable[[], Awaitable[Any]]:
    """A complete call of the anthropic SDK."""
    return lambda: client.messages.create(
        model=ANTHROPIC_MODEL, max_tokens=MAX_TOKENS, messages=messages, **params
    )


def streaming(llm: Pipeline) -> Callable[[], Awaitable[Any]]:
    """A stream of a pipeline, read to its end."""

    async def read() -> None:
        async with llm.stream(SHORT) as stream:
            async for chunk in stream:
                chunk.content  # noqa: B018 - what a consumer does with a chunk

    return read


def streaming_sdk(client: openai.AsyncOpenAI) -> Callable[[], Awaitable[Any]]:
    """A stream of the openai SDK."""

    async def read() -> None:
        create: Any = client.chat.completions.create  # its overloads want literals
        stream = await create(
            model=OPENAI_MODEL,
            messages=SHORT,
            stream=True,
            stream_options={"include_usage": True},
        )
        async with stream:
            async for chunk in stream:
                if chunk.choices:
                    chunk.choices[0].delta.content  # noqa: B018

    return read


def streaming_messages(client: anthropic.AsyncAnthropic) -> Callable[[], Awaitable[Any]]:
    """A stream of the anthropic SDK's `messages.create`."""

    async def read() -> None:
        stream: Any = await client.messages.create(
            model=ANTHROPIC_MODEL, max_tokens=MAX_TOKENS, messages=SHORT, stream=True
        )
        async with stream:
            async for event in stream:
                if event.type == "content_block_delta":
                    event.delta.text  # noqa: B018

    return read
