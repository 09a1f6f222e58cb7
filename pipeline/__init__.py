"""Scallion: a light onion of composable middleware around LLM calls.

    llm = build_pipeline([retry(), cost(), fallback(["gpt-4o", "claude-sonnet-4-5"])])
    answer = await llm.complete("Why is the sky blue?")

Importing this imports no other library: each name below is loaded when it is first used.

(PYTEST_DONT_REWRITE: pytest rewrites the packages of its plugins, and warns where that is too late.)
"""

from ._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import compat as compat
    from . import costs as costs
    from . import exceptions as exceptions
    from . import middlewares as middlewares
    from . import providers as providers
    from . import router as router
    from . import stores as stores
    from . import testing as testing
    from . import tokens as tokens
    from . import types as types
    from ._clock import Clock as Clock
    from ._order import OrderWarning as OrderWarning
    from ._outcome import Outcome as Outcome
    from ._pipeline import Handler as Handler
    from ._pipeline import Middleware as Middleware
    from ._pipeline import Pipeline as Pipeline
    from ._pipeline import build_pipeline as build_pipeline
    from ._request import Attempt as Attempt
    from ._request import Context as Context
    from ._request import Request as Request
    from ._response import Response as Response
    from ._response_stream import ResponseStream as ResponseStream

__version__ = "0.1.0"

_HOME = {
    "Attempt": "_request",
    "Clock": "_clock",
    "Context": "_request",
    "Handler": "_pipeline",
    "Middleware": "_pipeline",
    "OrderWarning": "_order",
    "Outcome": "_outcome",
    "Pipeline": "_pipeline",
    "Request": "_request",
    "Response": "_response",
    "ResponseStream": "_response_stream",
    "build_pipeline": "_pipeline",
    "compat": "",
    "costs": "",
    "exceptions": "",
    "middlewares": "",
    "providers": "",
    "router": "",
    "stores": "",
    "testing": "",
    "tokens": "",
    "types": "",
}

__all__ = [
    "Attempt",
    "Clock",
    "Context",
    "Handler",
    "Middleware",
    "OrderWarning",
    "Outcome",
    "Pipeline",
    "Request",
    "Response",
    "ResponseStream",
    "build_pipeline",
]


if not TYPE_CHECKING:  # or checkers would believe that every name is there
    __getattr__ = lazy(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted([*_HOME, "__version__"])
