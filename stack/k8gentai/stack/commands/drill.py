"""``k8gentai drill``: what it needs from the settings, and how its end is told."""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx
from rich.console import Console

from k8gentai.agents.registry.registry import RegisteredAgent
from k8gentai.stack.drill import report
from k8gentai.stack.drill.client import RefusedError
from k8gentai.stack.drill.faults import FAULTS, PROXIED
from k8gentai.stack.drill.run import Place, Plan, Progress, run
from k8gentai.stack.environments.frameworks import python_of
from k8gentai.stack.environments.installed import SetUpError
from k8gentai.stack.local.agents_update import unknown_agent
from k8gentai.stack.local.children import ChildError, tail
from k8gentai.stack.local.services import worker_command
from k8gentai.stack.local.settings import Settings
from k8gentai.stack.local.valkey import wait_until_ready
from k8gentai.stack.terminal.console import progress
from k8gentai.workers.process.worker_log import configure_logs
from k8gentai.workers.queue.redis_url import masked

_REDIS_SECONDS = 3
_GRACE_SECONDS = 5
"""The seconds that the drill's workers may go on once the drill is over."""


def ready_agent(settings: Settings, agent_id: str) -> RegisteredAgent:
    """Return the agent whose turns are to be run.

    Raises:
        SetUpError: no such agent, or it is broken.
    """
    registry = settings.read_registry()
    agent = registry.get(agent_id)
    if agent is None:
        raise unknown_agent(registry, agent_id)
    if agent.state != "ready":
        raise SetUpError(f"The agent '{agent_id}' is broken: {agent.error}")
    return agent


def faults_of(settings: Settings, names: str) -> tuple[str, ...]:
    """Return the faults of a list, split by commas.

    Raises:
        SetUpError: one is unknown, or cannot be made here.
    """
    faults = tuple(name.strip() for name in names.split(","))
    if unknown := [name for name in faults if name not in FAULTS]:
        raise SetUpError(f"--faults has {', '.join(unknown)}: there are {', '.join(FAULTS)}.")
    url, scheme = settings.worker_redis_url(), settings.worker_redis_url().partition("://")[0]
    if not set(faults).isdisjoint(PROXIED) and scheme not in ("redis", "unix"):
        raise SetUpError(
            f"--faults {', '.join(PROXIED)} need a Redis without TLS, Sentinels or a cluster, not {masked(url)}."
        )
    return faults


def _worker_of(plan: Plan, python: Path) -> Sequence[str]:
    """Return what starts a worker for the drill."""
    pool = ["--pool", plan.pool] if plan.pool else []
    seconds = ["--lease-seconds", f"{plan.lease_seconds:g}", "--grace-seconds", str(_GRACE_SECONDS)]
    return worker_command(python, plan.framework, *pool, *seconds)


def drill(settings: Settings, plan: Plan, as_json: bool, out: Console, err: Console) -> bool:
    """Run a drill against the running stack and print its report.

    Returns:
        Whether every promise was kept.

    Raises:
        SetUpError: the stack or Redis is away, the agent is not accepted, or workers cannot be started.
    """
    configure_logs(sys.stderr)
    redis_url = settings.worker_redis_url()
    wait_until_ready(redis_url, _REDIS_SECONDS)
    try:
        httpx.get(f"{settings.stack_url}/v1/health").raise_for_status()
    except httpx.HTTPError as error:
        raise SetUpError(
            f"The stack at {settings.stack_url} does not answer ({str(error) or type(error).__name__}): start it."
        ) from error
    place = Place(
        stack_url=settings.stack_url,
        redis_url=redis_url,
        logs=settings.state / "logs",
        command=_worker_of(plan, python_of(plan.framework, err.print)),
        environment={**os.environ, "REDIS_URL": redis_url, "AMF_STACK_URL": settings.stack_url},
    )
    with progress(err, "Starting the workers") as status:

        def show(done: Progress) -> None:
            status.update(f"{done.ended} of {plan.turns} turns ended, {done.strikes} strikes")

        try:
            found = asyncio.run(run(plan, place, on_progress=show))
        except RefusedError as error:
            raise SetUpError(f"The drill cannot be done: {error}") from error
        except ChildError as error:
            raise SetUpError(f"{error}\n{tail(error.log)}") from error
    if as_json:
        out.print_json(found.model_dump_json())
    else:
        report.show(found, out)
    return found.clean
