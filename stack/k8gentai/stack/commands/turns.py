"""``k8gentai turns``: what runs, what ran, and on which attempts."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, get_args

from redis.asyncio import Redis
from redis.exceptions import RedisError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from k8gentai.agents.contract.events import Event, TurnStarted, Usage
from k8gentai.stack.environments.installed import PRODUCT, SetUpError
from k8gentai.stack.local.settings import Settings
from k8gentai.stack.terminal.console import print_whole_lines
from k8gentai.stack.terminal.question import described, how_to_answer
from k8gentai.workers.process.worker_log import configure_logs
from k8gentai.workers.queue import key_prefix
from k8gentai.workers.queue.admission import AnsweredError
from k8gentai.workers.queue.connection import AWAY, connect, masked
from k8gentai.workers.queue.record import ENDED, Status, TurnRecord
from k8gentai.workers.queue.status import Pools
from k8gentai.workers.queue.turns import TurnNotFoundError, Turns


def list_turns(settings: Settings, limit: int, status: str | None, console: Console) -> None:
    """Print the newest turns as a table.

    Args:
        limit: the most turns to show.
        status: only those that have it; all where it is None.

    Raises:
        SetUpError: Redis is away, or there is no such status.
    """
    known = (*get_args(Status), "answered")
    if status is not None and status not in known:
        raise SetUpError(f"There is no status {status!r}; it is one of {', '.join(known)}.")
    table = Table(box=None, header_style="bold", pad_edge=False)
    # A name cut short is of no use for the next command.
    for column in ("id", "agent"):
        table.add_column(column, no_wrap=True, overflow="ignore")
    for column in ("status", "attempts", "accepted", "waited", "ran"):
        table.add_column(column)
    print_whole_lines(console)
    found = with_turns(settings, lambda turns: turns.recent(limit, status))
    if not found:
        # Which stack was asked is what a person may be wrong about.
        what = f"No turns that are {status}" if status else "No turns"
        console.print(f"{what} in {_place(settings)}.", markup=False, highlight=False, soft_wrap=True)
        return
    for record in found:
        table.add_row(
            record.turn.id,
            record.turn.agent,
            record.standing,
            str(record.attempt),
            clock(record.accepted_at),
            _span(record.accepted_at, record.started_at),
            _span(record.started_at, record.ended_at),
        )
    console.print(table)


def _place(settings: Settings) -> str:
    behind = f", behind the prefix '{key_prefix.PREFIX}'" if key_prefix.PREFIX else ""
    return f"Redis at {masked(settings.worker_redis_url())}{behind}"


def show(settings: Settings, turn_id: str, console: Console) -> None:
    """Print what is known of one turn: its attempts and who made them, its steps, tools and tokens.

    Raises:
        SetUpError: Redis is away, or there is no such turn.
    """

    async def read(turns: Turns) -> tuple[TurnRecord, list[Event], TurnRecord | None]:
        record = await turns.get(turn_id)
        return record, [event for _, event in await turns.events(turn_id)], await _asking_people(turns, record)

    print_whole_lines(console)
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in _facts(*with_turns(settings, read)):
        table.add_row(name, escape(value))
    console.print(table)


def print_events(settings: Settings, turn_id: str, follow: bool, console: Console) -> None:
    """Print a turn's events, a JSON object a line, each behind its position in the stream.

    Args:
        follow: wait for those to come, up to the turn's last.

    Raises:
        SetUpError: Redis is away, or there is no such turn.
    """

    def show_event(seq: int, event: Event) -> None:
        console.print(f"{seq} {event.model_dump_json()}", markup=False, highlight=False, soft_wrap=True)

    async def read(turns: Turns) -> None:
        await turns.get(turn_id)
        if follow:
            async for seq, event in turns.follow(turn_id):
                show_event(seq, event)
        else:
            for seq, event in await turns.events(turn_id):
                show_event(seq, event)

    with_turns(settings, read)


def cancel(settings: Settings, turn_id: str) -> str:
    """End a turn that is queued, runs, or waits for a person. Returns the status it had.

    Raises:
        SetUpError: Redis is away, there is no such turn, or it had ended.
    """
    try:
        found = with_turns(settings, lambda turns: turns.cancel(turn_id))
    except AnsweredError as error:
        raise SetUpError(f"{error} Cancel that one.") from error
    if found in ENDED - {"suspended"}:
        raise SetUpError(f"The turn had ended before ({found}).")
    return found


def with_redis[T](settings: Settings, work: Callable[[Redis], Coroutine[Any, Any, T]]) -> T:
    """Do something with Redis.

    Raises:
        SetUpError: it is away.
    """
    configure_logs(sys.stderr)
    url = settings.worker_redis_url()

    async def connected() -> T:
        redis = connect(url)
        try:
            return await work(redis)
        finally:
            await redis.aclose()

    try:
        return asyncio.run(connected())
    except AWAY as error:
        message = f"Redis at {masked(url)} does not answer ({str(error).rstrip('.')})"
        if settings.names_no_stack:
            message = f"No 'up' runs here: {message}. Start '{PRODUCT.up}', or name the stack's Redis in REDIS_URL"
        raise SetUpError(f"{message}.") from error
    except RedisError as error:
        raise SetUpError(f"Redis at {masked(url)} refuses: {error}.") from error


def reach_redis(settings: Settings) -> None:
    """See that Redis is there.

    Raises:
        SetUpError: it is away.
    """

    async def ask(redis: Redis) -> None:
        await redis.ping()

    with_redis(settings, ask)


def with_turns[T](settings: Settings, work: Callable[[Turns], Coroutine[Any, Any, T]]) -> T:
    """Do something with the turns in Redis.

    Raises:
        SetUpError: Redis is away, or there is no such turn.
    """
    return with_queue(settings, lambda turns, _: work(turns))


def with_queue[T](settings: Settings, work: Callable[[Turns, Pools], Coroutine[Any, Any, T]]) -> T:
    """Do something with the turns in Redis, and with who runs them.

    Raises:
        SetUpError: Redis is away, or there is no such turn.
    """
    try:
        return with_redis(settings, lambda redis: work(Turns(redis), Pools(redis)))
    except TurnNotFoundError as error:
        raise SetUpError(f"There is no turn {error}: 'k8gentai turns list' shows those there are.") from error


async def _asking_people(turns: Turns, record: TurnRecord) -> TurnRecord | None:
    """Return the turn that puts to people what a turn asks: itself, or the one that waits with the turn that its
    answer is for, and whatever goes on with that; None where that is gone.
    """
    try:
        while True:
            if record.answered:
                record = await turns.get(record.answered)
            elif record.parent and record.status == "suspended":
                record = await turns.get(record.parent.turn_id)
            else:
                return record
    except TurnNotFoundError:
        return None


def _facts(record: TurnRecord, events: list[Event], asking: TurnRecord | None) -> list[tuple[str, str]]:
    started = [event for event in events if isinstance(event, TurnStarted)]
    usage = [event for event in events if isinstance(event, Usage)]
    attempts = ", ".join(f"{event.attempt} on {event.worker}" for event in started) or "none yet"
    facts = [
        ("turn", record.turn.id),
        ("agent", f"{record.turn.agent} ({record.framework})"),
        ("status", f"{record.standing}{'' if record.settled else ', not settled yet'}"),
        *([("asked for by", record.parent.turn_id)] if record.parent else []),
        *_waiting(record, events, asking),
        ("conversation", record.turn.conversation or "none"),
        ("accepted", clock(record.accepted_at)),
        ("waited", _span(record.accepted_at, record.started_at)),
        ("ran", _span(record.started_at, record.ended_at)),
        ("attempts", attempts),
        ("crashes", _ends(record)),
        ("model calls", _calls(record.models_made, record.models_replayed, record.models_repeated)),
        ("tokens", f"{sum(u.input_tokens for u in usage)} in, {sum(u.output_tokens for u in usage)} out"),
        ("tool calls", _calls(record.tools_made, record.tools_replayed, record.tools_repeated)),
        *_effects(record),
        ("events", str(len(events))),
    ]
    if record.unrecorded:
        facts.append(("journal", f"full: {record.unrecorded} answers or results were not recorded"))
    if events and events[-1].type == "turn.failed":
        facts.append(("error", events[-1].message))
        again = f"k8gentai turns retry {record.turn.id}"
        facts.append(("run again by", record.answered) if record.answered else ("run again with", again))
    return facts


def _ends(record: TurnRecord) -> str:
    """Return why attempts ended that did not end the turn."""
    others = [
        (record.shared_crashes, "of workers with other turns in them"),
        (record.hand_overs, "handed over"),
        (record.breaks, "broken off"),
    ]
    return ", ".join([str(record.crashes), *(f"{count} {what}" for count, what in others if count)])


def _waiting(record: TurnRecord, events: list[Event], asking: TurnRecord | None) -> list[tuple[str, str]]:
    """Return what a suspended turn asks of people, and how to answer, or who has answered."""
    if record.status != "suspended":
        return []
    # It brings the host's types, which take a second to import.
    from k8gentai.providers.turns.continuation import questions

    asked = questions(record, events)
    waits = "\n".join(f"{id_}  {described(each.name, each.arguments)}" for id_, each in asked.items())
    if record.answered:
        return [("asked for", waits), ("answered by", record.answered)]
    until = "-" if record.expires_at is None else clock(record.expires_at)
    return [("waits for", waits), ("until", until), _how_to_answer(asking)]


def _how_to_answer(asking: TurnRecord | None) -> tuple[str, str]:
    """Return what to do about a question, given the turn that puts it to people."""
    if asking is None:
        return "answer with", "nothing: the turn that asked for it is gone"
    turn_id = asking.turn.id
    match asking.status:
        case "suspended":
            return "answer with", how_to_answer(turn_id)
        case "failed":
            return "ask again with", f"k8gentai turns retry {turn_id}"
        case "queued" | "running":
            return "to be asked by", f"{turn_id}, which is {asking.status}"
    return "answer with", f"nothing: {turn_id} has ended ({asking.status})"


def _effects(record: TurnRecord) -> list[tuple[str, str]]:
    """Return how many guardrails, files and searches there were; nothing where there were none."""
    made, replayed, repeated = record.effects_made, record.effects_replayed, record.effects_repeated
    return [("other effects", _calls(made, replayed, repeated))] if made or replayed else []


def _calls(made: int, replayed: int, repeated: int) -> str:
    counts = [str(made)]
    if replayed:
        counts.append(f"{replayed} answered by the journal")
    if repeated:
        counts.append(f"{repeated} made again though recorded")
    return ", ".join(counts)


def clock(unix: float) -> str:
    """Unix seconds as this machine's clock shows them."""
    return datetime.fromtimestamp(unix, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _span(start: float | None, end: float | None) -> str:
    return "-" if start is None or end is None else f"{end - start:.2f} s"
