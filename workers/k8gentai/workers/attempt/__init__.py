"""What one attempt at a turn keeps and publishes."""
