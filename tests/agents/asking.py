"""Existing LangGraph code that asks a person, unchanged: its own ``interrupt()``, and LangChain's middleware."""

import asyncio
import operator
import random
from functools import partial
from pathlib import Path
from typing import Annotated

from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware, wrap_tool_call
from langchain_core.messages import AIMessage
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Send, interrupt


def write(path: str, line: str) -> str:
    """Add a line to a file."""
    with Path(path).open("a") as file:
        file.write(f"{line}\n")
    return f"wrote {line}"


watched = create_agent(
    ChatOpenAI(model="somebody-elses-model"),
    tools=[write],
    middleware=[HumanInTheLoopMiddleware(interrupt_on={"write": True})],
)


@wrap_tool_call
async def write_another(request, handler):
    args = {**request.tool_call["args"], "line": "another"}
    return await handler(request.override(tool_call={**request.tool_call, "args": args}))


rewritten = create_agent(
    ChatOpenAI(model="somebody-elses-model"),
    tools=[write],
    middleware=[HumanInTheLoopMiddleware(interrupt_on={"write": True}), write_another],
)


def draft(state: MessagesState) -> MessagesState:
    return {"messages": [ChatOpenAI(model="somebody-elses-model").invoke(state["messages"])]}


def sign(state: MessagesState) -> MessagesState:
    name = interrupt({"question": "Who signs?"})
    return {"messages": [AIMessage(f"Signed: {name}")]}


async def inquire(who: str, question: str) -> str:
    """Ask somebody."""
    # Which of several asks first is another each time.
    await asyncio.sleep(random.random() / 10)
    return f"{who} says {interrupt({'who': who, 'question': question})}"


inquiring = create_agent(ChatOpenAI(model="somebody-elses-model"), tools=[inquire])

letters = (
    StateGraph(MessagesState)
    .add_node(draft)
    .add_node(sign)
    .add_edge(START, "draft")
    .add_edge("draft", "sign")
    .add_edge("sign", END)
    .compile()
)


async def _clerk(name: str, state: MessagesState) -> MessagesState:
    text = str(state["messages"][-1].content).replace("]]", f"-{name}]]")
    # Which of the two asks the model first is another each time.
    await asyncio.sleep(random.random() / 10)
    said = await ChatOpenAI(model="somebody-elses-model").ainvoke(text)
    await asyncio.sleep(random.random() / 10)
    return {"messages": [AIMessage(f"{name}: {interrupt({'who': name, 'question': said.content})}")]}


clerks = (
    StateGraph(MessagesState)
    .add_node("north", partial(_clerk, "north"))
    .add_node("south", partial(_clerk, "south"))
    .add_edge(START, "north")
    .add_edge(START, "south")
    .compile()
)


class Parts(MessagesState):
    """What several agents were asked, and what they came to."""

    came: Annotated[list[str], operator.add]


async def _part(state: MessagesState) -> Parts:
    done = await watched_elsewhere.ainvoke(state)
    return {"came": [done["messages"][-1].content]}


def _joined(state: Parts) -> Parts:
    return {"messages": [AIMessage(f"Joined: {' '.join(sorted(state['came']))}")]}


def _parts(state: MessagesState) -> list[Send]:
    text = str(state["messages"][-1].content)
    return [Send("part", {"messages": [("user", text.replace("]]", f"-{name}]]"))]}) for name in ("a", "b", "c")]


watched_elsewhere = create_agent(ChatOpenAI(model="somebody-elses-model"), tools=[write])
"""An agent whose definition says what is asked."""

parted = (
    StateGraph(Parts)
    .add_node("part", _part)
    .add_node("joined", _joined)
    .add_conditional_edges(START, _parts, ["part"])
    .add_edge("part", "joined")
    .compile()
)
