"""Finds the tools of a graph, without running it."""

from langchain_core.tools import BaseTool

from k8gentai.agents.code.reachable import data_classes, handed_on, reachable
from k8gentai.agents.contract.turn import FoundTools


def find_tools(found: object | None) -> FoundTools:
    """Return the tools that code holds or names: more may come of what nodes and factories do for a turn.

    Args:
        found: the entrypoint's object; None for a declarative agent, whose tools are its definition's.
    """
    if found is None:
        return FoundTools(complete=True)
    names = {part.name for part in reachable(found) if isinstance(part, BaseTool)}
    return FoundTools(frozenset(names | handed_on(found)), shapes=frozenset(data_classes(found)))
