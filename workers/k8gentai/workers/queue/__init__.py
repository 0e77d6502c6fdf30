"""The queue that servers and workers share: turns, their records, leases, and event streams in Redis."""
