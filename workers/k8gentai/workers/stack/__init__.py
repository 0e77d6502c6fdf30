"""Calls of workers to the server."""
