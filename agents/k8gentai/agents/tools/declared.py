"""What a definition says of its tools, checked as far as that goes without asking anybody."""

import shutil

from k8gentai.agents.contract.turn import AgentFaultsError, AgentLoadError, DeclaredTool
from k8gentai.agents.resources.agent import AgentDefinition, ToolTerms
from k8gentai.agents.tools.functions import function_tool


def load_functions(definition: AgentDefinition) -> list[DeclaredTool]:
    """Check a definition's tools, and import the functions among them.

    Raises:
        AgentLoadError: naming each field at fault.
    """
    functions: list[DeclaredTool] = []
    faults: list[AgentLoadError] = []
    for number, entry in enumerate(definition.spec.tools):
        try:
            _check(definition, number)
            if entry.function:
                functions.append(_function(entry, entry.function, f"spec.tools.{number}"))
        except AgentLoadError as error:
            faults.append(error)
    if len(faults) > 1:
        raise AgentFaultsError(faults)
    if faults:
        raise faults[0]
    return functions


def _check(definition: AgentDefinition, number: int) -> None:
    """Check one of a definition's tools.

    Raises:
        AgentLoadError: naming the field at fault.
    """
    spec, field = definition.spec, f"spec.tools.{number}"
    entry = spec.tools[number]
    if spec.entrypoint and entry.source:
        raise AgentLoadError(f"{field}.{entry.source}: an agent with an entrypoint has its tools in its code")
    # A server's name is no tool's.
    if any(entry.name == other.name and bool(entry.mcp) == bool(other.mcp) for other in spec.tools[:number]):
        raise AgentLoadError(f"{field}.name: {entry.name!r} is given twice")
    if entry.mcp and entry.mcp.command and not shutil.which(entry.mcp.command):
        raise AgentLoadError(f"{field}.mcp.command: there is no program {entry.mcp.command!r}")


def _function(entry: ToolTerms, reference: str, field: str) -> DeclaredTool:
    try:
        return function_tool(entry, reference)
    except AgentLoadError as error:
        raise AgentLoadError(f"{field}.function: {error}") from error
