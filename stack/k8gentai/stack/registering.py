"""``k8gentai agents``: the registry, checked, written and shown."""

from collections.abc import Collection, Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from k8gentai.agents import check
from k8gentai.agents.reading import read_documents
from k8gentai.agents.registry import RegisteredAgent
from k8gentai.stack.environments import Say, SetUpError
from k8gentai.stack.frameworks import all_frameworks, named_adapters, python_of
from k8gentai.stack.settings import Settings

_STATES = {"ready": "[green]ready[/]", "broken": "[red]broken[/]", "unused": "[dim]unused[/]"}


def update(settings: Settings, say: Say, frameworks: Collection[str]) -> list[RegisteredAgent]:
    """Check every definition in its framework's environment, which is made first, and write the registry.

    Args:
        say: is told what takes a while.
        frameworks: those in use; agents of others are registered as unused.

    Raises:
        SetUpError: there is no directory of definitions, an environment cannot be made, or the registry
            cannot be written.
    """
    try:
        used = {document.framework for document in read_documents(settings.agents)}.intersection(all_frameworks())
        interpreters = {name: python_of(name, say) for name in sorted(used.intersection(frameworks))}
        adapters = {name: named.adapter for name, named in named_adapters().items()}
        return check.update(settings.agents, settings.registry, interpreters, adapters=adapters)
    except OSError as error:
        raise SetUpError(f"The agents of {settings.agents} cannot be registered: {error}") from error


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
        shown = (agent.id, agent.framework, agent.version or "-", agent.environment or "-")
        table.add_row(*map(escape, shown), _STATES[agent.state], escape(" ".join(description.split())))
    console.print(table)
    for agent in agents:
        if agent.state == "broken" and agent.error:
            console.print(f"[red]{escape(agent.id)}[/]: {escape(agent.error)}", soft_wrap=True)
