"""Sends the tools of agents through the turn's tool boundary.

CrewAI runs a tool in one of three places, none of which a hook of its own can stand around; each is wrapped, once
a process. Which turn a call belongs to, a context variable says; code that belongs to none is not touched.
"""

import ast
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from typing import Any

from crewai import lite_agent
from crewai.agents import agent_executor, step_executor
from crewai.agents.agent_executor import AgentExecutor
from crewai.hooks.dispatch import HookAborted
from crewai.tools.agent_tools.base_agent_tools import BaseAgentTool
from crewai.tools.base_tool import BaseTool
from crewai.tools.tool_failure import ToolExecutionFailedError, ToolFailure
from crewai.tools.tool_types import ToolResult
from crewai.utilities import agent_utils
from crewai.utilities.agent_utils import NativeToolCallResult, extract_tool_call_info
from crewai.utilities.i18n import I18N_DEFAULT
from crewai.utilities.pydantic_schema_utils import create_model_from_schema
from pydantic import PrivateAttr

from k8gentai.agents.adapters.crewai.admitted_calls import CrewAdmission
from k8gentai.agents.adapters.crewai.direct_calls import count_use, hook_direct_calls
from k8gentai.agents.adapters.crewai.models import delegates
from k8gentai.agents.adapters.crewai.run import CrewRun, current_run
from k8gentai.agents.adapters.crewai.tool_names import hook_names, tool_name
from k8gentai.agents.contract.idempotency import enclosing_call
from k8gentai.agents.contract.turn import DeclaredTool, ToolOutcome
from k8gentai.agents.text.utf8 import message_of
from k8gentai.agents.tools.admitted_arguments import admit
from k8gentai.agents.tools.images import text_without_images

_STOPS = (HookAborted, ToolExecutionFailedError)
"""The errors that CrewAI raises to end a run; the model is not to see them as results."""


def hook_tools() -> None:
    """Wrap what runs tools. Doing it twice changes nothing."""
    if hasattr(AgentExecutor._execute_single_native_tool_call, "__wrapped__"):
        return
    hook_names()
    AgentExecutor._execute_single_native_tool_call = _native(AgentExecutor._execute_single_native_tool_call)
    step_executor.execute_single_native_tool_call = _planned(step_executor.execute_single_native_tool_call)
    for module in (agent_executor, agent_utils):
        module.format_native_tool_output_for_agent = _without_images(module.format_native_tool_output_for_agent)
    for module in (agent_executor, step_executor, lite_agent):
        module.execute_tool_and_check_finality = _written(module.execute_tool_and_check_finality)
    hook_direct_calls()


class ClientTool(BaseTool):  # type: ignore[misc]  # Any, where CrewAI is not installed
    """A tool that the client runs: a call of it ends the turn before it comes here."""

    def _run(self, **arguments: Any) -> str:
        # A model wrote its name in some other way.
        raise RuntimeError(f"call {self.name!r} by just that name")


class OwnTool(BaseTool):  # type: ignore[misc]
    """A tool that the definition brings."""

    _declared: DeclaredTool = PrivateAttr()

    def _run(self, **arguments: Any) -> str:
        run = current_run.get()
        if run is None:
            raise RuntimeError(f"{self.name} runs in a turn only")
        required = self._declared.parameters.get("required", ())
        # CrewAI tells models that all arguments are required, so they write a null for what they would leave out.
        given = {name: value for name, value in arguments.items() if value is not None or name in required}
        return run.wait_for(self._declared.call(given))

    def _validate_kwargs(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        # Each tool checks its own. CrewAI would put a null in the place of what the model left out.
        return kwargs


def declared_tools(tools: Iterable[DeclaredTool]) -> list[BaseTool]:
    """Return the definition's tools, as an agent takes them."""
    bound = []
    for tool in tools:
        schema = create_model_from_schema(tool.parameters, model_name=tool.name)
        own = OwnTool(name=tool.name, description=tool.description, args_schema=schema)
        own._declared = tool
        bound.append(own)
    return bound


def client_tools(tools: list[dict[str, Any]]) -> list[BaseTool]:
    """Return the request's tools, as an agent takes them.

    Args:
        tools: the tools as chat completions takes them.
    """
    return [
        ClientTool(
            name=tool["function"]["name"],
            description=tool["function"].get("description") or tool["function"]["name"],
            args_schema=create_model_from_schema(
                tool["function"]["parameters"], model_name=tool["function"]["name"]
            ),
        )
        for tool in tools
    ]


def _without_images(write: Callable[[Any, Any], str]) -> Callable[[Any, Any], str]:
    """Around what writes a tool's result as text: an image is shown, and not written out."""

    @wraps(write)
    def wrapped(tool: Any, result: Any) -> str:
        text = text_without_images(result) if current_run.get() is not None else None
        return write(tool, result) if text is None else text

    return wrapped


class _Execution:
    """One execution of a tool, on its way through the boundary.

    Args:
        execute: runs the tool, and gives what CrewAI wants of it.
        outcome: returns the outcome that the model is shown, given what CrewAI gets.
    """

    def __init__(self, execute: Callable[[], Any], outcome: Callable[[Any], ToolOutcome]) -> None:
        self._execute = execute
        self._outcome = outcome
        self._of: tuple[str, str, dict[str, Any]] = "", "", {}
        self._made: ToolOutcome | None = None
        self._stop: BaseException | None = None

    def through(self, run: CrewRun, call_id: str, name: str, arguments: Any) -> ToolOutcome:
        """Pass the boundary. Returns what the model is shown.

        Raises:
            BaseException: what ends the run.
        """
        self._of = call_id, tool_name(name), arguments if isinstance(arguments, dict) else {}
        outcome = run.call_tool(*self._of, self._call)
        if self._stop is not None and outcome == self._made:
            raise self._stop
        return outcome

    def _call(self) -> ToolOutcome:
        admission = CrewAdmission(*self._of)
        try:
            with admit(admission):
                result = self._execute()
        except _STOPS as error:
            self._stop = error
            self._made = ToolOutcome(message_of(error), is_error=True)
        else:
            made = self._outcome(result)
            self._made = replace(made, is_error=made.is_error or _is_refused(admission, made))
        return self._made


def _is_refused(admission: CrewAdmission, outcome: ToolOutcome) -> bool:
    """Return whether what a call came to is what the boundary said of the tool's run: CrewAI adds to that."""
    return admission.refusal is not None and outcome.output.startswith(admission.refusal)


def _count(outcome: ToolOutcome, tool: Any) -> None:
    """Count a use of a tool that the turn's record answered, as CrewAI counts what runs."""
    if outcome.recorded and tool is not None:
        count_use(tool)


def _native(execute: Callable[..., Any]) -> Callable[..., Any]:
    """Around a tool call that the model made by its API."""

    @wraps(execute)
    def wrapped(self: AgentExecutor, tool_call: Any) -> Any:
        run, info = current_run.get(), extract_tool_call_info(tool_call)
        if run is None or info is None:
            return execute(self, tool_call)
        call_id, name, written = info
        tool = self._tool_name_mapping.get(name)
        if isinstance(tool, ClientTool):
            # The turn ends before a model is called again.
            return _native_result(call_id, name, {}, ToolOutcome(""), tool)
        arguments = _read(written)
        if isinstance(tool, BaseAgentTool) and name not in run.ruled:
            # An agent that works for another is no tool: what it does is recorded, and it may wait for a person.
            run.exempt(call_id)
            with _delegating():
                result = execute(self, tool_call)
            run.calls.answer(call_id, str(result["result"]), is_error=arguments is None)
            return result
        came = _Execution(
            lambda: execute(self, tool_call),
            lambda result: ToolOutcome(str(result["result"]), is_error=result.get("tool_failure") is not None),
        ).through(run, call_id, name, arguments)
        _count(came, tool)
        _answers(run, call_id, tool, came)
        return _native_result(call_id, name, arguments, came, tool)

    return wrapped


@contextmanager
def _delegating() -> Iterator[None]:
    """While inside, an agent works for another one."""
    token = delegates.set(True)
    try:
        yield
    finally:
        delegates.reset(token)


def _native_result(call_id: str, name: str, arguments: Any, came: ToolOutcome, tool: Any) -> dict[str, Any]:
    """Return what CrewAI has of a call that it made."""
    return {
        "call_id": call_id,
        "func_name": name,
        "result": came.output,
        "tool_args": arguments,
        "from_cache": False,
        "original_tool": tool,
        "tool_failure": ToolFailure(message=came.output) if came.is_error else None,
    }


def _planned(execute: Callable[..., Any]) -> Callable[..., Any]:
    """Around a tool call of a step of a plan."""

    @wraps(execute)
    def wrapped(tool_call: Any, **options: Any) -> Any:
        run, info = current_run.get(), extract_tool_call_info(tool_call)
        if run is None or info is None:
            return execute(tool_call, **options)
        call_id, name, written = info
        tool = next((each for each in options["original_tools"] or () if tool_name(each.name) == name), None)
        if isinstance(tool, ClientTool):
            # The turn ends before a model is called again.
            return _planned_result(call_id, name, "")
        answers = getattr(tool, "result_as_answer", False)
        came = _Execution(
            lambda: execute(tool_call, **options),
            # CrewAI does not take what failed for the answer.
            lambda result: ToolOutcome(result.result, is_error=answers and not result.result_as_answer),
        ).through(run, call_id, name, _read(written))
        _count(came, tool)
        return replace(
            _planned_result(call_id, name, came.output), result_as_answer=_answers(run, call_id, tool, came)
        )

    return wrapped


def _planned_result(call_id: str, name: str, output: str) -> NativeToolCallResult:
    message = {"role": "tool", "tool_call_id": call_id, "name": name, "content": output}
    return NativeToolCallResult(call_id=call_id, func_name=name, result=output, tool_message=message)


def _answers(run: CrewRun, call_id: str, tool: Any, came: ToolOutcome) -> bool:
    """Return whether CrewAI ends with what a call came to: it makes none of the calls beside it."""
    answers = getattr(tool, "result_as_answer", False) and not came.is_error
    for left_out in run.calls.end_with(call_id) if answers else ():
        run.exempt(left_out)
    return answers


def _written(execute: Callable[..., Any]) -> Callable[..., Any]:
    """Around a tool call that the model wrote into its text, where it has no API for it."""

    @wraps(execute)
    def wrapped(agent_action: Any, tools: list[Any], **options: Any) -> Any:
        run = current_run.get()
        if run is None:
            return execute(agent_action, tools=tools, **options)
        arguments = _written_arguments(agent_action.tool_input)
        if arguments is None:
            return ToolResult(I18N_DEFAULT.errors("tool_arguments_error"), result_as_answer=False)
        # CrewAI reads the text once more, and would mend it: what runs is what was shown.
        action = replace(agent_action, tool_input=json.dumps(arguments))
        inside = (key,) if (key := enclosing_call()) else ()
        call_id = run.call_ids.make(str(options.get("agent_role")), agent_action.text, *inside)
        run.calls.acts_on(agent_action.text)
        if agent_action.tool in run.client_tools:
            run.hand_over(call_id, agent_action.tool, arguments)
        came = _Execution(
            lambda: execute(action, tools=tools, **options), lambda result: ToolOutcome(str(result.result))
        ).through(run, call_id, agent_action.tool, arguments)
        named = next((tool for tool in tools if tool.name == agent_action.tool), None)
        _count(came, named)
        final = named is not None and named.result_as_answer
        return ToolResult(came.output, result_as_answer=final and not came.is_error)

    return wrapped


def _written_arguments(written: str | None) -> dict[str, Any] | None:
    """Return the arguments of a call that is text, as JSON or Python writes them; None where they are neither."""
    if written is None:
        return {}
    for read in (json.loads, ast.literal_eval):
        try:
            arguments = read(written)
            if isinstance(arguments, dict):
                json.dumps(arguments)
                return arguments
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            continue
    return None


def _read(written: Any) -> dict[str, Any] | None:
    """Return a call's arguments; None where they are no JSON."""
    try:
        arguments = json.loads(written) if isinstance(written, str) else written
    except (ValueError, RecursionError):
        return None
    return arguments if isinstance(arguments, dict) else {}
