"""``k8gentai up``: the whole stack on this machine, until Ctrl-C."""

import asyncio
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from rich.console import Console

from k8gentai.agents.registry.changes import Changes
from k8gentai.agents.registry.registry import RegisteredAgent
from k8gentai.stack.environments.frameworks import USUAL, chosen, python_of
from k8gentai.stack.environments.hosts import Host
from k8gentai.stack.environments.installed import SetUpError, interpreter_for
from k8gentai.stack.local import agents_update as registering
from k8gentai.stack.local import pidfile as notice
from k8gentai.stack.local import valkey, welcome
from k8gentai.stack.local.children import Children
from k8gentai.stack.local.embedding import named_model
from k8gentai.stack.local.examples import place_examples
from k8gentai.stack.local.model_endpoint import Endpoint, chat_models, named_endpoint, stack_model
from k8gentai.stack.local.pidfile import Notice
from k8gentai.stack.local.restarts import KeptProcess, kept_running
from k8gentai.stack.local.services import (
    answers,
    free_port,
    start_redis,
    start_server,
    start_worker,
    takes_turns,
    unless_a_child_fails,
)
from k8gentai.stack.local.settings import Settings
from k8gentai.stack.terminal.console import perhaps_unread, progress
from k8gentai.stack.terminal.question import ask
from k8gentai.workers.queue.registry_store import IN_REDIS

EXAMPLE = "langgraph-math"
"""The agent that is asked at the start. Nobody knows what a question would have agents of one's own do."""
QUESTION = "What is 17 times 23?"
REDIS_SECONDS = 3
"""The seconds that a Redis may take until it answers that should be there already."""


@dataclass(frozen=True)
class Plan:
    """The parts that a person wants to have running."""

    port: int
    """The stack's port, on loopback."""
    host: Host
    frameworks: tuple[str, ...]
    """The frameworks whose agents are run."""
    once: bool
    """Whether it returns after the first answer."""


def planned(names: str) -> tuple[str, ...]:
    """Return the frameworks that are run where a person named some: that of the example among them.

    Raises:
        SetUpError: there is none of that name.
    """
    return tuple(dict.fromkeys([USUAL[0], *chosen(names)]))


def pools_of(frameworks: Iterable[str], agents: Iterable[RegisteredAgent]) -> dict[str, str]:
    """Return the pools to start a worker for, each with its framework: those of the frameworks, and those that
    their agents name which are ready.

    Raises:
        SetUpError: agents of two frameworks name one pool.
    """
    pools = {framework: framework for framework in frameworks}
    for agent in agents:
        if agent.state == "ready" and agent.framework in frameworks:
            other = pools.setdefault(agent.pool, agent.framework)
            if other != agent.framework:
                raise SetUpError(
                    f"Agents of {other} and of {agent.framework} name the pool '{agent.pool}': take two."
                )
    return pools


async def up(plan: Plan, settings: Settings, console: Console) -> bool:
    """Start everything, ask the example where it is ready, and serve.

    Args:
        plan: the parts that are wanted.
        settings: the settings; their paths are under the working directory.
        console: the console that progress and the answer are shown on.

    Returns:
        Whether the answer was complete; where there is no example to ask, whether every agent in use is ready, and
        there is one.

    Raises:
        SetUpError: something that is needed cannot be had.
        ChildError: a part ended. Workers and the server are started again once all is up.
        httpx.HTTPError: the stack broke off its answer.
        OSError: a part cannot be started, or the disk is full.
    """
    _check_free(plan.port)
    stack = _Stack(plan, settings, console)
    async with Children(settings.state / "logs") as children:
        agents = await stack.start(children)
        model = os.environ["INFERENCE_MODEL"]
        running = Notice(os.getpid(), stack.url, model, plan.frameworks, stack.has_one_model)
        async with kept_running(children, stack.kept, stack.say):
            with notice.posted(settings.state, running):
                complete = await _ask_example(children, stack.url, agents, console)
                if plan.once:
                    welcome.show_unready(agents, console)
                else:
                    welcome.show(stack.url, agents, EXAMPLE, console)
                    await children.failed()
    return complete


async def _ask_example(children: Children, url: str, agents: Sequence[RegisteredAgent], console: Console) -> bool:
    """Ask the example, if it is among the agents. Returns whether its answer was complete; without it, whether
    there are agents to be asked, and none is broken."""
    states = {agent.id: agent.state for agent in agents}
    if states.get(EXAMPLE) != "ready":
        return EXAMPLE not in states and "ready" in states.values() and "broken" not in states.values()
    return await unless_a_child_fails(children, ask(url, EXAMPLE, QUESTION, console))


class _Stack:
    """The parts, started one after the other."""

    def __init__(self, plan: Plan, settings: Settings, console: Console) -> None:
        self.url = f"http://127.0.0.1:{plan.port}"
        self.kept: list[KeptProcess] = []
        """The server and the workers, which are started again when they end."""
        self.has_one_model = False
        self._plan = plan
        self._settings = settings
        self._console = console

    async def start(self, children: Children) -> list[RegisteredAgent]:
        """Start all parts and wait until they answer. Returns the agents."""
        redis_url = await self._start_redis(children)
        # The registry may be in that Redis, and says which directory it was made of.
        self._settings = await asyncio.to_thread(self._settings.remembering)
        place_examples(self._settings.agents, self.say)
        model = await self._choose_model(children)
        # What is read from the environment from here on: definitions, agents' checks, every child.
        os.environ.update(model, REDIS_URL=redis_url, AMF_STACK_URL=self.url)
        agents = await self._register_agents()
        with self.doing("Starting the server"):
            await self._start_server(children)
        pools = pools_of(self._plan.frameworks, agents)
        with self.doing(f"Starting the workers of {', '.join(pools)}"):
            for pool, framework in pools.items():
                await self._start_worker(children, framework, pool)
            for worker in (process for process in self.kept if not process.essential):
                await unless_a_child_fails(children, takes_turns(children, worker.name, redis_url))
        return agents

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Show what goes on: at a terminal for as long as it lasts, elsewhere in a line of its own."""
        if self._console.is_terminal:
            with progress(self._console, what):
                yield
        else:
            self.say(what)
            yield

    def say(self, text: str) -> None:
        """Print what takes a while, or happens meanwhile."""
        with perhaps_unread():
            self._console.print(f"[dim]{text}[/]", highlight=False, soft_wrap=True)

    async def _start_redis(self, children: Children) -> str:
        if (url := self._settings.redis_url) is not None:
            await asyncio.to_thread(valkey.wait_until_ready, url, REDIS_SECONDS)
            return url
        return await start_redis(children, self._settings.redis_directory)

    async def _choose_model(self, children: Children) -> dict[str, str]:
        """Return the environment that names the model's endpoint to the stack, and the model to the agents."""
        endpoint = await asyncio.to_thread(named_endpoint, os.environ)
        if endpoint is None:
            endpoint = await self._start_model(children)
        listed = await asyncio.to_thread(chat_models, endpoint)
        model = stack_model(os.environ.get("INFERENCE_MODEL") or None, listed, endpoint)
        self.say(f"Model: {model} at {endpoint.base_url} ({endpoint.origin})")
        chosen = {
            "OPENAI_BASE_URL": endpoint.base_url,
            "OPENAI_API_KEY": endpoint.api_key,
            "INFERENCE_MODEL": model,
        }
        embedding = await asyncio.to_thread(named_model, os.environ, endpoint)
        if embedding is not None:
            chosen["EMBEDDING_DIMENSION"] = str(embedding.dimension)
            if os.environ.get("EMBEDDING_BASE_URL"):
                chosen["EMBEDDING_API_KEY"] = embedding.endpoint.api_key
            self.say(f"Embeddings: {embedding.name} at {embedding.endpoint.base_url}")
        return chosen

    async def _start_model(self, children: Children) -> Endpoint:
        python = await asyncio.to_thread(interpreter_for, "model", self.say)
        port = free_port()
        with self.doing("Loading the embedded model"):
            command = [str(python), "-m", "k8gentai.stack.model", str(port)]
            await children.start("model", command, os.environ)
            await answers(children, "model", f"http://127.0.0.1:{port}/health")
        self._console.print(welcome.TINY_MODEL, soft_wrap=True)
        self.has_one_model = True
        # The models asked for may be those of an endpoint that is away today.
        os.environ.pop("INFERENCE_MODEL", None)
        if not os.environ.get("EMBEDDING_BASE_URL"):
            os.environ.pop("EMBEDDING_MODEL", None)
        return Endpoint(f"http://127.0.0.1:{port}/v1", "none", "embedded")

    async def _register_agents(self) -> list[RegisteredAgent]:
        if self._settings.remembers_agents:
            self.say(registering.remembered(self._settings))
        # All are new at the first start, and are shown at its end.
        registry = self._settings.open_registry()
        is_first = not registry.written_at()
        before = registry.agents_dir()
        seen: list[Changes] = []

        def approve(found: Changes) -> None:
            seen.append(found)
            if self._shares_registry():
                registering.refuse_to_empty(self._settings, found)

        with self.doing("Checking the agents"):
            agents = await asyncio.to_thread(
                registering.update, self._settings, self.say, self._plan.frameworks, approve=approve
            )
        for found in seen:
            with perhaps_unread():
                shown = replace(found, new=[]) if is_first else found
                registering.show_changes(shown, self._console, quietly=True)
            if found.gone and before is not None and before.absolute() != self._settings.agents.absolute():
                # What is named is what is served: this asks for no leave, and says the way back.
                self.say(f"What is gone was defined in {before}: AMF_AGENTS={before} takes it up again.")
        with perhaps_unread():
            registering.show_not_used(agents, self._console)
        return agents

    def _shares_registry(self) -> bool:
        """Return whether other stacks may serve the agents of the registry."""
        return self._settings.registry == IN_REDIS and self._settings.redis_url is not None

    async def _start_server(self, children: Children) -> None:
        host = self._plan.host
        host.prepare(self._settings.state)
        self.kept.append(await start_server(children, host, self._plan.port, os.environ, self.say))

    async def _start_worker(self, children: Children, framework: str, pool: str) -> None:
        python = await asyncio.to_thread(python_of, framework, self.say)
        options = ["--pool", pool]
        self.kept.append(await start_worker(children, f"worker-{pool}", python, framework, options, os.environ))


def _check_free(port: int) -> None:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        message = f"Port {port} cannot be used ({reason}): choose another with --port."
        raise SetUpError(message) from error
