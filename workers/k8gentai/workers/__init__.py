"""Runs turns: the queue, the event stream, the model gateway, the tool boundary and the worker pool."""
