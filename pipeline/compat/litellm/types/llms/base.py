"""What litellm derives the objects of OpenAI's other endpoints from."""

from __future__ import annotations

from openai import BaseModel as OpenAIObject
from pydantic import ConfigDict

from .._access import Access


class BaseLiteLLMOpenAIResponseObject(Access, OpenAIObject):
    """An object with whatever fields came, by attribute and by item."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())
