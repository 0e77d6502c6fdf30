"""Runs an agent of a framework that has its own loop: the agent runs in a task, and its events are handed on."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from k8gentai.agents.adapters.base.answer_text import answer_text, same_answer, same_words
from k8gentai.agents.adapters.base.call_ids import CallIds
from k8gentai.agents.adapters.base.event_queue import KeptEvents
from k8gentai.agents.contract.events import (
    Event,
    ItemDropped,
    MessageDone,
    ReasoningDelta,
    StepCompleted,
    StepStarted,
    TextDelta,
    ToolCall,
)
from k8gentai.agents.contract.turn import StepLimitReached, TurnContext

_CLOSING_SECONDS = 5
"""The seconds that a closed turn may take to unwind; its model call is hung up on at once."""


class AgentRun(KeptEvents):
    """One attempt at a turn: numbers its model calls and keeps its events for the one who asks.

    Args:
        context: the means that the harness lends.
    """

    def __init__(self, context: TurnContext) -> None:
        super().__init__(context.publish)
        self.context = context
        self.call_ids = CallIds()
        self._working: set[asyncio.Task[Any]] = set()
        self._messages = 0
        self._unshown = 0
        self._made = 0
        self._failed: list[ModelStep] = []
        self._said: dict[str, str] = {}
        """The texts that were published, by the ids of their messages."""
        self._begun: dict[str, None] = {}
        """The ids of the messages that were begun, in their order."""

    async def events(self, work: Coroutine[Any, Any, None]) -> AsyncGenerator[Event]:
        """Run the agent and yield its events. Closing the iterator stops the agent, wherever in it there is work.

        Args:
            work: the agent's run.

        Raises:
            Exception: what the run ended with.
        """
        task = asyncio.create_task(work)
        task.add_done_callback(self.ended)
        try:
            while (event := await self.next_event()) is not None:
                yield event
        finally:
            await _stop({task, *self._working})

    def hand_over(self) -> NoReturn:
        """End the turn well, as the client runs a tool of its own.

        Raises:
            asyncio.CancelledError: always.
        """
        self.halt(None)
        raise asyncio.CancelledError("the client runs a tool")

    def begin(self, name: str | None, *, shown: bool = True) -> "ModelStep":
        """Begin a model call.

        Args:
            name: the agent that makes it.
            shown: its text is part of the turn's answer.

        Raises:
            asyncio.CancelledError: the turn may make no more model calls; it is ended.
        """
        self.close_failed()
        limit = self.context.max_steps
        if self._made >= limit:
            self.halt(StepLimitReached(limit))
            raise asyncio.CancelledError(f"the turn may make no more than {limit} model calls")
        self._made += 1
        return ModelStep(self, name, shown=shown)

    def new_message_id(self, *, shown: bool = True) -> str:
        """Return the id of the turn's next message: the same whenever the turn is run again.

        Args:
            shown: it is part of the answer. Others have numbers of their own: they may begin at another time then.
        """
        if not shown:
            self._unshown += 1
            return f"u{self._unshown}"
        self._messages += 1
        return f"m{self._messages}"

    def say(self, text: str) -> None:
        """Publish a message that no model call made, unless one said just that."""
        if text.strip() and not any(said.strip() == text.strip() for said in self._said.values()):
            self.speak(text)

    def speak(self, text: str) -> str:
        """Publish a message that no model call made. Returns its id."""
        message_id = self.new_message_id()
        self.begun(message_id)
        self._said[message_id] = text
        self.publish(TextDelta(message_id=message_id, delta=text))
        self.publish(MessageDone(message_id=message_id, text=text))
        return message_id

    def drop(self, message_id: str) -> None:
        """Take a message out of the turn's answer, as far as it was published."""
        self._said.pop(message_id, None)
        if message_id in self._begun:
            del self._begun[message_id]
            self.publish(ItemDropped(item_id=message_id))

    def answer(self, structured: object) -> None:
        """Have a structured answer be all of the turn's answer, as JSON: what was said on the way is dropped."""
        self.close_failed()
        text = answer_text(structured)
        same = next((each for each, said in reversed(self._said.items()) if same_answer(said, text)), None)
        for message_id in [each for each in self._said if each != same]:
            self.drop(message_id)
        if same is None:
            self.say(text)

    async def unwind(self) -> None:
        """Stop what the agent's code has left running, cancelled or not: what was said by that is no answer."""
        if self._working:
            await _stop(set(self._working))
        self.close_failed()

    async def conclude(self, result: object) -> None:
        """Publish what code returned: a text as the last message, anything else as the structured answer."""
        await self.unwind()
        if result is None or isinstance(result, str):
            self._end_with(result or "")
        else:
            self.answer(result)

    def _end_with(self, text: str) -> None:
        """Have a text be the last message: one that was said before takes its place at the end."""
        if not text.strip():
            return
        self.close_failed()
        spoken = [each for each in self._begun if self._said.get(each, "").strip()]
        if spoken and self._said[spoken[-1]].strip() == text.strip():
            return
        if same := [each for each in spoken if same_words(self._said[each], text)]:
            self.drop(same[-1])
        self.speak(text)

    def begun(self, message_id: str) -> None:
        """Note that a message is published from here on."""
        self._begun.setdefault(message_id)

    def said(self, message_id: str, text: str) -> None:
        """Note what a model call said in the turn's answer."""
        self._said[message_id] = text

    def broke_off(self, step: "ModelStep") -> None:
        """Note that a model call failed. The agent may try again; else what was said stays open for the turn's
        end."""
        self._failed.append(step)

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

    def close_failed(self) -> None:
        """Drop the messages of model calls that broke off, as the agent went on without them."""
        for step in self._failed:
            step.drop()
            step.complete()
        self._failed.clear()


class ModelStep:
    """One model call under way.

    Args:
        run: the turn's.
        name: the agent that makes it.
        shown: its text is part of the turn's answer.
    """

    def __init__(self, run: AgentRun, name: str | None, *, shown: bool) -> None:
        self._run = run
        self.message_id = run.new_message_id(shown=shown)
        self._step_id = f"s{self.message_id.removeprefix('m')}"
        self._shown = shown
        self._text = ""
        self._reasoning = ""
        run.publish(StepStarted(step_id=self._step_id, kind="inference", name=name))

    @property
    def silent(self) -> bool:
        """Whether nothing was said yet."""
        return not self._text and not self._reasoning

    def text(self, delta: str) -> None:
        """Publish a piece of the answer."""
        self._text += delta
        if self._shown and delta:
            self._run.begun(self.message_id)
            self._run.publish(TextDelta(message_id=self.message_id, delta=delta))

    def reasoning(self, delta: str) -> None:
        """Publish a piece of the model's reasoning."""
        self._reasoning += delta
        if self._shown and delta:
            self._run.begun(self.message_id)
            self._run.publish(ReasoningDelta(message_id=self.message_id, delta=delta))

    @property
    def said(self) -> str:
        """The answer's text so far."""
        return self._text

    def be(self, text: str) -> None:
        """Have a text be all that the model says: what it said beside that is dropped."""
        if not text.startswith(self._text):
            self.take_back()
        self.text(text[len(self._text) :])

    def take_back(self) -> None:
        """Drop what the model said, but for its reasoning."""
        if not self._text:
            return
        reasoning, self._text, self._reasoning = self._reasoning, "", ""
        self.drop()
        self.message_id = self._run.new_message_id(shown=self._shown)
        self.reasoning(reasoning)

    def end(self, calls: Sequence[ToolCall] = ()) -> str:
        """End the answer, which is whole. Returns the id of its message."""
        for call in calls:
            self._run.publish(call)
        if self._shown and not self.silent:
            self._run.said(self.message_id, self._text)
            self._run.publish(MessageDone(message_id=self.message_id, text=self._text, reasoning=self._reasoning))
        self.complete()
        return self.message_id

    def drop(self) -> None:
        """Drop the message: it is no part of the turn's answer."""
        self._run.drop(self.message_id)

    def complete(self) -> None:
        """End the model call."""
        self._run.publish(StepCompleted(step_id=self._step_id, kind="inference"))


async def _stop(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    done, _ = await asyncio.wait(tasks, timeout=_CLOSING_SECONDS)
    for task in done:
        if not task.cancelled():
            task.exception()
