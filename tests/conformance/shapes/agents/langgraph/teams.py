"""Several agents: one hands over to another, one has another as its tool."""

from typing import Annotated, Any

from langchain.agents import create_agent
from langchain.tools import InjectedState, InjectedToolCallId, tool
from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command

from tests.conformance.shapes.agents.functions import fail, look, pay

_model = ChatOpenAI(model="scripted-model")
_clerk = create_agent(_model, tools=[look, pay, fail], name="clerk")


def _transfer_to(name: str) -> BaseTool:
    """Return a tool that hands over with all that was said."""

    @tool(f"transfer_to_{name}")
    def transfer(
        state: Annotated[MessagesState, InjectedState], tool_call_id: Annotated[str, InjectedToolCallId]
    ) -> Command[Any]:
        """Hand over."""
        done = ToolMessage(f"Transferred to the {name}.", name=f"transfer_to_{name}", tool_call_id=tool_call_id)
        return Command(goto=name, graph=Command.PARENT, update={"messages": [*state["messages"], done]})

    return transfer


_greeter = create_agent(_model, tools=[_transfer_to("manager")], name="greeter")
_manager = create_agent(_model, tools=[_transfer_to("clerk")], name="manager")
_team = StateGraph(MessagesState)
_team.add_node("greeter", _greeter, destinations=("manager",))
_team.add_node("manager", _manager, destinations=("clerk",))
_team.add_node("clerk", _clerk)
_team.add_edge(START, "greeter")
handoff = _team.compile()


@tool
def ask_clerk(request: str) -> str:
    """Ask the clerk."""
    answered = _clerk.invoke({"messages": [{"role": "user", "content": request}]})
    return answered["messages"][-1].text


supervisor = create_agent(_model, tools=[ask_clerk], name="supervisor")
