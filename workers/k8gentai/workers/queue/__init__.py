"""What servers and workers share: turns, their records, leases, queues and event streams in Redis."""
