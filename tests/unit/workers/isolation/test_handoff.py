"""An agent that is faster than its worker, or than Redis, makes neither grow without bound."""

import asyncio
import threading

from k8gentai.agents.contract.events import (
    Event,
    MessageDone,
    ReasoningDelta,
    StepStarted,
    TextDelta,
    TurnCompleted,
)
from k8gentai.agents.contract.turn import Turn
from k8gentai.workers.attempt.stream import EventStream
from k8gentai.workers.isolation.handoff import EventHandoff
from k8gentai.workers.queue.attempts import Attempts, Lease, Started
from k8gentai.workers.queue.clock import Clock
from k8gentai.workers.queue.record import AcceptedTurn

MANY = 100_000


async def test_an_agent_is_never_far_ahead_of_the_loop_and_nothing_is_lost():
    taken: list[Event] = []
    ahead = []
    handoff = EventHandoff(taken.append)

    def emit():
        for number in range(MANY):
            handoff.publish(TextDelta(message_id="m1", delta=str(number)))
            ahead.append(number - len(taken))

    await asyncio.to_thread(emit)
    await asyncio.sleep(0)
    assert taken == [TextDelta(message_id="m1", delta=str(number)) for number in range(MANY)]
    assert max(ahead) <= 1_000


async def test_a_thread_that_waits_for_room_goes_on_when_the_attempt_is_over():
    begun = threading.Event()
    taken = []
    handoff = EventHandoff(taken.append)

    def emit():
        for number in range(MANY):
            handoff.publish(TextDelta(message_id="m1", delta=str(number)))
            if number == 500:
                begun.set()

    thread = threading.Thread(target=emit)
    thread.start()
    # The loop does nothing meanwhile.
    assert begun.wait(30)
    handoff.close()
    await asyncio.to_thread(thread.join)
    assert taken == []


async def test_code_of_the_loop_itself_does_not_wait():
    taken = []
    handoff = EventHandoff(taken.append)
    for _ in range(2_000):
        handoff.publish(TextDelta(message_id="m1", delta="x"))
    await asyncio.sleep(0)
    assert len(taken) == 2_000


class Away(Attempts):
    """Redis, which takes nothing until it is back."""

    def __init__(self) -> None:
        self.back = asyncio.Event()
        self.kept: list[Event] = []

    async def append(self, lease, first_seq, events):
        await self.back.wait()
        assert first_seq == len(self.kept) + 1
        self.kept += events


def started(at=0.0):
    accepted = AcceptedTurn(turn=Turn(id="resp_1", agent="a", input=[]), framework="langgraph")
    return Started(Lease("resp_1", 1), 0, accepted, Clock(at))


async def test_steps_are_dated_by_the_clock_of_redis():
    away = Away()
    away.back.set()
    stream = EventStream(away, started(at=1_000_000.0))
    stream.put(StepStarted(step_id="s1", kind="inference"))
    stream.put(TurnCompleted())
    await stream.write()
    (begun, _) = away.kept
    assert isinstance(begun, StepStarted)
    assert begun.at is not None
    assert 1_000_000 <= begun.at < 1_001_000


async def test_what_waits_for_redis_is_bounded_and_whole():
    away = Away()
    stream = EventStream(away, started())
    writing = asyncio.create_task(stream.write())
    for number in range(MANY):
        stream.put(ReasoningDelta(message_id="m1", delta=f"{number} "))
    for number in range(MANY):
        stream.put(TextDelta(message_id="m1", delta=f"{number} ", logprobs=[{"token": number}]))
        if number == 0:
            await asyncio.sleep(0)
    stream.put(TextDelta(message_id="m2", delta="other"))
    text = "".join(f"{number} " for number in range(MANY))
    stream.put(MessageDone(message_id="m1", text=text))
    stream.put(TurnCompleted())
    assert len(stream._waiting) < 2_500
    away.back.set()
    await writing

    def of(kind, message):
        return [event for event in away.kept if isinstance(event, kind) and event.message_id == message]

    assert "".join(event.delta for event in of(ReasoningDelta, "m1")) == text
    assert "".join(event.delta for event in of(TextDelta, "m1")) == text
    assert [prob["token"] for event in of(TextDelta, "m1") for prob in event.logprobs] == list(range(MANY))
    assert [event.delta for event in of(TextDelta, "m2")] == ["other"]
    assert isinstance(away.kept[-1], TurnCompleted)
