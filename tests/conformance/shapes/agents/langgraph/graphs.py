"""Graphs of nodes and edges: tool nodes, routers, loops, workers, graphs in graphs."""

import operator
from typing import Annotated, Any, Literal

from langchain.agents import create_agent
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Send
from pydantic import BaseModel
from typing_extensions import TypedDict

from tests.conformance.shapes.agents.functions import fail, look, pay

_tools = [look, pay, fail]
_model = ChatOpenAI(model="scripted-model")
_with_tools = _model.bind_tools(_tools)
_seller = create_agent(_model, tools=_tools, name="seller")


def chatbot(state: MessagesState) -> Any:
    """Ask the model."""
    return {"messages": [_with_tools.invoke(state["messages"])]}


_chatbot = StateGraph(MessagesState)
_chatbot.add_node("chatbot", chatbot)
_chatbot.add_node("tools", ToolNode(_tools))
_chatbot.add_edge(START, "chatbot")
_chatbot.add_conditional_edges("chatbot", tools_condition)
_chatbot.add_edge("tools", "chatbot")
tool_node = _chatbot.compile()


class Route(BaseModel):
    """Where a request goes."""

    step: Literal["shop", "chat"]


class Routed(MessagesState):
    """A conversation, and where it goes."""

    decision: str


def route(state: Routed) -> Any:
    """Have the model choose."""
    chosen = _model.with_structured_output(Route).invoke([SystemMessage("Route it."), *state["messages"]])
    return {"decision": chosen.step}


def chat(state: Routed) -> Any:
    """Answer without tools."""
    return {"messages": [_model.invoke(state["messages"])]}


_router = StateGraph(Routed)
_router.add_node("route", route)
_router.add_node("shop", _seller)
_router.add_node("chat", chat)
_router.add_edge(START, "route")
_router.add_conditional_edges("route", lambda state: state["decision"], ["shop", "chat"])
_router.add_edge("shop", END)
_router.add_edge("chat", END)
router = _router.compile()


def call_agent(state: MessagesState) -> Any:
    """Call another graph, and keep its last message."""
    return {"messages": _seller.invoke({"messages": state["messages"]})["messages"][-1:]}


calling = StateGraph(MessagesState).add_node(call_agent).add_edge(START, "call_agent").compile()


class Plan(BaseModel):
    """What is to be written."""

    sections: list[str]


class Report(MessagesState):
    """A report that workers write at the same time."""

    sections: list[str]
    written: Annotated[list[str], operator.add]


class Section(TypedDict):
    """One worker's part."""

    section: str


def orchestrate(state: Report) -> Any:
    """Plan the report."""
    plan = _model.with_structured_output(Plan).invoke([SystemMessage("Plan."), *state["messages"]])
    return {"sections": plan.sections}


def assign(state: Report) -> list[Send]:
    """Send each section to a worker."""
    return [Send("write", {"section": section}) for section in state["sections"]]


def write(state: Section) -> Any:
    """Write a section."""
    return {"written": [_model.invoke([HumanMessage(state["section"])]).text]}


def synthesize(state: Report) -> Any:
    """Make a whole of the sections."""
    told = SystemMessage("Of these: " + " ".join(sorted(state["written"])))
    return {"messages": [_with_tools.invoke([told, *state["messages"]])]}


_workers = StateGraph(Report)
_workers.add_node("orchestrate", orchestrate)
_workers.add_node("write", write)
_workers.add_node("synthesize", synthesize)
_workers.add_node("tools", ToolNode(_tools))
_workers.add_edge(START, "orchestrate")
_workers.add_conditional_edges("orchestrate", assign, ["write"])
_workers.add_edge("write", "synthesize")
_workers.add_conditional_edges("synthesize", tools_condition)
_workers.add_edge("tools", "synthesize")
workers = _workers.compile()


class Grade(BaseModel):
    """What an answer is worth."""

    good: bool
    feedback: str = ""


class Draft(MessagesState):
    """A conversation whose answer is graded."""

    grade: Grade


def evaluate(state: Draft) -> Any:
    """Grade the last answer."""
    return {"grade": _model.with_structured_output(Grade).invoke([SystemMessage("Grade."), *state["messages"]])}


def improve(state: Draft) -> Any:
    """Answer, by what was said of the last answer."""
    advice = f"Mind: {state['grade'].feedback}" if state.get("grade") else "Answer."
    return {"messages": [_with_tools.invoke([SystemMessage(advice), *state["messages"]])]}


_evaluator = StateGraph(Draft)
_evaluator.add_node("improve", improve)
_evaluator.add_node("tools", ToolNode(_tools))
_evaluator.add_node("evaluate", evaluate)
_evaluator.add_edge(START, "improve")
_evaluator.add_conditional_edges("improve", tools_condition, {"tools": "tools", END: "evaluate"})
_evaluator.add_edge("tools", "improve")
_evaluator.add_conditional_edges(
    "evaluate", lambda state: END if state["grade"].good else "improve", ["improve", END]
)
evaluator = _evaluator.compile()
