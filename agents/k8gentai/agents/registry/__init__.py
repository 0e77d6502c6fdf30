"""The registry: definitions, their check, and the map from an agent's id to the agent."""
