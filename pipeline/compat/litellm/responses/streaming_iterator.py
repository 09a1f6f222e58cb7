"""Names of the streams that `responses()` would return, for `isinstance`."""

from __future__ import annotations


class BaseResponsesAPIStreamingIterator:
    """Nothing makes one."""


class ResponsesAPIStreamingIterator(BaseResponsesAPIStreamingIterator):
    """Nothing makes one."""


class SyncResponsesAPIStreamingIterator(BaseResponsesAPIStreamingIterator):
    """Nothing makes one."""
