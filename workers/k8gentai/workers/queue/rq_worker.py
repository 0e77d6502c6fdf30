"""The worker as RQ knows it: registered, with a heartbeat, readable by ``rq info`` and dashboards."""

import json
import time
from collections.abc import Callable, Collection

import redis
from rq import Queue, worker_registration
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker.base import BaseWorker, WorkerStatus

from k8gentai.workers.queue import keys

_TTL_SECONDS = 30
_RENEW_SECONDS = _TTL_SECONDS / 3
"""The seconds after which RQ's heartbeat is written anew: Redis syncs each write to its disk."""


# RQ has these two as constants of a module, and no class that would bring its own.
worker_registration.WORKERS_BY_QUEUE_KEY = f"{keys.RQ_WORKERS}%s"
worker_registration.REDIS_WORKER_KEYS = keys.RQ_ALL_WORKERS


class RqJob(Job):
    """A job, where our prefix has it."""

    redis_job_namespace_prefix = keys.RQ_JOB


class RqQueue(Queue):
    """A queue, where our prefix has it. For RQ's own tools: ``rq info --queue-class`` and ``--worker-class``."""

    redis_queue_namespace_prefix = keys.RQ_QUEUE
    redis_queues_keys = keys.RQ_QUEUES
    job_class = RqJob


class RqWorker(BaseWorker):
    """A worker, where our prefix has it."""

    redis_worker_namespace_prefix = keys.RQ_WORKER
    redis_workers_keys = keys.RQ_ALL_WORKERS
    queue_class = RqQueue
    job_class = RqJob


class TurnWorker(RqWorker):
    """A worker of RQ's that runs turns instead of jobs.

    RQ's own work loop and its way of running a job (importing the function the job names) are not used:
    :mod:`k8gentai.workers.process.running_turns` takes turns and runs them, many at once.

    Args:
        pool: names the queue. One queue a worker: RQ 2.12 moves a job atomically only then.
        name: this worker's name.
        connection: a client from :func:`k8gentai.workers.queue.connection.connect_blocking`.
        missing: returns the agents that the worker cannot import, each with the reason.
        only: the ids of the agents that the worker serves; None for all of its pool.
    """

    def __init__(
        self,
        pool: str,
        name: str,
        connection: redis.Redis,
        missing: Callable[[], dict[str, str]],
        only: Collection[str] | None = None,
    ) -> None:
        super().__init__(
            [pool], name=name, connection=connection, serializer=JSONSerializer, worker_ttl=_TTL_SECONDS
        )
        self._written: WorkerStatus | None = None
        self._renew_at = 0.0
        self._missing = missing
        self._published = "{}"
        self._only = only

    @property
    def connection_timeout(self) -> int:
        """The socket timeout RQ wants at least. Its own is for commands that wait, of which we send none by it."""
        return 0

    def register(self) -> None:
        """Appear among the workers."""
        self.register_birth()  # type: ignore[no-untyped-call]
        self.set_state(WorkerStatus.IDLE)
        self._written = WorkerStatus.IDLE
        self._renew_at = 0.0
        self._published = "{}"
        if self._only is not None:
            self.connection.hset(self.key, keys.SERVED, json.dumps(sorted(self._only)))
        self._publish_missing()

    def beat(self, running: int) -> None:
        """Say that the worker lives and whether it has work.

        Args:
            running: turns in flight.
        """
        if not self.connection.exists(self.key):
            # Redis forgot us, having been away or us having been stopped for long.
            self.register()
        state = WorkerStatus.BUSY if running else WorkerStatus.IDLE
        if state is not self._written:
            self.set_state(state)
            self._written = state
        if time.monotonic() >= self._renew_at:
            self.heartbeat(_TTL_SECONDS)
            self._renew_at = time.monotonic() + _RENEW_SECONDS
        self._publish_missing()

    def _publish_missing(self) -> None:
        missing = json.dumps(self._missing())
        if missing != self._published:
            self.connection.hset(self.key, keys.MISSING, missing)
            self._published = missing

    def unregister(self) -> None:
        """Disappear from among the workers."""
        self.register_death()  # type: ignore[no-untyped-call]
