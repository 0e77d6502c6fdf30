"""The stack that a framework is put to the checks on: all of it real processes of its own, but for the model."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from k8gentai.agents.registry import check
from k8gentai.agents.registry.check_terms import Terms
from k8gentai.stack.conformance.kit import Kit
from k8gentai.stack.conformance.lab import MODEL
from k8gentai.stack.conformance.scripted import ScriptedModel
from k8gentai.stack.environments.frameworks import VARIABLE, NamedAdapter
from k8gentai.stack.environments.hosts import APIS, HOSTS
from k8gentai.stack.environments.installed import PRODUCT, Say, SetUpError
from k8gentai.stack.local.children import Children
from k8gentai.stack.local.services import answers, free_port, start_redis, takes_turns, worker_command

_HOST = "llama-stack"
_CONCURRENCY = 20
"""The turns that a worker runs at once: as many as a check has."""
_LEASE_SECONDS = 5
"""A shorter lease than usual, as checks wait for it to run out."""


@dataclass(frozen=True)
class Subject:
    """The adapter that is put to the checks, with its kit and its interpreter."""

    kit: Kit
    python: Path
    """The interpreter of the framework's environment."""
    named: NamedAdapter | None = None
    """The adapter, where it is not among ours."""


class Stand:
    """A Redis, a server, and a worker (:class:`k8gentai.stack.conformance.lab.Processes`).

    Args:
        subject: the adapter that is put to the checks.
        children: starts the processes.
        directory: for data.
        say: is told what takes a while.
    """

    def __init__(self, subject: Subject, children: Children, directory: Path, say: Say) -> None:
        self._subject = subject
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

    async def start(self, model: ScriptedModel) -> None:
        """Register the agents and start everything.

        Raises:
            SetUpError: an agent is broken, or something that is needed cannot be had.
            ChildError: a process ended, or does not answer.
        """
        self._redis_url = await start_redis(self._children, self._directory / "redis")
        port = free_port()
        # What is read from the environment from here on: definitions, agents' checks, every child.
        os.environ.update(self._settings(model, f"http://127.0.0.1:{port}"))
        await asyncio.to_thread(self._register)
        await self._start_server(port)
        await self._add_worker()

    def worker_pids(self) -> list[int]:
        """Process ids of the workers that run."""
        return [pid for pid, name in self._workers.items() if self._children.runs(name)]

    async def kill_worker(self, pid: int) -> None:
        """``kill -9`` a worker, and start another.

        Raises:
            ChildError: the other does not start.
        """
        self._children.send(self._workers[pid], signal.SIGKILL)
        await self._add_worker()

    def _settings(self, model: ScriptedModel, stack_url: str) -> dict[str, str]:
        named = {VARIABLE: str(self._subject.named)} if self._subject.named else {}
        return {
            **named,
            "OPENAI_BASE_URL": model.base_url,
            "OPENAI_API_KEY": "scripted",
            "INFERENCE_MODEL": MODEL,
            "REDIS_URL": self._redis_url,
            "AMF_STACK_URL": stack_url,
            "AMF_REGISTRY": str(self._directory / "registry.json"),
            "SQLITE_STORE_DIR": str(self._directory / "sql"),
            "AMF_APIS_DIR": str(APIS),
            # The agents of our own frameworks are there, wherever this runs.
            "PYTHONPATH": os.pathsep.join(filter(None, [str(PRODUCT.data), os.environ.get("PYTHONPATH")])),
        }

    async def _start_server(self, port: int) -> None:
        command = await asyncio.to_thread(HOSTS[_HOST].command, port, self._say)
        await self._children.start("stack", command, os.environ)
        self._stack_url = f"http://127.0.0.1:{port}"
        await answers(self._children, "stack", f"{self._stack_url}/v1/health")

    def _register(self) -> None:
        """Check the agents in their framework's environment, and write the registry."""
        kit, named = self._subject.kit, self._subject.named
        definitions = self._directory / "agents"
        kit.write(definitions)
        agents = check.update(
            definitions,
            self._directory / "registry.json",
            Terms({kit.framework: self._subject.python}, {kit.framework: named.adapter} if named else {}),
        )
        if broken := [f"'{agent.id}': {agent.error}" for agent in agents if agent.state != "ready"]:
            raise SetUpError(f"Agents of {kit.framework} cannot be used:\n" + "\n".join(broken))

    async def _add_worker(self) -> None:
        name = f"worker-{len(self._workers) + 1}"
        options = ["--concurrency", str(_CONCURRENCY), "--lease-seconds", str(_LEASE_SECONDS)]
        command = worker_command(self._subject.python, self._subject.kit.framework, *options)
        await self._children.start(name, command, os.environ)
        self._workers[self._children.pid(name)] = name
        await takes_turns(self._children, name, self._redis_url)


@asynccontextmanager
async def open_stand(subject: Subject, model: ScriptedModel, logs: Path, say: Say) -> AsyncIterator[Stand]:
    """Start a stack for a framework. Its end leaves no process and no data, but the logs.

    Args:
        subject: the adapter that is put to the checks.
        model: the model that its agents call.
        logs: the directory of the logs.
        say: is told what takes a while.

    Raises:
        SetUpError, ChildError: as :meth:`Stand.start`.
    """
    directory = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="k8gentai-conformance-"))
    try:
        async with Children(logs) as children:
            stand = Stand(subject, children, directory, say)
            await stand.start(model)
            yield stand
    finally:
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
