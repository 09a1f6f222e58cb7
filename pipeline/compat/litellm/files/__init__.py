"""The files API is not here; what others import from its module is."""
