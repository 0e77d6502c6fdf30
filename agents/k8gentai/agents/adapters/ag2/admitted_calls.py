"""Holds AG2's tools to the arguments that the boundary was shown: middleware of a tool or an agent changes them in
between."""

import json
from collections.abc import Callable, Coroutine
from copy import copy
from functools import partial, wraps
from typing import Any

from ag2 import Agent, Context, ToolResult
from ag2.events import ToolCallEvent, ToolErrorEvent, ToolResultEvent
from ag2.tools.final import ClientTool
from ag2.tools.tool import Tool

from k8gentai.agents.adapters.ag2.context_changes import Kept
from k8gentai.agents.adapters.ag2.helpers import starts_helper
from k8gentai.agents.adapters.ag2.run import current_agent, current_run
from k8gentai.agents.adapters.ag2.tool_results import changes_of, kept_result, remade
from k8gentai.agents.adapters.ag2.tools import TEXTS, call_tool, encoder_of, running_arguments, texts_of
from k8gentai.agents.tools.admitted_arguments import Admission, current_admission
from k8gentai.agents.tools.tool_run import ToolRun

Run = Callable[[Any, ToolCallEvent, Context], Coroutine[Any, Any, ToolResultEvent]]
"""Runs a tool's function for a call."""


def hook_tools() -> None:
    """Wrap what runs the tools of every class, now and later. Call once."""

    def hook_new(cls: Any, /, **options: Any) -> None:
        super(Tool, cls).__init_subclass__(**options)
        _hook(cls)

    Tool.__init_subclass__ = classmethod(hook_new)
    pending = [Tool]
    while pending:
        kind = pending.pop()
        _hook(kind)
        pending += kind.__subclasses__()


def _hook(kind: Any) -> None:
    if "__call__" in vars(kind) and not issubclass(kind, ClientTool):
        kind.__call__ = _held(vars(kind)["__call__"])


def _held(call: Run) -> Run:
    """Around a tool's function: what it runs with is what was admitted, or a call of its own."""

    @wraps(call)
    async def held(self: Any, event: ToolCallEvent, context: Context) -> ToolResultEvent:
        run, agent, admission = current_run.get(), current_agent.get(), current_admission.get()
        if run is None or agent is None or admission is None or admission.is_at_work:
            return await call(self, event, context)
        if (tool_run := _taken(admission, self, event)) is not None:
            async with tool_run.awaited():
                if (known := _again(tool_run, event)) is not None and not starts_helper(event):
                    if isinstance(known, ToolErrorEvent):
                        return known
                    run.changes.apply(context, changes_of(known))
                    return ToolResultEvent.from_call(event, remade(known))
                with run.changes.watch(context, self.name) as changes:
                    came = await call(self, event, context)
                    changed = changes()
                if isinstance(came, ToolErrorEvent):
                    tool_run.fail(came.error)
                else:
                    tool_run.keep(_written(agent, came.result, changed))
                return came
        written = json.dumps(running_arguments(event), sort_keys=True)
        own = run.call_ids.make(admission.call_id, self.name, written)
        return await call_tool(run, agent, partial(held, self), _named(event, self.name), context, own)

    return held


def _again(tool_run: ToolRun, event: ToolCallEvent) -> str | ToolErrorEvent | None:
    """Return what the tool came to at a run in an earlier attempt; None where it is to run."""
    try:
        return tool_run.again()
    except Exception as error:  # noqa: BLE001 - whatever the tool raised
        return ToolErrorEvent.from_call(event, error)


def _taken(admission: Admission, tool: Any, event: ToolCallEvent) -> ToolRun | None:
    """Return the run of a tool for the admitted call, with just its arguments; None where it is another call's."""
    is_its = admission.name == tool.name and admission.arguments == running_arguments(event)
    return admission.take_run() if is_its else None


def _written(agent: Agent, result: ToolResult, changes: Kept | None) -> str | None:
    """Return a tool's result as text, with what the tool changed; None where that is not all of the result: an
    image is shown beside it.
    """
    if not all(isinstance(part, TEXTS) for part in result.parts):
        return None
    return kept_result(result, partial(texts_of, encoder_of(agent)), changes)


def _named(event: ToolCallEvent, name: str) -> ToolCallEvent:
    """Return a call with the name of the tool that runs."""
    named = copy(event)
    named.name = name
    return named
