"""The tools that an agent's definition brings, put together for a turn."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from k8gentai.agents.contract.turn import AgentLoadError, DeclaredTool, RequestError, Turn
from k8gentai.agents.tools.policies import check_policies
from k8gentai.workers.isolation.agents_loop import in_loop
from k8gentai.workers.queue.attempts import Started
from k8gentai.workers.tools.agent_cache import ReadyAgent
from k8gentai.workers.tools.agents import AgentTools
from k8gentai.workers.tools.concurrency import Slot

if TYPE_CHECKING:
    from k8gentai.agents.tools.mcp_servers import McpServers


class Toolbox:
    """What the agents of one worker share of their tools: the MCP servers that run as programs.

    Args:
        agents: other agents as tools.
    """

    def __init__(self, agents: AgentTools) -> None:
        self._agents = agents
        self._servers: McpServers | None = None

    @asynccontextmanager
    async def open(
        self, ready: ReadyAgent, started: Started, slot: Slot
    ) -> AsyncIterator[tuple[DeclaredTool, ...]]:
        """The tools of one attempt.

        Args:
            ready: whose.
            started: the attempt.
            slot: its place in the worker.

        Raises:
            McpServerError: a server did not name its tools.
            AgentLoadError: two of the tools have one name, or the definition says something of a tool that no
                server has.
            RequestError: the request brings a tool of the same name.
        """
        definition = ready.agent.definition
        async with AsyncExitStack() as closing:
            served: list[DeclaredTool] = []
            if any(entry.mcp for entry in definition.spec.tools):
                served = await closing.enter_async_context(self._mcp_servers().tools(definition))
                check_policies(definition, ready.found, (tool.name for tool in served))
            tools = (*ready.functions, *map(_of_this_loop, (*self._agents.of(ready, started, slot), *served)))
            _check_names(tools, started.accepted.turn)
            yield tools

    async def close(self) -> None:
        """End what runs for the tools."""
        if self._servers is not None:
            await self._servers.close()

    def _mcp_servers(self) -> "McpServers":
        if self._servers is None:
            # The library takes as long to import as some frameworks, and most agents have no server.
            from k8gentai.agents.tools.mcp_servers import McpServers

            self._servers = McpServers()
        return self._servers


def _of_this_loop(tool: DeclaredTool) -> DeclaredTool:
    """Return a tool whose connections are of the worker's own loop, to be called from any."""
    home = asyncio.get_running_loop()

    async def call(arguments: dict[str, Any]) -> str:
        return await in_loop(home, tool.call(arguments))

    return replace(tool, call=call)


def _check_names(tools: Iterable[DeclaredTool], turn: Turn) -> None:
    names = Counter(tool.name for tool in tools)
    if twice := [name for name, count in names.items() if count > 1]:
        raise AgentLoadError(f"spec.tools: two of them are named {twice[0]!r}; leave one out with mcp.tools")
    for tool in turn.tools:
        if tool.get("name") in names:
            raise RequestError(f"tools: the agent itself has a tool {tool['name']!r}")
