"""What a third party has: a framework of its own (``loop``), an adapter for it, and the agents for the checks."""
