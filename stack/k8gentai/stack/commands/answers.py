"""``k8gentai turns approve | retry``: what a person makes of a turn that waits for them, or that failed."""

from collections.abc import Sequence

from rich.console import Console

from k8gentai.agents.contract.events import Event
from k8gentai.agents.contract.turn import Item
from k8gentai.agents.registry.registry import Registry
from k8gentai.agents.text.suggestion import did_you_mean
from k8gentai.providers.errors import ApiError
from k8gentai.providers.rendering.render import render
from k8gentai.providers.rendering.response_object import usable
from k8gentai.providers.turns.continuation import (
    ANSWER,
    answering_turn,
    check_is_asked_here,
    is_over,
    questions,
    retrying_turn,
)
from k8gentai.stack.commands.turns import with_queue, with_turns
from k8gentai.stack.environments.installed import SetUpError
from k8gentai.stack.local.settings import Settings
from k8gentai.stack.terminal.question import described
from k8gentai.workers.queue.admission import AnsweredError, QueueFullError
from k8gentai.workers.queue.record import TurnRecord
from k8gentai.workers.queue.status import Pools
from k8gentai.workers.queue.turns import Turns


def approve(
    settings: Settings, turn_id: str, *, deny: bool, reason: str | None, calls: Sequence[str], console: Console
) -> bool:
    """Answer what a suspended turn asked, on behalf of its owner, and print which turn goes on with it.

    Args:
        deny: say no instead of yes.
        reason: the words that the agent is sent along with it.
        calls: names of tools, or ids of approval requests; only these are decided, or all where none is named.

    Returns:
        Whether the answer counts; False where it came too late, and is a denial whatever it says.

    Raises:
        SetUpError: Redis is away, there is no such turn, it waits for no such answer, or nobody can
            run its agent.
    """

    async def answer(turns: Turns, pools: Pools) -> tuple[str, list[str], bool]:
        record = await turns.get(turn_id)
        try:
            check_is_asked_here(record)
        except ApiError as error:
            raise SetUpError(f"{error.message} 'k8gentai turns show {turn_id}' tells how.") from error
        await _check_can_run(settings, pools, record)
        events = [event for _, event in await turns.events(turn_id)]
        waiting = questions(record, events)
        asked = {
            request_id: question
            for request_id, question in waiting.items()
            if not calls or question.name in calls or request_id in calls
        }
        if not asked:
            what = f"a call of {' or '.join(calls)}" if calls else "a decision"
            others = ", ".join(dict.fromkeys(question.name for question in waiting.values()))
            names = [name for question_id, question in waiting.items() for name in (question.name, question_id)]
            hint = did_you_mean(calls[0], names) if calls else ""
            waits = f"{others and f', but for {others}'}{hint or '.'}"
            raise SetUpError(f"The turn {turn_id} does not wait for {what}{waits}")
        decisions: list[Item] = [
            {"type": ANSWER, "approval_request_id": request_id, "approve": not deny, "reason": reason}
            for request_id in asked
        ]
        now = await turns.now()
        following = answering_turn(record, events, decisions, now)
        await turns.accept(following, lambda: _history_after(record, events))
        decided = [described(question.name, question.arguments) for question in asked.values()]
        return following.turn.id, decided, is_over(record, now)

    try:
        following, decided, too_late = with_queue(settings, answer)
    except AnsweredError as error:
        raise SetUpError(f"{error}{_how_it_goes_on(settings, error.by)}") from error
    except QueueFullError as error:
        raise SetUpError(str(error)) from error
    outcome = "Too late, and so denied" if too_late else "Denied" if deny else "Approved"
    for call in decided:
        console.print(f"{outcome}: {call}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"{following} goes on with it.", markup=False, highlight=False, soft_wrap=True)
    return not too_late


def retry(settings: Settings, turn_id: str, console: Console) -> None:
    """Run a failed turn again from its journal, as a new turn, and print that one's id.

    Raises:
        SetUpError: Redis is away, there is no such turn, it has not failed, it was run again before, or nobody
            can run its agent.
    """

    async def again(turns: Turns, pools: Pools) -> str:
        record = await turns.get(turn_id)
        if record.status != "failed":
            raise SetUpError(f"The turn {turn_id} has not failed (it is {record.status}).")
        await _check_can_run(settings, pools, record)
        following = retrying_turn(record)
        return await turns.accept(following, lambda: _history_of(record))

    try:
        following = with_queue(settings, again)
    except AnsweredError as error:
        message = f"The turn {turn_id} was run again before, by {error.by}: what becomes of it is there."
        raise SetUpError(message) from error
    except QueueFullError as error:
        raise SetUpError(str(error)) from error
    console.print(f"{following} runs it again.", markup=False, highlight=False, soft_wrap=True)


async def _check_can_run(settings: Settings, pools: Pools, record: TurnRecord) -> None:
    """See that somebody could go on with a turn, as a person's answer counts once. Plain models need no agent; nor
    can it be told of one where there is no registry.

    Raises:
        SetUpError: its agent is not registered any more or not ready, or no worker can import it.
    """
    if record.implicit:
        return
    agent = record.turn.agent
    why = _not_ready(settings.open_registry(), agent)
    unable = await pools.unable(record.pool, agent)
    if why is None and not unable:
        return
    why = why or f"no worker can import its agent '{agent}': {next(iter(unable.values()))}"
    raise SetUpError(
        f"The turn {record.turn.id} cannot go on: {why.rstrip('.')}. Nothing was changed: mend it first."
    )


def _not_ready(registry: Registry, agent_id: str) -> str | None:
    if not registry.written_at():
        return None
    agent = registry.get(agent_id)
    if agent is None:
        return f"its agent '{agent_id}' is not registered any more"
    if agent.state != "ready":
        what = "is broken" if agent.state == "broken" else "cannot be run"
        return f"its agent '{agent_id}' {what}: {agent.error}"
    return None


def _how_it_goes_on(settings: Settings, following: str | None) -> str:
    """Return what to do about a turn that goes on with an answer, where it failed; empty where it did not."""
    if following is None:
        return ""
    record = with_turns(settings, lambda turns: turns.get(following))
    if record.status != "failed" or record.answered:
        return ""
    return f" It failed: 'k8gentai turns retry {following}' runs it again, with that answer."


async def _history_of(record: TurnRecord) -> list[Item]:
    return record.turn.history


async def _history_after(record: TurnRecord, events: Sequence[Event]) -> list[Item]:
    _, response = render(record, events, ended_at=record.ended_at)
    return [*record.turn.history, *record.turn.input, *usable(response["output"])]
