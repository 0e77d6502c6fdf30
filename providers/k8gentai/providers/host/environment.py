"""Fields of our providers' configs that the environment sets: what the run YAML sets, the host prints."""

import os


def redis_url() -> str:
    """Return ``REDIS_URL``, or the usual address where it is not set."""
    return os.environ.get("REDIS_URL") or "redis://localhost:6379/0"
