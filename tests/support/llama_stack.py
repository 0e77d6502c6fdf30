"""What the tests of the Llama Stack adapter share: a turn's context, a tool boundary, an MCP server."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import structlog
from mcp.server.fastmcp import FastMCP

from k8gentai.agents.adapters.llama_stack.adapter import LlamaStackAdapter
from k8gentai.agents.contract.turn import ModelEndpoint, ToolOutcome, Turn, TurnContext
from k8gentai.agents.resources.agent import AgentDefinition, implicit_agent
from k8gentai.stack.conformance.loopback import LoopbackServer
from tests.support.services import FakeServices


class Boundary:
    """Runs every tool, as the harness's boundary does, and keeps what it saw."""

    def __init__(self, events: list | None = None) -> None:
        self.calls: list[tuple] = []
        self.events = events if events is not None else []
        self.approvals: list[bool] = []
        self.known: list[int] = []
        """How many events had been taken when each call came."""
        self.exempted: list[str] = []

    def begin_anew(self):
        """Nothing is kept of calls here."""

    def exempt(self, call_id, *, ran=False):
        self.exempted.append(call_id)

    async def call(self, call_id, name, arguments, run, *, approval=False, starts_work=False):
        self.approvals.append(approval)
        self.calls.append((call_id, name, arguments))
        self.known.append(len(self.events))
        try:
            result = await run()
            return result if isinstance(result, ToolOutcome) else ToolOutcome(result)
        except Exception as error:  # noqa: BLE001 - whatever a tool raises
            return ToolOutcome(str(error), is_error=True)


def context_for(
    base_url: str, *, key: str = "turn-key", tools=None, max_steps: int = 25, stack=None
) -> TurnContext:
    # As much of one as this adapter uses.
    boundary: Any = tools or Boundary()
    return TurnContext(
        attempt=1,
        model=ModelEndpoint(base_url=base_url, api_key=key, model=None),
        tools=boundary,
        max_steps=max_steps,
        stack=stack or FakeServices(),
        log=structlog.get_logger(),
    )


def boundary_of(context: TurnContext) -> Boundary:
    """Return the boundary double that a turn's context has."""
    assert isinstance(context.tools, Boundary)
    return context.tools


def user(text: str) -> dict:
    return {"type": "message", "role": "user", "content": text}


def turn_of(*items, **fields) -> Turn:
    """A turn; a plain string is a user's message."""
    read = [user(item) if isinstance(item, str) else item for item in items]
    return Turn(id="resp_1", agent="scripted-model", input=read, **fields)


async def run(
    adapter: LlamaStackAdapter, turn: Turn, context: TurnContext, definition: AgentDefinition | None = None
) -> list:
    """All events of a turn. What the boundary double of the context keeps counts them too."""
    agent = adapter.load(definition or implicit_agent("scripted-model"))
    events = boundary_of(context).events
    async for event in adapter.run(agent, turn, context):
        events.append(event)
    return events


class McpServer(LoopbackServer):
    """A real MCP server (streamable HTTP) with three tools, on a free loopback port.

    Args:
        prefix: of their names.
        tools: functions that are tools as well.
    """

    def __init__(self, prefix: str = "", *tools: Callable[..., object]) -> None:
        mcp = FastMCP("tools", stateless_http=True, log_level="ERROR")
        self.added: list[tuple[int, int]] = []

        def add(a: int, b: int) -> str:
            self.added.append((a, b))
            return f"sum={a + b}"

        def fail() -> str:
            raise RuntimeError("the tool broke")

        self.waiting = threading.Event()

        async def wait() -> str:
            self.waiting.set()
            await asyncio.sleep(20)
            return "late"

        mcp.add_tool(wait, name=f"{prefix}wait")
        mcp.add_tool(add, name=f"{prefix}add")
        mcp.add_tool(fail, name=f"{prefix}fail")
        for tool in tools:
            mcp.add_tool(tool)
        super().__init__(mcp.streamable_http_app())

    @property
    def url(self) -> str:
        return f"{self.origin}/mcp"


def mcp_tool(server: McpServer, label: str = "calc", **fields) -> dict:
    return {"type": "mcp", "server_label": label, "server_url": server.url, **fields}
