"""Answers that are no chat: images and transcriptions. Scallion makes none: for `isinstance`."""

from __future__ import annotations

import time
from typing import Any

from openai import BaseModel as OpenAIObject
from openai.types import Image, ImagesResponse
from openai.types.images_response import Usage, UsageInputTokensDetails
from pydantic import PrivateAttr

from ._access import Access


class ImageObject(Access, Image):
    """An image, or where it is."""

    def __init__(
        self,
        b64_json: str | None = None,
        url: str | None = None,
        revised_prompt: str | None = None,
        provider_specific_fields: dict[str, Any] | None = None,
        **others: Any,
    ) -> None:
        del others
        super().__init__(
            b64_json=b64_json,
            url=url,
            revised_prompt=revised_prompt,
            provider_specific_fields=provider_specific_fields,
        )


class ImageUsage(Usage):
    """Tokens of a generation."""


class ImageResponse(Access, ImagesResponse):
    """Images."""

    _hidden_params: dict[str, Any] = PrivateAttr(default_factory=dict)

    def __init__(
        self,
        created: int | None = None,
        data: Any = None,
        response_ms: float | None = None,
        usage: Any = None,
        hidden_params: dict[str, Any] | None = None,
        **others: Any,
    ) -> None:
        del response_ms
        images = [each if isinstance(each, dict) else each.model_dump() for each in data or []]
        none = UsageInputTokensDetails(image_tokens=0, text_tokens=0)
        super().__init__(
            created=created or int(time.time()),
            data=[ImageObject(**each) for each in images],
            usage=usage
            or ImageUsage(
                input_tokens=0, input_tokens_details=none, output_tokens=0, total_tokens=0
            ),
            **{key: others.get(key) for key in ("background", "quality", "output_format", "size")},
        )
        self._hidden_params = hidden_params or {}


class TranscriptionResponse(Access, OpenAIObject):
    """What was said."""

    text: str | None = None
    usage: Any = None

    _hidden_params: dict[str, Any] = PrivateAttr(default_factory=dict)
    _response_headers: dict[str, Any] | None = PrivateAttr(None)

    def __init__(self, text: str | None = None) -> None:
        super().__init__(text=text)
