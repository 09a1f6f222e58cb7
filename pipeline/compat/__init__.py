"""For code that comes from elsewhere: routers in litellm's form, on Scallion's own types.

`scallion.compat.litellm` goes further, and stands in for the whole module; nothing here needs it.
"""

from scallion._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scallion.types import Message as Message
    from scallion.types import ModelResponse as ModelResponse
    from scallion.types import StreamChunk as StreamChunk
    from scallion.types import Usage as Usage

    from ._router import ManagedRouter as ManagedRouter
    from ._router import Router as Router

_HOME = {
    "ManagedRouter": "_router",
    "Message": ".types",
    "ModelResponse": ".types",
    "Router": "_router",
    "StreamChunk": ".types",
    "Usage": ".types",
}

__all__ = ["ManagedRouter", "Message", "ModelResponse", "Router", "StreamChunk", "Usage"]


if not TYPE_CHECKING:  # or checkers would believe that every name is there
    __getattr__ = lazy(__name__, _HOME)


def __dir__() -> list[str]:
    return list(__all__)
