"""Holds BeeAI's tools to the arguments that the boundary was shown: listeners (``start``) and middleware change
them in between."""

import json
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial, wraps
from typing import Any

from beeai_framework.backend import MessageToolCallContent
from beeai_framework.tools import Tool, ToolOutput
from pydantic import BaseModel

from k8gentai.agents.adapters.beeai.run import TurnRun, current_run
from k8gentai.agents.adapters.beeai.tool_results import remade, written
from k8gentai.agents.text.utf8 import jsonable
from k8gentai.agents.tools.admitted_arguments import Admission, current_admission

CallTool = Callable[[TurnRun, MessageToolCallContent, Callable[[], Any]], Awaitable[ToolOutput]]
"""Has a call pass the boundary."""
Run = Callable[..., Coroutine[Any, Any, ToolOutput]]
"""Runs a tool's own code."""


class ReadAdmission(Admission):
    """A call that passed the boundary, whose tool reads its arguments: it fills in what is left out."""

    reading: dict[str, Any] | None = None
    """The arguments as the tool reads them, with its defaults; None where that is not known."""


def hook_implementations(call_tool: CallTool) -> None:
    """Wrap what the tools of every class run, now and later. Call once.

    Args:
        call_tool: takes what was not admitted.
    """

    def hook_new(cls: Any, /, **options: Any) -> None:
        super(Tool, cls).__init_subclass__(**options)
        _hook(cls, call_tool)

    Tool.__init_subclass__ = classmethod(hook_new)
    Tool._validate_input = _read(Tool._validate_input)
    pending: list[Any] = [Tool]
    while pending:
        kind = pending.pop()
        _hook(kind, call_tool)
        pending += kind.__subclasses__()


def is_admitted(tool: Any, given: Any) -> bool:
    """Return whether a tool is run for the call that the code at hand works for, with just its arguments."""
    admission = _of(tool)
    if admission is None:
        return False
    is_its = as_json(given) in (admission.arguments, admission.reading)
    return is_its and (admission.is_at_work or not admission.counts_beside())


def as_json(arguments: Any) -> dict[str, Any]:
    """Return arguments as JSON has them, where a tool takes them as an object or as a model of it."""
    if isinstance(arguments, BaseModel):
        try:
            arguments = arguments.model_dump(mode="json")
        except ValueError:
            arguments = jsonable(arguments)
    read = json.loads(json.dumps(arguments, default=str))
    return read if isinstance(read, dict) else {}


def _read(validate: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Around what reads a tool's arguments: those of a call are noted as the tool has them, before others do."""

    @wraps(validate)
    def read(self: Any, given: Any) -> Any:
        made = validate(self, given)
        admission = _of(self)
        if admission is not None and as_json(given) == admission.arguments:
            admission.reading = as_json(made)
        return made

    return read


def _hook(kind: Any, call_tool: CallTool) -> None:
    if "_run" in vars(kind) and kind is not Tool:
        kind._run = _held(vars(kind)["_run"], call_tool)


def _held(run_tool: Run, call_tool: CallTool) -> Run:
    """Around a tool's own code: what it runs with is what was admitted, or a call of its own."""

    @wraps(run_tool)
    async def held(self: Any, *args: Any, **named: Any) -> ToolOutput:
        run, admission = current_run.get(), _of(self)
        if run is None or admission is None or admission.is_at_work:
            return await run_tool(self, *args, **named)
        arguments = as_json(args[0] if args else named.get("input"))
        is_its = arguments in _readings(self, admission)
        if (tool_run := admission.take_run() if is_its else None) is not None:
            async with tool_run.awaited():
                if (kept := tool_run.again()) is not None:
                    return remade(kept)
                output = await run_tool(self, *args, **named)
                tool_run.keep(written(output))
                return output
        shown = json.dumps(arguments)
        own = run.call_ids.make(self.name, admission.call_id, shown)
        message = MessageToolCallContent(id=own, tool_name=self.name, args=shown)
        return await call_tool(run, message, partial(held, self, *args, **named))

    return held


def _of(tool: Any) -> ReadAdmission | None:
    """Return the call of a tool that the code at hand works for, if it does for one."""
    admission = current_admission.get()
    return admission if isinstance(admission, ReadAdmission) and admission.name == tool.name else None


def _readings(tool: Any, admission: ReadAdmission) -> list[dict[str, Any] | None]:
    """Return what a call's arguments may be to its tool: as they are, or as it reads them."""
    if admission.reading is None:
        try:
            admission.reading = as_json(tool.input_schema.model_validate(admission.arguments))
        except ValueError:
            return [admission.arguments]
    return [admission.arguments, admission.reading]
