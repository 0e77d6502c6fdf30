"""A Redis Cluster of three primaries on loopback, and a replica of the one that has a slot."""

from pathlib import Path

from redis.crc import key_slot

from k8gentai.stack.local.services import free_port
from tests.support.sentinels import wait_for
from tests.support.valkey import Valkey

SLOTS = 16384


class RedisCluster:
    """Four Valkeys.

    Args:
        directory: for their data and logs.
        prefix: of the keys whose slot the first one has.
    """

    def __init__(self, directory: Path, prefix: str) -> None:
        self._directory = directory
        self.slot = key_slot(prefix.encode())
        self._buses: dict[str, int] = {}
        self.primary, self.second, self.third, self.replica = (
            self._valkey(name) for name in ("primary", "second", "third", "replica")
        )

    @property
    def url(self) -> str:
        """What ``REDIS_URL`` is; the first node that it names is not there, and no other has the slot."""
        return f"redis+cluster://127.0.0.1:1,127.0.0.1:{self.second.port},127.0.0.1:{self.third.port}"

    @property
    def nodes(self) -> tuple[Valkey, ...]:
        return self.primary, self.second, self.third, self.replica

    def start(self) -> None:
        """Start all, and wait until all slots are served and the replica has what the primary has."""
        for node in self.nodes:
            node.start()
        third = SLOTS // 3
        # The primary has the third around the slot; what is left is for the two others.
        first = min(max(self.slot - third // 2, 0), SLOTS - third)
        others = [*range(first), *range(first + third, SLOTS)]
        owned = {
            self.primary: list(range(first, first + third)),
            self.second: others[: len(others) // 2],
            self.third: others[len(others) // 2 :],
        }
        for node, slots in owned.items():
            with node.client() as client:
                client.execute_command("CLUSTER", "ADDSLOTS", *slots)
        with self.primary.client() as client:
            for node in self.nodes[1:]:
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", node.port, self._buses[node.url])
        wait_for(lambda: all(len(self._view(node)) == len(self.nodes) for node in self.nodes))
        with self.replica.client() as client:
            client.execute_command("CLUSTER", "REPLICATE", self._id(self.primary))
            wait_for(lambda: client.info("replication").get("master_link_status") == "up")
        wait_for(lambda: all(self._is_ok(node) for node in self.nodes))

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()

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
            wait_for(lambda: client.info("replication")["role"] == "master")

    def move_slot(self) -> None:
        """Move the slot to another primary, atomically, while everything goes on."""
        moved = ("SLOTSRANGE", self.slot, self.slot, "NODE", self._id(self.second))
        with self.primary.client() as client:
            client.execute_command("CLUSTER", "MIGRATESLOTS", *moved)
        wait_for(lambda: self._owner(self.third) == self.second.port)

    def _valkey(self, name: str) -> Valkey:
        directory = self._directory / name
        directory.mkdir()
        bus = free_port()
        made = Valkey(
            directory,
            cluster_enabled="yes",
            cluster_node_timeout="1000",
            cluster_port=str(bus),
            cluster_config_file=str(directory / "nodes.conf"),
        )
        self._buses[made.url] = bus
        return made

    def _id(self, node: Valkey) -> str:
        with node.client() as client:
            return bytes(client.execute_command("CLUSTER", "MYID")).decode()

    def _view(self, node: Valkey) -> list[str]:
        with node.client() as client:
            return bytes(client.execute_command("CLUSTER", "NODES")).decode().splitlines()

    def _is_ok(self, node: Valkey) -> bool:
        with node.client() as client:
            return b"cluster_state:ok" in bytes(client.execute_command("CLUSTER", "INFO"))

    def _owner(self, node: Valkey) -> int | None:
        with node.client() as client:
            for first, last, owner, *_ in client.execute_command("CLUSTER", "SLOTS"):
                if first <= self.slot <= last:
                    return int(owner[1])
        return None
