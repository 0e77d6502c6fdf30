"""Finds the primary that has all our keys on a Redis Cluster: they lie in one slot."""

from collections.abc import Iterable, Sequence
from typing import Any

from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError

from k8gentai.workers.queue import keys

Address = tuple[str, int]
"""A host and a port."""


class Cluster:
    """The nodes of a cluster, as the connections of one pool know them.

    Args:
        seeds: those that the URL names.
    """

    def __init__(self, seeds: Sequence[Address]) -> None:
        self.slot = key_slot(keys.FINISHED.encode())
        self._seeds = tuple(seeds)
        self._known: tuple[Address, ...] = ()

    def to_ask(self) -> list[Address]:
        """Return the nodes that may know the primary, those that knew last first."""
        return list(dict.fromkeys((*self._known, *self._seeds)))

    def moved(self, error: Exception) -> None:
        """Note which node an answer names as that which has the slot."""
        if isinstance(error, AskError) and error.host:
            self._known = ((error.host, error.port), *self._known)

    def primary(self, ranges: Iterable[Sequence[Any]], asked: Address) -> Address:
        """Return where the slot's primary is.

        Args:
            ranges: a node's answer to ``CLUSTER SLOTS``.
            asked: that node, whose own host may stand there as empty.

        Raises:
            ClusterDownError: the node knows of none.
        """
        for first, last, *nodes in ranges:
            if first <= self.slot <= last:
                self._known = tuple(_address(node, asked) for node in nodes)
                return self._known[0]
        raise ClusterDownError(f"No node of the cluster has slot {self.slot}")


def _address(node: Sequence[Any], asked: Address) -> Address:
    host, port = node[:2]
    return (host.decode() if host else asked[0]), int(port)
