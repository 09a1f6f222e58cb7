"""Types of single providers."""
