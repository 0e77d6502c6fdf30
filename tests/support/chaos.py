"""A stack that is struck everywhere while turns run on it: the drill's own strikes at workers, kills of the server
that clients talk to and of Redis, and turns that end their worker. No two of its clocks agree.

Model calls go through a second server, as behind a balancer: one that is cut off by the end of its server spends
an attempt of its turn, and the attempts here are to be those of struck workers.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from k8gentai.stack.drill.faults import PROCESSES, Strike
from k8gentai.stack.drill.report import Report
from k8gentai.stack.drill.run import Place, Plan, run
from tests.support.clocks import skewed
from tests.support.stack import Stack

WORKER = [sys.executable, "-m", "k8gentai.stack.commands.cli"]
FAULTS = (*PROCESSES, "redis-errors", "link")
"""What the drill does; the server is killed for good."""
LINES = 2
"""Tool calls of a turn; it makes a model call more."""
WAITING = ("queued", "in_progress")


class Chaos:
    """The stack, and what is done to it.

    Args:
        stack: prepared, with nothing started but Valkey.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.book = stack.directory / "book.txt"
        """What the agent's tool really did: a line's number and its call's idempotency key."""
        self.poison: list[str] = []
        """Turns that ended each worker they came to."""
        self._spared = 0

    def start(self) -> None:
        """Start the servers; the drill starts the workers."""
        environment = self._stack.environment
        environment |= skewed(environment, -7200)
        self._stack.add_server(TEST_CLOCK_AHEAD="-3600")
        self._struck = self._stack.add_server(TEST_CLOCK_AHEAD="3600")

    async def run(
        self,
        turns: int,
        *,
        worker: list[str] = WORKER,
        faults: tuple[str, ...] = FAULTS,
        strikes: Sequence[Strike] | None = None,
    ) -> Report:
        """Run a drill of the agent ``ledger``.

        Args:
            turns: how many.
            worker: the command that starts a worker, less its arguments.
            faults: of the drill's own.
            strikes: what else is done; by default the server and Redis are killed, and turns end their workers.
        """
        await self._end_poison()
        more = [self._poison, self._kill_redis, self._kill_server] if strikes is None else strikes
        return await run(self._plan(turns, faults), self._place(worker), more)

    def _plan(self, turns: int, faults: tuple[str, ...]) -> Plan:
        return Plan(
            agent="ledger",
            framework="langgraph",
            message=f"Enter {LINES} lines in {self.book}.",
            turns=turns,
            at_once=8,
            workers=3,
            every_seconds=3,
            turn_seconds=120,
            lease_seconds=4,
            faults=faults,
            keep=True,
        )

    def _place(self, worker: list[str]) -> Place:
        environment = {**os.environ, **self._stack.environment}
        return Place(
            stack_url=self._struck.url,
            redis_url=environment["REDIS_URL"],
            logs=self._stack.directory,
            command=[*worker, "worker", "langgraph", "--grace-seconds", "5"],
            environment={**environment, "AMF_STACK_URL": self._stack.server.url},
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

    async def _poison(self) -> str | None:
        # One at a time: each ends workers faster than a busy machine starts them.
        if self.poison and self.poison[-1] not in await self.poisoned():
            return None
        async with self._stack.server.openai(max_retries=5) as client:
            turn = await client.responses.create(model="poison", input="do: hard exit", background=True)
        self.poison.append(turn.id)
        return "turn ended its worker"

    async def poisoned(self) -> dict[str, str | None]:
        """What became of those turns: the error of each that ended."""
        async with self._stack.server.openai() as client:
            turns = [await client.responses.retrieve(turn_id) for turn_id in self.poison]
        ended = [turn for turn in turns if turn.status not in WAITING]
        return {turn.id: turn.error.message if turn.error else None for turn in ended}

    async def _end_poison(self) -> None:
        """Cancel those that an earlier drill left: they would end workers that are to start."""
        async with self._stack.server.openai() as client:
            for turn_id in set(self.poison) - set(await self.poisoned()):
                await client.responses.cancel(turn_id)


def entered(book: Path) -> dict[str, list[tuple[int, str]]]:
    """The lines of each turn in a book, in the order they were entered: number, and the call's key."""
    found: dict[str, list[tuple[int, str]]] = {}
    for line in book.read_text().splitlines():
        number, key = line.split()
        found.setdefault(key.partition(":")[0], []).append((int(number), key))
    return found
