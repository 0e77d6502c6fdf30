"""Holds what a definition asks of tools against the tools there are: nobody would keep a rule for any other."""

from collections.abc import Iterable
from dataclasses import replace

from k8gentai.agents.contract.turn import Adapter, AgentLoadError, FoundTools, LoadedAgent
from k8gentai.agents.resources.agent import AgentDefinition
from k8gentai.agents.text.suggestion import did_you_mean


def found_tools[A: LoadedAgent](adapter: Adapter[A], agent: A) -> FoundTools:
    """Return the tools of a loaded agent: its adapter's, which may know none, and those that its
    definition names.
    """
    found = adapter.tools(agent) if hasattr(adapter, "tools") else FoundTools()
    tools = agent.definition.spec.tools
    brought = {entry.name for entry in tools if entry.function or entry.agent}
    listed = {name for entry in tools if entry.mcp for name in entry.mcp.tools or ()}
    return replace(found, names=found.names | brought | listed)


def check_policies(definition: AgentDefinition, found: FoundTools, served: Iterable[str] | None = None) -> None:
    """Refuse a definition that says something of a tool that is not there.

    Args:
        definition: the agent's.
        found: the agent's tools.
        served: the names of the tools that its MCP servers have; None before they are asked, when nothing is
            refused that one of them may have.

    Raises:
        AgentLoadError: naming the field at fault, and the tools there are.
    """
    tools = definition.spec.tools
    if served is None and any(entry.mcp and entry.mcp.tools is None for entry in tools):
        return
    names = found.names.union(served or ())
    for number, entry in enumerate(tools):
        looked_for = entry.source is None and not entry.dynamic and entry.boundary is None
        if looked_for and entry.name not in names:
            hint = "" if found.complete else _MADE_LATER
            raise AgentLoadError(f"spec.tools.{number}.name: {_no_such_tool(entry.name, names)}{hint}")


_MADE_LATER = ". If it is made while a turn runs, write 'dynamic: true' beside its name"


def _no_such_tool(name: str, names: frozenset[str]) -> str:
    hint = did_you_mean(name, names) or "."
    return f"there is no tool {name!r}{hint} The tools there are: {', '.join(sorted(names)) or 'none'}"
