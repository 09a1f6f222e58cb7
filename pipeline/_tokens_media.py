"""How many tokens images, sound and files are, as far as they tell it themselves.

Sources: OpenAI, "Images and vision: calculating costs"; Anthropic, "Images and vision" and "PDF
support: estimate your costs".
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from typing import Final, NamedTuple

# An image that is only a URL is taken to be a usual one.
UNKNOWN_SIZE: Final = (1024, 1024)

# What frames a file of text, as recorded.
FILE: Final = 45

# Bytes of an image in which its size stands; a JPEG can carry a preview before it.
_HEADER: Final = 96_000
_JPEG_SIZES = frozenset(
    {*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)}
)


class Media(NamedTuple):
    """Tokens of a part that is not text."""

    tokens: int
    exact: bool
    upper: int


class Tiles(NamedTuple):
    """Images cost `base` and so much for each tile of 512 pixels (OpenAI, before gpt-5.4)."""

    base: int
    tile: int


class Patches(NamedTuple):
    """Images cost so much for each patch of 32 pixels, up to a number of patches (OpenAI)."""

    factor: float
    most: int = 1536


def image(rule: Tiles | Patches, source: str, detail: str | None) -> Media:
    """Tokens of an image for OpenAI. `source` is a URL or a data URL."""
    size = size_of(source)
    width, height = size or UNKNOWN_SIZE
    if isinstance(rule, Patches):
        tokens = _patches(rule, width, height)
        most = math.ceil(rule.most * rule.factor)
    elif detail == "low":
        return Media(rule.base, exact=True, upper=rule.base)
    else:
        tokens = _tiles(rule, width, height)
        most = rule.base + 8 * rule.tile
    return Media(tokens, exact=size is not None, upper=tokens if size else most)


def _tiles(rule: Tiles, width: int, height: int) -> int:
    """Fitted into 2048 pixels, then its short side into 768, then cut into tiles of 512."""
    scale = min(1.0, 2048 / max(width, height))
    scale = min(scale, 768 / min(width, height))
    across, down = math.ceil(width * scale / 512), math.ceil(height * scale / 512)
    return rule.base + rule.tile * across * down


def _patches(rule: Patches, width: int, height: int) -> int:
    """Shrunk until it has no more than the patches that are allowed; two tokens frame it."""
    count = math.ceil(width / 32) * math.ceil(height / 32)
    if count > rule.most:
        scale = math.sqrt(32 * 32 * rule.most / (width * height))
        across, down = width * scale / 32, height * scale / 32
        scale *= min(math.floor(across) / across, math.floor(down) / down)
        count = math.ceil(width * scale / 32) * math.ceil(height * scale / 32)
    return math.ceil(min(count, rule.most) * rule.factor) + 2


def claude_image(source: str, *, newer: bool) -> Media:
    """A token for each patch of 28 pixels, once it fits; three frame it.

    Args:
        newer: Opus 4.7 and later see larger images.
    """
    edge, most = (2576, 4784) if newer else (1568, 1568)
    size = size_of(source)
    width, height = size or UNKNOWN_SIZE
    scale = min(1.0, edge / max(width, height), math.sqrt(28 * 28 * most / (width * height)))
    count = math.ceil(width * scale / 28) * math.ceil(height * scale / 28)
    tokens = min(count, most) + 3
    return Media(tokens, exact=False, upper=tokens + (tokens // 20 if size else most))


def sound(data: str, form: str | None) -> Media:
    """A token for each tenth of a second (OpenAI). `data` is base64."""
    size = len(data) * 3 // 4
    rate = 16_000.0  # mp3 at 128 kbit/s
    head = _decode(data, 64)
    if form in (None, "wav") and head[:4] == b"RIFF" and len(head) >= 32:
        rate = float(struct.unpack_from("<I", head, 28)[0]) or rate
        seconds = max(0, size - 44) / rate
        tokens = math.ceil(seconds * 10)
        return Media(tokens, exact=True, upper=tokens)
    tokens = math.ceil(size / rate * 10)
    return Media(tokens, exact=False, upper=tokens * 4)


def document(source: str, per_page: int) -> Media:
    """A PDF by its pages, other files by their size; both are guesses, and a URL tells nothing."""
    if "://" in source[:12]:
        return Media(per_page, exact=False, upper=per_page * 10)
    data = _decode(source.partition(",")[2] if source.startswith("data:") else source, None)
    if data[:4] == b"%PDF":
        pages = max(1, len(re.findall(rb"/Type\s*/Page(?![a-zA-Z])", data)))
        return Media(pages * per_page, exact=False, upper=pages * per_page * 3)
    if data:
        return Media(FILE + len(data) // 4, exact=False, upper=2 * FILE + len(data) // 2)
    return Media(per_page, exact=False, upper=per_page * 10)


def size_of(source: str) -> tuple[int, int] | None:
    """Width and height of a base64 image (or data URL): PNG, GIF, JPEG or WebP."""
    if source.startswith("data:"):
        source = source.partition(",")[2]
    elif "://" in source[:12]:
        return None
    data = _decode(source, _HEADER)
    size = _size(data)
    return size if size and size[0] > 0 and size[1] > 0 else None


def _size(data: bytes) -> tuple[int, int] | None:
    try:
        if data[:8] == b"\x89PNG\r\n\x1a\n":
            return struct.unpack_from(">II", data, 16)
        if data[:4] == b"GIF8":
            return struct.unpack_from("<HH", data, 6)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
        if data[:2] == b"\xff\xd8":
            return _jpeg(data)
    except struct.error:  # cut short
        return None
    return None


def _webp(data: bytes) -> tuple[int, int] | None:
    if data[12:16] == b"VP8X":
        width = int.from_bytes(data[24:27], "little")
        return width + 1, int.from_bytes(data[27:30], "little") + 1
    if data[12:16] == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if data[12:16] == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _jpeg(data: bytes) -> tuple[int, int] | None:
    place = 2
    while place + 9 <= len(data):
        if data[place] != 0xFF:
            place += 1
            continue
        marker = data[place + 1]
        if marker in _JPEG_SIZES:
            height, width = struct.unpack_from(">HH", data, place + 5)
            return width, height
        if marker == 0xFF or 0xD0 <= marker <= 0xD9 or marker == 0x01:
            place += 1 if marker == 0xFF else 2
            continue
        place += 2 + int(struct.unpack_from(">H", data, place + 2)[0])
    return None


def _decode(text: str, most: int | None) -> bytes:
    """The first `most` bytes of base64, or as much of it as there is."""
    if most is not None:
        text = text[: most * 4 // 3 // 4 * 4 + 4]
    try:
        return base64.b64decode(text[: len(text) // 4 * 4])
    except (binascii.Error, ValueError):
        return b""
