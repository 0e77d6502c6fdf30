"""The stack that a framework is put to the checks on: all of it real processes of its own, but for the model."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from k8gentai.agents.registry.check_terms import Terms
from k8gentai.stack.conformance.kit import Kit
from k8gentai.stack.conformance.lab import MODEL
from k8gentai.stack.conformance.scripted import ScriptedModel
from k8gentai.stack.environments.frameworks import VARIABLE, NamedAdapter
from k8gentai.stack.environments.installed import Say
from k8gentai.stack.local.children import Children
from k8gentai.stack.local.temporary_stack import TemporaryStack

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
    """A stack with a worker of the framework (:class:`k8gentai.stack.conformance.lab.Processes`).

    Args:
        subject: the adapter that is put to the checks.
        children: starts the processes.
        directory: for data.
        say: is told what takes a while.
    """

    def __init__(self, subject: Subject, children: Children, directory: Path, say: Say) -> None:
        self._subject = subject
        self._directory = directory
        self._stack = TemporaryStack(children, directory, say)

    @property
    def stack_url(self) -> str:
        """The server's."""
        return self._stack.stack_url

    @property
    def redis_url(self) -> str:
        """The Redis's."""
        return self._stack.redis_url

    async def start(self, model: ScriptedModel) -> None:
        """Register the agents and start everything.

        Raises:
            SetUpError: an agent is broken, or something that is needed cannot be had.
            ChildError: a process ended, or does not answer.
        """
        kit, named = self._subject.kit, self._subject.named
        definitions = self._directory / "agents"
        kit.write(definitions)
        terms = Terms({kit.framework: self._subject.python}, {kit.framework: named.adapter} if named else {})
        settings = {
            **({VARIABLE: str(named)} if named else {}),
            "OPENAI_BASE_URL": model.base_url,
            "OPENAI_API_KEY": "scripted",
            "INFERENCE_MODEL": MODEL,
        }
        await self._stack.start(definitions, terms, settings)
        await self._add_worker()

    def worker_pids(self) -> list[int]:
        """Process ids of the workers that run."""
        return self._stack.worker_pids()

    async def kill_worker(self, pid: int) -> None:
        """``kill -9`` a worker, and start another.

        Raises:
            ChildError: the other does not start.
        """
        self._stack.kill_worker(pid)
        await self._add_worker()

    async def _add_worker(self) -> None:
        options = ["--concurrency", str(_CONCURRENCY), "--lease-seconds", str(_LEASE_SECONDS)]
        await self._stack.add_worker(self._subject.python, self._subject.kit.framework, options)


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
