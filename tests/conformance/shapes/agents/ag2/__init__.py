"""AG2's shapes."""
