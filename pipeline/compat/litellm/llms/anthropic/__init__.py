"""What others import of litellm's handler of Anthropic."""
