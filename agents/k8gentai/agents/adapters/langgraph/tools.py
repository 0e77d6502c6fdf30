"""Sends the tools of a graph through the turn's tool boundary.

LangGraph's ``ToolNode`` lets a hook wrap each call. Ours is put around whatever hook there is, once, when the
agent is loaded; which turn a call belongs to, a context variable says.
"""

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, cast

from langchain_core.messages import BaseMessage, ToolMessage, convert_to_messages
from langgraph.errors import GraphBubbleUp
from langgraph.prebuilt import ToolNode
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.pregel import Pregel
from langgraph.types import Command

from k8gentai.agents.adapters.langgraph.content import text_and_reasoning
from k8gentai.agents.adapters.langgraph.recorded import recorded, remade
from k8gentai.agents.adapters.langgraph.run import current_run
from k8gentai.agents.turn import ToolOutcome

Result = ToolMessage | Command[Any]
"""What a tool comes to; a tool may also give a list of them."""
Execute = Callable[[ToolCallRequest], Result]
AsyncExecute = Callable[[ToolCallRequest], Awaitable[Result]]
Wrapper = Callable[[ToolCallRequest, Execute], Result]
AsyncWrapper = Callable[[ToolCallRequest, AsyncExecute], Awaitable[Result]]


class _Bubble(BaseException):
    """Carries what belongs to LangGraph (an interrupt, a command to a parent) past the boundary: it is neither a
    result nor a failure of the tool."""

    def __init__(self, carried: GraphBubbleUp) -> None:
        super().__init__(carried)
        self.carried = carried


def hook_tools(graph: Pregel[Any, Any, Any, Any]) -> None:
    """Put our hook on every tool node of a graph and its subgraphs, those included that its functions use.

    Hooking one twice does nothing.
    """
    for node in _tool_nodes(graph, set()):
        if not isinstance(node._awrap_tool_call, _AsyncHook):
            node._awrap_tool_call = _AsyncHook(_async_wrapper(node))
            node._wrap_tool_call = _Hook(node._wrap_tool_call)


def _tool_nodes(part: object, seen: set[int]) -> Iterator[ToolNode]:
    if id(part) in seen:
        return
    seen.add(id(part))
    inner: list[object] = []
    if isinstance(part, ToolNode):
        yield part
        # A tool may run a graph of its own: an agent used as a tool.
        inner = list(part.tools_by_name.values())
    elif isinstance(part, Pregel):
        inner = [bound for node in part.nodes.values() for bound in (node.bound, *(node.subgraphs or ()))]
    else:
        inner = [getattr(part, "bound", None), *(getattr(part, "steps", None) or ())]
    for name in ("func", "afunc", "coroutine"):
        inner += _used(getattr(part, name, None))
    for child in inner:
        if child is not None:
            yield from _tool_nodes(child, seen)


def _used(function: object) -> list[object]:
    """The graphs and tool nodes that a function's code names."""
    try:
        named = inspect.getclosurevars(cast("Callable[..., Any]", function))
    except (TypeError, ValueError):
        # Not a Python function, or one that names what is not defined yet.
        return []
    values = (*named.nonlocals.values(), *named.globals.values())
    return [value for value in values if isinstance(value, ToolNode | Pregel)]


def _async_wrapper(node: ToolNode) -> AsyncWrapper:
    """The hook that a node's async calls have: its own, or its sync one in a thread, or none."""
    if node._awrap_tool_call is not None:
        return node._awrap_tool_call
    wrapper = node._wrap_tool_call
    if wrapper is None:
        return _execute

    async def in_thread(request: ToolCallRequest, execute: AsyncExecute) -> Result:
        loop = asyncio.get_running_loop()

        def execute_in_loop(changed: ToolCallRequest) -> Result:
            async def call() -> Result:
                return await execute(changed)

            return asyncio.run_coroutine_threadsafe(call(), loop).result()

        return await asyncio.to_thread(wrapper, request, execute_in_loop)

    return in_thread


async def _execute(request: ToolCallRequest, execute: AsyncExecute) -> Result:
    return await execute(request)


class _AsyncHook:
    """Around a node's async tool calls.

    Args:
        inner: the hook that was there.
    """

    def __init__(self, inner: AsyncWrapper) -> None:
        self._inner = inner

    async def __call__(self, request: ToolCallRequest, execute: AsyncExecute) -> Result:
        run = current_run.get(None)
        call_id = request.tool_call["id"]
        if run is None or not call_id:
            return await self._inner(request, execute)
        result: Result | None = None

        async def call() -> ToolOutcome:
            nonlocal result
            try:
                result = await self._inner(request, execute)
            except GraphBubbleUp as bubble:
                raise _Bubble(bubble) from bubble
            except SystemExit as error:
                # It would end the worker, and with it every other turn.
                raise RuntimeError(f"the tool called sys.exit({error})") from error
            return _outcome(result, call_id, recorded(result))

        name, arguments = request.tool_call["name"], request.tool_call["args"]
        try:
            outcome = await run.context.tools.call(call_id, name, arguments, call)
        except _Bubble as bubble:
            raise bubble.carried from None
        run.answered(call_id)
        if result is not None:
            return result
        # The tool raised, or the boundary knew the result from before.
        if outcome.raw:
            return cast("Result", remade(outcome.raw))
        status = "error" if outcome.is_error else "success"
        return ToolMessage(outcome.output, name=name, tool_call_id=call_id, status=status)


class _Hook:
    """Around a node's sync tool calls: a node's own code that calls a tool node, in a thread.

    Args:
        inner: the hook that was there, if any.
    """

    def __init__(self, inner: Wrapper | None) -> None:
        self._inner: Wrapper = inner or (lambda request, execute: execute(request))

    def __call__(self, request: ToolCallRequest, execute: Execute) -> Result:
        run = current_run.get(None)
        if run is None or threading.get_ident() == run.thread:
            # On the loop's own thread there is no waiting for the boundary. The result is seen in the stream.
            return self._inner(request, execute)

        async def in_thread(request: ToolCallRequest, execute_async: AsyncExecute) -> Result:
            return await asyncio.to_thread(self._inner, request, execute)

        async def execute_async(request: ToolCallRequest) -> Result:
            return await asyncio.to_thread(execute, request)

        call = _AsyncHook(in_thread)(request, execute_async)
        return asyncio.run_coroutine_threadsafe(call, run.loop).result()


def _outcome(result: Result | list[Result], call_id: str, raw: str) -> ToolOutcome:
    """What the model is shown of a result: the tool message that answers the call."""
    for item in result if isinstance(result, list) else [result]:
        for message in _messages(item):
            if isinstance(message, ToolMessage) and message.tool_call_id == call_id:
                return ToolOutcome(text_and_reasoning(message)[0], is_error=message.status == "error", raw=raw)
    return ToolOutcome("", raw=raw)


def _messages(item: Result) -> list[BaseMessage]:
    if isinstance(item, BaseMessage):
        return [item]
    update = item.update.get("messages", []) if isinstance(item.update, dict) else item.update
    return convert_to_messages(update) if isinstance(update, list) else []
