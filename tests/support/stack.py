"""The whole house for a test: Valkey, the registry, stack servers and workers, as real processes."""

import itertools
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import httpx
import openai
import redis

from k8gentai.stack.environments.hosts import HOSTS, RUN_YAML, Host
from k8gentai.stack.local.services import free_port, health_url, worker_command
from k8gentai.workers.queue import keys
from k8gentai.workers.queue.worker_name import pid_in
from tests.support import previous_release
from tests.support.processes import ROOT, Process, run_python
from tests.support.valkey import Valkey

MODEL = "openai/scripted-model"
"""The scripted model as the stack names it."""
LLAMA_STACK = HOSTS["llama-stack"]
DEFINITIONS = ROOT / "tests" / "agents"


class Server:
    """One stack server process.

    Args:
        name: names its log.
        stack: what it belongs to.
    """

    def __init__(self, name: str, stack: "Stack", environment: dict[str, str] | None = None) -> None:
        self.port = free_port()
        self._name = name
        self._stack = stack
        self._environment = environment or {}
        self.process: Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "Server":
        self.start_unready()
        assert self.process is not None
        self.process.answers(health_url(self.port))
        return self

    def start_unready(self) -> None:
        """Start it without waiting for its health."""
        command = self._stack.host.command(self.port, print, self._stack.run_yaml)
        environment = {**self._stack.of_parts(), **self._environment}
        self.process = Process(self._name, command, self._stack.directory, environment)

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop()
            self.process = None

    def openai(self, **options: Any) -> openai.AsyncOpenAI:
        """A client of it, which does not try again."""
        settings = {"max_retries": 0, "timeout": 120, "api_key": "none", **options}
        return openai.AsyncOpenAI(base_url=f"{self.url}/v1", **settings)

    def http(self, **options: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, timeout=120, **options)


class Stack:
    """A stack of its own: what it starts, it stops.

    Args:
        directory: for data and logs.
        model_url: the model endpoint's base URL.
        host: whose server carries the provider.
    """

    def __init__(self, directory: Path, model_url: str, host: Host = LLAMA_STACK) -> None:
        self.host = host
        self.directory = directory
        self.agents = directory / "agents"
        self.code = directory / "code"
        self.registry = directory / "registry.json"
        self.valkey = Valkey(directory)
        self.run_yaml = RUN_YAML
        """What its servers serve."""
        self.key_prefix = ""
        """``AMF_KEY_PREFIX``; to be set before anything is started."""
        self._numbers = itertools.count()
        self._processes: list[Process] = []
        self._servers: list[Server] = []
        self.environment = {
            "OPENAI_BASE_URL": model_url,
            "OPENAI_API_KEY": "upstream-credential",
            "AMF_MODERATION_URL": f"{model_url}/moderations",
            "TAVILY_SEARCH_API_KEY": "",
            "INFERENCE_MODEL": MODEL,
            "TEST_PYTHON": sys.executable,
            "TEST_MCP_PROGRAM": str(ROOT / "tests" / "support" / "mcp_program.py"),
            "REDIS_URL": self.valkey.url,
            "AMF_REGISTRY": str(self.registry),
            "AMF_AGENTS": str(self.agents),
            "SQLITE_STORE_DIR": str(directory / "sql"),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(self.code)]),
            "LANGSMITH_TRACING": "false",
            "PYTHONUNBUFFERED": "1",
            # Frameworks take seconds to compile, which each worker's start would take anew.
            "PYTHONDONTWRITEBYTECODE": "",
        }

    def of_parts(self) -> dict[str, str]:
        """Return the environment of each of its parts."""
        return {**self.environment, "AMF_KEY_PREFIX": self.key_prefix}

    @property
    def server(self) -> Server:
        """The first server."""
        return self._servers[0]

    def prepare(self, definitions: Path = DEFINITIONS, registry: Path | None = None) -> None:
        """Start Valkey and register agents.

        Args:
            definitions: a directory of them; the tests' own by default.
            registry: a map that was made of them before, to save checking them again.
        """
        self.code.mkdir()
        shutil.copytree(definitions, self.agents, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        self.valkey.start()
        if registry:
            shutil.copy(registry, self.registry)
        else:
            # Their environments are made where they are not yet.
            self.update_registry("--frameworks", "all")

    def update_registry(self, *options: str) -> str:
        """Run ``k8gentai agents update``. Returns what it printed; broken agents are no error here."""
        done = run_python(
            "-m",
            "k8gentai.stack.commands.cli",
            "agents",
            "update",
            *options,
            environment=self.environment,
            seconds=600,
        )
        if not self.registry.exists():
            raise AssertionError(f"agents update wrote no map:\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def add_server(self, **environment: str) -> Server:
        """Start another server process."""
        return self.unstarted_server(**environment).start()

    def unstarted_server(self, **environment: str) -> Server:
        """A server process to be started."""
        server = Server(f"server{len(self._servers)}", self, environment)
        self._servers.append(server)
        return server

    def add_worker(
        self, framework: str, *options: str, stack_url: str | None = None, ready: bool = True
    ) -> Process:
        """Start a worker process."""
        environment = {**self.of_parts(), "AMF_STACK_URL": stack_url or self.server.url}
        command = worker_command(sys.executable, framework, *options)
        worker = self._start(framework, command, environment)
        if ready:
            worker.wait_until(lambda: self.registered(worker), "ready", 300)
        return worker

    def add_previous_server(self, release: Path) -> Server:
        """Start a server of the release before, whose code is in that directory."""
        return self.add_server(PYTHONPATH=previous_release.python_path(release, self.environment["PYTHONPATH"]))

    def add_previous_worker(self, framework: str, release: Path) -> Process:
        """Start a worker of the release before.

        Args:
            framework: whose turns it runs.
            release: where that release's code is.
        """
        environment = {
            **self.of_parts(),
            "PYTHONPATH": previous_release.python_path(release, self.environment["PYTHONPATH"]),
        }
        command = previous_release.worker_command(
            framework, self.environment["REDIS_URL"], self.server.url, self.registry
        )
        worker = self._start(f"{framework}-before", command, environment)
        worker.wait_until(lambda: self.registered(worker), "ready", 300)
        return worker

    def _start(self, name: str, command: list[str], environment: dict[str, str]) -> Process:
        worker = Process(f"worker{next(self._numbers)}-{name}", command, self.directory, environment)
        self._processes.append(worker)
        return worker

    def worker_pids(self) -> list[int]:
        """The process ids of the workers that run."""
        return [process.pid for process in self._processes if process.exit_code is None]

    def worker(self, pid: int) -> Process:
        """The worker of a process id."""
        return next(process for process in self._processes if process.pid == pid)

    def registered(self, worker: Process) -> bool:
        """Whether the worker is among those RQ knows; its name there holds its process id."""
        with self.redis() as client:
            return worker.pid in map(pid_in, client.smembers(self.key_prefix + keys.RQ_ALL_WORKERS))

    def redis(self) -> redis.Redis:
        return self.valkey.client()

    def logs(self) -> str:
        """The end of each process's log."""
        files = sorted(self.directory.glob("*.log"))
        return "\n".join(f"--- {file.name}\n{file.read_text(errors='replace')[-2500:]}" for file in files)

    def stop_workers(self) -> None:
        """End the workers, all at once."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.stop()
        self._processes.clear()

    def stop(self) -> None:
        """End every process."""
        self.stop_workers()
        for server in self._servers:
            server.stop()
        self.valkey.stop()
