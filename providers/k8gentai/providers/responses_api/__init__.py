"""The Responses API, a front."""
