"""An attempt that lost its turn may write nothing more: Redis itself refuses it."""

import asyncio
import math

import pytest

from k8gentai.agents.contract.events import MessageDone, TextDelta, TurnCompleted, TurnFailed, TurnStarted
from k8gentai.agents.contract.turn import Turn
from k8gentai.agents.resources.agent import Limits
from k8gentai.workers.attempt.approvals import Approvals
from k8gentai.workers.attempt.budget import Budget, JournalFullError
from k8gentai.workers.attempt.journal import Journal
from k8gentai.workers.attempt.journal_entries import Failure, ToolEntry
from k8gentai.workers.attempt.recorded_order import Place
from k8gentai.workers.attempt.tool_guard import ToolGuard
from k8gentai.workers.queue import keys
from k8gentai.workers.queue.attempts import JOURNAL_BYTES, Attempts, FencedError, Leases
from k8gentai.workers.queue.clock import Clock
from k8gentai.workers.queue.record import AcceptedTurn
from k8gentai.workers.queue.turns import Turns
from k8gentai.workers.tools.boundary import Tools

TURN = "resp_0192f3a0c1d27e3fb1234567890abcde"


@pytest.fixture
def turns(connection):
    return Turns(connection)


@pytest.fixture
async def accepted(turns):
    turn = Turn(id=TURN, agent="plain", input=[])

    async def no_history():
        return []

    await turns.accept(AcceptedTurn(turn=turn, framework="langgraph"), no_history)
    return TURN


def worker(connection, name, lease_seconds=5.0):
    return Attempts(connection, "langgraph", name, lease_seconds=lease_seconds)


async def start(attempts):
    return (await attempts.start(await attempts.take(1))).lease


async def types(turns):
    return [event.type for _, event in await turns.events(TURN)]


class Effect:
    """A tool that counts its runs, and returns a text of some size."""

    def __init__(self, size):
        self.size, self.runs = size, 0

    async def __call__(self):
        self.runs += 1
        return "x" * self.size


def boundary(journal):
    """Return the tool boundary of an attempt, and what it ends the turn with."""
    ends = []
    budget, guard = Budget(Limits(output_bytes=10**8), ends.append), ToolGuard((), (), (), ends.append)
    published = []
    nobody = Approvals({}, lambda *event: published.append(event), lambda: False)
    tools = Tools(
        TURN, {}, journal, lambda *event: published.append(event), nobody, budget, math.inf, Clock(0), guard=guard
    )
    return tools, ends


async def begin(attempts, lease):
    return Journal(attempts, lease, await attempts.journal(lease))


async def test_a_tool_whose_result_does_not_fit_ends_the_turn_and_runs_once(connection, turns, accepted):
    attempts, effect = worker(connection, "w"), Effect(JOURNAL_BYTES)
    lease = await start(attempts)
    tools, ends = boundary(await begin(attempts, lease))
    with pytest.raises(JournalFullError):
        await tools.call("c1", "pay", {}, effect)
    assert [end.code for end in ends] == ["journal_full"]
    found = await turns.get(TURN)
    assert (found.unrecorded, found.tools_made, found.tools_repeated) == (1, 1, 0)
    again, _ = boundary(await begin(attempts, lease))
    outcome = await again.call("c1", "pay", {}, effect)
    assert (effect.runs, outcome.is_error) == (1, True)


async def test_after_an_answer_that_does_not_fit_no_tool_begins(connection, turns, accepted):
    attempts, effect = worker(connection, "w"), Effect(1)
    lease = await start(attempts)
    journal = await begin(attempts, lease)
    tools, ends = boundary(journal)
    assert (await tools.call("c1", "pay", {}, effect)).output == "x"
    answer = [{"choices": [{"delta": {"content": "x" * JOURNAL_BYTES}}]}]
    await journal.record_answer(journal.model_key({"model": "m"}), answer)
    assert ends == []
    with pytest.raises(JournalFullError):
        await tools.call("c2", "pay", {}, effect)
    assert [end.code for end in ends] == ["journal_full"]
    assert (await turns.get(TURN)).unrecorded == 1
    again, _ = boundary(await begin(attempts, lease))
    assert (await again.call("c1", "pay", {}, effect)).output == "x"
    assert effect.runs == 1


async def test_an_answer_that_never_fits_does_not_keep_a_turn_from_being_given_up(connection, turns, accepted):
    attempts = worker(connection, "w")
    became = []
    for _ in range(3):
        lease = await start(attempts)
        journal = await begin(attempts, lease)
        await journal.record_answer(journal.model_key({"model": "m"}), [{"id": "x" * JOURNAL_BYTES}])
        end = TurnFailed(code="stack_lost", message="gone")
        became.append(await attempts.break_off(lease, end, seconds=60, often=3))
    assert became == ["queued", "queued", "failed"]
    found = await turns.get(TURN)
    assert (found.unrecorded, found.models_made) == (3, 0)


async def test_a_stale_attempts_append_is_refused(valkey, connection, turns, accepted):
    slow, quick = worker(connection, "slow", lease_seconds=0.01), worker(connection, "quick")
    stale = await start(slow)
    await slow.append(stale, 2, [TurnStarted(attempt=1, worker="slow"), TextDelta(message_id="m", delta="a")])
    await asyncio.sleep(0.02)
    with valkey.client() as blocking:
        assert Leases(blocking, "langgraph", lease_seconds=5).reap() == [(TURN, "queued")]
    with pytest.raises(FencedError):
        await slow.append(stale, 4, [TextDelta(message_id="m", delta="late")])
    lease = await start(quick)
    assert lease.attempt == stale.attempt + 1
    await quick.append(lease, 4, [TurnStarted(attempt=2, worker="quick")])
    for event in (TextDelta(message_id="m", delta="later"), TurnCompleted()):
        with pytest.raises(FencedError):
            await slow.append(stale, 5, [event])
    await quick.append(lease, 5, [MessageDone(message_id="m", text="b"), TurnCompleted()])
    assert (await types(turns))[3:] == ["turn.started", "message.done", "turn.completed"]
    assert (await turns.get(TURN)).status == "completed"


async def test_a_cancelled_turn_takes_no_more_events(connection, turns, accepted):
    attempts = worker(connection, "one")
    lease = await start(attempts)
    await turns.cancel(TURN)
    with pytest.raises(FencedError):
        await attempts.append(lease, 3, [TurnCompleted()])
    assert (await types(turns))[-1] == "turn.cancelled"


async def test_a_batch_sent_twice_is_written_once(connection, turns, accepted):
    """The answer to the first sending was lost, as when Redis restarts."""
    attempts = worker(connection, "one")
    lease = await start(attempts)
    batch = [TurnStarted(attempt=1, worker="one"), TextDelta(message_id="m", delta="a")]
    for _ in range(2):
        await attempts.append(lease, 2, batch)
    end = [MessageDone(message_id="m", text="a"), TurnCompleted()]
    for _ in range(2):
        await attempts.append(lease, 4, end)
    seqs = [seq for seq, _ in await turns.events(TURN)]
    assert seqs == [1, 2, 3, 4, 5]


async def test_a_start_sent_twice_is_one_attempt(connection, turns, accepted, monkeypatch):
    """The answer to the first sending was lost, as when Redis restarts; another worker still gets nothing."""
    attempts = worker(connection, "one")
    turn_id = await attempts.take(1)
    with monkeypatch.context() as sending:
        sending.setattr("secrets.token_hex", lambda _: "the same taking")
        first, again = [await attempts.start(turn_id) for _ in range(2)]
    assert first == again
    assert first.lease.attempt == 1
    assert await worker(connection, "two").start(turn_id) is None


async def test_a_turn_taken_twice_runs_once(connection, turns, accepted):
    """It was put back into the queue while its worker waited for Redis; that worker takes it again."""
    attempts = worker(connection, "one")
    turn_id = await attempts.take(1)
    await connection.lpush(keys.RQ_QUEUE + "langgraph", turn_id)
    assert (await attempts.start(turn_id)).lease.attempt == 1
    assert await attempts.start(await attempts.take(1)) is None


async def test_a_turn_handed_back_is_not_the_old_workers_any_more(connection, turns, accepted):
    attempts = worker(connection, "one")
    lease = await start(attempts)
    await attempts.hand_back(lease)
    assert (await turns.get(TURN)).status == "queued"
    with pytest.raises(FencedError):
        await attempts.append(lease, 2, [TurnStarted(attempt=1, worker="one")])


async def test_a_call_that_was_recorded_and_is_made_again_is_counted(connection, turns, accepted):
    """What the drill reports as repeated is seen where it is written, whoever made the call."""
    attempts = worker(connection, "one")
    journal = Journal(attempts, await start(attempts), {})

    async def counts():
        found = await turns.get(TURN)
        return found.models_made, found.models_repeated, found.tools_made, found.tools_repeated

    await journal.record_answer("model a 1", [{"id": "1"}])
    # Sent again because the answer was lost, which is not a second call.
    await journal.record_answer("model a 1", [{"id": "1"}])
    for state in ("running", "running", "done"):
        await journal.record_tool("c1", ToolEntry(state=state))
    assert await counts() == (1, 0, 1, 0)
    await journal.record_answer("model a 1", [{"id": "2"}])
    await journal.record_tool("c1", ToolEntry(state="running"))
    await journal.record_tool("c1", ToolEntry(state="done"))
    assert await counts() == (2, 1, 2, 1)


async def test_an_entry_written_over_another_takes_no_more_room_than_itself(connection, turns, accepted):
    attempts = worker(connection, "one")
    journal = Journal(attempts, await start(attempts), {})
    for number in range(10):
        await journal.record_tool("c1", ToolEntry(state="running", output=str(number) * 100))
    (entry,) = (await connection.hgetall(keys.TURN + TURN + keys.JOURNAL)).values()
    assert int(await connection.hget(keys.TURN + TURN, "journal_bytes")) == len(entry)


async def test_the_order_in_which_entries_came_is_kept_and_goes_with_them(connection, turns, accepted):
    attempts = worker(connection, "one")
    lease = await start(attempts)
    journal = Journal(attempts, lease, {})
    await journal.record_tool("c1", ToolEntry(state="running"))
    await journal.record_answer("model a 1", [{"id": "1"}], "c1")
    await journal.record_failure("model b 1", Failure(cause="full", status=503, code="model_overloaded"))
    await journal.record_tool("c1", ToolEntry(state="done"))
    entries = await attempts.journal(lease)
    places = {key: Place.model_validate_json(entries[key]) for key in entries if key.startswith("order ")}
    assert {key: place.number for key, place in places.items()} == {
        "order model a 1": 1,
        "order model b 1": 2,
        "order tool c1": 3,
    }
    assert [place.around for place in places.values()] == ["tool c1", "", ""]
    for key in ("model a 1", "failure model b 1", "tool c1"):
        assert await attempts.record(lease, key, "")
    assert await attempts.journal(lease) == {}
    assert int(await connection.hget(keys.TURN + TURN, "journal_bytes")) == 0


async def test_a_turn_is_given_up_after_as_many_attempts_as_it_may_have(valkey, connection, turns, accepted):
    attempts = worker(connection, "one", lease_seconds=0.01)
    lease = await start(attempts)
    await attempts.append(lease, 2, [TurnStarted(attempt=1, worker="one")])
    await asyncio.sleep(0.02)
    with valkey.client() as blocking:
        assert Leases(blocking, "langgraph", lease_seconds=5, max_attempts=1).reap() == [(TURN, "failed")]
    assert await types(turns) == ["turn.accepted", "turn.started", "turn.failed"]
    end = (await turns.events(TURN))[-1][1]
    assert (end.code, end.message) == (
        "worker_lost",
        (
            "the turn was tried once and its worker was lost: its process was not heard of any more; "
            "see the workers' logs"
        ),
    )


async def test_the_end_of_a_turn_carries_its_time(connection, turns, accepted):
    attempts = worker(connection, "w")
    await attempts.append(await start(attempts), 2, [TurnCompleted()])
    ended_at = (await turns.get(TURN)).ended_at
    assert ended_at
    assert [getattr(event, "at", None) for _, event in await turns.events(TURN)] == [None, ended_at]
    assert [getattr(event, "at", None) async for _, event in turns.follow(TURN)] == [None, ended_at]


async def test_events_of_a_later_release_are_skipped(connection, turns, accepted):
    attempts = worker(connection, "w")
    lease = await start(attempts)
    await attempts.append(lease, 2, [TurnStarted(attempt=1, worker="w")])
    await connection.hincrby(keys.TURN + TURN, "seq", 1)
    later = {"e": '{"type": "memory.read", "store": "m"}', "v": 7, "more": "x"}
    await connection.xadd(keys.TURN + TURN + keys.EVENTS, later, id="3-0")
    await attempts.append(lease, 4, [TurnCompleted()])
    expected = [(1, "turn.accepted"), (2, "turn.started"), (4, "turn.completed")]
    assert [(seq, event.type) for seq, event in await turns.events(TURN)] == expected
    assert [(seq, event.type) async for seq, event in turns.follow(TURN)] == expected
    assert [event.type for event in await attempts.published(lease)] == [each for _, each in expected]


@pytest.mark.parametrize("unread", ["framework", "pool"])
async def test_a_turns_pool_is_read_under_either_of_its_names(connection, turns, accepted, unread):
    """The release before reads and writes ``framework`` alone, and the one after this writes ``pool`` alone."""
    turn = keys.TURN + accepted
    assert await connection.hmget(turn, "pool", "framework") == [b"langgraph", b"langgraph"]
    await connection.hdel(turn, unread)
    attempts = worker(connection, "one")
    assert await attempts.hand_back(await start(attempts)) == "queued"
    assert await connection.lrange(keys.RQ_QUEUE + "langgraph", 0, -1) == [accepted.encode()]
    assert await turns.cancel(accepted) == "queued"
    assert await connection.lrange(keys.RQ_QUEUE + "langgraph", 0, -1) == []
    assert await connection.zrange(keys.RQ_CANCELED + "langgraph", 0, -1) == [accepted.encode()]
