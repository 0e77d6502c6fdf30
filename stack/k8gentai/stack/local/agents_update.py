"""``k8gentai agents``: the registry, checked, written and shown."""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from k8gentai.agents.registry import check
from k8gentai.agents.registry.changes import Changes
from k8gentai.agents.registry.check_terms import Terms
from k8gentai.agents.registry.definitions import read_definitions
from k8gentai.agents.registry.registry import RegisteredAgent, Registry
from k8gentai.agents.resources.agent import POOL, POOL_WORDS
from k8gentai.agents.text.suggestion import did_you_mean
from k8gentai.stack.environments.frameworks import all_frameworks, named_adapters, python_of
from k8gentai.stack.environments.installed import PRODUCT, Say, SetUpError
from k8gentai.stack.local import pidfile as notice
from k8gentai.stack.local.settings import REGISTRY, Settings
from k8gentai.workers.queue.registry_store import IN_REDIS, place_named

_LONGEST_ID = 63
_SHOWN_OF_LONGER = 24

_STATES = {"ready": "[green]ready[/]", "broken": "[red]broken[/]", "unused": "[dim]unused[/]"}


def update(
    settings: Settings,
    say: Say,
    frameworks: Collection[str],
    *,
    keep: bool = False,
    approve: Callable[[Changes], None] = lambda _: None,
) -> list[RegisteredAgent]:
    """Check every definition in its framework's environment, which is made first, and write the registry.

    Args:
        settings: the settings, which say where the definitions and the registry are.
        say: called with what takes a while.
        frameworks: the frameworks in use; agents of others are registered as unused.
        keep: see :class:`k8gentai.agents.registry.check_terms.Terms`.
        approve: called with what would change, before it is written; what it raises keeps the registry as it is.

    Raises:
        SetUpError: there is no directory of definitions, an environment cannot be made, or the registry cannot be
            written.
    """
    try:
        named = {document.framework for document in read_definitions(settings.agents)}
        used = named.intersection(all_frameworks())
        interpreters = {name: python_of(name, say) for name in sorted(used.intersection(frameworks))}
        adapters = {name: named.adapter for name, named in named_adapters().items()}
        terms = Terms(
            interpreters,
            in_use=tuple(frameworks),
            adapters=adapters,
            environment=settings.code_environment,
            keep=keep,
        )
        return check.update(settings.agents, settings.registry_store(), terms, approve)
    except OSError as error:
        raise SetUpError(f"The agents of {settings.agents} cannot be registered: {error}") from error


def in_use(settings: Settings, named: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the frameworks whose agents are run.

    Args:
        settings: the settings of the registry that is written.
        named: those a person named; without, those of the settings, and those of agents that are ready, as workers
            may have been started for them beside ``up``. Those that ``up`` runs are in use in each case.
    """
    if named is not None:
        return tuple(dict.fromkeys([*named, *_run_by_up(settings, named)]))
    ready = [agent.framework for agent in settings.open_registry().list() if agent.state == "ready"]
    here = all_frameworks()
    return tuple(dict.fromkeys([*settings.frameworks, *(name for name in ready if name in here)]))


def _run_by_up(settings: Settings, named: Sequence[str]) -> list[str]:
    """Return the frameworks that a stack that is up runs and a person did not name."""
    return [name for name in (settings.up.frameworks if settings.up else ()) if name not in named]


def notes(settings: Settings, named: Sequence[str] | None) -> list[str]:
    """Return lines about what a person who updates a registry may not expect: which directory it is made of, which
    registry it is, where it is not that of a stack that is up here, and which frameworks are in use as well.

    Args:
        settings: the settings of the registry that is written.
        named: the frameworks that the person named; None for none.
    """
    here = _shown(settings.registry)
    lines = [remembered(settings)] if settings.remembers_agents else []
    if settings.up is None:
        lines.append(f"The registry is {here}; no 'up' runs in {Path.cwd()}.")
    elif here != (
        theirs := _shown(place_named(notice.started_with(settings.up, "AMF_REGISTRY") or str(REGISTRY)))
    ):
        lines.append(f"The registry is {here}; that of the running 'up' is {theirs}.")
    if named is not None and (running := _run_by_up(settings, named)):
        lines.append(f"In use as well, as the running 'up' has workers of them: {', '.join(running)}.")
    return lines


def _shown(registry: Path | Literal["redis"]) -> str:
    return "in Redis" if registry == IN_REDIS else str(registry.absolute())


def remembered(settings: Settings) -> str:
    """Return a line for who named no directory of definitions, where the registry's is taken."""
    return f"The agents are those of {settings.agents}, as last time; set AMF_AGENTS to take those of another."


def served_pool(framework: str, pool: str | None) -> str:
    """Return the pool that a worker serves.

    Args:
        framework: the worker's.
        pool: the pool as a person named it; None for the one of the framework.

    Raises:
        SetUpError: it is no name, or that of another framework.
    """
    if pool is None:
        return framework
    if re.fullmatch(POOL, pool) is None:
        raise SetUpError(f"--pool: '{pool}' {POOL_WORDS}.")
    if pool != framework and pool in all_frameworks():
        raise SetUpError(f"--pool: '{pool}' is that of another framework: start 'k8gentai worker {pool}'.")
    return pool


def served(names: str) -> tuple[str, ...]:
    """Return the agents of a list, split by commas.

    Raises:
        SetUpError: it has none.
    """
    found = tuple(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    if not found:
        raise SetUpError("--agents names no agent.")
    return found


def unserved(settings: Settings, framework: str, pool: str, only: Sequence[str] | None) -> list[str]:
    """Return lines for who starts a worker of a framework whose agents are all registered as unused, or that is to
    serve agents which are not of its pool.

    Args:
        settings: the settings of the registry that is read.
        framework: the worker's.
        pool: the worker's.
        only: the agents that it is to serve; None for all.
    """
    agents = {agent.id: agent for agent in settings.open_registry().list() if agent.framework == framework}
    lines = []
    if {agent.state for agent in agents.values()} == {"unused"}:
        names = ",".join([*in_use(settings), framework])
        lines.append(
            f"No turn will come to this worker: agents of '{framework}' are registered as unused. "
            f"'{PRODUCT.update} --frameworks {names}' takes them into use."
        )
    for name in only or ():
        if (agent := agents.get(name)) is None:
            lines.append(f"No agent '{name}' of '{framework}' is registered{did_you_mean(name, agents) or '.'}")
        elif agent.pool != pool:
            lines.append(
                f"No turn of '{name}' will come to this worker: its pool is '{agent.pool}', not '{pool}'."
            )
    return lines


def unknown_agent(registry: Registry, agent_id: str) -> SetUpError:
    """Return the error of an id that no agent of a registry has."""
    hint = did_you_mean(agent_id, (agent.id for agent in registry.list())) or ":"
    return SetUpError(f"No agent '{agent_id}' is registered{hint} 'k8gentai agents list' shows those there are.")


def refuse_to_empty(settings: Settings, found: Changes) -> None:
    """Refuse changes that would take more than half of the agents off the registry, or leave them without a
    definition.

    Raises:
        SetUpError: naming them, and what to do.
    """
    if not found.empties:
        return
    lost = sorted((*found.gone, *found.undefined))
    what = f"no longer defines {len(lost)} of the agents in {settings.registry_store().name}: {', '.join(lost)}"
    if not found.was_read:
        what = f"defines no agent, and {settings.registry_store().name} cannot be read"
    faults = "".join(f" {fault}." for fault in "\n".join(found.undefined.values()).splitlines())
    raise SetUpError(
        f"{settings.agents} {what}.{faults} Nothing was changed: mend them, name the one directory that has all "
        f"definitions, or links to them, in AMF_AGENTS, or take them off with '{PRODUCT.update} --yes'."
    )


def show_changes(found: Changes, console: Console, *, quietly: bool = False) -> None:
    """Print what a check changed in the registry, a line for each kind of change.

    Args:
        found: the changes.
        console: the console that they are printed to.
        quietly: say nothing where there are none.
    """
    changed = [name if "->" not in state else f"{name} ({state})" for name, state in found.changed.items()]
    new = [f"{name} (broken)" if name in found.new_broken else name for name in found.new]
    for title, names in (("New", new), ("Changed", changed), ("Gone", found.gone)):
        if names:
            console.print(f"{title}: {', '.join(names)}", markup=False, highlight=False, soft_wrap=True)
    for name, why in found.kept.items():
        console.print(f"[yellow]{escape(name)} stays as it was[/]: {escape(why)}", highlight=False, soft_wrap=True)
    for file in found.empty:
        console.print(f"[yellow]{escape(file)}[/] defines no agent: it is empty.", highlight=False, soft_wrap=True)
    for fault in found.faulty:
        console.print(f"[red]{escape(fault)}[/]", highlight=False, soft_wrap=True)
    if found.is_none and not quietly:
        console.print("No agent changed.", highlight=False)


def show(agents: Iterable[RegisteredAgent], console: Console, *, told_of: Collection[str] = ()) -> None:
    """Print the agents as a table, and what is wrong with the broken ones below it.

    Args:
        agents: the agents.
        console: where they are printed.
        told_of: ids of those about whose last check others tell.
    """
    agents = list(agents)
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    for column in ("agent", "framework", "version", "environment", "state"):
        # A name cut short is of no use for the next command.
        table.add_column(column, no_wrap=True, overflow="ignore")
    table.add_column("description", no_wrap=True, ratio=1)
    for agent in agents:
        description = agent.definition.spec.description if agent.definition else ""
        shown = (_shown_id(agent), agent.framework, agent.version or "-", agent.environment or "-")
        table.add_row(*map(escape, shown), _STATES[agent.state], escape(" ".join(description.split())))
    console.print(table)
    for agent in agents:
        if agent.state == "broken" and agent.error:
            console.print(f"[red]{escape(_shown_id(agent))}[/]: {escape(agent.error)}", soft_wrap=True)
        for warning in () if agent.id in told_of else agent.warnings:
            console.print(f"[yellow]{escape(_shown_id(agent))}[/]: {escape(warning)}", soft_wrap=True)
    show_not_used(agents, console)


def show_not_used(agents: Iterable[RegisteredAgent], console: Console) -> None:
    """Print a warning for each field of a definition that nothing reads."""
    for agent in agents:
        for field in (agent.not_used or "").splitlines():
            warning = f"[yellow]{escape(_shown_id(agent))}[/]: not used: {escape(field)}"
            console.print(warning, highlight=False, soft_wrap=True)


def _shown_id(agent: RegisteredAgent) -> str:
    """Return an agent's id. One that is longer than any may be is broken, no command takes it, and whole it would
    leave the other columns no room.
    """
    return agent.id if len(agent.id) <= _LONGEST_ID else f"{agent.id[:_SHOWN_OF_LONGER]}…"
