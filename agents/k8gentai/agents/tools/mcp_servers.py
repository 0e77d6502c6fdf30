"""MCP servers that definitions name: programs that are shared by all turns of a worker, and addresses.

A program is started with the first turn that needs it, and again when it died; it ends with the worker. With an
address each turn has a session of its own, because a call that breaks the connection ends all that share it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx
from mcp import ClientSession, McpError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import (
    CONNECTION_CLOSED,
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    TextContent,
)
from mcp.types import Tool as ServerTool

from k8gentai.agents.contract.idempotency import idempotency_key
from k8gentai.agents.contract.turn import DeclaredTool, ToolFailedError
from k8gentai.agents.resources.agent import AgentDefinition, McpServer, ToolTerms
from k8gentai.agents.text.http_address import shown_address
from k8gentai.agents.text.suggestion import did_you_mean
from k8gentai.agents.tools.images import show_image
from k8gentai.agents.tools.mcp_sessions import (
    McpServerError,
    McpToolError,
    SessionKeeper,
    UnsentError,
    first_error,
    wait_for_ends,
)

KEY_META = "k8gentai/idempotency-key"
"""Where a server finds a call's idempotency key: in ``params._meta`` of ``tools/call``."""

_CALL_SECONDS = 60.0
"""How long a call may take where the definition says nothing."""
_CONNECT_SECONDS = 10.0
_ENDED = "ended before it named its tools"
_CLOSING_SECONDS = 5.0
"""How long programs may take to end with the worker. The library kills one that takes 2 s."""


class McpServers:
    """The MCP servers of one worker's agents."""

    def __init__(self) -> None:
        self._programs: dict[str, SessionKeeper] = {}
        self._ending: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def tools(self, definition: AgentDefinition) -> AsyncIterator[list[DeclaredTool]]:
        """The tools of a definition's servers, for one turn.

        Raises:
            McpServerError: a server did not name its tools in time, or not those that the definition wants.
        """
        entries = [(entry, entry.mcp) for entry in definition.spec.tools if entry.mcp]
        keepers = [self._keeper(server) for _, server in entries]
        policies = {entry.name: entry for entry in definition.spec.tools if entry.source is None}
        found: list[DeclaredTool] = []
        try:
            for (entry, server), keeper in zip(entries, keepers, strict=True):
                for tool in await _list(entry, server, keeper):
                    policy = policies.get(tool.name, entry).model_copy(update={"name": tool.name})
                    found.append(_declared(tool, keeper, policy))
            yield found
        finally:
            for (_, server), keeper in zip(entries, keepers, strict=True):
                if server.url:
                    # Nobody waits for a server to hear that a turn is over.
                    self._keep_ending(keeper.end())

    async def close(self) -> None:
        """End the programs, and all sessions."""
        for keeper in self._programs.values():
            self._keep_ending(keeper.end())
        await wait_for_ends(set(self._ending), _CLOSING_SECONDS)

    def _keep_ending(self, owners: set[asyncio.Task[None]]) -> None:
        for owner in owners:
            self._ending.add(owner)
            owner.add_done_callback(self._ending.discard)

    def _keeper(self, server: McpServer) -> SessionKeeper:
        if server.url:
            return SessionKeeper(partial(_address, server.url, server.headers))
        key = server.model_dump_json(include={"command", "args", "env"})
        return self._programs.setdefault(key, SessionKeeper(partial(_program, server)))


@asynccontextmanager
async def _program(server: McpServer) -> AsyncIterator[ClientSession]:
    parameters = StdioServerParameters(command=server.command or "", args=server.args, env=server.env)
    async with stdio_client(parameters) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        yield session


@asynccontextmanager
async def _address(url: str, headers: dict[str, str]) -> AsyncIterator[ClientSession]:
    # How long an answer may take is the caller's to limit.
    timeout = httpx.Timeout(_CONNECT_SECONDS, read=None)
    async with (
        httpx.AsyncClient(headers=headers, timeout=timeout) as client,
        streamable_http_client(url, http_client=client) as (read, write, _),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        yield session


async def _list(entry: ToolTerms, server: McpServer, keeper: SessionKeeper) -> list[ServerTool]:
    """Return the tools of a server that the definition wants.

    Raises:
        McpServerError: naming the tool's entry, the server and the cause.
    """
    try:
        async with asyncio.timeout(server.start_seconds):
            try:
                listed = await (await keeper.session()).list_tools()
            except ConnectionError:
                # It ended since it was last used. Asking for tools changes nothing, so it may be done again.
                listed = await (await keeper.session()).list_tools()
    except TimeoutError as error:
        raise _away(entry, server, f"did not answer within {server.start_seconds:g} s") from error
    except Exception as error:
        raise _away(entry, server, _cause(error)) from error
    if server.tools is None:
        return listed.tools
    by_name = {tool.name: tool for tool in listed.tools}
    if missing := [name for name in server.tools if name not in by_name]:
        hint = did_you_mean(missing[0], by_name) or "."
        has = ", ".join(sorted(by_name)) or "none"
        raise McpToolError(_said(entry, server, f"has no tool {missing[0]!r}{hint} It has: {has}"))
    return [by_name[name] for name in server.tools]


def _declared(tool: ServerTool, keeper: SessionKeeper, policy: ToolTerms) -> DeclaredTool:
    async def call(arguments: dict[str, Any]) -> str:
        key = idempotency_key()
        meta = {KEY_META: key} if key else None
        try:
            result = await (await keeper.session()).call_tool(tool.name, arguments, meta=meta)
        except UnsentError:
            result = await (await keeper.session()).call_tool(tool.name, arguments, meta=meta)
        except McpError as error:
            raise ToolFailedError(error.error.message) from error
        text = _as_text(result)
        if result.isError:
            raise ToolFailedError(text or "the tool failed and did not say why")
        return text

    if policy.timeout_seconds is None:
        policy = policy.model_copy(update={"timeout_seconds": _CALL_SECONDS})
    return DeclaredTool(
        name=tool.name,
        description=tool.description or tool.title or tool.name,
        parameters={"properties": {}, **tool.inputSchema},
        call=call,
        policy=policy,
    )


def _as_text(result: CallToolResult) -> str:
    """Return a result for the model: its texts, names for images and other data, and the JSON of what is none of
    these. The images are shown.
    """
    return "\n".join(map(_block_text, result.content))


def _block_text(block: ContentBlock) -> str:
    match block:
        case TextContent():
            return block.text
        case ImageContent():
            return show_image(f"data:{block.mimeType};base64,{block.data}")
        case AudioContent():
            return "[audio]"
        case EmbeddedResource(resource=BlobResourceContents() as blob):
            if (blob.mimeType or "").startswith("image/"):
                return show_image(f"data:{blob.mimeType};base64,{blob.blob}")
            return "[file]"
    return block.model_dump_json(exclude_none=True)


def _away(entry: ToolTerms, server: McpServer, cause: str) -> McpServerError:
    return McpServerError(_said(entry, server, cause))


def _said(entry: ToolTerms, server: McpServer, what: str) -> str:
    return f"tool {entry.name!r}: the MCP server {_shown(server)} {what}"


def _shown(server: McpServer) -> str:
    """Return the server without what may be secret: a program's arguments, an address's query and user."""
    if server.command:
        return repr(server.command)
    return shown_address(server.url or "")


def _cause(error: Exception) -> str:
    match first_error(error):
        case httpx.HTTPStatusError() as refused:
            return f"answered {refused.response.status_code} {refused.response.reason_phrase}"
        case httpx.TransportError() as broken:
            return f"cannot be reached ({type(broken).__name__})"
        case FileNotFoundError() | PermissionError() as missing:
            return f"cannot be started: {missing.strerror}"
        case McpError() as closed if closed.error.code == CONNECTION_CLOSED:
            return _ENDED
        case ConnectionError():
            return _ENDED
        case other:
            return f"failed: {other}"
