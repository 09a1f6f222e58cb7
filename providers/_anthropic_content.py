"""Content parts of an OpenAI message as Anthropic's content blocks.

| part | block |
|---|---|
| `text`, `refusal` | `text`; blank ones are left out, because Anthropic refuses them |
| `image_url` | `image`, by URL or base64 |
| `file` with `file_data` | PDF and text: `document`; an image: `image` |
| `file` with `file_id` | `document` from Anthropic's Files API |
| `thinking` without a signature | left out: another provider's |
| `input_audio`, `video_url` | `ValueError`: Claude does not take them |
| any other type | itself: it is Anthropic's own (`image`, `document`, `tool_result`, …) |

A part's `cache_control` stays on its block.
"""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import unquote_to_bytes

from ._parts import checked_part

Block = dict[str, Any]

_REFUSED = {
    "input_audio": "Claude takes no audio; send a transcript as text",
    "video_url": "Claude takes no video; send frames as images",
    "input_video": "Claude takes no video; send frames as images",
}
_TEXT_TYPES = frozenset(
    {"application/json", "application/xml", "application/yaml", "application/x-yaml"}
)
_NON_TEXT_SUFFIXES = {
    "pdf": "application/pdf",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
}
_PDF_IN_BASE64 = "JVBERi"  # b"%PDF-", up to the whole characters


def blocks_of(content: object, *, keep_citations: bool = False) -> list[Block]:
    """The blocks for a message's `content`: text, a list of parts, or nothing.

    Args:
        keep_citations: Keep `citations` on texts. Anthropic takes them back in its own answers and
            refuses them in what a user says.

    Raises:
        ValueError: a part that Claude does not take, or that cannot be read.
    """
    if content is None:
        return []
    if isinstance(content, str):
        return [text_block(content)] if content.strip() else []
    if not isinstance(content, (list, tuple)):
        raise ValueError(f"content must be text or a list of parts, not {type(content).__name__}")
    blocks = []
    for position, part in enumerate(content):
        try:
            block = _block(part, keep_citations=keep_citations)
        except ValueError as error:
            raise ValueError(f"content[{position}]: {error}") from error
        if block is not None:
            blocks.append(block)
    return blocks


def text_block(text: str) -> Block:
    """A plain text block."""
    return {"type": "text", "text": text}


def _block(given: object, *, keep_citations: bool) -> Block | None:
    kind = given.get("type") if isinstance(given, dict) else None
    if isinstance(kind, str) and kind in _REFUSED:
        raise ValueError(f"a part of type {kind!r}: {_REFUSED[kind]}")
    part = checked_part(given)
    kind = part["type"]
    if kind in ("text", "refusal"):
        if not part[kind].strip():
            return None
        block = text_block(part[kind])
        if keep_citations and part.get("citations"):
            block["citations"] = part["citations"]
    elif kind == "image_url":
        block = {"type": "image", "source": _image_source(part["image_url"])}
    elif kind == "file":
        block = _file(part.get("file"))
    elif kind == "thinking" and not isinstance(part.get("signature"), str):
        return None  # another provider's: Claude reads only what it signed itself
    else:
        if kind == "tool_result":
            blocks_of(part.get("content"))  # for its complaints
        return part
    if part.get("cache_control"):
        block["cache_control"] = part["cache_control"]
    return block


def _image_source(image: Any) -> Block:
    url = image["url"] if isinstance(image, dict) else image
    if url.startswith("data:"):
        media_type, data = _read_data_url(url)
        return _base64_source(media_type, data)
    return _url_source(url)


def _file(file: object) -> Block:
    if not isinstance(file, dict):
        raise ValueError("a file part without its file")
    if file.get("file_id"):
        return {"type": "document", "source": {"type": "file", "file_id": file["file_id"]}}
    data = file.get("file_data")
    if not data:
        raise ValueError(
            "a file part needs file_data (a data: URL) or the file_id of a file that "
            "was uploaded to Anthropic"
        )
    name = file.get("filename") or ""
    if data.startswith(("http://", "https://")):
        block: Block = {"type": "document", "source": _url_source(data)}
    else:
        if data.startswith("data:"):
            media_type, data = _read_data_url(data)
        else:
            media_type = _guess(data, name)
        if media_type.startswith("image/"):
            return {"type": "image", "source": _base64_source(media_type, data)}
        block = {"type": "document", "source": _document_source(media_type, data)}
    if name:
        block["title"] = name
    return block


def _document_source(media_type: str, data: str) -> Block:
    if media_type == "application/pdf":
        return _base64_source(media_type, data)
    if not media_type.startswith("text/") and media_type not in _TEXT_TYPES:
        raise ValueError(f"a file of type {media_type}: Claude takes PDFs, images and plain text")
    try:
        text = base64.b64decode(data).decode()
    except ValueError as error:
        raise ValueError(f"a {media_type} file that is not UTF-8 text in base64") from error
    # Anthropic knows one text type, whatever the text is.
    return {"type": "text", "media_type": "text/plain", "data": text}


def _base64_source(media_type: str, data: str) -> Block:
    return {"type": "base64", "media_type": media_type, "data": data}


def _url_source(url: str) -> Block:
    if not url.startswith(("http://", "https://")):
        raise ValueError(
            f"{url[:40]!r} is neither an http(s) URL nor a data: URL; read the file and send it as "
            "data:<media type>;base64,<data>"
        )
    return {"type": "url", "url": url}


def _guess(data: str, name: str) -> str:
    """The media type of base64 data that came without one."""
    if data.startswith(_PDF_IN_BASE64) or "." not in name:
        return "application/pdf"
    return _NON_TEXT_SUFFIXES.get(name.rpartition(".")[2].lower(), "text/plain")


def _read_data_url(url: str) -> tuple[str, str]:
    """The media type and the base64 data of a data: URL (RFC 2397)."""
    head, comma, data = url[len("data:") :].partition(",")
    media_type, *options = [field.strip() for field in head.lower().split(";")]
    if not comma or not media_type:
        raise ValueError("a data: URL must read data:<media type>;base64,<data>")
    if "base64" not in options:
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    elif "%" in data:
        data = unquote_to_bytes(data).decode("latin-1")
    return ("image/jpeg" if media_type == "image/jpg" else media_type), data
