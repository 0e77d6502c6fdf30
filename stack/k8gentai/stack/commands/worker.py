"""``k8gentai worker``: serves the turns of one pool."""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from k8gentai.agents.registry.named_adapter import AdapterError
from k8gentai.stack.commands.turns import reach_redis
from k8gentai.stack.environments.frameworks import check_framework, named_adapters, python_of
from k8gentai.stack.environments.installed import SetUpError, replace_process
from k8gentai.stack.local.agents_update import served, served_pool, unserved
from k8gentai.stack.local.settings import Settings, take_stack_api_key


@dataclass(frozen=True)
class Terms:
    """The limits of a worker, as :class:`k8gentai.workers.process.worker.WorkerOptions` has them."""

    concurrency: int | None
    grace_seconds: float
    lease_seconds: float
    max_attempts: int
    max_memory: int | None


def go_on_in_environment_of(framework: str, err: Console) -> None:
    """Go on in the environment of a framework: where this process is not of it, another takes its place.

    Args:
        framework: the framework.
        err: the console for the word that an environment is made.

    Raises:
        SetUpError: there is no such framework, or its environment cannot be made.
    """
    check_framework(framework)
    python = python_of(framework, err.print)
    if python != Path(sys.executable):
        replace_process(python, sys.argv[1:])


def serve(
    settings: Settings, framework: str, pool: str | None, agents: str | None, terms: Terms, err: Console
) -> int:
    """Run a worker until it is told to stop.

    Args:
        settings: the settings of the command.
        framework: the framework whose agents it runs; this process is of its environment.
        pool: the name of the pool; None for the framework's own.
        agents: the ids of the agents to serve, with commas between them; None for all of the pool.
        terms: the limits of the worker.
        err: the console for warnings.

    Returns:
        The exit code of :func:`k8gentai.workers.process.worker.main`.

    Raises:
        SetUpError: the framework's adapter cannot be loaded.
    """
    if settings.names_no_stack:
        reach_redis(settings)
    # As `python -m` does; a console script has its own directory there.
    sys.path.insert(0, str(Path.cwd()))
    # Of the framework's environment.
    from k8gentai.workers.process.worker import WorkerOptions, main

    only = None if agents is None else served(agents)
    for warning in unserved(settings, framework, served_pool(framework, pool), only):
        err.print(warning, markup=False, soft_wrap=True)
    named = named_adapters().get(framework)
    try:
        options = WorkerOptions(
            framework=framework,
            pool=pool,
            only=only,
            adapter=named.adapter if named else None,
            redis_url=settings.worker_redis_url(),
            stack_url=settings.stack_url,
            api_key=take_stack_api_key(),
            registry=settings.registry,
            **asdict(terms),
        )
        return main(options)
    except AdapterError as error:
        raise SetUpError(str(error)) from error
