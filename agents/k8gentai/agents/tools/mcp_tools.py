"""Asks the MCP servers that a definition names for their tools, before any turn does."""

import asyncio
from dataclasses import dataclass

from k8gentai.agents.contract.turn import AgentLoadError
from k8gentai.agents.resources.agent import AgentDefinition, ToolTerms
from k8gentai.agents.tools.mcp_servers import McpServers
from k8gentai.agents.tools.mcp_sessions import McpServerError, McpToolError

_SECONDS = 5.0
"""How long a server may take: a check is no turn, and whoever makes it waits."""


@dataclass(frozen=True)
class Served:
    """What a definition's servers answered.

    Attributes:
        names: of the tools; None where a server did not answer.
        warnings: of those that did not answer, the reasons.
    """

    names: frozenset[str] | None
    warnings: tuple[str, ...] = ()


def served(definition: AgentDefinition) -> Served:
    """Ask the servers of a definition, all at once.

    Raises:
        AgentLoadError: one has not got a tool that the definition lists, naming the field and the tools it has.
    """
    return asyncio.run(_served(definition))


async def _served(definition: AgentDefinition) -> Served:
    servers = McpServers()
    entries = [(number, entry) for number, entry in enumerate(definition.spec.tools) if entry.mcp]
    try:
        answers = await asyncio.gather(*(_asked(servers, definition, *each) for each in entries))
    finally:
        await servers.close()
    names = {name for answer in answers if answer.names is not None for name in answer.names}
    warnings = tuple(warning for answer in answers for warning in answer.warnings)
    return Served(None if warnings else frozenset(names), warnings)


async def _asked(servers: McpServers, definition: AgentDefinition, number: int, entry: ToolTerms) -> Served:
    assert entry.mcp is not None  # noqa: S101 - the caller looked
    soon = entry.mcp.model_copy(update={"start_seconds": min(_SECONDS, entry.mcp.start_seconds)})
    alone = definition.spec.model_copy(update={"tools": [entry.model_copy(update={"mcp": soon})]})
    try:
        async with servers.tools(definition.model_copy(update={"spec": alone})) as found:
            return Served(frozenset(tool.name for tool in found))
    except McpToolError as error:
        raise AgentLoadError(f"spec.tools.{number}.mcp.tools: {error}") from error
    except McpServerError as error:
        return Served(None, (f"spec.tools.{number}.mcp: {error}. Its tools are checked when a turn begins",))
