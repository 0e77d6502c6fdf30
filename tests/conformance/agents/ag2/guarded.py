"""Ways of AG2's documentation in which a tool comes to be run: each is to ask before it writes."""

import asyncio
import json
from typing import Any

from ag2 import Agent, Context, MemoryStream, TaskConfig, ToolResult, tool
from ag2.config import OpenAIConfig
from ag2.events import ModelRequest, TextInput, ToolCallEvent, ToolErrorEvent, ToolResultEvent
from ag2.middleware import BaseMiddleware, Middleware, approval_required
from ag2.tools.final import Toolkit

from k8gentai.stack.conformance import tools
from tests.conformance.agents.failing import (
    UnsentError,
    fail_each,
    fail_first,
    take_time,
    twice_at_once,
    until_begun,
)

_config = OpenAIConfig("gpt-4.1-mini")
_writer = Agent("writer", config=_config, tools=[tools.write])

as_tool = Agent("chief", config=_config, tools=[_writer.as_tool(description="Writes.")])

toolkit = Agent("clerk", config=_config, tools=[Toolkit(tools.write, tools.add)])

subtasks = Agent("foreman", config=_config, tools=[tools.write], tasks=TaskConfig())


async def several(question: str) -> str | None:
    """One agent writes, another says so."""
    done = await _writer.ask(question)
    return done.body


async def made_in_turn(question: str) -> str | None:
    """An agent is made while the turn runs."""
    return (await Agent("late", config=_config, tools=[tools.write]).ask(question)).body


async def asked_with(question: str) -> str | None:
    """An agent is given the tool with the question."""
    return (await Agent("bare", config=_config).ask(question, tools=[tool(tools.write)])).body


async def _change(call_next: Any, event: ToolCallEvent, context: Context) -> Any:
    if event.serialized_arguments["line"] in ("changing", "asking first"):
        event.serialized_arguments = {**json.loads(event.arguments), "line": "changed"}
    return await call_next(event, context)


hooked = Agent("clerk", config=_config, tools=[tool(tools.write, middleware=[_change])])
approving = Agent("clerk", config=_config, tools=[tool(tools.write, middleware=[approval_required(), _change])])


async def _review(call_next: Any, event: ToolCallEvent, context: Context) -> Any:
    result = await call_next(event, context)
    if isinstance(result, ToolErrorEvent):
        assert isinstance(result.error, UnsentError)
        if await context.input("Again?") != "yes":
            return ToolResultEvent.from_call(event, f"failed: {result.error.why}")
        result = await call_next(event, context)
    keep = await context.input("Keep it?") == "yes"
    text = f"kept: {result.result.parts[0].data['words']}" if keep else "withheld"
    return ToolResultEvent.from_call(event, text)


def _note(path: str, line: str) -> dict[str, str]:
    """Add a line to a file, and return data."""
    written = tools.write(path, line)
    fail_first(path, line)
    return {"words": written}


reviewing = Agent("clerk", config=_config, tools=[tool(_note, name="write", middleware=[_review])])


async def _hurry(call_next: Any, event: ToolCallEvent, context: Context) -> Any:
    """Run a tool that is slow while a person is asked about it, and one that fails twice at once."""
    given = event.serialized_arguments
    if given["line"] == "slow":
        working = asyncio.create_task(call_next(event, context))
        await until_begun(given["path"])
        kept = await context.input("Keep it?") == "yes"
        result = await working
        return result if kept else ToolResultEvent.from_call(event, "withheld")
    came = await twice_at_once(lambda: call_next(event, context))
    assert all(isinstance(each, ToolErrorEvent) for each in came)
    if await context.input("Again?") != "yes":
        return ToolResultEvent.from_call(event, "failed twice")
    return await call_next(event, context)


async def _slow_write(path: str, line: str) -> str:
    """Add a line to a file, in a while."""
    written = tools.write(path, line)
    fail_each(path, line)
    await asyncio.to_thread(take_time, line)
    return written


hurrying = Agent("clerk", config=_config, tools=[tool(_slow_write, name="write", middleware=[_hurry])])


def _finish(path: str, line: str) -> ToolResult:
    """Add a line to a file, which is the answer."""
    return ToolResult(tools.write(path, line), final=True)


answering = Agent("clerk", config=_config, tools=[tool(_finish, name="write")])


_write = tool(tools.write)


async def by_hand(question: str) -> str:
    """Code calls the tool."""
    call = ToolCallEvent(id="own", name="write", arguments=question.removeprefix("user: "))
    came = await _write(call, Context(MemoryStream()))
    return str(came.result.parts[0].content)


async def solved(question: str) -> str:
    """Code solves the tool's model."""
    given = json.loads(question.removeprefix("user: "))
    return str(await _write.model.asolve(**given, stack=None, cache_dependencies={}))


async def for_the_model(question: str) -> str:
    """Code calls the tool that a model calls."""
    context = Context(MemoryStream())
    client = _config.create()
    request = [ModelRequest([TextInput(question)])]
    given = {"tools": [_write.schema], "response_schema": None, "serializer": _writer.serializer}
    said = await client(request, context, **given)
    came = [await _write(call, context) for call in said.tool_calls.calls]
    return str(came[0].result.parts[0].content)


class _Changing(BaseMiddleware):
    async def on_tool_execution(self, call_next: Any, event: ToolCallEvent, context: Context) -> Any:
        return await _change(call_next, event, context)


around = Agent("clerk", config=_config, tools=[tools.write], middleware=[Middleware(_Changing)])


def _times(context: Context, path: str, line: str, times: int, mark: str = "!") -> str:
    """Add a line to a file, several times over."""
    return tools.write(path, line * times + mark)


reading = Agent("clerk", config=_config, tools=[tool(_times, name="write")])
