"""Agents whose own code does what a worker would not survive, or not well: the last message says what."""

import asyncio
import contextlib
import ctypes
import faulthandler
import gc
import io
import logging
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

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


async def _lose_threads() -> None:
    for _ in range(40):
        asyncio.get_running_loop().run_in_executor(None, time.sleep, 100_000)


async def _cancel_all_tasks() -> None:
    for task in asyncio.all_tasks():
        task.cancel()
    await asyncio.sleep(60)


def _raise(error: BaseException) -> None:
    raise error


def _fork_and_return() -> None:
    """The child comes back here, too."""
    os.fork()


def _fork_in_a_thread() -> object:
    return asyncio.to_thread(_fork_and_return)


def _run_a_loop_in_a_thread() -> object:
    return asyncio.to_thread(lambda: asyncio.run(asyncio.sleep(0)))


def _close_each_file() -> None:
    for number in range(3, 1024):
        with contextlib.suppress(OSError):
            os.close(number)


async def _grow() -> None:
    """For longer than a beat lasts."""
    grown = b"x" * 100 * 2**20
    await asyncio.sleep(2)
    del grown


def _close_standard_streams() -> None:
    sys.stdout.close()
    sys.stderr.close()
    logging.getLogger().error("there is nowhere to write this")
    open(1, "w").close()
    open(2, "w").close()


def _change_settings() -> None:
    os.chdir("/")
    os.environ["OPENAI_BASE_URL"] = "http://elsewhere/v1"
    del os.environ["OPENAI_API_KEY"]
    gc.disable()
    sys.setrecursionlimit(100_000)
    threading.excepthook = sys.excepthook = lambda *_: os._exit(9)
    asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())
    sys.stdout = sys.stderr = io.StringIO()


def _fail_in_a_thread() -> None:
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()


def _recurse() -> None:
    sys.setrecursionlimit(100_000)

    def deeper() -> None:
        deeper()

    deeper()


def _print_much() -> None:
    for _ in range(10_000):
        print("x" * 1_000)  # noqa: T201


def _shut_down_sockets() -> None:
    """End all connections of the process, and let nobody begin one to it."""
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(descriptor.name))) as made:
            made.shutdown(socket.SHUT_RDWR)


def _crash_with_another_handler() -> None:
    faulthandler.enable()
    ctypes.string_at(0)


def _settings() -> str:
    """What of the process a turn finds."""
    for stream in (sys.stdout, sys.stderr):
        print("settings", file=stream, flush=True)
    found = (
        Path.cwd() != Path("/"),
        "127.0.0.1" in os.environ["OPENAI_BASE_URL"],
        bool(os.environ["OPENAI_API_KEY"]),
        gc.isenabled(),
        sys.getrecursionlimit() < 100_000,
        threading.excepthook is threading.__excepthook__,
        sys.stdout is sys.__stdout__,
    )
    return str(all(found))


DEEDS = {
    "spawn": lambda: subprocess.run(["true"], check=True) and None,
    "leave a process": lambda: subprocess.Popen(["sleep", "60"]) and None,
    "fork": _fork_and_return,
    "fork in a thread": _fork_in_a_thread,
    "run a loop in a thread": _run_a_loop_in_a_thread,
    "handle signals": lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
    "handle signals in the loop": lambda: asyncio.get_running_loop().add_signal_handler(15, print),
    "close all files": lambda: os.closerange(3, 1024),
    "close each file": _close_each_file,
    "grow": _grow,
    "close standard streams": _close_standard_streams,
    "change settings": _change_settings,
    "settings": _settings,
    "fail in a thread": _fail_in_a_thread,
    "recurse": _recurse,
    "print much": _print_much,
    "shut down sockets": _shut_down_sockets,
    "lose threads": _lose_threads,
    "crash with another handler": _crash_with_another_handler,
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

_calling = ChatOpenAI(model="m").bind_tools([half])


def _run_half(arguments: dict) -> str:
    return half.invoke(arguments)


def _in_a_child(state: MessagesState) -> dict:
    asked = _calling.invoke(state["messages"])
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        results = list(pool.map(_run_half, [call["args"] for call in asked.tool_calls]))
    return {"messages": [asked, *results]}


forker = StateGraph(MessagesState).add_node("do", _in_a_child).add_edge(START, "do").compile()
