"""The count of turns that wait, against the turns themselves."""

from collections import Counter
from typing import Any

import redis

from k8gentai.workers.queue import keys


def counted(client: redis.Redis) -> dict[str, int]:
    """How many turns wait, as the scripts keep it: of each agent, and of all as ``*``."""
    waiting: Any = client.hgetall(keys.WAITING)
    return {field.decode(): int(value) for field, value in waiting.items()}


def really_waiting(client: redis.Redis) -> dict[str, int]:
    """The same, counted turn by turn."""
    found: Counter[str] = Counter()
    for key in client.scan_iter(f"{keys.TURN}*", _type="hash"):
        values: Any = client.hmget(key, "status", "agent")
        status, agent = values
        if status == b"queued":
            found.update((agent.decode(), "*"))
    return dict(found)


def check_waiting(client: redis.Redis) -> None:
    """The count is right. To be called while no turn can change: no worker takes any."""
    assert counted(client) == really_waiting(client)
