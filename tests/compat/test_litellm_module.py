"""The stand-in as a module: installing it, its names, its models, its caches, its small parts."""

from __future__ import annotations

import asyncio
import logging
import pickle
import subprocess
import sys
from decimal import Decimal
from importlib import import_module, metadata
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

import scallion.compat.litellm as stand_in
from scallion import types as ours
from scallion.compat.litellm import _convert
from scallion.costs import calculate_cost, model_info

HI = [{"role": "user", "content": "Hi"}]


# -------------------------------------------------------------------------------------- installing


def test_importing_litellm_gives_the_stand_in_and_its_modules(litellm):
    import litellm as imported
    from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper
    from litellm.types.utils import ModelResponse

    assert imported is litellm is stand_in
    assert imported.litellm is imported
    assert ModelResponse is litellm.ModelResponse
    assert CustomStreamWrapper is litellm.CustomStreamWrapper
    assert litellm.install() is litellm
    assert litellm.types.llms.vertex_ai.PartType(text="x") == {"text": "x"}
    assert import_module("litellm._version").version == litellm.__version__


def test_the_private_modules_are_not_litellms(litellm):
    assert "litellm._logging" in sys.modules
    assert "litellm._run" not in sys.modules


def test_after_uninstalling_litellm_is_not_there(litellm):
    stand_in.uninstall()
    assert not [name for name in sys.modules if name.partition(".")[0] == "litellm"]
    assert not [
        each for each in sys.meta_path if type(each).__module__ == stand_in.install.__module__
    ]
    stand_in.install()


def test_classes_say_that_they_are_litellms_while_it_is_installed(litellm):
    named = {
        litellm.ModelResponse: "litellm.types.utils",
        litellm.Message: "litellm.types.utils",
        litellm.Usage: "litellm.types.utils",
        litellm.ModelResponseStream: "litellm.types.utils",
        litellm.RateLimitError: "litellm.exceptions",
        litellm.BudgetExceededError: "litellm.exceptions",
        litellm.CustomLogger: "litellm.integrations.custom_logger",
        litellm.Router: "litellm.router",
        litellm.ResponsesAPIResponse: "litellm.types.llms.openai",
    }
    assert {each: each.__module__ for each in named} == named
    litellm.install()
    answer = litellm.ModelResponse(usage=litellm.Usage(prompt_tokens=3))
    assert pickle.loads(pickle.dumps(answer)).usage.prompt_tokens == 3
    stand_in.uninstall()
    assert litellm.Message.__module__ == "scallion.compat.litellm.types._messages"
    assert pickle.loads(pickle.dumps(answer)).usage.prompt_tokens == 3
    stand_in.install()


def test_who_asks_whether_litellm_is_installed_hears_that_it_is(litellm):
    assert metadata.version("litellm") == litellm.__version__
    assert metadata.distribution("litellm").metadata["Name"] == "litellm"
    assert metadata.distribution("litellm").files is None
    assert find_spec("litellm") is not None
    assert find_spec("litellm.router") is not None
    assert find_spec("litellm.proxy") is None
    with pytest.raises(metadata.PackageNotFoundError):
        metadata.version("litellm-proxy-extras")


def test_a_real_litellm_that_was_imported_first_is_not_replaced(litellm, monkeypatch):
    stand_in.uninstall()
    monkeypatch.setitem(sys.modules, "litellm", object())
    with pytest.raises(RuntimeError, match="already"):
        stand_in.install()
    monkeypatch.delitem(sys.modules, "litellm")


def test_it_works_in_a_fresh_interpreter_in_one_line():
    code = (
        "import scallion.compat.litellm; scallion.compat.litellm.install()\n"
        "from litellm import completion\n"
        "import litellm.exceptions, litellm.types.llms.openai, litellm.caching.caching\n"
        "print(completion('gpt-4o', [], mock_response='Hi').choices[0].message.content)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert finished.stdout == "Hi\n"


def test_names_that_nobody_has_are_attribute_errors(litellm):
    with pytest.raises(AttributeError, match="stands in"):
        _ = litellm.nothing
    with pytest.raises(AttributeError):
        _ = import_module("litellm.router").Router(model_list=[])._nothing


def words(text):
    return text.split()


NAMES = words(
    """completion acompletion completion_cost cost_per_token token_counter get_model_info
get_llm_provider get_supported_openai_params model_cost register_model stream_chunk_builder
supports_function_calling supports_parallel_function_calling supports_vision
supports_response_schema supports_reasoning supports_prompt_caching supports_audio_input
supports_pdf_input supports_web_search validate_environment ModelResponse ModelResponseStream
Choices StreamingChoices Message Delta Usage CustomStreamWrapper Router exceptions callbacks
success_callback failure_callback input_callback logging_callback_manager cost_calculator
drop_params modify_params set_verbose suppress_debug_info telemetry disable_aiohttp_transport
num_retries api_key api_base _turn_on_debug shutdown_background_tasks mock_completion
AuthenticationError BadRequestError RateLimitError Timeout APIConnectionError APIError
ContextWindowExceededError ContentPolicyViolationError InternalServerError NotFoundError
PermissionDeniedError ServiceUnavailableError UnprocessableEntityError BudgetExceededError
UnsupportedParamsError JSONSchemaValidationError APIResponseValidationError OpenAIError
BadGatewayError ChatCompletionToolParam ChatCompletionMessageToolCall Function CustomLogger
AllMessageValues PromptTokensDetails ModelInfo LlmProviders BaseModel OpenAIMessageContent
ResponsesAPIResponse model_list provider_list anthropic_models open_ai_chat_completion_models
models_by_provider Deployment RetryPolicy EmbeddingResponse"""
)
MODULES = words(
    """router utils exceptions cost_calculator types.utils types.completion types.llms.openai
types.router integrations.custom_logger litellm_core_utils.streaming_handler
litellm_core_utils.logging_worker litellm_core_utils.get_llm_provider_logic
llms.custom_httpx.async_client_cleanup files.main caching _logging main responses.main
litellm_core_utils.litellm_logging constants types.responses.main
    llms.anthropic.common_utils llms.custom_llm responses.streaming_iterator"""
)


@pytest.mark.parametrize("name", NAMES)
def test_the_promised_name_is_there(litellm, name):
    assert hasattr(litellm, name)


@pytest.mark.parametrize("name", MODULES)
def test_the_promised_module_is_there(litellm, name):
    assert import_module(f"litellm.{name}")


# ---------------------------------------------------------------------------------------- models


def test_the_table_of_models_is_made_once_and_can_be_changed(litellm, monkeypatch):
    assert litellm.model_cost is litellm.model_cost
    assert len(litellm.model_cost) > 500
    row = {"litellm_provider": "openai", "mode": "chat", "supports_vision": True, "max_tokens": 5}
    monkeypatch.setitem(litellm.model_cost, "mine", row)
    assert litellm.supports_vision("mine")
    assert litellm.get_max_tokens("mine") == 5
    assert litellm.get_llm_provider("mine")[:2] == ("mine", "openai")
    assert "mine" not in litellm.get_model_cost_map()


def test_a_call_does_not_build_the_table_and_finds_the_same_rows(litellm):
    vars(litellm).pop("model_cost", None)
    names = ["gpt-4o", "claude-sonnet-4-5", "openrouter/openai/gpt-4o", "nobody/x", "nobody"]
    alone = [litellm.model_data.find(name) for name in names]
    litellm.completion("gpt-4o", HI, mock_response="x")
    assert "model_cost" not in vars(litellm)
    assert alone == [litellm.model_cost.get(name) for name in names]


def test_rows_can_be_registered_for_any_provider(litellm):
    litellm.register_model(
        {"groq/new": {"input_cost_per_token": 1e-6, "output_cost_per_token": None}},
        custom_llm_provider="groq",
    )
    info = litellm.get_model_info("groq/new")
    assert (info["litellm_provider"], info["input_cost_per_token"]) == ("groq", 1e-6)
    assert litellm.cost_per_token("groq/new", 10, 10) == (pytest.approx(1e-5), 0.0)
    with pytest.raises(NotImplementedError, match="register_model"):
        litellm.register_model("https://example.com/table.json")


def test_dated_and_fine_tuned_names_are_found_by_their_patterns(litellm):
    assert litellm.get_model_info("gpt-4o-2024-11-20")["max_tokens"] == 16384
    assert litellm.get_model_info("ft:gpt-4o-2024-08-06:me::x")["input_cost_per_token"] == 3.75e-6
    assert litellm.supports_native_streaming("gpt-4o", None)
    assert not litellm.supports_native_streaming("nobody/x", None)


def test_a_vendors_own_models_are_what_openrouter_says_of_them(litellm):
    known = litellm.get_model_info("deepseek/deepseek-chat")
    assert known["litellm_provider"] == "deepseek"
    assert known["supports_function_calling"] is True
    for name in ("deepseek/deepseek-chat", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"):
        with pytest.raises(litellm.ModelNotMappedError, match="price"):
            litellm.cost_per_token(name, 1000, 1000)
    assert litellm.model_cost["gemini/gemini-2.5-pro"]["litellm_provider"] == "gemini"
    assert "openai/gpt-4o:batch" not in litellm.model_cost
    assert litellm.get_model_info("claude-sonnet-4-5@20250929", "anthropic")["supports_vision"]
    with pytest.raises(litellm.BadRequestError):
        litellm.get_llm_provider("claude-sonnet-4-5@20250929")


def test_a_row_of_ones_own_without_prices_costs_nothing(litellm):
    litellm.register_model({"mine": {"litellm_provider": "openai", "max_tokens": 10}})
    assert litellm.cost_per_token("mine", 1000, 1000) == (0.0, 0.0)


def test_what_a_model_can_do_is_what_scallion_knows_of_it(litellm):
    asked = {
        "function_calling": "tools",
        "parallel_function_calling": "parallel_tools",
        "tool_choice": "tool_choice",
        "vision": "vision",
        "response_schema": "response_schema",
        "reasoning": "reasoning",
        "prompt_caching": "prompt_caching",
        "audio_input": "audio_input",
        "audio_output": "audio_output",
        "pdf_input": "pdf_input",
        "web_search": "web_search",
        "computer_use": "computer_use",
    }
    for model in ("gpt-4o", "claude-sonnet-4-5", "gpt-4o-audio-preview", "o3-mini"):
        for name, flag in asked.items():
            found = getattr(litellm, f"supports_{name}")(model)
            assert found is (getattr(model_info(model), flag) is True), (model, name)
    for name in asked:
        assert getattr(litellm, f"supports_{name}")("nobody/x") is False
    assert litellm.supports_system_messages("gpt-4o", None)
    assert litellm.supports_url_context("gpt-4o") is False
    with pytest.raises(Exception, match="isn't mapped yet"):
        litellm.get_max_tokens("nobody/x")


def test_hugging_faces_tokenizers_are_used_where_they_are_installed(litellm, monkeypatch):
    class Tokenizer(Letters):
        @classmethod
        def from_pretrained(cls, identifier, revision, token):
            return cls()

        @classmethod
        def from_str(cls, json):
            return cls()

    monkeypatch.setitem(sys.modules, "tokenizers", SimpleNamespace(Tokenizer=Tokenizer))
    for made in (litellm.create_pretrained_tokenizer("x/y"), litellm.create_tokenizer("{}")):
        assert made["type"] == "huggingface_tokenizer"
        assert litellm.token_counter(custom_tokenizer=made, text="abc") == 3


def test_an_answer_is_checked_with_jsonschema_where_it_is_installed(litellm, monkeypatch):
    class ValidationError(Exception):
        pass

    def validate(value, schema):
        if value.keys() != schema["properties"].keys():
            raise ValidationError

    fake = SimpleNamespace(validate=validate, ValidationError=ValidationError)
    monkeypatch.setitem(sys.modules, "jsonschema", fake)
    rule = import_module("litellm.litellm_core_utils.json_validation_rule")
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    assert rule.validate_schema(schema, '{"a": 1}') is None
    for answer in ('{"b": 1}', "no JSON"):
        with pytest.raises(litellm.JSONSchemaValidationError, match="invalid response"):
            rule.validate_schema(schema, answer)


def test_without_ranks_there_are_no_ids(litellm, monkeypatch):
    from scallion import _tokens_text

    monkeypatch.setattr(_tokens_text, "encoder", lambda name: SimpleNamespace(exact=False))
    with pytest.raises(RuntimeError, match="offline"):
        litellm.encode(text="x")


def test_costs_agree_with_scallions_own(litellm):
    for model in ("gpt-4o", "gpt-4o-mini", "o3-mini", "claude-sonnet-4-5", "claude-haiku-4-5"):
        found = sum(litellm.cost_per_token(model, 1000, 500))
        assert Decimal(str(round(found, 12))) == calculate_cost(model, 1000, 500)


def test_costs_depend_on_length_tier_time_and_kind_of_token(litellm):
    row = {
        "litellm_provider": "openai",
        "mode": "chat",
        "input_cost_per_token": 1.0,
        "input_cost_per_token_above_200k_tokens": 2.0,
        "input_cost_per_token_flex": 0.5,
        "output_cost_per_token": 10.0,
        "output_cost_per_reasoning_token": 20.0,
        "cache_creation_input_token_cost": 3.0,
    }
    litellm.model_cost["mine"] = row
    cost = litellm.cost_per_token
    assert cost("mine", 200_001, 0)[0] == 400_002.0
    assert cost("mine", 10, 0, service_tier="flex")[0] == 5.0
    assert cost("mine", 10, 0, cache_creation_input_tokens=4)[0] == 6 + 12
    usage = litellm.Usage(prompt_tokens=1, completion_tokens=5, reasoning_tokens=2)
    assert cost("mine", usage_object=usage) == (1.0, 30.0 + 40.0)
    assert cost("mine", custom_cost_per_second=2.0, response_time_ms=500) == (0.0, 1.0)
    billed = litellm.ModelResponse(model="x", usage=litellm.Usage(prompt_tokens=1, cost=0.25))
    assert litellm.completion_cost(billed) == 0.25
    with pytest.raises(NotImplementedError, match="size"):
        litellm.completion_cost(model="mine", size="1024x1024")


def test_costs_of_answers_of_every_form(litellm):
    plain = {"model": "gpt-4o", "choices": [{"message": {"content": "Hello"}}]}
    assert litellm.completion_cost(plain, messages=HI) > 0
    answer = ours.ModelResponse(model="gpt-4o", usage=ours.Usage(prompt_tokens=1000))
    assert litellm.completion_cost(answer) == pytest.approx(0.0025)
    assert litellm.completion_cost({"model": "gpt-4o", "choices": []}) == 0.0
    assert litellm.cost_calculator.response_cost_calculator({}, "nobody") is None


def test_which_models_keys_are_there_for(litellm, monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENROUTER_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test")
    found = litellm.get_valid_models()
    assert "claude-sonnet-4-5" in found
    assert "gpt-4o" not in found
    assert litellm.get_valid_models(custom_llm_provider="openai", api_key="x")
    monkeypatch.setenv("GEMINI_API_KEY", "x")
    assert litellm.validate_environment("gemini/x")["keys_in_environment"]
    with pytest.raises(NotImplementedError):
        litellm.get_valid_models(check_provider_endpoint=True)


@pytest.mark.parametrize(
    ("model", "kind", "lists"),
    [
        ("gpt-4o", "embeddings", True),
        ("gpt-4o", "transcription", False),
        ("sagemaker/x", "chat_completion", False),
        ("azure/x", "chat_completion", True),
    ],
)
def test_parameters_are_listed_where_there_are_any(litellm, model, kind, lists):
    found = litellm.get_supported_openai_params(model, request_type=kind)
    assert (found is not None) is lists


def test_a_provider_may_be_told_by_parameters_or_a_known_address(litellm, monkeypatch):
    monkeypatch.setenv("GROQ_API_KEY", "k")
    params = {"custom_llm_provider": "groq", "api_base": "http://x", "api_key": None}
    found = litellm.get_llm_provider("m", litellm_params=params)
    assert found == ("m", "groq", "k", "http://x")
    assert litellm.get_llm_provider("m", api_base="https://api.groq.com/openai/v1")[2] == "k"
    assert litellm.get_llm_provider("claude-next-9")[1] == "anthropic"
    with pytest.raises(litellm.BadRequestError):
        litellm.get_llm_provider(None)


# ---------------------------------------------------------------------------------------- tokens


class Letters:
    """A tokenizer that counts letters."""

    def encode(self, text):
        return list(map(ord, text))

    def decode(self, tokens, **options):
        return "".join(map(chr, tokens))


def test_a_tokenizer_of_ones_own_is_used(litellm):
    mine = {"tokenizer": Letters()}
    assert litellm.token_counter(custom_tokenizer=mine, text="abc") == 3
    assert litellm.encode(text="ab", custom_tokenizer=mine) == [97, 98]
    assert litellm.decode(tokens=[97, 98], custom_tokenizer=mine) == "ab"


def test_a_default_count_stands_in_for_what_cannot_be_counted(litellm):
    odd = [{"role": "user", "content": [{"type": "odd"}]}]
    assert litellm.token_counter("gpt-4o", messages=odd, default_token_count=7) == 7
    with pytest.raises(ValueError, match="Either"):
        litellm.token_counter("gpt-4o", default_token_count=7)


def test_messages_may_be_objects_and_hold_documents_and_thinking(litellm):
    parts = [
        {"type": "document"},
        {"type": "thinking", "thinking": "hm"},
        {"type": "tool_result", "content": [{"type": "text", "text": "x"}]},
    ]
    history = [litellm.Message("x"), {"role": "user", "content": parts}]
    assert litellm.token_counter("gpt-4o", messages=history) > 10
    assert litellm.token_counter("gpt-4o", messages=[{"role": "user", "n": 1}]) == 7


def test_what_is_not_supported_of_utils_says_so(litellm):
    with pytest.raises(NotImplementedError, match="trim_messages"):
        litellm.trim_messages(HI)
    assert litellm.utils.supports_httpx_timeout("openai") is False


# ---------------------------------------------------------------------------------- conversions


def test_answers_go_to_scallions_types_and_back(litellm):
    answer = litellm.ModelResponse(
        id="x",
        created=1,
        model="m",
        choices=[litellm.Choices(message=litellm.Message(content="Hi", reasoning_content="hm"))],
        usage=litellm.Usage(prompt_tokens=3, completion_tokens=1, total_tokens=4),
    )
    native = _convert.response_to_scallion(answer)
    assert isinstance(native, ours.ModelResponse)
    assert (native.text, native.reasoning, native.usage.total_tokens) == ("Hi", "hm", 4)
    again = _convert.response_from_scallion(native)
    assert again.model_dump() == answer.model_dump()
    assert _convert.usage_to_scallion(answer.usage) == native.usage


def test_cache_writes_are_counted_as_litellm_has_them(litellm):
    details = ours.PromptTokensDetails(
        cached_tokens=4, cache_write_tokens=3, cache_write_1h_tokens=2
    )
    usage = _convert.usage_from_scallion(
        ours.Usage(prompt_tokens=10, total_tokens=10, prompt_tokens_details=details)
    )
    assert usage.cache_creation_input_tokens == 3
    assert usage.cache_read_input_tokens == 4
    assert usage.prompt_tokens_details.cache_creation_tokens == 3


def test_odd_chunks_are_converted(litellm):
    converter = _convert.ChunkConverter("m", include_usage=True)
    delta = ours.Delta(
        content=[{"type": "text", "text": "parts"}],
        role="assistant",
        refusal="no",
        function_call=ours.FunctionCall(name="f", arguments="{}"),
        provider_content={"content": [{"type": "thinking", "thinking": "hm"}]},
        tool_calls=[ours.ToolCall(index=0, id="a")],
    )
    choice = ours.ChunkChoice(delta=delta, finish_reason="stop", logprobs={"content": None})
    usage = ours.Usage(prompt_tokens=1, completion_tokens=1, total_tokens=2)
    chunks = [*converter.convert([ours.StreamChunk(choices=[choice], usage=usage)])]
    chunks += converter.close()
    said = chunks[0].choices[0].delta
    assert (said.content, said.refusal, said.thinking_blocks[0]["thinking"]) == (
        "parts",
        "no",
        "hm",
    )
    assert chunks[1].choices[0].finish_reason == "stop"
    assert chunks[2].usage.total_tokens == 2


def test_chunks_of_dicts_and_of_nothing_are_built_up(litellm):
    chunk = {
        "id": "c",
        "created": 5,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "delta": {
                    "role": "assistant",
                    "content": "Hi",
                    "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}],
                },
                "finish_reason": "stop",
            }
        ],
        "usage": litellm.Usage(prompt_tokens=1, completion_tokens=1, total_tokens=2),
    }
    whole = litellm.stream_chunk_builder([chunk])
    assert whole.choices[0].message.thinking_blocks[0]["signature"] == "s"
    empty = litellm.ModelResponseStream(id="c", created=5, model="m", choices=[])
    found = litellm.stream_chunk_builder([empty], count_prompt_tokens=lambda: 9)
    assert found.choices[0].message.content == ""
    assert found.usage.prompt_tokens == 9


# ------------------------------------------------------------------------------------ small parts


def chunks_of(litellm, *texts):
    return [
        litellm.ModelResponseStream(
            id="c", choices=[litellm.StreamingChoices(delta=litellm.Delta(content=text))]
        )
        for text in texts
    ]


async def test_a_stream_wrapper_takes_iterators_of_every_kind(litellm):
    chunks = chunks_of(litellm, "a", "b")

    async def later():
        for chunk in chunks:
            yield chunk

    class Iterable:
        def __aiter__(self):
            return later()

    async def opened():
        return later()

    def wrapper(stream=None, **more):
        return litellm.CustomStreamWrapper(stream, model="m", logging_obj=None, **more)

    assert list(wrapper(iter(chunks))) == chunks
    assert list(wrapper(chunks)) == chunks
    assert list(wrapper(make_call=lambda: chunks)) == chunks
    assert await asyncio.to_thread(lambda: list(wrapper(later()))) == chunks
    for made in (wrapper(later()), wrapper(Iterable()), wrapper(chunks), wrapper(iter(chunks))):
        assert [chunk async for chunk in made] == chunks
    assert [chunk async for chunk in wrapper(make_call=opened)] == chunks
    assert list(wrapper()) == []
    assert [chunk async for chunk in wrapper()] == []
    made = wrapper(make_call=opened)
    await made.fetch_stream()
    await made.fetch_stream()
    assert await made.__anext__() is chunks[0]
    assert made.response_id == "c"
    assert made.model_response_creator().id == "c"
    await made.aclose()


async def test_the_logging_worker_runs_what_others_give_it(litellm):
    from litellm.litellm_core_utils.logging_worker import GLOBAL_LOGGING_WORKER

    worker = GLOBAL_LOGGING_WORKER
    ran = []

    async def note(*, fails=False):
        ran.append(fails)
        if fails:
            raise RuntimeError

    worker.start()
    worker.enqueue(note())
    worker.ensure_initialized_and_enqueue(note(fails=True))
    await worker.clear_queue()
    await worker.stop()
    await worker._worker_loop()
    assert ran == [False, True]
    await asyncio.to_thread(worker.enqueue, note())
    assert len(ran) == 2


def test_the_callback_manager_keeps_each_callback_once(litellm):
    class Mine(litellm.CustomLogger):
        pass

    mine, manager = Mine(extra=1), litellm.logging_callback_manager
    add = [name for name in dir(manager) if name.startswith("add_litellm")]
    for name in add * 2:
        getattr(manager, name)(mine)
    manager.add_litellm_success_callback(mine.log_success_event)
    assert manager.get_custom_loggers_for_type(Mine) == [mine]
    assert manager.callback_is_active(Mine)
    assert len(litellm.success_callback) == 2
    assert mine in manager._get_all_callbacks()
    manager.remove_callback_from_list_by_object(litellm.success_callback, mine)
    assert litellm.success_callback == [mine]
    manager.remove_callbacks_by_type(litellm.success_callback, Mine)
    assert litellm.success_callback == []
    manager.remove_callback_from_all_lists(mine)
    assert manager.get_all_callbacks() == []


async def test_a_custom_logger_does_nothing_by_itself(litellm):
    mine = litellm.CustomLogger()
    event = ({}, None, None, None)
    assert mine.log_success_event(*event) is None
    assert await mine.async_log_success_event(*event) is None
    assert await mine.async_filter_deployments("m", [1], None) == [1]


async def test_a_cache_in_memory_forgets(litellm, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    cache = litellm.InMemoryCache(max_size_in_memory=2, default_ttl=10)
    cache.set_cache("a", 1)
    await cache.async_set_cache("b", 2, ttl=5)
    cache.set_cache("c", 3)
    assert cache.get_cache("a") is None
    assert await cache.async_get_cache("b") == 2
    now[0] = 6.0
    assert cache.get_cache("b") is None
    cache.set_cache("n", 1)
    now[0] = 11.0
    cache.evict_cache()
    assert cache.increment_cache("n", 1) == 2
    assert await cache.async_increment("n", 1) == 3
    cache.flush_cache()
    await cache.disconnect()
    assert cache.cache_dict == {}


async def test_the_other_caches_hold_values_and_refuse_servers(litellm):
    cache = litellm.DualCache()
    await cache.async_set_cache("a", 1)
    assert await cache.async_get_cache("a") == 1
    cache.delete_cache("a")
    assert cache.get_cache("a") is None
    cache.flush_cache()
    with pytest.raises(NotImplementedError, match="redis"):
        litellm.DualCache(redis_cache=object())
    with pytest.raises(NotImplementedError, match="redis"):
        litellm.Cache(type="redis")
    with pytest.raises(NotImplementedError, match="get_cache_key"):
        litellm.Cache(ttl=5).get_cache_key(model="x")


def test_logging_in_all_detail_is_switched_on_and_off(litellm, capsys):
    from litellm import _logging

    loggers = _logging.ALL_LOGGERS[1:]
    levels = [logger.level for logger in loggers]
    litellm._turn_on_debug()
    assert all(logger.level == logging.DEBUG for logger in loggers)
    assert _logging._is_debugging_on()
    litellm._disable_debugging()
    assert all(logger.disabled for logger in loggers)
    litellm._enable_debugging()
    litellm.print_verbose("quiet")
    _logging.set_verbose = True
    litellm.print_verbose("loud")
    _logging.set_verbose = False
    assert capsys.readouterr().err == "loud\n"
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
        if _logging.handler in logger.handlers:
            logger.removeHandler(_logging.handler)


def test_models_of_the_types_can_be_fields_and_be_subclassed(litellm):
    from pydantic import BaseModel

    class Mine(litellm.ModelResponse):
        pass

    class Record(BaseModel):
        answer: litellm.ModelResponse
        usage: litellm.Usage

    record = Record(answer=Mine(id="x", created=1, mine=2), usage=litellm.Usage(prompt_tokens=1))
    again = Record.model_validate_json(record.model_dump_json())
    assert again.answer.id == "x"
    assert again.usage.prompt_tokens == 1
    assert record.answer.mine == 2
    record.answer["mine"] = 3
    assert record.answer["mine"] == 3


def test_objects_are_built_from_objects_of_other_kinds(litellm):
    from openai.types.chat import ChatCompletion
    from openai.types.chat.chat_completion_chunk import Choice as ChunkChoice

    theirs = ChatCompletion.model_validate(
        {
            "id": "x",
            "created": 1,
            "model": "m",
            "object": "chat.completion",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": "Hi"},
                }
            ],
        }
    )
    made = litellm.ModelResponse(
        choices=theirs.choices, response_ms=3, _response_headers={"a": "b"}
    )
    assert made.choices[0].message.content == "Hi"
    assert (made._response_ms, made._response_headers) == (3, {"a": "b"})
    one = ChunkChoice.model_validate({"index": 0, "delta": {"content": "Hi"}})
    chunk = litellm.ModelResponseStream(choices=one, usage={"prompt_tokens": 1})
    assert chunk.choices[0].delta.content == "Hi"
    assert chunk.usage.prompt_tokens == 1
    assert litellm.ModelResponse(choices=theirs.choices[0]).choices[0].index == 0
    logprobs = {"content": [{"token": "a", "logprob": -1.0, "top_logprobs": []}]}
    assert litellm.Choices(logprobs=logprobs, enhancements=1).logprobs.content[0].token == "a"
    streaming = litellm.StreamingChoices(logprobs=logprobs, enhancements=1)
    assert streaming.logprobs["content"][0]["token"] == "a"
    assert litellm.Delta(function_call={"name": "f"}).function_call.name == "f"
    assert litellm.Delta(tool_calls=[chunk]).tool_calls == [chunk]
    vectors = litellm.EmbeddingResponse(
        usage={"prompt_tokens": 1}, hidden_params={"a": 1}, _response_headers={"b": "c"}
    )
    assert (vectors._hidden_params, vectors._response_headers) == ({"a": 1}, {"b": "c"})
    text = litellm.TextCompletionResponse(
        choices=[{"text": "Hi", "finish_reason": "stop"}], usage={"prompt_tokens": 1}
    )
    assert text.choices[0].text == "Hi"
    details = litellm.PromptTokensDetailsWrapper(cached_tokens=1)
    assert litellm.Usage(prompt_tokens_details=details).prompt_tokens_details.cached_tokens == 1


def test_exceptions_take_responses_of_any_http_library(litellm):
    class Response:
        status_code = 418

        def __init__(self):
            self.headers = {"x-request-id": "req_1"}
            self._request = None

        @property
        def request(self):
            if self._request is None:
                raise RuntimeError("no request")
            return self._request

        @request.setter
        def request(self, value):
            self._request = value

    raised = litellm.BadRequestError(
        "m", "gpt", "openai", response=Response(), num_retries=2, max_retries=3
    )
    assert raised.status_code == 418
    assert "Retried: 2 times, LiteLLM Max Retries: 3" in str(raised)
    timed_out = litellm.Timeout("m", "gpt", "openai", response=Response())
    assert timed_out.response.status_code == 418
    broken = litellm.exceptions.MidStreamFallbackError(
        "m", "gpt", "openai", original_exception=litellm.RateLimitError("m", "openai", "gpt")
    )
    assert broken.status_code == 429
    assert litellm.OpenAIError(original_exception=broken).original_exception is broken
    inner = import_module("litellm.llms.anthropic.common_utils").AnthropicError(529, "busy")
    assert (str(inner), inner.status_code) == ("busy", 529)
    own = import_module("litellm.llms.custom_llm").CustomLLMError(500, "mine")
    assert (str(own), own.status_code) == ("mine", 500)
    plain = litellm.GuardrailRaisedException("g", "m", should_wrap_with_default_message=False)
    assert str(plain) == "m"


def test_failures_of_every_kind_are_translated(litellm):
    from scallion import exceptions as kinds
    from scallion.compat.litellm._errors import translated

    expected = {
        kinds.BudgetExceededError("x"): "BadRequestError",
        kinds.TimeoutError("x"): "Timeout",
        kinds.StreamInterruptedError("x"): "APIConnectionError",
        kinds.MalformedResponseError("x"): "APIError",
        kinds.PermissionDeniedError("x", status_code=402): "APIError",
        kinds.ServerError("x", status_code=500, request_id="r"): "InternalServerError",
    }
    for error, name in expected.items():
        assert type(translated(error, "m", "groq")).__name__ == name
    bug = ValueError("x")
    assert translated(bug, "m", "groq") is bug
