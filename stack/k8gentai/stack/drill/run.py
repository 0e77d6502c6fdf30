"""Runs a drill: sends turns, strikes, waits for every end, and looks at what came of it."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path

import httpx

from k8gentai.agents.contract.events import TurnEnd, TurnFailed
from k8gentai.stack.drill.check import check_events, check_kept, check_stream
from k8gentai.stack.drill.client import TIMEOUT, Client, GoneError, RefusedError
from k8gentai.stack.drill.faults import PROCESSES, PROXIED, Proxies, Strike
from k8gentai.stack.drill.report import Report, TurnReport, add_up
from k8gentai.stack.drill.watch import Watch
from k8gentai.stack.drill.workers import Workers
from k8gentai.stack.local.children import Children
from k8gentai.workers.queue.connection import connect, until_back
from k8gentai.workers.queue.record import CallCounts
from k8gentai.workers.queue.turns import TurnNotFoundError, Turns


@dataclass(frozen=True)
class Plan:
    """The task of a drill: the turns that it runs, and the faults that it makes."""

    agent: str
    framework: str
    message: str
    turns: int
    at_once: int
    workers: int
    every_seconds: float
    """Between two strikes."""
    turn_seconds: float
    """The seconds that a turn may take, strikes included, before it counts as one without an end."""
    lease_seconds: float
    """The lease of the workers, in seconds, as their command has it."""
    faults: tuple[str, ...] = PROCESSES
    """The faults that the workers and their links meet."""
    pool: str = ""
    """The agent's; empty for that of its framework."""
    keep: bool = False
    """Whether the responses of turns that nothing is wrong with are left."""


@dataclass(frozen=True)
class Place:
    """The stack that a drill runs on, and the command of its workers."""

    stack_url: str
    redis_url: str
    logs: Path
    """The directory of the workers' logs."""
    command: Sequence[str]
    """The command that starts a worker."""
    environment: Mapping[str, str]
    """All of a worker's environment."""


@dataclass
class Progress:
    """The progress of a drill."""

    sent: int = 0
    ended: int = 0
    strikes: int = 0


async def run(
    plan: Plan,
    place: Place,
    more_strikes: Sequence[Strike] = (),
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Report:
    """Run a drill to its end.

    Args:
        plan: the task of the drill.
        place: the stack that it runs on, and the command of its workers.
        more_strikes: each takes its turn after those at workers.
        on_progress: told whenever something has happened.

    Raises:
        RefusedError: the stack does not take turns of the agent.
        ChildError: a worker does not start, or ends by itself time and again.
    """
    redis = connect(place.redis_url)
    limits = httpx.Limits(max_connections=None)
    try:
        async with AsyncExitStack() as opened:
            proxies = None
            if not set(PROXIED).isdisjoint(plan.faults):
                made = Proxies(place.redis_url, place.stack_url, plan.lease_seconds)
                proxies = await opened.enter_async_context(made)
                place = _through(proxies, place, plan)
            children = await opened.enter_async_context(Children(place.logs))
            http = httpx.AsyncClient(base_url=place.stack_url, timeout=TIMEOUT, limits=limits)
            await opened.enter_async_context(http)
            watches: list[Watch] = []
            workers = Workers(
                children,
                place.command,
                place.environment,
                framework=plan.framework,
                count=plan.workers,
                lease_seconds=plan.lease_seconds,
                redis=redis,
                watches=watches,
            )
            strikes = _strikes(plan, workers, proxies)
            return await _Drill(plan, http, Turns(redis), workers, watches, on_progress).run(
                [*strikes, *more_strikes]
            )
    finally:
        await redis.aclose()


def _through(proxies: Proxies, place: Place, plan: Plan) -> Place:
    """Return the same place, with proxies where faults are to be made. The drill itself looks at Redis without
    one.
    """
    environment = {**place.environment, "REDIS_URL": proxies.redis_url}
    if "server" not in plan.faults:
        return replace(place, environment=environment)
    environment["AMF_STACK_URL"] = proxies.stack_url
    return replace(place, stack_url=proxies.stack_url, environment=environment)


def _strikes(plan: Plan, workers: Workers, proxies: Proxies | None) -> list[Strike]:
    known: dict[str, Strike] = {"kill": workers.kill, "stop": workers.stop}
    if proxies is not None:
        proxies.may_lose = workers.may_be_lost
        known |= proxies.strikes()
    return [known[fault] for fault in plan.faults]


@dataclass
class _Sent:
    """A turn that was sent."""

    client: Client
    watch: Watch | None = None
    in_time: bool = True
    gone: bool = False


class _Drill:
    """One drill."""

    def __init__(
        self,
        plan: Plan,
        http: httpx.AsyncClient,
        turns: Turns,
        workers: Workers,
        watches: list[Watch],
        on_progress: Callable[[Progress], None],
    ) -> None:
        self._plan = plan
        self._http = http
        self._turns = turns
        self._workers = workers
        self._watches = watches
        self._on_progress = on_progress
        self._progress = Progress()
        self._strikes: Counter[str] = Counter()
        self._sent: list[_Sent] = []

    async def run(self, strikes: Sequence[Strike]) -> Report:
        await self._workers.start()
        began = time.monotonic()
        striking = asyncio.create_task(self._strike(strikes))
        sending = asyncio.create_task(self._send_all())
        try:
            await asyncio.wait({striking, sending}, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                await striking
            await sending
        finally:
            for task in (striking, sending):
                task.cancel()
            await asyncio.gather(striking, sending, return_exceptions=True)
        seconds = time.monotonic() - began
        # A worker that was stopped has its say before the turns are looked at.
        await self._workers.finish()
        reports = await self._at_once(self._look, self._sent)
        own = sum(self._workers.are(name) for watch in self._watches for name in watch.attempts)
        return add_up(self._plan.agent, seconds, reports, self._strikes, own)

    async def _strike(self, strikes: Sequence[Strike]) -> None:
        for strike in cycle(strikes):
            await asyncio.sleep(self._plan.every_seconds)
            await self._workers.replace_dead()
            if (done := await strike()) is not None:
                self._strikes[done] += 1
                self._progress.strikes += 1
                self._on_progress(self._progress)

    async def _send_all(self) -> None:
        await self._at_once(self._send, range(self._plan.turns))

    async def _send(self, _: int) -> None:
        watching: list[asyncio.Task[None]] = []

        def watch(turn_id: str) -> None:
            sent.watch = Watch(self._turns, turn_id)
            self._watches.append(sent.watch)
            watching.append(asyncio.create_task(sent.watch.follow()))

        sent = _Sent(Client(self._http, self._plan.agent, self._plan.message, watch))
        self._sent.append(sent)
        self._progress.sent += 1
        try:
            async with asyncio.timeout(self._plan.turn_seconds):
                await sent.client.run()
                await asyncio.gather(*watching)
        except TimeoutError:
            sent.in_time = False
        except GoneError:
            sent.gone = True
        finally:
            for task in watching:
                task.cancel()
        self._progress.ended += 1
        self._on_progress(self._progress)

    async def _look(self, sent: _Sent) -> TurnReport:
        """Return what came of a turn."""
        turn_id = sent.client.turn_id
        if turn_id is None:
            return TurnReport(id=None)
        if sent.gone:
            return TurnReport(id=turn_id, status="gone", lost=["the whole turn, which was accepted"])
        try:
            record = await until_back(lambda: self._turns.get(turn_id))
            events = await until_back(lambda: self._turns.events(turn_id))
            ended = any(isinstance(event, TurnEnd) for _, event in events)
            again = await sent.client.again() if ended else []
        except (TurnNotFoundError, GoneError, RefusedError):
            return await look_at_kept(turn_id, sent.client, sent.watch, in_time=sent.in_time)
        found = check_events(events)
        if sent.in_time and ended:
            read = check_stream(sent.client.events, again)
            found.lost += read.lost
            found.doubled += read.doubled
        failed = [event.message for _, event in events if isinstance(event, TurnFailed)]
        report = TurnReport(
            id=turn_id,
            status=record.status if sent.in_time and ended else "endless",
            error=failed[0] if failed else None,
            events=len(events),
            attempts=record.attempt,
            recoveries=sent.watch.recoveries if sent.watch else [],
            lost=found.lost,
            doubled=found.doubled,
            **record.model_dump(include=set(CallCounts.model_fields)),
        )
        if report.clean and report.error is None and not self._plan.keep:
            await sent.client.delete()
        return report

    async def _at_once[T, R](self, work: Callable[[T], Awaitable[R]], items: Sequence[T]) -> list[R]:
        """Do something with each, as many at once as turns are to be."""
        room = asyncio.Semaphore(self._plan.at_once)

        async def one(item: T) -> R:
            async with room:
                return await work(item)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(item)) for item in items]
        except ExceptionGroup as group_error:
            raise group_error.exceptions[0] from None
        return [task.result() for task in tasks]


async def look_at_kept(turn_id: str, client: Client, watch: Watch | None, *, in_time: bool) -> TurnReport:
    """Return what came of a turn that is no longer in Redis.

    Args:
        turn_id: the turn.
        client: the client that sent it.
        watch: when it was taken up by whom.
        in_time: it was read to its end.
    """
    response = await client.kept()
    if not in_time or response is None:
        return TurnReport(id=turn_id, status="gone", lost=["the whole turn, which was accepted"])
    found = check_kept(client.events, response)
    return TurnReport(
        id=turn_id,
        status=response["status"],
        error=(response["error"] or {}).get("message"),
        expired=True,
        recoveries=watch.recoveries if watch else [],
        attempts=len(watch.attempts) if watch else 0,
        lost=found.lost,
        doubled=found.doubled,
    )
