"""Keeps agents' code from harming the process that many agents share."""
