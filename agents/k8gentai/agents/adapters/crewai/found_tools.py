"""Finds the tools of an agent, a crew or a flow, without running it."""

from collections.abc import Set as AbstractSet

from crewai import Agent, Crew
from crewai.tools.base_tool import BaseTool
from crewai.tools.structured_tool import CrewStructuredTool
from crewai.utilities.string_utils import sanitize_tool_name

from k8gentai.agents.code.reachable import data_classes, handed_on, reachable
from k8gentai.agents.contract.turn import FoundTools


def find_tools(found: object | None, ruled: AbstractSet[str]) -> FoundTools:
    """Return the tools that code holds or names: more may come of servers, of apps and of what makes an agent for
    a turn.

    Args:
        found: the entrypoint's object; None for a declarative agent, whose tools are its definition's.
        ruled: the names that the definition says something of; models know such a tool by just that.
    """
    if found is None:
        return FoundTools(complete=True)
    names: set[str] = set()
    remote = False
    for part in reachable(found):
        if isinstance(part, BaseTool | CrewStructuredTool):
            names.add(part.name)
        elif isinstance(part, type) and issubclass(part, BaseTool):
            named = vars(part)["__pydantic_fields__"]["name"].default
            names |= {named} if isinstance(named, str) else set()
        elif isinstance(part, Agent):
            remote = remote or bool(part.mcps or part.apps)
    made = isinstance(found, Agent | Crew)
    if not made:
        names |= handed_on(found)
    return FoundTools(
        frozenset(name if name in ruled else sanitize_tool_name(name) for name in names),
        made and not remote,
        frozenset(data_classes(found)),
    )
