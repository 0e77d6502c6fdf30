"""Finds the tools of an agent or a workflow, without running it."""

from beeai_framework.agents.requirement import RequirementAgent
from beeai_framework.tools import Tool
from beeai_framework.workflows.agent import AgentWorkflow

from k8gentai.agents.code.reachable import data_classes, handed_on, reachable
from k8gentai.agents.contract.turn import FoundTools


def find_tools(found: object | None) -> FoundTools:
    """Return the tools that code holds or names: more may come of what makes an agent for a turn.

    Args:
        found: the entrypoint's object; None for a declarative agent, whose tools are its definition's.
    """
    if found is None:
        return FoundTools(complete=True)
    names = {part.name for part in reachable(found) if isinstance(part, Tool)}
    complete = isinstance(found, RequirementAgent | AgentWorkflow)
    if not complete:
        names |= handed_on(found)
    return FoundTools(frozenset(names), complete, frozenset(data_classes(found)))
