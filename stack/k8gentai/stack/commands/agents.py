"""``k8gentai agents show | call``: one agent, how it is, and a question to it."""

import asyncio
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import typer
from redis.asyncio import Redis
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from k8gentai.agents.registry.registry import RegisteredAgent
from k8gentai.agents.resources.agent import AgentDefinition, ToolTerms
from k8gentai.stack.commands.turns import clock, with_redis
from k8gentai.stack.environments.installed import PRODUCT, SetUpError
from k8gentai.stack.local.agents_update import unknown_agent
from k8gentai.stack.local.settings import Settings
from k8gentai.stack.terminal import question
from k8gentai.stack.terminal.console import print_whole_lines
from k8gentai.workers.queue.status import Pools, Workers

_DECISION = re.compile(r"(?P<said>y|yes|n|no)(?:[\s:,.]+(?P<words>.*))?", re.IGNORECASE | re.DOTALL)


def show(settings: Settings, agent_id: str, console: Console) -> None:
    """Print what is known of an agent: what its definition says, and how it and its pool are.

    Raises:
        SetUpError: it is not registered.
    """
    registry = settings.read_registry()
    agent = registry.get(agent_id)
    if agent is None:
        raise unknown_agent(registry, agent_id)
    facts = [
        ("agent", agent.id),
        ("framework", agent.framework),
        ("pool", agent.pool),
        ("state", agent.state),
        *([("error", agent.error)] if agent.error else []),
        *(("not checked", warning) for warning in agent.warnings),
        *([("not used", agent.not_used)] if agent.not_used else []),
        *_of_pool(settings, agent),
        ("tools", ", ".join(_tools(agent)) or "none were found"),
        *(_of_definition(agent.definition) if agent.definition else []),
        ("file", agent.file),
        ("registered", clock(registry.written_at())),
    ]
    print_whole_lines(console)
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in facts:
        table.add_row(name, escape(value))
    console.print(table)


def call(settings: Settings, agent_id: str, text: str, console: Console) -> bool:
    """Ask an agent of the running stack, and print its answer as it comes.

    Returns:
        Whether the answer came to its end complete.

    Raises:
        SetUpError: the stack is away, or broke off its answer.
    """
    try:
        return asyncio.run(question.ask(settings.stack_url, agent_id, text, console, _decider()))
    except httpx.ConnectError as error:
        message = f"No stack answers at {settings.stack_url}: start '{PRODUCT.up}', or name it in AMF_STACK_URL."
        raise SetUpError(message) from error
    except httpx.HTTPError as error:
        # Of some errors, as of a time-out, the name is all that they say.
        reason = str(error) or type(error).__name__
        raise SetUpError(f"The stack at {settings.stack_url} does not answer: {reason.rstrip('.')}.") from error


def _decider() -> question.Decide | None:
    """Return what asks the person at the terminal; None where there is none."""
    if not sys.stdin.isatty():
        return None

    def decide(asked: str) -> tuple[bool, str | None]:
        question = f"{asked}: y or n, with words if you like ('n: too dear')"
        with _interruptible():
            while (decision := decision_of(typer.prompt(question, default="n"))) is None:
                typer.echo("Begin with y or n: other words decide nothing.")
        return decision

    return decide


@contextmanager
def _interruptible() -> Iterator[None]:
    """Have Ctrl-C end what waits inside. asyncio would have it cancel a task, and no task goes on while the event
    loop itself waits.
    """
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def decision_of(words: str) -> tuple[bool, str | None] | None:
    """Read what a person typed: whether they approve, and the words behind that, if any.

    Returns:
        None where it is neither yes nor no: an objection in other words must not run anything.
    """
    read = _DECISION.fullmatch(words.strip())
    return (read["said"][0].lower() == "y", read["words"] or None) if read else None


def _of_pool(settings: Settings, agent: RegisteredAgent) -> list[tuple[str, str]]:
    async def read(redis: Redis) -> tuple[Workers, dict[str, int], dict[str, str]]:
        pools = Pools(redis)
        return await pools.workers(), await pools.waiting(), await pools.missing(agent.pool, agent.id)

    try:
        workers, waiting, missing = with_redis(settings, read)
    except SetUpError as error:
        return [("workers", f"not known: {error}")]
    running = workers.serving(agent.pool, agent.id)
    return [
        ("workers", str(running) if running or agent.state != "ready" else _no_worker(agent, workers)),
        *(("cannot import it", f"{worker}: {reason}") for worker, reason in missing.items()),
        ("waiting turns", str(waiting.get(agent.id, 0))),
    ]


def _no_worker(agent: RegisteredAgent, workers: Workers) -> str:
    """Say that nobody runs an agent's turns, and what would."""
    if others := workers.of(agent.pool):
        return f"none: {question.serve_others(others)}"
    pool = "" if agent.pool == agent.framework else f" --pool {agent.pool}"
    return f"none: its turns wait until one is there (k8gentai worker {agent.framework}{pool})"


def _tools(agent: RegisteredAgent) -> list[str]:
    """Return the names of an agent's tools, each with what its definition says of its calls, and those of the
    servers that have others."""
    defined = agent.definition.spec.tools if agent.definition else []
    policies = {tool.name: tool for tool in defined if tool.source != "mcp"}
    named = dict.fromkeys([*agent.tools, *policies])
    return [
        *(f"{name}{_terms(policies[name])}" if name in policies else name for name in named),
        *(f"those of the MCP server {tool.name}{_terms(tool)}" for tool in defined if tool.source == "mcp"),
    ]


def _terms(tool: ToolTerms) -> str:
    terms = [
        *(["approval: required"] if tool.approval == "required" else []),
        *([f"retry: {tool.retry}"] if tool.retry != "idempotent" else []),
        *([f"timeoutSeconds: {_number(tool.timeout_seconds)}"] if tool.timeout_seconds else []),
    ]
    return f" ({', '.join(terms)})" if terms else ""


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:g}"


def _of_definition(definition: AgentDefinition) -> list[tuple[str, str]]:
    spec = definition.spec
    limits = spec.limits.model_dump(exclude_none=True, by_alias=True)
    return [
        *([("name", " ".join(spec.display_name.split()))] if spec.display_name else []),
        ("description", " ".join(spec.description.split())),
        ("entrypoint", spec.entrypoint or "none: it is declarative"),
        ("model", spec.model.name or "as its code names it"),
        ("limits", ", ".join(f"{name} {_number(value)}" for name, value in limits.items())),
    ]
