"""A primary and its replica, of whichever kind of Redis."""

from pathlib import Path

import redis

from tests.support.processes import wait_for
from tests.support.valkey import Valkey


class Replicated:
    """What a test does with a primary and its replica.

    Args:
        directory: for the data and logs of each.
    """

    primary: Valkey
    replica: Valkey

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def kill_in_step(self) -> None:
        """Kill the primary while the replica has all that the primary has acknowledged."""
        with self.primary.client() as client, self.replica.client() as replica:
            client.client_pause(60_000, all=False)
            written = client.info("replication")["master_repl_offset"]
            wait_for(lambda: replica.info("replication")["slave_repl_offset"] >= written)
            self.primary.kill()

    def wait_until_over(self) -> None:
        """Wait until the replica is a primary."""
        with self.replica.client() as client:

            def is_primary() -> bool:
                try:
                    return bool(client.info("replication")["role"] == "master")
                except redis.ConnectionError:
                    # Sentinel ends its clients' connections as it promotes it.
                    return False

            wait_for(is_primary)

    def wait_until_in_step(self) -> None:
        """Wait until the replica has what the primary has."""
        with self.replica.client() as client:
            wait_for(lambda: client.info("replication").get("master_link_status") == "up")

    def _valkey(self, name: str, **options: str) -> Valkey:
        """Return a server with a directory of its own.

        Args:
            name: the directory's.
            options: of its configuration.
        """
        directory = self._directory / name
        directory.mkdir()
        return Valkey(directory, **options)
