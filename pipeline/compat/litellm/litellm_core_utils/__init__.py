"""litellm's inner modules, as far as others import them."""
