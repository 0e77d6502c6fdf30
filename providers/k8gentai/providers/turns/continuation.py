"""Answers to what a suspended turn asked, and the turn that continues it with them.

Answers come as ``mcp_approval_response`` items of a new request, or from the ``k8gentai`` command. Whoever sends
them, what follows is one turn of its own: it runs the suspended turn's agent again from that one's journal and
tells only what is new. What cannot be told for certain counts as a denial.
"""

from collections.abc import Iterable, Sequence

from k8gentai.agents.contract.events import Event, Interrupt
from k8gentai.agents.contract.turn import Item, Turn
from k8gentai.providers.errors import ApiError, invalid
from k8gentai.providers.ids import item_id, new_turn_id, turn_of
from k8gentai.providers.rendering.render import Rendering
from k8gentai.workers.queue.record import AcceptedTurn, Answer, Replay, TurnRecord, seen_digest

ANSWER = "mcp_approval_response"

_EXPIRED = "nobody decided in time"
_UNCLEAR = "the decisions contradict each other"


def asking_turn(items: Sequence[Item]) -> str | None:
    """Return the turn that a request's input answers.

    Returns:
        The turn's id; None where the input answers nothing.

    Raises:
        ApiError: the input holds other items as well, or answers what nobody asked, or several turns.
    """
    answers = [item for item in items if item["type"] == ANSWER]
    if not answers:
        return None
    if len(answers) < len(items):
        raise invalid(
            "Answers to approval requests come alone: send other input when the turn has ended.",
            "input",
            "approval_mixed",
        )
    turns = {turn_of(item["approval_request_id"]) for item in answers}
    if len(turns) > 1:
        raise invalid("The answers are to requests of several responses.", "input", "approval_mixed")
    (turn_id,) = turns
    if turn_id is None:
        raise unknown_request(0, answers[0])
    return turn_id


def unknown_request(index: int, item: Item) -> ApiError:
    """Return the error of an answer to what was not asked (400)."""
    return invalid(
        f"No approval was requested as '{item['approval_request_id']}'.",
        f"input[{index}].approval_request_id",
        "approval_request_not_found",
    )


def continued(record: TurnRecord, events: Iterable[Event], items: Sequence[Item], now: float) -> Replay:
    """Return what the turn that brings these answers goes on with.

    Args:
        record: the suspended turn.
        events: all its events.
        items: the answers.
        now: Redis' time.

    Raises:
        ApiError: an item answers what the turn did not ask.
    """
    asked = questions(record, events)
    for index, item in enumerate(items):
        if item["approval_request_id"] not in asked:
            raise unknown_request(index, item)
    too_late = is_over(record, now)
    before = record.replay.answers if record.replay else {}
    answers: dict[str, Answer] = {}
    for item in items:
        request_id = item["approval_request_id"]
        question = asked[request_id]
        approve, reason = item["approve"] is True, item.get("reason")
        if too_late:
            approve, reason = False, _EXPIRED
        elif question.call_id in answers and answers[question.call_id].approve != approve:
            approve, reason = False, _UNCLEAR
        seen = seen_digest(question.name, question.arguments)
        answers[question.call_id] = Answer(
            approve=approve, reason=reason, request_id=request_id, name=question.name, seen=seen
        )
    return Replay(
        of=record.turn.id,
        turn=first_seen(record),
        answers={**before, **answers},
        tried_by=_tried_by(record),
    )


def is_over(record: TurnRecord, now: float) -> bool:
    """Return whether the time is over in which a suspended turn could be answered: each answer is a denial then.

    Args:
        now: Redis' time.
    """
    return record.expires_at is not None and now > record.expires_at


def check_is_asked_here(record: TurnRecord) -> None:
    """See that a turn's questions are put to people by itself, and not by the turn whose tool call asked for it.

    Raises:
        ApiError: they are to be answered there (400).
    """
    if record.parent is not None:
        message = (
            f"Response '{record.turn.id}' was asked for by response '{record.parent.turn_id}', which asks the "
            "same, or the one that goes on with it: answer there."
        )
        raise invalid(message, "previous_response_id", "approval_elsewhere")


def questions(record: TurnRecord, events: Iterable[Event]) -> dict[str, Interrupt]:
    """Return what a turn asked, by the id of the item that asks."""
    rendering = Rendering(record)
    for event in events:
        rendering.feed(event)
    return rendering.asked


def answering_turn(
    record: TurnRecord, events: Iterable[Event], decisions: Sequence[Item], now: float
) -> AcceptedTurn:
    """Return a turn in which somebody at the command line answers on behalf of the suspended turn's owner.

    Args:
        record: the suspended turn.
        events: all its events.
        decisions: ``mcp_approval_response`` items, their ids left out.
        now: Redis' time.

    Raises:
        ApiError: see :func:`continued`.
    """
    turn_id = new_turn_id()
    items = [{**item, "id": item_id(turn_id, index, ANSWER)} for index, item in enumerate(decisions)]
    return _following(record, turn_id, items, continued(record, events, items, now))


def retrying_turn(record: TurnRecord) -> AcceptedTurn:
    """Return a turn that runs one that failed again, from its journal."""
    turn_id = new_turn_id()
    before = record.replay.answers if record.replay else {}
    replay = Replay(of=record.turn.id, turn=first_seen(record), answers=before, retry=True)
    return _following(record, turn_id, record.turn.input, replay)


def first_seen(record: TurnRecord) -> Turn:
    """Return the turn as its agent first saw it."""
    return record.replay.turn if record.replay else record.turn


def _tried_by(record: TurnRecord) -> str | None:
    """Return the turn that tried a failed one again last, up to and with this one."""
    if record.replay is None:
        return None
    return record.turn.id if record.replay.retry else record.replay.tried_by


def _following(record: TurnRecord, turn_id: str, items: list[Item], replay: Replay) -> AcceptedTurn:
    turn = record.turn.model_copy(update={"id": turn_id, "input": items, "history": []})
    of_turn = None if turn.conversation else record.turn.id
    return AcceptedTurn(
        turn=turn,
        framework=record.framework,
        pool=record.pool,
        tenant=record.tenant,
        revision=record.revision,
        implicit=record.implicit,
        owner=record.owner,
        request=record.request,
        previous_response_id=record.previous_response_id if replay.retry else of_turn,
        background=True,
        store=record.store,
        replay=replay,
        origin=record.origin if replay.retry else record.origin.going_on(),
        keep_history=record.keep_history,
    )
