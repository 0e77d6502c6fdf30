"""A Redis Cluster of three primaries on loopback, and a replica of the one that has a slot."""

from pathlib import Path

from redis.crc import key_slot

from k8gentai.stack.local.services import free_port
from tests.support.processes import wait_for
from tests.support.replication import Replicated
from tests.support.valkey import Valkey

SLOTS = 16384


class RedisCluster(Replicated):
    """Four Valkeys.

    Args:
        directory: for their data and logs.
        prefix: of the keys whose slot the first one has.
    """

    def __init__(self, directory: Path, prefix: str) -> None:
        super().__init__(directory)
        self.slot = key_slot(prefix.encode())
        self._buses: dict[str, int] = {}
        self.primary, self.second, self.third, self.replica = (
            self._node(name) for name in ("primary", "second", "third", "replica")
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
        self.wait_until_in_step()
        wait_for(lambda: all(self._is_ok(node) for node in self.nodes))

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()

    def move_slot(self) -> None:
        """Move the slot to another primary, atomically, while everything goes on."""
        moved = ("SLOTSRANGE", self.slot, self.slot, "NODE", self._id(self.second))
        with self.primary.client() as client:
            client.execute_command("CLUSTER", "MIGRATESLOTS", *moved)
        wait_for(lambda: self._owner(self.third) == self.second.port)

    def _node(self, name: str) -> Valkey:
        bus = free_port()
        made = self._valkey(
            name,
            cluster_enabled="yes",
            cluster_node_timeout="1000",
            cluster_port=str(bus),
            cluster_config_file=str(self._directory / name / "nodes.conf"),
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
