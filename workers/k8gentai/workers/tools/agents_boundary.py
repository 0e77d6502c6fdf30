"""The tool boundary as agents' code reaches it: from the loop that agents run on, and from threads."""

import asyncio
import concurrent.futures
import contextvars
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue
from typing import Any

from k8gentai.agents.code.exceptions import contained_in_thread
from k8gentai.agents.code.home_process import HomeProcess
from k8gentai.agents.contract.turn import Decision, ToolOutcome
from k8gentai.workers.isolation.agents_loop import AgentsLoop, in_loop
from k8gentai.workers.tools.boundary import Tools

_Job = Callable[[], None]


class AgentsBoundary:
    """The boundary of one attempt (:class:`k8gentai.agents.contract.turn.ToolBoundary`).

    To be made in the worker's own loop.

    Args:
        tools: does the work, in the worker's own loop.
        agents: the loop that agents run on.
    """

    def __init__(self, tools: Tools, agents: AgentsLoop) -> None:
        self._tools = tools
        self._agents = agents
        self._home = asyncio.get_running_loop()
        self._process = HomeProcess()
        self._waiting: set[asyncio.Task[Any]] = set()
        """The calls of threads that wait for them."""
        self._blocking: list[str] = []
        """The calls that the thread of the agents' loop waits for, the innermost last."""
        self._closed = False

    @property
    def stalled(self) -> bool:
        """Whether agents' loop is blocked by a call that waits for a person: nothing else comes to its end."""
        return any(map(self._tools.waits_for, self._blocking))

    async def call(
        self,
        call_id: str,
        name: str,
        arguments: dict[str, Any],
        run: Callable[[], Awaitable[str | ToolOutcome]],
        *,
        approval: bool = False,
        starts_work: bool = False,
    ) -> ToolOutcome:
        self._process.check(name)

        async def execute() -> str | ToolOutcome:
            return await run()

        def calling() -> Coroutine[Any, Any, ToolOutcome]:
            return self._tools.call(
                call_id,
                name,
                arguments,
                lambda: in_loop(self._agents.loop, execute()),
                approval=approval,
                starts_work=starts_work,
            )

        return await in_loop(self._home, self._while_open(name, calling))

    def exempt(self, call_id: str, *, ran: bool = False) -> None:
        self._tools.exempt(call_id, ran=ran)

    def begin_anew(self) -> None:
        self._tools.begin_anew()

    def claim(self, name: str, arguments: dict[str, Any], *, nested: bool) -> str | None:
        return self._tools.claim(name, arguments, nested=nested)

    def decision(self, question: str, name: str, arguments: str) -> Decision | None:
        self._process.check(name)
        return self._tools.decision(question, name, arguments)

    async def ask(self, call_id: str, name: str, arguments: str, about: Sequence[str] = ()) -> Decision:
        self._process.check(name)
        asking = partial(self._tools.ask, call_id, name, arguments, about)
        return await in_loop(self._home, self._while_open(name, asking))

    def wait(
        self, call_id: str, name: str, arguments: dict[str, Any], run: Callable[[], str | ToolOutcome]
    ) -> ToolOutcome:
        self._process.check(name)
        jobs: SimpleQueue[_Job | None] = SimpleQueue()

        def execute() -> Coroutine[Any, Any, str | ToolOutcome]:
            # A tool may be bound to its caller's thread; one that may be given up cannot run in it.
            put = _start_thread if self._tools.seconds(name) is not None else jobs.put
            return _done_by(put, run)

        calling = partial(self._tools.call, call_id, name, arguments, execute)
        # Before it may ask somebody.
        with self._noted(call_id):
            coming = asyncio.run_coroutine_threadsafe(self._tracked(self._while_open(name, calling)), self._home)
            coming.add_done_callback(lambda _: jobs.put(None))
            while (job := jobs.get()) is not None:
                job()
        try:
            return coming.result()
        except concurrent.futures.CancelledError:
            # Agents' code catches exceptions, and this is one. The attempt is over, or the turn another worker's.
            raise asyncio.CancelledError(f"the turn is over for {name}") from None

    def close(self) -> None:
        """Let go of the threads that wait, and run nothing more: the attempt is over."""
        self._closed = True
        for task in self._waiting:
            task.cancel()

    async def _while_open[T](self, name: str, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do work for agents' code in the worker's own loop, where the attempt is closed too: not even a call that
        was on its way by then may act for it.

        Raises:
            asyncio.CancelledError: the attempt is over.
        """
        if self._closed:
            raise asyncio.CancelledError(f"the turn is over for {name}")
        return await work()

    async def _tracked(self, calling: Coroutine[Any, Any, ToolOutcome]) -> ToolOutcome:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine that runs is in one
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)
        return await calling

    @contextmanager
    def _noted(self, call_id: str) -> Iterator[None]:
        if not self._agents.is_current:
            yield
            return
        self._blocking.append(call_id)
        try:
            yield
        finally:
            self._blocking.pop()


def _start_thread(job: _Job) -> None:
    threading.Thread(target=job, name="tool", daemon=True).start()


async def _done_by(put: Callable[[_Job], None], run: Callable[[], str | ToolOutcome]) -> str | ToolOutcome:
    """Have another thread run a function, with the context variables of here, and return its result.

    Args:
        put: takes what that thread is to do.
        run: the function.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[str | ToolOutcome] = loop.create_future()
    context = contextvars.copy_context()

    def job() -> None:
        try:
            result = context.run(run)
        except asyncio.CancelledError as error:
            # It waited for another call when the attempt ended.
            loop.call_soon_threadsafe(_settle, done.set_exception, error)
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
            loop.call_soon_threadsafe(_settle, done.set_exception, contained_in_thread(error))
        else:
            loop.call_soon_threadsafe(_settle, done.set_result, result)

    def _settle(end: Callable[[Any], None], value: Any) -> None:
        if not done.done():
            end(value)

    put(job)
    return await done
