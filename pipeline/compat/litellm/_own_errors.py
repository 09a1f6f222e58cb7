"""Exceptions of litellm that are no failure of a call: budgets, guardrails, unknown models."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any


class RateLimitErrorCategory(str, enum.Enum):
    """Whose limit it was."""

    VENDOR_RATE_LIMIT = "vendor_rate_limit"
    VENDOR_BATCH_RATE_LIMIT = "vendor_batch_rate_limit"
    LITELLM_RATE_LIMIT = "litellm_rate_limit"
    LITELLM_BATCH_RATE_LIMIT = "litellm_batch_rate_limit"


class RateLimitType(str, enum.Enum):
    """What was limited."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    CONCURRENT_REQUESTS = "concurrent_requests"
    BUDGET = "budget"
    MAX_ITERATIONS = "max_iterations"


class ModelNotMappedError(Exception):
    """Nothing is known of a model."""


@dataclass(eq=False, repr=False)
class BudgetExceededError(Exception):
    """More would be spent than may be."""

    current_cost: float
    max_budget: float
    message: str | None = None
    llm_provider: str | None = None
    entity_type: str | None = None
    entity_id: str | None = None

    def __post_init__(self) -> None:
        self.status_code = 422
        self.llm_provider = self.llm_provider or ""
        self.category = RateLimitErrorCategory.LITELLM_RATE_LIMIT.value
        self.rate_limit_type = RateLimitType.BUDGET.value
        self.message = self.message or (
            f"Budget has been exceeded! Current cost: {self.current_cost}, "
            f"Max budget: {self.max_budget}"
        )
        super().__init__(self.message)


@dataclass(eq=False, repr=False)
class GuardrailRaisedException(Exception):
    """A guardrail of the application's refused."""

    guardrail_name: str | None = None
    message: str = ""
    should_wrap_with_default_message: bool = True
    status_code: int = 400
    blocked_content: bool = False

    def __post_init__(self) -> None:
        if self.should_wrap_with_default_message:
            self.message = (
                f"Guardrail raised an exception, Guardrail: {self.guardrail_name}, "
                f"Message: {self.message}"
            )
        del self.should_wrap_with_default_message
        super().__init__(self.message)


@dataclass(eq=False, repr=False)
class BlockedPiiEntityError(Exception):
    """Something personal was found, and may not be sent."""

    entity_type: str
    guardrail_name: str | None = None
    status_code: int = 400

    def __post_init__(self) -> None:
        self.message = (
            f"Blocked entity detected: {self.entity_type} by Guardrail: {self.guardrail_name}. "
            "This entity is not allowed to be used in this request."
        )
        super().__init__(self.message)


@dataclass(eq=False, repr=False)
class ModifyResponseException(Exception):
    """A guardrail has another answer."""

    message: str
    model: str
    request_data: dict[str, Any]
    guardrail_name: str | None = None
    detection_info: dict[str, Any] | None = None
    original_response: Any | None = None

    def __post_init__(self) -> None:
        self.detection_info = self.detection_info or {}
        super().__init__(self.message)


@dataclass(eq=False, repr=False)
class SensitiveDataRouteException(Exception):
    """A guardrail wants another model to answer."""

    route_to_model: str
    session_id: str
    guardrail_name: str | None = None
    detection_info: dict[str, Any] | None = None
    message: str | None = None
    sticky_session_routing: bool = True

    def __post_init__(self) -> None:
        self.detection_info = self.detection_info or {}
        self.message = self.message or (
            f"Sensitive data detected by {self.guardrail_name}. "
            f"Routing to model: {self.route_to_model}"
        )
        super().__init__(self.message)
