"""Turns in a Valkey alone, without a server or a worker process."""

from k8gentai.agents.contract.turn import Turn
from k8gentai.providers.ids import new_turn_id
from k8gentai.workers.queue.admission import Terms
from k8gentai.workers.queue.attempts import Attempts, Started
from k8gentai.workers.queue.finished_turns import FinishedTurns
from k8gentai.workers.queue.record import AcceptedTurn, Owner


async def no_history(*_):
    return []


async def ask(turns, agent="plain", conversation=None, owner=None, **terms):
    """Have a turn accepted. Returns its id."""
    turn = Turn(id=new_turn_id(), agent=agent, input=[], conversation=conversation)
    accepted = AcceptedTurn(
        turn=turn,
        framework="langgraph",
        owner=Owner(principal=owner) if owner else None,
        request={"input": "Hello."},
    )
    return await turns.accept(accepted, no_history, Terms(**terms))


def finished_in(turns, server="server"):
    """Return those of the turns that a server of that name settles."""
    return FinishedTurns(turns._redis, turns, server, keep_seconds=turns._keep_seconds)


async def begun(attempts: Attempts) -> Started:
    """Take the turn that waits first, and begin an attempt at it."""
    taken = await attempts.take(1)
    assert taken is not None
    started = await attempts.start(taken)
    assert started is not None
    return started
