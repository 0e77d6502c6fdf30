"""Sends tools through the boundary that no agent of CrewAI's runs: code calls them, or an ``LLM`` that was handed
functions does.

Their classes are wrapped, so a tool is found whoever holds it. One that runs for a call which is at the boundary
already is let through, where its arguments are those that were admitted there.
"""

import inspect
import json
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, cast

from crewai.crews.crew_output import CrewOutput
from crewai.llm import LLM
from crewai.llms.base_llm import BaseLLM
from crewai.tasks.task_output import TaskOutput
from crewai.tools.base_tool import BaseTool, Tool
from crewai.tools.structured_tool import CrewStructuredTool

from k8gentai.agents.adapters.base.kept_results import read_result, round_trip, write_result
from k8gentai.agents.adapters.crewai.admitted_calls import CrewAdmission, passes, shown, taken_run
from k8gentai.agents.adapters.crewai.run import CrewRun, current_run
from k8gentai.agents.adapters.crewai.tool_names import tool_name
from k8gentai.agents.contract.idempotency import enclosing_call
from k8gentai.agents.contract.turn import ToolOutcome
from k8gentai.agents.text.json_text import arguments_object
from k8gentai.agents.tools.admitted_arguments import admit, current_admission

_INTERNAL = frozenset({"create_reasoning_plan"})
"""Functions that CrewAI has a model call for purposes of its own."""


def hook_direct_calls() -> None:
    """Wrap what runs a tool, and what runs a function that a model calls. Call once."""
    for tool in (BaseTool, Tool):
        tool.run = _called(tool.run)
        tool.arun = _awaited(tool.arun)
    BaseTool.__init_subclass__ = classmethod(_hooking_subclasses(BaseTool.__init_subclass__.__func__))
    for kind in _subclasses(BaseTool):
        _hook_implementation(kind)
    CrewStructuredTool.invoke = _called(CrewStructuredTool.invoke)
    CrewStructuredTool.ainvoke = _awaited(CrewStructuredTool.ainvoke)
    BaseLLM._handle_tool_execution = _handed(BaseLLM._handle_tool_execution)
    LLM._handle_tool_call = _handed_first(LLM._handle_tool_call)


def _hooking_subclasses(init: Callable[..., None]) -> Callable[..., None]:
    """Around what is called for each new class of tools."""

    @wraps(init)
    def init_subclass(cls: type[BaseTool], **kwargs: Any) -> None:
        init(cls, **kwargs)
        _hook_implementation(cls)

    return init_subclass


def _hook_implementation(kind: type[BaseTool]) -> None:
    """Wrap what a class of tools brings of its own to run them, which code may call itself."""
    for name in ("_run", "_arun"):
        own = vars(kind).get(name)
        if inspect.iscoroutinefunction(own):
            setattr(kind, name, _awaited(own, layer=True))
        elif inspect.isfunction(own):
            setattr(kind, name, _called(own, layer=True))


def _subclasses(kind: type[Any]) -> Iterator[type[Any]]:
    for below in kind.__subclasses__():
        yield below
        yield from _subclasses(below)


def count_use(tool: Any) -> None:
    """Count a use of a tool of CrewAI's that does not run."""
    if isinstance(tool, CrewStructuredTool):
        tool._increment_usage_count()
    elif isinstance(tool, BaseTool):
        tool._claim_usage()


def _called(call: Callable[..., Any], *, layer: bool = False) -> Callable[..., Any]:
    """Around what runs a tool.

    Args:
        call: does so.
        layer: it is a layer of the tool itself.
    """

    @wraps(call)
    def called(self: Any, *args: Any, **kwargs: Any) -> Any:
        run = current_run.get()
        if run is None or passes(run, self):
            return call(self, *args, **kwargs)
        arguments = shown(_arguments(self, args, kwargs))
        if (tool_run := taken_run(self, arguments, layer=layer)) is not None:
            with tool_run.at_work():
                if (kept := tool_run.again()) is not None:
                    return _known(kept, self)
                with _worded():
                    result = call(self, *args, **kwargs)
                tool_run.keep(round_trip(result, _written, _read))
                return result
        return _through(run, self.name, arguments, lambda: call(self, *args, **kwargs), self)

    return called


def _awaited(
    call: Callable[..., Coroutine[Any, Any, Any]], *, layer: bool = False
) -> Callable[..., Coroutine[Any, Any, Any]]:
    @wraps(call)
    async def awaited(self: Any, *args: Any, **kwargs: Any) -> Any:
        run = current_run.get()
        if run is None or passes(run, self):
            return await call(self, *args, **kwargs)
        arguments = shown(_arguments(self, args, kwargs))
        if (tool_run := taken_run(self, arguments, layer=layer)) is not None:
            async with tool_run.awaited():
                if (kept := tool_run.again()) is not None:
                    return _known(kept, self)
                with _worded():
                    result = await call(self, *args, **kwargs)
                tool_run.keep(round_trip(result, _written, _read))
                return result
        direct = _Direct(run, self.name, arguments, self)
        return direct.given(await direct.await_tool(lambda: call(self, *args, **kwargs)))

    return awaited


@contextmanager
def _worded() -> Iterator[None]:
    """While inside, an error without words (``MemoryError``) gets its name for such: CrewAI shows a model words
    alone."""
    try:
        yield
    except Exception as error:
        error.args = error.args or (type(error).__name__,)
        raise


def _handed(handle: Callable[..., Any]) -> Callable[..., Any]:
    """Around a call that a model makes of a function which its ``LLM`` was handed."""

    @wraps(handle)
    def handed(
        self: BaseLLM, function_name: str, function_args: Any, available_functions: Any, *args: Any, **kwargs: Any
    ) -> Any:
        functions = _bounded(available_functions, function_name)
        return handle(self, function_name, function_args, functions, *args, **kwargs)

    return handed


def _handed_first(handle: Callable[..., Any]) -> Callable[..., Any]:
    """Return the same, where the calls come as the model made them: the first is made."""

    @wraps(handle)
    def handed(
        self: LLM, tool_calls: list[Any], available_functions: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        functions = available_functions
        if tool_calls and available_functions:
            functions = _bounded(available_functions, tool_name(tool_calls[0].function.name))
        return handle(self, tool_calls, functions, *args, **kwargs)

    return handed


def _bounded(functions: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the functions, of which the named one passes the boundary."""
    run, function = current_run.get(), functions.get(name)
    if run is None or function is None or name in _INTERNAL:
        return functions

    def bounded(**arguments: Any) -> Any:
        return _through(run, name, shown(arguments), lambda: function(**arguments))

    return {**functions, name: bounded}


def _arguments(tool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    if isinstance(tool, CrewStructuredTool):
        given = args[0] if args else kwargs.get("input")
        read = arguments_object(given) if isinstance(given, str) else given
        return read if isinstance(read, dict) else {"input": given}
    named = dict(zip(getattr(tool.args_schema, "model_fields", ()), args, strict=False))
    return {**named, **kwargs}


def _through(run: CrewRun, name: str, arguments: dict[str, Any], call: Callable[[], Any], tool: Any = None) -> Any:
    """Run a tool that no agent runs. Returns what it returned, or the boundary's words where it was not run: code
    that runs a tool by itself reads text.

    Raises:
        Exception: what the tool raised.
    """
    direct = _Direct(run, name, arguments, tool)
    return direct.given(direct.call_tool(call))


class _Direct:
    """A call of a tool by code.

    Args:
        run: the turn's.
        name: the tool, as CrewAI has it.
        arguments: the call's.
        tool: it; None where that is a function.
    """

    def __init__(self, run: CrewRun, name: str, arguments: dict[str, Any], tool: Any) -> None:
        self._run = run
        self._name, around = tool_name(name), current_admission.get()
        self._arguments = arguments
        self._tool = tool
        is_in_place = isinstance(around, CrewAdmission) and around.name == self._name
        self._in_place_of = cast("CrewAdmission", around) if is_in_place else None
        """The call in place of which it is made: it is no further one of the model's."""
        told = self._name, json.dumps(arguments)
        if self._in_place_of is not None:
            self._call_id = run.call_ids.make(self._in_place_of.call_id, *told)
        else:
            inside = (key,) if (key := enclosing_call()) else ()
            claimed = run.claim(self._name, arguments, nested=around is not None)
            self._call_id = claimed or run.call_ids.make(*told, *inside)
        self._done = False
        self._result: Any = None
        self._error: Exception | None = None

    def call_tool(self, call: Callable[[], Any]) -> ToolOutcome:
        """Pass the boundary with a function that runs the tool; blocks."""

        def execute() -> ToolOutcome:
            with self._at_work():
                self._result = call()
            return self._outcome()

        return self._run.call_tool(self._call_id, self._name, self._arguments, execute)

    async def await_tool(self, call: Callable[[], Coroutine[Any, Any, Any]]) -> ToolOutcome:
        """Pass the boundary with a function whose coroutine runs the tool, on this loop."""

        async def execute() -> ToolOutcome:
            with self._at_work():
                self._result = await call()
            return self._outcome()

        return await self._run.await_tool(self._call_id, self._name, self._arguments, execute)

    def given(self, outcome: ToolOutcome) -> Any:
        """Return what the code is given.

        Raises:
            Exception: what the tool raised.
        """
        if self._error is not None:
            raise self._error
        if outcome.recorded:
            count_use(self._tool)
        if self._in_place_of is not None:
            self._in_place_of.refusal = outcome.output if outcome.is_error else None
        if outcome.is_error:
            return outcome.output
        return self._result if self._done else _remade(outcome)

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """While inside, the tool runs for the call."""
        admission = CrewAdmission(self._call_id, self._name, self._arguments)
        try:
            with admit(admission), admission.new_run(keeps=False).at_work():
                yield
        except Exception as error:
            self._error = error
            raise

    def _outcome(self) -> ToolOutcome:
        self._done = True
        return ToolOutcome(str(self._result), raw=_recorded(self._result))


def _recorded(result: Any) -> str:
    """Return a result as JSON; empty where it is the text that the model is shown, or cannot be written."""
    if isinstance(result, str):
        return ""
    if (written := round_trip(result, write_result, _read_result)) is not None:
        return written
    try:
        return json.dumps(result)
    except (TypeError, ValueError):
        return ""


def _remade(outcome: ToolOutcome) -> Any:
    """Return what a tool returned in an earlier attempt; its text where its class is not what it was."""
    try:
        return _read_result(outcome.raw) if outcome.raw else outcome.output
    except (LookupError, ValueError):
        return outcome.output


def _written(result: Any) -> str:
    """Return a result as JSON, with the text that stands for it where a reader has no such class."""
    return json.dumps({"text": str(result), "whole": write_result(result)})


def _kept(text: str) -> tuple[str, str]:
    """Return a kept result as text, and what stands for it; an earlier version kept it alone."""
    kept = json.loads(text)
    if isinstance(kept, dict) and kept.keys() == {"text", "whole"}:
        return kept["whole"], kept["text"]
    return text, text


def _read(text: str) -> Any:
    """Return what :func:`_written` wrote.

    Raises:
        ValueError, LookupError: see :func:`k8gentai.agents.adapters.base.kept_results.read_result`.
    """
    return _read_result(_kept(text)[0])


def _known(text: str, tool: Any) -> Any:
    """Return what a tool returned in an earlier attempt, which counts as a use of it; its text where its class is
    not what it was."""
    count_use(tool)
    try:
        return _read(text)
    except (LookupError, ValueError):
        return _kept(text)[1]


def _read_result(text: str) -> Any:
    """Return what a tool returned, be it what a crew came to.

    Raises:
        ValueError, LookupError: see :func:`k8gentai.agents.adapters.base.kept_results.read_result`.
    """
    return read_result(text, records=(CrewOutput, TaskOutput))
