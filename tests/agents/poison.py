"""Agents whose own code does what a worker would not survive, or not well: the last message says what."""

import asyncio
import contextlib
import ctypes
import os
import re
import signal
import sys
import time

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain.tools import ToolRuntime
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command

HALF = "\ud800"


class Unprintable(Exception):  # noqa: N818
    """An error that cannot be printed."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class Plain(BaseException):
    """Neither an exit nor an ordinary exception."""


async def _leave_in_a_task() -> None:
    async def leave() -> None:
        sys.exit(5)

    await asyncio.gather(leave(), asyncio.sleep(60))


async def _ignore_cancelling() -> None:
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)


async def _cancel_all_tasks() -> None:
    for task in asyncio.all_tasks():
        task.cancel()
    await asyncio.sleep(60)


def _raise(error: BaseException) -> None:
    raise error


DEEDS = {
    "exit": lambda: sys.exit(5),
    "exit in a task": _leave_in_a_task,
    "exit in a callback": lambda: asyncio.get_running_loop().call_soon(sys.exit, 5) and asyncio.sleep(0.1),
    "interrupt": lambda: _raise(KeyboardInterrupt()),
    "cancelled": lambda: _raise(asyncio.CancelledError()),
    "base": lambda: _raise(Plain("plain")),
    "memory": lambda: _raise(MemoryError()),
    "half": lambda: _raise(ValueError(f"cannot read: {HALF}")),
    "unprintable": lambda: _raise(Unprintable()),
    "stop the loop": lambda: asyncio.get_running_loop().stop() or asyncio.sleep(0.1),
    "cancel all": _cancel_all_tasks,
    "ignore cancelling": _ignore_cancelling,
    "hard exit": lambda: os._exit(7),
    "hard exit in a thread": lambda: asyncio.to_thread(os._exit, 7),
    "segfault": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "terminate": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "terminate the group": lambda: os.killpg(0, signal.SIGINT),
    "raise a signal": lambda: signal.raise_signal(signal.SIGTERM),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "block": lambda: time.sleep(3600),
    "say half": lambda: HALF,
}


async def do(state: MessagesState) -> dict:
    deed = re.sub(r"^do: ", "", state["messages"][-1].content)
    said = DEEDS[deed]()
    if asyncio.iscoroutine(said):
        said = await said
    return {"messages": [AIMessage(said or "Done.")]}


agent = StateGraph(MessagesState).add_node("do", do).add_edge(START, "do").compile()


def factory(context: object) -> None:
    """Make no agent."""
    sys.exit(6)


class _Leaving(AgentMiddleware):
    def before_model(self, state: dict, runtime: object) -> None:
        sys.exit(7)


@tool
def leave() -> str:
    """Leave."""
    sys.exit(8)


@tool
def half() -> str:
    """Return what cannot be encoded."""
    return f"half {HALF}"


@tool(response_format="content_and_artifact")
def half_with_artifact() -> tuple[list, int]:
    """Return what cannot be encoded, and an artifact."""
    return [{"type": "text", "text": f"half {HALF}"}], 1


@tool
def fail_half() -> str:
    """Raise what cannot be encoded."""
    raise ValueError(f"half {HALF}")


@tool
def half_command(runtime: ToolRuntime) -> Command:
    """Return a command with a message that cannot be encoded."""
    return Command(update={"messages": [ToolMessage(f"half {HALF}", tool_call_id=runtime.tool_call_id)]})


middleware = create_agent(ChatOpenAI(model="m"), [], middleware=[_Leaving()])
leaver = create_agent(ChatOpenAI(model="m"), [leave, half, half_with_artifact, fail_half, half_command])
