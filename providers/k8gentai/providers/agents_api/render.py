"""Renders a turn's events as the stream of the classic Agents API (``AgentTurnResponseStreamChunk``).

A pure fold, as :mod:`k8gentai.providers.rendering.render` is: the same events of the same turn give the same
chunks and step ids. Each model call is an ``inference`` step, each tool that a worker ran a ``tool_execution``
step. Tools of the client end the stream with ``turn_awaiting_input``; the part that brings their results begins
with their step.

Where the API says nothing:
- A turn that failed or was cancelled ends its stream with ``{"error": {…}}``, which the clients show.
- A turn that waits for a person ends it with ``turn_awaiting_input`` whose message has the calls in question and
  the stop reason ``end_of_turn``: the clients' ``Agent`` takes that as not for it to answer.
- What a second attempt takes back stays in the stream and is not in the turn.
- Reasoning has no place in the API and is left out.
"""

from collections.abc import Callable, Iterable
from typing import Any

from k8gentai.agents.contract import events as ev
from k8gentai.providers.agents_api.parts import ClassicPart, Part, PartStatus, turn_of
from k8gentai.providers.agents_api.steps import InferenceStep, Step, ToolCall, ToolStep, call_delta, completion
from k8gentai.providers.rendering.output_items import rest_of
from k8gentai.workers.queue.record import TurnRecord

Chunk = dict[str, Any]
"""One chunk of the stream, ready for JSON."""


class PartRendering:
    """The fold of one part.

    Args:
        record: the part; only what was fixed when it was accepted is read.
        before: the turn's earlier parts.
    """

    def __init__(self, record: TurnRecord, before: Iterable[Part] = ()) -> None:
        classic = ClassicPart.of(record)
        if classic is None:
            raise ValueError(f"{record.turn.id} did not come through the Agents API")
        self.ended_at: float | None = None
        self._record = record
        self._classic = classic
        self._before = list(before)
        self._steps: list[Step] = []
        self._messages: dict[str, InferenceStep] = {}
        self._by_event: dict[str, Step] = {}
        """Steps by the ids that events give them."""
        self._calls: dict[str, ToolCall] = {}
        self._for_client: dict[str, ToolCall] = {}
        self._for_person: dict[str, ToolCall] = {}
        self._status: PartStatus = "running"
        self._stop_reason: str | None = None
        self._error: dict[str, str] | None = None
        self._out: list[Chunk] = []
        self._handlers: dict[type, Callable[[Any], None]] = {
            ev.TurnAccepted: self._accepted,
            ev.StepStarted: self._step_started,
            ev.StepCompleted: self._step_completed,
            ev.TextDelta: self._text_delta,
            ev.MessageDone: self._message_done,
            ev.ToolCallStarted: self._call_started,
            ev.ToolCallDelta: self._call_delta,
            ev.ToolCall: self._called,
            ev.ToolResult: self._call_result,
            ev.ItemDone: self._item_done,
            ev.ItemDropped: self._dropped,
            ev.Interrupt: self._interrupt,
            ev.TurnCompleted: self._completed,
            ev.TurnSuspended: self._suspended,
            ev.TurnIncomplete: self._incomplete,
            ev.TurnFailed: self._failed,
            ev.TurnCancelled: self._cancelled,
        }

    def feed(self, event: ev.Event) -> list[Chunk]:
        """Take one more event. Returns the chunks it gives, possibly none."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)
        out, self._out = self._out, []
        return out

    def part(self) -> Part:
        """Return the part as it stands."""
        answers = [step for step in self._shown() if isinstance(step, InferenceStep)]
        calls = [*self._for_client.values(), *self._for_person.values()]
        return Part(
            id=self._record.turn.id,
            turn_id=self._classic.turn_id,
            session_id=self._record.turn.conversation or "",
            status=self._status,
            input_messages=self._classic.input_messages,
            steps=[step.view() for step in self._shown()],
            message=completion(answers[-1].text if answers else "", calls, self._stop_reason),
            error=self._error,
            started_at=self._record.accepted_at,
            ended_at=self.ended_at,
        )

    def turn(self) -> dict[str, Any]:
        """Return the whole turn as it stands."""
        return turn_of([*self._before, self.part()])

    @property
    def error(self) -> dict[str, str] | None:
        """The error that ended the turn; None where it ended otherwise or goes on."""
        return self._error

    def _shown(self) -> list[Step]:
        return [step for step in self._steps if not step.empty]

    def _tell(self, event_type: str, **fields: Any) -> None:
        self._out.append({"event": {"payload": {"event_type": event_type, **fields}}})

    def _progress(self, step: Step, delta: dict[str, Any]) -> None:
        self._tell("step_progress", step_id=step.id, step_type=step.kind, delta=delta)

    def _begin(self, step: Step, name: str | None = None) -> None:
        self._steps.append(step)
        self._tell("step_start", step_id=step.id, step_type=step.kind, metadata={"name": name} if name else {})

    def _complete(self, step: Step, at: float | None) -> None:
        step.open = False
        step.completed_at = at
        self._tell("step_complete", step_id=step.id, step_type=step.kind, step_details=step.view())

    def _named(self) -> tuple[str, str]:
        """Id and turn of a step to be made."""
        return f"step_{self._record.turn.id.removeprefix('resp_')}{len(self._steps):04x}", self._classic.turn_id

    def _accepted(self, _: ev.TurnAccepted) -> None:
        classic, at = self._classic, self._record.accepted_at
        if classic.turn_id == self._record.turn.id:
            self._tell("turn_start", turn_id=classic.turn_id)
        if classic.tool_responses:
            ran = ToolStep(*self._named(), classic.asked_at or at)
            ran.calls, ran.responses = classic.tool_calls, classic.tool_responses
            self._steps.append(ran)
            self._complete(ran, at)

    def _step_started(self, event: ev.StepStarted) -> None:
        kind = InferenceStep if event.kind == "inference" else ToolStep
        step = self._by_event[event.step_id] = kind(*self._named(), event.at)
        self._begin(step, event.name)
        if isinstance(step, ToolStep):
            for call in self._calls.values():
                if ev.tool_step(call["call_id"]) == event.step_id:
                    step.calls.append(call)
                    self._progress(step, call_delta("in_progress", call))

    def _step_completed(self, event: ev.StepCompleted) -> None:
        step = self._by_event.get(event.step_id)
        if step is not None and step.open:
            self._complete(step, event.at)

    def _answering(self) -> InferenceStep | None:
        """Return the model call that speaks now: the latest that goes on."""
        models = (step for step in reversed(self._steps) if isinstance(step, InferenceStep) and step.open)
        return next(models, None)

    def _unasked(self) -> InferenceStep:
        """Return a step for text that belongs to no model call."""
        step = InferenceStep(*self._named(), None)
        self._begin(step)
        return step

    def _of_message(self, message_id: str) -> InferenceStep:
        """Return the step a message belongs to. Where several model calls go on at once, each message has
        its own.
        """
        step = self._messages.get(message_id)
        if step is None:
            waiting = [
                step for step in self._steps if isinstance(step, InferenceStep) and step.open and not step.texts
            ]
            step = self._messages[message_id] = waiting[0] if waiting else self._answering() or self._unasked()
        step.texts.setdefault(message_id, "")
        return step

    def _text_delta(self, event: ev.TextDelta) -> None:
        step = self._of_message(event.message_id)
        step.texts[event.message_id] += event.delta
        self._progress(step, {"type": "text", "text": event.delta})

    def _message_done(self, event: ev.MessageDone) -> None:
        if not event.text and event.message_id not in self._messages:
            return
        step = self._of_message(event.message_id)
        rest = rest_of(event.text, step.texts[event.message_id])
        step.texts[event.message_id] = event.text
        if rest and step.open:
            self._progress(step, {"type": "text", "text": rest})
        if step.open and step not in self._by_event.values():
            # Text that belongs to no model call: nothing else will end its step.
            self._complete(step, None)

    def _call_started(self, event: ev.ToolCallStarted) -> None:
        self._call_progress("started", "")

    def _call_delta(self, event: ev.ToolCallDelta) -> None:
        self._call_progress("in_progress", event.delta)

    def _call_progress(self, status: str, piece: str) -> None:
        # The call may be told again in a part that goes on after its model call.
        if step := self._answering():
            self._progress(step, call_delta(status, piece))

    def _called(self, event: ev.ToolCall) -> None:
        call = {"call_id": event.call_id, "tool_name": event.name, "arguments": event.arguments}
        self._calls[event.call_id] = call
        if event.side == "client":
            self._for_client[event.call_id] = call
        step = next((step for step in reversed(self._steps) if isinstance(step, InferenceStep)), None)
        if step is not None:
            step.calls[event.call_id] = call
            if step.open:
                self._progress(step, call_delta("succeeded", call))

    def _call_result(self, event: ev.ToolResult) -> None:
        step = self._by_event.get(ev.tool_step(event.call_id))
        if isinstance(step, ToolStep) and step.open:
            response = {
                "call_id": event.call_id,
                "tool_name": self._calls[event.call_id]["tool_name"] if event.call_id in self._calls else "",
                "content": event.output,
                "metadata": {"is_error": True} if event.is_error else None,
            }
            step.responses = [response]

    def _item_done(self, event: ev.ItemDone) -> None:
        # A refusal is a message of its own.
        if event.item["type"] == "message":
            text = "".join(part.get("refusal") or part.get("text") or "" for part in event.item["content"])
            self._text_delta(ev.TextDelta(message_id=event.item["id"], delta=text))

    def _dropped(self, event: ev.ItemDropped) -> None:
        if said := self._messages.get(event.item_id):
            said.texts.pop(event.item_id, None)
            said.dropped = True
        self._for_person = {
            call_id: asked
            for call_id, asked in self._for_person.items()
            if ev.request_item(call_id) != event.item_id
        }
        if self._calls.pop(event.item_id, None):
            self._for_client.pop(event.item_id, None)
            for step in self._steps:
                if isinstance(step, InferenceStep) and event.item_id in step.calls:
                    del step.calls[event.item_id]
                    step.dropped = True
        ran = self._by_event.pop(ev.tool_step(event.item_id), None)
        if isinstance(ran, ToolStep):
            ran.dropped = True

    def _interrupt(self, event: ev.Interrupt) -> None:
        self._for_person[event.call_id] = {
            "call_id": event.call_id,
            "tool_name": event.name,
            "arguments": event.arguments,
        }

    def _completed(self, _: ev.TurnCompleted) -> None:
        self._close()
        self._status = "awaiting_input" if self._for_client else "completed"
        self._tell_turn()

    def _suspended(self, _: ev.TurnSuspended) -> None:
        self._close()
        self._status, self._stop_reason = "suspended", "end_of_turn"
        self._tell_turn()

    def _incomplete(self, event: ev.TurnIncomplete) -> None:
        self._close()
        self._for_client.clear()
        self._status = "completed"
        self._stop_reason = "out_of_tokens" if event.reason == "max_output_tokens" else "end_of_turn"
        self._tell_turn()

    def _failed(self, event: ev.TurnFailed) -> None:
        self._fail(event.code, event.message)

    def _cancelled(self, _: ev.TurnCancelled) -> None:
        self._fail("cancelled", "The turn was cancelled.")

    def _fail(self, code: str, message: str) -> None:
        self._status = "failed"
        self._for_client.clear()
        self._error = {"code": code, "message": message}
        self._out.append({"error": {**self._error, "turn_id": self._classic.turn_id}})

    def _close(self) -> None:
        for step in self._steps:
            if step.open:
                self._complete(step, self.ended_at)

    def _tell_turn(self) -> None:
        waits = self._status in ("awaiting_input", "suspended")
        self._tell("turn_awaiting_input" if waits else "turn_complete", turn=self.turn())


def render_part(record: TurnRecord, events: Iterable[ev.Event], ended_at: float | None) -> Part:
    """Return a part as it stands with these events."""
    rendering = PartRendering(record)
    rendering.ended_at = ended_at
    for event in events:
        rendering.feed(event)
    return rendering.part()
