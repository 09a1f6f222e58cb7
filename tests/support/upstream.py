"""The scripted upstream and what it can say: the one import that tests need.

async with Upstream() as upstream:
    upstream.enqueue(error(500), completion("Hi"))
    ...
    assert upstream.count == 2
    await upstream.all_closed()
"""

from support.answers import (
    completion,
    completion_stream,
    error,
    html,
    json_reply,
    message,
    message_stream,
    rechunk,
    sse,
    unfold,
)
from support.script import (
    CLOSE,
    CUT,
    DISCONNECT,
    HANG,
    PAUSE,
    RESET,
    SILENCE,
    Headers,
    Received,
    Reply,
    Script,
    Step,
)
from support.server import Upstream

__all__ = [
    "CLOSE",
    "CUT",
    "DISCONNECT",
    "HANG",
    "PAUSE",
    "RESET",
    "SILENCE",
    "Headers",
    "Received",
    "Reply",
    "Script",
    "Step",
    "Upstream",
    "completion",
    "completion_stream",
    "error",
    "html",
    "json_reply",
    "message",
    "message_stream",
    "rechunk",
    "sse",
    "unfold",
]
