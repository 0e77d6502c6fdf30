"""A worker process: takes turns, runs them, watches itself, and ends."""
