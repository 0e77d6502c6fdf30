"""Agents that a constructor makes, plain and with middleware."""

from typing import Annotated, Any

from langchain.agents import AgentState, create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware, SummarizationMiddleware
from langchain.agents.structured_output import ToolStrategy
from langchain.tools import InjectedToolCallId, tool
from langchain_core.messages import ToolMessage
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.prebuilt import create_react_agent
from langgraph.types import Command, interrupt

from tests.conformance.shapes.agents import functions
from tests.conformance.shapes.agents.functions import Order, fail, look, pay

_model = ChatOpenAI(model="scripted-model")
_tools = [look, pay, fail]

agent = create_agent(_model, tools=_tools, system_prompt="You sell tea.")
structured_agent = create_agent(_model, tools=_tools, response_format=ToolStrategy(Order))
react = create_react_agent(_model, tools=_tools, prompt="You sell tea.")
structured_react = create_react_agent(_model, tools=_tools, response_format=Order)

reviewed = create_agent(
    _model,
    tools=_tools,
    middleware=[HumanInTheLoopMiddleware(interrupt_on={"pay": True})],
    checkpointer=InMemorySaver(),
)
summarizing = create_agent(
    _model,
    tools=_tools,
    middleware=[SummarizationMiddleware(_model, trigger=("messages", 3), keep=("messages", 2))],
)


@tool("pay")
def pay_when_asked(path: str, amount: int) -> str:
    """Pay an amount, if a person agrees."""
    if not interrupt({"action": "pay", "amount": amount}):
        return "not paid"
    return functions.pay(path, amount)


asking = create_agent(_model, tools=[look, pay_when_asked, fail], checkpointer=InMemorySaver())


class Library(AgentState[Any]):
    """The state of an agent that keeps what it found."""

    documents: list[str]


@tool("look")
def retrieve(path: str, item: str, tool_call_id: Annotated[str, InjectedToolCallId]) -> Command[Any]:
    """Retrieve what is known of an item."""
    found = functions.look(path, item)
    return Command(update={"documents": [found], "messages": [ToolMessage(found, tool_call_id=tool_call_id)]})


librarian = create_agent(_model, tools=[retrieve, pay, fail], state_schema=Library)
