"""What an agent is: definitions, the registry, events, and the adapters that run each framework."""
