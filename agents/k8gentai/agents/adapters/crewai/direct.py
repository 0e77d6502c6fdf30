"""Sends tools through the boundary that no agent of CrewAI's runs: code calls them, or an ``LLM`` that was handed
functions does.

Their classes are wrapped, so a tool is found whoever holds it. One that runs for a call which is at the boundary
already is let through by its name.
"""

import asyncio
import inspect
import json
from collections.abc import Callable, Coroutine, Iterator
from contextvars import ContextVar
from functools import wraps
from typing import Any

from crewai.llm import LLM
from crewai.llms.base_llm import BaseLLM
from crewai.tools.agent_tools.base_agent_tools import BaseAgentTool
from crewai.tools.base_tool import BaseTool, Tool
from crewai.tools.structured_tool import CrewStructuredTool
from crewai.utilities.string_utils import sanitize_tool_name

from k8gentai.agents.adapters.crewai.run import CrewRun, current_run
from k8gentai.agents.turn import ToolOutcome

current_tool: ContextVar[str | None] = ContextVar("current_crew_tool", default=None)
"""The name of the tool that the code at hand is run for, if for one."""

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
            setattr(kind, name, _awaited(own))
        elif inspect.isfunction(own):
            setattr(kind, name, _called(own))


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


def _run_for(tool: Any) -> CrewRun | None:
    """Return the run whose boundary a tool is still to pass."""
    passes = isinstance(tool, BaseAgentTool) or current_tool.get() == sanitize_tool_name(tool.name)
    return None if passes else current_run.get()


def _called(call: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(call)
    def called(self: Any, *args: Any, **kwargs: Any) -> Any:
        run = _run_for(self)
        if run is None:
            return call(self, *args, **kwargs)
        return _through(run, self.name, _arguments(self, args, kwargs), lambda: call(self, *args, **kwargs), self)

    return called


def _awaited(call: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    @wraps(call)
    async def awaited(self: Any, *args: Any, **kwargs: Any) -> Any:
        run = _run_for(self)
        if run is None:
            return await call(self, *args, **kwargs)
        here = asyncio.get_running_loop()

        def execute() -> Any:
            return asyncio.run_coroutine_threadsafe(call(self, *args, **kwargs), here).result()

        # The boundary blocks, and this loop is to run the tool meanwhile.
        return await asyncio.to_thread(_through, run, self.name, _arguments(self, args, kwargs), execute, self)

    return awaited


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
            functions = _bounded(available_functions, sanitize_tool_name(tool_calls[0].function.name))
        return handle(self, tool_calls, functions, *args, **kwargs)

    return handed


def _bounded(functions: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the functions, of which the named one passes the boundary."""
    run, function = current_run.get(), functions.get(name)
    if run is None or function is None or name in _INTERNAL:
        return functions

    def bounded(**arguments: Any) -> Any:
        return _through(run, name, arguments, lambda: function(**arguments))

    return {**functions, name: bounded}


def _arguments(tool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    if isinstance(tool, CrewStructuredTool):
        given = args[0] if args else kwargs.get("input")
        return given if isinstance(given, dict) else {"input": given}
    named = dict(zip(getattr(tool.args_schema, "model_fields", ()), args, strict=False))
    return {**named, **kwargs}


def _through(run: CrewRun, name: str, arguments: dict[str, Any], call: Callable[[], Any], tool: Any = None) -> Any:
    """Run a tool that no agent runs. Returns what it returned, or the boundary's words where it was not run: code
    that runs a tool by itself reads text.

    Raises:
        Exception: what the tool raised.
    """
    name = sanitize_tool_name(name)
    execution = _Direct(name, call)
    # What a model cannot have written is shown as text.
    shown = json.loads(json.dumps(arguments, default=str))
    call_id = run.claim(name, shown, nested=current_tool.get() is not None)
    call_id = call_id or run.call_ids.make(name, json.dumps(shown))
    outcome = run.call_tool(call_id, name, shown, execution.execute)
    if execution.error is not None:
        raise execution.error
    if outcome.recorded:
        count_use(tool)
    if outcome.is_error:
        return outcome.output
    if execution.done:
        return execution.result
    return json.loads(outcome.raw) if outcome.raw else outcome.output


class _Direct:
    """One execution of a tool that code called.

    Args:
        name: the tool's.
        call: runs it.
    """

    def __init__(self, name: str, call: Callable[[], Any]) -> None:
        self._name = name
        self._call = call
        self.done = False
        self.result: Any = None
        self.error: Exception | None = None

    def execute(self) -> ToolOutcome:
        """Run the tool, in a context of its own."""
        current_tool.set(self._name)
        try:
            self.result = self._call()
        except Exception as error:
            self.error = error
            raise
        self.done = True
        return ToolOutcome(str(self.result), raw=_recorded(self.result))


def _recorded(result: Any) -> str:
    """Return a result as text, where what the model is shown of it does not make the same one again."""
    if isinstance(result, str):
        return ""
    try:
        return json.dumps(result)
    except (TypeError, ValueError):
        return ""
