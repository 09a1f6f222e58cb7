"""What a router's deployments and policies are made of."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Required

from pydantic import BaseModel, ConfigDict
from typing_extensions import TypedDict

from ._access import ItemAccess


class _Model(ItemAccess, BaseModel):
    model_config = ConfigDict(extra="allow", protected_namespaces=())

    if TYPE_CHECKING:

        def __init__(self, **fields: Any) -> None: ...


class ModelInfo(_Model):
    """What is known of a deployment, beginning with its id."""

    id: str | None = None
    db_model: bool = False
    base_model: str | None = None

    def __init__(self, id: str | int | None = None, **params: Any) -> None:
        super().__init__(id=str(uuid.uuid4()) if id is None else str(id), **params)


class GenericLiteLLMParams(_Model):
    """How to reach a model, and parameters for it."""

    custom_llm_provider: str | None = None
    api_key: str | None = None
    api_base: str | None = None
    api_version: str | None = None
    organization: str | None = None
    timeout: float | str | None = None
    stream_timeout: float | str | None = None
    max_retries: int | None = None
    tpm: int | None = None
    rpm: int | None = None
    weight: int | None = None
    input_cost_per_token: float | None = None
    output_cost_per_token: float | None = None
    max_budget: float | None = None
    mock_response: Any = None


class LiteLLM_Params(GenericLiteLLMParams):
    """The same, with the model's name."""

    model: str

    def __init__(self, model: str, **params: Any) -> None:
        super().__init__(**{"model": model, **params})


class LiteLLMParamsTypedDict(TypedDict, total=False):
    """The same, as a dict."""

    model: Required[str]
    custom_llm_provider: str | None
    api_key: str | None
    api_base: str | None
    api_version: str | None
    timeout: float | str | None
    stream_timeout: float | str | None
    max_retries: int | None
    organization: str | None
    tpm: int
    rpm: int
    weight: int | None
    input_cost_per_token: float | None
    output_cost_per_token: float | None


class DeploymentTypedDict(TypedDict, total=False):
    """An entry of a router's `model_list`."""

    model_name: Required[str]
    litellm_params: Required[LiteLLMParamsTypedDict]
    model_info: dict[str, Any]


class Deployment(_Model):
    """An entry of a router's `model_list`."""

    model_name: str
    litellm_params: LiteLLM_Params
    model_info: ModelInfo

    def __init__(
        self,
        model_name: str,
        litellm_params: LiteLLM_Params,
        model_info: ModelInfo | dict[str, Any] | None = None,
        **params: Any,
    ) -> None:
        if isinstance(model_info, dict):
            model_info = ModelInfo(**model_info)
        super().__init__(
            model_name=model_name,
            litellm_params=litellm_params,
            model_info=model_info or ModelInfo(),
            **params,
        )

    def to_json(self, **options: Any) -> dict[str, Any]:
        """The fields that are set, as a dict."""
        return self.model_dump(exclude_none=True, **options)


class RetryPolicy(_Model):
    """How often to try again, by kind of failure."""

    BadRequestErrorRetries: int | None = None
    AuthenticationErrorRetries: int | None = None
    TimeoutErrorRetries: int | None = None
    RateLimitErrorRetries: int | None = None
    ContentPolicyViolationErrorRetries: int | None = None
    InternalServerErrorRetries: int | None = None
    ServiceUnavailableErrorRetries: int | None = None
    NotFoundErrorRetries: int | None = None
    DefaultRetries: int | None = None


class AllowedFailsPolicy(_Model):
    """How many failures to forgive, by kind."""

    BadRequestErrorAllowedFails: int | None = None
    AuthenticationErrorAllowedFails: int | None = None
    TimeoutErrorAllowedFails: int | None = None
    RateLimitErrorAllowedFails: int | None = None
    ContentPolicyViolationErrorAllowedFails: int | None = None
    InternalServerErrorAllowedFails: int | None = None
    ServiceUnavailableErrorAllowedFails: int | None = None
    BadGatewayErrorAllowedFails: int | None = None
    NotFoundErrorAllowedFails: int | None = None


class RouterGeneralSettings(_Model):
    """Settings that concern nothing here."""

    async_only_mode: bool = False
    pass_through_all_models: bool = False


class RouterRateLimitError(ValueError):
    """Every deployment of a group rests."""

    def __init__(
        self,
        model: str,
        cooldown_time: float,
        enable_pre_call_checks: bool = False,
        cooldown_list: list[Any] | None = None,
        **more: Any,
    ) -> None:
        self.model = model
        self.cooldown_time = cooldown_time
        self.enable_pre_call_checks = enable_pre_call_checks
        self.cooldown_list = cooldown_list or []
        self.details = more
        super().__init__(
            f"No deployments available for selected model, Try again in {cooldown_time} seconds. "
            f"Passed model={model}."
        )


__all__ = [
    "AllowedFailsPolicy",
    "Deployment",
    "DeploymentTypedDict",
    "GenericLiteLLMParams",
    "LiteLLMParamsTypedDict",
    "LiteLLM_Params",
    "RetryPolicy",
    "RouterGeneralSettings",
    "RouterRateLimitError",
]
