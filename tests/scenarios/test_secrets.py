"""Scenario 13: a canary key, put wherever keys are put, is nowhere to be seen afterwards.

One axis is where the key is (an argument, the environment, a header, the URL, …), the other what
goes wrong with the call, and each error is shown in every way that formatters know: with the local
variables of all frames, with its causes, notes and attributes. The calls run in tasks of their own,
so that no frame of a test, which of course knows the canary, is in a traceback.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import copyreg
import io
import json
import logging
import pickle
import sqlite3
import subprocess
import sys
import traceback
import warnings
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anthropic as anthropic_sdk
import httpx2
import msgspec
import openai as openai_sdk
import pytest
import rich.pretty
import rich.traceback
import structlog
import tblib.pickling_support

from scallion import Request, build_pipeline
from scallion._sync import _background
from scallion.costs import PriceTable
from scallion.exceptions import AllModelsFailedError, AuthenticationError, LLMClientError
from scallion.middlewares import Target, audit, cache, cost, fallback, log, retry
from scallion.providers import ClientConfig, anthropic, get_client, openai, openrouter
from scallion.stores import cassette, memory, redis, sqlite
from scallion.testing import ManualClock
from support.upstream import (
    CUT,
    HANG,
    SILENCE,
    Received,
    Reply,
    Upstream,
    completion,
    completion_stream,
    error,
    html,
    json_reply,
    message,
    message_stream,
    sse,
)
from support.valkey import Valkey

CANARY = "sk-canary-7f3a9c2e5b8d1f60"
ORGANIZATION = "org-canary9c2e5b8d1f607f3a"
PASSWORD = "pass/canary-e5b8d1f607f3a9c2"
TOKEN = "token/canary-1f607f3a9c2e5b8d"
SECRETS = (CANARY, ORGANIZATION, PASSWORD, TOKEN)
MODES = ["complete", "stream"]

WINDOW = 8
"""Characters in a row of a secret that must not be seen."""


@contextmanager
def pickled_as_dask_does():
    """With what Dask installs, pickles of errors have their causes, and all that those hold."""
    before = dict(copyreg.dispatch_table)
    tblib.pickling_support.install()
    try:
        yield
    finally:
        copyreg.dispatch_table.clear()
        copyreg.dispatch_table.update(before)


@contextmanager
def pickled_as_python_does():
    """Without it: another test may have imported Dask."""
    table = copyreg.dispatch_table
    others = {kind: table.pop(kind) for kind in list(table) if issubclass(kind, BaseException)}
    try:
        yield
    finally:
        table.update(others)


def seen(text: str | bytes) -> str | None:
    """What can be seen of the secrets in a text."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    for secret in SECRETS:
        tail = secret[-16:]
        windows = [tail[at : at + WINDOW] for at in range(len(tail) - WINDOW + 1)]
        forms = [
            *windows,
            quote(secret, safe=""),
            base64.b64encode(f"user:{secret}".encode()).decode(),
            base64.b64encode(f"{secret}:".encode()).decode(),
        ]
        for form in forms:
            if form in text:
                return f"…{text[max(text.index(form) - 200, 0) : text.index(form) + 60]}…"
    return None


# ----------------------------------------------------------------------------- where the key may be


@dataclass
class Place:
    """One way to hand over a secret."""

    make: Any
    params: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return "Place"


def with_userinfo(url: str, user: str = "user:") -> str:
    return url.replace("//", f"//{user}{quote(PASSWORD, safe='')}@")


async def given_later():
    return TOKEN


PLACES = {
    "api_key": Place(lambda url: openai(api_key=CANARY, base_url=f"{url}/v1")),
    "environment": Place(
        lambda url: openai(base_url=f"{url}/v1"), variables={"OPENAI_API_KEY": CANARY}
    ),
    "custom headers in the environment": Place(
        lambda url: openai(base_url=f"{url}/v1"),
        variables={"OPENAI_API_KEY": "k", "OPENAI_CUSTOM_HEADERS": f"X-Api-Key: {CANARY}"},
    ),
    "header of the client": Place(
        lambda url: openai(
            api_key="k",
            base_url=f"{url}/v1",
            default_headers={"authorization": f"Bearer {CANARY}", "X-Title": "App"},
        )
    ),
    "credentials in the URL": Place(
        lambda url: openai(api_key="k", base_url=f"{with_userinfo(url)}/v1")
    ),
    "credentials in the URL of the environment": Place(
        lambda url: openai(api_key="k"), variables={"OPENAI_BASE_URL": "with userinfo"}
    ),
    "user in the URL": Place(
        lambda url: openai(api_key="k", base_url=f"{with_userinfo(url, '')}/v1")
    ),
    "query of the client": Place(
        lambda url: openai(api_key="k", base_url=f"{url}/v1", default_query={"api-key": CANARY})
    ),
    "organization": Place(
        lambda url: openai(api_key="k", base_url=f"{url}/v1", organization=ORGANIZATION)
    ),
    "organization of the environment": Place(
        lambda url: openai(api_key="k", base_url=f"{url}/v1"),
        variables={"OPENAI_ORG_ID": ORGANIZATION, "OPENAI_PROJECT_ID": ORGANIZATION},
    ),
    "a function": Place(lambda url: openai(api_key=given_later, base_url=f"{url}/v1")),
    "header of the call": Place(
        lambda url: openai(api_key="k", base_url=f"{url}/v1"),
        params={"extra_headers": {"Authorization": f"Bearer {CANARY}"}},
    ),
    "query of the call": Place(
        lambda url: openai(api_key="k", base_url=f"{url}/v1"),
        params={"extra_query": {"key": CANARY}},
    ),
    "a client of one's own": Place(
        lambda url: openai(
            client=openai_sdk.AsyncOpenAI(
                api_key=CANARY, organization=ORGANIZATION, base_url=f"{url}/v1"
            )
        )
    ),
    "Azure client of one's own": Place(
        lambda url: openai(
            client=openai_sdk.AsyncAzureOpenAI(
                azure_ad_token_provider=given_later, azure_endpoint=url, api_version="v"
            )
        )
    ),
    "anthropic api_key": Place(lambda url: anthropic(api_key=CANARY, base_url=url)),
    "anthropic auth_token": Place(lambda url: anthropic(auth_token=CANARY, base_url=url)),
    "anthropic client of one's own": Place(
        lambda url: anthropic(client=anthropic_sdk.AsyncAnthropic(api_key=CANARY, base_url=url))
    ),
    "openrouter api_key": Place(lambda url: openrouter(api_key=CANARY, base_url=f"{url}/v1")),
    "openrouter environment": Place(
        lambda url: openrouter(base_url=f"{url}/v1"), variables={"OPENROUTER_API_KEY": CANARY}
    ),
    "by name": Place(lambda url: get_client("openai", api_key=CANARY, base_url=f"{url}/v1")),
}


# --------------------------------------------------------------------------------- what goes wrong


def echo(request: Received) -> str:
    """All that came with the request, as careless servers quote it."""
    known = [CANARY, ORGANIZATION]
    scheme, _, pair = request.headers.get("authorization", "").partition(" ")
    if scheme:
        known.append(base64.b64decode(pair).decode() if scheme == "Basic" else pair)
        known.append(quote(known[-1], safe="").lower())
    return " ".join([request.target, str(dict(request.headers)), *known])


def unauthorized(request):
    return error(
        401, code="invalid_api_key", message=f"Incorrect API key provided: {echo(request)}"
    )


def abridged(request):
    text = "Incorrect API key provided: sk-canar********1f60 (sk-...8d1f60)"
    return error(401, message=text)


def not_json(request):
    return Reply.whole(f"<html>{echo(request)}</html>".encode(), 500)


def error_page(request):
    return html(502, f"<html>{'x' * 460}{echo(request)}</html>")


def malformed(request):
    return Reply.whole(f'{{"id": "{CANARY}'.encode(), headers={"content-type": "application/json"})


def long_and_malformed(request):
    body = b'{"x": "' + b"y" * 1_980 + CANARY.encode()
    return Reply.whole(body, headers={"content-type": "application/json"})


def error_in_a_200(request):
    body = {"error": {"message": echo(request), "code": 401, "type": "x"}}
    return Reply(
        headers={"content-type": "text/event-stream"}, chunks=[sse(body)]
    ) if request.json.get("stream") else json_reply(body)  # fmt: skip


def not_events(request):
    body = f"<html>{echo(request)}</html>".encode()
    return Reply.whole(body, headers={"content-type": "text/event-stream"})


def redirected(request):
    return Reply.whole(b"", 302, headers={"location": f"http://127.0.0.1:1{request.target}"})


def broken_off(request):
    if not request.json.get("stream"):
        return Reply(
            headers={"content-type": "application/json", "x-request-id": CANARY},
            chunks=[b'{"id":', CUT],
        )
    stream = message_stream if request.path == "/v1/messages" else completion_stream
    return stream("Hel", CUT)


def error_after_content(request):
    if not request.json.get("stream"):
        return unauthorized(request)
    failure = sse({"error": {"message": echo(request), "code": 500}}, "error")
    stream = message_stream if request.path == "/v1/messages" else completion_stream
    return stream("Hel", failure)


FAILURES = [
    unauthorized, abridged, not_json, error_page, malformed, long_and_malformed, error_in_a_200,
    not_events, redirected, broken_off, error_after_content,
]  # fmt: skip


@pytest.fixture(params=PLACES)
def place(request, monkeypatch):
    chosen = PLACES[request.param]
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENROUTER_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in chosen.variables.items():
        monkeypatch.setenv(name, value)
    return chosen


@pytest.fixture
async def upstream():
    async with Upstream() as server:
        yield server


@pytest.fixture
def provider_at(place, monkeypatch):
    def make(url):
        if "OPENAI_BASE_URL" in place.variables:
            monkeypatch.setenv("OPENAI_BASE_URL", f"{with_userinfo(url)}/v1")
        return place.make(url)

    return make


async def closed(provider):
    await provider.aclose()
    if provider._given_client is not None:
        await provider._given_client.close()


async def outcome(llm, mode, params) -> BaseException | Any:
    """The answer or the error of a call that runs in a task of its own."""
    if mode == "complete":
        coroutine = llm.complete("hello", **params)
    else:
        coroutine = llm.stream("hello", **params).collect()
    (result,) = await asyncio.gather(coroutine, return_exceptions=True)
    return result


def family(failure: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    waiting: list[Any] = [failure]
    while waiting:
        each = waiting.pop()
        if isinstance(each, BaseException) and each not in found:
            found.append(each)
            waiting += [each.__cause__, each.__context__, *getattr(each, "errors", ())]
            waiting += [attempt.error for attempt in getattr(each, "attempts", ())]
    return found


def shown_in_every_way(failure: BaseException) -> dict[str, str | bytes]:
    """An error as everything that shows errors shows it."""
    kind, trace = type(failure), failure.__traceback__
    shown: dict[str, str | bytes] = {}
    for number, each in enumerate(family(failure)):
        shown[f"{number} str"] = str(each)
        shown[f"{number} repr"] = repr(each)
        shown[f"{number} args"] = repr(each.args)
        shown[f"{number} attributes"] = repr(vars(each))
        shown[f"{number} notes"] = repr(getattr(each, "__notes__", None))
        if isinstance(each, LLMClientError):
            with pickled_as_python_does():
                shown[f"{number} pickle"] = pickle.dumps(_without_attempts(each))
    with pickled_as_dask_does():
        shown["pickle with causes"] = pickle.dumps(failure)
    captured = traceback.TracebackException(kind, failure, trace, capture_locals=True)
    shown["traceback with locals"] = "".join(captured.format())
    for use_rich, max_string in ((True, 10_000), (False, 80)):
        formatter = structlog.tracebacks.ExceptionDictTransformer(
            show_locals=True, locals_max_string=max_string, use_rich=use_rich
        )
        shown[f"structlog {use_rich}"] = repr(formatter((kind, failure, trace)))
    # What rich draws, without the drawing: that colours all source code and takes seconds.
    extracted = rich.traceback.Traceback.extract(
        kind, failure, trace, show_locals=True, locals_max_string=100_000, locals_max_length=1_000
    )
    shown["rich"] = "\n".join(
        f"{stack.exc_value} {getattr(stack, 'notes', '')} "
        + " ".join(
            f"{name}={node}"
            for frame in stack.frames
            for name, node in (frame.locals or {}).items()
        )
        for stack in extracted.stacks
    )
    record = logging.LogRecord("x", 40, "", 0, "failed", (), (kind, failure, trace))
    shown["logging"] = logging.Formatter().format(record)
    return shown


def _without_attempts(failure: LLMClientError) -> LLMClientError:
    # Attempts hold whole Requests and what the SDK raised: pickled where those can be.
    return failure if not failure.attempts else copy.copy(failure)


@pytest.mark.parametrize("mode", MODES)
async def test_no_error_shows_it(upstream, place, provider_at, mode, caplog):
    caplog.set_level(logging.INFO)
    provider = provider_at(upstream.url)
    llm = build_pipeline([log(prompts=True)], provider=provider, model="m")
    for failure in FAILURES:
        upstream.default = failure
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            caught = await outcome(llm, mode, place.params)

        assert isinstance(caught, LLMClientError), failure
        for way, text in shown_in_every_way(caught).items():
            assert seen(text) is None, (failure.__name__, way)
    assert seen(caplog.text) is None
    await closed(provider)


@pytest.mark.parametrize("mode", MODES)
async def test_no_error_of_a_server_that_cannot_be_reached_shows_it(place, provider_at, mode):
    provider = provider_at("http://127.0.0.1:1")
    caught = await outcome(build_pipeline(provider=provider, model="m"), mode, place.params)

    assert isinstance(caught, LLMClientError), caught
    for way, text in shown_in_every_way(caught).items():
        assert seen(text) is None, way
    await closed(provider)


@pytest.mark.parametrize(
    ("mode", "reply"),
    [("complete", SILENCE), ("stream", SILENCE), ("stream", completion_stream("Hel", HANG))],
    ids=["complete", "stream", "half a stream"],
)
async def test_no_call_that_is_cancelled_shows_it(upstream, place, provider_at, mode, reply):
    upstream.default = reply
    provider = provider_at(upstream.url)
    llm = build_pipeline(provider=provider, model="m")
    caught: list[BaseException] = []

    async def ask(params):
        try:
            async with asyncio.timeout(None) as limit:
                limits.append(limit)
                await (
                    llm.complete("hello", **params)
                    if mode == "complete"
                    else llm.stream("hello", **params).collect()
                )
        except TimeoutError as error:  # with the cancellation as its cause, and all its frames
            caught.append(error)

    limits: list[asyncio.Timeout] = []
    task = asyncio.create_task(ask(place.params))
    while not upstream.count:  # noqa: ASYNC110 - the server tells nobody
        await asyncio.sleep(0.001)
    for _ in range(5):
        await asyncio.sleep(0.001)
    limits[0].reschedule(0)
    await task

    failure = caught[0]
    assert isinstance(failure.__cause__, asyncio.CancelledError)
    # Without the frame of `ask`, which knows the parameters.
    failure.__cause__.__traceback__ = failure.__cause__.__traceback__.tb_next
    failure.with_traceback(None)
    for way, text in shown_in_every_way(failure).items():
        assert seen(text) is None, way
    await closed(provider)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "reply",
    [error(401), Reply.whole(b"x"), completion_stream("Hel", CUT)],
    ids=["refused", "malformed", "cut"],
)
async def test_what_was_handled_when_a_call_began_is_left_as_it_was(upstream, mode, reply):
    upstream.default = reply
    shared = ValueError(CANARY)
    event = asyncio.Event()

    async def wait_in_the_handler():
        try:
            raise shared
        except ValueError:
            await event.wait()
            return "done"

    waiting = asyncio.create_task(wait_in_the_handler())
    await asyncio.sleep(0)
    async with openai(api_key=CANARY, base_url=f"{upstream.url}/v1") as provider:
        llm = build_pipeline(provider=provider, model="m")
        try:
            raise shared
        except ValueError:
            with pytest.raises(LLMClientError):
                await (
                    llm.complete("hello") if mode == "complete" else llm.stream("hello").collect()
                )
    event.set()

    # Clearing the frame of another task that waits would end that task.
    assert await waiting == "done"
    assert shared.args == (CANARY,)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # aiohttp's, of its own proxy_auth
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("there", [True, False])
async def test_no_error_of_a_proxy_shows_its_password(upstream, monkeypatch, scheme, there):
    upstream.default = Reply.whole(b"no", 407, headers={"proxy-authenticate": "Basic"})
    proxy = upstream.url if there else "http://127.0.0.1:1"
    monkeypatch.setenv(f"{scheme}_proxy", with_userinfo(proxy))
    async with openai(api_key=CANARY, base_url=f"{scheme}://nowhere.test/v1") as provider:
        caught = await outcome(build_pipeline(provider=provider, model="m"), "complete", {})

    assert isinstance(caught, LLMClientError), caught
    assert len(family(caught)) > 2
    for way, text in shown_in_every_way(caught).items():
        assert seen(text) is None, way
    if there:
        (asked,) = upstream.requests
        assert "proxy-authorization" in asked.headers


@pytest.mark.parametrize("make", [openai, anthropic])
async def test_what_was_exchanged_can_be_read_from_the_sdks_error_as_it_was_but_for_secrets(
    upstream, make
):
    upstream.default = Reply.whole(
        json.dumps({"error": {"code": "x", "message": CANARY}}).encode(), 401,
        headers={"content-type": "application/json", "set-cookie": CANARY, "x-left": "3"},
    )  # fmt: skip
    sent: list[httpx2.Request] = []

    async def watch(request):
        sent.append(request)

    http_client = httpx2.AsyncClient(event_hooks={"request": [watch]})
    async with make(api_key=CANARY, base_url=f"{upstream.url}/v1", http_client=http_client) as llm:
        caught = await outcome(
            build_pipeline(provider=llm, model="m"), "complete", {"extra_query": {"key": CANARY}}
        )
    cause = caught.__cause__
    response, request = cause.response, cause.request

    assert (response.status_code, response.reason_phrase) == (401, "Scripted")
    assert response.json() == {"error": {"code": "x", "message": "***"}}
    assert (response.headers["x-left"], response.headers["set-cookie"]) == ("3", "***")
    assert str(response.request.url) == str(request.url) == f"{sent[0].url}".replace(CANARY, "***")
    assert json.loads(request.content)["messages"][0]["role"] == "user"
    assert request.headers["content-type"] == "application/json"
    # Not every version of the SDKs puts a key into the same header.
    [header] = [name for name, value in sent[0].headers.items() if CANARY in value]
    assert request.headers[header] == "***"  # and the client's own is left alone
    with pickled_as_dask_does():
        assert pickle.loads(pickle.dumps(caught)).__cause__.response.json() == response.json()


@pytest.mark.parametrize("mode", MODES)
async def test_no_error_that_all_layers_have_handled_shows_it(upstream, place, provider_at, mode):
    upstream.default = unauthorized
    provider = provider_at(upstream.url)
    prices = PriceTable()
    prices.register("*", input=1, output=1)
    layers = [audit(print), cost(prices=prices), cache(), fallback(["b"]), retry()]
    llm = build_pipeline(layers, provider=provider, model="m", clock=ManualClock(auto=True))
    caught = await outcome(llm, mode, place.params)

    assert isinstance(caught, LLMClientError), caught
    for way, text in shown_in_every_way(caught).items():
        assert seen(text) is None, way
    await closed(provider)


# ------------------------------------------------------------------------------ what works well


def answer_to(request):
    stream = request.json.get("stream")
    if request.path == "/v1/messages":
        return (message_stream if stream else message)("Hi")
    return (completion_stream if stream else completion)("Hi")


async def test_the_server_gets_it(upstream, place, provider_at):
    upstream.default = answer_to
    provider = provider_at(upstream.url)
    for mode in MODES:
        answered = await outcome(build_pipeline(provider=provider, model="m"), mode, place.params)
        assert answered.text == "Hi"

    for request in upstream.requests:
        got = f"{request.target} {dict(request.headers)}"
        assert any(
            form in got
            for secret in SECRETS
            for form in (
                secret,
                base64.b64encode(f"user:{secret}".encode()).decode(),
                base64.b64encode(f"{secret}:".encode()).decode(),
            )
        )
    await closed(provider)


@pytest.fixture
def events():
    with structlog.testing.capture_logs() as captured:
        yield captured


@pytest.mark.parametrize("store", ["memory", "sqlite", "cassette"])
async def test_nothing_that_is_kept_or_logged_has_it(
    upstream, place, provider_at, tmp_path, events, caplog, store
):
    upstream.default = answer_to
    caplog.set_level(logging.INFO)
    records: list[Any] = []
    made = {
        "memory": memory,
        "sqlite": lambda: sqlite(tmp_path / "cache.db"),
        "cassette": lambda: cassette(tmp_path / "tape.json"),
    }[store]()
    mode_of_cache = "record" if store == "cassette" else "read_write"
    provider = provider_at(upstream.url)
    llm = build_pipeline(
        [
            log(prompts=True),
            audit(records.append, prompts=True),
            audit(tmp_path / "calls.jsonl", prompts=True, chain=True),
            audit(tmp_path / "calls.db", prompts=True),
            cache(made, mode=mode_of_cache),
        ],
        provider=provider,
        model="m",
    )
    async with llm:
        for mode in MODES:
            await outcome(llm, mode, place.params)
        assert seen(repr(vars(made))) is None
        assert seen(provider.identity("m")) is None
    await closed(provider)

    assert len(records) == 2
    for name, text in {"events": events, "records": records, "log": caplog.text}.items():
        assert seen(str(text)) is None, name
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) >= 3
    for path in files:
        assert seen(path.read_bytes()) is None, path.name
    if store == "sqlite":
        with closing(sqlite3.connect(tmp_path / "cache.db")) as connection:
            assert seen("\n".join(connection.iterdump())) is None


async def test_nothing_in_redis_has_it(upstream):
    upstream.default = answer_to
    place = PLACES["header of the call"]
    with Valkey() as server:
        async with redis(server.url) as store, place.make(upstream.url) as provider:
            llm = build_pipeline([cache(store)], provider=provider, model="m")
            assert (await outcome(llm, "complete", place.params)).text == "Hi"
            client = __import__("redis.asyncio").asyncio.from_url(server.url)
            keys = await client.keys("*")
            assert keys
            for key in keys:
                kind = await client.type(key)
                value = await (client.get(key) if kind == b"string" else client.hgetall(key))
                assert seen(key) is None
                assert seen(repr(value)) is None
            await client.aclose()


async def test_equal_calls_with_other_secrets_share_no_answer(upstream):
    upstream.default = answer_to
    store = memory()
    for name, place in PLACES.items():
        if place.variables or "client of one's own" in name or "anthropic" in name:
            continue
        before = upstream.count
        for _ in range(2):
            async with place.make(upstream.url) as provider:
                llm = build_pipeline([cache(store)], provider=provider, model=name)
                await outcome(llm, "complete", place.params)
        other = str(place.params).replace("canary", "other")
        params = msgspec.json.decode(other.replace("'", '"').encode())
        if params:
            async with place.make(upstream.url) as provider:
                llm = build_pipeline([cache(store)], provider=provider, model=name)
                await outcome(llm, "complete", params)
        assert upstream.count - before == (2 if params else 1), name


async def test_no_repr_pickle_or_encoding_shows_it(upstream, place, provider_at):
    upstream.default = answer_to
    provider = provider_at(upstream.url)
    contexts: list[Any] = []

    async def look(request, call_next):
        contexts.append(request)
        response = await call_next(request)
        contexts.extend([response, *request.context.attempts])
        return response

    llm = build_pipeline([look], provider=provider, model="m")
    await outcome(llm, "complete", place.params)
    request = contexts[0]
    shown = [
        provider, provider.config, vars(provider), llm, vars(llm), llm.sync, vars(llm.sync),
        llm.stream("hello", **place.params), vars(llm.stream("hello", **place.params)),
        *contexts, request.params, request.context, request.context.state,
        msgspec.structs.asdict(request), msgspec.structs.asdict(provider.config),
    ]  # fmt: skip
    for each in shown:
        assert seen(repr(each)) is None, type(each)
        assert seen(str(each)) is None, type(each)
        assert seen(rich.pretty.pretty_repr(each)) is None, type(each)
    for each in (provider.config, request.params):
        for encode in (msgspec.json.encode, msgspec.to_builtins):
            assert seen(repr(encode(each, enc_hook=repr))) is None
    if provider._given_client is None:  # one of those cannot be pickled at all
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            assert seen(pickle.dumps(provider, protocol)) is None
            assert seen(pickle.dumps(build_pipeline(provider=provider), protocol)) is None
    await closed(provider)


# ------------------------------------------------------------------------------ in other processes


async def test_a_provider_from_a_pickle_takes_its_key_from_the_environment(upstream, monkeypatch):
    upstream.default = answer_to
    pickled = pickle.dumps(openai(api_key=CANARY, base_url=f"{upstream.url}/v1"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(AuthenticationError, match="OPENAI_API_KEY"):
        await pickle.loads(pickled).complete("hello", "m")
    monkeypatch.setenv("OPENAI_API_KEY", "other")
    async with pickle.loads(pickled) as provider:
        await provider.complete("hello", "m")

    assert upstream.requests[0].headers["authorization"] == "Bearer other"


async def test_a_sign_of_credentials_in_the_path_of_a_url_is_no_harm(upstream):
    upstream.default = answer_to
    async with openai(api_key="k", base_url=f"{upstream.url}/v1/@team/x") as provider:
        await provider.complete("hello", "m")
        assert upstream.requests[0].path == "/v1/@team/x/chat/completions"
        assert upstream.url not in repr(provider)


async def test_a_header_of_a_target_is_hidden_and_missed_where_a_pickle_left_it_out(
    upstream, monkeypatch
):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    upstream.default = lambda request: error(500) if request.json["model"] == "a" else completion()
    secret = {"extra_headers": {"Authorization": f"Bearer {CANARY}"}}
    provider = openai(base_url=f"{upstream.url}/v1")
    llm = build_pipeline([fallback([Target("b", params=secret)])], provider=provider, model="a")
    pickled = pickle.dumps(llm)
    assert seen(repr(llm)) is None
    assert seen(pickled) is None

    async with llm:
        await llm.complete("hello")
    assert upstream.requests[-1].headers["authorization"] == f"Bearer {CANARY}"
    async with pickle.loads(pickled) as copied:
        with pytest.raises(AllModelsFailedError, match="left out of the pickle"):
            await copied.complete("hello", extra_headers={"Authorization": "Bearer of today"})

    assert upstream.count == 3


async def test_a_header_that_a_pickle_left_out_is_missed_and_not_forgotten(upstream):
    headers = {"Authorization": f"Bearer {CANARY}", "X-Title": "App"}
    provider = openai(api_key="k", base_url=f"{upstream.url}/v1", default_headers=headers)
    pickled = pickle.loads(pickle.dumps(provider))

    with pytest.raises(AuthenticationError, match="Authorization"):
        await pickled.complete("hello", "m")
    assert pickled.config.default_headers["X-Title"] == "App"


def test_a_copy_in_the_same_process_keeps_it():
    config = openai(api_key=CANARY).config

    assert copy.deepcopy(config).api_key == copy.copy(config).api_key == CANARY


@pytest.mark.parametrize("mode", MODES)
def test_no_error_of_a_call_without_a_loop_shows_it(place, provider_at, mode):
    with Upstream() as server:
        server.default = unauthorized
        provider = provider_at(server.url)
        llm = build_pipeline(provider=provider, model="m")
        caught: list[BaseException] = []

        def ask(params):
            try:
                if mode == "complete":
                    llm.sync.complete("hello", **params)
                else:
                    llm.sync.stream("hello", **params).collect()
            except LLMClientError as failure:
                # Without this frame, which knows the parameters.
                caught.append(failure.with_traceback(failure.__traceback__.tb_next))

        ask(place.params)
        _background.run(closed(provider))

    for way, text in shown_in_every_way(caught[0]).items():
        assert seen(text) is None, way


async def test_no_task_in_debug_mode_shows_it(upstream):
    asyncio.get_running_loop().set_debug(True)
    upstream.default = Reply(wait=asyncio.Event())
    place = PLACES["header of the call"]
    provider = place.make(upstream.url)
    task = asyncio.create_task(
        build_pipeline(provider=provider, model="m").complete("hello", **place.params)
    )
    while not upstream.count:  # noqa: ASYNC110 - the server tells nobody
        await asyncio.sleep(0.001)
    shown = [repr(each) for each in asyncio.all_tasks()]
    stack = io.StringIO()
    task.print_stack(file=stack)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await closed(provider)

    assert seen("\n".join([*shown, stack.getvalue()])) is None


# ----------------------------------------------------------------------------- mistakes, and direct


@pytest.mark.parametrize(
    "settings",
    [
        {"base_url": f"http://user:{PASSWORD}@[bad/v1"},
        {"base_url": f"http://user:{PASSWORD}@host/v1"},
        {"base_url": f"http://user:{PASSWORD.replace('/', '#')}@host/v1"},
        {"base_url": f"http://user:{PASSWORD}@ex\u2100mple/v1"},
        {"base_url": 3},
        {"timeout": "soon"},
        {"default_headers": {"Authorization": f"Bearer {CANARY}\n"}},
        {"default_headers": ["X"]},
        {"organization": ORGANIZATION, "max_retries": "x", "timeout": -1},
        {"client": "client"},
    ],
    ids=repr,
)
@pytest.mark.parametrize("factory", [openai, anthropic, openrouter], ids=lambda f: f.__name__)
def test_no_mistake_in_the_settings_shows_it(factory, settings):
    with pytest.raises((TypeError, ValueError, LLMClientError)) as mistake:
        factory(**({"api_key": CANARY} | settings))
    caught = mistake.value.with_traceback(mistake.value.__traceback__.tb_next)
    for way, text in shown_in_every_way(caught).items():
        assert seen(text) is None, way


@pytest.mark.parametrize("mode", MODES)
async def test_no_mistake_in_a_call_shows_it(mode):
    provider = openai(api_key=CANARY, base_url="http://127.0.0.1:1/v1")
    for params in (
        {"extra_headers": {"Authorization": f"Bearer {CANARY}\n"}},
        {"extra_headers": {"Authorization": f"Bearer {CANARY}"}, "temperature": "warm"},
        {"extra_headers": {"Authorization": f"Bearer {CANARY}"}, "deadline": -1},
        {"extra_query": {"key": CANARY}, "timeout": "soon"},
    ):
        caught = None
        try:
            caught = await outcome(build_pipeline(provider=provider, model="m"), mode, params)
        except LLMClientError as refused:  # a stream is refused before there is a coroutine
            caught = refused.with_traceback(refused.__traceback__.tb_next.tb_next)
        assert isinstance(caught, LLMClientError), caught
        for way, text in shown_in_every_way(caught).items():
            assert seen(text) is None, (way, list(params))
    await closed(provider)


async def test_a_call_of_a_provider_without_layers_shows_nothing(upstream):
    upstream.default = unauthorized
    place = PLACES["header of the call"]
    async with place.make(upstream.url) as provider:
        call = provider.complete("hello", "m", **place.params)
        (caught,) = await asyncio.gather(call, return_exceptions=True)

    for way, text in shown_in_every_way(caught).items():
        assert seen(text) is None, way


def test_a_crash_of_the_interpreter_shows_nothing(tmp_path):
    script = tmp_path / "crash.py"
    script.write_text(
        "import asyncio, os\n"
        "from scallion import build_pipeline\n"
        "from scallion.providers import openai\n"
        "llm = build_pipeline(provider=openai(base_url='http://127.0.0.1:1/v1'), model='m')\n"
        "asyncio.run(llm.complete('hello'))\n"
    )
    environment = {
        "PATH": "",
        "OPENAI_API_KEY": CANARY,
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    done = subprocess.run(
        [sys.executable, "-X", "dev", script], capture_output=True, env=environment, check=False
    )

    assert done.returncode == 1
    assert b"ConnectionError" in done.stderr
    assert seen(done.stdout + done.stderr) is None


def test_a_request_shows_neither_its_texts_nor_its_keys():
    request = Request("m", "the prompt", {"extra_headers": {"api-key": CANARY, "X-Title": "App"}})

    assert "the prompt" not in repr(request)
    assert seen(repr(request)) is None
    assert request.params["extra_headers"]["X-Title"] == "App"
    assert request.params["extra_headers"]["api-key"] == CANARY


def test_a_configuration_made_by_hand_hides_as_much():
    config = ClientConfig(
        api_key=CANARY,
        base_url=f"{with_userinfo('http://host')}/v1",
        default_headers={"X-Api-Key": CANARY},
        options={"organization": ORGANIZATION, "default_query": {"key": CANARY}},
    )

    assert config.base_url == "http://host/v1"
    assert seen(repr(msgspec.structs.asdict(config))) is None
    assert seen(f"{config.api_key} {config.api_key!s:>5} {config.api_key[:20]}") is None
