"""A test's stack as the conformance suite's checks see it."""

import asyncio

from tests.support.stack import Stack

LEASE_SECONDS = "5"


class StackProcesses:
    """The processes of a stack with one server (:class:`k8gentai.stack.conformance.lab.Processes`).

    Args:
        stack: prepared, with its server started.
        framework: whose worker to start.
    """

    def __init__(self, stack: Stack, framework: str) -> None:
        self._stack = stack
        self._framework = framework

    @property
    def stack_url(self) -> str:
        return self._stack.server.url

    @property
    def redis_url(self) -> str:
        return self._stack.valkey.url

    def worker_pids(self) -> list[int]:
        return self._stack.worker_pids()

    def add_worker(self) -> None:
        """Start a worker, and wait until it takes turns."""
        self._stack.add_worker(self._framework, "--concurrency", "20", "--lease-seconds", LEASE_SECONDS)

    async def kill_worker(self, pid: int) -> None:
        self._stack.worker(pid).kill()
        await asyncio.to_thread(self.add_worker)
