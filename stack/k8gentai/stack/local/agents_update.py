"""``k8gentai agents``: the registry, checked, written and shown."""

from collections.abc import Callable, Collection, Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from k8gentai.agents.registry import check
from k8gentai.agents.registry.changes import Changes
from k8gentai.agents.registry.definitions import read_documents
from k8gentai.agents.registry.registry import RegisteredAgent, Registry
from k8gentai.stack.environments.frameworks import all_frameworks, named_adapters, python_of
from k8gentai.stack.environments.installed import Say, SetUpError
from k8gentai.stack.local.settings import Settings

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
        settings: where the definitions and the registry are.
        say: called with what takes a while.
        frameworks: those in use; agents of others are registered as unused.
        keep: see :class:`k8gentai.agents.registry.check.Terms`.
        approve: called with what would change, before it is written; what it raises keeps the registry as it is.

    Raises:
        SetUpError: there is no directory of definitions, an environment cannot be made, or the registry
            cannot be written.
    """
    try:
        used = {document.framework for document in read_documents(settings.agents)}.intersection(all_frameworks())
        interpreters = {name: python_of(name, say) for name in sorted(used.intersection(frameworks))}
        adapters = {name: named.adapter for name, named in named_adapters().items()}
        terms = check.Terms(
            interpreters,
            in_use=tuple(frameworks),
            adapters=adapters,
            environment=settings.code_environment,
            keep=keep,
        )
        return check.update(settings.agents, settings.registry, terms, approve)
    except OSError as error:
        raise SetUpError(f"The agents of {settings.agents} cannot be registered: {error}") from error


def in_use(settings: Settings) -> tuple[str, ...]:
    """Return the frameworks whose agents are run: those of the settings, and those of agents that are ready, as
    workers may have been started for them beside ``up``."""
    ready = [agent.framework for agent in Registry(settings.registry).list() if agent.state == "ready"]
    here = all_frameworks()
    return tuple(dict.fromkeys([*settings.frameworks, *(name for name in ready if name in here)]))


def unserved(settings: Settings, framework: str) -> str | None:
    """Return a line for who starts a worker of a framework whose agents are all registered as unused; None where
    that is not so."""
    states = {agent.state for agent in Registry(settings.registry).list() if agent.framework == framework}
    if states != {"unused"}:
        return None
    names = ",".join([*in_use(settings), framework])
    return (
        f"No turn will come to this worker: agents of '{framework}' are registered as unused. "
        f"'./scripts/update-registry --frameworks {names}' takes them into use."
    )


def refuse_to_empty(settings: Settings, found: Changes) -> None:
    """Refuse changes that would take more than half of the agents off the registry, or leave them without a
    definition.

    Raises:
        SetUpError: naming them, and what to do.
    """
    if not found.empties:
        return
    lost = sorted((*found.gone, *found.undefined))
    what = f"no longer defines {len(lost)} of the agents in {settings.registry}: {', '.join(lost)}"
    if not found.was_read:
        what = f"defines no agent, and {settings.registry} cannot be read"
    faults = "".join(f" {fault}." for fault in "\n".join(found.undefined.values()).splitlines())
    raise SetUpError(
        f"{settings.agents} {what}.{faults} Nothing was changed: mend them, name the one directory that has all "
        "definitions, or links to them, in AMF_AGENTS, or take them off with --yes."
    )


def show_changes(found: Changes, console: Console) -> None:
    """Print what a check changed in the registry, a line for each kind of change."""
    changed = [name if "->" not in state else f"{name} ({state})" for name, state in found.changed.items()]
    for title, names in (("New", found.new), ("Changed", changed), ("Gone", found.gone)):
        if names:
            console.print(f"{title}: {', '.join(names)}", markup=False, highlight=False, soft_wrap=True)
    for name, why in found.kept.items():
        console.print(f"[yellow]{escape(name)} stays as it was[/]: {escape(why)}", highlight=False, soft_wrap=True)
    if not (found.new or found.changed or found.gone):
        console.print("No agent changed.", highlight=False)


def show(agents: Iterable[RegisteredAgent], console: Console) -> None:
    """Print the agents as a table, and what is wrong with the broken ones below it."""
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
        for warning in agent.warnings:
            console.print(f"[yellow]{escape(_shown_id(agent))}[/]: {escape(warning)}", soft_wrap=True)


def _shown_id(agent: RegisteredAgent) -> str:
    """Return an agent's id. One that is longer than any may be is broken, no command takes it, and whole it would
    leave the other columns no room.
    """
    return agent.id if len(agent.id) <= _LONGEST_ID else f"{agent.id[:_SHOWN_OF_LONGER]}…"
