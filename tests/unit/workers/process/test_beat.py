"""The worker's heartbeat: what it survives, and how it ends."""

import threading
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError

from k8gentai.workers.process.heartbeat import Beat
from k8gentai.workers.queue.attempts import Lease
from k8gentai.workers.queue.links import StoreRefusesError


class Leases:
    """Leases whose renewal and reaping go as a test says."""

    def __init__(
        self,
        *renewals: Exception | None,
        reaping: Exception | None = None,
        acquittals: list[Exception] | None = None,
    ) -> None:
        self._renewals = list(renewals)
        self._acquittals = acquittals or []
        self._reaping = reaping
        self.renewed = 0
        self.loses = False
        self.calls: list[str] = []
        self.well = threading.Event()

    def renew(self, leases: list[Lease]) -> list[Lease]:
        self.calls.append("renew")
        if self._renewals and (error := self._renewals.pop(0)):
            raise error
        self.renewed += 1
        return leases if self.loses else []

    def acquit(self, worker: str, lost: list[Lease]) -> None:
        if self._acquittals:
            raise self._acquittals.pop()
        self.calls.append(f"acquit {lost[0].turn_id} of {worker}")

    def reap(self, *, buried: bool) -> list[tuple[str, str]]:
        self.calls.append("reap the buried" if buried else "reap")
        if not self._renewals:
            self.well.set()
        if self._reaping:
            raise self._reaping
        return []


class Registration:
    name = "w1"

    def beat(self, running: int) -> None:
        pass


def beating(
    leases: Leases,
    on_end: Any,
    lease_seconds: float = 0.05,
    on_beat: Any = lambda: None,
    running: Any = lambda: [Lease("resp_1", 1)],
) -> Beat:
    registration: Any = Registration()
    held: Any = leases
    return Beat(
        held,
        registration,
        running=running,
        on_lost=lambda _: None,
        on_end=on_end,
        on_beat=on_beat,
        lease_seconds=lease_seconds,
    )


@pytest.mark.parametrize(
    "error",
    [
        OutOfMemoryError("OOM"),
        ReadOnlyError("READONLY"),
        StoreRefusesError("MISCONF"),
        RedisConnectionError("gone"),
        ResponseError("WRONGTYPE"),
        RuntimeError("a fault of ours"),
    ],
)
def test_it_goes_on_after_any_error(error):
    ended = threading.Event()
    leases = Leases(error, error, error, None)
    beat = beating(leases, ended.set)
    beat.start()
    assert leases.well.wait(30)
    beat.stop()
    assert leases.renewed >= 1
    assert not ended.is_set()


def test_it_goes_on_where_only_reaping_fails():
    ended = threading.Event()
    leases = Leases(*[None] * 20, reaping=ResponseError("WRONGTYPE"))
    beat = beating(leases, ended.set)
    beat.start()
    assert leases.well.wait(30)
    beat.stop()
    assert leases.renewed >= 20
    assert not ended.is_set()


def test_leases_are_kept_where_the_process_cannot_be_looked_at():
    def fail():
        raise RuntimeError("no such process")

    ended = threading.Event()
    leases = Leases(*[None] * 20)
    beat = beating(leases, ended.set, on_beat=fail)
    beat.start()
    assert leases.well.wait(30)
    beat.stop()
    assert not ended.is_set()


def test_the_process_is_told_to_end_where_leases_cannot_be_kept():
    ended = threading.Event()
    beat = beating(Leases(*[ResponseError("WRONGTYPE")] * 1000), ended.set)
    beat.start()
    assert ended.wait(30)


def test_being_away_is_no_reason_to_end():
    ended = threading.Event()
    leases = Leases(*[OutOfMemoryError("OOM")] * 30)
    beat = beating(leases, ended.set)
    beat.start()
    assert leases.well.wait(30)
    beat.stop()
    assert not ended.is_set()


def test_the_process_is_told_to_end_where_the_thread_does(monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    ended = threading.Event()
    leases = Leases()
    monkeypatch.setattr(leases, "renew", lambda _: (_ for _ in ()).throw(SystemExit))
    beat = beating(leases, ended.set)
    beat.start()
    assert ended.wait(30)


@pytest.mark.parametrize("away", [True, False])
def test_a_worker_says_that_it_lives_where_it_lost_leases_as_redis_was_away(away):
    """One whose code did not let it beat says nothing: that is its turns' fault."""
    leases = Leases(*[RedisConnectionError("gone")] * away)
    beat = beating(leases, lambda: None)
    assert beat._keep_leases() is not away
    leases.loses = True
    for _ in range(2):
        assert beat._keep_leases()
    assert [call for call in leases.calls if call != "renew"] == ["acquit resp_1 of w1"] * away


def acquitted(leases: Leases) -> list[str]:
    return [call for call in leases.calls if call.startswith("acquit")]


@pytest.mark.parametrize("times", [1, 3])
def test_a_worker_says_that_it_lives_once_redis_hears_it(times):
    """The link comes and goes: the leases were dropped when the renewal was answered."""
    away: list[Exception] = [RedisConnectionError("gone") for _ in range(times)]
    leases = Leases(away[0], acquittals=away)
    held = [Lease("resp_1", 1)]
    beat = beating(leases, lambda: None, running=lambda: held)
    assert not beat._keep_leases()
    leases.loses = True
    for _ in range(times):
        assert not beat._keep_leases()
        held.clear()
    leases.loses = False
    for _ in range(2):
        assert beat._keep_leases()
    assert acquitted(leases) == ["acquit resp_1 of w1"]


@pytest.mark.parametrize("asked", ["renew", "reap"])
def test_a_worker_says_that_it_lives_though_its_attempts_heard_first_that_their_leases_are_lost(asked):
    away = RedisConnectionError("gone")
    leases = Leases(away) if asked == "renew" else Leases(reaping=away)
    held = [Lease("resp_1", 1)]
    beat = beating(leases, lambda: None, running=lambda: held)
    if beat._keep_leases():
        beat._look_after_others()
    held.clear()
    assert beat._keep_leases()
    assert acquitted(leases) == ["acquit resp_1 of w1"]


def test_nothing_is_said_of_leases_that_were_kept_though_redis_was_away():
    leases = Leases(RedisConnectionError("gone"))
    held = [Lease("resp_1", 1)]
    beat = beating(leases, lambda: None, running=lambda: held)
    assert not beat._keep_leases()
    assert beat._keep_leases()
    leases.loses = True
    assert beat._keep_leases()
    assert acquitted(leases) == []


def test_what_cannot_be_said_by_a_fault_of_ours_is_not_said_again():
    leases = Leases(RedisConnectionError("gone"), acquittals=[ResponseError("WRONGTYPE")])
    beat = beating(leases, lambda: None)
    assert not beat._keep_leases()
    leases.loses = True
    assert not beat._keep_leases()
    assert beat._keep_leases()
    assert acquitted(leases) == []


def test_after_a_time_away_others_may_renew_before_they_are_reaped(monkeypatch):
    """Nobody could keep a lease while Redis was away, so for the time of one nobody counts as dead."""
    now = 100.0
    monkeypatch.setattr("k8gentai.workers.process.heartbeat.time.monotonic", lambda: now)
    leases = Leases(OutOfMemoryError("OOM"))
    beat = beating(leases, lambda: None, lease_seconds=4)
    assert not beat._keep_leases()
    now += 1
    assert beat._keep_leases()
    beat._look_after_others()
    assert "reap" not in leases.calls
    now += 4
    assert beat._keep_leases()
    beat._look_after_others()
    assert "reap" in leases.calls


def test_a_stall_longer_than_a_lease_counts_as_away(monkeypatch):
    now = 100.0
    monkeypatch.setattr("k8gentai.workers.process.heartbeat.time.monotonic", lambda: now)
    leases = Leases()
    beat = beating(leases, lambda: None, lease_seconds=4)
    now += 5
    assert beat._keep_leases()
    beat._look_after_others()
    assert "reap" not in leases.calls
