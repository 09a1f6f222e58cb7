"""For code that comes from elsewhere: routers in litellm's form, on Scallion's own types.

`scallion.compat.litellm` goes further, and stands in for the whole module; nothing here needs it.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scallion.types import Message as Message
    from scallion.types import ModelResponse as ModelResponse
    from scallion.types import StreamChunk as StreamChunk
    from scallion.types import Usage as Usage

    from ._router import ManagedRouter as ManagedRouter
    from ._router import Router as Router

_HOME = {
    "ManagedRouter": "scallion.compat._router",
    "Message": "scallion.types",
    "ModelResponse": "scallion.types",
    "Router": "scallion.compat._router",
    "StreamChunk": "scallion.types",
    "Usage": "scallion.types",
}

__all__ = ["ManagedRouter", "Message", "ModelResponse", "Router", "StreamChunk", "Usage"]


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
