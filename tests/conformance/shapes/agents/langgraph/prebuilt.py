"""Agents that a constructor makes."""

from langchain.agents import create_agent
from langchain.agents.structured_output import ToolStrategy
from langchain_openai import ChatOpenAI
from langgraph.prebuilt import create_react_agent

from tests.conformance.shapes.agents.functions import Order, fail, look, pay

_model = ChatOpenAI(model="scripted-model")
_tools = [look, pay, fail]

agent = create_agent(_model, tools=_tools, system_prompt="You sell tea.")
structured_agent = create_agent(_model, tools=_tools, response_format=ToolStrategy(Order))
react = create_react_agent(_model, tools=_tools, prompt="You sell tea.")
structured_react = create_react_agent(_model, tools=_tools, response_format=Order)
