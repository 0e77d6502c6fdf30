"""Follows the model calls of a run, whichever agent of it makes them, by CrewAI's own events.

The events come in order within a model call; several calls may be under way at once, in threads of their own.
"""

import threading
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from crewai.events.base_events import BaseEvent
from crewai.events.types.agent_events import LiteAgentExecutionCompletedEvent, LiteAgentExecutionStartedEvent
from crewai.events.types.flow_events import MethodExecutionStartedEvent
from crewai.events.types.llm_events import (
    LLMCallCompletedEvent,
    LLMCallFailedEvent,
    LLMCallStartedEvent,
    LLMStreamChunkEvent,
    LLMThinkingChunkEvent,
)
from crewai.events.types.task_events import TaskCompletedEvent, TaskStartedEvent
from crewai.utilities.agent_utils import extract_tool_call_info

from k8gentai.agents.adapters.base.answer_text import same_answer, same_words
from k8gentai.agents.adapters.base.model_call import NumberedCall
from k8gentai.agents.adapters.crewai.planning import plans
from k8gentai.agents.contract.events import (
    Event,
    ItemDropped,
    MessageDone,
    ReasoningDelta,
    StepCompleted,
    StepStarted,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    ToolResult,
    ToolSide,
)
from k8gentai.agents.contract.turn import StepLimitReached
from k8gentai.agents.tools.admitted_arguments import current_admission

delegates: ContextVar[bool] = ContextVar("delegates", default=False)
"""Whether the code at hand is an agent that works for another one, which called it as a tool."""

_OWN_ROLES = ("Task Execution Planner", "Guardrail Agent")
"""The roles of agents that CrewAI makes for its own purposes: their words are read by code."""


@dataclass(frozen=True)
class Answer:
    """The answer of a run of CrewAI's, as text.

    Attributes:
        text: all of it.
        structured: it is an object as JSON, and all of the turn's answer.
    """

    text: str
    structured: bool = False


Work = tuple[str, str]
"""A piece of an agent's work, by the ids of the event that began it (a task's, or that of an agent by itself) and
of the task."""


@dataclass
class _Call(NumberedCall):
    """One model call under way."""

    acts: bool
    """Whether it is an agent's call, or a flow's, so that its tool calls are made."""
    shown: bool
    """Whether its words are part of the turn's answer."""
    work: Work = ("", "")
    inner: bool = False
    """Whether its answer is for the agent's own code, or for other agents."""
    text: str = ""
    reasoning: str = ""
    place: int = 0
    """Tells which of two messages is shown first."""
    begun: set[str] = field(default_factory=set)
    """Tool calls that were told of."""


@dataclass
class _Said:
    """A message that was published."""

    message_id: str
    text: str
    work: Work
    answers: bool
    """Whether no tool call came with it: its agent was done, unless it was sent back."""
    place: int = 0
    """Tells which of two messages is shown first: models that answer at once may end in another order."""
    settled: bool = False
    """Whether the result of its agent's work is known."""


class ModelCalls:
    """Publishes the steps, texts and tool calls of every model call of one turn. Takes events from any thread.

    Args:
        publish: takes each event, from any thread.
        limit: the number of model calls that may be made.
        client_tools: tools whose calls end the turn.
        leave_out: takes a message's id, and whether it is no part of what the run has come to so far.
    """

    def __init__(
        self,
        publish: Callable[[Event], None],
        limit: int,
        client_tools: AbstractSet[str],
        leave_out: Callable[[str, bool], None],
    ) -> None:
        self._publish = publish
        self._leave_out = leave_out
        self._limit = limit
        self._client_tools = client_tools
        self._lock = threading.RLock()
        self._running: dict[str, _Call] = {}
        self._failed: list[_Call] = []
        self._methods: dict[str, str] = {}
        """The names of the flow methods that were begun, by the id of the event that told so."""
        self._parents: dict[str, str | None] = {}
        """The events within which events came, by their ids."""
        self._begun: set[str] = set()
        """The events by which tasks, and agents by themselves, began."""
        self._settled: Work | None = None
        """The work that was done last."""
        self._messages = 0
        self._places = count(1)
        self._made = 0
        self._said: list[_Said] = []
        """The messages that were published, in their order."""
        self._beside: dict[str, list[ToolCall]] = {}
        """The calls of each answer, by the id of each."""
        self._hands_over = False
        """Whether the client has a call of its own to make, once the worker has made those beside it."""
        self.last_tasks: set[str] = set()
        """The ids of the tasks of which the turn's answer may come; empty where that is not known."""
        self.is_over = False
        """Whether the turn goes back to the client, for its tools."""

    def take(self, event: object) -> None:
        """Take an event of CrewAI's.

        Raises:
            StepLimitReached: a model is about to be called once more than the turn allows.
        """
        with self._lock:
            if isinstance(event, BaseEvent):
                self._parents[event.event_id] = event.parent_event_id
            match event:
                case LLMCallStartedEvent():
                    self._begin(event)
                case LLMStreamChunkEvent():
                    self._chunk(event)
                case LLMThinkingChunkEvent():
                    self._delta(self._running.get(event.call_id), "", event.chunk)
                case LLMCallCompletedEvent():
                    self._complete(event)
                case LLMCallFailedEvent():
                    if call := self._running.pop(event.call_id, None):
                        self._failed.append(call)
                case MethodExecutionStartedEvent():
                    self._methods[event.event_id] = event.method_name
                case TaskStartedEvent() | LiteAgentExecutionStartedEvent():
                    self._begun.add(event.event_id)
                case TaskCompletedEvent():
                    self._settle((event.started_event_id or "", str(event.task.id)), event.output.raw)
                case LiteAgentExecutionCompletedEvent():
                    self._settle((event.started_event_id or "", ""), event.output)

    def is_inner(self, call_id: str) -> bool:
        """Return whether a model call that is under way is an inner one."""
        with self._lock:
            call = self._running.get(call_id)
            return call is not None and call.inner

    def answer(self, call_id: str, output: str, *, is_error: bool) -> None:
        """Publish the result of a call that no tool took."""
        self._publish(ToolResult(call_id=call_id, output=output, is_error=is_error))

    def end_with(self, call_id: str) -> list[str]:
        """Drop the client's calls beside a call whose result is the agent's answer: nobody waits for them. Returns
        the ids of all calls of the model's answer."""
        with self._lock:
            calls = self._beside.get(call_id, [])
            for call in calls:
                if call.side == "client":
                    self._publish(ItemDropped(item_id=call.call_id))
                    self._hands_over = False
            return [call.call_id for call in calls]

    def acts_on(self, text: str) -> None:
        """Note that an agent makes a call that its model wrote into its text: that is no answer."""
        with self._lock:
            for said in self._said:
                if not said.settled and said.text == text.strip():
                    self._leave_out(said.message_id, True)

    def hand_over(self, call: ToolCall) -> None:
        """Publish a call of the client's that a model wrote into its text. What it wrote is dropped."""
        with self._lock:
            for said in [said for said in self._said if not said.settled]:
                self._drop(said)
            self._publish(call)
            self.is_over = True

    def finish(self, answer: Answer) -> None:
        """End the turn's events: the run ended well.

        Args:
            answer: the answer of the run; published where no model said it.
        """
        with self._lock:
            self._drop_failed()
            for call in self._running.values():
                self._close(call)
                self._publish(StepCompleted(step_id=call.step_id, kind="inference"))
            self._running.clear()
            if not answer.text.strip():
                return
            known = self._keep_only(answer.text) if answer.structured else self._is_last(answer.text)
            if not known:
                self._say(answer.text)

    def _keep_only(self, answer: str) -> bool:
        """Drop what was said on the way to a structured answer. Returns whether the answer itself was said."""
        same = next((said for said in reversed(self._said) if same_answer(said.text, answer)), None)
        for said in [said for said in self._said if said is not same]:
            self._drop(said)
        return same is not None

    def _is_last(self, answer: str) -> bool:
        """Return whether an answer was said last, and is shown so.

        If not, what it takes the place of is dropped: the same words that came earlier, and, but for flows, whose
        methods return what they like, the answer of the last task."""
        spoken = [said for said in self._said if said.text]
        shown = max((said.place for said in spoken), default=0)
        if spoken and spoken[-1].text == answer.strip() and spoken[-1].place == shown:
            return True
        same = next((said for said in reversed(spoken) if same_words(said.text, answer)), None)
        of_last = spoken and spoken[-1].answers and spoken[-1].work == self._settled
        replaced = spoken[-1] if of_last and not self._methods else None
        for said in {id(said): said for said in (same, replaced) if said is not None}.values():
            self._drop(said)
        return False

    def _settle(self, work: Work, output: str) -> None:
        """Drop the answers of a task's or an agent's models that are not its result, as it is done: those that a
        guardrail or a person turned down, those that a hook changed, and the thoughts that agents without tool
        calls write down."""
        self._settled = work
        said = [said for said in self._said if said.work == work and not said.settled]
        same = next((each for each in reversed(said) if same_answer(each.text, output)), None)
        if same is not None:
            self._leave_out(same.message_id, False)
        refused = [each for each in said if each.answers and each.text and each is not same]
        for each in refused:
            self._drop(each)
        if refused and same is None and output.strip():
            said.append(self._say(output, work))
        for each in said:
            each.settled = True

    def _say(self, text: str, work: Work = ("", "")) -> _Said:
        """Publish a message that no model call made."""
        said = _Said(self._new_message_id(), text.strip(), work, answers=True, place=next(self._places))
        self._said.append(said)
        self._publish(TextDelta(message_id=said.message_id, delta=text))
        self._publish(MessageDone(message_id=said.message_id, text=text))
        return said

    def _drop(self, said: _Said) -> None:
        self._said.remove(said)
        self._publish(ItemDropped(item_id=said.message_id))

    def _new_message_id(self) -> str:
        """Return the id of the turn's next message: the same whenever the turn is run again."""
        self._messages += 1
        return f"m{self._messages}"

    def _begin(self, event: LLMCallStartedEvent) -> None:
        self._drop_failed()
        if self._hands_over and current_admission.get() is None and not delegates.get():
            self.is_over = True
            return
        if self._made >= self._limit:
            raise StepLimitReached(self._limit)
        self._made += 1
        method = self._methods.get(event.parent_event_id or "")
        # CrewAI asks models for its own purposes too: to plan, to sort memories, to rewrite a search, to convert a
        # result.
        role = (event.agent_role or "").strip()
        acts = (event.agent_role is not None or method is not None) and not plans.get()
        work = self._begun_by(event.parent_event_id), event.task_id or ""
        acts = acts and role not in _OWN_ROLES
        self._leave_refused(work)
        # What an agent says that works for a tool is that tool's result.
        shown = acts and current_admission.get() is None
        call = _Call(int(self._new_message_id()[1:]), acts, shown, work, self._is_inner(event, shown=shown))
        self._running[event.call_id] = call
        name = role or method
        self._publish(StepStarted(step_id=call.step_id, kind="inference", name=name))

    def _leave_refused(self, work: Work) -> None:
        """Leave out what an agent answered and was sent back with, as its model is called once more."""
        for said in self._said:
            if said.work == work and said.answers and not said.settled and any(work):
                self._leave_out(said.message_id, True)

    def _is_inner(self, event: LLMCallStartedEvent, *, shown: bool) -> bool:
        if delegates.get() or (event.task_id and self.last_tasks and event.task_id not in self.last_tasks):
            return True
        # A flow may call a model from a thread, of which CrewAI does not know whose it is.
        return not shown and (plans.get() or event.agent_role is not None or not self._methods)

    def _begun_by(self, event_id: str | None) -> str:
        """Return the event by which the work began that an event is part of; empty where it is part of none."""
        while event_id is not None and event_id not in self._begun:
            event_id = self._parents.get(event_id)
        return event_id or ""

    def _chunk(self, event: LLMStreamChunkEvent) -> None:
        call = self._running.get(event.call_id)
        if call is None or not call.acts:
            return
        if event.tool_call is None:
            self._delta(call, event.chunk, "")
            return
        call_id, name = event.tool_call.id, event.tool_call.function.name
        if not call_id or not name:
            return
        if call_id not in call.begun:
            call.begun.add(call_id)
            self._publish(ToolCallStarted(call_id=call_id, name=name, side=self._side(name)))
        if event.chunk:
            self._publish(ToolCallDelta(call_id=call_id, delta=event.chunk))

    def _delta(self, call: _Call | None, text: str, reasoning: str) -> None:
        if call is None or not call.shown:
            return
        if reasoning:
            call.reasoning += reasoning
            self._publish(ReasoningDelta(message_id=call.message_id, delta=reasoning))
        if text:
            call.place = call.place or next(self._places)
            call.text += text
            self._publish(TextDelta(message_id=call.message_id, delta=text))

    def _complete(self, event: LLMCallCompletedEvent) -> None:
        call = self._running.pop(event.call_id, None)
        if call is None:
            return
        calls: list[ToolCall] = []
        if call.acts:
            if isinstance(event.response, str) and not call.text:
                self._delta(call, event.response, "")
            elif isinstance(event.response, list):
                calls = self._tool_calls(event.response)
            for tool_call in calls:
                self._beside[tool_call.call_id] = calls
                self._publish(tool_call)
        self._close(call, answers=not calls)
        self._publish(StepCompleted(step_id=call.step_id, kind="inference"))
        theirs = [tool_call.side == "client" for tool_call in calls]
        self._hands_over |= any(theirs)
        self.is_over |= any(theirs) and all(theirs)

    def _tool_calls(self, response: list[Any]) -> list[ToolCall]:
        read = [info for item in response if (info := extract_tool_call_info(item)) is not None]
        return [
            ToolCall(call_id=call_id, name=name, arguments=str(arguments), side=self._side(name))
            for call_id, name, arguments in read
        ]

    def _side(self, name: str) -> ToolSide:
        return "client" if name in self._client_tools else "worker"

    def _close(self, call: _Call, *, answers: bool = False) -> None:
        if call.text or call.reasoning:
            self._said.append(_Said(call.message_id, call.text.strip(), call.work, answers, call.place))
            self._publish(MessageDone(message_id=call.message_id, text=call.text, reasoning=call.reasoning))

    def _drop_failed(self) -> None:
        """Drop the messages of model calls that broke off, as the agent went on without them."""
        for call in self._failed:
            if call.text or call.reasoning:
                self._publish(ItemDropped(item_id=call.message_id))
            self._publish(StepCompleted(step_id=call.step_id, kind="inference"))
        self._failed.clear()
