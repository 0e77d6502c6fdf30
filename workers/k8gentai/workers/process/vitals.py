"""Tells whether the process can run turns at all: code of one of them may break what every turn needs."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from k8gentai.agents.contract.events import TurnFailed
from k8gentai.workers.queue.hand_backs import BrokeOffError

_SECONDS = 10.0
"""The seconds that each of these checks may take, which a whole process does in a millisecond."""
_OFTEN = 3
"""The number of processes that a turn may find broken, or break."""
_PROBE = {"a": [1, "é"]}

log = structlog.get_logger(__name__)


class Vitals:
    """Looks at what every turn needs. To be made in the worker's own loop.

    Args:
        host: the host on which the model gateway of this process listens.
        port: the port on which it does.
        replace: has the process replaced.
    """

    def __init__(self, host: str, port: int, replace: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._address = host, port
        self._replace = replace
        self._looking: asyncio.Task[None] | None = None
        self._taken: asyncio.Future[int] | None = None

    def look(self) -> None:
        """Have the process replaced if it is broken. From any thread; returns at once."""
        self._loop.call_soon_threadsafe(self._begin)

    def stop(self) -> None:
        """Look no more: the process is about to end."""
        if self._looking is not None:
            self._looking.cancel()

    async def check(self) -> None:
        """See that a turn that failed did not fail for a broken process.

        Raises:
            BrokeOffError: it may have, and is to be tried again; this process is about to be replaced.
        """
        if fault := await self._fault():
            message = f"the worker's process can run no turns any more, as code of a turn broke it ({fault})"
            raise BrokeOffError(TurnFailed(code="worker_error", message=message), often=_OFTEN)

    def _begin(self) -> None:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        await self._fault()

    async def _fault(self) -> str | None:
        """Return what the process cannot do any more, and have it replaced for that."""
        for what, attempt in (
            ("begin a thread's work", self._use_a_thread),
            ("read its own JSON", self._read_json),
            ("reach its model gateway", self._reach_gateway),
        ):
            try:
                await self._within(attempt)
            except Exception as error:  # noqa: BLE001 - whatever it raises, it cannot
                fault = f"it cannot {what}: {type(error).__name__}: {error}"
                self._replace()
                with suppress(Exception):  # A log is written as JSON.
                    log.error("process_is_broken", fault=fault)
                return fault
        return None

    async def _within(self, attempt: Callable[[], Awaitable[None]]) -> None:
        """Await what has its time; twice, as a process that was stopped meanwhile is late the first time."""
        try:
            await asyncio.wait_for(attempt(), _SECONDS)
        except TimeoutError:
            await asyncio.wait_for(attempt(), _SECONDS)

    async def _use_a_thread(self) -> None:
        # All threads may be busy, with imports for example: it is enough that the work is taken.
        self._taken = self._loop.run_in_executor(None, int)

    async def _read_json(self) -> None:
        if json.loads(json.dumps(_PROBE)) != _PROBE:
            raise ValueError("what was read is not what was written")

    async def _reach_gateway(self) -> None:
        _, writer = await asyncio.open_connection(*self._address)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
