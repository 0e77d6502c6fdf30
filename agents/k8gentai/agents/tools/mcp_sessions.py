"""Sessions with MCP servers, each in a task of its own.

A session must end in the task it began in, and a connection that breaks cancels that task. Were it the turn's,
a server that goes away would end the turn; so it ends one call, whose error the model sees.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
from mcp import ClientSession, McpError
from mcp.types import CONNECTION_CLOSED, CallToolResult, ListToolsResult, PaginatedRequestParams

from k8gentai.agents.contract.turn import TurnError

_HUNG_UP = "the MCP server hung up"


class McpServerError(TurnError):
    """An MCP server could not be asked for its tools. The message names it and the cause."""

    code = "mcp_server_error"


class McpToolError(McpServerError):
    """A server has not got a tool that the definition lists."""


class McpUnauthorizedError(McpServerError):
    """An MCP server wants to know who asks, or does not know the one who does."""

    code = "mcp_unauthorized"


class UnsentError(ConnectionError):
    """The session was over before anything was sent: the call may be made again in another."""


class Session:
    """A session that is open, with calls that end when the connection does.

    Args:
        session: the library's.
    """

    def __init__(self, session: ClientSession) -> None:
        self._session = session
        self.ended = asyncio.Event()

    async def list_tools(self) -> ListToolsResult:
        """Return all tools of the server.

        Raises:
            ConnectionError: it hung up; UnsentError: it had done so before.
            McpError: it refused.
        """
        found = await self._while_open(self._session.list_tools())
        while found.nextCursor:
            page = PaginatedRequestParams(cursor=found.nextCursor)
            further = await self._while_open(self._session.list_tools(params=page))
            found = further.model_copy(update={"tools": [*found.tools, *further.tools]})
        return found

    async def call_tool(
        self, name: str, arguments: dict[str, Any], *, meta: dict[str, Any] | None = None
    ) -> CallToolResult:
        """Call a tool.

        Raises:
            ConnectionError: the server hung up; UnsentError: it had done so before.
            McpError: it refused.
        """
        return await self._while_open(self._session.call_tool(name, arguments, meta=meta))

    async def _while_open[T](self, call: Coroutine[Any, Any, T]) -> T:
        asking = asyncio.create_task(call)
        ending = asyncio.create_task(self.ended.wait())
        try:
            await asyncio.wait({asking, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise ConnectionError(_HUNG_UP)
            return asking.result()
        except (anyio.ClosedResourceError, anyio.BrokenResourceError) as error:
            self.ended.set()
            raise UnsentError(_HUNG_UP) from error
        except McpError as error:
            if error.error.code != CONNECTION_CLOSED:
                raise
            self.ended.set()
            raise ConnectionError(_HUNG_UP) from error
        finally:
            asking.cancel()
            ending.cancel()


class SessionKeeper:
    """Keeps a session with one server: opened when it is first asked for, and anew when it broke.

    Args:
        connect: opens a session.
    """

    def __init__(self, connect: Callable[[], AbstractAsyncContextManager[ClientSession]]) -> None:
        self._connect = connect
        self._owners: set[asyncio.Task[None]] = set()
        self._opened: asyncio.Future[Session] | None = None

    async def session(self) -> Session:
        """Return the session.

        Raises:
            Exception: the server could not be reached, or refused.
        """
        opened = self._opened
        if opened is None or (opened.done() and (opened.exception() or opened.result().ended.is_set())):
            opened = self._opened = asyncio.get_running_loop().create_future()
            owner = asyncio.create_task(self._own(opened))
            self._owners.add(owner)
            owner.add_done_callback(self._owners.discard)
        return await asyncio.shield(opened)

    def end(self) -> set[asyncio.Task[None]]:
        """End the session. Returns what is to be waited for, for those who wait."""
        opened = self._opened
        if opened is not None and opened.done() and not opened.exception():
            opened.result().ended.set()
        else:
            for owner in self._owners:
                owner.cancel()
        return set(self._owners)

    async def _own(self, opened: asyncio.Future[Session]) -> None:
        """Hold one session open until it is over or the connection breaks."""
        try:
            async with self._connect() as client:
                session = Session(client)
                opened.set_result(session)
                try:
                    await session.ended.wait()
                finally:
                    session.ended.set()
        except Exception as error:  # noqa: BLE001 - told to whoever waits for the session
            _fail(opened, first_error(error))
        finally:
            _fail(opened, ConnectionError(_HUNG_UP))


async def wait_for_ends(owners: set[asyncio.Task[None]], seconds: float) -> None:
    """Wait until sessions are over, and end those by force that take longer.

    Args:
        owners: what :meth:`SessionKeeper.end` gave.
    """
    if owners:
        _, late = await asyncio.wait(owners, timeout=seconds)
        for owner in late:
            owner.cancel()


def first_error(error: BaseException) -> BaseException:
    """Return the first error within nested groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _fail(opened: asyncio.Future[Session], error: BaseException) -> None:
    if not opened.done():
        opened.set_exception(error)
        # Nobody may be waiting any more; asyncio would complain that nobody saw the error.
        opened.exception()
