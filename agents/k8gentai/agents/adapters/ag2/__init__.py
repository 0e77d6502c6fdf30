"""The adapter of AG2."""
