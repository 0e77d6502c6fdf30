"""Starts workers and the server again that end by themselves, as an agent may have its process end."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import psutil

from k8gentai.stack.environments.installed import Say
from k8gentai.stack.local.children import Children, how_it_ended
from k8gentai.workers.isolation.process_exits import REPLACE

_STEADY_SECONDS = 60
"""A process that ran for so long is started again as if it had never ended."""
_SETTLED_SECONDS = 10
"""A worker that ran for so long and asks to be replaced is replaced at once."""
_STOPPED_SECONDS = 60
"""A process that is stopped for so long is not going on."""
_LOOKS = 6
"""The number of looks at it meanwhile."""
_LONGEST_PAUSE_SECONDS = 10.0
"""Turns of other agents wait as well: one that ends its process does so for a few times only."""


@dataclass(frozen=True)
class KeptProcess:
    """A child that is started again, as it is started.

    Args:
        name: the child's.
        command: the program and its arguments.
        environment: all of its environment.
        essential: see :meth:`Children.start`.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    essential: bool = False

    async def start(self, children: Children, *, again: bool = False) -> None:
        """Start it as a child.

        Args:
            children: the children that it joins.
            again: go on with the log that is there.

        Raises:
            OSError: it cannot be started.
        """
        await children.start(self.name, self.command, self.environment, essential=self.essential, append=again)


@asynccontextmanager
async def kept_running(children: Children, kept: Sequence[KeptProcess], say: Say) -> AsyncIterator[None]:
    """While inside, start each of these children again when it ends, later each time if it goes on so. Their ends
    are not those of the others, be they essential.

    One that asks to be replaced after it ran for a while is started again at once, and that does not make it later
    the next time.

    Args:
        children: the children among which they were started.
        kept: the processes to look after.
        say: called with a line for each end.
    """
    tasks = [asyncio.create_task(_keep(children, process, say)) for process in kept]
    try:
        with children.looked_after(process.name for process in kept):
            yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _keep(children: Children, process: KeptProcess, say: Say) -> None:
    pauses = _pauses()
    while True:
        began = time.monotonic()
        code = await _ended(children, process.name, say)
        ran = time.monotonic() - began
        if ran >= _STEADY_SECONDS:
            pauses = _pauses()
        pause = 0 if code == REPLACE and ran >= _SETTLED_SECONDS else next(pauses)
        when = f"in {pause:g} s" if pause else "at once"
        log = children.log(process.name)
        say(f"'{process.name}' ended with {how_it_ended(code)} and is started again {when}. Its log: {log}")
        await asyncio.sleep(pause)
        try:
            await process.start(children, again=True)
        except OSError as error:
            say(f"'{process.name}' cannot be started: {error}")


async def _ended(children: Children, name: str, say: Say) -> int:
    """Wait until a child ends, and end one that stands stopped, as its own code may have it. Returns its exit
    code."""
    ending = asyncio.create_task(children.ended(name))
    stopped = 0
    try:
        while not (await asyncio.wait({ending}, timeout=_STOPPED_SECONDS / _LOOKS))[0]:
            stopped = stopped + 1 if _is_stopped(children.pid(name)) else 0
            if stopped >= _LOOKS:
                say(f"'{name}' stood stopped by a signal for {_STOPPED_SECONDS:g} s, and is killed.")
                children.send(name, signal.SIGKILL)
        return ending.result()
    finally:
        ending.cancel()


def _is_stopped(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_STOPPED
    except psutil.Error:
        return False


def _pauses() -> Iterator[float]:
    """Yield the seconds to wait before each start; without end."""
    pause = 0.5
    while True:
        yield pause
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
