"""`Logging`: what litellm hands to a stream's constructor."""

from __future__ import annotations

from .._callbacks import Call as Logging

__all__ = ["Logging"]
