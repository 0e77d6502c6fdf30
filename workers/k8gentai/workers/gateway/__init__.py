"""The model gateway: the one way of agents' code to models."""
