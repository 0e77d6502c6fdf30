"""On what terms a turn is accepted, and how it is refused."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from k8gentai.agents.contract.events import TurnCancelled, TurnIncomplete
from k8gentai.agents.resources.agent import MultitaskStrategy
from k8gentai.workers.queue.record import AcceptedTurn, principal_of
from k8gentai.workers.queue.rq_jobs import rq_now

RETRY_SECONDS = 720
"""The seconds after one try of a request in which an SDK may send the next. The SDKs made by Stainless (openai,
llama-stack-client) give up waiting after 600 s by default and honour a ``Retry-After`` of up to 60 s; the rest is
slack. Longer would only take more requests for tries of others that read the same."""

_ENDINGS = {"interrupt": TurnIncomplete(reason="interrupted"), "rollback": TurnCancelled()}
"""The last event of the turns that make way for another."""


@dataclass(frozen=True)
class Terms:
    """On what terms a turn is to be accepted."""

    strategy: MultitaskStrategy = "enqueue"
    """The treatment of the turns of its conversation that wait or run."""
    agent_limit: int | None = None
    """The number of turns of its agent that may wait; None where only the limit of all agents counts."""
    idempotency_key: str | None = None
    """A name the client gave the request."""
    sdk_try: int | None = None
    """The number of this try of one request, from 0, as the client's SDK counts them in
    ``x-stainless-retry-count``."""
    asked: dict[str, Any] | None = None
    """The request by which it is known for one that came before, where the turn's record has more of it."""


class QueueFullError(Exception):
    """Too many turns wait; nothing was written.

    Args:
        agent: whose queue is full; None where it is that of all agents together.
        limit: how many turns may wait in it.
        retry_after: seconds after which to try again.
    """

    def __init__(self, agent: str | None, limit: int, retry_after: int = 5) -> None:
        whose = f"agent '{agent}'" if agent else "all agents together"
        super().__init__(f"The queue of {whose} is full: no more than {limit} turns may wait. Try again later.")
        self.retry_after = retry_after


class ConversationBusyError(Exception):
    """The conversation has a turn that waits or runs, and the new one is not to wait; nothing was written.

    Args:
        turn_id: that turn.
    """

    def __init__(self, turn_id: str) -> None:
        super().__init__(turn_id)
        self.turn_id = turn_id


class AnsweredError(Exception):
    """The turn to be continued does not wait (any more); nothing was written.

    Args:
        by: the turn that continues it, if one does.
    """

    def __init__(self, by: str | None) -> None:
        super().__init__(f"The turn was answered by {by}." if by else "The turn waits for no answer.")
        self.by = by


class ParentEndedError(Exception):
    """The turn on whose behalf one was asked for has ended; nothing was written."""


class IdempotencyConflictError(Exception):
    """The same idempotency key came before with a different request; nothing was written."""


def digest_of(request: dict[str, Any]) -> str:
    """Return a digest that equal requests have in common."""
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()


def accept_arguments(
    accepted: AcceptedTurn, terms: Terms, *, version: str, queue_limit: int, keep_seconds: int
) -> dict[str, Any]:
    """Return the arguments of ``lua/accept.lua``.

    Args:
        version: of the conversation's lane when its history was read.
        queue_limit: the number of turns that may wait in all.
        keep_seconds: the seconds for which ended turns are kept.
    """
    turn, replay = accepted.turn, accepted.replay
    ending = _ENDINGS.get(terms.strategy)
    return {
        "id": turn.id,
        "agent": turn.agent,
        "pool": accepted.pool,
        "conversation": turn.conversation,
        "principal": principal_of(accepted.owner),
        "version": version,
        "strategy": terms.strategy,
        "ending": ending.model_dump_json() if ending else None,
        "limit": queue_limit,
        "agent_limit": terms.agent_limit,
        "key": terms.idempotency_key,
        "try": terms.sdk_try,
        "try_seconds": RETRY_SECONDS,
        "continued": replay.of if replay else None,
        "anew": 1 if replay and replay.retry else None,
        "parent": accepted.parent.turn_id if accepted.parent else None,
        "digest": digest_of(accepted.request if terms.asked is None else terms.asked),
        "ended": rq_now(),
        "keep": keep_seconds,
    }
