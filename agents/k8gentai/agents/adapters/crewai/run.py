"""One attempt at a turn: a thread that runs CrewAI, and what is heard of it."""

import asyncio
import concurrent.futures
import contextlib
import contextvars
import json
import threading
from collections.abc import Callable, Coroutine
from collections.abc import Set as AbstractSet
from contextvars import ContextVar
from datetime import datetime
from typing import Any, NoReturn

from crewai.events.stream_context import add_stream_sink
from crewai_core.printer import set_suppress_console_output

from k8gentai.agents.adapters.base.call_ids import CallIds
from k8gentai.agents.adapters.base.event_queue import Ended, EventQueue
from k8gentai.agents.adapters.crewai.models import Answer, ModelCalls
from k8gentai.agents.code.exceptions import contained_in_thread
from k8gentai.agents.code.home_process import HomeProcess
from k8gentai.agents.contract.events import Event, ToolCall
from k8gentai.agents.contract.idempotency import idempotency_key
from k8gentai.agents.contract.turn import Decision, ToolOutcome, TurnContext, TurnError
from k8gentai.agents.text.json_text import shown_json

current_run: ContextVar["CrewRun | None"] = ContextVar("current_crew_run", default=None)
"""The run that the code at hand belongs to, in whatever thread."""

_CLOSING_SECONDS = 5
"""The seconds that the tool calls of a closed turn may take to unwind."""


class Stopped(BaseException):
    """Ends CrewAI's code wherever it is. It gives ordinary exceptions to the model, or tries again."""


class CrewRun:
    """Runs one turn in a thread of its own and keeps its events for the one who asks.

    Args:
        context: the means that the harness lends.
        asked_at: when the turn was asked, in UTC.
        client_tools: the names of the tools that the client runs; a call to one ends the turn.
        ruled: the names of the tools that the definition says something of.
    """

    def __init__(
        self, context: TurnContext, asked_at: datetime, client_tools: set[str], ruled: AbstractSet[str]
    ) -> None:
        self.asked_at = asked_at
        self.ruled = ruled
        self.client_tools = client_tools
        """The names of the tools that the client runs."""
        self.named = ruled | client_tools | {tool.name for tool in context.declared}
        """The tools that the definition or the request names."""
        self._context = context
        self._process = HomeProcess()
        self._loop = asyncio.get_running_loop()
        self._events = EventQueue()
        self._waiting: set[concurrent.futures.Future[Any]] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        """The tasks on the worker's loop that the run waits for."""
        self._lock = threading.Lock()
        self._over = False
        self.call_ids = CallIds()
        self.calls = ModelCalls(self.publish, context.max_steps, client_tools, context.leave_out)

    def start(self, kickoff: Callable[[], Answer]) -> None:
        """Start the turn.

        Args:
            kickoff: runs the agent to its end and returns its answer.
        """

        def work() -> Answer:
            current_run.set(self)
            add_stream_sink(self._hear)
            set_suppress_console_output(True)
            return kickoff()

        running = self._in_thread(work)
        running.add_done_callback(self._end)

    async def next_event(self) -> Event | None:
        """Return the next event; None at a good end.

        Raises:
            BaseException: what the run ended with.
        """
        return await self._events.next_event()

    async def stop(self) -> None:
        """Let nothing of the turn go on: its tool calls are cancelled, and its thread ends where it next says
        something, which is when the gateway closes its model call at the latest."""
        with self._lock:
            self._over = True
            waiting = set(self._waiting)
        for call in waiting:
            call.cancel()
        if waiting:
            # The futures are done as soon as they are cancelled; a call still has to record that it was left.
            await asyncio.sleep(0)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSING_SECONDS)

    def publish(self, event: Event) -> None:
        """Keep an event, from any thread."""
        self._events.put(event)

    def call_tool(
        self, call_id: str, name: str, arguments: dict[str, Any], execute: Callable[[], ToolOutcome]
    ) -> ToolOutcome:
        """Run a tool through the turn's boundary; blocks, in a thread of CrewAI's.

        Args:
            execute: runs the tool, in a thread with this one's context.

        Raises:
            Stopped: the turn is over.
            BaseException: what the boundary raised to end the turn.
        """

        self._process.check(name)
        return self._wait(self._context.tools.call(call_id, name, arguments, lambda: self._in_thread(execute)))

    async def await_tool(
        self,
        call_id: str,
        name: str,
        arguments: dict[str, Any],
        execute: Callable[[], Coroutine[Any, Any, ToolOutcome]],
    ) -> ToolOutcome:
        """Do the same in code that awaits the tool, on a loop of its own: who stops waiting for it stops it.

        Args:
            execute: runs the tool, on that loop and with this context.

        Raises:
            Stopped: the turn is over.
            asyncio.CancelledError: it is awaited no longer.
        """
        self._process.check(name)
        here = asyncio.get_running_loop()

        async def run_here() -> ToolOutcome:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(execute(), here))

        waiting = self._begin(self._context.tools.call(call_id, name, arguments, run_here))
        try:
            return await asyncio.wrap_future(waiting)
        except asyncio.CancelledError as error:
            if self._over:
                raise Stopped from error
            raise
        except Stopped:
            raise
        except BaseException as error:
            self._end_with(error)
            raise Stopped from error
        finally:
            self._forget(waiting)

    def claim(self, name: str, arguments: dict[str, Any], *, nested: bool) -> str | None:
        """Return the model's call that code answers which runs a tool by itself; see
        :meth:`k8gentai.agents.contract.turn.ToolBoundary.claim`."""
        return self._context.tools.claim(name, arguments, nested=nested)

    def exempt(self, call_id: str) -> None:
        """Note that CrewAI answers a call by itself."""
        self._context.tools.exempt(call_id)

    def hand_over(self, call_id: str, name: str, arguments: dict[str, Any]) -> NoReturn:
        """End the turn with a call of the client's that a model wrote into its text.

        Raises:
            Stopped: always.
        """
        self._process.check(name)
        if self._over:
            raise Stopped
        call = ToolCall(call_id=call_id, name=name, arguments=json.dumps(arguments), side="client")
        self.calls.hand_over(call)
        self._hand_back()

    def ask(self, name: str, told: dict[str, Any], place: str) -> Decision:
        """Ask a person; blocks, in a thread of CrewAI's.

        Args:
            name: the name of what is asked for.
            told: the words for the person.
            place: tells the question from equal ones of other tasks and methods.

        Raises:
            Stopped: the turn is over, or waits for the answer without this attempt.
        """
        self._process.check(name)
        arguments = shown_json(told)
        question = self.call_ids.make(name, idempotency_key() or "", place, arguments)
        return self._wait(self._context.tools.ask(question, name, arguments))

    def _wait[T](self, waited_for: Coroutine[Any, Any, T]) -> T:
        """Wait for the boundary. What it raises ends the turn, and is not for CrewAI to handle.

        Raises:
            Stopped: the turn is over.
        """
        try:
            return self.wait_for(waited_for)
        except Stopped:
            raise
        except BaseException as error:
            self._end_with(error)
            raise Stopped from error

    def wait_for[T](self, waited_for: Coroutine[Any, Any, T]) -> T:
        """Wait in a thread of CrewAI's for something that runs on the worker's loop, with this thread's context.

        Raises:
            Stopped: the turn is over.
            Exception: what it raised.
        """
        waiting = self._begin(waited_for)
        try:
            return waiting.result()
        except concurrent.futures.CancelledError as error:
            raise Stopped from error
        finally:
            self._forget(waiting)

    def _begin[T](self, waited_for: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Begin something on the worker's loop, with the context at hand.

        Raises:
            Stopped: the turn is over.
        """
        with self._lock:
            if self._over:
                waited_for.close()
                raise Stopped
            waiting = asyncio.run_coroutine_threadsafe(self._tracked(waited_for), self._loop)
            self._waiting.add(waiting)
        return waiting

    def _forget(self, waiting: concurrent.futures.Future[Any]) -> None:
        with self._lock:
            self._waiting.discard(waiting)

    def _hear(self, source: object, event: Any) -> None:
        if self._over:
            raise Stopped
        try:
            self.calls.take(event)
        except Exception as error:
            self._end_with(error)
            raise Stopped from error
        if self.calls.is_over:
            self._hand_back()

    def _hand_back(self) -> NoReturn:
        """End the turn, which goes on with the results of the client's calls."""
        self.calls.finish(Answer(""))
        self._end_with(None)
        raise Stopped

    async def _tracked[T](self, waited_for: Coroutine[Any, Any, T]) -> T:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine that runs is in one
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await waited_for

    def _end_with(self, error: BaseException | None) -> None:
        """End the turn here, whatever CrewAI would do next."""
        with self._lock:
            self._over = True
        self._events.put(Ended(error))

    def _end(self, running: "asyncio.Future[Answer]") -> None:
        error = running.exception()
        if error is None:
            self.calls.finish(running.result())
        elif isinstance(error, Stopped):
            error = TurnError("the turn was stopped")
        # Behind the events that are on their way.
        self._events.put(Ended(error))

    def _in_thread[T](self, function: Callable[[], T]) -> "asyncio.Future[T]":
        """Run a blocking function in a thread of its own, with the context at hand.

        One of a pool could be taken by a tool of a turn that was cancelled, for as long as that tool likes.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        context = contextvars.copy_context()

        def deliver(set_outcome: Callable[[Any], None], outcome: object) -> None:
            if not future.done():
                set_outcome(outcome)

        def work() -> None:
            told: tuple[Callable[[Any], None], object]
            try:
                told = future.set_result, context.run(function)
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
                told = future.set_exception, contained_in_thread(error)
            with contextlib.suppress(RuntimeError):  # the worker's loop is closed, and nobody waits
                self._loop.call_soon_threadsafe(deliver, *told)

        threading.Thread(target=work, name="crewai", daemon=True).start()
        return future
