"""Which adapter serves a model: the prefixes, the factories, and the automatic choice."""

import asyncio
import pickle

import pytest

from scallion import Request, build_pipeline, providers
from scallion.exceptions import AuthenticationError, InvalidRequestError
from scallion.providers import Provider, auto, detect_provider, get_client
from support.upstream import completion, completion_stream, message, message_stream


@pytest.fixture
def environment(monkeypatch, upstream):
    """Keys and addresses of all three providers, as an application has them in its environment."""
    for name in ("OPENAI", "ANTHROPIC", "OPENROUTER"):
        monkeypatch.setenv(f"{name}_API_KEY", f"key-of-{name.lower()}")
    monkeypatch.delenv("ANTHROPIC_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{upstream.url}/openai")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", f"{upstream.url}/anthropic")
    monkeypatch.setenv("OPENROUTER_BASE_URL", f"{upstream.url}/openrouter")


# ------------------------------------------------------------------------------ by the name


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("gpt-4o", Provider.OPENAI),
        ("chatgpt-4o-latest", Provider.OPENAI),
        ("o3-mini", Provider.OPENAI),
        ("ft:gpt-4o-mini:acme::abc", Provider.OPENAI),
        ("smollm2-135m", Provider.OPENAI),
        ("", Provider.OPENAI),
        ("claude-sonnet-4-5", Provider.ANTHROPIC),
        ("openai/gpt-4o", Provider.OPENAI),
        ("openai/meta-llama/llama-3", Provider.OPENAI),
        ("openai/claude-sonnet-4-5", Provider.OPENAI),
        ("anthropic/claude-sonnet-4-5", Provider.ANTHROPIC),
        ("openrouter/auto", Provider.OPENROUTER),
        ("openrouter/anthropic/claude-sonnet-4-5", Provider.OPENROUTER),
        ("fake/anything/at:all", Provider.FAKE),
    ],
)
def test_the_models_name_tells_its_provider(model, provider):
    assert detect_provider(model) is provider


@pytest.mark.parametrize("model", ["mistralai/mistral-7b", "/gpt-4o", "OpenAI/gpt-4o", "auto/x"])
def test_an_unknown_prefix_lists_the_known_ones_and_says_what_to_write(model):
    with pytest.raises(InvalidRequestError) as caught:
        detect_provider(model)

    said = str(caught.value)
    assert caught.value.model == model
    for known in ("openai/", "anthropic/", "openrouter/", "fake/"):
        assert known in said
    assert f"openrouter/{model} for OpenRouter" in said
    assert f"openai/{model} for an OpenAI-compatible server" in said


def test_providers_are_texts_for_configuration_files():
    assert [str(provider) for provider in Provider] == ["openai", "anthropic", "openrouter", "fake"]
    assert Provider("openai") == "openai"


# ------------------------------------------------------------------------------ the factories


@pytest.mark.parametrize("provider", list(Provider))
def test_each_provider_has_its_adapter(provider):
    client = get_client(provider)

    assert client.name == provider
    assert type(client) is type(get_client(str(provider)))
    assert type(client) is type(getattr(providers, provider)())


def test_settings_are_handed_to_the_adapter():
    client = get_client(
        "openai",
        api_key="k",
        base_url="http://h/v1",
        timeout=3.0,
        default_headers={"X-A": "1"},
        max_event_bytes=9,
        organization="org",
    )

    config = client.config
    assert (config.api_key, config.base_url, config.timeout) == ("k", "http://h/v1", 3.0)
    assert config.default_headers == {"X-A": "1"}
    assert (config.max_event_bytes, config.options) == (9, {"organization": "org"})
    assert get_client("fake", script=["a"])._script == ("a",)


@pytest.mark.parametrize("provider", ["mistral", "", "OpenAI", None])
def test_an_unknown_provider_lists_the_known_ones(provider):
    with pytest.raises(ValueError, match="known are openai, anthropic, openrouter, fake"):
        get_client(provider)


async def test_a_setting_that_the_sdk_does_not_know_is_named_at_the_first_call():
    for provider in ("openai", "anthropic", "openrouter"):
        client = get_client(provider, api_key="k", colour="blue")
        with pytest.raises(InvalidRequestError, match="colour"):
            await client.complete("hi", model="m")


# ------------------------------------------------------------------------------ auto()


@pytest.mark.parametrize(
    ("model", "path", "sent", "key"),
    [
        ("gpt-4o", "/openai/chat/completions", "gpt-4o", "key-of-openai"),
        ("openai/gpt-4o", "/openai/chat/completions", "gpt-4o", "key-of-openai"),
        ("smollm2", "/openai/chat/completions", "smollm2", "key-of-openai"),
        ("openai/meta/llama", "/openai/chat/completions", "meta/llama", "key-of-openai"),
        ("claude-sonnet-4-5", "/anthropic/v1/messages", "claude-sonnet-4-5", "key-of-anthropic"),
        ("anthropic/claude-x", "/anthropic/v1/messages", "claude-x", "key-of-anthropic"),
        ("openrouter/auto", "/openrouter/chat/completions", "openrouter/auto", "key-of-openrouter"),
        (
            "openrouter/openai/gpt-4o",
            "/openrouter/chat/completions",
            "openai/gpt-4o",
            "key-of-openrouter",
        ),
    ],
)
@pytest.mark.parametrize("mode", ["complete", "stream"])
async def test_each_request_reaches_its_own_provider(
    upstream, environment, model, path, sent, key, mode
):
    anthropic = "messages" in path
    if mode == "complete":
        upstream.enqueue(message("Hi") if anthropic else completion("Hi"))
    else:
        upstream.enqueue(message_stream("Hi") if anthropic else completion_stream("Hi"))
    async with build_pipeline(model=model) as llm:
        answer = await (llm.complete("hi") if mode == "complete" else llm.stream("hi").collect())

    (request,) = upstream.requests
    assert request.path == path
    assert request.json["model"] == sent
    assert key in request.headers.get("authorization", "") + request.headers.get("x-api-key", "")
    assert answer.text == "Hi"
    assert answer.provider == detect_provider(model)


async def test_one_pipeline_serves_them_all_with_one_adapter_each(upstream, environment):
    upstream.default = lambda r: message() if "messages" in r.path else completion()
    models = ["gpt-4o", "claude-sonnet-4-5", "openrouter/auto", "fake/m"]
    async with build_pipeline() as llm:
        answers = await asyncio.gather(*[llm.complete("hi", model=m) for m in models * 5])
        kept = llm.provider._clients

        assert [answer.provider for answer in answers[:4]] == list(Provider)
        assert set(kept) == set(Provider)
        assert len({id(client) for client in kept.values()}) == 4


async def test_attempts_name_the_adapter_that_was_asked(environment, upstream):
    upstream.enqueue(completion())
    async with build_pipeline(model="gpt-4o") as llm:
        response = await llm.send(Request("gpt-4o", "hi"))

    assert [attempt.provider for attempt in response.outcome.attempts] == ["openai"]


async def test_only_the_provider_that_is_asked_needs_its_key(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENROUTER_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    llm = build_pipeline()

    assert (await llm.complete("hi", model="fake/m")).text
    with pytest.raises(AuthenticationError, match="OPENAI_API_KEY"):
        await llm.complete("hi", model="gpt-4o")
    with pytest.raises(AuthenticationError, match="OPENROUTER_API_KEY"):
        await llm.complete("hi", model="openrouter/auto")


@pytest.mark.parametrize("mode", ["complete", "stream"])
async def test_an_unknown_prefix_fails_the_call(mode):
    llm = build_pipeline(model="mistralai/mistral-7b")

    with pytest.raises(InvalidRequestError, match="unknown provider prefix 'mistralai'"):
        await (llm.complete("hi") if mode == "complete" else llm.stream("hi").collect())


async def test_closing_closes_the_adapters_that_were_used_and_they_can_be_used_again(
    upstream, environment
):
    upstream.default = completion()
    provider = auto()
    await provider.aclose()
    llm = build_pipeline(provider=provider, model="gpt-4o")

    await llm.complete("hi")
    await llm.complete("hi", model="openrouter/auto")
    await llm.aclose()
    await upstream.all_closed()

    assert (await llm.complete("hi")).text == "Hi"
    await llm.aclose()


async def test_a_copy_in_another_process_chooses_alike(upstream, environment):
    upstream.default = completion()
    provider = auto()
    await build_pipeline(provider=provider, model="gpt-4o").complete("hi")

    copy = pickle.loads(pickle.dumps(provider))

    assert copy._clients == {}
    assert (await build_pipeline(provider=copy, model="gpt-4o").complete("hi")).provider == "openai"
    await provider.aclose()
    await copy.aclose()


def test_its_identity_is_that_of_the_adapter_it_would_ask(environment):
    provider = auto()

    assert provider.identity("gpt-4o") == providers.openai().identity("gpt-4o")
    assert provider.identity("fake/m") == "fake"
    assert provider.identity("gpt-4o") != provider.identity("openrouter/auto")


def test_its_repr_is_how_to_make_it():
    assert repr(auto()) == "auto()"
