"""The tool boundary, and the tools behind it."""
