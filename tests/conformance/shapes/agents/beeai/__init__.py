"""BeeAI's shapes."""
