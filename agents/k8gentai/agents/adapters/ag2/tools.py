"""Sends the tools of AG2's agents through the turn's tool boundary."""

import asyncio
import base64
import json
from collections.abc import Callable, Coroutine
from typing import Any

from ag2 import Agent, Context, ToolResult
from ag2.events import (
    BinaryInput,
    BinaryType,
    DataInput,
    Input,
    TextInput,
    ToolCallEvent,
    ToolErrorEvent,
    ToolResultEvent,
    UrlInput,
)

from k8gentai.agents.adapters.ag2.helpers import starts_helper
from k8gentai.agents.adapters.ag2.run import TurnRun, current_agent, current_call
from k8gentai.agents.adapters.ag2.tool_results import (
    changes_of,
    outcome_of_error,
    outcome_of_result,
    outcome_of_value,
    result_of,
    with_changes,
)
from k8gentai.agents.contract.turn import ToolOutcome
from k8gentai.agents.text.json_text import shown_json
from k8gentai.agents.text.utf8 import encodable, jsonable
from k8gentai.agents.tools.admitted_arguments import Admission, admit
from k8gentai.agents.tools.images import show_image

Execute = Callable[[ToolCallEvent, Context], Coroutine[Any, Any, ToolResultEvent]]
"""Runs a tool call."""

TEXTS = (TextInput, DataInput)
"""The parts of results that a model is shown as text."""


async def call_tool(
    run: TurnRun,
    agent: Agent,
    execute: Execute,
    event: ToolCallEvent,
    context: Context,
    call_id: str | None = None,
) -> ToolResultEvent:
    """Run a tool call, unless its outcome is known from an earlier attempt.

    Args:
        agent: the agent that calls.
        execute: runs it.
        event: the call.
        context: the agent's.
        call_id: the call's id where it is not the model's call, but one of its own in place of that.
    """
    call_id = call_id or event.id
    arguments = running_arguments(event)
    result: ToolResultEvent | None = None

    async def enter() -> ToolResultEvent:
        current_agent.set(agent)
        with admit(Admission(call_id, event.name, arguments)):
            return await _execute(execute, event, context)

    async def run_tool() -> ToolOutcome:
        nonlocal result
        with run.changes.watch(context, event.name) as changes:
            try:
                result = made = await in_a_task(enter)
                if isinstance(made, ToolErrorEvent):
                    raise made.error
            except Exception as error:
                if (changed := changes()) is None:
                    raise
                return outcome_of_error(error, changed)
            return with_changes(outcome_of(made), changes())

    def outcome_of(made: ToolResultEvent) -> ToolOutcome:
        nonlocal result
        texts = texts_of(encoder_of(agent), made.result)
        if list(map(encodable, texts)) != texts or not all(isinstance(part, TEXTS) for part in made.result.parts):
            # AG2's own could not be sent to a model.
            result = None
        if len(texts) == 1 and not made.result.final:
            return outcome_of_value(texts[0])
        return outcome_of_result(texts, final=made.result.final)

    outcome = await run.context.tools.call(
        call_id, event.name, arguments, run_tool, starts_work=starts_helper(event)
    )
    if outcome.recorded:
        result = None
        run.changes.apply(context, changes_of(outcome.raw))
    run.answered(call_id)
    told = _told(event, outcome, result)
    if call_id == event.id:
        run.made(call_id, event.name, shown_arguments(event, arguments), outcome, told.result)
    return told


def _told(event: ToolCallEvent, outcome: ToolOutcome, result: ToolResultEvent | None) -> ToolResultEvent:
    """Return what AG2 is told of a call: its own result where the boundary has no other."""
    if outcome.is_error:
        error, shown = RuntimeError(outcome.output), ToolResult(outcome.output)
        return ToolErrorEvent(parent_id=event.id, name=event.name, error=error, result=shown)
    return result or ToolResultEvent.from_call(event, result_of(outcome))


def shown_arguments(call: ToolCallEvent, arguments: dict[str, Any]) -> str:
    """Return the arguments of a call as the model wrote them, unless it runs with others."""
    return call.arguments if read_arguments(call) in (None, arguments) else shown_json(arguments)


def read_arguments(call: ToolCallEvent) -> dict[str, Any] | None:
    """Return a call's arguments as the model wrote them; None where they cannot be read."""
    try:
        read = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, dict) else None


def running_arguments(call: ToolCallEvent) -> dict[str, Any]:
    """Return the arguments that a call's tool runs with, which code may have changed; none that cannot be read."""
    if read_arguments(call) is None or not isinstance(call.serialized_arguments, dict):
        return {}
    arguments: dict[str, Any] = jsonable(call.serialized_arguments)
    return arguments


def encoder_of(agent: Agent) -> Callable[[Any], str]:
    """Return what writes values that are no text, as an agent does for its model."""
    return lambda value: agent.serializer.encode(value).decode()


def texts_of(encode: Callable[[Any], str], result: ToolResult) -> list[str]:
    """Return what a model is shown of a result as text. The images are shown beside it.

    Args:
        encode: writes values that are no text.
    """
    texts = []
    for part in result.parts:
        if isinstance(part, TextInput):
            texts.append(part.content)
        elif isinstance(part, DataInput):
            texts.append(encode(part.data))
        else:
            texts.append(show_image(url) if (url := _image(part)) else "[file]")
    return texts


def _image(part: Input) -> str | None:
    """Return the address of the image that a part is."""
    match part:
        case BinaryInput(kind=BinaryType.IMAGE):
            return f"data:{part.media_type};base64,{base64.b64encode(part.data).decode()}"
        case UrlInput(kind=BinaryType.IMAGE):
            return part.url
    return None


async def _execute(execute: Execute, event: ToolCallEvent, context: Context) -> ToolResultEvent:
    if read_arguments(event) is None:
        raise ValueError("the arguments are not a JSON object")
    current_call.set(event)
    try:
        return await execute(event, context)
    except SystemExit as error:
        # It would end the worker, and with it every other turn.
        raise RuntimeError(f"the tool called sys.exit({error})") from error


async def in_a_task[T](work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Await work in a task of its own, which is left behind when we are cancelled: AG2 runs sync tools in threads
    and would not be cancelled before they end."""
    task = asyncio.create_task(work())
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        task.cancel()
        raise
    return task.result()
