"""What a cassette never says: the secrets of the environment, and what has the form of a key.

Texts are looked at one by one, as they are once they are read, so that no replacement can break
the file; and each also for the forms in which secrets travel: percent-encoded, as Base64 (alone or
as a part of more, such as `user:password`), and as JSON within JSON.
"""

from __future__ import annotations

import json
import os
import re
from base64 import b64encode
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET_NAMES: Final = re.compile(r"(APIKEY|_KEY|PASSWORD|PASSWD|SECRET|TOKEN)$", re.IGNORECASE)
"""Environment variables whose values are secrets."""

SHORTEST_SECRET: Final = 8
"""In characters. What is shorter may be any word."""

LONGEST_WORD: Final = 15
"""In letters, all of one case. A longer one is hardly ever a word that people write."""

FIELD: Final = re.compile(r"[a-z_]{1,32}\Z")
"""A name of a field, without which the rest could not be read. Keys are longer, or have a digit."""

SECRET_FORMS: Final = re.compile(
    # OpenAI, Anthropic, OpenRouter, xAI, Perplexity and others: with a digit.
    r"\b(?:sk|xai|pplx)-([\w-]{20,})"
    r"|\bAIza[\w-]{35}"  # Google
    r"|\bgsk_\w{30,}|\bhf_\w{30,}"  # Groq, Hugging Face
    r"|\bgh[opsu]_\w{36,}|\bgithub_pat_\w{30,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"  # Amazon
    r"|\bxox[a-z]-[\w-]{20,}"  # Slack
    r"|(?<![\w-])eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"  # any JSON web token
    r"|(?<=[Bb]earer )[\w.~+/-]{16,}"
)
# No pattern begins within what another beginning of it has looked through: texts may be megabytes.


def cleansed(value: Any) -> Any:
    """Decoded JSON with every secret replaced by a mark that differs for different ones."""
    known = _known()

    def walk(value: Any) -> Any:
        if isinstance(value, str):
            return _replaced(value, known)
        if isinstance(value, dict):
            return {
                name if FIELD.match(name) else _replaced(name, known): walk(inner)
                for name, inner in value.items()
            }
        return [walk(inner) for inner in value] if isinstance(value, list) else value

    return walk(value)


def without_secrets(text: str) -> str:
    """One text with every secret replaced."""
    return _replaced(text, _known())


def _replaced(text: str, known: list[tuple[str, str]]) -> str:
    if len(text) < SHORTEST_SECRET:
        return text
    for form, mark in known:
        if form in text:
            text = text.replace(form, mark)
    return SECRET_FORMS.sub(_mark_of_key, text)


def _known() -> list[tuple[str, str]]:
    """Every form of every secret of the environment, with its mark; the longest first."""
    found = {
        form: _mark(value)
        for name, value in os.environ.items()
        if SECRET_NAMES.search(name) and not _is_word(value)
        for form in _forms(value)
    }
    # One may be a part of another.
    return sorted(found.items(), key=lambda item: len(item[0]), reverse=True)


def _is_word(value: str) -> bool:
    """Whether this may stand in any text: `postgres`, `changeme`, `development`."""
    if len(value) < SHORTEST_SECRET:
        return True
    one_case = value.islower() or value.isupper() or value.istitle()
    return value.isalpha() and one_case and len(value) <= LONGEST_WORD


@lru_cache(maxsize=256)
def _forms(secret: str) -> tuple[str, ...]:
    data = secret.encode("utf-8", "surrogateescape")
    forms = {secret, quote(data, safe=""), quote(data), quote_plus(data)}
    forms |= {json.dumps(secret, ensure_ascii=plain)[1:-1] for plain in (False, True)}
    for encoded in _as_base64(data):
        forms |= {encoded, encoded.replace("+", "-").replace("/", "_"), quote(encoded, safe="")}
    return tuple(forms)


def _as_base64(data: bytes) -> Iterator[str]:
    """What does not depend on what stands around it, wherever in a group of three it begins."""
    for before in range(3):
        encoded = b64encode(bytes(before) + data).decode()
        yield encoded[-(-8 * before // 6) : 8 * (before + len(data)) // 6]


def _mark_of_key(found: re.Match[str]) -> str:
    name = found[1]
    return _mark(found[0]) if name is None or any(map(str.isdecimal, name)) else found[0]


def _mark(secret: str) -> str:
    # Enough to see that it changed, too little to guess it by.
    return f"<secret {sha256(secret.encode('utf-8', 'surrogatepass')).hexdigest()[:4]}>"
