"""The contents of the queue's keys: the fields of its hashes and streams, a journal's entries, a turn's states.

README.md is made from this, from the docstrings of :mod:`k8gentai.workers.queue.keys` and from those of
:class:`k8gentai.workers.queue.record.TurnRecord`.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from k8gentai.workers.queue import keys
from k8gentai.workers.queue.record import Status

FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    keys.TURN: {
        "accepted": "JSON of `record.AcceptedTurn`, without its history.",
        "history": "JSON of the items that stand before the turn's input; `[]` while it waits behind another "
        "turn, and once it is settled and nothing runs it again.",
        "agent": "The agent's id, as in `accepted`.",
        "pool": "The pool whose workers run the turn, as in `accepted`; missing in turns that the release before "
        "accepted.",
        "framework": "The same, under the name that the release before reads. The next release does not write it.",
        "conversation": "The conversation, as in `accepted`; empty without one.",
        "principal": "The owner, as in `accepted`; empty where the host runs without authentication.",
        "accepted_at": "When the turn was accepted.",
        "keep": "Seconds for which the server that accepted the turn keeps what has ended.",
        "seq": "The `seq` of the last event.",
        "idempotency": "The key of the hash that leads from an idempotency key to the turn.",
        "retries": "The failed turn that this one runs again.",
        "position": "Where the first of the turn's items stands in its conversation.",
        "deleted": "1, once a client deleted the turn and it is yet to be settled.",
        "wait_seconds": "Of a turn that waits for a person: how long, anew whenever what asked for it ends.",
        "taking": "What tells the taking that began the attempt from any other.",
        "attempted_at": "When the attempt began.",
        "redis": "The `run_id` of the Redis that its lease was last renewed in; empty where workers may not ask.",
        "recorded": "How many answers, effects, failures, results and given-up calls were recorded; numbers them "
        "in their order.",
        "journal_bytes": "How long the journal's values are together.",
        "declined": "The workers that have not got the turn's agent, or do not serve it, a line each.",
        "decline_event": "The last event of the turn where no worker has (JSON).",
        "declined_at": "When the first worker declined the turn that has not got its agent.",
        "broke_off_for": "The code of what its last attempts broke off by.",
        "broke_off_at": "When the first of them did, since a call was recorded.",
        "breaks_in_a_row": "How many did, since a call was recorded.",
        "suspect": "The worker that the turn may have ended: it runs alone until that is solved.",
        "alone_seconds": "How long the turn had run when its worker was lost, at the longest.",
        "causes": "JSON: how each worker ended that the turn ended; empty where nobody saw it.",
        "unheard": "JSON: the workers among them whose witness may yet speak, by their place in `causes`.",
        "unheard_beside": "JSON: the workers that nobody saw end, with the turn and others in them.",
    },
    keys.EVENTS: {
        "e": "The event (JSON).",
        "v": "The form that the event was written in: `stored.EVENT_VERSION`.",
        "at": "Of a turn's last event: when the turn ended.",
    },
    keys.FINISHED: {"turn": "The ended turn's id."},
    keys.IDEMPOTENCY: {
        "turn": "The turn's id.",
        "digest": "Of the request's body: another request with the same key is refused.",
    },
    keys.RETRIED: {
        "turn": "The turn's id.",
        "try": "Which of the request's tries was the last; 0 is the first.",
    },
    keys.RQ_JOB: {
        "status": "`queued`, `started`, `finished`, `failed` or `canceled`.",
        "started_at": "When the attempt began, as RQ writes times.",
        "ended_at": "When the turn ended, as RQ writes times.",
        "worker_name": "The worker that began the attempt.",
    },
}
"""The contents of each field of a hash, or of a stream's entries, by its key's name. Of a turn's hash: those that
:class:`k8gentai.workers.queue.record.TurnRecord` does not add itself. Times are Redis', Unix time in seconds."""

EVENT_VERSION: Final = 1
"""The form of the events that this release writes."""
JOURNAL_VERSION: Final = 1
"""The form of the entries that this release writes into journals."""

MODEL: Final = "model "
"""``model {digest} {n}``: a model's answer, as JSON: its chunks in order, or its one completion. The digest is
of the canonical request, ``n`` counts equal ones from 1.

Written by: ``Journal.record_answer``
"""
EFFECT: Final = "effect "
"""``effect {kind} {digest} {n}``: what an effect beside model and tool calls came to (JSON), as what a guardrail
says of a text. The digest is of what was asked and of the tool call around it, ``n`` counts equal ones from 1.

Written by: ``Journal.once``
"""
FAILURE: Final = "failure "
"""``failure {key of the call}``: how a model call failed for good, or that an effect was refused (JSON of
``journal_entries.Failure``).

Written by: ``Journal.record_failure``, ``Journal.once``
"""
TOOL: Final = "tool "
"""``tool {call_id}``: what is known of a tool call (JSON of ``journal_entries.ToolEntry``).

Written by: ``Journal.record_tool``
"""
GIVEN_UP: Final = "given_up "
"""``given_up {key of the call} {n}``: that the agent gave up a call (JSON of ``given_up.GivenUp``), or, behind
``own``, that code around the tool of a call gave up that; gone once it waits for an answer. ``n`` counts its tries
from 1.

Written by: ``Journal.record_given_up``, ``Journal.hold``
"""
ORDER: Final = "order "
"""``order {key of the entry}``: where an answer, an effect, a failure, a result or a given-up call stands in the
order in which they came (JSON of ``recorded_order.Place``); of a failure, behind the key of its call. Gone with
its entry.

Written by: ``record``, beside the entry
"""


class State(NamedTuple):
    """A turn's status."""

    means: str
    entered: Mapping[Status | None, tuple[str, ...]]
    """The scripts that move a turn here, by the state that it had; None for a new turn."""


_WORKERS: Final = ("hand_back", "break_off", "decline", "reap")
_CLIENTS: Final = ("accept", "cancel", "delete")

STATES: Final[Mapping[Status, State]] = {
    "queued": State(
        "It waits for a worker, or for the turns ahead of it in its conversation.",
        {None: ("accept",), "running": _WORKERS},
    ),
    "running": State("A worker has its lease.", {"queued": ("start",)}),
    "suspended": State("It has ended and waits for a person.", {"running": ("append",)}),
    "completed": State("The agent came to its answer.", {"running": ("append",)}),
    "incomplete": State(
        "It ended early but well; by `accept`, where another turn interrupts it.",
        {"queued": ("accept",), "running": ("accept", "append")},
    ),
    "failed": State(
        "It ended in an error; by the others than `append`, where its workers gave it back once too often.",
        {"queued": ("decline",), "running": ("append", *_WORKERS)},
    ),
    "cancelled": State(
        "It was cancelled; by `accept`, where another turn takes its place.",
        {"queued": _CLIENTS, "running": _CLIENTS, "suspended": ("cancel", "delete")},
    ),
}
"""Each state. A turn that a tool call of another turn asked for is also cancelled by whichever script ends that
one."""
