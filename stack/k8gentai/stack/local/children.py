"""The processes of a stack and of what is tried on it: each with a log, none left behind."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from k8gentai.stack.environments.private_folders import make_private

STOP_SECONDS = 10
"""The seconds that an essential child may take to end after SIGTERM."""
DRAIN_SECONDS = 40
"""The seconds that others may take: the grace that workers give their turns by default, and time to hand the rest
over."""
TAIL_LINES = 12


class ChildError(Exception):
    """A child ended that should not have, or does not answer. The message names it and its log."""

    def __init__(self, name: str, what: str, log: Path) -> None:
        super().__init__(f"'{name}' {what}. Its log: {log}")
        self.log = log


class Children:
    """Use as an asynchronous context: at its end all children are stopped.

    Those that are not essential are told first and at once, and may do with the others what they have still to do.
    Of the essential ones the last started ends first.

    Args:
        logs: the directory of ``<name>.log``; each start begins a log anew.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._guard: asyncio.subprocess.Process | None = None
        self._children: dict[str, asyncio.subprocess.Process] = {}
        self._essential: set[str] = set()
        self._looked_after: set[str] = set()

    async def __aenter__(self) -> Self:
        make_private(self._logs)
        self._guard = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "k8gentai.stack.local.reaper",
            stdin=asyncio.subprocess.PIPE,
            process_group=0,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await asyncio.gather(*(self.end(name) for name in self._children if name not in self._essential))
            for name in reversed(self._children):
                await self.end(name)
        finally:
            await self.kill()

    async def kill(self) -> None:
        """SIGKILL to all children and to what they started themselves; no more can be started."""
        if self._guard is not None and self._guard.returncode is None:
            # What children of ours started themselves is in the group too.
            os.killpg(self._guard.pid, signal.SIGKILL)
            await asyncio.gather(*(child.wait() for child in (self._guard, *self._children.values())))

    async def start(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        pass_fds: Sequence[int] = (),
        directory: Path | None = None,
        *,
        essential: bool = True,
        append: bool = False,
    ) -> None:
        """Start a child. One of the same name has to have ended.

        Args:
            name: the child's name in messages, and that of its log.
            command: the program and its arguments.
            environment: all of its environment.
            pass_fds: open files it inherits.
            directory: the directory in which it works; by default that of this process.
            essential: whether :meth:`failed` looks after it, and the others need it to the end.
            append: go on with the log of that name instead of beginning it anew.

        Raises:
            OSError: it cannot be started.
        """
        if self._guard is None:
            raise RuntimeError("children are started within the context")
        if essential:
            self._essential.add(name)
        with self.log(name).open("ab" if append else "wb") as log:
            self._children[name] = await asyncio.create_subprocess_exec(
                *command,
                env=environment,
                cwd=directory,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=pass_fds,
                # Ctrl-C reaches the terminal's own group only, so the order of stopping is ours.
                process_group=self._guard.pid,
            )

    @contextmanager
    def looked_after(self, names: Iterable[str]) -> Iterator[None]:
        """While inside, leave the ends of these children out of :meth:`failed`: somebody starts them again.

        Args:
            names: the children's.
        """
        names = set(names) - self._looked_after
        self._looked_after |= names
        try:
            yield
        finally:
            self._looked_after -= names

    def runs(self, name: str) -> bool:
        """Return whether a child was started and has not ended."""
        child = self._children.get(name)
        return child is not None and child.returncode is None

    def pid(self, name: str) -> int:
        """Return a child's process id."""
        return self._children[name].pid

    def send(self, name: str, signum: signal.Signals) -> None:
        """Send a signal to a child, unless it has ended."""
        if self.runs(name):
            self._children[name].send_signal(signum)

    async def end(self, name: str, seconds: float | None = None) -> None:
        """Stop one child: SIGTERM, and SIGKILL where that does not do in time.

        Args:
            name: the child's.
            seconds: how long it may take; by default STOP_SECONDS where it is essential, else DRAIN_SECONDS.
        """
        usual = STOP_SECONDS if name in self._essential else DRAIN_SECONDS
        await _stop(self._children[name], usual if seconds is None else seconds)

    def log(self, name: str) -> Path:
        """Return where a child's output goes."""
        return self._logs / f"{name}.log"

    async def ended(self, name: str) -> int:
        """Wait until a child ends. Returns its exit code; less than zero where a signal ended it."""
        return await self._children[name].wait()

    async def failed(self) -> None:
        """Wait until an essential child ends that nobody looks after, as far as is known at the call.

        Raises:
            ChildError: always, when one did.
        """
        names = self._essential - self._looked_after
        watched = {name: child for name, child in self._children.items() if name in names}
        if self._guard is not None:
            watched["guard"] = self._guard
        waits = {asyncio.create_task(child.wait()): name for name, child in watched.items()}
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()
        ended = done.pop()
        name = waits[ended]
        raise ChildError(name, f"ended with {how_it_ended(ended.result())}", self.log(name))


def how_it_ended(code: int) -> str:
    """Say in words how a process ended: ``exit code 1`` or ``signal SIGKILL``."""
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


async def _stop(process: asyncio.subprocess.Process, seconds: float) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(seconds):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def tail(log: Path) -> str:
    """Return the last lines of a log."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(lines[-TAIL_LINES:])
