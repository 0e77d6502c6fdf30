"""How an attempt ends (k8gentai.workers.process.harness)."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest
from structlog.testing import capture_logs

from k8gentai.agents.contract.events import (
    Event,
    ItemDropped,
    MessageDone,
    TextDelta,
    ToolCall,
    TurnCompleted,
    TurnEnd,
    TurnFailed,
    TurnIncomplete,
    TurnSuspended,
)
from k8gentai.agents.contract.turn import FoundTools, Item, ModelEndpoint, Turn, TurnContext
from k8gentai.agents.resources.agent import Spec, implicit_agent
from k8gentai.agents.resources.resource import Metadata
from k8gentai.workers.attempt.observers import Observer
from k8gentai.workers.gateway.model_calls import ModelCalls, OpenAttempts
from k8gentai.workers.isolation.agent_threads import AgentThreads
from k8gentai.workers.isolation.agents_loop import AgentsLoop
from k8gentai.workers.process.harness import Harness
from k8gentai.workers.process.turn_log import TurnLog
from k8gentai.workers.queue.attempts import FencedError, Lease, Started
from k8gentai.workers.queue.clock import Clock
from k8gentai.workers.queue.hand_backs import BrokeOffError
from k8gentai.workers.queue.record import AcceptedTurn, Replay
from k8gentai.workers.queue.record import Answer as RecordedAnswer
from k8gentai.workers.tools.agent_cache import ReadyAgent

WANTS_JSON: dict[str, Any] = {"text": {"format": {"type": "json_object"}}}


class Says:
    """An agent that publishes certain events, or raises.

    Args:
        spec: fields of its definition.
    """

    def __init__(self, *events: Event | Exception, spec: dict[str, Any] | None = None) -> None:
        self._events = events
        definition = implicit_agent("m")
        own = spec or {"entrypoint": "code:agent"}
        spec_read = Spec.model_validate({**definition.spec.model_dump(by_alias=True), **own})
        self.definition = definition.model_copy(update={"spec": spec_read, "metadata": Metadata(name="says")})

    async def run(self, agent: object, turn: Turn, context: TurnContext) -> AsyncIterator[Event]:
        for event in self._events:
            if isinstance(event, Exception):
                raise event
            yield event

    async def for_turn(self, accepted: AcceptedTurn) -> ReadyAgent:
        return ReadyAgent(self, [], FoundTools())

    @asynccontextmanager
    async def open(self, *_: Any) -> AsyncIterator[tuple[()]]:
        yield ()


SLOT: Any = SimpleNamespace()
"""Of a turn that lends its place to nobody."""


class Written:
    """Stands for Redis: keeps what attempts at turns write.

    Args:
        fenced: the attempt has lost its turn.
    """

    worker = "worker"

    def __init__(self, *, fenced: bool = False) -> None:
        self.events: list[Event] = []
        self._fenced = fenced

    async def append(self, lease: Lease, first_seq: int, events: list[Event]) -> None:
        if self._fenced:
            raise FencedError(lease.turn_id)
        self.events += events

    async def before(self, lease: Lease) -> list[Event]:
        return []

    async def published(self, lease: Lease) -> list[Event]:
        return []

    async def journal(self, lease: Lease) -> dict[str, str]:
        return {}


class Answered(OpenAttempts):
    """Attempts whose models have given their last answers.

    Args:
        answered: why the last one ended.
        silent: the model that gave it, where it is empty.
    """

    def __init__(self, answered: str = "", silent: str | None = None) -> None:
        super().__init__("http://gateway/v1")
        self._answered = answered
        self._silent = silent

    def open(self, calls: ModelCalls) -> ModelEndpoint:
        calls.on_answer(self._answered)
        calls.silent = self._silent
        return super().open(calls)


@pytest.fixture
async def loop() -> AsyncIterator[AgentsLoop]:
    made = AgentsLoop(AgentThreads(1, list))
    made.start()
    yield made
    await made.stop()


async def ended(
    loop: AgentsLoop,
    *events: Event | Exception,
    fault: Exception | None = None,
    replay: Replay | None = None,
    given: Sequence[Item] = (),
    answered: str = "",
    silent: str | None = None,
    spec: dict[str, Any] | None = None,
    **parameters: Any,
) -> tuple[TurnEnd, list[Event]]:
    """Run an attempt at a turn of an agent, in a process with this fault. Returns what it ends with, and what was
    published before that.

    Args:
        answered: why the model's last answer ended.
        silent: the model that gave it, where it is empty.
        spec: fields of the agent's definition.
    """
    turn = Turn(id="resp_1", agent="says", input=list(given), parameters=parameters)
    started = start(turn, replay)
    written, gateway = Written(), Answered(answered, silent)
    await asyncio.wait_for(
        harness(loop, written, *events, fault=fault, gateway=gateway, spec=spec).run(started, SLOT), 30
    )
    _, *put, end = written.events
    assert isinstance(end, TurnEnd)
    return end, put


def start(turn: Turn, replay: Replay | None = None) -> Started:
    """Begin the first attempt at a turn."""
    accepted = AcceptedTurn(turn=turn, framework="langgraph", replay=replay)
    return Started(Lease(turn.id, 1), 0, accepted, Clock(time.time()))


def harness(
    loop: AgentsLoop,
    attempts: "Written",
    *events: Event | Exception,
    fault: Exception | None = None,
    observers: Sequence[Observer] = (),
    gateway: OpenAttempts | None = None,
    spec: dict[str, Any] | None = None,
) -> Harness:
    """Return what runs an agent that says this, in a process with this fault."""
    says: Any = Says(*events, spec=spec)
    nothing: Any = SimpleNamespace(attempt=contextlib.nullcontext)
    vitals: Any = SimpleNamespace(check=AsyncMock(side_effect=fault))
    stand_in: Any = attempts
    opened = gateway or Answered()
    return Harness(says, says, says, stand_in, opened, nothing, lambda: None, loop, nothing, vitals, observers)


async def test_a_message_that_the_end_of_the_turn_closes_is_the_answer_that_is_judged(loop: AgentsLoop) -> None:
    prose = MessageDone(message_id="m1", text="Let me look.")
    end, put = await ended(loop, prose, TextDelta(message_id="m2", delta='{"a": 1}'), **WANTS_JSON)
    assert end == TurnCompleted()
    assert put[-2:] == [MessageDone(message_id="m2", text='{"a": 1}'), ItemDropped(item_id="m1")]


async def test_json_before_other_words_is_not_the_answer(loop: AgentsLoop) -> None:
    json = MessageDone(message_id="m1", text='{"a": 1}')
    end, put = await ended(loop, json, TextDelta(message_id="m2", delta="Done."), **WANTS_JSON)
    assert "text.format" in getattr(end, "message", "")
    assert not any(isinstance(event, ItemDropped) for event in put)


async def test_the_answer_is_the_message_that_began_last(loop: AgentsLoop) -> None:
    prose = TextDelta(message_id="m1", delta="Let me look.")
    end, put = await ended(loop, prose, MessageDone(message_id="m2", text="[1]"), **WANTS_JSON)
    assert end == TurnCompleted()
    assert [event for event in put if isinstance(event, ItemDropped)] == [ItemDropped(item_id="m1")]


async def test_words_beside_a_call_of_the_clients_are_no_answer(loop: AgentsLoop) -> None:
    texts = MessageDone(message_id="m1", text="Let me look."), MessageDone(message_id="m2", text="[1]")
    call = ToolCall(call_id="c1", name="look", arguments="{}", side="client")
    end, put = await ended(loop, *texts, call, **WANTS_JSON)
    assert end == TurnCompleted()
    assert [event for event in put if isinstance(event, ItemDropped)] == [ItemDropped(item_id="m1")]


async def test_nothing_is_dropped_where_the_request_asks_for_no_form(loop: AgentsLoop) -> None:
    texts = MessageDone(message_id="m1", text="Let me look."), MessageDone(message_id="m2", text="[1]")
    end, put = await ended(loop, *texts)
    assert (end, put) == (TurnCompleted(), list(texts))


async def test_json_of_another_shape_than_the_schema_fails_the_turn(loop: AgentsLoop) -> None:
    schema = {"type": "object", "properties": {"days": {"type": "integer"}}, "required": ["days"]}
    asked: dict[str, Any] = {
        "text": {"format": {"type": "json_schema", "name": "plan", "schema": schema, "strict": True}}
    }
    end, _ = await ended(loop, MessageDone(message_id="m1", text='{"days": "three"}'), **asked)
    assert isinstance(end, TurnFailed)
    assert end.code == "invalid_answer"
    assert "text.format" in end.message
    assert "$.days" in end.message
    assert (await ended(loop, MessageDone(message_id="m1", text='{"days": 3}'), **asked))[0] == TurnCompleted()


@pytest.mark.parametrize(
    "events",
    [
        (TurnSuspended(expires_at=1.0),),
        (ToolCall(call_id="c1", name="weather", arguments="{}", side="client"), TurnCompleted()),
        (MessageDone(message_id="m1", text='{"days'), TurnIncomplete(reason="max_output_tokens")),
    ],
    ids=["suspended", "handed over", "incomplete"],
)
async def test_only_answers_are_judged_by_their_form(loop: AgentsLoop, events: tuple[Event, ...]) -> None:
    end, _ = await ended(loop, *events, **WANTS_JSON)
    assert end == events[-1]


@pytest.mark.parametrize(
    ("reason", "silent", "end"),
    [
        ("content_filter", "m", TurnIncomplete(reason="content_filter")),
        ("length", "m", TurnIncomplete(reason="max_output_tokens")),
        ("content_filter", None, TurnFailed(code="agent_error", message="the agent raised ValueError: no words")),
    ],
)
async def test_an_answer_that_was_cut_off_before_its_first_word_is_no_fault_of_the_agents(
    loop: AgentsLoop, reason: str, silent: str | None, end: TurnEnd
) -> None:
    assert await ended(loop, ValueError("no words"), answered=reason, silent=silent) == (end, [])


async def test_an_error_in_a_broken_process_is_not_the_agents(loop: AgentsLoop) -> None:
    end, _ = await ended(loop, ZeroDivisionError("its own"))
    assert isinstance(end, TurnFailed)
    assert "its own" in end.message
    fault = BrokeOffError(TurnFailed(code="worker_error", message="broken"))
    with pytest.raises(BrokeOffError, match="broken"):
        await ended(loop, ZeroDivisionError("its own"), fault=fault)


@pytest.mark.parametrize(
    ("approve", "now", "fails"), [(True, True, True), (False, True, False), (True, False, False)]
)
async def test_what_a_person_approved_in_this_turn_has_to_be_come_to(
    loop: AgentsLoop, approve: bool, now: bool, fails: bool
) -> None:
    """What was approved in an earlier one may have been asked anew since, with something else in it."""
    first = Turn(id="resp_0", agent="says", input=[])
    answers = {"c1": RecordedAnswer(approve=approve, request_id="mcpr_1", name="pay", seen="-")}
    given = {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": approve}
    other = {**given, "approval_request_id": "mcpr_2"}
    end, _ = await ended(
        loop,
        MessageDone(message_id="m1", text="Done."),
        replay=Replay(of="resp_0", turn=first, answers=answers),
        given=[given if now else other],
    )
    assert isinstance(end, TurnFailed if fails else TurnCompleted)
    if isinstance(end, TurnFailed):
        assert (end.code, "'pay'" in end.message) == ("approved_call_missed", True)


class Notes:
    """An observer that notes all it sees, and may fail at it."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.seen: list[Any] = []
        self._fault = fault

    def _note(self, *what: object) -> None:
        self.seen.append(what)
        if self._fault:
            raise self._fault

    def began(self, started: Started) -> None:
        self._note("began", started.lease)

    def published(self, started: Started, event: Event) -> None:
        self._note("published", event)

    def failed(self, started: Started, end: TurnFailed, error: BaseException) -> None:
        self._note("failed", end.code, error)

    def ended(self, started: Started, end: TurnEnd | None) -> None:
        self._note("ended", end)


TURN = Turn(id="resp_1", agent="says", input=[])
DONE = MessageDone(message_id="m1", text="Done.")


async def test_a_tool_choice_that_names_none_of_the_tools_that_came_to_be_fails_the_turn(loop: AgentsLoop) -> None:
    """What MCP servers have is known when the attempt begins."""
    choice = {"type": "function", "name": "nope"}
    end, put = await ended(loop, spec={"framework": "crewai", "pool": "crewai"}, tool_choice=choice)
    assert isinstance(end, TurnFailed)
    assert (end.code, end.message) == ("invalid_request", "'tool_choice.name': there is no tool 'nope'")
    assert put == []


async def test_observers_see_an_attempt_from_its_begin_to_its_end(loop: AgentsLoop) -> None:
    """Also beside one that fails at each step, which harms neither the turn nor the others."""
    written, notes = Written(), Notes()
    failing = Notes(ZeroDivisionError("its own"))
    with capture_logs() as logs:
        await harness(loop, written, DONE, observers=[failing, notes]).run(start(TURN), SLOT)
    assert written.events[1:] == [DONE, TurnCompleted()]
    published = [("published", event) for event in written.events]
    assert notes.seen == failing.seen
    assert notes.seen == [("began", Lease("resp_1", 1)), *published, ("ended", TurnCompleted())]
    assert {(entry["event"], entry["observer"]) for entry in logs} == {("observer_failed", "Notes")}


async def test_observers_see_what_the_agent_raised_and_the_log_has_it(loop: AgentsLoop) -> None:
    written, notes, error = Written(), Notes(), ZeroDivisionError("its own")
    with capture_logs() as logs:
        await harness(loop, written, error, observers=[TurnLog(), notes]).run(start(TURN), SLOT)
    assert notes.seen[2:] == [
        ("failed", "agent_error", error),
        ("published", written.events[-1]),
        ("ended", written.events[-1]),
    ]
    (entry,) = logs
    assert (entry["event"], entry["turn"], entry["exc_info"]) == ("turn_failed", "resp_1", error)


async def test_observers_are_told_of_no_end_that_an_attempt_did_not_write(loop: AgentsLoop) -> None:
    notes = Notes()
    with pytest.raises(FencedError):
        await harness(loop, Written(fenced=True), DONE, observers=[notes]).run(start(TURN), SLOT)
    assert (notes.seen[0][0], notes.seen[-1]) == ("began", ("ended", None))
