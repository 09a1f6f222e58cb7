"""Types, under the names that litellm gives their modules."""
