"""Agents that do not wait long: for a model, and for a tool."""

import asyncio

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelFallbackMiddleware, ModelRequest, ToolCallRequest
from langchain_core.messages import ToolMessage
from langchain_openai import ChatOpenAI

from tests.agents.scribe import linger, write

_SECONDS = 1.0


class OtherModel(AgentMiddleware):
    """Asks another model where one has not answered in time, whatever that has said."""

    async def awrap_model_call(self, request: ModelRequest, handler):
        try:
            return await asyncio.wait_for(handler(request), _SECONDS)
        except TimeoutError:
            return await handler(request.override(model=ChatOpenAI(model="quick")))


class NoTool(AgentMiddleware):
    """Waits no longer for a tool."""

    async def awrap_tool_call(self, request: ToolCallRequest, handler):
        try:
            return await asyncio.wait_for(handler(request), _SECONDS)
        except TimeoutError:
            return ToolMessage("took too long", tool_call_id=request.tool_call["id"])


falling_back = create_agent(
    ChatOpenAI(model="slow", timeout=_SECONDS, max_retries=0),
    [write],
    middleware=[ModelFallbackMiddleware(ChatOpenAI(model="quick"))],
)
waiting = create_agent(ChatOpenAI(model="slow"), [write], middleware=[OtherModel()])
using = create_agent(ChatOpenAI(model="somebody-elses-model"), [write, linger], middleware=[NoTool()])
