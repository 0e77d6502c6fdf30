"""A turn's sessions with MCP servers, one a server, each in a task of its own.

A session must end in the task it began in, and a connection that breaks cancels that task. Were it the turn's,
a server that goes away would end the turn; so it ends one call, whose error the model sees.
"""

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

from llama_stack.providers.utils.tools.mcp import client_wrapper  # type: ignore[import-untyped]
from mcp import ClientSession
from mcp.types import CallToolResult, ListToolsResult

_CLOSING_SECONDS = 3
"""How long the servers of a turn may take to hear that it is over."""

_HUNG_UP = "the MCP server hung up"


class _Session:
    """What Llama Stack uses of a session, with calls that end when the connection does."""

    def __init__(self, session: ClientSession) -> None:
        self._session = session
        self.ended = asyncio.Event()

    async def list_tools(self) -> ListToolsResult:
        return await self._while_open(self._session.list_tools())

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> CallToolResult:
        return await self._while_open(self._session.call_tool(name, arguments))

    async def _while_open[T](self, call: Coroutine[Any, Any, T]) -> T:
        asking = asyncio.create_task(call)
        ending = asyncio.create_task(self.ended.wait())
        try:
            await asyncio.wait({asking, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise ConnectionError(_HUNG_UP)
            return asking.result()
        finally:
            asking.cancel()
            ending.cancel()


class McpSessions:
    """Opens sessions when they are first asked for, and closes them all on leaving.

    What Llama Stack calls a session manager: ``list_mcp_tools`` and ``invoke_mcp_tool`` take it as one.
    """

    def __init__(self) -> None:
        self._over = asyncio.Event()
        self._owners: set[asyncio.Task[None]] = set()
        self._opened: dict[tuple[Any, ...], asyncio.Future[_Session]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._owners:
            _, late = await asyncio.wait(self._owners, timeout=_CLOSING_SECONDS)
            for owner in late:
                owner.cancel()

    async def get_session(self, endpoint: str, headers: dict[str, str]) -> _Session:
        """The session with a server, a new one if there is none or it broke.

        Raises:
            Exception: the server could not be reached, or refused.
        """
        key = (endpoint, *sorted(headers.items()))
        opened = self._opened.get(key)
        if opened is None or (opened.done() and (opened.exception() or opened.result().ended.is_set())):
            opened = self._opened[key] = asyncio.get_running_loop().create_future()
            owner = asyncio.create_task(self._own(endpoint, headers, opened))
            self._owners.add(owner)
            owner.add_done_callback(self._owners.discard)
        return await asyncio.shield(opened)

    async def _own(self, endpoint: str, headers: dict[str, str], opened: asyncio.Future[_Session]) -> None:
        """Hold one session open until the turn is over or the connection breaks."""
        try:
            async with client_wrapper(endpoint, headers) as client:
                session = _Session(client)
                opened.set_result(session)
                try:
                    await self._over.wait()
                finally:
                    session.ended.set()
        except Exception as error:  # noqa: BLE001 - told to whoever waits for the session
            _fail(opened, error)
        finally:
            _fail(opened, ConnectionError(_HUNG_UP))


def _fail(opened: asyncio.Future[_Session], error: Exception) -> None:
    if not opened.done():
        opened.set_exception(error)
        # Nobody may be waiting any more; asyncio would complain that nobody saw the error.
        opened.exception()
