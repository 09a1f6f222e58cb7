"""Where litellm keeps its HTTP clients."""
