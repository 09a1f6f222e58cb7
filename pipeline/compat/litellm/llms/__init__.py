"""Where litellm keeps what it knows of providers."""
