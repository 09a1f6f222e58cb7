"""The Responses API is not supported: `responses()` says what to use."""
