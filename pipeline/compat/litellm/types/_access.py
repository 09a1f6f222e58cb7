"""Access to a model's fields by item and `.get`, beside attributes, as litellm's objects allow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any


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
