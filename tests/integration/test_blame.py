"""Who ended a worker is found out, and nobody else is punished: what Redis decides of attempts without an end."""

import secrets
import time

import pytest

from k8gentai.agents.contract.events import TurnCompleted, TurnFailed
from k8gentai.agents.contract.turn import Turn
from k8gentai.workers.queue import keys
from k8gentai.workers.queue.attempts import HAND_OVERS, Attempts, Death, DeclinedBeforeError, Leases
from k8gentai.workers.queue.record import AcceptedTurn
from k8gentai.workers.queue.turns import Turns

SEGFAULT = Death(cause="ended with signal 11 (SIGSEGV)", own=True)
KILLED = Death(cause="was killed")
END = TurnFailed(code="agent_unavailable", message="there is no module 'shop'")


class Bench:
    """Turns, workers that take them, and one that reaps."""

    def __init__(self, connection, blocking):
        self.connection = connection
        self.blocking = blocking
        self.turns = Turns(connection)
        self.leases = Leases(blocking, "langgraph", lease_seconds=30)
        self._workers = 0

    async def accept(self, *names):
        """Turns, by name."""
        return {name: await self._accept(number) for number, name in enumerate(names)}

    async def _accept(self, number):
        async def no_history():
            return []

        turn = Turn(id=f"resp_0192f3a0c1d27e3fb1234567890{number:05}", agent="plain", input=[])
        await self.turns.accept(AcceptedTurn(turn=turn, framework="langgraph"), no_history)
        return turn.id

    async def worker(self, *, only=None):
        """A worker that RQ knows to live."""
        self._workers += 1
        made = Attempts(self.connection, "langgraph", f"w{self._workers}", lease_seconds=30, only=only)
        await self.connection.sadd(keys.RQ_WORKERS + "langgraph", keys.RQ_WORKER + made.worker)
        await self.connection.hset(keys.RQ_WORKER + made.worker, "birth", "now")
        return made

    async def run(self, worker, count=1):
        """Have a worker start turns. Returns what it started, by the turn's id."""
        started = [await worker.start(await worker.take(1), secrets.token_hex(4)) for _ in range(count)]
        return {one.lease.turn_id: one for one in started}

    async def die(self, worker, death):
        """The worker's process ends, and another worker looks."""
        self.leases.bury(worker.worker, death)
        return dict(self.leases.reap())

    async def record(self, turn_id):
        return await self.turns.get(turn_id)

    async def message(self, turn_id):
        _, end = (await self.turns.events(turn_id))[-1]
        assert isinstance(end, TurnFailed)
        return end.message


@pytest.fixture
def bench(valkey, connection):
    with valkey.client() as blocking:
        yield Bench(connection, blocking)


async def test_a_turn_that_ends_its_worker_alone_is_convicted_and_named_after_its_attempts(bench):
    (poison,) = (await bench.accept("poison")).values()
    for expected in ("queued", "queued", "failed"):
        worker = await bench.worker()
        await bench.run(worker)
        assert await bench.die(worker, SEGFAULT) == {poison: expected}
    assert (await bench.record(poison)).crashes == 3
    assert await bench.message(poison) == (
        "the turn was tried 3 times and each time its worker died: "
        "its process ended with signal 11 (SIGSEGV) each time; see the workers' logs"
    )


async def test_causes_that_are_noted_late_are_named_all_the_same(bench, valkey):
    """On a busy machine leases run out before the witness speaks."""
    (poison,) = (await bench.accept("poison")).values()
    with valkey.client() as blocking:
        leases = Leases(blocking, "langgraph", lease_seconds=30, witness_seconds=60)

        async def run_out():
            worker = await bench.worker()
            lease = (await bench.run(worker))[poison].lease
            await bench.connection.zadd(keys.LEASES + "langgraph", {lease.member: time.time() - 1})
            return worker

        first = await run_out()
        assert leases.reap() == [(poison, "queued")]
        leases.bury(first.worker, SEGFAULT)
        await run_out()
        assert leases.reap() == [(poison, "queued")]
        last = await run_out()
        # Nothing runs it again, so that it waits for the word.
        assert leases.reap() == []
        leases.bury(last.worker, SEGFAULT)
        assert leases.reap() == [(poison, "failed")]
    assert await bench.message(poison) == (
        "the turn was tried 3 times and each time its worker was lost: its process ended with signal 11 "
        "(SIGSEGV), then was not heard of any more, then ended with signal 11 (SIGSEGV); see the workers' logs"
    )


async def test_a_turn_is_given_up_without_a_cause_where_no_witness_speaks(bench, valkey):
    (poison,) = (await bench.accept("poison")).values()
    with valkey.client() as blocking:
        leases = Leases(blocking, "langgraph", lease_seconds=30, max_attempts=1, witness_seconds=60)
        lease = (await bench.run(await bench.worker()))[poison].lease
        await bench.connection.zadd(keys.LEASES + "langgraph", {lease.member: time.time() - 61})
        assert leases.reap() == [(poison, "failed")]


async def test_a_turn_that_was_not_alone_waits_for_no_witness_and_is_not_given_up(bench, valkey):
    """Where the machine is lost nobody speaks."""
    (turn,) = (await bench.accept("one")).values()
    for _ in range(2):
        worker = await bench.worker()
        await bench.run(worker)
        await bench.die(worker, SEGFAULT)
    neighbour = await bench._accept(1)
    started = await bench.run(await bench.worker(), 2)
    for one in started.values():
        await bench.connection.zadd(keys.LEASES + "langgraph", {one.lease.member: time.time() - 1})
    with valkey.client() as blocking:
        leases = Leases(blocking, "langgraph", lease_seconds=30, witness_seconds=60)
        assert dict(leases.reap()) == {turn: "queued", neighbour: "queued"}
    record = await bench.record(turn)
    assert (record.status, record.crashes, record.shared_crashes) == ("queued", 2, 1)


async def test_neighbours_of_a_crash_are_suspects_and_the_next_crash_convicts_one(bench):
    named = await bench.accept("innocent", "poison", "other")
    worker = await bench.worker()
    assert not any(one.suspect for one in (await bench.run(worker, 3)).values())
    assert set((await bench.die(worker, SEGFAULT)).values()) == {"queued"}
    assert {(await bench.record(turn)).crashes for turn in named.values()} == {0}
    assert {(await bench.record(turn)).shared_crashes for turn in named.values()} == {1}
    # Each is started as a suspect, and run alone. The poison is the one that ends its worker again.
    while True:
        worker = await bench.worker()
        ((turn, started),) = (await bench.run(worker)).items()
        if turn == named["poison"]:
            assert started.suspect
            assert await bench.die(worker, SEGFAULT) == {turn: "queued"}
            break
        await worker.append(started.lease, started.last_seq + 1, [TurnCompleted()])
    assert (await bench.record(named["poison"])).crashes == 1
    for _ in range(2):
        worker = await bench.worker()
        started = await bench.run(worker)
        if named["poison"] not in started:
            # The others are none any more, so they need not be alone.
            ((_, one),) = started.items()
            assert not one.suspect
            await worker.append(one.lease, one.last_seq + 1, [TurnCompleted()])


async def test_an_innocent_turn_survives_any_number_of_crashes_beside_it(bench):
    named = await bench.accept("innocent", "other")
    for _ in range(12):
        worker = await bench.worker()
        await bench.run(worker, 2)
        assert set((await bench.die(worker, SEGFAULT)).values()) == {"queued"}
    record = await bench.record(named["innocent"])
    assert (record.crashes, record.shared_crashes, record.status) == (0, 12, "queued")


async def test_neighbours_found_one_after_the_other_convict_nobody(bench):
    """The leases of a dead worker end at different moments."""
    named = await bench.accept("one", "two")
    worker = await bench.worker()
    started = await bench.run(worker, 2)
    for turn in named.values():
        await bench.connection.zadd(keys.LEASES + "langgraph", {started[turn].lease.member: 1})
        assert bench.leases.reap() == [(turn, "queued")]
    assert {(await bench.record(turn)).crashes for turn in named.values()} == {0}


async def test_the_turn_that_is_known_to_have_done_it_is_the_only_one_blamed(bench):
    named = await bench.accept("poison", "innocent")
    worker = await bench.worker()
    await bench.run(worker, 2)
    exited = Death(cause="ended itself with exit code 7", own=True, turn=named["poison"])
    await bench.die(worker, exited)
    assert (await bench.record(named["poison"])).crashes == 1
    again = await bench.run(await bench.worker(), 2)
    assert {name: again[turn].suspect for name, turn in named.items()} == {"poison": True, "innocent": False}


async def test_turns_of_a_worker_that_was_killed_are_suspects_the_second_time_only(bench):
    (turn, _) = (await bench.accept("one", "two")).values()
    for suspect in (False, False, True):
        worker = await bench.worker()
        assert (await bench.run(worker, 2))[turn].suspect is suspect
        await bench.die(worker, KILLED)


async def test_turns_of_a_worker_that_was_told_to_stop_are_no_suspects(bench):
    """It was killed as it took too long, alone with a turn or not."""
    (turn,) = (await bench.accept("one")).values()
    for _ in range(HAND_OVERS):
        worker = await bench.worker()
        assert not (await bench.run(worker))[turn].suspect
        became = await bench.die(worker, Death(cause="was told to stop", told=True))
    assert became == {turn: "failed"}
    record = await bench.record(turn)
    assert (record.crashes, record.shared_crashes, record.hand_overs) == (0, 0, HAND_OVERS)
    assert f"was handed over {HAND_OVERS} times, as each worker" in await bench.message(turn)


async def test_a_fault_of_the_workers_own_counts_against_no_turn(bench):
    (turn,) = (await bench.accept("one")).values()
    for _ in range(4):
        worker = await bench.worker()
        assert not (await bench.run(worker))[turn].suspect
        assert await bench.die(worker, Death(cause="ended with LeasesError", ours=True)) == {turn: "queued"}
    record = await bench.record(turn)
    assert (record.crashes, record.shared_crashes, record.hand_overs) == (0, 0, 4)


async def test_a_suspect_is_alone_for_as_long_as_it_had_run(bench):
    (turn,) = (await bench.accept("one")).values()
    for ran, expected in ((0, 0), (100, 0), (5, 100)):
        worker = await bench.worker()
        started = (await bench.run(worker))[turn]
        assert round(started.alone_seconds, -1) == expected
        await bench.connection.hset(keys.TURN + turn, "attempted_at", time.time() - ran)
        await bench.die(worker, SEGFAULT)


@pytest.mark.parametrize("together", [1, 2])
async def test_turns_that_were_lost_with_redis_are_not_to_blame(bench, valkey, together):
    """The machine lost its power, or ``up`` was killed: no witness could write anything."""
    named = await bench.accept("one", "two")
    for _ in range(4):
        started = await bench.run(await bench.worker(), together)
        assert not any(one.suspect for one in started.values())
        await lose_redis(bench, valkey)
        await run_out(bench, started)
        assert dict(bench.leases.reap()) == dict.fromkeys(started, "queued")
        record = await bench.record(named["one"])
        assert (record.crashes, record.shared_crashes) == (0, 0)
    assert record.hand_overs == 4


async def test_what_its_witness_says_counts_though_redis_was_lost(bench, valkey):
    (poison,) = (await bench.accept("poison")).values()
    worker = await bench.worker()
    await bench.run(worker)
    await lose_redis(bench, valkey)
    await bench.die(worker, SEGFAULT)
    assert (await bench.record(poison)).crashes == 1


async def test_a_redis_that_was_lost_before_the_lease_was_renewed_excuses_nothing(bench, valkey):
    (poison,) = (await bench.accept("poison")).values()
    started = await bench.run(await bench.worker())
    await lose_redis(bench, valkey)
    assert bench.leases.renew([started[poison].lease]) == []
    await run_out(bench, started)
    assert bench.leases.reap() == [(poison, "queued")]
    assert (await bench.record(poison)).crashes == 1


async def test_a_worker_that_lives_takes_back_what_was_held_against_its_turns(bench):
    """It could not reach Redis, and another one could."""
    named = await bench.accept("innocent", "other")
    turn = named["innocent"]
    for times in (1, 2, 3):
        worker = await bench.worker()
        started = await bench.run(worker)
        assert not started[turn].suspect
        await run_out(bench, started)
        assert bench.leases.reap() == [(turn, "queued")]
        assert (await bench.record(turn)).crashes == 1
        bench.leases.acquit(worker.worker, [started[turn].lease])
        record = await bench.record(turn)
        assert (record.crashes, record.hand_overs) == (0, times)
    # Another one that is silent is held against it all the same.
    silent = await bench.run(await bench.worker())
    await run_out(bench, silent)
    bench.leases.reap()
    bench.leases.acquit("somebody else", [silent[turn].lease])
    assert (await bench.record(turn)).crashes == 1


async def test_what_a_worker_takes_back_is_not_what_others_died_of(bench, valkey):
    (turn,) = (await bench.accept("one")).values()
    crashed, silent = await bench.worker(), await bench.worker()
    await bench.run(crashed)
    await bench.die(crashed, SEGFAULT)
    started = await bench.run(silent)
    await run_out(bench, started)
    bench.leases.reap()
    lost = await bench.run(await bench.worker())
    bench.leases.acquit(silent.worker, [started[turn].lease])
    with valkey.client() as blocking:
        leases = Leases(blocking, "langgraph", lease_seconds=30, max_attempts=2)
        await run_out(bench, lost)
        assert leases.reap() == [(turn, "failed")]
    assert "was lost: its process ended with signal 11 (SIGSEGV), then was not heard of any more;" in (
        await bench.message(turn)
    )


async def test_a_worker_that_lives_takes_back_each_time_that_it_was_lost(bench):
    """Twice it was not heard of, and says so once."""
    (turn,) = (await bench.accept("innocent")).values()
    worker = await bench.worker()
    for _ in range(2):
        started = await bench.run(worker)
        await run_out(bench, started)
        bench.leases.reap()
    assert (await bench.record(turn)).crashes == 2
    for _ in range(2):
        bench.leases.acquit(worker.worker, [started[turn].lease])
        record = await bench.record(turn)
        assert (record.crashes, record.hand_overs) == (0, 2)
    assert not (await bench.run(worker))[turn].suspect


async def test_a_worker_that_lives_takes_back_that_it_was_lost_with_turns_beside_one_another(bench):
    """What is held against two turns of it counts for nothing when a worker really dies with them."""
    turns = list((await bench.accept("one", "two")).values())
    lives = await bench.worker()
    for _ in range(2):
        started = await bench.run(lives, 2)
        await run_out(bench, started)
        bench.leases.reap()
        bench.leases.acquit("somebody else", [one.lease for one in started.values()])
        assert {(await bench.record(turn)).shared_crashes for turn in turns} == {1}
        for _ in range(2):
            bench.leases.acquit(lives.worker, [one.lease for one in started.values()])
        assert {(await bench.record(turn)).shared_crashes for turn in turns} == {0}
    killed = await bench.worker()
    await bench.run(killed, 2)
    await bench.die(killed, KILLED)
    for turn in turns:
        record = await bench.record(turn)
        assert (record.shared_crashes, record.hand_overs) == (1, 2)
    started = await bench.run(await bench.worker(), 2)
    assert [one.suspect for one in started.values()] == [False, False]


async def test_a_turn_that_takes_redis_with_it_each_time_has_an_end(bench, valkey):
    (poison,) = (await bench.accept("poison")).values()
    await bench.connection.hset(keys.TURN + poison, "hand_overs", HAND_OVERS - 1)
    started = await bench.run(await bench.worker())
    await lose_redis(bench, valkey)
    await run_out(bench, started)
    assert bench.leases.reap() == [(poison, "failed")]
    assert "was lost together with Redis" in await bench.message(poison)


async def test_a_user_who_may_not_ask_who_redis_is_changes_nothing_else(bench, valkey):
    (poison,) = (await bench.accept("poison")).values()
    with valkey.client() as admin:
        admin.execute_command("ACL", "SETUSER", "default", "-info")
        try:
            started = await bench.run(await bench.worker())
            assert bench.leases.renew([started[poison].lease]) == []
            await run_out(bench, started)
            assert bench.leases.reap() == [(poison, "queued")]
        finally:
            admin.execute_command("ACL", "SETUSER", "default", "+@all")
    assert (await bench.record(poison)).crashes == 1


async def lose_redis(bench, valkey):
    """Redis ends, and is started again."""
    valkey.kill()
    valkey.start()
    await bench.connection.connection_pool.disconnect()
    bench.blocking.connection_pool.disconnect()


async def run_out(bench, started):
    """The leases end by themselves."""
    for one in started.values():
        await bench.connection.zadd(keys.LEASES + "langgraph", {one.lease.member: time.time() - 1})


async def test_a_record_of_an_old_worker_is_read_leniently(bench):
    """It wrote no word of suspects, causes or breaks."""
    (turn,) = (await bench.accept("one")).values()
    worker = await bench.worker()
    await bench.run(worker)
    await bench.connection.hset(keys.TURN + turn, "crashes", 2)
    await bench.connection.hdel(keys.TURN + turn, "redis")
    await bench.connection.zadd(keys.LEASES + "langgraph", {f"{turn} 1": 1})
    assert bench.leases.reap() == [(turn, "failed")]
    assert "was lost" in await bench.message(turn)


async def test_only_the_buried_are_reaped_while_the_others_may_have_been_cut_off(bench):
    named = await bench.accept("buried", "cut off")
    dead, silent = await bench.worker(), await bench.worker()
    await bench.run(dead)
    await bench.run(silent)
    await bench.connection.zadd(keys.LEASES + "langgraph", {f"{named['cut off']} 1": time.time() - 1})
    bench.leases.bury(dead.worker, KILLED)
    assert bench.leases.reap(buried=True) == [(named["buried"], "queued")]
    assert bench.leases.reap() == [(named["cut off"], "queued")]


async def test_a_turn_is_not_handed_over_for_ever(bench):
    await bench.accept("sends SIGTERM")
    worker = await bench.worker()
    became = []
    for _ in range(HAND_OVERS):
        ((turn_id, started),) = (await bench.run(worker)).items()
        became.append(await worker.hand_back(started.lease))
    assert became == ["queued"] * (HAND_OVERS - 1) + ["failed"]
    record = await bench.record(turn_id)
    assert (record.status, record.crashes, record.hand_overs) == ("failed", 0, HAND_OVERS)
    assert f"was handed over {HAND_OVERS} times, as each worker" in await bench.message(turn_id)


async def test_breaks_and_hand_overs_are_no_crashes(bench):
    (turn,) = (await bench.accept("one")).values()
    worker = await bench.worker()
    for _ in range(4):
        started = (await bench.run(worker))[turn]
        assert await worker.break_off(started.lease, END, seconds=60, often=100) == "queued"
    started = (await bench.run(worker))[turn]
    assert started.breaks == 4
    await worker.hand_back(started.lease)
    record = await bench.record(turn)
    assert (record.crashes, record.shared_crashes, record.breaks, record.hand_overs) == (0, 0, 4, 1)


async def test_a_turn_that_breaks_off_too_long_or_too_often_fails_with_the_cause(bench):
    named = await bench.accept("long", "often")
    worker = await bench.worker()
    started = await bench.run(worker, 2)
    assert await worker.break_off(started[named["long"]].lease, END, seconds=-1, often=100) == "failed"
    assert await worker.break_off(started[named["often"]].lease, END, seconds=60, often=1) == "failed"
    assert await bench.message(named["long"]) == END.message


async def test_a_turn_that_broke_off_is_kept_from_the_queue_for_a_while(bench):
    """By Redis: no worker has to live for it."""
    named = await bench.accept("again", "cancelled")
    worker = await bench.worker()
    started = await bench.run(worker, 2)
    for turn in named.values():
        broken = await worker.break_off(started[turn].lease, END, seconds=60, often=9, pause=30)
        assert (broken, (await bench.record(turn)).status) == ("queued", "queued")
    assert bench.leases.reap() == []
    assert await worker.take(0.01) is None
    await bench.turns.cancel(named["cancelled"])
    for turn in named.values():
        await bench.connection.zadd(keys.LEASES + "langgraph", {f"{turn} taken": time.time() - 1})
    assert bench.leases.reap() == [(named["again"], "taken")]
    assert await worker.take(1) == named["again"]
    assert await worker.take(0.01) is None
    assert (await worker.start(named["again"], "next")).breaks == 1
    assert (await bench.record(named["again"])).crashes == 0


async def test_breaks_are_counted_from_where_the_turn_came_last(bench):
    (turn,) = (await bench.accept("one")).values()
    worker = await bench.worker()

    async def break_off(started, seconds, often, end=END):
        return await worker.break_off(started.lease, end, seconds=seconds, often=often)

    lease = (await bench.run(worker))[turn]
    assert await break_off(lease, 60, 2) == "queued"
    lease = (await bench.run(worker))[turn]
    # It answered a model call more, and did it again.
    for value in ("[1]", "[2]"):
        await worker.record(lease.lease, "model:1", value)
    assert await break_off(lease, 60, 2) == "queued"
    lease = (await bench.run(worker))[turn]
    assert lease.breaks == 1
    # Doing again what was done is no progress.
    await worker.record(lease.lease, "model:1", "[3]")
    assert await break_off(lease, 60, 3) == "queued"
    lease = (await bench.run(worker))[turn]
    other = TurnFailed(code="worker_error", message="a fault")
    assert await break_off(lease, 60, 2, other) == "queued"
    lease = (await bench.run(worker))[turn]
    assert lease.breaks == 1
    assert await break_off(lease, 60, 2, other) == "failed"
    assert (await bench.record(turn)).breaks == 5


async def test_the_time_of_breaking_off_begins_anew_when_the_turn_came_further(bench):
    (turn,) = (await bench.accept("one")).values()
    worker = await bench.worker()
    started = (await bench.run(worker))[turn]
    assert await worker.break_off(started.lease, END, seconds=60, often=9) == "queued"
    await bench.connection.hset(keys.TURN + turn, "broke_off_at", 1)
    started = (await bench.run(worker))[turn]
    await worker.record(started.lease, "model:1", "[1]")
    assert await worker.break_off(started.lease, END, seconds=60, often=9) == "queued"
    started = (await bench.run(worker))[turn]
    await bench.connection.hset(keys.TURN + turn, "broke_off_at", 1)
    assert await worker.break_off(started.lease, END, seconds=60, often=9) == "failed"


async def test_a_turn_that_a_worker_cannot_import_is_left_to_another(bench):
    (turn,) = (await bench.accept("one")).values()
    without, having = await bench.worker(), await bench.worker()
    started = (await bench.run(without))[turn]
    assert await without.decline(started.lease, END) == "queued"
    # It is not the one's again, whatever the order in which they take.
    assert await without.take(1) == turn
    with pytest.raises(DeclinedBeforeError):
        await without.start(turn, "again")
    assert await having.take(0.01) is None
    assert await without.put_back(turn) == "queued"
    assert turn in await bench.run(having)


async def test_a_turn_that_a_worker_does_not_serve_has_not_begun(bench):
    (turn,) = (await bench.accept("one")).values()
    serving, other = await bench.worker(only=["another", "plain"]), await bench.worker(only=["another"])
    assert await other.start(await other.take(1)) is None
    # It is there for others at once, and not the one's again.
    assert await other.take(1) == turn
    with pytest.raises(DeclinedBeforeError):
        await other.start(turn)
    assert await other.put_back(turn) == "queued"
    kept = await bench.connection.hmget(keys.TURN + turn, "status", "attempt", "started_at", "worker")
    assert kept == [b"queued", b"0", None, None]
    assert await bench.connection.hget(keys.WAITING, keys.ALL_AGENTS) == b"1"
    started = await bench.run(serving)
    assert started[turn].lease.attempt == 1


async def test_a_turn_that_no_worker_can_import_fails_though_one_that_does_not_serve_it_lives(bench):
    (turn,) = (await bench.accept("one")).values()
    without, other = await bench.worker(), await bench.worker(only=["another"])
    assert await without.decline((await bench.run(without))[turn].lease, END) == "queued"
    assert await other.start(await other.take(1)) is None
    assert await without.take(1) == turn
    assert await without.put_back(turn) == "failed"
    assert await bench.message(turn) == END.message


async def test_a_turn_that_no_worker_can_import_fails_with_the_reason(bench):
    (turn,) = (await bench.accept("one")).values()
    workers = [await bench.worker() for _ in range(2)]
    outcomes = [await worker.decline((await bench.run(worker))[turn].lease, END) for worker in workers]
    assert outcomes == ["queued", "failed"]
    assert await bench.message(turn) == END.message
    assert (await bench.record(turn)).crashes == 0


async def test_a_declined_turn_whose_other_workers_have_gone_fails_too(bench):
    (turn,) = (await bench.accept("one")).values()
    without, gone = await bench.worker(), await bench.worker()
    assert await without.decline((await bench.run(without))[turn].lease, END) == "queued"
    await bench.die(gone, KILLED)
    await without.take(1)
    assert await without.put_back(turn) == "failed"
    assert await bench.message(turn) == END.message


async def test_a_declined_turn_that_was_cancelled_stays_so(bench):
    (turn,) = (await bench.accept("one")).values()
    without, _ = await bench.worker(), await bench.worker()
    await without.decline((await bench.run(without))[turn].lease, END)
    await without.take(1)
    await bench.turns.cancel(turn)
    assert await without.put_back(turn) == "fenced"
    assert (await bench.record(turn)).status == "cancelled"
    assert await without.take(0.01) is None
