"""Runs ``up`` to its end: signals, and how each end is told."""

import asyncio
import signal

import httpx
from rich.console import Console
from rich.markup import escape

from k8gentai.stack.local.children import ChildError, tail
from k8gentai.stack.local.settings import read_settings
from k8gentai.stack.local.up import Plan, up
from k8gentai.stack.terminal.console import perhaps_unread

INTERRUPTED = 130
"""The exit code of a program that Ctrl-C ended, as shells have it."""


def run_up(plan: Plan, out: Console, err: Console) -> int:
    """Run `up` until it ends, or SIGINT, SIGTERM or, unless it is ignored, SIGHUP ends it. Returns the exit code.

    Raises:
        SetUpError, OSError: as `up` does; all children are gone by then.
    """
    try:
        return asyncio.run(_run(plan, out))
    except ChildError as error:
        with perhaps_unread():
            err.print(f"[red]{escape(str(error))}[/]", highlight=False, soft_wrap=True)
            err.print(tail(error.log), markup=False, highlight=False, soft_wrap=True)
    except httpx.HTTPError as error:
        with perhaps_unread():
            err.print(f"[red]The stack broke off its answer: {escape(repr(error))}[/]", soft_wrap=True)
    return 1


async def _run(plan: Plan, out: Console) -> int:
    running = asyncio.create_task(up(plan, read_settings(), out))
    loop = asyncio.get_running_loop()

    def stop() -> None:
        is_first = not running.cancelling()
        # First: nobody may be there to read the rest, as after SIGHUP.
        running.cancel()
        if is_first:
            with perhaps_unread():
                out.print("\nStopping: turns that run have 30 s to end. Ctrl-C again ends all now.")

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # `nohup` ignores SIGHUP for what it starts, which is to outlive the terminal.
        if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:
            loop.add_signal_handler(signum, stop)
    try:
        return 0 if await running else 1
    except asyncio.CancelledError:
        with perhaps_unread():
            out.print("Stopped.")
        return INTERRUPTED
