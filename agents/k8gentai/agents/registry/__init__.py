"""Agent definitions, read and checked, and the map from an agent's id to its own."""
