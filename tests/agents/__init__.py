"""Agents that do what a test needs to see: their code is unremarkable, or remarkably bad."""
