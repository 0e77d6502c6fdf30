"""Sends tools through the boundary that code runs by itself: a tool is called, or its model solved.

A tool's model is what runs its function, whoever runs the tool. For a call that is at the boundary already, it is
let through.
"""

import json
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

from ag2 import Context, ToolResult
from ag2.events import ToolCallEvent
from ag2.tools.final import FunctionTool
from ag2.utils import CONTEXT_OPTION_NAME, CallModel

from k8gentai.agents.adapters.ag2.helpers import makes_helpers
from k8gentai.agents.adapters.ag2.run import TurnRun, current_call, current_run
from k8gentai.agents.adapters.ag2.tool_results import (
    changes_of,
    outcome_of_error,
    outcome_of_result,
    outcome_of_value,
    value_of,
    with_changes,
)
from k8gentai.agents.adapters.ag2.tools import in_a_task, texts_of
from k8gentai.agents.code.exceptions import contained
from k8gentai.agents.contract.turn import ToolOutcome
from k8gentai.agents.text.json_text import json_text, shown_json
from k8gentai.agents.tools.admitted_arguments import Admission, admit, current_admission

_SOLVING = ("stack", "cache_dependencies", "nested", "dependency_provider", CONTEXT_OPTION_NAME)
"""What a model is given beside the arguments of its function."""


def hook_models() -> None:
    """Have the models of all tools made from now on followed. Call once."""
    make = FunctionTool.__init__

    @wraps(make)
    def made(self: FunctionTool, model: CallModel, *, name: str, **options: Any) -> None:
        make(self, _ToolModel.of(model, name), name=name, **options)

    FunctionTool.__init__ = made


class _ToolModel(CallModel):
    """A tool's model, which passes the boundary."""

    __slots__ = ("_tool",)

    @classmethod
    def of(cls, model: CallModel, tool: str) -> "_ToolModel":
        """Return a model as that of a tool.

        Args:
            model: runs the tool's function.
            tool: the tool's name.
        """
        made = cls.__new__(cls)
        for name in CallModel.__slots__:
            setattr(made, name, getattr(model, name))
        made._tool = tool
        return made

    async def asolve(self, /, *args: Any, **options: Any) -> Any:
        """Run the tool's function."""
        run = current_run.get()
        if run is None or _is_at_the_boundary(self._tool, options.get(CONTEXT_OPTION_NAME)):
            return await super().asolve(*args, **options)
        named = dict(zip((param.field_name for param in self.params), args, strict=False))
        given = {**named, **{name: value for name, value in options.items() if name not in _SOLVING}}
        context = options.get(CONTEXT_OPTION_NAME)
        starts_work = makes_helpers(self.call)
        return await _call(
            run,
            self._tool,
            given,
            lambda: super(_ToolModel, self).asolve(*args, **options),
            context,
            starts_work=starts_work,
        )


def _is_at_the_boundary(tool: str, context: Context | None) -> bool:
    """Return whether a tool's function runs for a call that has passed the boundary."""
    admission, call = current_admission.get(), current_call.get()
    if admission is None or call is None or not admission.is_at_work:
        return False
    is_its = admission.name == tool or (context is not None and context.tool_call_id == call.id)
    return is_its and admission.enter()


async def _call(
    run: TurnRun,
    tool: str,
    given: dict[str, Any],
    execute: Callable[[], Coroutine[Any, Any, Any]],
    context: Context | None,
    *,
    starts_work: bool,
) -> Any:
    """Run a tool that no agent runs. Returns what it returned.

    Args:
        run: the turn's.
        tool: the tool's name.
        given: its arguments.
        execute: runs its function.
        context: the one that it is given.
        starts_work: it has an agent work in the background.

    Raises:
        RuntimeError: it was not run, or had failed before: the boundary's words.
        Exception: what the tool raised.
    """
    written = shown_json(given)
    arguments = json.loads(written)
    around = current_call.get()
    claimed = run.context.tools.claim(tool, arguments, nested=around is not None)
    call_id = claimed or run.call_ids.make(tool, around.id if around else "", written)
    came: list[Any] = []
    failed: list[Exception] = []

    async def work() -> Any:
        current_call.set(ToolCallEvent(id=call_id, name=tool, arguments=written))
        admission = Admission(call_id, tool, arguments)
        try:
            with admit(admission), admission.new_run(keeps=False).at_work():
                admission.enter()
                return await execute()
        except BaseException as error:
            # In a task of its own it would end the worker.
            if (stand_in := contained(error)) is error:
                raise
            raise stand_in from error

    async def run_tool() -> ToolOutcome:
        with run.changes.watch(context, tool) as changes:
            try:
                came.append(await in_a_task(work))
            except Exception as error:
                failed.append(error)
                if (changed := changes()) is None:
                    raise
                return outcome_of_error(error, changed)
            return with_changes(_outcome(came[0]), changes())

    with run.at_work():
        outcome = await run.context.tools.call(call_id, tool, arguments, run_tool, starts_work=starts_work)
    if outcome.recorded:
        run.changes.apply(context, changes_of(outcome.raw))
    run.answered(call_id)
    if outcome.is_error:
        raise failed[0] if failed else RuntimeError(outcome.output)
    return came[0] if came and not outcome.recorded else value_of(outcome)


def _outcome(value: object) -> ToolOutcome:
    """Return what a tool's function returned as the record has it."""
    if isinstance(value, ToolResult):
        return outcome_of_result(texts_of(json_text, value), final=value.final)
    return outcome_of_value(value)
