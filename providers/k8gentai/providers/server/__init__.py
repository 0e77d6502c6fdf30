"""Builds one server out of its parts, and brings it into the host."""
