"""A request: read, checked, and its references resolved."""
