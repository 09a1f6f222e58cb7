"""What the body of an error says, wherever its server puts it: the message, the codes, a delay."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from ._bodies import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_SHOWN = 500
_MAX_READ = 4000


def innermost(said: Any) -> Any:
    """What holds the error's fields: its `error`, which FastAPI puts into a `detail`, or itself."""
    if isinstance(said, dict) and said.keys() == {"detail"} and isinstance(said["detail"], dict):
        said = said["detail"]
    error = said.get("error") if isinstance(said, dict) else None
    return error if isinstance(error, dict) else said


def labels_within(fields: dict[str, Any]) -> Iterator[Any]:
    """Error codes, outermost first: OpenRouter and Azure wrap the upstream's own error."""
    yield fields.get("code")
    yield object_in(fields, "innererror").get("code")
    typed = fields.get("error_type") or object_in(fields, "metadata").get("error_type")
    if typed != "invalid_prompt":  # of OpenRouter's any bad message, of OpenAI's a flagged one
        yield typed
    yield from (detail.get("reason") for detail in _details(fields))
    yield fields.get("error_code")  # Databricks
    status = fields.get("status")
    if isinstance(status, str) and status.isupper():  # Google's, such as RESOURCE_EXHAUSTED
        yield status
    wrapped = _upstreams(fields)
    yield wrapped.get("code")
    yield wrapped.get("type")


def messages_within(fields: dict[str, Any]) -> Iterator[str]:
    """What the upstream's own error says."""
    message = _upstreams(fields).get("message")
    if isinstance(message, str):
        yield message


def _upstreams(fields: dict[str, Any]) -> dict[str, Any]:
    """The error of the host that OpenRouter asked, as it came; empty if there is none to read."""
    raw = object_in(fields, "metadata").get("raw")
    if isinstance(raw, str):
        try:
            raw = msgspec.json.decode(raw)
        except (ValueError, RecursionError):
            return {}
    wrapped = raw.get("error", raw) if isinstance(raw, dict) else None
    return wrapped if isinstance(wrapped, dict) else {}


def _details(fields: dict[str, Any]) -> list[dict[str, Any]]:
    """Google's: what kind of error it is, and how long to wait."""
    details = fields.get("details")
    return [d for d in details if isinstance(d, dict)] if isinstance(details, list) else []


def delay_within(fields: dict[str, Any]) -> float | None:
    """Seconds to wait, by the error itself: Gemini sends no `retry-after`."""
    for detail in _details(fields):
        delay = detail.get("retryDelay")
        if isinstance(delay, str) and re.fullmatch(r"\d{1,9}(\.\d+)?s", delay):
            return float(delay[:-1])
    return None


def object_in(fields: dict[str, Any], name: str) -> dict[str, Any]:
    """The object of that name; an empty one if there is none."""
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


# Also Amazon's (`Message`), Zhipu's (`msg`) and MiniMax's (`base_resp.status_msg`).
_SAYING = (
    "message", "Message", "detail", "error", "title", "errors", "msg", "base_resp", "status_msg"
)  # fmt: skip


def message_of(*holders: Any) -> str:
    """What the first of `holders` says that says anything: a text, or an object with one in it."""
    for holder in holders:
        if isinstance(holder, str):
            if text := visible(holder[:_MAX_READ]):
                return _shortened(text)
        elif text := _said(holder):
            return text
    return "the provider reported an error without a message"


def _said(holder: Any, levels: int = 3) -> str:
    """What an object says is wrong, itself or in an object within; empty if it says nothing."""
    if isinstance(holder, list):
        return _shortened(_complaints(holder))
    if isinstance(holder, dict) and levels:
        for name in _SAYING:
            value = holder.get(name)
            text = value if isinstance(value, str) else _said(value, levels - 1)
            if text.strip():
                return text
    return ""


def _complaints(listed: list[Any]) -> str:
    """What a list of errors says, such as FastAPI's of the fields that it refuses."""
    said = []
    for each in listed:
        if isinstance(each, dict):
            place = each.get("loc")
            where = ".".join(map(str, place)) + ": " if isinstance(place, list) else ""
            what = each.get("msg") or each.get("message")
            said += [f"{where}{what}"] if isinstance(what, str) else []
        elif isinstance(each, str):
            said.append(each)
    return "; ".join(said)


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
