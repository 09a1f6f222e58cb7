"""Takes secrets out of errors where they leave an adapter.

Their texts are cleansed, and so are the frames of their tracebacks, because a formatter that shows
local variables would find there what was sent.
"""

from __future__ import annotations

import base64
import json
import re
import traceback
from collections.abc import Mapping
from contextlib import suppress
from copy import copy
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from ._secrets import MASK, is_secret, plain, without_query_secrets
from .exceptions import LLMClientError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SHORTEST: Final = 4
"""Characters of a secret that is looked for in other texts; a shorter one may be any word."""

_FORMS: Final = re.compile(
    r"(?<=\bBearer )[\w.~+/=-]{8,}"
    r"|(?<=://)[^\s/?#@]+(?=@)"
    r"|\b(?:sk|org|proj|sess)-([\w-]{8,})"  # OpenAI's, Anthropic's and OpenRouter's: with a digit
)

_TEXTS: Final = ("body", "code", "request_id", "__notes__")
"""Where our own errors have a provider's words, besides their message."""

_ABRIDGED: Final = re.compile(r"(?:\*{2,}|•{2,}|\.{3}|…)([\w-]{0,300})")
"""What stands for the middle of a key where servers quote one, and the end of it."""

_ESCAPE: Final = re.compile("%[0-9A-F]{2}")

_LETTER: Final = re.compile(r"[\w-]")

_DEEPEST: Final = 64
"""Levels of decoded JSON that are looked through; what is nested deeper is masked as a whole."""

# Bodies of errors are anybody's, and may be megabytes: no pattern here looks at a character more
# than a few times.


class Scrubber:
    """Takes known secrets, and what has the form of one, out of texts and errors.

    Args:
        secrets: What is not a text, or too short, is left out.
    """

    def __init__(self, secrets: Iterable[Any]) -> None:
        self._known: list[str] = []
        self._learn(secrets)
        # An error and those it came from have the same texts, and those may be long.
        self._cleansed: dict[str, str] = {}
        self._copies: dict[int, tuple[Any, Any]] = {}

    def _learn(self, secrets: Iterable[Any]) -> None:
        known = set(self._known)
        for secret in secrets:
            if isinstance(secret, str):
                known.update(_forms_of(plain(secret)))
        # One may be a part of another.
        self._known = sorted((s for s in known if len(s) >= SHORTEST), key=len, reverse=True)

    def text(self, text: str) -> str:
        """`text` without them."""
        done = self._cleansed.get(text)
        if done is None:
            done = self._cleansed[text] = self._text(text)
        return done

    def _text(self, text: str) -> str:
        for secret in self._known:
            text = text.replace(secret, MASK)
        text = _FORMS.sub(_unless_a_word, text)
        return self._without_start(self._without_abridged(text))

    def value(self, value: Any, depth: int = 0) -> Any:
        """Decoded JSON without them; of other objects the `repr`, if that has one."""
        if isinstance(value, str):
            return self.text(value)
        if type(value) in (dict, list, tuple) and depth > _DEEPEST:
            return MASK
        if type(value) is dict:
            inner = depth + 1
            return {self.value(k, inner): self.value(item, inner) for k, item in value.items()}
        if type(value) in (list, tuple):
            return type(value)(self.value(item, depth + 1) for item in value)
        if isinstance(value, (int, float, type(None), BaseException)):
            return value
        with suppress(Exception):
            sent = self._sent(value, depth)
            if sent is not None:
                return sent
            shown = repr(value)
            if self.text(shown) != shown:
                return self.text(shown)
        return value

    def _sent(self, value: Any, depth: int) -> Any:
        """A copy of what an HTTP client's errors hold, which may be in use; `None` of all else."""
        kind = type(value).__name__
        if kind == "URL":
            return type(value)(self.text(without_query_secrets(value)))
        if kind == "Headers":
            pairs = value.multi_items()
            return type(value)([(name, self._named(name, item, depth)) for name, item in pairs])
        if isinstance(value, Mapping):
            return {name: self._named(str(name), item, depth) for name, item in value.items()}
        if hasattr(value, "_fields"):
            return value._make(map(self._named, value._fields, value, repeat(depth)))
        if kind not in ("Request", "Response"):
            return None
        if id(value) in self._copies:  # of a cause it is the same, and so is a response's request
            return self._copies[id(value)][1]
        bare = copy(value)
        self._copies[id(value)] = value, bare  # with the value, so that its id stays its own
        for name, held in vars(bare).items():
            if not isinstance(held, bytes):
                setattr(bare, name, self.value(held, depth + 1))
            elif kind == "Response":  # what was sent is the caller's own, and may be long
                text = self.text(held.decode("utf-8", "surrogateescape"))
                setattr(bare, name, text.encode("utf-8", "surrogateescape"))
        bare.extensions = value.extensions
        return bare

    def _named(self, name: str, value: Any, depth: int) -> Any:
        return MASK if value and is_secret(name) else self.value(value, depth + 1)

    def error(self, error: BaseException, handled: BaseException | None) -> None:
        """An error, what it came from, and the frames below: they keep their places only.

        Args:
            handled: What was being handled already when the call began. It is the caller's own, and
                so are its frames: those may be of other tasks, which clearing would end.
        """
        family = list(_family(error, handled))
        for each in family:
            # What was sent has the tokens, too, that an SDK gets by itself.
            self._learn(secrets_sent(vars(each).get("request") or vars(each).get("_request")))
        for each in family:
            traceback.clear_frames(each.__traceback__)
            self.texts(each)
        self._cleansed.clear()
        self._copies.clear()

    def texts(self, error: BaseException) -> None:
        """What an error says, and what it holds."""
        args = self.value(error.args)
        if args != error.args:
            error.args = args
        ours = isinstance(error, LLMClientError)
        for name in _TEXTS if ours else tuple(vars(error)):
            value = vars(error).get(name)
            cleansed = self.value(value)
            if cleansed is not value:
                with suppress(AttributeError, TypeError):
                    setattr(error, name, cleansed)

    def _without_start(self, text: str) -> str:
        """An excerpt may have been cut in the middle of one."""
        for secret in self._known:
            start = secret[: SHORTEST + 1]
            place = text.find(start, max(len(text) - len(secret), 0))
            while place >= 0:
                if secret.startswith(text[place:]):
                    return text[:place] + MASK
                place = text.find(start, place + 1)
        return text

    def _without_abridged(self, text: str) -> str:
        """Servers quote a key by its beginning, its end, or both."""
        parts: list[str] = []
        done = 0
        for found in _ABRIDGED.finditer(text):
            start = found.start()
            least = max(done, start - 300)
            while start > least and _LETTER.match(text, start - 1):
                start -= 1
            if self._is_ours(text[start : found.start()], found[1]):
                parts += [text[done:start], MASK]
                done = found.end()
        return "".join([*parts, text[done:]])

    def _is_ours(self, head: str, tail: str) -> bool:
        return any(
            (len(head) >= 2 and secret.startswith(head))
            or (len(tail) >= 2 and secret.endswith(tail))
            for secret in self._known
        )


def secrets_sent(request: Any) -> list[str]:
    """The secrets in the headers of an HTTP client's request."""
    headers = getattr(request, "headers", None)
    if not isinstance(headers, Mapping):
        return []
    return [value for name, value in headers.items() if is_secret(str(name))]


def _unless_a_word(found: re.Match[str]) -> str:
    name = found[1]
    return MASK if name is None or any(map(str.isdecimal, name)) else found[0]


def _forms_of(secret: str) -> Iterator[str]:
    """A secret, and the parts of it that are secret by themselves, as they may be written."""
    parts = [secret]
    scheme, space, rest = secret.partition(" ")
    if space and scheme.lower() in ("bearer", "basic"):
        parts.append(rest)
        if scheme.lower() == "basic":
            with suppress(ValueError):
                user, _, password = base64.b64decode(rest).decode().partition(":")
                parts.append(password or user)
    for part in parts:
        yield part
        yield json.dumps(part)[1:-1]
        for safe in ("", "/"):
            escaped = quote(part, safe=safe)
            yield escaped
            yield _ESCAPE.sub(lambda found: found[0].lower(), escaped)


def _family(error: BaseException, but: BaseException | None) -> Iterator[BaseException]:
    """An error with its causes, contexts and members."""
    seen = {id(but)}
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += [each.__cause__, each.__context__]
            if isinstance(each, BaseExceptionGroup):
                waiting += each.exceptions
