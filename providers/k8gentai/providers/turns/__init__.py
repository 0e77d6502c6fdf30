"""Turns from acceptance to their place in the store."""
