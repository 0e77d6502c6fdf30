"""What adapters of frameworks with their own loop share: an agent runs in a task, its events are handed on."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

from k8gentai.agents.call_ids import CallIds
from k8gentai.agents.events import (
    Event,
    MessageDone,
    ReasoningDelta,
    StepCompleted,
    StepStarted,
    TextDelta,
    ToolCall,
    ToolResult,
)
from k8gentai.agents.turn import StepLimitReached, TurnContext, TurnError

_CLOSING_SECONDS = 5
"""How long a closed turn may take to unwind; its model call is hung up on at once."""


@dataclass(frozen=True)
class _Ended:
    """The end of the events; the error is what the turn ends with, if with one."""

    error: BaseException | None = None


class AgentRun:
    """One attempt at a turn: numbers its model calls and keeps its events for the one who asks.

    Args:
        context: what the harness lends.
    """

    def __init__(self, context: TurnContext) -> None:
        self.context = context
        self.call_ids = CallIds()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._events: asyncio.Queue[Event | _Ended] = asyncio.Queue()
        self._working: set[asyncio.Task[Any]] = set()
        self._messages = 0
        self._made = 0
        self._failed: list[ModelStep] = []
        self._said: set[str] = set()
        self._unanswered: dict[str, None] = {}
        """Calls of the worker's tools that have no result yet, in their order."""

    async def events(self, work: Coroutine[Any, Any, None]) -> AsyncGenerator[Event]:
        """Run the agent and yield its events. Closing the iterator stops the agent, wherever in it there is work.

        Args:
            work: the agent's run.

        Raises:
            Exception: what the run ended with.
        """
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)
        try:
            while not isinstance(item := await self._events.get(), _Ended):
                yield item
            if item.error is not None:
                raise item.error
        finally:
            await _stop({task, *self._working})

    def publish(self, event: Event) -> None:
        """Keep an event, from any thread."""
        if isinstance(event, ToolCall) and event.side == "worker":
            self._unanswered[event.call_id] = None
        elif isinstance(event, ToolResult):
            self._unanswered.pop(event.call_id, None)
        self._put(event)

    def halt(self, error: Exception | None) -> None:
        """End the turn here, with an error or well, whatever the agent would do next."""
        self._put_end(error)

    def hand_over(self) -> NoReturn:
        """End the turn well, as the client runs a tool of its own.

        Raises:
            asyncio.CancelledError: always.
        """
        self.halt(None)
        raise asyncio.CancelledError("the client runs a tool")

    def begin(self, name: str | None, *, shown: bool = True) -> "ModelStep":
        """A model call begins.

        Args:
            name: the agent that makes it.
            shown: its text is part of the turn's answer.

        Raises:
            asyncio.CancelledError: the turn may make no more model calls; it is ended.
        """
        self._close_failed()
        limit = self.context.max_steps
        if self._made >= limit:
            self.halt(StepLimitReached(limit))
            raise asyncio.CancelledError(f"the turn may make no more than {limit} model calls")
        self._made += 1
        self._messages += 1
        return ModelStep(self, self._messages, name, shown=shown)

    def say(self, text: str) -> None:
        """Publish a message that no model call made, unless one said just that."""
        if text and text not in self._said:
            self._messages += 1
            message_id = f"m{self._messages}"
            self.publish(TextDelta(message_id=message_id, delta=text))
            self.publish(MessageDone(message_id=message_id, text=text))

    def said(self, text: str) -> None:
        """Note what a model call said in the turn's answer."""
        self._said.add(text)

    def broke_off(self, step: "ModelStep") -> None:
        """A model call failed. The agent may try again; else what was said stays open for the turn's end."""
        self._failed.append(step)

    def waits_for(self, call_id: str) -> bool:
        """Whether a tool call has no result yet."""
        return call_id in self._unanswered

    def answered(self, call_id: str) -> None:
        """The tool boundary published a result."""
        self._unanswered.pop(call_id, None)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """While inside, the current task is stopped with the turn, whoever started it."""
        task = asyncio.current_task()
        if task is None or task in self._working:
            yield
            return
        self._working.add(task)
        try:
            yield
        finally:
            self._working.discard(task)

    def _close_failed(self) -> None:
        for step in self._failed:
            step.end()
        self._failed.clear()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            # Passed on as it is, it would look as if we were cancelled ourselves.
            self._put_end(TurnError("the agent's own code cancelled it"))
        else:
            self._put_end(task.exception())

    def _put_end(self, error: BaseException | None) -> None:
        if error is None:
            self._close_failed()
            for call_id in list(self._unanswered):
                # Structured output and hand-offs call tools that nobody runs: the call itself is the answer.
                self._put(ToolResult(call_id=call_id, output=""))
            self._unanswered.clear()
        self._put(_Ended(error))

    def _put(self, item: Event | _Ended) -> None:
        if threading.get_ident() == self._thread:
            self._events.put_nowait(item)
        else:
            self._loop.call_soon_threadsafe(self._events.put_nowait, item)


class ModelStep:
    """One model call under way.

    Args:
        run: the turn's.
        number: of its message and step, from 1.
        name: the agent that makes it.
        shown: its text is part of the turn's answer.
    """

    def __init__(self, run: AgentRun, number: int, name: str | None, *, shown: bool) -> None:
        self._run = run
        self._message_id = f"m{number}"
        self._step_id = f"s{number}"
        self._shown = shown
        self._text = ""
        self._reasoning = ""
        run.publish(StepStarted(step_id=self._step_id, kind="inference", name=name))

    @property
    def silent(self) -> bool:
        """Nothing was said yet."""
        return not self._text and not self._reasoning

    def text(self, delta: str) -> None:
        """A piece of the answer."""
        self._text += delta
        if self._shown and delta:
            self._run.publish(TextDelta(message_id=self._message_id, delta=delta))

    def reasoning(self, delta: str) -> None:
        """A piece of the model's reasoning."""
        self._reasoning += delta
        if self._shown and delta:
            self._run.publish(ReasoningDelta(message_id=self._message_id, delta=delta))

    def end(self, calls: list[ToolCall] | None = None) -> None:
        """The answer is whole."""
        for call in calls or ():
            self._run.publish(call)
        if self._shown and not self.silent:
            self._run.said(self._text)
            self._run.publish(MessageDone(message_id=self._message_id, text=self._text, reasoning=self._reasoning))
        self._run.publish(StepCompleted(step_id=self._step_id, kind="inference"))


async def _stop(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    done, _ = await asyncio.wait(tasks, timeout=_CLOSING_SECONDS)
    for task in done:
        if not task.cancelled():
            task.exception()
