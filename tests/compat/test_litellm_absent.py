"""What of litellm is not on the stand-in: it can be imported and named, and says so when it is used."""

from __future__ import annotations

import importlib
import inspect
import sys
from importlib.util import find_spec

import pytest

import scallion.compat.litellm as stand_in


def test_a_module_of_litellms_machinery_can_be_imported(litellm):
    import litellm.llms.openai.openai as handlers
    from litellm.integrations.custom_guardrail import CustomGuardrail
    from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler, get_async_httpx_client

    class Mine(CustomGuardrail):
        pass

    assert handlers is sys.modules["litellm.llms.openai.openai"]
    assert handlers.OpenAIChatCompletion is litellm.OpenAIChatCompletion
    assert not isinstance(3, AsyncHTTPHandler)
    assert AsyncHTTPHandler.__module__ == "litellm"
    assert inspect.isclass(Mine)
    with pytest.raises(NotImplementedError, match=r"AsyncHTTPHandler is not supported"):
        AsyncHTTPHandler(timeout=3)
    with pytest.raises(NotImplementedError, match=r"custom_guardrail\.CustomGuardrail"):
        Mine(name="x")
    with pytest.raises(NotImplementedError, match=r"http_handler\.get_async_httpx_client"):
        get_async_httpx_client()


def test_a_module_that_is_not_here_has_the_names_that_the_package_has(litellm):
    from litellm.assistants.main import ModelResponse
    from litellm.files.main import RateLimitError

    assert ModelResponse is litellm.ModelResponse
    assert RateLimitError is litellm.RateLimitError


def test_litellms_way_to_claudes_own_api_refuses(litellm):
    import litellm.anthropic_interface.messages as messages  # noqa: PLR0402 - others write so

    with pytest.raises(NotImplementedError, match=r"anthropic_interface\.messages\.acreate"):
        messages.acreate(model="claude", messages=[])
    assert messages.acreate.__name__ == "acreate"
    assert not hasattr(messages.acreate, "is_wrapped")
    with pytest.raises(NotImplementedError, match=r"docs/litellm\.md"):
        litellm.anthropic.messages.create()


def test_a_call_refuses_also_when_the_module_of_its_name_was_imported(litellm, monkeypatch):
    monkeypatch.setattr(litellm, "ocr", litellm.ocr)
    importlib.import_module("litellm.ocr.main")
    with pytest.raises(NotImplementedError, match="ocr is not supported"):
        litellm.ocr(model="mistral/ocr", document={})


def test_modules_are_found_in_modules(litellm):
    from litellm.llms.vertex_ai.gemini import transformation

    with pytest.raises(NotImplementedError, match=r"gemini\.transformation\.VertexGeminiConfig"):
        transformation.VertexGeminiConfig()


def test_constants_private_names_and_what_litellm_has_not_are_missing(litellm):
    handlers = importlib.import_module("litellm.llms.openai.openai")
    for name in ("MAX_SIZE", "_private", "__file__"):
        assert not hasattr(handlers, name)
    for name in ("litellm.nothing", "litellm.proxy._types", "litellm._run"):
        with pytest.raises(ImportError):
            importlib.import_module(name)
    assert find_spec("litellm.nothing") is None


def test_after_uninstalling_they_are_gone_too(litellm):
    importlib.import_module("litellm.llms.openai.openai")
    stand_in.uninstall()
    assert not [name for name in sys.modules if name.partition(".")[0] == "litellm"]
    stand_in.install()


def test_calls_that_are_no_chat_say_what_to_use(litellm):
    for name in ("image_edit", "create_file", "list_batches", "video_generation", "ocr"):
        assert getattr(litellm, name).__name__ == name
        with pytest.raises(NotImplementedError, match=rf"{name}\(\) is not .* provider's own SDK"):
            getattr(litellm, name)(model="x")


async def test_their_asynchronous_forms_as_well(litellm):
    for name in ("aimage_edit", "acreate_file", "aembedding", "aget_responses", "ahealth_check"):
        function = getattr(litellm, name)
        assert inspect.iscoroutinefunction(function)
        assert function.__name__ == name
        with pytest.raises(NotImplementedError, match=name):
            await function(model="x")


@pytest.mark.parametrize("module", ["utils", "main"])
def test_big_modules_have_what_litellms_import(litellm, module):
    found = importlib.import_module(f"litellm.{module}")
    for name in ("Message", "Choices", "EmbeddingResponse", "RateLimitError", "LlmProviders"):
        assert getattr(found, name) is getattr(litellm, name)
    assert not hasattr(found, "__path__")
    assert not hasattr(found, "nothing")


def test_images_and_transcriptions_are_types_that_can_be_made(litellm):
    from litellm.types.utils import ImageObject, ImageResponse, TranscriptionResponse

    made = ImageResponse(
        created=5, data=[ImageObject(url="http://x"), {"b64_json": "aGk="}], hidden_params={"a": 1}
    )
    assert [each["url"] for each in made.data] == ["http://x", None]
    assert (made.created, made["usage"].total_tokens, made._hidden_params) == (5, 0, {"a": 1})
    assert made.json()["data"][1]["b64_json"] == "aGk="
    assert ImageResponse().data == []
    assert TranscriptionResponse(text="Hi").get("text") == "Hi"
    assert ImageResponse.__module__ == "litellm.types.utils"


def test_lists_of_models_are_there_for_every_provider(litellm):
    assert "gpt-4o" in litellm.open_ai_chat_completion_models
    assert "claude-sonnet-4-5" in litellm.anthropic_models
    assert litellm.groq_models == set()
    assert any(name.startswith("openrouter/") for name in litellm.openrouter_models)
    with pytest.raises(AttributeError):
        _ = litellm.nobodys_models


def test_the_encoding_is_openais(litellm):
    assert litellm.encoding.encode("Hello", disallowed_special=()) == [9906]


def test_types_of_openais_requests_are_litellms_too(litellm):
    from litellm import (  # noqa: F401
        AnthropicThinkingParam,
        ChatCompletionAudioParam,
        ChatCompletionModality,
        ChatCompletionPredictionContentParam,
    )
    from litellm.caching.caching import LiteLLMCacheType

    anthropic = importlib.import_module("litellm.types.llms.anthropic")
    assert anthropic.AnthropicThinkingParam is AnthropicThinkingParam
    assert litellm.Cache(type=LiteLLMCacheType.LOCAL).type == "local"
    with pytest.raises(NotImplementedError, match="disk"):
        litellm.Cache(type=LiteLLMCacheType.DISK)
