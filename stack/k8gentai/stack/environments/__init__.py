"""The Python environments: the server's, and one a framework."""
