"""CrewAI's shapes."""
