"""Sends the tools of BeeAI's agents through the turn's tool boundary, and its blocking ones to threads."""

import asyncio
import inspect
import json
import sys
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

import beeai_framework.tools
from beeai_framework.agents.requirement.utils._tool import FinalAnswerTool
from beeai_framework.agents.tool_calling.utils import ToolCallChecker
from beeai_framework.backend import MessageToolCallContent
from beeai_framework.context import Run, RunContext
from beeai_framework.emitter import Emitter
from beeai_framework.errors import FrameworkError
from beeai_framework.tools import StringToolOutput, Tool, ToolError, ToolOutput, ToolRunOptions
from beeai_framework.tools.tool import get_input_schema
from beeai_framework.utils.models import JSONSchemaModel
from pydantic import BaseModel

from k8gentai.agents.adapters.beeai.admitted_calls import ReadAdmission, as_json, hook_implementations, is_admitted
from k8gentai.agents.adapters.beeai.answers import FINAL_ANSWER
from k8gentai.agents.adapters.beeai.causes import cause_of
from k8gentai.agents.adapters.beeai.run import TurnRun, current_call, current_run
from k8gentai.agents.adapters.beeai.tool_results import recorded, remade
from k8gentai.agents.code.exceptions import contained_in_thread
from k8gentai.agents.contract.turn import DeclaredTool, ToolOutcome
from k8gentai.agents.tools.admitted_arguments import admit


def hook_tools() -> None:
    """Have every tool call of a turn's agents go through the boundary. Call once, before tools are made."""
    Tool.run = _through_boundary(Tool.run)
    hook_implementations(_call_tool)
    ToolCallChecker.register = _exempting(ToolCallChecker.register)
    made = _threaded(beeai_framework.tools.tool)
    beeai_framework.tools.tool = made
    # The function hides the module of its name.
    vars(sys.modules[Tool.__module__])["tool"] = made


class _DescribedTool(Tool[BaseModel, ToolRunOptions, StringToolOutput]):
    """A tool that is known by a description and a JSON schema."""

    name = ""
    description = ""

    def __init__(self, name: str, description: str, parameters: dict[str, Any]) -> None:
        super().__init__()
        self.name = name
        self.description = description
        self._schema = JSONSchemaModel.create(name, parameters)

    @property
    def input_schema(self) -> type[BaseModel]:
        """The arguments."""
        return self._schema

    def _create_emitter(self) -> Emitter:
        return Emitter.root().child(namespace=["tool", "described"], creator=self)


class OwnTool(_DescribedTool):
    """A tool that the definition brings."""

    def __init__(self, declared: DeclaredTool) -> None:
        super().__init__(declared.name, declared.description, declared.parameters)
        self._call = declared.call

    async def _run(
        self,
        input: BaseModel,  # noqa: A002 - BeeAI's name
        options: ToolRunOptions | None,
        context: RunContext,
    ) -> StringToolOutput:
        return StringToolOutput(await self._call(input.model_dump(exclude_unset=True)))


class ClientTool(_DescribedTool):
    """A tool that the client runs: nothing runs here, and a call to it ends the turn before the next model call.

    Args:
        function: the function as chat completions takes it.
    """

    def __init__(self, function: dict[str, Any]) -> None:
        description = function.get("description") or function["name"]
        super().__init__(function["name"], description, function["parameters"])

    async def _run(
        self,
        input: BaseModel,  # noqa: A002 - BeeAI's name
        options: ToolRunOptions | None,
        context: RunContext,
    ) -> StringToolOutput:
        return StringToolOutput("")


class _KnownError(ToolError):
    """A failure whose words are known from the boundary."""

    def explain(self) -> str:
        """Return what the model is shown."""
        return self.message


def _exempting(register: Callable[..., None]) -> Callable[..., None]:
    """Around what has an agent make no call of an answer one of whose calls comes again and again. An answer that
    makes a call twice is no loop: it counts once."""

    @wraps(register)
    def registered(self: ToolCallChecker, value: MessageToolCallContent) -> None:
        run = current_run.get()
        beside = run.beside.get(value.id) if run is not None else None
        if run is None or not beside:
            register(self, value)
            return
        compared = (beside[0], value.tool_name, value.args)
        if compared in run.compared:
            return
        run.compared.add(compared)
        register(self, value)
        if self.cycle_found:
            for call_id in beside:
                run.context.tools.exempt(call_id)

    return registered


def _through_boundary(run_tool: Callable[..., Run[ToolOutput]]) -> Callable[..., Run[ToolOutput]]:
    @wraps(run_tool)
    def through(self: Tool[Any, Any, Any], given: Any, options: Any = None) -> Run[ToolOutput]:
        running = run_tool(self, given, options)
        execute = running.handler

        async def handle() -> ToolOutput:
            run = current_run.get()
            # What a tool runs itself has its call's message, too.
            message = running._run_context.context.get("tool_call_msg")
            if run is None or (_is_at_the_boundary(self, message) and is_admitted(self, given)):
                return await execute()
            if self.name == FINAL_ANSWER:
                return await _answer(run, self, message, execute)
            if isinstance(self, ClientTool):
                return await execute()
            try:
                return await _call_tool(run, _call_of(run, self, message, given), execute)
            finally:
                running._run_context.destroy()

        running.handler = handle
        return running

    return through


async def _answer(
    run: TurnRun,
    tool: Tool[Any, Any, Any],
    message: MessageToolCallContent | None,
    execute: Callable[[], Awaitable[ToolOutput]],
) -> ToolOutput:
    """Run ``final_answer``. An answer that it does not come to take is dropped: the agent goes on without it."""
    call_id = message.id if message is not None else ""
    run.context.tools.exempt(call_id)
    try:
        return await execute()
    finally:
        if call_id in run.answers and isinstance(tool, FinalAnswerTool) and tool._state.answer is None:
            run.answers[call_id].drop()


def _is_at_the_boundary(tool: Tool[Any, Any, Any], message: MessageToolCallContent | None) -> bool:
    """Return whether a tool runs for a call that is there already: a tool may wrap another of its name."""
    return message is not None and message.id == current_call.get() and message.tool_name == tool.name


def _call_of(
    run: TurnRun, tool: Tool[Any, Any, Any], message: MessageToolCallContent | None, given: Any
) -> MessageToolCallContent:
    """Return the call that a tool runs for: the model's, or one that code makes or reads from the model's text."""
    if message is not None and message.id != current_call.get():
        return message
    arguments = as_json(given)
    written = json.dumps(arguments)
    around = current_call.get()
    is_changed = message is not None and message.tool_name == tool.name
    # What runs in place of a call, with other arguments, is not another one of the model's.
    claimed = None if is_changed else run.context.tools.claim(tool.name, arguments, nested=around is not None)
    call_id = claimed or run.call_ids.make(tool.name, around or "", written)
    return MessageToolCallContent(id=call_id, tool_name=tool.name, args=written)


async def _call_tool(run: TurnRun, message: MessageToolCallContent, execute: Callable[[], Any]) -> ToolOutput:
    """Run a tool call, unless its outcome is known from an earlier attempt.

    Args:
        message: the call.
        execute: runs it.

    Raises:
        ToolError: what the model is to be told.
    """
    came: tuple[ToolOutput | ToolError | None, str] = (None, "")

    async def run_tool() -> ToolOutcome:
        nonlocal came
        token = current_call.set(message.id)
        try:
            with admit(ReadAdmission(message.id, message.tool_name, arguments)):
                output = await execute()
        except ToolError as error:
            text = error.explain()
            came = error, text
            return ToolOutcome(text, is_error=True)
        except FrameworkError as error:
            cause = cause_of(error)
            raise cause from cause.__cause__
        finally:
            current_call.reset(token)
        text = output.get_text_content()
        came = output, text
        return ToolOutcome(text, raw=recorded(output))

    read = json.loads(message.args)
    arguments = read if isinstance(read, dict) else {}
    with run.at_work():
        outcome = await run.context.tools.call(message.id, message.tool_name, arguments, run_tool)
    run.answered(message.id)
    result, text = came
    # What BeeAI has of it goes to the model, unless the boundary says something else.
    if outcome.is_error:
        raise result if isinstance(result, ToolError) and text == outcome.output else _KnownError(outcome.output)
    if isinstance(result, ToolOutput) and text == outcome.output:
        return result
    return remade(outcome.raw) if outcome.raw else StringToolOutput(outcome.output)


def _threaded(make_tool: Callable[..., Any]) -> Callable[..., Any]:
    """Make tools of functions that block run in threads: BeeAI would hold up every turn of the worker."""

    @wraps(make_tool)
    def made(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
        if function is None:
            return lambda given: made(given, **options)
        if inspect.iscoroutinefunction(function):
            return make_tool(function, **options)

        @wraps(function)
        async def in_thread(**arguments: Any) -> Any:
            return await asyncio.to_thread(_run_blocking, function, arguments)

        described = {
            "name": function.__name__,
            "description": inspect.getdoc(function),
            "input_schema": get_input_schema(function),
        }
        return make_tool(in_thread, **{**described, **options})

    return made


def _run_blocking(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    try:
        return function(**arguments)
    except BaseException as error:
        # An error that is its own cause would have BeeAI search for ever.
        if (stand_in := contained_in_thread(error)) is error:
            raise
        raise stand_in from error
