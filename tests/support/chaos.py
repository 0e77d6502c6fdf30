"""A stack that is struck everywhere while turns run on it: the drill's own strikes at workers, and kills of the
server that clients talk to, and of Redis.

Model calls go through a second server, as behind a balancer: one that is cut off by the end of its server spends
an attempt of its turn, and the attempts here are to be those of struck workers.
"""

import asyncio
import os
import sys
from pathlib import Path

from k8gentai.stack.drill.faults import PROCESSES
from k8gentai.stack.drill.report import Report
from k8gentai.stack.drill.run import Place, Plan, run
from tests.support.stack import Stack

WORKER = [sys.executable, "-m", "k8gentai.stack.cli"]
FAULTS = (*PROCESSES, "redis-errors", "link")
"""What the drill does; the server is killed for good."""
LINES = 2
"""Tool calls of a turn; it makes a model call more."""


class Chaos:
    """The stack, and what is done to it.

    Args:
        stack: prepared, with nothing started but Valkey.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.book = stack.directory / "book.txt"
        """What the agent's tool really did: a line's number and its call's idempotency key."""
        self._spared = 0

    def start(self) -> None:
        """Start the servers; the drill starts the workers."""
        self._stack.add_server()
        self._struck = self._stack.add_server()

    async def run(self, turns: int, *, worker: list[str] = WORKER, everything: bool = True) -> Report:
        """Run a drill of the agent ``ledger``.

        Args:
            turns: how many.
            worker: the command that starts a worker, less its arguments.
            everything: strike the server and Redis too.
        """
        more = [self._kill_redis, self._kill_server] if everything else []
        return await run(self._plan(turns, everything), self._place(worker), more)

    def _plan(self, turns: int, everything: bool) -> Plan:
        return Plan(
            agent="ledger",
            framework="langgraph",
            message=f"Enter {LINES} lines in {self.book}.",
            turns=turns,
            at_once=12,
            workers=3,
            every_seconds=4,
            turn_seconds=120,
            lease_seconds=4,
            faults=FAULTS if everything else PROCESSES,
            keep=True,
        )

    def _place(self, worker: list[str]) -> Place:
        # More attempts than there are strikes at one turn, which is what the drill itself sees to for its own.
        options = ["worker", "langgraph", "--grace-seconds", "5", "--attempts", "20"]
        return Place(
            stack_url=self._struck.url,
            redis_url=self._stack.valkey.url,
            logs=self._stack.directory,
            command=[*worker, *options],
            environment={**os.environ, **self._stack.environment, "AMF_STACK_URL": self._stack.server.url},
        )

    async def _kill_redis(self) -> str:
        self._stack.valkey.kill()
        await asyncio.to_thread(self._stack.valkey.start)
        return "Redis killed"

    async def _kill_server(self) -> str | None:
        # Every third time: it takes seconds to start.
        self._spared = (self._spared + 1) % 3
        if self._spared != 1:
            return None
        assert self._struck.process is not None
        self._struck.process.kill()
        await asyncio.to_thread(self._struck.start)
        return "server killed"


def entered(book: Path) -> dict[str, list[tuple[int, str]]]:
    """The lines of each turn in a book, in the order they were entered: number, and the call's key."""
    found: dict[str, list[tuple[int, str]]] = {}
    for line in book.read_text().splitlines():
        number, key = line.split()
        found.setdefault(key.partition(":")[0], []).append((int(number), key))
    return found
