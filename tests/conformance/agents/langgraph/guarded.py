"""An agent of LangGraph whose middleware changes what its tool runs with."""

import asyncio
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import wrap_tool_call
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import interrupt

from k8gentai.stack.conformance import tools
from tests.conformance.agents.failing import (
    UnsentError,
    fail_each,
    fail_first,
    take_time,
    twice_at_once,
    until_begun,
)


@wrap_tool_call
async def _change(request: Any, handler: Any) -> Any:
    call = request.tool_call
    if call["args"]["line"] != "changing":
        return await handler(request)
    return await handler(request.override(tool_call={**call, "args": {**call["args"], "line": "changed"}}))


@wrap_tool_call
async def _review(request: Any, handler: Any) -> Any:
    try:
        result = await handler(request)
    except UnsentError as error:
        if interrupt({"question": "Again?"}) != "yes":
            return ToolMessage(f"failed: {error.why}", tool_call_id=request.tool_call["id"])
        result = await handler(request)
    kept = interrupt({"question": "Keep it?"}) == "yes"
    result.content = f"kept: {result.artifact[0].page_content}" if kept else "withheld"
    return result


@wrap_tool_call
async def _hurry(request: Any, handler: Any) -> Any:
    """Run a tool that is slow while a person is asked about it, and one that fails twice at once."""
    line, path = request.tool_call["args"]["line"], request.tool_call["args"]["path"]
    if line == "slow":
        working = asyncio.create_task(handler(request))
        await until_begun(path)
        kept = interrupt({"question": "Keep it?"}) == "yes"
        return await working if kept else ToolMessage("withheld", tool_call_id=request.tool_call["id"])
    came = await twice_at_once(lambda: handler(request))
    assert all(isinstance(each, UnsentError) for each in came)
    if interrupt({"question": "Again?"}) != "yes":
        return ToolMessage("failed twice", tool_call_id=request.tool_call["id"])
    return await handler(request)


@tool("write")
async def _slow_write(path: str, line: str) -> str:
    """Add a line to a file, in a while."""
    written = tools.write(path, line)
    fail_each(path, line)
    await asyncio.to_thread(take_time, line)
    return written


hurrying = create_agent(ChatOpenAI(model="somebody-elses-model"), tools=[_slow_write], middleware=[_hurry])


@tool("write", response_format="content_and_artifact")
def _note(path: str, line: str) -> tuple[str, list[Document]]:
    """Add a line to a file, and return a document of it."""
    written = tools.write(path, line)
    fail_first(path, line)
    return "noted", [Document(written)]


reviewing = create_agent(ChatOpenAI(model="somebody-elses-model"), tools=[_note], middleware=[_review])
_writer = create_agent(ChatOpenAI(model="somebody-elses-model"), tools=[tools.write])


@tool
async def ask_writer(question: str) -> str:
    """Ask the writer."""
    said = await _writer.ainvoke({"messages": question})
    return str(said["messages"][-1].text)


_write = tool(tools.write)


@tool
def shop(what: str, path: str) -> str:
    """Buy something."""
    return f"{what}: {_write.invoke({'path': path, 'line': 'one'})}"


_buyer = ChatOpenAI(model="somebody-elses-model").bind_tools([shop, _write])


def _ask(state: MessagesState) -> dict[str, Any]:
    return {"messages": [_buyer.invoke(state["messages"])]}


def _work(state: MessagesState) -> dict[str, Any]:
    """Run the tools by hand, one after the other."""
    at_hand = {"shop": shop, "write": _write}
    calls = state["messages"][-1].tool_calls
    return {"messages": [ToolMessage(at_hand[c["name"]].invoke(c["args"]), tool_call_id=c["id"]) for c in calls]}


def _rename(state: MessagesState) -> dict[str, Any]:
    """Run the tools by a node of tools, under ids of the code's own."""
    calls, node = state["messages"][-1].tool_calls, ToolNode([_write])
    made = [node.invoke([AIMessage("", tool_calls=[{**call, "id": "mine"}])])[0] for call in calls]
    return {"messages": [ToolMessage(m.content, tool_call_id=c["id"]) for m, c in zip(made, calls, strict=True)]}


def _next(state: MessagesState) -> str:
    return "work" if state["messages"][-1].tool_calls else END


_by_hand = StateGraph(MessagesState)
_by_hand.add_node("ask", _ask)
_by_hand.add_node("work", _work)
_by_hand.add_edge(START, "ask")
_by_hand.add_conditional_edges("ask", _next, ["work", END])
_by_hand.add_edge("work", "ask")
one_by_one = _by_hand.compile()

_under_other_ids = StateGraph(MessagesState)
_under_other_ids.add_node("ask", _ask)
_under_other_ids.add_node("work", _rename)
_under_other_ids.add_edge(START, "ask")
_under_other_ids.add_conditional_edges("ask", _next, ["work", END])
_under_other_ids.add_edge("work", "ask")
renaming = _under_other_ids.compile()


def _rest(state: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage("Rested.")]}


_pause = StateGraph(MessagesState)
_pause.add_node("rest", _rest)
_pause.add_edge(START, "rest")
_pause.add_edge("rest", END)
_paused = _pause.compile(interrupt_before=["rest"])


def _work_and_rest(state: MessagesState) -> dict[str, Any]:
    """Run the tools, then a graph that stops before its node: this one begins anew when that goes on."""
    done = _work(state)
    _paused.invoke(state)
    return done


_with_a_pause = StateGraph(MessagesState)
_with_a_pause.add_node("ask", _ask)
_with_a_pause.add_node("work", _work_and_rest)
_with_a_pause.add_edge(START, "ask")
_with_a_pause.add_conditional_edges("ask", _next, ["work", END])
_with_a_pause.add_edge("work", "ask")
pausing = _with_a_pause.compile()

consulting = create_agent(ChatOpenAI(model="somebody-elses-model"), tools=[ask_writer])
hooked = create_agent(ChatOpenAI(model="somebody-elses-model"), tools=[tools.write], middleware=[_change])
