"""Sends every tool that a turn runs through the turn's tool boundary.

What runs tools in LangGraph and LangChain is wrapped once a process, so it does not matter where an agent keeps
its tools, or whether it makes them while it runs. Which turn a call belongs to, a context variable says; code that
belongs to none is not touched.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import wraps
from typing import Any, cast

from langchain_core.messages import ToolCall, ToolMessage
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.tools import BaseTool, StructuredTool, Tool
from langgraph._internal._constants import CONFIG_KEY_READ
from langgraph.errors import GraphBubbleUp
from langgraph.prebuilt import ToolNode
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.types import Command

from k8gentai.agents.adapters.langgraph.given_messages import GivenMessages
from k8gentai.agents.adapters.langgraph.open_calls import answering
from k8gentai.agents.adapters.langgraph.run import GraphRun, current_run
from k8gentai.agents.adapters.langgraph.tool_call import Passage, ToolPassage, open_passage
from k8gentai.agents.text.utf8 import jsonable
from k8gentai.agents.tools.tool_run import ToolRun

Result = ToolMessage | Command[Any]
AsyncExecute = Callable[[ToolCallRequest], Awaitable[Result]]
AsyncWrapper = Callable[[ToolCallRequest, AsyncExecute], Awaitable[Result]]


def hook_tools() -> None:
    """Wrap what runs tools. Doing it twice changes nothing."""
    if hasattr(ToolNode._run_one, "__wrapped__"):
        return
    _hook_nodes()
    tool: Any = BaseTool
    tool.run = _run(tool.run)
    tool.arun = _arun(tool.arun)
    for kind in cast("tuple[Any, ...]", (StructuredTool, Tool)):
        kind.ainvoke = _ainvoke(kind.ainvoke)


def _hook_nodes() -> None:
    """Wrap tool nodes, and those of agents' own classes, which may run tools by other means."""

    def hook_new(cls: Any, /, **options: Any) -> None:
        super(ToolNode, cls).__init_subclass__(**options)
        _hook_node(cls)

    node: Any = ToolNode
    node.__init_subclass__ = classmethod(hook_new)
    for kind in _with_subclasses(ToolNode):
        _hook_node(kind)


def _with_subclasses(kind: type[ToolNode]) -> Iterator[type[ToolNode]]:
    yield kind
    for subclass in kind.__subclasses__():
        yield from _with_subclasses(subclass)


def _hook_node(kind: Any) -> None:
    own = vars(kind)
    if "_run_one" in own:
        kind._run_one = _node(own["_run_one"])
    if "_arun_one" in own:
        kind._arun_one = _async_node(own["_arun_one"])


def _node(run_one: Callable[..., Any]) -> Callable[..., Any]:
    """Around a tool node's call of a tool, with its error handling and middleware."""

    @wraps(run_one)
    def wrapped(self: ToolNode, call: ToolCall, *rest: Any) -> Any:
        if (passage := _of_node(call, rest)) is None:
            return run_one(self, call, *rest)
        return passage.through_blocking(lambda: run_one(self, call, *rest))

    return wrapped


def _async_node(arun_one: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    @wraps(arun_one)
    async def wrapped(self: ToolNode, call: ToolCall, *rest: Any) -> Any:
        if (passage := _of_node(call, rest)) is None:
            return await arun_one(self, call, *rest)
        if self._awrap_tool_call is None and self._wrap_tool_call is not None:
            # It would block the event loop.
            self._awrap_tool_call = _in_thread(self._wrap_tool_call)
        return await passage.through(lambda: arun_one(self, call, *rest))

    return wrapped


def _in_thread(wrapper: Callable[..., Result]) -> AsyncWrapper:
    """Return a tool node's hook that blocks, as one that does not."""

    async def wrapped(request: ToolCallRequest, execute: AsyncExecute) -> Result:
        loop = asyncio.get_running_loop()

        def execute_in_loop(changed: ToolCallRequest) -> Result:
            async def call() -> Result:
                return await execute(changed)

            return asyncio.run_coroutine_threadsafe(call(), loop).result()

        return await asyncio.to_thread(wrapper, request, execute_in_loop)

    return wrapped


def _run(run: Callable[..., Any]) -> Callable[..., Any]:
    """Around a tool that is run, by hand or on the way through a passage."""

    @wraps(run)
    def wrapped(
        self: BaseTool, tool_input: Any, *rest: Any, tool_call_id: str | None = None, **options: Any
    ) -> Any:
        def execute() -> Any:
            return run(self, tool_input, *rest, tool_call_id=tool_call_id, **options)

        if (taken := _taken(self, tool_input, tool_call_id)) is not None:
            return _begin(*taken, execute)
        made = _by_hand(self, tool_input, tool_call_id)
        return (
            execute() if made is None else made.through_blocking(lambda: _begin(made, made.first_run(), execute))
        )

    return wrapped


def _begin(passage: Passage, tool_run: ToolRun, execute: Callable[[], Any]) -> Any:
    with passage.begun(), tool_run.at_work(GraphBubbleUp):
        kept = tool_run.again()
        return passage.ended(tool_run, execute()) if kept is None else passage.ended_before(kept)


def _arun(arun: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    @wraps(arun)
    async def wrapped(
        self: BaseTool, tool_input: Any, *rest: Any, tool_call_id: str | None = None, **options: Any
    ) -> Any:
        async def execute() -> Any:
            return await arun(self, tool_input, *rest, tool_call_id=tool_call_id, **options)

        async def begin(passage: Passage, tool_run: ToolRun) -> Any:
            with passage.begun():
                async with tool_run.awaited(GraphBubbleUp):
                    kept = tool_run.again()
                    return passage.ended(tool_run, await execute()) if kept is None else passage.ended_before(kept)

        if (taken := _taken(self, tool_input, tool_call_id)) is not None:
            return await begin(*taken)
        made = _by_hand(self, tool_input, tool_call_id)
        return await (execute() if made is None else made.through(lambda: begin(made, made.first_run())))

    return wrapped


def _ainvoke(ainvoke: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    """Around what runs a tool that blocks in a thread, which is not to be blocked while a person is asked."""

    @wraps(ainvoke)
    async def wrapped(self: Any, given: Any, *rest: Any, **options: Any) -> Any:
        tool_input, call_id = (given["args"], given["id"]) if _is_call(given) else (given, None)
        if self.coroutine is None and (taken := _taken(self, tool_input, call_id)) is not None:
            _, tool_run = taken
            async with tool_run.awaited_in_thread():
                return await ainvoke(self, given, *rest, **options)
        passage = None if self.coroutine is None else _entered_by(self, tool_input, call_id)
        is_its = passage is not None and not passage.counts_beside()
        made = None if is_its else _by_hand(self, tool_input, call_id)
        if made is None:
            return await ainvoke(self, given, *rest, **options)
        return await made.through(lambda: ainvoke(self, given, *rest, **options))

    return wrapped


def _is_call(given: Any) -> bool:
    return isinstance(given, dict) and given.get("type") == "tool_call"


def _of_node(call: ToolCall, rest: Sequence[Any]) -> Passage | None:
    """Return a passage for a tool node's call; None where it is in one, or belongs to no turn.

    Args:
        call: as the node has it.
        rest: what else the node runs it with; its runtime, which has the graph's state, is among that.
    """
    run, call_id = current_run.get(None), call["id"]
    if run is None or not call_id or _is_passing(call_id):
        return None
    run.open_calls.close(call_id)
    own = _given_id(run, call_id, call["name"], call["args"])
    return Passage(run, own, call["name"], call["args"], call_id, GivenMessages(*rest))


def _is_passing(call_id: str) -> bool:
    passage = open_passage()
    return passage is not None and passage.given_id == call_id


def _entered_by(tool: BaseTool, tool_input: Any, call_id: str | None) -> Passage | None:
    """Return the passage that a tool is run by: for the call, or by code around it that runs the tool by hand.

    The call's own tool runs in it, with the call's arguments: nobody has admitted another tool, nor what a
    middleware changes.
    """
    passage = open_passage()
    if passage is None or passage.name != tool.name or call_id not in (None, passage.given_id):
        return None
    is_its = passage.is_with_its_arguments(lambda given: _shown(tool, given), tool_input)
    return passage if is_its else None


def _taken(tool: BaseTool, tool_input: Any, call_id: str | None) -> tuple[Passage, ToolRun] | None:
    """Return the passage that a tool is run by, and the run that begins now; None where it is another call: what a
    middleware runs once more nobody has admitted."""
    passage = _entered_by(tool, tool_input, call_id)
    tool_run = None if passage is None else passage.take_run()
    return None if passage is None or tool_run is None else (passage, tool_run)


def _by_hand(tool: BaseTool, tool_input: Any, call_id: str | None) -> Passage | None:
    """Return a passage for a tool that code runs by itself; None where that is the agent's own affair: no model
    asked for it, and the agent's definition does not speak of it.
    """
    if (run := current_run.get(None)) is None:
        return None
    arguments = _shown(tool, tool_input)
    own, messages = _own_id(run, tool, arguments), GivenMessages(tool_input, _state_messages())
    if call_id:
        run.open_calls.close(call_id)
        given = _given_id(run, call_id, tool.name, arguments)
        again = given in run.raised or _is_passing(call_id)
        return ToolPassage(run, own() if again else given, tool.name, arguments, call_id, messages, asked=True)
    if (around := open_passage()) is not None and around.name == tool.name:
        return ToolPassage(run, own(), tool.name, arguments, None, messages, asked=False)
    if (answered := run.open_calls.take(tool.name, arguments)) is not None:
        return ToolPassage(run, answered, tool.name, arguments, None, messages, asked=True)
    covered = run.open_calls.cover(tool.name)
    if covered is not None:
        run.context.tools.exempt(covered, ran=True)
    elif tool.name not in run.named and not run.open_calls.were_asked(tool.name, arguments):
        return None
    return ToolPassage(run, own(), tool.name, arguments, None, messages, asked=covered is not None)


def _shown(tool: BaseTool, tool_input: Any) -> dict[str, Any]:
    """Return the arguments of a tool without those that LangGraph puts in."""
    return tool._filter_injected_args(tool_input) if isinstance(tool_input, dict) else {"input": tool_input}


def _given_id(run: GraphRun, call_id: str, name: str, arguments: dict[str, Any]) -> str:
    """Return the id of a call that came with one, which may be another: that of the model's call that it is."""
    is_shown = run.calls.has_called(call_id)
    own = run.open_calls.own_id(call_id, name, arguments, _task(), is_shown=is_shown)
    if own != call_id:
        run.calls.renamed(call_id)
    return own


def _own_id(run: GraphRun, tool: BaseTool, arguments: dict[str, Any]) -> Callable[[], str]:
    """Return what makes an id for a call that has none, or whose own names another try or another tool."""
    written = json.dumps(jsonable(arguments), sort_keys=True)
    return lambda: run.call_ids.make(_place(), answering.get(), tool.name, written)


def _place() -> str:
    """Return the nodes that the code at hand is in. Their tasks have other ids whenever a graph runs."""
    return "/".join(part.partition(":")[0] for part in _task().split("|"))


def _state_messages() -> Any:
    """Return the messages in the state of the graph that the code at hand is in, if it has any."""
    read = (var_child_runnable_config.get() or {}).get("configurable", {}).get(CONFIG_KEY_READ)
    try:
        return read and read("messages")
    except KeyError:
        return None


def _task() -> str:
    """Return the task of the graph, within those around it, that the code at hand is in."""
    config = var_child_runnable_config.get() or {}
    return str(config.get("metadata", {}).get("langgraph_checkpoint_ns", ""))
