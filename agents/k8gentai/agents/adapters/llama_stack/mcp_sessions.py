"""A turn's sessions with the MCP servers of its request, one a server."""

from functools import partial
from types import TracebackType
from typing import Any, Self

from llama_stack.providers.utils.tools.mcp import client_wrapper

from k8gentai.agents.tools.mcp_sessions import Session, SessionKeeper, wait_for_ends

_CLOSING_SECONDS = 3
"""The seconds that the servers of a turn may take to hear that it is over."""


class McpSessions:
    """Opens sessions when they are first asked for, and closes them all on leaving.

    What Llama Stack calls a session manager: ``list_mcp_tools`` and ``invoke_mcp_tool`` take it as one.
    """

    def __init__(self) -> None:
        self._keepers: dict[tuple[Any, ...], SessionKeeper] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        owners = [keeper.end() for keeper in self._keepers.values()]
        await wait_for_ends(set().union(*owners), _CLOSING_SECONDS)

    async def get_session(self, endpoint: str, headers: dict[str, str]) -> Session:
        """Return the session with a server, a new one if there is none or it broke.

        Raises:
            Exception: the server could not be reached, or refused.
        """
        key = (endpoint, *sorted(headers.items()))
        if key not in self._keepers:
            self._keepers[key] = SessionKeeper(partial(client_wrapper, endpoint, headers))
        return await self._keepers[key].session()
