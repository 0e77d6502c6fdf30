"""The workers that a drill starts for itself, and strikes. It touches no other process."""

import asyncio
import signal
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from redis.asyncio import Redis

from k8gentai.stack.drill.watch import Watch
from k8gentai.stack.local.children import ChildError, Children
from k8gentai.workers.isolation.process_exits import REPLACE
from k8gentai.workers.queue import keys
from k8gentai.workers.queue.attempts import MAX_ATTEMPTS
from k8gentai.workers.queue.connection import until_back
from k8gentai.workers.queue.worker_name import local_prefix, pid_in

KILLED = "worker killed"
STOPPED = "worker stopped"

_START_SECONDS = 300
"""The seconds that a worker may take until it is ready: it imports its framework."""
_LOOK_SECONDS = 0.1
_STOPPED_LEASES = 1.5
"""The time for which a worker is stopped, in leases."""
_DEATHS = 5
"""Workers that end by themselves and not to be replaced, while no turn ends, before the drill is given up."""


@dataclass(eq=False)
class _Worker:
    child: str
    """The worker's name among the children."""
    pid: int
    stopped: bool = False


class Workers:
    """So many worker processes, kept at that number.

    Args:
        children: starts them.
        command: the command that starts one.
        environment: all of its environment.
        framework: the framework whose turns they run.
        count: the number of workers.
        lease_seconds: the workers' lease in seconds, as their command has it.
        redis: the Redis in which they register.
        watches: the turns that were sent.
    """

    def __init__(
        self,
        children: Children,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        framework: str,
        count: int,
        lease_seconds: float,
        redis: Redis,
        watches: Iterable[Watch],
    ) -> None:
        self._children = children
        self._command = command
        self._environment = environment
        self._prefix = local_prefix(framework)
        self._count = count
        self._lease_seconds = lease_seconds
        # redis-py types a reply as all that any of its modes gives; ours gives bytes.
        self._redis: Any = redis
        self._watches = watches
        self._workers: list[_Worker] = []
        self._started = 0
        self._deaths = 0
        self._ended_turns = 0
        self._pids: set[int] = set()
        self._going_on: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Start them and wait until they take turns.

        Raises:
            ChildError: one ended, or is not ready in time.
        """
        for _ in range(self._count):
            await self._add()
        try:
            async with asyncio.timeout(_START_SECONDS):
                while len(await self._ready()) < self._count:
                    for worker in self._workers:
                        if not self._children.runs(worker.child):
                            raise self._ended(worker)
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            last = self._workers[-1]
            raise ChildError(last.child, "does not get ready", self._children.log(last.child)) from None

    async def kill(self) -> str | None:
        """SIGKILL one that runs turns, and start another. Returns what was done, if anything."""
        if (victim := await self._victim(KILLED)) is None:
            return None
        self._children.send(victim.child, signal.SIGKILL)
        self._workers.remove(victim)
        await self._add()
        return KILLED

    async def stop(self) -> str | None:
        """SIGSTOP one that runs turns, and let it go on when its lease is over. Returns what was done, if
        anything."""
        if (victim := await self._victim(STOPPED)) is None:
            return None
        self._children.send(victim.child, signal.SIGSTOP)
        victim.stopped = True
        going_on = asyncio.create_task(self._go_on(victim))
        self._going_on.add(going_on)
        going_on.add_done_callback(self._going_on.discard)
        return STOPPED

    async def finish(self) -> None:
        """Let those go on that are stopped, and have all of them end: afterwards nothing more is written."""
        for going_on in self._going_on:
            going_on.cancel()
        for worker in self._workers:
            self._children.send(worker.child, signal.SIGCONT)
        await asyncio.gather(*(self._children.end(worker.child) for worker in self._workers))

    def are(self, name: str) -> bool:
        """Return whether a worker of that name is one of these, or was."""
        return name.startswith(self._prefix) and pid_in(name) in self._pids

    async def replace_dead(self) -> None:
        """Start others for those that ended by themselves, as an agent may have its process end.

        Raises:
            ChildError: too many did while no turn ended.
        """
        if (ended := sum(watch.ended for watch in self._watches)) > self._ended_turns:
            self._ended_turns, self._deaths = ended, 0
        for worker in [worker for worker in self._workers if not self._children.runs(worker.child)]:
            self._deaths += await self._children.ended(worker.child) != REPLACE
            if self._deaths == _DEATHS:
                raise self._ended(worker)
            self._workers.remove(worker)
            await self._add()

    async def _add(self) -> None:
        self._started += 1
        child = f"drill-worker-{self._started}"
        await self._children.start(child, self._command, self._environment)
        worker = _Worker(child, self._children.pid(child))
        self._workers.append(worker)
        self._pids.add(worker.pid)

    async def _go_on(self, worker: _Worker) -> None:
        await asyncio.sleep(_STOPPED_LEASES * self._lease_seconds)
        self._children.send(worker.child, signal.SIGCONT)
        worker.stopped = False

    async def _victim(self, how: str) -> _Worker | None:
        """Return one that runs turns, none of which would be given up for it; and another is left to take them."""
        ready = await self._ready()
        if len(ready) < 2:
            return None
        load = Counter(watch.worker for watch in self._watches if watch.worker in ready)
        for name, _ in load.most_common():
            if name is not None and not await self._last_attempt(name):
                for watch in self._watches:
                    watch.strike(how, name)
                return ready[name]
        return None

    async def may_be_lost(self) -> bool:
        """Return whether all of them could lose their turns, none of which would be given up for it."""
        running = {watch.worker for watch in self._watches if watch.worker is not None}
        return not any([await self._last_attempt(worker) for worker in running])

    async def _last_attempt(self, worker: str) -> bool:
        """Return whether that worker runs a turn that would be given up with it."""
        running = [watch for watch in self._watches if watch.worker == worker]
        return any([await self._losses(watch) + 1 >= MAX_ATTEMPTS for watch in running])

    async def _losses(self, watch: Watch) -> int:
        """Return how many workers a turn is held to have ended, and one more where its worker was just struck:
        nobody may have found that yet.
        """
        crashes = await until_back(partial(self._redis.hget, keys.TURN + watch.turn_id, "crashes"))
        return int(crashes or 0) + watch.is_struck

    async def _ready(self) -> dict[str, _Worker]:
        """Return those that take turns, by the names they gave themselves."""
        registered = await until_back(lambda: self._redis.smembers(keys.RQ_ALL_WORKERS))
        names = (key.decode().removeprefix(keys.RQ_WORKER) for key in registered)
        pids = {pid_in(name): name for name in names if name.startswith(self._prefix)}
        return {
            pids[worker.pid]: worker
            for worker in self._workers
            if worker.pid in pids and not worker.stopped and self._children.runs(worker.child)
        }

    def _ended(self, worker: _Worker) -> ChildError:
        return ChildError(worker.child, "ended by itself", self._children.log(worker.child))
