"""Where shared state lives: answers that were paid for, money that is reserved, leases on work.

    memory()        this process (the default)
    sqlite(path)    the processes of one machine, and the next run
    redis(url)      a fleet, over Redis 6.2 or later or Valkey
    cassette(path)  recordings for tests, in a file that people read and commit

All keep the same small promise, `Store`, so moving from a laptop to a fleet is one argument.
Each backend is imported when it is first used.
"""

from scallion._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scallion.exceptions import StoreError as StoreError

    from ._cassette import CassetteStore as cassette  # noqa: N813  (called like a factory)
    from ._envelope import Cipher as Cipher
    from ._envelope import Envelope as Envelope
    from ._follow import follow as follow
    from ._memory import MemoryStore as memory  # noqa: N813
    from ._protocol import Balance as Balance
    from ._protocol import Claim as Claim
    from ._protocol import Lease as Lease
    from ._protocol import Refusal as Refusal
    from ._protocol import Reservation as Reservation
    from ._protocol import Store as Store
    from ._redis import RedisStore as redis  # noqa: N813
    from ._sqlite import SQLiteStore as sqlite  # noqa: N813
    from ._window import Window as Window

_HOME = {
    "Balance": "_protocol",
    "Cipher": "_envelope",
    "Claim": "_protocol",
    "Envelope": "_envelope",
    "Lease": "_protocol",
    "Refusal": "_protocol",
    "Reservation": "_protocol",
    "Store": "_protocol",
    "StoreError": ".exceptions",
    "Window": "_window",
    "cassette": "_cassette:CassetteStore",
    "follow": "_follow",
    "memory": "_memory:MemoryStore",
    "redis": "_redis:RedisStore",
    "sqlite": "_sqlite:SQLiteStore",
}

__all__ = [
    "Balance",
    "Cipher",
    "Claim",
    "Envelope",
    "Lease",
    "Refusal",
    "Reservation",
    "Store",
    "StoreError",
    "Window",
    "cassette",
    "follow",
    "memory",
    "redis",
    "sqlite",
]


if not TYPE_CHECKING:  # or checkers would believe that every name is there
    __getattr__ = lazy(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted(__all__)
