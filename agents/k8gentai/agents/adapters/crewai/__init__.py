"""The adapter of CrewAI."""
