"""What litellm's objects share: fields by item and `.get`, and fields that can be absent."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from openai import BaseModel as OpenAIObject
from pydantic import BaseModel, ConfigDict


class ItemAccess:
    """`thing["name"]`, `thing.get("name")` and `"name" in thing`."""

    if TYPE_CHECKING:
        # Pydantic's constructor, and the extra fields that these models allow.
        def __init__(self, **fields: Any) -> None: ...
        def __getattr__(self, name: str) -> Any: ...

    def __contains__(self, key: str) -> bool:
        return hasattr(self, key)

    def get(self, key: str, default: Any = None) -> Any:
        """The field's value, or `default` if there is none."""
        return getattr(self, key, default)

    def __getitem__(self, key: str) -> Any:
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        setattr(self, key, value)


class Access(ItemAccess):
    """The same, and `json()` that gives a dict."""

    def json(self, **options: Any) -> Any:
        """The fields as a dict, and not a text: that is how litellm has it."""
        return self.model_dump(**options)


class LiteLLMBaseModel(BaseModel):
    """What litellm derives its own models from."""

    model_config = ConfigDict(protected_namespaces=())


class SafeAttributeModel(OpenAIObject):
    """A model of which fields can be deleted, to be absent from then on."""

    def __delattr__(self, name: str) -> None:
        self.__dict__.pop(name, None)
        self.__pydantic_fields_set__.discard(name)
        if self.__pydantic_extra__ is not None:
            self.__pydantic_extra__.pop(name, None)

    def _forget_unset(self, *names: str) -> None:
        """Leave out the fields that are empty."""
        for name in names:
            if getattr(self, name, None) is None:
                delattr(self, name)


def new_id(prefix: str = "chatcmpl-") -> str:
    """An identifier that nothing else has."""
    return f"{prefix}{uuid.uuid4()}"


def given(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields that are not empty."""
    return {name: value for name, value in fields.items() if value is not None}
