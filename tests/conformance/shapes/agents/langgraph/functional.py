"""The quickstart's agent by the functional API: tasks that an entrypoint calls."""

from langchain.tools import tool
from langchain_core.messages import BaseMessage, SystemMessage
from langchain_openai import ChatOpenAI
from langgraph.func import entrypoint, task
from langgraph.graph import add_messages

from tests.conformance.shapes.agents.functions import fail, look, pay

tools_by_name = {made.name: made for made in (tool(look), tool(pay), tool(fail))}
_model = ChatOpenAI(model="scripted-model").bind_tools(list(tools_by_name.values()))


@task
def call_llm(messages: list[BaseMessage]):
    """Ask the model whether to call a tool."""
    return _model.invoke([SystemMessage("You sell tea."), *messages])


@task
def call_tool(tool_call):
    """Call a tool."""
    return tools_by_name[tool_call["name"]].invoke(tool_call)


@entrypoint()
def agent(messages: list[BaseMessage]):
    """Call tools until the model answers."""
    response = call_llm(messages).result()
    while response.tool_calls:
        results = [future.result() for future in [call_tool(call) for call in response.tool_calls]]
        messages = add_messages(messages, [response, *results])
        response = call_llm(messages).result()
    return add_messages(messages, response)
