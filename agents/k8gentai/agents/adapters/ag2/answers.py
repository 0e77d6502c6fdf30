"""Holds what was published of a model's words against what the code around the model makes of them.

What a model says is published while it says it. Middleware may then change the answer, take calls out of it or
have the model say another one. AG2 puts what comes of that on the agent's stream, and that is the answer: what was
published and is no part of it is dropped.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from contextvars import ContextVar
from dataclasses import dataclass

from ag2.events import ModelResponse, ToolCallEvent

from k8gentai.agents.adapters.ag2.content import words_of
from k8gentai.agents.adapters.ag2.helpers import Helpers
from k8gentai.agents.adapters.ag2.run import TurnRun
from k8gentai.agents.adapters.ag2.tools import read_arguments
from k8gentai.agents.adapters.base.run import ModelStep
from k8gentai.agents.contract.events import ItemDropped, ToolCall, ToolSide


@dataclass(frozen=True)
class _Draft:
    """A model's answer as it came, before AG2 and middleware have made the agent's answer of it."""

    step: ModelStep
    calls: Sequence[ToolCallEvent] = ()
    is_whole: bool = True
    """Whether the answer came to its end; False for a model call that broke off."""


@dataclass(frozen=True)
class _Answer:
    """An answer as AG2 has it."""

    text: str
    message_id: str | None
    """None where it was not published: it has no text, or is not shown."""
    is_last: bool
    """Whether the agent makes no calls after it."""


class Answers:
    """The answers of one agent in one turn of its own.

    Args:
        run: the turn's.
        shown: they are part of the turn's answer.
    """

    def __init__(self, run: TurnRun, *, shown: bool) -> None:
        self._run = run
        self.shown = shown
        self.helpers = Helpers()
        """The agents that work for it in the background."""
        self._drafts: list[_Draft] = []
        """The answers of models since the agent's last answer, in their order."""
        self._goes: list[list[_Answer]] = [[]]
        """The answers of each go at the turn: middleware may have the agent take it again."""
        self._called: dict[str, ToolCall] = {}
        """The calls that were published, by their ids."""

    @property
    def calls(self) -> list[str]:
        """The ids of the calls that were published, in their order."""
        return list(self._called)

    def begin(self, name: str | None) -> ModelStep:
        """Begin a model call.

        Args:
            name: the agent's.

        Raises:
            asyncio.CancelledError: the turn may make no more model calls; it is ended.
        """
        return self._run.begin(name, shown=self.shown)

    def take(self, step: ModelStep, response: ModelResponse) -> None:
        """Take what a model said."""
        words = words_of(response)
        if words.startswith(step.said):
            step.text(words[len(step.said) :])
        self._drafts.append(_Draft(step, tuple(response.tool_calls.calls)))

    def broke_off(self, step: ModelStep) -> None:
        """Note that a model call failed. The code around it may have it made again."""
        self._drafts.append(_Draft(step, is_whole=False))

    def go(self) -> None:
        """Begin a go at the agent's turn, be it again: what the agent came to before is no answer, unless it comes
        to that."""
        self._leave_out(self._goes[-1], left=True)
        self._goes.append([])

    def answer(self, response: ModelResponse) -> None:
        """Take an answer as AG2 has it."""
        drafts, self._drafts = self._drafts, []
        self._withdraw(drafts, response)
        text = words_of(response)
        kept = next((each for each in reversed(drafts) if each.is_whole and _same(each.step.said, text)), None)
        replaced = [draft.step for draft in drafts if draft is not kept]
        for step in replaced:
            step.drop()
        calls = self._new_calls(response, of_model=bool(drafts))
        message_id = self._say(text, calls) if kept is None else kept.step.end(calls)
        for step in replaced:
            step.complete()
        self._goes[-1].append(_Answer(text, message_id, is_last=not response.tool_calls.calls))

    def finish(self, response: ModelResponse) -> None:
        """Take what the turn came to: the last answer, or what middleware made of it."""
        text = words_of(response)
        kept = next((go for go in reversed(self._goes) if go and _same(go[-1].text, text)), None)
        if kept is None:
            kept = self._goes[-1]
            if kept and kept[-1].is_last:
                self._drop(kept.pop())
            self._say(text)
        self._leave_out(kept, left=False)
        for go in self._goes:
            for answer in go if go is not kept else ():
                self._drop(answer)
        self._take_back({call.id for call in response.tool_calls.calls})

    def _take_back(self, handed: AbstractSet[str]) -> None:
        """Drop the client's calls that the turn did not end with: a tool's result was the answer."""
        for call_id in [each for each in self._called if each in self._run.client_calls - handed]:
            self._run.client_calls.discard(call_id)
            self._run.publish(ItemDropped(item_id=call_id))

    def fail(self, error: BaseException) -> None:
        """Take what the turn raised: an answer that middleware did not let pass is dropped, and what a model said
        as it broke off is left open."""
        drafts, self._drafts = self._drafts, []
        self._withdraw(drafts, ModelResponse())
        for draft in drafts:
            if draft.is_whole and isinstance(error, Exception):
                draft.step.drop()
                draft.step.complete()
            else:
                self._run.broke_off(draft.step)

    def _new_calls(self, response: ModelResponse, *, of_model: bool) -> list[ToolCall]:
        """Return the calls of an answer that are to be published. Those of the worker's tools that no model made
        are, when they come to the boundary; those of the client's come again, as middleware lets them pass."""
        calls = [_tool_call(call, self._run) for call in response.tool_calls.calls]
        new = [call for call in calls if self._is_new(call, of_model=of_model)]
        for call in new:
            if call.call_id in self._called:
                self._run.publish(ItemDropped(item_id=call.call_id))
            self._called[call.call_id] = call
            if call.side == "client":
                self._run.client_calls.add(call.call_id)
        return new

    def _is_new(self, call: ToolCall, *, of_model: bool) -> bool:
        if call.side == "client":
            return self._called.get(call.call_id) != call
        return of_model and call.call_id not in self._called

    def _withdraw(self, drafts: Sequence[_Draft], response: ModelResponse) -> None:
        """Exempt the calls that middleware took out of an answer: no tool runs for those."""
        left = {call.id for call in response.tool_calls.calls}
        for call_id in {call.id for draft in drafts for call in draft.calls} - left:
            self._run.context.tools.exempt(call_id)

    def _say(self, text: str, calls: Sequence[ToolCall] = ()) -> str | None:
        """Publish an answer that no model gave. Returns its message's id, where it has one."""
        message_id = self._run.speak(text) if self.shown and text.strip() else None
        for call in calls:
            self._run.publish(call)
        return message_id

    def _leave_out(self, go: Sequence[_Answer], *, left: bool) -> None:
        for answer in go:
            if answer.message_id is not None:
                self._run.context.leave_out(answer.message_id, left)

    def _drop(self, answer: _Answer) -> None:
        if answer.message_id is not None:
            self._run.drop(answer.message_id)


current_answers: ContextVar[Answers | None] = ContextVar("current_answers", default=None)
"""The answers of the agent whose turn the code at hand works in; None outside of one."""


def _same(text: str, other: str) -> bool:
    return text.strip() == other.strip()


def _tool_call(call: ToolCallEvent, run: TurnRun) -> ToolCall:
    if read_arguments(call) is None:
        # AG2 reads them again for the next model call, and would end the turn.
        call.serialized_arguments = {}
    side: ToolSide = "client" if call.name in run.client_tools else "worker"
    return ToolCall(call_id=call.id, name=call.name, arguments=call.arguments, side=side)
