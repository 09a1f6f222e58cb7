"""The parameters of a call, checked for their kind before anything is sent.

Only what every server of the API refuses anyway is refused, but by name and with what is wanted.
Parameters that are not known here pass, because other servers have parameters of their own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from scallion._request import NOT_GIVEN
from scallion._secrets import HOLDERS, LeftBehind

# Parameters of the call, not of the body: some for a layer that may not be there.
OURS = frozenset({"cache", "extra_body", "extra_headers", "extra_query", "timeout"})

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, "token"
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")


def check_params(params: Mapping[str, Any]) -> None:
    """Check the parameters of one call.

    Raises:
        ValueError: one is of the wrong kind; the text names it, what it is, and what is wanted.
    """
    for name, value in params.items():
        if name in HOLDERS and isinstance(value, Mapping):
            _check_not_left_behind(name, value)
        check = _CHECKS.get(name)
        if check is not None and value is not None:
            check(name, value)
        elif isinstance(value, (bytes, bytearray, memoryview)):
            raise _wrong(name, "a JSON value", value)


def _check_not_left_behind(name: str, values: Mapping[Any, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, LeftBehind):
            raise ValueError(
                f"{name}[{key!r}] is secret and was left out of the pickle: set it anew in this "
                "process"
            )


def check_headers(name: str, value: Any) -> None:
    """Headers are a mapping of names to texts. Raises `ValueError` if they are not."""
    if not isinstance(value, Mapping):
        # Never shown, because headers carry keys.
        raise ValueError(f"{name} must be a mapping of header names to texts, not {_kind(value)}")
    for header, text in value.items():
        if not isinstance(header, str) or not _HEADER_NAME.fullmatch(header):
            raise ValueError(f"{name} has the key {header!r}, which is no name of a header")
        if type(text).__name__ in NOT_GIVEN:  # takes a default header away
            continue
        if not isinstance(text, str):
            raise ValueError(f"{name}[{header!r}] must be a text, not {_kind(text)}")
        if not _HEADER_VALUE.fullmatch(text):
            raise ValueError(f"{name}[{header!r}] must be ASCII text without line breaks")


def check_timeout(name: str, value: Any) -> None:
    """Seconds, or the SDK's own object for several. Raises `ValueError` if it is neither."""
    if type(value).__name__ == "Timeout":
        return
    if not _is_number(value) or not math.isfinite(value) or value <= 0:
        raise _wrong(name, "a number of seconds above 0", value)


def _check_number(name: str, value: Any) -> None:
    if not _is_number(value) or not math.isfinite(value):
        raise _wrong(name, "a finite number", value)


def _check_whole_number(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong(name, "a whole number", value)


def _check_text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise _wrong(name, "a text", value)


def _check_stop(name: str, value: Any) -> None:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) for text in texts):
        raise _wrong(name, "a text or a list of texts", value)


def _check_object(name: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} must be an object (a dict), not {_kind(value)}")


def _check_text_or_object(name: str, value: Any) -> None:
    if not isinstance(value, (str, Mapping)):
        raise _wrong(name, "a text or an object (a dict)", value)


def _check_objects(name: str, value: Any) -> None:
    # No iterators: the request may have to be sent a second time.
    if not isinstance(value, (list, tuple)):
        raise _wrong(name, "a list of objects (dicts)", value)
    for position, item in enumerate(value):
        if not isinstance(item, Mapping):
            raise _wrong(f"{name}[{position}]", "an object (a dict)", item)


def _check_response_format(name: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        form = '{"type": "json_schema", "json_schema": {"name": …, "schema": {…}}}'
        raise _wrong(name, f'an object like {form} or {{"type": "json_object"}}', value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _wrong(name: str, wanted: str, value: Any) -> ValueError:
    shown = repr(value)
    return ValueError(f"{name} must be {wanted}, not {shown if len(shown) < 60 else _kind(value)}")


def _kind(value: Any) -> str:
    if value is None:
        return "None"
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__


_CHECKS: dict[str, Callable[[str, Any], None]] = {
    "extra_body": _check_object,
    "extra_headers": check_headers,
    "extra_query": _check_object,
    "timeout": check_timeout,
    **dict.fromkeys(
        ("temperature", "top_p", "presence_penalty", "frequency_penalty"), _check_number
    ),
    **dict.fromkeys(
        ("max_tokens", "max_completion_tokens", "n", "seed", "top_logprobs", "top_k"),
        _check_whole_number,
    ),
    **dict.fromkeys(("user", "safety_identifier", "prompt_cache_key"), _check_text),
    **dict.fromkeys(("logit_bias", "stream_options"), _check_object),
    **dict.fromkeys(("tool_choice", "function_call"), _check_text_or_object),
    **dict.fromkeys(("tools", "functions"), _check_objects),
    "stop": _check_stop,
    "response_format": _check_response_format,
}
