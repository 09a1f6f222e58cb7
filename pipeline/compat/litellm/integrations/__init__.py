"""What listens to calls."""
