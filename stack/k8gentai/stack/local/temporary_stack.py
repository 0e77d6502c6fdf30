"""A stack apart from all others, for as long as something is tried or measured on it."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from k8gentai.agents.registry import check
from k8gentai.agents.registry.check_terms import Terms
from k8gentai.stack.environments.hosts import APIS, HOSTS
from k8gentai.stack.environments.installed import PRODUCT, Say, SetUpError
from k8gentai.stack.local.children import Children
from k8gentai.stack.local.services import (
    free_port,
    start_redis,
    start_server,
    start_worker,
    takes_turns,
)

_HOST = "llama-stack"


class TemporaryStack:
    """A Redis, a server on a free port, and workers, whose data is in one directory.

    Args:
        children: starts the processes.
        directory: for data.
        say: is told what takes a while.
    """

    def __init__(self, children: Children, directory: Path, say: Say) -> None:
        self._children = children
        self._directory = directory
        self._say = say
        self._workers: dict[int, str] = {}
        self._redis_url = ""
        self._stack_url = ""

    @property
    def stack_url(self) -> str:
        """The server's."""
        return self._stack_url

    @property
    def redis_url(self) -> str:
        """The Redis's."""
        return self._redis_url

    async def start(self, definitions: Path, terms: Terms, settings: Mapping[str, str]) -> None:
        """Register agents, and start Redis and the server.

        Args:
            definitions: the directory of theirs.
            terms: how they are checked.
            settings: what is set in the environment of this process, which all that is started has: the model, and
                what the agents need.

        Raises:
            SetUpError: an agent is broken, or something that is needed cannot be had.
            ChildError: a process ended, or does not answer.
        """
        self._redis_url = await start_redis(self._children, self._directory / "redis")
        port = free_port()
        self._stack_url = f"http://127.0.0.1:{port}"
        # What is read from the environment from here on: definitions, agents' checks, every child.
        os.environ.update({**settings, **self._places()})
        await asyncio.to_thread(self._register, definitions, terms)
        await start_server(self._children, HOSTS[_HOST], port, os.environ, self._say)

    async def add_worker(self, python: Path, framework: str, options: Sequence[str] = ()) -> int:
        """Start a worker, and wait until it takes turns. Returns its process id.

        Args:
            python: the interpreter of the framework's environment.
            framework: whose turns it runs.
            options: of ``k8gentai worker``.

        Raises:
            ChildError: it ended, or takes no turns.
        """
        name = f"worker-{len(self._workers) + 1}"
        await start_worker(self._children, name, python, framework, options, os.environ)
        pid = self._children.pid(name)
        self._workers[pid] = name
        await takes_turns(self._children, name, self._redis_url)
        return pid

    def worker_pids(self) -> list[int]:
        """Process ids of the workers that run."""
        return [pid for pid, name in self._workers.items() if self._children.runs(name)]

    def kill_worker(self, pid: int) -> None:
        """``kill -9`` a worker."""
        self._children.send(self._workers[pid], signal.SIGKILL)

    def _places(self) -> dict[str, str]:
        return {
            "REDIS_URL": self._redis_url,
            "AMF_STACK_URL": self._stack_url,
            "AMF_REGISTRY": str(self._directory / "registry.json"),
            "SQLITE_STORE_DIR": str(self._directory / "sql"),
            "AMF_APIS_DIR": str(APIS),
            # The agents of our own frameworks are there, wherever this runs.
            "PYTHONPATH": os.pathsep.join(filter(None, [str(PRODUCT.data), os.environ.get("PYTHONPATH")])),
        }

    def _register(self, definitions: Path, terms: Terms) -> None:
        """Check the agents, each in its framework's environment, and write the registry."""
        agents = check.update(definitions, self._directory / "registry.json", terms)
        if broken := [f"'{agent.id}': {agent.error}" for agent in agents if agent.state != "ready"]:
            raise SetUpError("Agents cannot be used:\n" + "\n".join(broken))
