"""The public API as a user's type checker sees it: checked by mypy and pyright, both strict.

Never run. Each function is something that users write; `assert_type` fixes what they get.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, assert_type

import scallion
from scallion import (
    Attempt,
    Context,
    Handler,
    Middleware,
    Outcome,
    Pipeline,
    Request,
    Response,
    ResponseStream,
    build_pipeline,
    exceptions,
)
from scallion.exceptions import AllModelsFailedError, ProviderError, RateLimitError, StreamError
from scallion.middlewares import (
    Entry,
    JsonlSink,
    Ledger,
    RetryBudget,
    SqliteSink,
    Target,
    audit,
    budget,
    cost,
    fallback,
    log,
    retry,
    timeout,
)
from scallion.providers import (
    AnthropicClient,
    BaseLLMClient,
    OpenAIClient,
    OpenRouterClient,
    Provider,
    anthropic,
    auto,
    detect_provider,
    fake,
    get_client,
    openai,
    openrouter,
)
from scallion.types import (
    Choice,
    FunctionCall,
    Message,
    ModelResponse,
    StreamChunk,
    ToolCall,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from anthropic.lib.bedrock import AsyncAnthropicBedrock
    from openai import AsyncAzureOpenAI
    from openai.types.chat import ChatCompletionMessageParam


# ------------------------------------------------------------------------------------- calls


async def asks_and_reads_the_answer(llm: Pipeline) -> None:
    answer = await llm.complete("Why is the sky blue?", temperature=0.2, tenant="acme")
    assert_type(answer, ModelResponse)
    assert_type(answer.text, str)
    assert_type(answer.message, Message)
    assert_type(answer.choices, list[Choice])
    assert_type(answer.tool_calls, list[ToolCall])
    assert_type(answer.tool_calls[0].function, FunctionCall | None)
    assert_type(answer.finish_reason, str | None)
    assert_type(answer.model, str | None)
    assert_type(answer.provider, str | None)
    assert_type(answer.request_id, str | None)
    assert_type(answer.cached, bool)
    assert_type(answer.usage, Usage | None)
    if answer.usage is not None:
        assert_type(answer.usage.prompt_tokens, int)
        assert_type(answer.usage.cost, float | None)
        details = answer.usage.prompt_tokens_details
        if details is not None:
            assert_type(details.cached_tokens, int | None)
    assert_type(answer.to_dict(), dict[str, Any])
    assert_type(answer.model_dump(exclude_none=True), dict[str, Any])
    assert_type(ModelResponse.model_validate({"choices": []}), ModelResponse)


async def streams(llm: Pipeline) -> None:
    assert_type(llm.stream("Hi"), ResponseStream)
    async with llm.stream("Hi", model="gpt-4o", max_tokens=100) as stream:
        assert_type(stream, ResponseStream)
        async for chunk in stream:
            assert_type(chunk, StreamChunk)
            assert_type(chunk.content, str | None)
            assert_type(chunk.reasoning, str | None)
            assert_type(chunk.tool_calls, list[ToolCall])
            assert_type(chunk.finish_reason, str | None)
            assert_type(chunk.usage, Usage | None)
            assert_type(chunk.restarted, bool)
            print(chunk.content or "", end="")
    assert_type(stream.result, ModelResponse)
    assert_type(await llm.stream("Hi").collect(), ModelResponse)


async def passes_messages_in_every_form(llm: Pipeline, answer: ModelResponse) -> None:
    await llm.complete("text")
    await llm.complete([{"role": "user", "content": "text"}])
    history: list[dict[str, Any] | Message] = [{"role": "user", "content": "text"}, answer.message]
    await llm.complete(history)
    await llm.complete([Message(role="user", content="text")])
    await llm.complete(({"role": "user", "content": "text"},))
    await llm.complete(
        [{"role": "user", "content": [{"type": "text", "text": "What is this?"}]}],
        metadata={"feature": "search"},
        deadline=30.0,
        extra_body={"provider": {"sort": "price"}},
        extra_headers={"x-feature": "search"},
    )


async def passes_the_sdks_own_message_types(
    llm: Pipeline, messages: list[ChatCompletionMessageParam]
) -> None:
    await llm.complete(messages)


async def handles_errors(llm: Pipeline) -> None:
    try:
        await llm.complete("Hi")
    except AllModelsFailedError as error:
        assert_type(error.errors, list[Exception])
    except StreamError as error:
        assert_type(error.partial, ModelResponse)
    except TimeoutError:
        pass  # exceptions.TimeoutError is one of these
    except ProviderError as error:
        assert_type(error.status_code, int | None)
        assert_type(error.retry_after, float | None)
        assert_type(error.retryable, bool)
    except exceptions.PipelineRefusedError as error:
        assert_type(error.message, str)


# -------------------------------------------------------------------------------- middlewares


def makes_requests(messages: list[dict[str, Any]]) -> None:
    assert_type(Request("gpt-4o", "Hi"), Request)
    assert_type(Request("gpt-4o", messages, {"temperature": 0}, stream=True), Request)
    Request(None, [Message(content="Hi"), {"role": "user", "content": "Hi"}], context=Context())


async def plain(request: Request, call_next: Handler) -> Response:
    assert_type(request.model, str | None)
    assert_type(request.params, dict[str, Any])
    assert_type(request.context, Context)
    assert_type(request.context.attempts, list[Attempt])
    assert_type(request.replace(model="gpt-4o"), Request)
    response = await call_next(request)
    assert_type(response, Response)
    assert_type(response.outcome, Outcome | None)
    return response


async def with_a_callable_type(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    return await call_next(request)


def configured(*, limit: int) -> Middleware:
    async def configured(request: Request, call_next: Handler) -> Response:
        response = await call_next(request.replace(params={**request.params, "max_tokens": limit}))

        def rewrite(chunk: StreamChunk) -> StreamChunk | None:
            return chunk if chunk.content else None

        def split(chunk: StreamChunk) -> Sequence[StreamChunk]:
            return [chunk, StreamChunk.of("!")]

        def settled(outcome: Outcome) -> None:
            assert_type(outcome.status, str)
            assert_type(outcome.usage, Usage | None)
            assert_type(outcome.response, ModelResponse | None)
            assert_type(outcome.error, BaseException | None)
            assert_type(outcome.duration, float)
            assert_type(outcome.attempts, tuple[Attempt, ...])

        return response.map(rewrite).map(split).on_settle(settled)

    return configured


class Counting:
    """A middleware may be an object; what it counts is its own."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, request: Request, call_next: Handler) -> Response:
        self.calls += 1
        return await call_next(request)


# ---------------------------------------------------------------------------------- providers


async def canned(request: Request) -> Response:
    """A provider is any function from Request to Response."""
    return Response.completed(ModelResponse(choices=[Choice()]), request)


def audits_calls(records: list[dict[str, Any]]) -> None:
    async def send(record: dict[str, Any]) -> None:
        records.append(record)

    file = JsonlSink("calls.jsonl", chain=True, fsync="always", max_bytes=2**20, keep=9)
    layer = audit(file, strict=True, prompts=True, redact=str.upper)
    assert_type(layer.lost, int)
    assert_type(file.last.seq, int)
    build_pipeline(
        [
            layer,
            audit("calls.db", chain=True),
            audit(SqliteSink("calls.sqlite", fsync="never")),
            audit(records.append),
            audit(send, queue=10),
        ]
    )


def builds_layers(spent: Ledger, shared: RetryBudget) -> None:
    books = cost(spent, on_charge=lambda entry: print(entry.cost))
    build_pipeline(
        [
            log(prompts=True, level="debug"),
            retry(attempts=5, wait_initial=0.1, on=(RateLimitError,), budget=shared),
            retry(on=lambda error, attempt: attempt < 2 and isinstance(error, TimeoutError)),
            books,
            budget(usd="2.50", per="tenant", window=3600),
            budget(tokens=100_000, per=lambda request: request.context.tenant or ""),
            fallback(
                ["gpt-4o", Target("claude-sonnet-4-5", params={"temperature": None}), canned],
                stream="restart",
            ),
            timeout(total=60, first_token=5, inter_chunk=2.5),
        ],
        order="off",
    )
    assert_type(books.total, Decimal)
    assert_type(books.by_model, dict[str, Decimal])
    assert_type(books.entries, tuple[Entry, ...])


def calls_without_an_event_loop(llm: Pipeline) -> None:
    assert_type(llm.sync.complete("Hi", temperature=0), ModelResponse)
    with llm.sync.stream("Hi") as stream:
        for chunk in stream:
            assert_type(chunk, StreamChunk)
    assert_type(stream.result, ModelResponse)


def builds_pipelines() -> None:
    assert_type(build_pipeline(), Pipeline)
    counting = Counting()
    llm = build_pipeline(
        [plain, with_a_callable_type, configured(limit=10), counting],
        provider=canned,
        model="gpt-4o",
    )
    assert_type(llm, Pipeline)
    assert_type(llm.middlewares, tuple[Middleware, ...])
    build_pipeline(provider=llm.provider)
    assert_type(llm.with_middlewares(plain), Pipeline)
    build_pipeline([plain], provider=llm)
    build_pipeline((plain,), provider=fake(["one", ("half", RuntimeError("broken"))], delay=0.1))
    build_pipeline(provider=auto())


def builds_providers(azure: AsyncAzureOpenAI, bedrock: AsyncAnthropicBedrock) -> None:
    assert_type(openai(base_url="http://localhost:8000/v1", api_key="-"), OpenAIClient)
    assert_type(openai(client=azure, max_event_bytes=1_000_000), OpenAIClient)
    assert_type(anthropic(client=bedrock), AnthropicClient)
    assert_type(openrouter(app_title="My app"), OpenRouterClient)
    assert_type(get_client(Provider.OPENAI, api_key="-"), BaseLLMClient)
    assert_type(get_client("anthropic"), BaseLLMClient)
    assert_type(detect_provider("claude-sonnet-4-5"), Provider)


async def asks_a_provider_directly(provider: BaseLLMClient) -> None:
    assert_type(await provider.complete("Hi", "gpt-4o", temperature=0), ModelResponse)
    async for chunk in provider.stream("Hi", "gpt-4o"):
        assert_type(chunk, StreamChunk)
    assert_type(provider.supports_tools("gpt-4o"), bool)
    assert_type(provider.count_tokens("Hi", "gpt-4o"), int)


async def counts_exactly(provider: BaseLLMClient, request: Request) -> None:
    assert_type(await provider.count_tokens_exact(request), int)


async def closes() -> None:
    async with build_pipeline(model="gpt-4o") as llm:
        assert_type(llm, Pipeline)
    await llm.aclose()
    assert_type(scallion.__version__, str)


def knows_which_names_there_are() -> None:
    # An ignore that nothing needs is an error itself.
    _ = scallion.retry  # type: ignore[attr-defined]
    _ = scallion.middlewares.openai  # type: ignore[attr-defined]
    _ = scallion.providers.retry  # type: ignore[attr-defined]
    _ = scallion.stores.budget  # type: ignore[attr-defined]
