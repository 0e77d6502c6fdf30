"""Tells which runs of a tool of CrewAI's belong to a call that is at the boundary already, and which are calls of
their own: hooks (``before_tool_call``) change the arguments in between."""

import json
from collections.abc import Iterator
from typing import Any

from crewai.tools.agent_tools.base_agent_tools import BaseAgentTool

from k8gentai.agents.adapters.crewai.run import CrewRun
from k8gentai.agents.adapters.crewai.tool_names import tool_name
from k8gentai.agents.tools.admitted_arguments import Admission, current_admission
from k8gentai.agents.tools.tool_run import ToolRun


class CrewAdmission(Admission):
    """A call that passed the boundary, in place of which hooks may have others made."""

    refusal: str | None = None
    """What the boundary answered in place of the tool's last run for it, where it did not run."""


def passes(run: CrewRun, tool: Any) -> bool:
    """Return whether a tool is no matter for the boundary: an agent that works for another one."""
    return isinstance(tool, BaseAgentTool) and tool_name(tool.name) not in run.ruled


def taken_run(tool: Any, arguments: dict[str, Any], *, layer: bool) -> ToolRun | None:
    """Return the run of a tool that begins now for the call at hand, with just its arguments; None where that is
    another call.

    Args:
        tool: the tool.
        arguments: what it is run with.
        layer: what is called is a layer of the tool itself, and no way for others to run it.
    """
    admission = current_admission.get()
    if admission is None or admission.name != tool_name(tool.name):
        return None
    if layer and admission.is_at_work:
        return admission.take_run()
    is_its = any(arguments == given for given in _readings(tool, admission.arguments))
    return admission.take_run() if is_its else None


def shown(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return arguments as JSON has them: what a model cannot have written is shown as text."""
    read: dict[str, Any] = json.loads(json.dumps(arguments, default=str))
    return read


def _readings(tool: Any, arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what CrewAI may make of a call's arguments: those, those that the tool has, those that it reads."""
    yield arguments
    schema = tool.args_schema
    if schema is None:
        return
    yield {name: value for name, value in arguments.items() if name in schema.model_fields}
    try:
        yield shown(schema.model_validate(arguments).model_dump())
    except ValueError:
        return
