"""What others import from `litellm.files.main`, which is `ModelResponse`."""

from ..types.utils import ModelResponse

__all__ = ["ModelResponse"]
