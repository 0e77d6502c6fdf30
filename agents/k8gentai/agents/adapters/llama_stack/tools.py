"""Has Llama Stack's Responses loop run its tools through the turn's tool boundary."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

from llama_stack.providers.inline.responses.builtin.responses.tool_executor import ToolExecutor
from llama_stack.providers.inline.responses.builtin.responses.types import (
    ChatCompletionContext,
    ToolExecutionResult,
)
from llama_stack.providers.utils.inference.prompt_adapter import interleaved_content_as_str
from llama_stack.providers.utils.tools.mcp import invoke_mcp_tool
from llama_stack_api import (
    OpenAIChatCompletionToolCall,
    OpenAIResponseInputToolFileSearch,
    OpenAIResponseInputToolMCP,
    OpenAIResponseInputToolWebSearch,
    OpenAIResponseOutputMessageFileSearchToolCall,
    OpenAIResponseOutputMessageMCPCall,
    OpenAIResponseOutputMessageWebSearchToolCall,
    OpenAIToolMessageParam,
)

from k8gentai.agents.adapters.llama_stack.mcp_sessions import McpSessions
from k8gentai.agents.adapters.llama_stack.searches import SEARCHES, ToolDefinitions, search_files, search_web
from k8gentai.agents.contract.stack_services import StackServices
from k8gentai.agents.contract.turn import DeclaredTool, ToolBoundary, ToolOutcome

OWN_URL = "worker:"
"""The address of the server on which the agent's own tools seem to be. Nobody asks for it."""


class McpToolError(Exception):
    """An MCP tool answered with an error, or was called with arguments that are no JSON object."""


class BoundaryToolExecutor(ToolExecutor):  # type: ignore[misc]
    """Runs the loop's calls of MCP and declared tools, and its searches, through the tool boundary.

    Args:
        boundary: the turn's tool boundary.
        stack: makes the searches.
        declared: the agent's own tools, which seem to the loop to be on a server.
        sessions: the turn's MCP sessions.
        published: waits until every event so far was taken, so that a call is known before it runs.
    """

    def __init__(
        self,
        boundary: ToolBoundary,
        stack: StackServices,
        declared: Iterable[DeclaredTool],
        sessions: McpSessions,
        published: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(
            tool_groups_api=ToolDefinitions(),
            tool_runtime_api=None,
            vector_io_api=None,
            mcp_session_manager=sessions,
        )
        self._boundary = boundary
        self._stack = stack
        self._declared = {tool.name: tool for tool in declared}
        self._published = published
        self.fault: Exception | None = None
        """The error that the boundary itself raised; the loop would make a nameless failure of it."""

    def skip(self, call_id: str) -> None:
        """Take a call that the loop answers without running a tool."""
        self._boundary.exempt(call_id)

    async def execute_tool_call(
        self,
        tool_call: OpenAIChatCompletionToolCall,
        ctx: ChatCompletionContext,
        sequence_number: int,
        output_index: int,
        item_id: str,
        mcp_tool_to_server: dict[str, OpenAIResponseInputToolMCP] | None = None,
    ) -> AsyncIterator[ToolExecutionResult]:
        """Run one call: of a server's tool, or one of the loop's own searches."""
        name, arguments = tool_call.function.name, tool_call.function.arguments or "{}"
        server = (mcp_tool_to_server or {}).get(name)
        parsed = _parse(arguments)

        async def run() -> str | ToolOutcome:
            if parsed is None:
                raise McpToolError(f"the arguments of {name} are not a JSON object: {arguments}")
            if server is None:
                return await self._search(name, parsed, ctx)
            return await self._invoke(server, name, parsed)

        await self._published()
        approval = server is not None and _needs_approval(server, name)
        try:
            outcome = await self._boundary.call(tool_call.id, name, parsed or {}, run, approval=approval)
        except Exception as error:
            self.fault = error
            raise
        yield ToolExecutionResult(
            sequence_number=sequence_number,
            final_output_message=_item(item_id, tool_call, server, outcome),
            final_input_message=OpenAIToolMessageParam(content=outcome.output, tool_call_id=tool_call.id),
            citation_files={result["file_id"]: result["filename"] for result in outcome.results},
        )

    async def _search(self, name: str, arguments: dict[str, Any], ctx: ChatCompletionContext) -> ToolOutcome:
        offered = ctx.response_tools or ()
        if SEARCHES[name] == "web_search_call":
            web = any(isinstance(tool, OpenAIResponseInputToolWebSearch) for tool in offered)
            return await search_web(self._stack, offered=web, arguments=arguments)
        files = [tool for tool in offered if isinstance(tool, OpenAIResponseInputToolFileSearch)]
        return await search_files(self._stack, files[0] if files else None, arguments)

    async def _invoke(self, server: OpenAIResponseInputToolMCP, name: str, arguments: dict[str, Any]) -> str:
        if tool := self._declared.get(name):
            return await tool.call(arguments)
        if server.server_url == OWN_URL:
            raise McpToolError(f"there is no tool {name!r}")
        result = await invoke_mcp_tool(
            endpoint=server.server_url,
            tool_name=name,
            kwargs=arguments,
            headers=server.headers,
            authorization=server.authorization,
            session_manager=self.mcp_session_manager,
        )
        text = str(interleaved_content_as_str(result.content))
        if result.error_code or result.error_message:
            raise McpToolError(result.error_message or text)
        return text


def _item(
    item_id: str,
    tool_call: OpenAIChatCompletionToolCall,
    server: OpenAIResponseInputToolMCP | None,
    outcome: ToolOutcome,
) -> Any:
    """Return the call as the loop keeps it. The client is shown what the tool boundary tells."""
    status = "failed" if outcome.is_error else "completed"
    name, arguments = tool_call.function.name, tool_call.function.arguments or "{}"
    if server is not None:
        return OpenAIResponseOutputMessageMCPCall(
            id=item_id,
            arguments=arguments,
            name=name,
            server_label=server.server_label,
            **{"error" if outcome.is_error else "output": outcome.output},
        )
    if SEARCHES[name] == "web_search_call":
        return OpenAIResponseOutputMessageWebSearchToolCall(id=item_id, status=status)
    return OpenAIResponseOutputMessageFileSearchToolCall(
        id=item_id, queries=[arguments], status=status, results=outcome.results
    )


def _needs_approval(server: OpenAIResponseInputToolMCP, name: str) -> bool:
    """Return whether the request wants a person to approve calls of this tool; where it names some tools only and
    not this one, it does.
    """
    wanted = server.require_approval
    if isinstance(wanted, str):
        return wanted == "always"
    return name in (wanted.always or ()) or name not in (wanted.never or ())


def _parse(arguments: str) -> dict[str, Any] | None:
    try:
        parsed = json.loads(arguments)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None
