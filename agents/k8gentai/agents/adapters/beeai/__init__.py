"""The adapter of BeeAI."""
