"""Finds the tools of an agent, without running it."""

from ag2 import Agent
from ag2.tools.final import FunctionTool, Toolkit
from ag2.tools.tool import Tool

from k8gentai.agents.code.reachable import data_classes, handed_on, reachable
from k8gentai.agents.contract.turn import FoundTools


def find_tools(found: object | None) -> FoundTools:
    """Return the tools that code holds or names: more may come of servers and of what makes an agent for a turn.

    Args:
        found: the entrypoint's object; None for a declarative agent, whose tools are its definition's.
    """
    if found is None:
        return FoundTools(complete=True)
    tools = [part for part in reachable(found) if isinstance(part, Tool)]
    names = {tool.name for tool in tools if not isinstance(tool, Toolkit)}
    complete = isinstance(found, Agent) and all(type(tool) in (FunctionTool, Toolkit) for tool in tools)
    if not isinstance(found, Agent):
        names |= handed_on(found)
    return FoundTools(frozenset(names), complete, frozenset(data_classes(found)))
