"""Objects of the Responses API."""
