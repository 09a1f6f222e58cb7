"""The version of litellm whose behaviour this is."""

version = "1.106.2"
