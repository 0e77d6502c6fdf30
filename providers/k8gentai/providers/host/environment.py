"""What providers' configs have from the environment, as the host prints what the run YAML says."""

import os


def redis_url() -> str:
    """Return ``REDIS_URL``, or the usual address where it is not set."""
    return os.environ.get("REDIS_URL") or "redis://localhost:6379/0"
