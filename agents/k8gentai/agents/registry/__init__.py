"""Which agents there are: definitions, checked, and the map from an agent's id to its own."""
