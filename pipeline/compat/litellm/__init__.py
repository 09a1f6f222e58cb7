"""A module that stands in for `import litellm`, on Scallion.

    import scallion.compat.litellm
    scallion.compat.litellm.install()

    import litellm                      # this module, and so for every library
    litellm.completion("openai/gpt-4o", [{"role": "user", "content": "Hello"}])

Names, signatures and shapes are those of litellm 1.106. What is not supported raises a
`NotImplementedError` that says what to use instead. docs/litellm.md lists both.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from openai import BaseModel as BaseModel

from . import cost_calculator as cost_calculator
from . import exceptions as exceptions
from . import router as router
from . import types as types
from . import utils as utils
from ._absent import Absent
from ._install import install as install
from ._install import uninstall as uninstall
from ._logging import _disable_debugging as _disable_debugging
from ._logging import _enable_debugging as _enable_debugging
from ._logging import _turn_on_debug as _turn_on_debug
from ._logging import print_verbose as print_verbose
from ._logging import verbose_logger as verbose_logger
from ._not_chat import *  # noqa: F403
from ._state import unsupported
from ._version import version as _version_text
from .caching import Cache as Cache
from .caching import DualCache as DualCache
from .caching import InMemoryCache as InMemoryCache
from .cost_calculator import completion_cost as completion_cost
from .cost_calculator import cost_per_token as cost_per_token
from .exceptions import *  # noqa: F403
from .exceptions import LITELLM_EXCEPTION_TYPES as LITELLM_EXCEPTION_TYPES
from .integrations.custom_logger import CustomLogger as CustomLogger
from .litellm_core_utils.logging_callback_manager import LoggingCallbackManager
from .litellm_core_utils.streaming_handler import CustomStreamWrapper as CustomStreamWrapper
from .llms.custom_httpx.async_client_cleanup import close_litellm_async_clients
from .llms.custom_llm import CustomLLM as CustomLLM
from .main import acompletion as acompletion
from .main import acompletion_with_retries as acompletion_with_retries
from .main import batch_completion as batch_completion
from .main import batch_completion_models as batch_completion_models
from .main import completion as completion
from .main import completion_with_retries as completion_with_retries
from .main import mock_completion as mock_completion
from .main import stream_chunk_builder as stream_chunk_builder
from .responses.main import aresponses as aresponses
from .responses.main import responses as responses
from .router import Router as Router
from .types.info import LlmProviders as LlmProviders
from .types.info import ModelInfo as ModelInfo
from .types.llms.openai import *  # noqa: F403
from .types.router import *  # noqa: F403
from .types.utils import *  # noqa: F403
from .utils import check_valid_key as check_valid_key
from .utils import create_pretrained_tokenizer as create_pretrained_tokenizer
from .utils import create_tokenizer as create_tokenizer
from .utils import decode as decode
from .utils import encode as encode
from .utils import get_llm_provider as get_llm_provider
from .utils import get_max_tokens as get_max_tokens
from .utils import get_model_info as get_model_info
from .utils import get_supported_openai_params as get_supported_openai_params
from .utils import get_valid_models as get_valid_models
from .utils import register_model as register_model
from .utils import supports_audio_input as supports_audio_input
from .utils import supports_audio_output as supports_audio_output
from .utils import supports_computer_use as supports_computer_use
from .utils import supports_function_calling as supports_function_calling
from .utils import supports_native_streaming as supports_native_streaming
from .utils import supports_parallel_function_calling as supports_parallel_function_calling
from .utils import supports_pdf_input as supports_pdf_input
from .utils import supports_prompt_caching as supports_prompt_caching
from .utils import supports_reasoning as supports_reasoning
from .utils import supports_response_schema as supports_response_schema
from .utils import supports_system_messages as supports_system_messages
from .utils import supports_tool_choice as supports_tool_choice
from .utils import supports_url_context as supports_url_context
from .utils import supports_vision as supports_vision
from .utils import supports_web_search as supports_web_search
from .utils import token_counter as token_counter
from .utils import trim_messages as trim_messages
from .utils import validate_environment as validate_environment

__version__ = _version_text

# `from litellm import litellm` is found in the wild.
litellm = sys.modules[__name__]

# ---------------------------------------------------------------- settings that this module obeys

drop_params: bool = os.environ.get("LITELLM_DROP_PARAMS", "") != ""
api_key: str | None = None
api_base: str | None = None
openai_key: str | None = None
anthropic_key: str | None = None
openrouter_key: str | None = None
azure_key: str | None = None
groq_key: str | None = None
cohere_key: str | None = None
replicate_key: str | None = None
huggingface_key: str | None = None
api_version: str | None = None
organization: str | None = None
headers: dict[str, str] | None = None
num_retries: int | None = None
model_alias_map: dict[str, str] = {}
fallbacks: list[Any] | None = None
default_fallbacks: list[str] | None = None
context_window_fallbacks: list[Any] | None = None
content_policy_fallbacks: list[Any] | None = None
request_timeout: float = 6000.0
cache: Cache | None = None

callbacks: list[Any] = []
input_callback: list[Any] = []
success_callback: list[Any] = []
failure_callback: list[Any] = []
service_callback: list[Any] = []
_async_input_callback: list[Any] = []
_async_success_callback: list[Any] = []
_async_failure_callback: list[Any] = []
logging_callback_manager = LoggingCallbackManager()

# ------------------------- settings that this module does not have: calls refuse any other values

custom_provider_map: list[Any] = []
custom_prompt_dict: dict[str, Any] = {}
credential_list: list[Any] = []
model_fallbacks: list[Any] | None = None
pre_call_rules: list[Any] = []
post_call_rules: list[Any] = []
use_litellm_proxy: bool = False
enable_json_schema_validation: bool = False
add_function_to_prompt: bool = False
turn_off_message_logging: bool = False
max_budget: float = 0.0
ssl_verify: bool | str = True
ssl_certificate: str | None = None
client_session: Any = None
aclient_session: Any = None

# --------------------------------------- settings that there is nothing to obey about: no telemetry
# is sent, nothing is printed, the transport is always aiohttp, and histories are not rewritten
# unless the provider would refuse them.

set_verbose: bool = False
suppress_debug_info: bool = False
telemetry: bool = True
modify_params: bool = False
disable_aiohttp_transport: bool = False
use_aiohttp_transport: bool = True
force_ipv4: bool = False
log_raw_request_response: bool = False
redact_messages_in_exceptions: bool = False
vertex_project: str | None = None
vertex_location: str | None = None
max_tokens: int = 4096
return_response_headers: bool = False
include_cost_in_streaming_usage: bool = False
disable_streaming_logging: bool = False
in_memory_llm_clients_cache = InMemoryCache()
ALLOWED_OPENAI_PARAMS: list[str] = []
REPEATED_STREAMING_CHUNK_LIMIT: int = 100
provider_list: list[Any] = list(LlmProviders)
_current_cost: float = 0.0


async def shutdown_background_tasks() -> None:
    """Close the running loop's connections; no tasks are left behind."""
    await close_litellm_async_clients()


def enable_cache(*args: Any, **kwargs: Any) -> None:
    """Not supported."""
    raise unsupported("enable_cache()", "use scallion's cache() middleware")


def disable_cache() -> None:
    """Have no cache, as is the case."""
    globals()["cache"] = None


def get_optional_params(*args: Any, **kwargs: Any) -> dict[str, Any]:
    """Not supported: what is sent is decided where it is sent."""
    raise unsupported(
        "get_optional_params()", "look at the body with a middleware or a test server"
    )


def get_model_cost_map(url: str = "") -> dict[str, Any]:
    """The table of models as it came. It is in the package: nothing is fetched."""
    from .model_data import built_in

    del url
    return {name: dict(row) for name, row in built_in().items()}


def _list_of(provider: str) -> list[str]:
    from .model_data import rows

    return [name for name, row in rows().items() if row.get("litellm_provider") == provider]


def __getattr__(name: str) -> Any:
    # Made when they are first asked for: the table takes a while to build.
    if name == "model_cost":
        made: Any = get_model_cost_map()
    elif name == "model_list":
        made = list(globals().get("model_cost") or __getattr__("model_cost"))
    elif name == "encoding":
        made = utils._encoding()
    elif name == "anthropic":
        made = Absent("litellm.anthropic_interface")
        made.messages = Absent("litellm.anthropic_interface.messages")
    elif name == "open_ai_chat_completion_models":
        made = set(_list_of("openai"))
    elif name.endswith("_models") and name.removesuffix("_models") in {
        each.value for each in LlmProviders
    }:
        made = set(_list_of(name.removesuffix("_models")))
    elif name == "models_by_provider":
        made = {each: set(_list_of(each)) for each in ("openai", "anthropic", "openrouter")}
    else:
        raise AttributeError(
            f"module 'litellm' has no attribute {name!r} (scallion.compat.litellm stands in for it)"
        )
    globals()[name] = made
    return made
