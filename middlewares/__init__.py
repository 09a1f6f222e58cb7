"""The layers of the onion. Each is a factory with keyword-only arguments, in a file of its own.

A middleware of your own is any `async def name(request, call_next)` that returns the Response that
`call_next` returned.
"""

from scallion._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._audit import audit as audit
    from ._audit_jsonl import JsonlSink as JsonlSink
    from ._audit_sqlite import SqliteSink as SqliteSink
    from ._budget import Remaining as Remaining
    from ._budget import budget as budget
    from ._cache import cache as cache
    from ._cache_key import request_key as request_key
    from ._cache_layer import CacheStats as CacheStats
    from ._cost import cost as cost
    from ._fallback import Target as Target
    from ._fallback import fallback as fallback
    from ._ledger import Entry as Entry
    from ._ledger import Ledger as Ledger
    from ._log import log as log
    from ._retry import retry as retry
    from ._retry_budget import RetryBudget as RetryBudget
    from ._timeout import timeout as timeout

_HOME = {
    "CacheStats": "_cache_layer",
    "Entry": "_ledger",
    "JsonlSink": "_audit_jsonl",
    "Ledger": "_ledger",
    "Remaining": "_budget",
    "RetryBudget": "_retry_budget",
    "SqliteSink": "_audit_sqlite",
    "Target": "_fallback",
    "audit": "_audit",
    "budget": "_budget",
    "cache": "_cache",
    "cost": "_cost",
    "fallback": "_fallback",
    "log": "_log",
    "request_key": "_cache_key",
    "retry": "_retry",
    "timeout": "_timeout",
}

__all__ = [
    "CacheStats",
    "Entry",
    "JsonlSink",
    "Ledger",
    "Remaining",
    "RetryBudget",
    "SqliteSink",
    "Target",
    "audit",
    "budget",
    "cache",
    "cost",
    "fallback",
    "log",
    "request_key",
    "retry",
    "timeout",
]


if not TYPE_CHECKING:  # or checkers would believe that every name is there
    __getattr__ = lazy(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted(__all__)
