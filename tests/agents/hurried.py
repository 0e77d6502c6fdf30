"""Agents that do not wait long: for a model, and for a tool."""

import asyncio
import contextlib
import re

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelFallbackMiddleware, ModelRequest
from langchain_core.messages import ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import MessagesState, StateGraph
from langgraph.prebuilt.tool_node import ToolCallRequest

from tests.agents.scribe import linger, write

_SECONDS = 1.0
_TOOLS = {"write": tool(write), "linger": tool(linger)}


class OtherModel(AgentMiddleware):
    """Asks another model where one has not answered in time, whatever that has said."""

    async def awrap_model_call(self, request: ModelRequest, handler):
        try:
            return await asyncio.wait_for(handler(request), _SECONDS)
        except TimeoutError:
            return await handler(request.override(model=ChatOpenAI(model="quick")))


class Guard(AgentMiddleware):
    """Tries a tool twice, and waits no longer for it."""

    async def awrap_tool_call(self, request: ToolCallRequest, handler):
        for _ in range(2):
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(handler(request), _SECONDS)
        return ToolMessage("took too long", tool_call_id=request.tool_call["id"])


async def use_tools(state: MessagesState) -> MessagesState:
    """Run the tools that the model calls by hand, and wait no longer for one."""
    model = ChatOpenAI(model="somebody-elses-model").bind_tools(list(_TOOLS.values()))
    said = [await model.ainvoke(state["messages"])]
    while said[-1].tool_calls:
        for call in said[-1].tool_calls:
            try:
                said.append(await asyncio.wait_for(_TOOLS[call["name"]].ainvoke(call), _SECONDS))
            except TimeoutError:
                said.append(ToolMessage("took too long", tool_call_id=call["id"]))
        said.append(await model.ainvoke([*state["messages"], *said]))
    return {"messages": said}


async def race(state: MessagesState) -> MessagesState:
    """Write what the quicker of two models says, and wait for the other then."""
    model, asked = ChatOpenAI(model="somebody-elses-model"), str(state["messages"][-1].content)
    key, path = re.findall(r"\[\[(.+?)\]\] (\S+)", asked)[0]
    asking = [asyncio.create_task(model.ainvoke(f"[[{key}-{name}]]")) for name in ("a", "b")]
    done, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
    arguments = {"path": path, "line": str(done.pop().result().content)}
    await _TOOLS["write"].ainvoke({"name": "write", "args": arguments, "id": "own", "type": "tool_call"})
    await asyncio.wait(asking)
    return {"messages": [await model.ainvoke(state["messages"])]}


falling_back = create_agent(
    ChatOpenAI(model="slow", timeout=_SECONDS, max_retries=0),
    [write],
    middleware=[ModelFallbackMiddleware(ChatOpenAI(model="quick"))],
)
waiting = create_agent(ChatOpenAI(model="slow"), [write], middleware=[OtherModel()])
guarding = create_agent(ChatOpenAI(model="somebody-elses-model"), [linger], middleware=[Guard()])
using = StateGraph(MessagesState).add_node(use_tools).set_entry_point("use_tools").compile()
racing = StateGraph(MessagesState).add_node(race).set_entry_point("race").compile()
