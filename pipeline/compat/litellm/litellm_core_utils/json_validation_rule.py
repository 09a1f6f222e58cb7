"""Whether an answer fits a JSON schema."""

from __future__ import annotations

import json
from typing import Any


def validate_schema(schema: dict[str, Any], response: str) -> None:
    """Check an answer's text. Needs the package `jsonschema`.

    Raises:
        JSONSchemaValidationError: it is no JSON, or does not fit.
    """
    from jsonschema import ValidationError, validate  # type: ignore[import-not-found, import-untyped, unused-ignore]

    from ..exceptions import JSONSchemaValidationError

    try:
        validate(json.loads(response), schema=schema)
    except (ValidationError, json.JSONDecodeError):
        raise JSONSchemaValidationError(
            model="", llm_provider="", raw_response=response, schema=json.dumps(schema)
        ) from None
